"""modules: random models for a given shape of input, as a Hypothesis strategy."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

import nn
from nn.errors import ConfigurationError
from nn.module import Module
from nn.testing.trial import run

Shape = tuple[int, ...]
Family = Callable[[Shape], SearchStrategy[Module]]

_generators = st.integers(0, 2**16).map(np.random.default_rng)

# What makes the layers of a family for inputs of a shape (N, ...), the simplest family first.
FAMILIES: list[Family] = [
    lambda shape: st.builds(
        nn.Linear,
        st.just(shape[-1]),
        st.integers(1, 5),
        bias=st.booleans(),
        nonlinearity=st.sampled_from(sorted(nn.ACTIVATIONS)),
        rng=_generators,
    ),
    lambda shape: st.builds(nn.Identity),
    lambda shape: st.sampled_from([nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU]).map(_made),
    lambda shape: st.builds(nn.GELU, st.sampled_from(["none", "tanh"])),
    lambda shape: st.builds(nn.LeakyReLU, st.sampled_from([0.01, 0.25])),
    lambda shape: st.builds(nn.Dropout, st.sampled_from([0.0, 0.25, 0.5]), rng=_generators),
    lambda shape: st.builds(nn.Flatten, st.integers(1, len(shape) - 1)),
    lambda shape: st.builds(nn.LayerNorm, st.just(shape[-1])),
    lambda shape: st.builds(nn.Linear, st.just(shape[-1]), st.just(shape[-1])).map(nn.Residual),
]

# The same, of layers that take rows (N, features) only, or images (N, C, H, W) only.
FAMILIES_OF_ROWS: list[Family] = [
    lambda shape: st.builds(nn.BatchNorm1d, st.just(shape[1])) if shape[0] > 1 else st.nothing(),
]
FAMILIES_OF_IMAGES: list[Family] = [
    lambda shape: st.builds(
        nn.Conv2d,
        st.just(shape[1]),
        st.integers(1, 3),
        st.integers(1, min(shape[2:])),
        padding=st.integers(0, 1),
        bias=st.booleans(),
        rng=_generators,
    ),
    lambda shape: st.builds(nn.BatchNorm2d, st.just(shape[1])) if shape[0] > 1 else st.nothing(),
    lambda shape: st.builds(nn.GroupNorm, st.just(1), st.just(shape[1])),
    lambda shape: st.builds(nn.MaxPool2d, st.integers(1, min(shape[2:])), st.integers(1, 2)),
    lambda shape: st.builds(nn.AvgPool2d, st.integers(1, min(shape[2:])), st.integers(1, 2)),
    lambda shape: st.builds(nn.GlobalAvgPool),
]


def modules(
    in_shape: Shape, max_depth: int = 2, max_length: int = 4
) -> SearchStrategy[nn.Sequential]:
    """Random Sequential models, nested ones too, that take inputs of a shape.

    They shrink towards a single Identity, or a single layer.

    Args:
        in_shape: ``(N, features)``, ``(N, C, H, W)`` or any other shape with a batch axis.
        max_depth: how deep Sequentials are nested; 1 for none in another.
        max_length: how many modules a Sequential has at most.

    Raises:
        ConfigurationError: the shape has no axis besides that of the batch, or an empty one; or a
            limit is not positive.

    >>> import nn
    >>> from hypothesis import find
    >>> find(modules((4, 3)), lambda model: any(isinstance(part, nn.Linear) for part in model))
    Sequential(
      (0): Linear(3 -> 1)  weight (1, 3): 3
    )
    3 parameters
    """
    if len(in_shape) < 2 or min(in_shape) < 1:
        raise ConfigurationError(
            f"modules takes the shape of a batch, such as (4, 3), not {in_shape}"
        )
    for name, limit in (("max_depth", max_depth), ("max_length", max_length)):
        if limit < 1:
            raise ConfigurationError(f"{name} must be a positive integer, not {limit!r}")
    return _sequentials(tuple(in_shape), max_depth, max_length)


@st.composite
def _sequentials(draw: DrawFn, shape: Shape, max_depth: int, max_length: int) -> nn.Sequential:
    parts: list[Module] = []
    for _ in range(draw(st.integers(1, max_length))):
        parts.append(draw(_parts(shape, max_depth, max_length)))
        shape = run(parts[-1], [nn.Parameter(np.zeros(shape, np.float32))], training=False).shape
        parts[-1].train()
    return nn.Sequential(*parts)


@cache  # to build a strategy takes longer than to draw from it
def _parts(shape: Shape, max_depth: int, max_length: int) -> SearchStrategy[Module]:
    """What may stand in a Sequential."""
    special = {2: FAMILIES_OF_ROWS, 4: FAMILIES_OF_IMAGES}.get(len(shape), [])
    choices: list[SearchStrategy[Any]] = [family(shape) for family in [*FAMILIES, *special]]
    if max_depth > 1:
        choices.append(_sequentials(shape, max_depth - 1, max_length))
    return st.one_of(choices)


def _made(kind: type[Module]) -> Module:
    return kind()
