"""Convolutions: the same small weights at every place; and their adjoints, which enlarge."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import init, random
from nn.checks import check_integer
from nn.errors import ConfigurationError
from nn.layers.activation import activation_function
from nn.layers.sizes import Lazy
from nn.module import Module, Parameter
from tinygrad_edu.ops.windows import Lengths, check_images, extents, per_axis

# What is around an image, by PyTorch's name for it: the mode of tg.pad.
_PADDING_MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "edge",
    "circular": "wrap",
}


class _Convolution(Module):
    """What convolutions and transposed ones, of any number of axes, have in common.

    A subclass says how many spatial axes there are, and which function of the engine it is.
    """

    _ndim: ClassVar[int]
    _function: ClassVar[Callable[..., Any]]

    def _set_options(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
    ) -> None:
        name, ndim = type(self).__name__, self._ndim
        self.groups = check_integer(f"{name}'s groups", groups)
        self.in_channels = check_integer(f"{name}'s in_channels", in_channels)
        self.out_channels = check_integer(f"{name}'s out_channels", out_channels)
        self.kernel_size = per_axis(name, "kernel_size", kernel_size, ndim, 1)
        self.stride = per_axis(name, "stride", stride, ndim, 1)
        self.dilation = per_axis(name, "dilation", dilation, ndim, 1)
        self.padding = padding
        if not isinstance(padding, str):
            self.padding = per_axis(name, "padding", padding, ndim, 0)
        if in_channels % groups or out_channels % groups:
            raise ConfigurationError(
                f"{name}: {groups} groups do not divide {in_channels} in_channels and"
                f" {out_channels} out_channels"
            )

    def _set_parameters(
        self,
        shape: Lengths,
        fan_in: int,
        fan_out: int,
        bias: bool,
        nonlinearity: str,
        dtype: DTypeLike,
        rng: np.random.Generator | None,
    ) -> None:
        activation_function(nonlinearity)
        weight = init.for_activation(nonlinearity, fan_in, fan_out, shape, random.generator(rng))
        self.weight = Parameter(weight.astype(dtype))
        self.bias = Parameter(np.zeros(self.out_channels, dtype)) if bias else None

    def _extra_repr(self) -> str:
        options = {
            "kernel_size": (self.kernel_size, None),
            "stride": (self.stride, (1,) * self._ndim),
            "padding": (self.padding, (0,) * self._ndim),
            "dilation": (self.dilation, (1,) * self._ndim),
            "groups": (self.groups, 1),
        }
        changed = [f"{k}={v!r}" for k, (v, default) in options.items() if v != default]
        return ", ".join([f"{self.in_channels} -> {self.out_channels}", *changed])


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        nonlinearity: str = "linear",
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        name = type(self).__name__
        self._set_options(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise tg.UnknownNameError(f"padding of {name}", padding, ["same", "valid"])
        if padding == "same" and any(s > 1 for s in self.stride):
            raise ConfigurationError(
                f"{name} has padding='same' for a stride of 1 only, not {self.stride}"
            )
        if padding_mode not in _PADDING_MODES:
            raise tg.UnknownNameError(f"padding_mode of {name}", padding_mode, _PADDING_MODES)
        self.padding_mode = padding_mode
        area = math.prod(self.kernel_size)
        self._set_parameters(
            (self.out_channels, self.in_channels // self.groups, *self.kernel_size),
            area * self.in_channels // self.groups,
            area * self.out_channels // self.groups,
            bias,
            nonlinearity,
            dtype,
            rng,
        )

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, ...)`` to ``(N, out_channels, ...)``."""
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = self._surrounded(x), 0
        options = self.stride, padding, self.dilation, self.groups
        return type(self)._function(x, self.weight, self.bias, *options)

    def _surrounded(self, x: Any) -> Any:
        """x with what ``padding_mode`` puts around it."""
        check_images(self._in_place(), x, self._ndim)
        if self.padding == "same":  # where the number is odd, one more comes after, as in PyTorch
            margins = [((e - 1) // 2, e // 2) for e in extents(self.kernel_size, self.dilation)]
        else:
            sides = (0,) * self._ndim if self.padding == "valid" else self.padding
            margins = [(p, p) for p in sides]
        return tg.pad(x, [(0, 0), (0, 0), *margins], _PADDING_MODES[self.padding_mode])

    def _extra_repr(self) -> str:
        around = f", padding_mode={self.padding_mode!r}" if self.padding_mode != "zeros" else ""
        return super()._extra_repr() + around


class Conv1d(_Conv):
    """Convolution along one axis, as of a signal or of text; see ``Conv2d``.

    Shapes: ``(N, in_channels, L)`` to ``(N, out_channels, M)``.
    """

    _ndim, _function = 1, tg.conv1d


class Conv2d(_Conv):
    """y[n, o, i, j] = bias[o] + Σ weight[o, c, k, l] x[n, c, i + k, j + l], over c, k and l.

    The sum over the same small window around each place of an image.

    Shapes: ``(N, in_channels, H, W)`` to ``(N, out_channels, M, L)``, where
    M = (H + 2 padding - dilation (kernel_size - 1) - 1) // stride + 1.

    Args:
        in_channels: the length of axis 1 of x.
        out_channels: the length of axis 1 of y.
        kernel_size: the size of a window, a number or one per axis, as for the next three.
        stride: how far apart windows are.
        padding: how many entries to put on each side; ``"same"`` for as many as keep the size,
            with a stride of 1, and ``"valid"`` for none.
        dilation: how far apart the entries of a window are.
        groups: each of so many groups of input channels is seen by its own output channels only;
            with one per input channel it is a depthwise convolution.
        bias: whether there is one.
        padding_mode: what those entries are: ``"zeros"``; ``"reflect"``, the image mirrored;
            ``"replicate"``, its edge; or ``"circular"``, its other end.
        nonlinearity: the activation that follows, as for ``Linear``.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        weight: ``(out_channels, in_channels / groups, *kernel_size)``.
        bias: ``(out_channels,)``, zeros at first; or None.

    Raises:
        ConfigurationError: a size is not a positive integer, or the groups don't divide the
            channels.

    >>> import nn, numpy as np
    >>> nn.Conv2d(3, 8, 3, padding="same")(np.ones((1, 3, 5, 5), np.float32)).shape
    (1, 8, 5, 5)
    """

    _ndim, _function = 2, tg.conv2d


class Conv3d(_Conv):
    """Convolution of volumes or videos; see ``Conv2d``.

    Shapes: ``(N, in_channels, D, H, W)`` to ``(N, out_channels, ...)``.
    """

    _ndim, _function = 3, tg.conv3d


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        *,
        nonlinearity: str = "linear",
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        name = type(self).__name__
        if isinstance(padding, str):
            raise ConfigurationError(f"{name} takes its padding in numbers, not {padding!r}")
        self._set_options(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.output_padding = per_axis(name, "output_padding", output_padding, self._ndim, 0)
        area = math.prod(self.kernel_size)
        self._set_parameters(
            (self.in_channels, self.out_channels // self.groups, *self.kernel_size),
            # In an entry of y so many windows meet as there are within one, stride by stride.
            max(1, area * self.in_channels // self.groups // math.prod(self.stride)),
            area * self.out_channels // self.groups,
            bias,
            nonlinearity,
            dtype,
            rng,
        )

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, ...)`` to ``(N, out_channels, ...)``."""
        return type(self)._function(
            x,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.output_padding,
            self.groups,
            self.dilation,
        )

    def _extra_repr(self) -> str:
        more = f", output_padding={self.output_padding}" if any(self.output_padding) else ""
        return super()._extra_repr() + more


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of ``Conv1d``; see ``ConvTranspose2d``.

    Shapes: ``(N, in_channels, L)`` to ``(N, out_channels, M)``.
    """

    _ndim, _function = 1, tg.conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of ``Conv2d``: each entry of x adds its multiple of a small window to y.

    It makes small images large. With ``Conv2d`` of the same weight and options and no bias,
    Σ Conv2d(a) b = Σ a ConvTranspose2d(b).

    Shapes: ``(N, in_channels, H, W)`` to ``(N, out_channels, M, L)``, where
    M = (H - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1.

    Args:
        in_channels: the length of axis 1 of x.
        out_channels: the length of axis 1 of y.
        kernel_size: the size of a window, a number or one per axis, as for the next three.
        stride: how far apart the windows are.
        padding: how much of y to cut off on each side.
        output_padding: how much to put on after, below ``stride`` or ``dilation``: several sizes
            become one in the convolution, and this tells them apart.
        groups: as for ``Conv2d``.
        bias: whether there is one.
        dilation: how far apart the entries of a window are.
        nonlinearity: the activation that follows, as for ``Linear``.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        weight: ``(in_channels, out_channels / groups, *kernel_size)``.
        bias: ``(out_channels,)``, zeros at first; or None.
    """

    _ndim, _function = 2, tg.conv_transpose2d


class ConvTranspose3d(_ConvTranspose):
    """The adjoint of ``Conv3d``; see ``ConvTranspose2d``.

    Shapes: ``(N, in_channels, D, H, W)`` to ``(N, out_channels, ...)``.
    """

    _ndim, _function = 3, tg.conv_transpose3d


class _LazyConv(Lazy):
    _ordinary: ClassVar[type[_Conv]]

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        *,
        nonlinearity: str = "linear",
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        make = partial(
            self._ordinary,
            out_channels=out_channels,
            kernel_size=kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,
            nonlinearity=nonlinearity,
            dtype=dtype,
        )
        make(groups, rng=np.random.default_rng(0))  # raises now what is wrong with the rest
        self._wait(partial(make, rng=rng), axis=1)


class LazyConv1d(_LazyConv):
    """A ``Conv1d`` that takes its ``in_channels`` from the first batch."""

    _ordinary = Conv1d


class LazyConv2d(_LazyConv):
    """A ``Conv2d`` that takes its ``in_channels`` from the first batch.

    >>> import nn, numpy as np
    >>> layer = nn.LazyConv2d(8, 3)
    >>> y = layer(np.ones((1, 3, 5, 5), np.float32))
    >>> layer
    Conv2d(3 -> 8, kernel_size=(3, 3))  weight (8, 3, 3, 3), bias (8,): 224
    """

    _ordinary = Conv2d
