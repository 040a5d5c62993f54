"""Upsample: images of another size."""

from __future__ import annotations

from typing import Any

import tinygrad_edu as tg
from nn.errors import ConfigurationError
from nn.module import Module

# Those of tg.interpolate, and whether they take align_corners.
_MODES = {
    "nearest": False,
    "nearest-exact": False,
    "area": False,
    "linear": True,
    "bilinear": True,
    "bicubic": True,
    "trilinear": True,
}


class Upsample(Module):
    """x ``(N, C, ...)`` resampled to another size, larger or smaller.

    Args:
        size: the new size, a number or one per spatial axis; or else ``scale_factor``.
        scale_factor: how much larger the result is; sizes are rounded down.
        mode: ``"nearest"`` or ``"nearest-exact"``, ``"area"``; or ``"linear"``, ``"bilinear"``,
            ``"trilinear"`` and ``"bicubic"``, for images of 1, 2, 3 and 2 axes; see
            ``tinygrad_edu.interpolate``.
        align_corners: whether the first and last entries keep their places; for the last four.

    >>> import nn, numpy as np
    >>> nn.Upsample(scale_factor=2)(np.array([[[1.0, 2.0]]]))
    array([[[1., 1., 2., 2.]]])
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        if (size is None) == (scale_factor is None):
            raise ConfigurationError("Upsample takes one of size= and scale_factor=")
        if mode not in _MODES:
            raise tg.UnknownNameError("mode of Upsample", mode, _MODES)
        if align_corners is not None and not _MODES[mode]:
            placed = ", ".join(name for name, takes in _MODES.items() if takes)
            raise ConfigurationError(
                f"Upsample takes align_corners= with modes {placed}, not {mode}"
            )
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)`` to ``(N, C, *size)``."""
        return tg.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def _extra_repr(self) -> str:
        options = ("size", "scale_factor", "mode", "align_corners")
        given = ((name, getattr(self, name)) for name in options)
        return ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
