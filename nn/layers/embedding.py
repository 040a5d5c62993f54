"""Embeddings: a learned vector for each symbol, and vectors that tell positions apart."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import random
from nn.checks import check_integer
from nn.errors import ConfigurationError
from nn.module import Module, Parameter


class Embedding(Module):
    """y = weight[indices]: a table with a learned vector for each of so many symbols.

    Args:
        num_embeddings: how many symbols there are, 0 to ``num_embeddings - 1``.
        embedding_dim: the length of each vector.
        padding_idx: a symbol that only fills up short sequences: its vector is zeros at first, and
            gets no gradient. A negative one counts from the end.
        dtype: the dtype of the table.
        rng: where the initial vectors come from; the shared generator by default.

    Attributes:
        weight: the table, ``(num_embeddings, embedding_dim)``, of standard normal numbers at first.

    Raises:
        ConfigurationError: a size is not a positive integer, or ``padding_idx`` is no symbol.

    >>> import nn
    >>> nn.Embedding(10, 3)([[1, 2], [3, 9]]).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.num_embeddings = check_integer("Embedding's num_embeddings", num_embeddings)
        self.embedding_dim = check_integer("Embedding's embedding_dim", embedding_dim)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ConfigurationError(
                f"Embedding's padding_idx must be one of its {num_embeddings} indices, not"
                f" {padding_idx}"
            )
        self.padding_idx = padding_idx
        weight = random.generator(rng).normal(size=(self.num_embeddings, self.embedding_dim))
        if padding_idx is not None:
            weight[padding_idx] = 0
        self.weight = Parameter(weight.astype(dtype))

    def forward(self, indices: Any) -> Any:
        """Integers ``(...)`` to ``(..., embedding_dim)``."""
        return tg.embedding(indices, self.weight, self.padding_idx)

    def _extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings} -> {self.embedding_dim}{padding}"


class SinusoidalPositionalEncoding(Module):
    """y_t = x_t + p_t, where p_t holds waves of many lengths, sampled at position t.

    p_t[2i] = sin(t / 10000^(2i / E)), p_t[2i + 1] = cos(t / 10000^(2i / E)). A step of k turns each
    pair by a fixed angle, so p_(t + k) is a linear function of p_t. Nothing is learned, and there
    is no longest sequence.

    Source: Vaswani et al., Attention is all you need, 2017, section 3.5.

    Args:
        embedding_dim: E, the length of each vector.
        batch_first: whether batches are ``(N, L, E)`` rather than ``(L, N, E)``.
    """

    def __init__(self, embedding_dim: int, *, batch_first: bool = False) -> None:
        kind = type(self).__name__
        self.embedding_dim = check_integer(f"{kind}'s embedding_dim", embedding_dim)
        self.batch_first = batch_first

    def forward(self, x: Any) -> Any:
        """``(L, N, E)``, or ``(L, E)`` without a batch; the shape is kept."""
        length = _length(self, x)
        waves = _waves(length, self.embedding_dim).astype(x.dtype)
        return x + _along_positions(self, x, waves)

    def _extra_repr(self) -> str:
        return f"{self.embedding_dim}"


class LearnedPositionalEncoding(Module):
    """y_t = x_t + weight[t], with a learned vector for each position.

    Source: Gehring et al., Convolutional sequence to sequence learning, 2017, section 3.1.

    Args:
        max_length: how many positions there are.
        embedding_dim: E, the length of each vector.
        batch_first: whether batches are ``(N, L, E)`` rather than ``(L, N, E)``.
        dtype: the dtype of the vectors.
        rng: where the initial vectors come from; the shared generator by default.

    Attributes:
        weight: ``(max_length, embedding_dim)``, normal with standard deviation 0.02 at first, as in
            GPT-2: small beside what stands at the positions.
    """

    def __init__(
        self,
        max_length: int,
        embedding_dim: int,
        *,
        batch_first: bool = False,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        kind = type(self).__name__
        self.max_length = check_integer(f"{kind}'s max_length", max_length)
        self.embedding_dim = check_integer(f"{kind}'s embedding_dim", embedding_dim)
        self.batch_first = batch_first
        shape = (self.max_length, self.embedding_dim)
        self.weight = Parameter(random.generator(rng).normal(0, 0.02, shape).astype(dtype))

    def forward(self, x: Any) -> Any:
        """``(L, N, E)`` with L ≤ ``max_length``, or ``(L, E)`` without a batch; shape kept."""
        length = _length(self, x)
        if length > self.max_length:
            raise tg.ShapeError(
                f"{self._in_place()} has vectors for {self.max_length} positions, and x"
                f" {tuple(x.shape)} has {length}"
            )
        return x + _along_positions(self, x, self.weight[:length])

    def _extra_repr(self) -> str:
        return f"{self.max_length} positions, {self.embedding_dim}"


@lru_cache(maxsize=8)
def _waves(length: int, features: int) -> np.ndarray[Any, Any]:
    """The p_t of ``SinusoidalPositionalEncoding``, one a row."""
    angles = np.arange(length)[:, None] / 10_000 ** (np.arange(0, features, 2) / features)
    waves = np.empty((length, features))
    waves[:, 0::2] = np.sin(angles)
    waves[:, 1::2] = np.cos(angles[:, : features // 2])
    waves.flags.writeable = False
    return waves


def _length(module: Any, x: Any) -> int:
    """How many positions x has, which must end in the features that ``module`` adds to."""
    shape = tuple(x.shape)
    if len(shape) not in (2, 3) or shape[-1] != module.embedding_dim:
        axes = "N, L" if module.batch_first else "L, N"
        raise tg.ShapeError(
            f"{module._in_place()} takes ({axes}, {module.embedding_dim}), or"
            f" (L, {module.embedding_dim}) without a batch, not shape {shape}"
        )
    return shape[-2 if module.batch_first else 0]


def _along_positions(module: Any, x: Any, vectors: Any) -> Any:
    """Vectors ``(L, E)`` in a shape that broadcasts with x."""
    return tg.expand_dims(vectors, 1) if len(x.shape) == 3 and not module.batch_first else vectors
