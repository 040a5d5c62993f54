"""Pooling: the largest entry or the mean of each window, to make images smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import tinygrad_edu as tg
from nn.errors import ConfigurationError
from nn.module import Module
from tinygrad_edu.ops.windows import per_axis


class _Pool(Module):
    """Windows of a fixed size; a subclass says along how many axes, and which function it is."""

    _ndim: ClassVar[int]
    _function: ClassVar[Callable[..., Any]]

    def _set_windows(self, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool) -> None:
        name, ndim = type(self).__name__, self._ndim
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, ndim, 1)
        self.stride = (
            self.kernel_size if stride is None else per_axis(name, "stride", stride, ndim, 1)
        )
        self.padding = per_axis(name, "padding", padding, ndim, 0)
        self.ceil_mode = ceil_mode
        if any(2 * p > k for p, k in zip(self.padding, self.kernel_size, strict=True)):
            raise ConfigurationError(
                f"{name}: padding {self.padding} is more than half of kernel_size"
                f" {self.kernel_size}, which would put windows wholly into it"
            )

    def _extra_repr(self) -> str:
        options = {
            "stride": (self.stride, self.kernel_size),
            "padding": (self.padding, (0,) * self._ndim),
            "ceil_mode": (self.ceil_mode, False),
        }
        changed = [f"{k}={v}" for k, (v, default) in options.items() if v != default]
        return ", ".join([f"kernel_size={self.kernel_size}", *changed])


class _MaxPool(_Pool):
    # PyTorch has return_indices before ceil_mode: by name only, so that neither is mistaken.
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        *,
        ceil_mode: bool = False,
    ) -> None:
        self._set_windows(kernel_size, stride, padding, ceil_mode)
        self.dilation = per_axis(type(self).__name__, "dilation", dilation, self._ndim, 1)

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)`` to ``(N, C, ...)``, with fewer entries along the last axes."""
        return type(self)._function(
            x, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )


class MaxPool1d(_MaxPool):
    """The largest entry of each window of x ``(N, C, L)``; see ``MaxPool2d``."""

    _ndim, _function = 1, tg.max_pool1d


class MaxPool2d(_MaxPool):
    """The largest entry of each window of x ``(N, C, H, W)``.

    Where entries tie the first, row by row, gets the gradient.

    Args:
        kernel_size: the size of a window, a number or one per axis, as for the next three.
        stride: how far apart windows are; by default ``kernel_size``, side by side.
        padding: how far windows reach over the edge, at most half of ``kernel_size``. What is
            there is never the largest.
        dilation: how far apart the entries of a window are.
        ceil_mode: whether a last window may reach beyond the image and its padding, where
            windows do not come out even.
    """

    _ndim, _function = 2, tg.max_pool2d


class MaxPool3d(_MaxPool):
    """The largest entry of each window of x ``(N, C, D, H, W)``; see ``MaxPool2d``."""

    _ndim, _function = 3, tg.max_pool3d


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        self._set_windows(kernel_size, stride, padding, ceil_mode)
        self.count_include_pad = count_include_pad

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)`` to ``(N, C, ...)``, with fewer entries along the last axes."""
        return type(self)._function(
            x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad
        )


class AvgPool1d(_AvgPool):
    """The mean of each window of x ``(N, C, L)``; see ``AvgPool2d``."""

    _ndim, _function = 1, tg.avg_pool1d


class AvgPool2d(_AvgPool):
    """The mean of each window of x ``(N, C, H, W)``.

    Args:
        kernel_size: the size of a window, a number or one per axis, as for the next two.
        stride: how far apart windows are; by default ``kernel_size``, side by side.
        padding: how far windows reach over the edge, at most half of ``kernel_size``.
        ceil_mode: whether a last window may reach beyond the image and its padding, where
            windows do not come out even. What lies there does not count in the mean.
        count_include_pad: whether the zeros of the padding count in the mean.
    """

    _ndim, _function = 2, tg.avg_pool2d


class AvgPool3d(_AvgPool):
    """The mean of each window of x ``(N, C, D, H, W)``; see ``AvgPool2d``."""

    _ndim, _function = 3, tg.avg_pool3d


class _AdaptivePool(Module):
    """As many windows as asked for; a subclass says along how many axes."""

    _ndim: ClassVar[int]
    _function: ClassVar[Callable[..., Any]]

    def __init__(self, output_size: Any) -> None:
        several = isinstance(output_size, tuple | list)
        sizes = tuple(output_size) if several else (output_size,) * self._ndim
        given = tuple(1 if n is None else n for n in sizes)
        per_axis(type(self).__name__, "output_size", given, self._ndim, 1)
        self.output_size = sizes

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)`` to ``(N, C, *output_size)``."""
        return type(self)._function(x, self.output_size)

    def _extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """The means of x ``(N, C, L)`` over ``output_size`` windows; see ``AdaptiveAvgPool2d``."""

    _ndim, _function = 1, tg.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptivePool):
    """The means of x ``(N, C, H, W)`` over as many windows along each axis as ``output_size`` says.

    Images of every size come out in one. The windows along an axis of length H start at ⌊i H / M⌋
    and end before ⌈(i + 1) H / M⌉.

    Args:
        output_size: M, a number or one per axis; None in its place for the length of the axis.
    """

    _ndim, _function = 2, tg.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptivePool):
    """``AdaptiveAvgPool2d`` of x ``(N, C, D, H, W)``."""

    _ndim, _function = 3, tg.adaptive_avg_pool3d


class AdaptiveMaxPool1d(_AdaptivePool):
    """``AdaptiveMaxPool2d`` of x ``(N, C, L)``."""

    _ndim, _function = 1, tg.adaptive_max_pool1d


class AdaptiveMaxPool2d(_AdaptivePool):
    """The largest entries of x ``(N, C, H, W)`` in the windows of ``AdaptiveAvgPool2d``.

    Where entries tie the first, row by row, gets the gradient.

    Args:
        output_size: as for ``AdaptiveAvgPool2d``.
    """

    _ndim, _function = 2, tg.adaptive_max_pool2d


class AdaptiveMaxPool3d(_AdaptivePool):
    """``AdaptiveMaxPool2d`` of x ``(N, C, D, H, W)``."""

    _ndim, _function = 3, tg.adaptive_max_pool3d


class GlobalAvgPool(Module):
    """The mean of each channel over all its places: what is in an image, wherever it is.

    Source: Lin, Chen and Yan, Network in network, 2013, section 3.2.

    >>> import nn, numpy as np
    >>> nn.GlobalAvgPool()(np.ones((2, 3, 5, 7))).shape
    (2, 3)
    """

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)``, with any number of spatial axes, to ``(N, C)``."""
        if len(x.shape) < 3 or not all(x.shape[2:]):
            raise tg.ShapeError(
                f"{self._in_place()} takes x (N, C, ...) with places to average over, not {x.shape}"
            )
        return tg.mean(x, tuple(range(2, len(x.shape))))
