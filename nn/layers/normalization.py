"""Normalization: activations of mean 0 and variance 1, over the batch or within each sample."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn.checks import check_integer
from nn.errors import ConfigurationError
from nn.layers.sizes import Lazy
from nn.module import Module, Parameter
from tinygrad_edu.graph import plain


class _RunningStatistics(Module):
    """What keeps the mean and the variance of each channel, as seen so far in training."""

    _ndims: ClassVar[tuple[int, ...]]  # how many axes x may have
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def _set_options(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        dtype: DTypeLike,
    ) -> None:
        name = type(self).__name__
        self.num_features = check_integer(f"{name}'s num_features", num_features)
        _check_eps(name, eps)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ConfigurationError(f"{name}'s momentum is None or in [0, 1], not {momentum!r}")
        self.eps, self.momentum, self.affine = eps, momentum, affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(np.ones(self.num_features, dtype)) if affine else None
        self.bias = Parameter(np.zeros(self.num_features, dtype)) if affine else None
        if track_running_stats:
            self.register_buffer("running_mean", np.zeros(self.num_features, dtype))
            self.register_buffer("running_var", np.ones(self.num_features, dtype))
            self.register_buffer("num_batches_tracked", np.zeros((), np.int64))
        else:
            self.running_mean = self.running_var = self.num_batches_tracked = None

    def _check_input(self, x: Any) -> None:
        if len(x.shape) not in self._ndims or x.shape[1] != self.num_features:
            shapes = {2: "(N, C)", 3: "(N, C, L)", 4: "(N, C, H, W)", 5: "(N, C, D, H, W)"}
            takes = " or ".join(shapes[n] for n in self._ndims)
            raise tg.ShapeError(
                f"{self._in_place()} takes x {takes} with C = {self.num_features}, not one of shape"
                f" {tuple(x.shape)}"
            )

    def _step(self) -> float:
        """How far the running statistics move with the next batch."""
        if self.momentum is not None:
            return self.momentum
        # The mean over all batches so far: the n-th one moves it by 1/n.
        return 1 / (int(self.num_batches_tracked) + 1) if self.track_running_stats else 0.0

    def _extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum},"
            f" track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_RunningStatistics):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._set_options(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)``, kept."""
        self._check_input(x)
        y = tg.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self._step(),
            self.eps,
        )
        if self.training and self.track_running_stats:
            self.num_batches_tracked = self.num_batches_tracked + 1
        return y


class BatchNorm1d(_BatchNorm):
    """Batch normalization of x ``(N, C)`` or ``(N, C, L)``; see ``BatchNorm2d``."""

    _ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """y = (x - mean) / √(variance + eps) * weight + bias, for each channel.

    In training the mean and the variance are those of the batch ``(N, C, H, W)``, over N, H and W,
    and the running ones move towards them: running ← (1 - momentum) running + momentum batch, with
    the unbiased variance. In ``eval`` mode the running ones are used, as constants.

    Source: Ioffe and Szegedy, Batch normalization, 2015.

    Args:
        num_features: C.
        eps: what keeps a constant channel from a division by 0.
        momentum: how far the running statistics move; None for their mean over all batches.
        affine: whether there are a weight and a bias.
        track_running_stats: whether to keep running statistics; if not, those of the batch are
            used in ``eval`` mode too.
        dtype: the dtype of the parameters and of the running statistics.

    Attributes:
        weight: ``(C,)``, ones at first; or None.
        bias: ``(C,)``, zeros at first; or None.
        running_mean: ``(C,)``, a buffer, zeros at first; or None.
        running_var: ``(C,)``, a buffer, ones at first; or None.
        num_batches_tracked: how many batches they have seen, a buffer; or None.

    Raises:
        ShapeError: x has other axes or channels; or in training, one entry per channel.
    """

    _ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalization of x ``(N, C, D, H, W)``; see ``BatchNorm2d``."""

    _ndims = (5,)


class _LazyBatchNorm(Lazy):
    _ordinary: ClassVar[type[_BatchNorm]]

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        make = partial(
            self._ordinary,
            eps=eps,
            momentum=momentum,
            affine=affine,
            track_running_stats=track_running_stats,
            dtype=dtype,
        )
        make(1)  # raises now what is wrong with the options
        self._wait(make, axis=1)


class LazyBatchNorm1d(_LazyBatchNorm):
    """A ``BatchNorm1d`` that takes its ``num_features`` from the first batch."""

    _ordinary = BatchNorm1d


class LazyBatchNorm2d(_LazyBatchNorm):
    """A ``BatchNorm2d`` that takes its ``num_features`` from the first batch."""

    _ordinary = BatchNorm2d


class InstanceNorm2d(_RunningStatistics):
    """y = (x - mean) / √(variance + eps) * weight + bias, for each channel of each sample.

    Source: Ulyanov, Vedaldi and Lempitsky, Instance normalization, 2016.

    Args:
        num_features: C of x ``(N, C, H, W)``.
        eps: what keeps a constant channel from a division by 0.
        momentum: as for ``BatchNorm2d``.
        affine: whether there are a weight and a bias.
        track_running_stats: whether to keep the statistics of the channels, averaged over samples,
            and to use them in ``eval`` mode.
        dtype: the dtype of the parameters and of the running statistics.

    Attributes:
        weight, bias, running_mean, running_var, num_batches_tracked: as for ``BatchNorm2d``.

    Raises:
        ShapeError: x has other axes or channels, or one place per channel.
    """

    _ndims = (4,)

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self._set_options(num_features, eps, momentum, affine, track_running_stats, dtype)

    def forward(self, x: Any) -> Any:
        """``(N, C, H, W)``, kept."""
        self._check_input(x)
        if self.track_running_stats and not self.training:
            statistics = self.running_mean, self.running_var
            return tg.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)
        if x.shape[2] * x.shape[3] < 2:
            raise tg.ShapeError(
                f"{self._in_place()} needs more than one place per channel, not x {tuple(x.shape)}"
            )
        y = tg.group_norm(x, self.num_features, self.weight, self.bias, self.eps)
        if self.track_running_stats:
            self._track(plain(x))
        return y

    def _track(self, x: Any) -> None:
        """Move the running statistics towards those of the samples, averaged."""
        step = self._step()
        x = x.astype(np.result_type(x, np.float32))  # the squares of halves overflow
        self.running_mean += step * (x.mean((0, 2, 3)) - self.running_mean)
        self.running_var += step * (x.var((2, 3), ddof=1).mean(0) - self.running_var)
        self.num_batches_tracked = self.num_batches_tracked + 1


class GroupNorm(Module):
    """y = (x - mean) / √(variance + eps) * weight + bias, over a group of channels of each sample.

    It is the same in training and in use, and for every size of the batch. Source: Wu and He, Group
    normalization, 2018.

    Args:
        num_groups: how many groups the channels make; they divide ``num_channels``.
        num_channels: C of x ``(N, C, ...)``.
        eps: what keeps a constant group from a division by 0.
        affine: whether there are a weight and a bias.
        dtype: the dtype of the parameters.

    Attributes:
        weight: ``(C,)``, ones at first; or None.
        bias: ``(C,)``, zeros at first; or None.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.num_groups = check_integer("GroupNorm's num_groups", num_groups)
        self.num_channels = check_integer("GroupNorm's num_channels", num_channels)
        _check_eps("GroupNorm", eps)
        if num_channels % num_groups:
            raise ConfigurationError(
                f"GroupNorm: {num_groups} groups do not divide {num_channels} channels"
            )
        self.eps = eps
        self.weight = Parameter(np.ones(self.num_channels, dtype)) if affine else None
        self.bias = Parameter(np.zeros(self.num_channels, dtype)) if affine else None

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)``, kept."""
        if len(x.shape) < 2 or x.shape[1] != self.num_channels:
            raise tg.ShapeError(
                f"{self._in_place()} takes x (N, {self.num_channels}, ...), not one of shape"
                f" {tuple(x.shape)}"
            )
        return tg.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def _extra_repr(self) -> str:
        return f"{self.num_groups} groups of {self.num_channels}, eps={self.eps}"


class LayerNorm(Module):
    """y = (x - mean) / √(variance + eps) * weight + bias, over the last axes of each sample.

    Source: Ba, Kiros and Hinton, Layer normalization, 2016.

    Args:
        normalized_shape: the lengths of the axes to take mean and variance over, or of the last.
        eps: what keeps a constant sample from a division by 0.
        elementwise_affine: whether there are a weight and a bias.
        bias: whether there is a bias, where there is a weight.
        dtype: the dtype of the parameters.

    Attributes:
        weight: of the ``normalized_shape``, ones at first; or None.
        bias: of the ``normalized_shape``, zeros at first; or None.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.normalized_shape = _shape("LayerNorm", normalized_shape)
        _check_eps("LayerNorm", eps)
        self.eps = eps
        has_bias = elementwise_affine and bias
        self.weight = (
            Parameter(np.ones(self.normalized_shape, dtype)) if elementwise_affine else None
        )
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype)) if has_bias else None

    def forward(self, x: Any) -> Any:
        """``(..., *normalized_shape)``, kept."""
        return tg.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def _extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(Module):
    """y = x / √(mean(x²) + eps) * weight, over the last axes of each sample.

    Source: Zhang and Sennrich, Root mean square layer normalization, 2019.

    Args:
        normalized_shape: the lengths of the axes to take the mean over, or of the last.
        eps: what keeps a zero sample from a division by 0; by default what 1 and the next number
            of the dtype of x differ by.
        elementwise_affine: whether there is a weight.
        dtype: the dtype of the weight.

    Attributes:
        weight: of the ``normalized_shape``, ones at first; or None.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.normalized_shape = _shape("RMSNorm", normalized_shape)
        if eps is not None:
            _check_eps("RMSNorm", eps)
        self.eps = eps
        self.weight = (
            Parameter(np.ones(self.normalized_shape, dtype)) if elementwise_affine else None
        )

    def forward(self, x: Any) -> Any:
        """``(..., *normalized_shape)``, kept."""
        return tg.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def _extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


def _shape(name: str, normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    several = isinstance(normalized_shape, tuple | list)
    sizes: Any = normalized_shape if several else (normalized_shape,)
    if not sizes:
        raise ConfigurationError(f"{name}'s normalized_shape has the length of one axis or more")
    return tuple(check_integer(f"{name}'s normalized_shape", n) for n in sizes)


def _check_eps(name: str, eps: float) -> None:
    if not eps >= 0:  # negated so that a nan fails
        raise ConfigurationError(f"{name}'s eps is at least 0, not {eps!r}")
