"""Convolution of arrays (N, C, *spatial), and its transpose, in any number of dimensions.

Three ops do all of it. The sum Σ g · convolution(x, w) is linear in each of x, w and g; its
derivatives by them are ``transposed_convolution``, ``correlation`` and ``convolution``, and so each
of the three has the two others as its rules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError, UnknownNameError
from tinygrad_edu.graph import plain
from tinygrad_edu.ops.declare import composite, primitive
from tinygrad_edu.ops.indexing import getitem
from tinygrad_edu.ops.planes import Planes, loops_for
from tinygrad_edu.ops.reduction import sum
from tinygrad_edu.ops.windows import (
    Lengths,
    Margins,
    both_sides,
    by,
    check_images,
    extents,
    inside,
    output_size,
    padded_size,
    per_axis,
    positions,
    windows_of,
)

Array = np.ndarray[Any, Any]

# Convolution


def _by_input(g: Any, y: Any, x: Any, weight: Any, bias: Any, **geometry: Any) -> Any:
    return transposed_convolution(g, weight, None, size=x.shape[2:], **geometry)


def _by_weight(g: Any, y: Any, x: Any, weight: Any, bias: Any, **geometry: Any) -> Any:
    return correlation(x, g, kernel=weight.shape[2:], **geometry)


def _by_bias(g: Any, y: Any, x: Any, weight: Any, bias: Any, **geometry: Any) -> Any:
    return sum(g, (0, *range(2, g.ndim)))


def _together(
    g: Any, y: Any, x: Any, weight: Any, bias: Any, needed: list[bool], stride: Lengths,
    padding: Margins, dilation: Lengths, groups: int,
) -> list[Any]:  # fmt: skip
    geometry = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    found: list[Any] = [None, None, _by_bias(g, y, x, weight, bias) if needed[2] else None]
    kernel, size = weight.shape[2:], x.shape[2:]
    margins = _margins_of_result(kernel, stride, padding, dilation)
    # Many channels of g over a large x take longer than the windows of both.
    too_many = math.prod(size) * g.shape[1] > 1.5 * math.prod(g.shape[2:]) * x.shape[1]
    by_loops = loops_for(x, g, g.shape[1], kernel, stride, groups, g.shape[2:])
    if too_many or by_loops or not (margins and needed[0] and needed[1]):
        found[0] = _by_input(g, y, x, weight, bias, **geometry) if needed[0] else None
        found[1] = _by_weight(g, y, x, weight, bias, **geometry) if needed[1] else None
        return found
    # ∂L/∂x is a convolution of g with the kernel flipped, and ∂L/∂weight comes of the same windows.
    channels, out = x.shape[1] // groups, g.shape[1] // groups
    backwards = tuple(range(2, weight.ndim))
    flipped = np.swapaxes(_weight_last(np.flip(weight, backwards), groups), -1, -2)
    flipped = flipped.reshape((groups, math.prod(kernel) * out, channels))
    x_rows = _channels_last(x, groups).reshape((groups, len(x) * math.prod(size), channels))
    by_x = np.empty(x_rows.shape, np.result_type(g, weight))
    by_weight = np.zeros(flipped.shape, np.result_type(g, x))
    for part, windows in _windows_as_rows(g, kernel, stride, margins, dilation, groups, size):
        np.matmul(windows, flipped, out=by_x[:, part])
        by_weight += windows.mT @ x_rows[:, part]
    found[0] = _channels_second(by_x.reshape((groups, len(x), *size, channels)))
    by_weight = by_weight.reshape((groups, *kernel, out, channels))
    by_weight = np.moveaxis(by_weight, (-2, -1), (1, 2)).reshape(weight.shape)
    found[1] = np.flip(by_weight, backwards)
    return found


def _margins_of_result(
    kernel: Lengths, stride: Lengths, padding: Margins, dilation: Lengths
) -> Margins | None:
    """How much to put around the result for a convolution of it, with the kernel flipped, to lead
    back to the input: in steps of 1, x met entry k where the result meets it from the other end.
    None where there is no such convolution.
    """
    margins = tuple(
        (e - 1 - before, e - 1 - after)
        for e, (before, after) in zip(extents(kernel, dilation), padding, strict=True)
    )
    return margins if set(stride) == {1} and min(map(min, margins)) >= 0 else None


@primitive(_by_input, _by_weight, _by_bias, together=_together)
def convolution(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Lengths,
    padding: Margins,
    dilation: Lengths,
    groups: int,
) -> Any:
    """``conv1d``, ``conv2d`` and ``conv3d``, with an option's value for every spatial axis.

    y[n, o, i] = bias[o] + Σ weight[o, c, k] x[n, c, i stride + k dilation - padding], over c and k.
    """
    kernel = weight.shape[2:]
    output = output_size("convolution", x.shape[2:], kernel, stride, padding, dilation)
    planes = Planes.over(x, weight, len(weight), kernel, stride, padding, dilation, groups, output)
    if planes:
        y = planes.convolved(weight)
        return y if bias is None else _with_bias(y, bias)
    out = len(weight) // groups
    columns = _weight_last(weight, groups).reshape((groups, -1, out))
    y = np.empty((groups, len(x) * math.prod(output), out), np.result_type(x, weight))
    for part, windows in _windows_as_rows(x, kernel, stride, padding, dilation, groups, output):
        np.matmul(windows, columns, out=y[:, part])
    y = _channels_second(y.reshape((groups, len(x), *output, out)))
    return y if bias is None else _with_bias(y, bias)


def _convolved_like(y: Any, x: Any, weight: Any, **geometry: Any) -> Any:
    """The convolution of x, of which y has the spatial size.

    An output_padding from the stride on leaves room for further windows, which took no part.
    """
    found = convolution(x, weight, None, **geometry)
    if found.shape[2:] == y.shape[2:]:
        return found
    return getitem(found, (slice(None), slice(None), *map(slice, y.shape[2:])))


def _transposed_by_input(
    g: Any, y: Any, x: Any, weight: Any, bias: Any, size: Lengths, **geometry: Any
) -> Any:
    return _convolved_like(x, g, weight, **geometry)


def _transposed_by_weight(
    g: Any, y: Any, x: Any, weight: Any, bias: Any, size: Lengths, **geometry: Any
) -> Any:
    return correlation(g, x, kernel=weight.shape[2:], **geometry)


@primitive(_transposed_by_input, _transposed_by_weight, _by_bias)
def transposed_convolution(
    x: Any,
    weight: Any,
    bias: Any,
    size: Lengths,
    stride: Lengths,
    padding: Margins,
    dilation: Lengths,
    groups: int,
) -> Any:
    """The adjoint of ``convolution`` of an array of this spatial ``size``; besides, the bias."""
    kernel, output = weight.shape[2:], x.shape[2:]
    channels, out = x.shape[1] // groups, weight.shape[1]
    around = _margins_of_result(kernel, stride, padding, dilation)
    if around and size == output_size("", output, kernel, stride, around, dilation):
        planes = Planes.over(
            x, weight, out * groups, kernel, stride, around, dilation, groups, size
        )
        if planes:
            grouped = np.flip(weight, tuple(range(2, weight.ndim)))
            grouped = grouped.reshape((groups, channels, out, *kernel))
            y = planes.convolved(np.swapaxes(grouped, 1, 2).reshape((-1, channels, *kernel)))
            return y if bias is None else _with_bias(y, bias)
    rows = np.ascontiguousarray(_channels_last(x, groups))
    rows = rows.reshape((groups, len(x) * math.prod(output), channels))
    weight = _weight_last(weight, groups).reshape((groups, math.prod(kernel), out, channels))
    weight = np.ascontiguousarray(weight.mT)
    dtype = np.result_type(x, weight)
    y = np.zeros((groups, len(x), *padded_size(size, padding), out), dtype)
    step = np.empty((*rows.shape[:2], out), dtype)
    step_at = step.reshape((groups, len(x), *output, out))
    for k, place in enumerate(positions(kernel, stride, dilation, output)):
        np.matmul(rows, weight[:, k], out=step)
        y[(slice(None), slice(None), *place)] += step_at
    y = _channels_second(y[(slice(None), slice(None), *inside(size, padding))])
    return y if bias is None else _with_bias(y, bias)


@primitive(
    lambda g, y, x, h, kernel, **geometry: transposed_convolution(
        h, g, None, size=x.shape[2:], **geometry
    ),
    lambda g, y, x, h, kernel, **geometry: _convolved_like(h, x, g, **geometry),
)
def correlation(
    x: Any,
    h: Any,
    kernel: Lengths,
    stride: Lengths,
    padding: Margins,
    dilation: Lengths,
    groups: int,
) -> Any:
    """How x, shifted by each position in a kernel, goes with h: the gradient by the weight.

    Shapes: x is what a ``convolution`` takes, h what it returns and the result its weight.
    """
    output = h.shape[2:]
    planes = Planes.over(x, h, h.shape[1], kernel, stride, padding, dilation, groups, output)
    if planes and np.isfinite(x).all():  # the loops multiply what is between rows by 0
        return planes.correlated(h)
    channels, out = x.shape[1] // groups, h.shape[1] // groups
    h_rows = _channels_last(h, groups).reshape((groups, len(h) * math.prod(output), out))
    weight = np.zeros((groups, math.prod(kernel) * channels, out), np.result_type(x, h))
    for part, windows in _windows_as_rows(x, kernel, stride, padding, dilation, groups, output):
        weight += windows.mT @ h_rows[:, part]
    weight = weight.reshape((groups, *kernel, channels, out))
    return np.moveaxis(weight, (-1, -2), (1, 2)).reshape((groups * out, channels, *kernel))


# Inside, arrays are (groups, N, *spatial, channels of a group): there the entries of a window lie
# in few long runs, which are fast to copy, and a matrix product has its channels at the end. What
# comes out is a view of that with the channels second; the next convolution finds them last again.


def _channels_last(x: Any, groups: int) -> Any:
    batch, channels, *size = x.shape
    return np.moveaxis(x.reshape((batch, groups, channels // groups, *size)), (1, 2), (0, -1))


def _channels_second(x: Any) -> Any:
    groups, batch, *size, channels = x.shape
    return np.moveaxis(x, (0, -1), (1, 2)).reshape((batch, groups * channels, *size))


def _weight_last(weight: Any, groups: int) -> Any:
    """A weight (O, C/groups, *kernel) as (groups, *kernel, C/groups, O/groups)."""
    out, channels, *kernel = weight.shape
    grouped = weight.reshape((groups, out // groups, channels, *kernel))
    return np.moveaxis(grouped, (1, 2), (-1, -2))


def _with_bias(y: Any, bias: Any) -> Any:
    bias = bias.reshape((-1, *(1,) * (y.ndim - 2)))
    return np.add(y, bias, out=y) if y.dtype == np.result_type(y, bias) else y + bias


# Of windows, so many bytes are copied at a time, for a matrix product to find them in the cache.
_PART = 1 << 20


def _windows_as_rows(
    x: Any,
    kernel: Lengths,
    stride: Lengths,
    padding: Margins,
    dilation: Lengths,
    groups: int,
    output: Lengths,
) -> Iterator[tuple[slice, Array]]:
    """The windows of a few images of x at a time, as the rows of matrices.

    Yields:
        ``(part, rows)``: which they are of the N * windows, and an array (groups, windows,
        kernel * channels), that the next ones will overwrite.
    """
    x = _channels_last(x, groups)
    images, size, channels = x.shape[1], x.shape[2:-1], x.shape[-1]
    count, width = math.prod(output), math.prod(kernel) * channels
    many = max(1, min(images, _PART // max(1, groups * count * width * x.itemsize)))
    padded = np.zeros((groups, many, *padded_size(size, padding), channels), x.dtype)
    room = padded[(slice(None), slice(None), *inside(size, padding))]
    # (groups, many, *output, channels, *kernel), of which the channels go last in a row.
    windows = windows_of(padded, 2, kernel, stride, dilation, output)
    windows = np.moveaxis(windows, 2 + len(output), -1)
    single = channels == 1
    if single:  # then a row's runs are short, and those of a column longer
        of_kernel = range(2 + len(output), windows.ndim)
        windows = np.moveaxis(windows, of_kernel, range(1, 1 + len(of_kernel)))
    copied = windows if windows.flags.c_contiguous else np.empty(windows.shape, x.dtype)
    shape = (width, many * count) if single else (many * count, width)
    rows = copied.reshape((groups, *shape))
    rows = rows.mT if single else rows
    for start in range(0, images, many):
        n = min(many, images - start)
        room[:, :n] = x[:, start : start + n]
        if copied is not windows:
            copied[...] = windows
        yield slice(start * count, (start + n) * count), rows[:, : n * count]


# The calls


def _check_operands(
    name: str, ndim: int, x: Any, weight: Any, bias: Any, groups: Any, transposed: bool
) -> None:
    """Raise a ShapeError unless the channels of x, the weight, the bias and the groups match."""
    check_images(name, x, ndim)
    shape = np.shape(plain(weight))
    if len(shape) != ndim + 2:
        first = "C, O / groups" if transposed else "O, C / groups"
        raise ShapeError(
            f"{name} takes a weight ({first}, *kernel) of {ndim + 2} axes, not one of shape {shape}"
        )
    channels, (rows, columns) = x.shape[1], shape[:2]
    if not isinstance(groups, int | np.integer) or groups < 1 or rows % groups or channels % groups:
        raise ShapeError(
            f"{name}: {groups!r} groups do not divide the {channels} channels of x and the {rows}"
            f" rows of the weight {shape}"
        )
    takes, gives = (rows, columns * groups) if transposed else (columns * groups, rows)
    if takes != channels:
        raise ShapeError(
            f"{name}: x {x.shape} has {channels} channels, and the weight {shape}"
            + (f" with {groups} groups" if groups > 1 else "")
            + f" takes {takes}"
        )
    if bias is not None and np.shape(plain(bias)) != (gives,):
        raise ShapeError(
            f"{name}: the weight {shape} gives {gives} channels, so the bias has shape"
            f" ({gives},), not {np.shape(plain(bias))}"
        )


def _margins(
    name: str, padding: Any, kernel: Lengths, stride: Lengths, dilation: Lengths
) -> Margins:
    """The padding that numbers, "same" or "valid" ask for."""
    if not isinstance(padding, str):
        return both_sides(per_axis(name, "padding", padding, len(kernel), 0))
    if padding not in ("same", "valid"):
        raise UnknownNameError(f"padding of {name}", padding, ["same", "valid"])
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if any(s > 1 for s in stride):
        raise OperandError(f"{name} has padding='same' for a stride of 1 only, not {stride}")
    # Where the number of zeros is odd there is one more after, as in PyTorch.
    return tuple(((e - 1) // 2, e // 2) for e in extents(kernel, dilation))


def _convolution(
    name: str,
    ndim: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    _check_operands(name, ndim, x, weight, bias, groups, transposed=False)
    stride = per_axis(name, "stride", stride, ndim, 1)
    dilation = per_axis(name, "dilation", dilation, ndim, 1)
    kernel = np.shape(plain(weight))[2:]
    margins = _margins(name, padding, kernel, stride, dilation)
    output_size(name, x.shape[2:], kernel, stride, margins, dilation)  # or an error with the name
    return convolution(x, weight, bias, stride, margins, dilation, int(groups))


@composite()
def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolution along one axis; see ``conv2d``.

    Args:
        x: ``(N, C, L)``.
        weight: ``(O, C / groups, K)``.
        bias: ``(O,)``, or None.
    """
    return _convolution("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


@composite()
def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolution of images: a weighted sum over a window around each place, for each channel.

    As everywhere in this field, the kernel is not flipped.

    Args:
        x: ``(N, C, H, W)``.
        weight: ``(O, C / groups, kH, kW)``.
        bias: ``(O,)``, or None.
        stride: how far apart windows are, a number or one per axis, as for the next two.
        padding: how many zeros to put on each side; ``"same"`` for as many as keep the size,
            ``"valid"`` for none.
        dilation: how far apart the entries of a window are.
        groups: each of so many groups of input channels is seen by its own output channels only.

    Returns:
        ``(N, O, (H + 2 padding - dilation (kH - 1) - 1) // stride + 1, ...)``.

    Raises:
        ShapeError: the channels don't match, or the kernel is larger than the padded image.
    """
    return _convolution("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


@composite()
def conv3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolution of volumes; see ``conv2d``.

    Args:
        x: ``(N, C, D, H, W)``.
        weight: ``(O, C / groups, kD, kH, kW)``.
        bias: ``(O,)``, or None.
    """
    return _convolution("conv3d", 3, x, weight, bias, stride, padding, dilation, groups)


def _convolution_transpose(
    name: str,
    ndim: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    _check_operands(name, ndim, x, weight, bias, groups, transposed=True)
    stride = per_axis(name, "stride", stride, ndim, 1)
    dilation = per_axis(name, "dilation", dilation, ndim, 1)
    padding = per_axis(name, "padding", padding, ndim, 0)
    more = per_axis(name, "output_padding", output_padding, ndim, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise OperandError(
            f"{name}: output_padding {more} must be smaller than stride {stride} or dilation"
            f" {dilation}: it tells apart the sizes that a convolution maps to one"
        )
    extent = extents(np.shape(plain(weight))[2:], dilation)
    size = tuple(
        (n - 1) * s - 2 * p + e + m
        for n, s, p, e, m in zip(x.shape[2:], stride, padding, extent, more, strict=True)
    )
    if any(n < 1 for n in size):
        raise ShapeError(f"{name}: padding {padding} leaves nothing of the result: {by(size)}")
    margins = both_sides(padding)
    return transposed_convolution(x, weight, bias, size, stride, margins, dilation, int(groups))


@composite()
def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The adjoint of ``conv1d``, of x ``(N, C, L)``; see ``conv_transpose2d``."""
    return _convolution_transpose(
        "conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


@composite()
def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The adjoint of ``conv2d`` with the same weight and options: it makes small images large.

    Args:
        x: ``(N, C, H, W)``.
        weight: ``(C, O / groups, kH, kW)``.
        bias: ``(O,)``, or None.
        stride: how far apart the entries of x are put.
        padding: how much of the result to cut off on each side.
        output_padding: how much to put on after, below ``stride`` or ``dilation``.
        groups: as for ``conv2d``.
        dilation: as for ``conv2d``.

    Returns:
        ``(N, O, (H - 1) stride - 2 padding + dilation (kH - 1) + output_padding + 1, ...)``.

    Raises:
        ShapeError: the channels don't match, or the padding cuts off everything.
    """
    return _convolution_transpose(
        "conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


@composite()
def conv_transpose3d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """The adjoint of ``conv3d``, of x ``(N, C, D, H, W)``; see ``conv_transpose2d``."""
    return _convolution_transpose(
        "conv_transpose3d", 3, x, weight, bias, stride, padding, output_padding, groups, dilation
    )
