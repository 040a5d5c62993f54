"""Pooling of arrays (N, C, *spatial): the largest entry or the mean of each window.

The windows have a size of their own, or (adaptive) there are as many as asked for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError
from tinygrad_edu.graph import plain
from tinygrad_edu.ops.declare import composite, primitive
from tinygrad_edu.ops.indexing import getitem, scatter
from tinygrad_edu.ops.reduction import sum
from tinygrad_edu.ops.shape import reshape
from tinygrad_edu.ops.windows import (
    Lengths,
    Margins,
    both_sides,
    check_images,
    extents,
    inside,
    output_size,
    padded,
    padded_zeros,
    per_axis,
    positions,
)

# The largest entry of a window


def _first_largest(
    y: Any, x: Any, kernel: Lengths, stride: Lengths, padding: Margins, dilation: Lengths
) -> Any:
    """Where in x, flattened, the largest entry of each window is: the first of those that tie."""
    size, output = x.shape[2:], y.shape[2:]
    entries, nans = padded(x, padding, _lowest(x.dtype)), y != y
    index = np.zeros_like(y, np.intp)
    places = zip(np.ndindex(*kernel), positions(kernel, stride, dilation, output), strict=True)
    for position, place in reversed(list(places)):
        entry = entries[(..., *place)]
        largest = entry == y
        if nans.any():
            largest |= entry != entry
        np.copyto(index, _flat(position, size, stride, padding, dilation, output), where=largest)
    images = np.arange(math.prod(x.shape[:2])) * math.prod(size)
    return index + images.reshape((*x.shape[:2], *(1,) * len(size)))


def _flat(
    position: Lengths,
    size: Lengths,
    stride: Lengths,
    padding: Margins,
    dilation: Lengths,
    output: Lengths,
) -> Any:
    """Where in a flattened image each window has its entry at a position of the kernel."""
    flat: Any = 0
    for p, n, s, (before, _), d, windows in zip(
        position, size, stride, padding, dilation, output, strict=True
    ):
        # In the padding, which is the largest only if all is -inf: the edge of the image instead.
        along = np.clip(np.arange(windows) * s + p * d - before, 0, n - 1)
        flat = np.expand_dims(flat, -1) * n + along
    return flat


def _lowest(dtype: Any) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min


def _max_rule(g: Any, y: Any, x: Any, **geometry: Any) -> Any:
    # The largest entry gets the gradient; of those that tie the first, row by row.
    index = _first_largest(plain(y), plain(x), **geometry).reshape(-1)
    return scatter(g.reshape((-1,)), (math.prod(x.shape),), index).reshape(x.shape)


@primitive(_max_rule)
def max_pool(x: Any, kernel: Lengths, stride: Lengths, padding: Margins, dilation: Lengths) -> Any:
    """``max_pool1d``, ``2d`` and ``3d``, with an option's value for every spatial axis."""
    output = output_size("max_pool", x.shape[2:], kernel, stride, padding, dilation)
    x = padded(x, padding, _lowest(x.dtype))
    first, *places = positions(kernel, stride, dilation, output)
    y = x[(..., *first)].copy(order="K")
    for place in places:
        np.maximum(y, x[(..., *place)], out=y)
    return y


# The sum over a window


def _sum_rule(g: Any, y: Any, x: Any, **options: Any) -> Any:
    return spread_over_windows(g, x.shape[2:], **options)


@primitive(_sum_rule, symbol="Σ windows")
def sum_windows(x: Any, kernel: Lengths, stride: Lengths, padding: Margins) -> Any:
    """The sum over each window of x."""
    ones = (1,) * len(kernel)
    output = output_size("avg_pool", x.shape[2:], kernel, stride, padding, ones)
    x = padded(x, padding)
    first, *places = positions(kernel, stride, ones, output)
    y = x[(..., *first)].copy(order="K")
    for place in places:
        y += x[(..., *place)]
    return y


@primitive(lambda g, y, x, size, **options: sum_windows(g, **options))
def spread_over_windows(
    x: Any, size: Lengths, kernel: Lengths, stride: Lengths, padding: Margins
) -> Any:
    """Zeros of a spatial ``size``, to which each entry of x adds all over its window."""
    y = padded_zeros(x, size, padding)
    apart = all(s >= k for s, k in zip(stride, kernel, strict=True))  # then each is written once
    for place in positions(kernel, stride, (1,) * len(kernel), x.shape[2:]):
        if apart:
            y[(..., *place)] = x
        else:
            y[(..., *place)] += x
    return y[(..., *inside(size, padding))]


# The calls


def _geometry(
    name: str,
    ndim: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    dilation: Any = 1,
) -> tuple[Lengths, Lengths, Margins, Lengths]:
    """The kernel, stride, margins and dilation of a call, checked, with a value per axis."""
    check_images(name, x, ndim)
    kernel = per_axis(name, "kernel_size", kernel_size, ndim, 1)
    stride = kernel if stride is None else per_axis(name, "stride", stride, ndim, 1)
    padding = per_axis(name, "padding", padding, ndim, 0)
    dilation = per_axis(name, "dilation", dilation, ndim, 1)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise OperandError(
            f"{name}: padding {padding} is more than half of the kernel {kernel}, which would put"
            " windows wholly into it"
        )
    margins = both_sides(padding)
    if ceil_mode:
        extent = extents(kernel, dilation)
        margins = _room_for_a_last_window(x.shape[2:], extent, stride, padding)
    output_size(name, x.shape[2:], kernel, stride, margins, dilation)  # or an error with the name
    return kernel, stride, margins, dilation


def _room_for_a_last_window(
    size: Lengths, extent: Lengths, stride: Lengths, padding: Lengths
) -> Margins:
    """The padding with which ⌈·⌉ windows fit, where without it ⌊·⌋ do.

    A last window that would start beyond the image and the padding before it is left out, as in
    PyTorch.
    """
    margins = []
    for n, e, s, p in zip(size, extent, stride, padding, strict=True):
        start = -((e - n - 2 * p) // s) * s  # of the last window
        if start >= n + p:
            start -= s
        margins.append((p, max(p, start + e - n - p)))
    return tuple(margins)


def _max_pool(
    name: str,
    ndim: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Any:
    geometry = _geometry(name, ndim, x, kernel_size, stride, padding, ceil_mode, dilation)
    return max_pool(x, *geometry)


@composite()
def max_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest entry of each window of x ``(N, C, L)``; see ``max_pool2d``."""
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation, ceil_mode)


@composite()
def max_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest entry of each window of x ``(N, C, H, W)``.

    Where entries tie the first, row by row, gets the gradient.

    Args:
        kernel_size: the size of a window, a number or one per axis, as for the others.
        stride: how far apart windows are; by default ``kernel_size``, side by side.
        padding: how far windows reach over the edge, at most half of ``kernel_size``. What is
            there is never the largest.
        dilation: how far apart the entries of a window are.
        ceil_mode: whether a last window may reach beyond the image and its padding, where
            windows do not come out even.

    Raises:
        ShapeError: a window is larger than the padded image.
    """
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation, ceil_mode)


@composite()
def max_pool3d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """The largest entry of each window of x ``(N, C, D, H, W)``; see ``max_pool2d``."""
    return _max_pool("max_pool3d", 3, x, kernel_size, stride, padding, dilation, ceil_mode)


def _avg_pool(
    name: str,
    ndim: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Any:
    kernel, stride, margins, _ = _geometry(name, ndim, x, kernel_size, stride, padding, ceil_mode)
    total = sum_windows(x, kernel, stride, margins)
    # What counts is the image, perhaps with its padding, and never what ceil_mode put beyond.
    counts = tuple((p, p) if count_include_pad else (0, 0) for p, _ in margins)
    if counts == margins:
        return total / math.prod(kernel)
    dtype = x.dtype if x.dtype.kind == "f" else np.float64
    image = padded(np.ones((1, 1, *x.shape[2:]), dtype), counts, 1)
    beyond = tuple(
        (before - p, after - q) for (before, after), (p, q) in zip(margins, counts, strict=True)
    )
    return total / sum_windows(image, kernel, stride, beyond)


@composite()
def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of x ``(N, C, L)``; see ``avg_pool2d``."""
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


@composite()
def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of x ``(N, C, H, W)``.

    Args:
        kernel_size: the size of a window, a number or one per axis, as for the others.
        stride: how far apart windows are; by default ``kernel_size``, side by side.
        padding: how far windows reach over the edge, at most half of ``kernel_size``.
        ceil_mode: whether a last window may reach beyond the image and its padding, where
            windows do not come out even. What lies there does not count in the mean.
        count_include_pad: whether the zeros of the padding count in the mean.

    Raises:
        ShapeError: a window is larger than the padded image.
    """
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


@composite()
def avg_pool3d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of x ``(N, C, D, H, W)``; see ``avg_pool2d``."""
    return _avg_pool("avg_pool3d", 3, x, kernel_size, stride, padding, ceil_mode, count_include_pad)


# As many windows as asked for

Bounds = list[tuple[int, int]]  # where the windows along an axis start and stop


def _adaptive_bounds(name: str, ndim: int, x: Any, output_size: Any) -> list[Bounds]:
    """For each spatial axis, its windows: as equal as whole numbers allow."""
    check_images(name, x, ndim)
    size = x.shape[2:]
    if not all(size):
        raise ShapeError(f"{name} needs images that are not empty, not {x.shape}")
    if isinstance(output_size, tuple | list) and len(output_size) == ndim:
        output_size = [n if m is None else m for n, m in zip(size, output_size, strict=True)]
    counts = per_axis(name, "output_size", output_size, ndim, 1)
    return [
        [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for n, m in zip(size, counts, strict=True)
    ]


def _adaptive_avg_pool(name: str, ndim: int, x: Any, output_size: Any) -> Any:
    for axis, bounds in enumerate(_adaptive_bounds(name, ndim, x, output_size), 2):
        lengths = [stop - start for start, stop in bounds]
        places = range(max(lengths))
        # Windows shorter than the longest repeat their last entry, with weight 0.
        entries = np.array([[min(start + k, stop - 1) for k in places] for start, stop in bounds])
        weights = [[1 / n if k < n else 0.0 for k in places] for n in lengths]
        dtype = x.dtype if x.dtype.kind == "f" else np.float64
        weight = np.array(weights, dtype).reshape((*entries.shape, *(1,) * (x.ndim - 1 - axis)))
        x = sum(getitem(x, (*(slice(None),) * axis, entries)) * weight, axis + 1)
    return x


def _adaptive_max_pool(name: str, ndim: int, x: Any, output_size: Any) -> Any:
    bounds = _adaptive_bounds(name, ndim, x, output_size)
    (samples, channels), size = x.shape[:2], x.shape[2:]
    images = samples * channels
    index = np.stack(list(_largest_of(plain(x).reshape((images, *size)), bounds)), -1)
    y = getitem(reshape(x, (images, math.prod(size))), (np.arange(images)[:, None], index))
    return reshape(y, (samples, channels, *map(len, bounds)))


def _largest_of(images: Any, bounds: list[Bounds]) -> Iterator[Any]:
    """For each window, where in each image, flattened, its largest entry is."""
    size = images.shape[1:]
    for window in itertools.product(*bounds):
        entries = images[(slice(None), *(slice(*edges) for edges in window))]
        place = np.unravel_index(entries.reshape((len(images), -1)).argmax(-1), entries.shape[1:])
        yield np.ravel_multi_index(
            tuple(p + start for p, (start, _) in zip(place, window, strict=True)), size
        )


@composite()
def adaptive_avg_pool1d(x: Any, output_size: Any) -> Any:
    """``adaptive_avg_pool2d`` of x ``(N, C, L)``."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, x, output_size)


@composite()
def adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    """The means of x ``(N, C, H, W)`` over as many windows along each axis as ``output_size`` says.

    The windows along an axis of length H start at ⌊i H / M⌋ and end before ⌈(i + 1) H / M⌉. With
    ``output_size=1`` it is the mean of each channel.

    Args:
        output_size: M, a number or one per axis; None in its place for the length of the axis.
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, x, output_size)


@composite()
def adaptive_avg_pool3d(x: Any, output_size: Any) -> Any:
    """``adaptive_avg_pool2d`` of x ``(N, C, D, H, W)``."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, x, output_size)


@composite()
def adaptive_max_pool1d(x: Any, output_size: Any) -> Any:
    """``adaptive_max_pool2d`` of x ``(N, C, L)``."""
    return _adaptive_max_pool("adaptive_max_pool1d", 1, x, output_size)


@composite()
def adaptive_max_pool2d(x: Any, output_size: Any) -> Any:
    """The largest entries of x ``(N, C, H, W)`` in the windows of ``adaptive_avg_pool2d``.

    Where entries tie the first, row by row, gets the gradient.
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, x, output_size)


@composite()
def adaptive_max_pool3d(x: Any, output_size: Any) -> Any:
    """``adaptive_max_pool2d`` of x ``(N, C, D, H, W)``."""
    return _adaptive_max_pool("adaptive_max_pool3d", 3, x, output_size)
