"""Windows that slide over arrays (N, C, *spatial): where they lie, and what is in them.

Convolution and pooling share this geometry, in any number of spatial axes. ``unfold`` has the
windows as columns, and ``fold`` is its adjoint: each is the other's derivative.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_edu.errors import OperandError, ShapeError
from tinygrad_edu.ops.declare import composite, primitive

Lengths = tuple[int, ...]  # a number per spatial axis
Margins = tuple[tuple[int, int], ...]  # padding before and after, per spatial axis


# The options of a call


def per_axis(name: str, option: str, value: Any, ndim: int, least: int) -> Lengths:
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


def check_images(name: str, x: Any, ndim: int) -> None:
    """Raise a ShapeError unless x has samples, channels and so many spatial axes."""
    shape = getattr(x, "shape", None)
    if shape is None or len(shape) != ndim + 2:
        got = type(x).__name__ if shape is None else f"an array of shape {shape}"
        alone = shape is not None and len(shape) == ndim + 1
        raise ShapeError(
            f"{name} takes x ({_axes(ndim)}), not {got}"
            + ("; x[None] is a batch of one" if alone else "")
        )


def _axes(ndim: int) -> str:
    return ", ".join(("N", "C", *("D", "H", "W")[-ndim:])) if ndim > 1 else "N, C, L"


def both_sides(padding: Lengths) -> Margins:
    """As much padding after as before."""
    return tuple((p, p) for p in padding)


def by(lengths: Lengths) -> str:
    """Lengths as a message has them: 3x5."""
    return "x".join(map(str, lengths))


# Where windows lie


def extents(kernel: Lengths, dilation: Lengths) -> Lengths:
    """From the first entry of a window to its last, along each axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def output_size(
    name: str, size: Lengths, kernel: Lengths, stride: Lengths, padding: Margins, dilation: Lengths
) -> Lengths:
    """How many windows fit along each axis.

    Raises:
        ShapeError: none does; the message starts with ``name``.
    """
    padded, extent = padded_size(size, padding), extents(kernel, dilation)
    if any(e > n for e, n in zip(extent, padded, strict=True)):
        spread = f", dilated to {by(extent)}," if extent != tuple(kernel) else ""
        raise ShapeError(
            f"{name}: a kernel of {by(kernel)}{spread} does not fit into {by(size)}"
            + (f", which is {by(padded)} with padding" if padded != tuple(size) else "")
        )
    return tuple((n - e) // s + 1 for n, e, s in zip(padded, extent, stride, strict=True))


def padded_size(size: Lengths, padding: Margins) -> Lengths:
    """The spatial size with its padding."""
    return tuple(n + before + after for n, (before, after) in zip(size, padding, strict=True))


def inside(size: Lengths, padding: Margins) -> tuple[slice, ...]:
    """Where in a padded array the array itself is."""
    return tuple(slice(before, before + n) for n, (before, _) in zip(size, padding, strict=True))


def padded(x: Any, padding: Margins, value: Any = 0) -> Any:
    """x (N, C, *spatial) with so many values around it; x itself if none."""
    if not any(map(any, padding)):
        return x
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def padded_zeros(x: Any, size: Lengths, padding: Margins) -> Any:
    """Zeros of the padded size, with the samples, channels, dtype and order in memory of x."""
    return np.zeros_like(x, shape=(*x.shape[:2], *padded_size(size, padding)))


def positions(
    kernel: Lengths, stride: Lengths, dilation: Lengths, output: Lengths
) -> Iterator[tuple[slice, ...]]:
    """For each position in the kernel, row by row, the entries that the windows have there."""
    for position in np.ndindex(*kernel):
        yield tuple(
            slice(p * d, p * d + s * (n - 1) + 1, s)
            for p, d, s, n in zip(position, dilation, stride, output, strict=True)
        )


def windows_of(
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


# Windows as columns


def _unfold_rule(g: Any, y: Any, x: Any, **options: Any) -> Any:
    return columns_to_image(g, x.shape[2:], **options)


@primitive(_unfold_rule, symbol="unfold")
def image_to_columns(
    x: Any, kernel: Lengths, dilation: Lengths, padding: Margins, stride: Lengths
) -> Any:
    """``unfold``, with an option's value for every spatial axis."""
    output = output_size("unfold", x.shape[2:], kernel, stride, padding, dilation)
    windows = windows_of(padded(x, padding), 2, kernel, stride, dilation, output)
    # (N, C, *output, *kernel), of which the kernel's positions go before the windows'
    kernel_axes = range(2 + len(output), windows.ndim)
    windows = np.moveaxis(windows, kernel_axes, range(2, 2 + len(kernel)))
    return windows.reshape((len(x), x.shape[1] * math.prod(kernel), math.prod(output)))


@primitive(lambda g, y, x, size, **options: image_to_columns(g, **options), symbol="fold")
def columns_to_image(
    x: Any, size: Lengths, kernel: Lengths, dilation: Lengths, padding: Margins, stride: Lengths
) -> Any:
    """``fold``, with an option's value for every spatial axis."""
    output = output_size("fold", size, kernel, stride, padding, dilation)
    count = math.prod(kernel)
    columns = x.reshape((len(x), x.shape[1] // count, count, *output))
    y = padded_zeros(columns[:, :, 0], size, padding)
    for k, place in enumerate(positions(kernel, stride, dilation, output)):
        y[(..., *place)] += columns[:, :, k]
    return y[(..., *inside(size, padding))]


def _column_options(
    name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Lengths, Lengths, Margins, Lengths]:
    return (
        per_axis(name, "kernel_size", kernel_size, 2, 1),
        per_axis(name, "dilation", dilation, 2, 1),
        both_sides(per_axis(name, "padding", padding, 2, 0)),
        per_axis(name, "stride", stride, 2, 1),
    )


@composite()
def unfold(x: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of x ``(N, C, H, W)`` as columns: ``(N, C * kH * kW, windows)``, "im2col".

    A convolution is a product of the weight, as a matrix ``(O, C * kH * kW)``, with it.
    """
    check_images("unfold", x, 2)
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
    size = per_axis("fold", "output_size", output_size, 2, 1)
    options = _column_options("fold", kernel_size, dilation, padding, stride)
    _check_columns(x, size, *options)
    return columns_to_image(x, size, *options)


def _check_columns(
    x: Any, size: Lengths, kernel: Lengths, dilation: Lengths, padding: Margins, stride: Lengths
) -> None:
    windows = math.prod(output_size("fold", size, kernel, stride, padding, dilation))
    count = math.prod(kernel)
    if x.ndim != 3 or x.shape[1] % count or x.shape[2] != windows:
        raise ShapeError(
            f"fold to {by(size)} takes x (N, C * {count}, {windows}), not one of shape {x.shape}"
        )
