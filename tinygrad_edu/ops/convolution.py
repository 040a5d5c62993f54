"""Convolution, pooling and resampling of arrays (N, C, *spatial), in any number of dimensions.

Three ops do all convolutions. The sum Σ g · convolution(x, w) is linear in each of x, w and g; its
derivatives by them are ``transposed_convolution``, ``correlation`` and ``convolution``, and so each
of the three has the two others as its rules. Windows and pooling come in such pairs too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError, UnknownNameError
from tinygrad_edu.graph import plain
from tinygrad_edu.ops.declare import composite, primitive
from tinygrad_edu.ops.indexing import getitem, scatter
from tinygrad_edu.ops.reduction import sum
from tinygrad_edu.ops.shape import reshape

Lengths = tuple[int, ...]  # a number per spatial axis
Margins = tuple[tuple[int, int], ...]  # padding before and after, per spatial axis


# Convolution


def _by_input(g: Any, y: Any, x: Any, weight: Any, bias: Any, **geometry: Any) -> Any:
    return transposed_convolution(g, weight, None, size=x.shape[2:], **geometry)


def _by_weight(g: Any, y: Any, x: Any, weight: Any, bias: Any, **geometry: Any) -> Any:
    return correlation(x, g, kernel=weight.shape[2:], **geometry)


def _by_bias(g: Any, y: Any, x: Any, weight: Any, bias: Any, **geometry: Any) -> Any:
    return sum(g, (0, *range(2, g.ndim)))


@primitive(_by_input, _by_weight, _by_bias)
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
    output = _output("convolution", x.shape[2:], kernel, stride, padding, dilation)
    rows = _rows_of_windows(x, kernel, stride, padding, dilation, groups, output)
    out = len(weight) // groups
    y = rows @ _weight_last(weight, groups).reshape((groups, rows.shape[-1], out))
    y = _channels_second(y.reshape((groups, len(x), *output, out)))
    return y if bias is None else _with_bias(y, bias)


def _transposed_by_weight(
    g: Any, y: Any, x: Any, weight: Any, bias: Any, size: Lengths, **geometry: Any
) -> Any:
    return correlation(g, x, kernel=weight.shape[2:], **geometry)


@primitive(
    lambda g, y, x, weight, bias, size, **geometry: convolution(g, weight, None, **geometry),
    _transposed_by_weight,
    _by_bias,
)
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
    rows = np.ascontiguousarray(_channels_last(x, groups))
    rows = rows.reshape((groups, len(x) * math.prod(output), channels))
    weight = _weight_last(weight, groups).reshape((groups, math.prod(kernel), out, channels))
    weight = np.ascontiguousarray(weight.mT)
    dtype = np.result_type(x, weight)
    y = np.zeros((groups, len(x), *_padded_size(size, padding), out), dtype)
    step = np.empty((*rows.shape[:2], out), dtype)
    step_at = step.reshape((groups, len(x), *output, out))
    for k, place in enumerate(_positions(kernel, stride, dilation, output)):
        np.matmul(rows, weight[:, k], out=step)
        y[(slice(None), slice(None), *place)] += step_at
    y = _channels_second(y[(slice(None), slice(None), *_inside(size, padding))])
    return y if bias is None else _with_bias(y, bias)


@primitive(
    lambda g, y, x, h, kernel, **geometry: transposed_convolution(
        h, g, None, size=x.shape[2:], **geometry
    ),
    lambda g, y, x, h, kernel, **geometry: convolution(x, g, None, **geometry),
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
    rows = _rows_of_windows(x, kernel, stride, padding, dilation, groups, output)
    channels, out = x.shape[1] // groups, h.shape[1] // groups
    h_rows = np.ascontiguousarray(_channels_last(h, groups))
    weight = rows.mT @ h_rows.reshape((groups, rows.shape[1], out))
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


def _rows_of_windows(
    x: Any,
    kernel: Lengths,
    stride: Lengths,
    padding: Margins,
    dilation: Lengths,
    groups: int,
    output: Lengths,
) -> Any:
    """The windows of x as the rows of matrices: (groups, N * windows, kernel * channels)."""
    x = _channels_last(x, groups)
    size = x.shape[2:-1]
    if any(map(any, padding)):
        padded = np.zeros((*x.shape[:2], *_padded_size(size, padding), x.shape[-1]), x.dtype)
        padded[(slice(None), slice(None), *_inside(size, padding))] = x
    else:
        padded = np.ascontiguousarray(x)
    windows = _windows(padded, 2, kernel, stride, dilation, output)
    # (groups, N, *output, channels, *kernel), of which the channels go last
    windows = np.moveaxis(windows, 2 + len(output), -1)
    count, width = len(x[0]) * math.prod(output), math.prod(kernel) * x.shape[-1]
    return windows.reshape((len(x), count, width))


# Where windows lie


def _output(
    name: str, size: Lengths, kernel: Lengths, stride: Lengths, padding: Margins, dilation: Lengths
) -> Lengths:
    """How many windows fit along each axis."""
    padded = _padded_size(size, padding)
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if any(e > n for e, n in zip(extent, padded, strict=True)):
        spread = f", dilated to {_by(extent)}," if extent != tuple(kernel) else ""
        raise ShapeError(
            f"{name}: a kernel of {_by(kernel)}{spread} does not fit into {_by(size)}"
            + (f", which is {_by(padded)} with padding" if padded != tuple(size) else "")
        )
    return tuple((n - e) // s + 1 for n, e, s in zip(padded, extent, stride, strict=True))


def _by(lengths: Lengths) -> str:
    return "x".join(map(str, lengths))


def _padded_size(size: Lengths, padding: Margins) -> Lengths:
    return tuple(n + before + after for n, (before, after) in zip(size, padding, strict=True))


def _inside(size: Lengths, padding: Margins) -> tuple[slice, ...]:
    """Where in a padded array the array itself is."""
    return tuple(slice(before, before + n) for n, (before, _) in zip(size, padding, strict=True))


def _padded(x: Any, padding: Margins, value: Any = 0) -> Any:
    if not any(map(any, padding)):
        return x
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def _zeros(x: Any, size: Lengths, padding: Margins) -> Any:
    """Zeros of the padded size, with the samples, channels, dtype and order in memory of x."""
    return np.zeros_like(x, shape=(*x.shape[:2], *_padded_size(size, padding)))


def _positions(
    kernel: Lengths, stride: Lengths, dilation: Lengths, output: Lengths
) -> Iterator[tuple[slice, ...]]:
    """For each position in the kernel, row by row, the entries that the windows have there."""
    for position in np.ndindex(*kernel):
        yield tuple(
            slice(p * d, p * d + s * (n - 1) + 1, s)
            for p, d, s, n in zip(position, dilation, stride, output, strict=True)
        )


def _windows(
    x: Any, first: int, kernel: Lengths, stride: Lengths, dilation: Lengths, output: Lengths
) -> Any:
    """A view of x with its spatial axes, from ``first``, as those of the windows, and at the end
    those of the kernel."""
    last = first + len(kernel)
    across = x.strides[first:last]
    return np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:first], *output, *x.shape[last:], *kernel),
        (
            *x.strides[:first],
            *(step * s for step, s in zip(across, stride, strict=True)),
            *x.strides[last:],
            *(step * d for step, d in zip(across, dilation, strict=True)),
        ),
        writeable=False,
    )


# The options of a call


def _per_axis(name: str, option: str, value: Any, ndim: int, least: int) -> Lengths:
    """A number per spatial axis, given one for each or one for all."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * ndim
    if len(numbers) != ndim or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= least for n in numbers
    ):
        raise OperandError(
            f"{name} takes {option}= as one whole number or {ndim}, each at least {least},"
            f" not {value!r}"
        )
    return tuple(int(n) for n in numbers)


def _check_images(name: str, x: Any, ndim: int) -> None:
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != ndim + 2:
        got = type(x).__name__ if shape is None else f"an array of shape {shape}"
        raise ShapeError(f"{name} takes x ({_axes(ndim)}), not {got}")


def _axes(ndim: int) -> str:
    return ", ".join(("N", "C", *("D", "H", "W")[-ndim:])) if ndim > 1 else "N, C, L"


def _check_channels(
    name: str, x: Any, weight: Any, bias: Any, groups: int, transposed: bool
) -> None:
    channels, (rows, columns) = x.shape[1], weight.shape[:2]
    if not isinstance(groups, int | np.integer) or groups < 1 or rows % groups or channels % groups:
        raise ShapeError(
            f"{name}: {groups!r} groups do not divide the {channels} channels of x and the {rows}"
            f" rows of the weight {weight.shape}"
        )
    takes = rows if transposed else columns * groups
    if takes != channels:
        raise ShapeError(
            f"{name}: x {x.shape} has {channels} channels, and the weight {weight.shape}"
            + (f" with {groups} groups" if groups > 1 else "")
            + f" takes {takes}"
        )
    gives = columns * groups if transposed else rows
    if bias is not None and np.shape(plain(bias)) != (gives,):
        raise ShapeError(
            f"{name}: the weight {weight.shape} gives {gives} channels, so the bias has shape"
            f" ({gives},), not {np.shape(plain(bias))}"
        )


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
    _check_images(name, x, ndim)
    if len(weight.shape) != ndim + 2:
        raise ShapeError(
            f"{name} takes a weight (O, C / groups, *kernel) of {ndim + 2} axes, not one of shape"
            f" {weight.shape}"
        )
    _check_channels(name, x, weight, bias, groups, transposed=False)
    stride = _per_axis(name, "stride", stride, ndim, 1)
    dilation = _per_axis(name, "dilation", dilation, ndim, 1)
    margins: Margins
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise UnknownNameError(f"padding of {name}", padding, ["same", "valid"])
        if padding == "same" and any(s > 1 for s in stride):
            raise OperandError(f"{name} has padding='same' for a stride of 1 only, not {stride}")
        extra = [
            d * (k - 1) if padding == "same" else 0
            for k, d in zip(weight.shape[2:], dilation, strict=True)
        ]
        margins = tuple((n // 2, n - n // 2) for n in extra)
    else:
        margins = tuple((p, p) for p in _per_axis(name, "padding", padding, ndim, 0))
    _output(name, x.shape[2:], weight.shape[2:], stride, margins, dilation)
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
    _check_images(name, x, ndim)
    if len(weight.shape) != ndim + 2:
        raise ShapeError(
            f"{name} takes a weight (C, O / groups, *kernel) of {ndim + 2} axes, not one of shape"
            f" {weight.shape}"
        )
    _check_channels(name, x, weight, bias, groups, transposed=True)
    stride = _per_axis(name, "stride", stride, ndim, 1)
    dilation = _per_axis(name, "dilation", dilation, ndim, 1)
    padding = _per_axis(name, "padding", padding, ndim, 0)
    more = _per_axis(name, "output_padding", output_padding, ndim, 0)
    if any(m >= max(s, d) for m, s, d in zip(more, stride, dilation, strict=True)):
        raise OperandError(
            f"{name}: output_padding {more} must be smaller than stride {stride} or dilation"
            f" {dilation}: it tells apart the sizes that a convolution maps to one"
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + m + 1
        for n, s, p, d, k, m in zip(
            x.shape[2:], stride, padding, dilation, weight.shape[2:], more, strict=True
        )
    )
    if any(n < 1 for n in size):
        raise ShapeError(f"{name}: padding {padding} leaves nothing of the result: {_by(size)}")
    margins = tuple((p, p) for p in padding)
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


# Pooling


def _first_largest(
    y: Any, x: Any, kernel: Lengths, stride: Lengths, padding: Margins, dilation: Lengths
) -> Any:
    """Where in x, flattened, the largest entry of each window is: the first of those that tie."""
    size, output = x.shape[2:], y.shape[2:]
    entries, nans = _padded(x, padding, _lowest(x.dtype)), y != y
    index = np.zeros_like(y, np.intp)
    positions = zip(np.ndindex(*kernel), _positions(kernel, stride, dilation, output), strict=True)
    for position, place in reversed(list(positions)):
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


def _pool_rule(g: Any, y: Any, x: Any, **geometry: Any) -> Any:
    # The largest entry gets the gradient; of those that tie the first, row by row.
    index = _first_largest(plain(y), plain(x), **geometry).reshape(-1)
    return scatter(g.reshape((-1,)), (math.prod(x.shape),), index).reshape(x.shape)


@primitive(_pool_rule)
def max_pool(x: Any, kernel: Lengths, stride: Lengths, padding: Margins, dilation: Lengths) -> Any:
    """``max_pool1d`` and ``max_pool2d``, with an option's value for every spatial axis."""
    output = _output("max_pool", x.shape[2:], kernel, stride, padding, dilation)
    x = _padded(x, padding, _lowest(x.dtype))
    first, *places = _positions(kernel, stride, dilation, output)
    y = x[(..., *first)].copy(order="K")
    for place in places:
        np.maximum(y, x[(..., *place)], out=y)
    return y


def _sum_rule(g: Any, y: Any, x: Any, **options: Any) -> Any:
    return spread_over_windows(g, x.shape[2:], **options)


@primitive(_sum_rule, symbol="Σ windows")
def sum_windows(x: Any, kernel: Lengths, stride: Lengths, padding: Margins) -> Any:
    """The sum over each window of x."""
    output = _output("avg_pool", x.shape[2:], kernel, stride, padding, (1,) * len(kernel))
    x = _padded(x, padding)
    first, *places = _positions(kernel, stride, (1,) * len(kernel), output)
    y = x[(..., *first)].copy(order="K")
    for place in places:
        y += x[(..., *place)]
    return y


@primitive(lambda g, y, x, size, **options: sum_windows(g, **options))
def spread_over_windows(
    x: Any, size: Lengths, kernel: Lengths, stride: Lengths, padding: Margins
) -> Any:
    """Zeros of a spatial ``size``, to which each entry of x adds all over its window."""
    y = _zeros(x, size, padding)
    for place in _positions(kernel, stride, (1,) * len(kernel), x.shape[2:]):
        y[(..., *place)] += x
    return y[(..., *_inside(size, padding))]


def _pool_geometry(
    name: str, ndim: int, x: Any, kernel_size: Any, stride: Any, padding: Any
) -> tuple[Lengths, Lengths, Margins]:
    _check_images(name, x, ndim)
    kernel = _per_axis(name, "kernel_size", kernel_size, ndim, 1)
    stride = kernel if stride is None else _per_axis(name, "stride", stride, ndim, 1)
    padding = _per_axis(name, "padding", padding, ndim, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise OperandError(
            f"{name}: padding {padding} is more than half of the kernel {kernel}, which would put"
            " windows wholly into it"
        )
    return kernel, stride, tuple((p, p) for p in padding)


def _max_pool(
    name: str, ndim: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> Any:
    kernel, stride, margins = _pool_geometry(name, ndim, x, kernel_size, stride, padding)
    dilation = _per_axis(name, "dilation", dilation, ndim, 1)
    _output(name, x.shape[2:], kernel, stride, margins, dilation)
    return max_pool(x, kernel, stride, margins, dilation)


@composite()
def max_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Any:
    """The largest entry of each window of x ``(N, C, L)``; see ``max_pool2d``."""
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation)


@composite()
def max_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Any:
    """The largest entry of each window of x ``(N, C, H, W)``.

    Where entries tie the first, row by row, gets the gradient.

    Args:
        kernel_size: the size of a window, a number or one per axis, as for the others.
        stride: how far apart windows are; by default ``kernel_size``, side by side.
        padding: how far windows reach over the edge, at most half of ``kernel_size``. What is
            there is never the largest.
        dilation: how far apart the entries of a window are.

    Raises:
        ShapeError: a window is larger than the padded image.
    """
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation)


def _avg_pool(
    name: str,
    ndim: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    count_include_pad: bool,
) -> Any:
    kernel, stride, margins = _pool_geometry(name, ndim, x, kernel_size, stride, padding)
    _output(name, x.shape[2:], kernel, stride, margins, (1,) * ndim)
    total = sum_windows(x, kernel, stride, margins)
    if count_include_pad or not any(map(any, margins)):
        return total / math.prod(kernel)
    dtype = x.dtype if x.dtype.kind == "f" else np.float64
    return total / sum_windows(np.ones((1, 1, *x.shape[2:]), dtype), kernel, stride, margins)


@composite()
def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of x ``(N, C, L)``; see ``avg_pool2d``."""
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, count_include_pad)


@composite()
def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of x ``(N, C, H, W)``.

    Args:
        kernel_size: the size of a window, a number or one per axis, as for the others.
        stride: how far apart windows are; by default ``kernel_size``, side by side.
        padding: how far windows reach over the edge, at most half of ``kernel_size``.
        count_include_pad: whether the zeros beyond the edge count in the mean.

    Raises:
        ShapeError: a window is larger than the padded image.
    """
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, count_include_pad)


def _adaptive_bounds(name: str, x: Any, output_size: Any) -> list[list[tuple[int, int]]]:
    """For each spatial axis, where its windows start and stop: as equal as whole numbers allow."""
    _check_images(name, x, 2)
    output = _per_axis(name, "output_size", output_size, 2, 1)
    if not all(x.shape[2:]):
        raise ShapeError(f"{name} needs images that are not empty, not {x.shape}")
    return [
        [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        for n, m in zip(x.shape[2:], output, strict=True)
    ]


@composite()
def adaptive_avg_pool2d(x: Any, output_size: Any) -> Any:
    """The means of x ``(N, C, H, W)`` over as many windows along each axis as ``output_size`` says.

    The windows along an axis of length H start at ⌊i H / M⌋ and end before ⌈(i + 1) H / M⌉. With
    ``output_size=1`` it is the mean of each channel.
    """
    for axis, bounds in enumerate(_adaptive_bounds("adaptive_avg_pool2d", x, output_size), 2):
        counts = [stop - start for start, stop in bounds]
        # Windows shorter than the longest repeat their last entry, with weight 0.
        entries = [[min(start + k, stop - 1) for k in range(max(counts))] for start, stop in bounds]
        weights = [[1 / n if k < n else 0.0 for k in range(max(counts))] for n in counts]
        after = (1,) * (x.ndim - 1 - axis)
        dtype = x.dtype if x.dtype.kind == "f" else np.float64
        weight = np.array(weights, dtype).reshape((len(bounds), max(counts), *after))
        x = sum(getitem(x, (*(slice(None),) * axis, np.array(entries))) * weight, axis + 1)
    return x


@composite()
def adaptive_max_pool2d(x: Any, output_size: Any) -> Any:
    """The largest entries of x ``(N, C, H, W)`` in the windows of ``adaptive_avg_pool2d``.

    Where entries tie the first, row by row, gets the gradient.
    """
    rows, columns = _adaptive_bounds("adaptive_max_pool2d", x, output_size)
    data, (batch, channels, _, width) = plain(x), x.shape
    index = np.empty((batch, channels, len(rows), len(columns)), np.intp)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            window = data[:, :, top:bottom, left:right].reshape((batch, channels, -1))
            down, across = np.divmod(window.argmax(-1), right - left)
            index[:, :, i, j] = (top + down) * width + left + across
    n, c = np.ogrid[:batch, :channels]
    flat = reshape(x, (batch, channels, x.shape[2] * width))
    return getitem(flat, (n[..., None, None], c[..., None, None], index))


# Windows as columns


def _unfold_rule(g: Any, y: Any, x: Any, **options: Any) -> Any:
    return columns_to_image(g, x.shape[2:], **options)


@primitive(_unfold_rule, symbol="unfold")
def image_to_columns(
    x: Any, kernel: Lengths, dilation: Lengths, padding: Margins, stride: Lengths
) -> Any:
    """``unfold``, with an option's value for every spatial axis."""
    output = _output("unfold", x.shape[2:], kernel, stride, padding, dilation)
    x = _padded(x, padding)
    windows = _windows(x, 2, kernel, stride, dilation, output)
    # (N, C, *output, *kernel), of which the kernel's positions go before the windows'
    kernel_axes = range(2 + len(output), windows.ndim)
    windows = np.moveaxis(windows, kernel_axes, range(2, 2 + len(kernel)))
    return windows.reshape((len(x), x.shape[1] * math.prod(kernel), math.prod(output)))


@primitive(lambda g, y, x, size, **options: image_to_columns(g, **options), symbol="fold")
def columns_to_image(
    x: Any, size: Lengths, kernel: Lengths, dilation: Lengths, padding: Margins, stride: Lengths
) -> Any:
    """``fold``, with an option's value for every spatial axis."""
    output = _output("fold", size, kernel, stride, padding, dilation)
    count = math.prod(kernel)
    columns = x.reshape((len(x), x.shape[1] // count, count, *output))
    y = _zeros(columns[:, :, 0], size, padding)
    for k, place in enumerate(_positions(kernel, stride, dilation, output)):
        y[(..., *place)] += columns[:, :, k]
    return y[(..., *_inside(size, padding))]


def _column_options(
    name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Lengths, Lengths, Margins, Lengths]:
    return (
        _per_axis(name, "kernel_size", kernel_size, 2, 1),
        _per_axis(name, "dilation", dilation, 2, 1),
        tuple((p, p) for p in _per_axis(name, "padding", padding, 2, 0)),
        _per_axis(name, "stride", stride, 2, 1),
    )


@composite()
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of x ``(N, C, H, W)`` as columns: ``(N, C * kH * kW, windows)``, "im2col".

    A convolution is a product of the weight, as a matrix ``(O, C * kH * kW)``, with it.
    """
    _check_images("unfold", x, 2)
    return image_to_columns(x, *_column_options("unfold", kernel_size, dilation, padding, stride))


@composite()
def fold(
    x: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """The adjoint of ``unfold``: columns added up at their windows of an image, "col2im".

    Args:
        x: ``(N, C * kH * kW, windows)``.
        output_size: (H, W) of the image.
        kernel_size: as for ``unfold``, like all that follow.

    Raises:
        ShapeError: x has other rows or columns than those windows.
    """
    size = _per_axis("fold", "output_size", output_size, 2, 1)
    kernel, dilation, margins, stride = _column_options(
        "fold", kernel_size, dilation, padding, stride
    )
    windows = math.prod(_output("fold", size, kernel, stride, margins, dilation))
    count = math.prod(kernel)
    if x.ndim != 3 or x.shape[1] % count or x.shape[2] != windows:
        raise ShapeError(
            f"fold to {_by(size)} takes x (N, C * {count}, {windows}), not one of shape {x.shape}"
        )
    return columns_to_image(x, size, kernel, dilation, margins, stride)


# Resampling

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


@composite()
def interpolate(x: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest") -> Any:
    """Resample x ``(N, C, *spatial)`` to another size.

    Entry i of the result stands at the place (i + ½) / scale - ½ of the input, at its edge if that
    is outside.

    Args:
        size: the new size, a number or one per axis; or else ``scale_factor``.
        scale_factor: how much larger the result is; sizes are rounded down.
        mode: ``"nearest"`` takes entry ⌊i / scale⌋; ``"linear"``, ``"bilinear"`` and
            ``"trilinear"``, for 1, 2 and 3 spatial axes, weigh the two neighbours along each axis
            by their distance.

    Raises:
        OperandError: not just one of ``size`` and ``scale_factor`` is given.
        UnknownNameError: there is no such mode for so many axes.
    """
    ndim = len(x.shape) - 2
    if ndim not in _LINEAR:
        raise ShapeError(f"interpolate takes x (N, C, *spatial), not one of shape {x.shape}")
    if mode not in ("nearest", _LINEAR[ndim]):
        raise UnknownNameError(
            f"mode of interpolate for {ndim} spatial axes", mode, ["nearest", _LINEAR[ndim]]
        )
    if (size is None) == (scale_factor is None):
        raise OperandError("interpolate takes one of size= and scale_factor=")
    if size is not None:
        target = _per_axis("interpolate", "size", size, ndim, 1)
        steps = [n / m for n, m in zip(x.shape[2:], target, strict=True)]
    else:
        factors = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor] * ndim
        if len(factors) != ndim or not all(f > 0 for f in factors):
            raise OperandError(
                f"interpolate takes scale_factor= as a positive number or {ndim} of them,"
                f" not {scale_factor!r}"
            )
        target = tuple(math.floor(n * f) for n, f in zip(x.shape[2:], factors, strict=True))
        steps = [1 / f for f in factors]
    if not all(x.shape[2:]) or not all(target):
        raise ShapeError(f"interpolate cannot make {_by(x.shape[2:])} into {_by(target)}")
    for axis, (length, step) in enumerate(zip(target, steps, strict=True), 2):
        x = _resampled(x, axis, length, step, mode == "nearest")
    return x


def _resampled(x: Any, axis: int, length: int, step: float, nearest: bool) -> Any:
    """x with one axis resampled to ``length`` entries, ``step`` old ones apart."""
    before, after, last = (slice(None),) * axis, (1,) * (x.ndim - 1 - axis), x.shape[axis] - 1
    if nearest:
        index = np.minimum(np.floor(np.arange(length) * step).astype(np.intp), last)
        return getitem(x, (*before, index))
    place = np.maximum((np.arange(length) + 0.5) * step - 0.5, 0)
    low = np.minimum(np.floor(place).astype(np.intp), last)
    dtype = x.dtype if x.dtype.kind == "f" else np.float64
    share = np.clip(place - low, 0, 1).astype(dtype).reshape((length, *after))
    high = np.minimum(low + 1, last)
    return getitem(x, (*before, low)) * (1 - share) + getitem(x, (*before, high)) * share
