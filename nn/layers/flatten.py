"""Flatten and Unflatten: from images to rows and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tinygrad_edu as tg
from nn.errors import ConfigurationError
from nn.module import Module


class Flatten(Module):
    """Merge the axes from ``start_dim`` to ``end_dim`` into one.

    By default ``(N, ...)`` becomes ``(N, features)``.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        """``(a, ..., b, c, d, ..., e)`` to ``(a, ..., b * c * d, ..., e)``."""
        shape = tuple(x.shape)
        start, end = (_axis(self, shape, dim) for dim in (self.start_dim, self.end_dim))
        if start > end:
            raise tg.ShapeError(
                f"{self._in_place()} cannot take shape {shape}: it ends before it starts"
            )
        return tg.reshape(x, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))

    def _extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Part the axis ``dim`` into several: what ``Flatten`` merged.

    Args:
        dim: the axis.
        unflattened_size: the lengths of what it becomes; one may be -1, for what the others leave.

    >>> import nn, numpy as np
    >>> nn.Unflatten(1, (3, 4, -1))(np.ones((2, 60))).shape
    (2, 3, 4, 5)
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        sizes = tuple(unflattened_size)
        if not sizes or sizes.count(-1) > 1 or any(n < 0 for n in sizes if n != -1):
            raise ConfigurationError(
                "Unflatten's unflattened_size are the lengths of one axis or more, of which one may"
                f" be -1, not {unflattened_size!r}"
            )
        self.dim, self.unflattened_size = dim, sizes

    def forward(self, x: Any) -> Any:
        """``(a, ..., b * c * d, ..., e)`` to ``(a, ..., b, c, d, ..., e)``."""
        shape = tuple(x.shape)
        axis = _axis(self, shape, self.dim)
        sizes = self._sizes_of(shape[axis])
        return tg.reshape(x, (*shape[:axis], *sizes, *shape[axis + 1 :]))

    def _sizes_of(self, length: int) -> tuple[int, ...]:
        """The sizes that an axis of this length becomes."""
        known = math.prod(n for n in self.unflattened_size if n != -1)
        rest = length // known if known else 0
        sizes = tuple(rest if n == -1 else n for n in self.unflattened_size)
        if math.prod(sizes) != length:
            raise tg.ShapeError(f"{self._in_place()} cannot take an axis of length {length}")
        return sizes

    def _extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


def _axis(module: Module, shape: tuple[int, ...], dim: int) -> int:
    """An axis counted from the start, of an array of this shape."""
    axes = range(len(shape))
    if not -len(axes) <= dim < len(axes):
        raise tg.ShapeError(
            f"{module._in_place()} cannot take shape {shape}, which has {len(axes)} axes"
        )
    return axes[dim]
