"""Flatten: from images to rows."""

from __future__ import annotations

from typing import Any

import tinygrad_edu as tg
from nn.module import Module


class Flatten(Module):
    """Merge the axes from ``start_dim`` to ``end_dim`` into one.

    By default ``(N, ...)`` becomes ``(N, features)``.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Any:
        """``(a, ..., b, c, d, ..., e)`` to ``(a, ..., b * c * d, ..., e)``."""
        axes = range(len(x.shape))
        if not -len(axes) <= self.start_dim < len(axes) or not -len(axes) <= self.end_dim < len(
            axes
        ):
            raise tg.ShapeError(
                f"Flatten(start_dim={self.start_dim}, end_dim={self.end_dim}) cannot take shape"
                f" {tuple(x.shape)}, which has {len(axes)} axes"
            )
        start, end = axes[self.start_dim], axes[self.end_dim]
        return tg.reshape(x, (*x.shape[:start], -1, *x.shape[end + 1 :]))

    def _extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
