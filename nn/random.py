"""The random numbers of nn: one generator, so that one seed makes a run repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.errors import StateDictError

if TYPE_CHECKING:
    from nn.module import Module

_generator = np.random.default_rng()


def manual_seed(seed: int) -> None:
    """Start the shared generator anew: initial weights and dropout then repeat bit for bit.

    >>> import nn
    >>> nn.manual_seed(0)
    >>> a = nn.Linear(2, 1).weight.data
    >>> nn.manual_seed(0)
    >>> bool((nn.Linear(2, 1).weight.data == a).all())
    True
    """
    global _generator
    _generator = np.random.default_rng(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it the shared generator is a new one; afterwards the old one goes on where it was."""
    global _generator
    before = _generator
    manual_seed(seed)
    try:
        yield
    finally:
        _generator = before


def generator(rng: np.random.Generator | None = None) -> np.random.Generator:
    """``rng`` itself, or the shared generator if it is None."""
    return _generator if rng is None else rng


def state_dict(model: Module) -> dict[str, Any]:
    """Where the shared generator (under ``""``) and those that layers hold themselves are."""
    return {path: rng.bit_generator.state for path, rng in _generators(model).items()}


def load_state_dict(model: Module, state: Mapping[str, Any]) -> None:
    """Have the generators go on from ``state_dict``.

    Raises:
        StateDictError: it is of a model that holds other generators. Nothing was loaded.
    """
    own = _generators(model)
    if own.keys() != state.keys():
        missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
        raise StateDictError(sorted(missing), sorted(unexpected), {}, "model's random numbers")
    for path, position in state.items():
        own[path].bit_generator.state = position


def _generators(model: Module) -> dict[str, np.random.Generator]:
    held = {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, np.random.Generator)
    }
    return {"": _generator, **held}
