"""Resampling of arrays (N, C, *spatial) to another size, along one axis after the other.

Along an axis every entry of the result is a weighted sum of a few entries of the input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError, UnknownNameError
from tinygrad_edu.ops import pooling
from tinygrad_edu.ops.declare import composite
from tinygrad_edu.ops.indexing import getitem
from tinygrad_edu.ops.windows import Lengths, by, per_axis

# The modes that go by another name for each number of spatial axes.
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
_AREA = {
    1: pooling.adaptive_avg_pool1d,
    2: pooling.adaptive_avg_pool2d,
    3: pooling.adaptive_avg_pool3d,
}


@composite()
def interpolate(
    x: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """Resample x ``(N, C, *spatial)`` to another size.

    Entry i of the result stands at the place (i + ½) / scale - ½ of the input, and with
    ``align_corners`` at i (n - 1) / (m - 1), for n entries that become m.

    Args:
        size: the new size, a number or one per axis; or else ``scale_factor``.
        scale_factor: how much larger the result is; sizes are rounded down.
        mode: ``"nearest"`` takes entry ⌊i / scale⌋, and ``"nearest-exact"`` the one nearest to the
            place; ``"linear"``, ``"bilinear"`` and ``"trilinear"``, for 1, 2 and 3 spatial axes,
            weigh the two neighbours along each axis by their distance, and ``"bicubic"``, for 2,
            the four (Keys, 1981, with a = -¾); ``"area"`` is the mean over the entries that one
            of the result covers, ``adaptive_avg_pool2d``.
        align_corners: whether the first and last entries keep their places; for the linear modes
            and ``"bicubic"`` only.

    Raises:
        OperandError: not just one of ``size`` and ``scale_factor`` is given, or ``align_corners``
            of a mode without places.
        UnknownNameError: there is no such mode for so many axes.
    """
    ndim = len(x.shape) - 2
    if ndim not in _LINEAR:
        raise ShapeError(f"interpolate takes x (N, C, *spatial), not one of shape {x.shape}")
    modes = ["nearest", "nearest-exact", "area", _LINEAR[ndim], *["bicubic"] * (ndim == 2)]
    if mode not in modes:
        raise UnknownNameError(f"mode of interpolate for {ndim} spatial axes", mode, modes)
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise OperandError(
            f"interpolate takes align_corners= with modes {' and '.join(modes[3:])}, not {mode}"
        )
    target, ratios = _target(x.shape[2:], size, scale_factor)
    if mode == "area":
        return _AREA[ndim](x, target)
    for axis, (length, ratio) in enumerate(zip(target, ratios, strict=True), 2):
        if align_corners:
            ratio = x.shape[axis] - 1, max(length - 1, 1)
        shift = 0.0 if align_corners or mode == "nearest" else 0.5
        # Where each entry of the result stands, counting the input's from 0.
        places = (np.arange(length) + shift) * ratio[0] / ratio[1]
        x = _resampled(x, axis, places - shift * (mode != "nearest-exact"), mode)
    return x


def _target(
    size: Lengths, new_size: Any, scale_factor: Any
) -> tuple[Lengths, list[tuple[float, float]]]:
    """The new size, and the ratio of old entries to new ones along each axis."""
    if (new_size is None) == (scale_factor is None):
        raise OperandError("interpolate takes one of size= and scale_factor=")
    if new_size is not None:
        target = per_axis("interpolate", "size", new_size, len(size), 1)
        ratios: list[tuple[float, float]] = list(zip(size, target, strict=True))
    else:
        several = isinstance(scale_factor, tuple | list)
        factors = scale_factor if several else [scale_factor] * len(size)
        if len(factors) != len(size) or not all(f > 0 for f in factors):
            raise OperandError(
                f"interpolate takes scale_factor= as a positive number or {len(size)} of them,"
                f" not {scale_factor!r}"
            )
        target = tuple(math.floor(n * f) for n, f in zip(size, factors, strict=True))
        ratios = [(1.0, f) for f in factors]
    if not all(size) or not all(target):
        raise ShapeError(f"interpolate cannot make {by(size)} into {by(target)}")
    return target, ratios


def _resampled(x: Any, axis: int, places: Any, mode: str) -> Any:
    """x with one axis resampled at these places; beyond the ends, its first and last entry."""
    low = np.floor(places).astype(np.intp)

    def entry(k: int) -> Any:
        index = np.clip(low + k, 0, x.shape[axis] - 1)
        return getitem(x, (*(slice(None),) * axis, index))

    if mode in ("nearest", "nearest-exact"):
        return entry(0)
    dtype = x.dtype if x.dtype.kind == "f" else np.float64
    share = (places - low).astype(dtype).reshape((-1, *(1,) * (x.ndim - 1 - axis)))
    if mode != "bicubic":
        return entry(0) * (1 - share) + entry(1) * share
    return (
        entry(-1) * _far(1 + share)
        + entry(0) * _near(share)
        + entry(1) * _near(1 - share)
        + entry(2) * _far(2 - share)
    )


# The weight of an entry at a distance d from the place, in Keys' cubic convolution with a = -¾.


def _near(d: Any) -> Any:
    return (1.25 * d - 2.25) * d * d + 1  # (a + 2) d³ - (a + 3) d² + 1, for d ≤ 1


def _far(d: Any) -> Any:
    return ((-0.75 * d + 3.75) * d - 6) * d + 3  # a d³ - 5a d² + 8a d - 4a, for 1 ≤ d ≤ 2
