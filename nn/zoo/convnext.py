"""ConvNeXt: a ResNet brought up to date with what transformers had taught."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import init
from nn.containers import Sequential
from nn.layers.activation import GELU
from nn.layers.convolution import Conv2d
from nn.layers.dropout import DropPath
from nn.layers.linear import Linear
from nn.layers.normalization import LayerNorm
from nn.layers.pooling import GlobalAvgPool
from nn.module import Module, Parameter
from nn.zoo.small_images import fitted_strides

_DEPTHS = (3, 3, 9, 3)
_CHANNELS = (96, 192, 384, 768)
_EPS = 1e-6


class ConvNeXtBlock(Module):
    """y = x + gamma * pwconv2(gelu(pwconv1(norm(dwconv(x))))), with a factor gamma per channel.

    A 7x7 convolution for each channel alone looks around; a layer norm and two linear layers, four
    times as wide between them, work on each place alone. Gamma, the layer scale, starts so small
    that a new block changes next to nothing.

    Source: Liu et al., A ConvNet for the 2020s, 2022, figure 4; gamma: Touvron et al., Going deeper
    with image transformers, 2021, section 2.

    Args:
        channels: C of x ``(N, C, H, W)``.
        drop_path: the probability of leaving the branch out for a sample in training.
        dtype: the dtype of the parameters.
        rng: where initial weights and drop paths come from; the shared generator by default.
    """

    def __init__(
        self,
        channels: int,
        drop_path: float = 0.0,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"dtype": dtype, "rng": rng}
        self.dwconv = Conv2d(channels, channels, 7, padding=3, groups=channels, **new)
        self.norm = LayerNorm(channels, _EPS, dtype=dtype)
        self.pwconv1 = Linear(channels, 4 * channels, **new)
        self.act = GELU()
        self.pwconv2 = Linear(4 * channels, channels, **new)
        self.gamma = Parameter(np.full(channels, 1e-6, dtype))
        self.drop_path = DropPath(drop_path, rng=rng)

    def forward(self, x: Any) -> Any:
        """``(N, C, H, W)``, kept."""
        y = tg.moveaxis(self.dwconv(x), 1, -1)
        y = self.gamma * self.pwconv2(self.act(self.pwconv1(self.norm(y))))
        return x + self.drop_path(tg.moveaxis(y, -1, 1))


class ChannelNorm(LayerNorm):
    """Layer norm over the channels of each place of x ``(N, C, H, W)``."""

    def forward(self, x: Any) -> Any:
        """``(N, C, H, W)``, kept."""
        return tg.moveaxis(super().forward(tg.moveaxis(x, 1, -1)), -1, 1)


class ConvNeXtTiny(Module):
    """Four stages of 3, 3, 9 and 3 ``ConvNeXtBlock``; a mean over all places; a linear layer.

    Before each stage, a convolution of windows side by side makes the image smaller. The
    modules are named as in the paper's code. For photographs there are 28,589,128 parameters.

    Source: Liu et al., A ConvNet for the 2020s, 2022, table 9. The initial weights are normal with
    deviation 0.02, truncated, as in the paper's appendix A.

    Args:
        in_channels: C of the images ``(N, C, H, W)``.
        num_classes: how many logits come out.
        image_size: H and W, at least 8; ``fitted_strides`` says what changes for small images.
            Windows side by side are as large as their stride.
        drop_path: the probability of leaving out the last block's branch for a sample in training;
            that of the blocks before grows evenly from 0.
        dtype: the dtype of the parameters.
        rng: where initial weights and drop paths come from; the shared generator by default.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
        drop_path: float = 0.1,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"dtype": dtype, "rng": rng}
        strides = fitted_strides("ConvNeXtTiny", image_size, 4, 2, 2, 2)
        rates = iter(np.linspace(0, drop_path, sum(_DEPTHS)).tolist())
        downsample_layers: list[Sequential] = []
        stages: list[Sequential] = []
        before = in_channels
        for channels, depth, stride in zip(_CHANNELS, _DEPTHS, strides, strict=True):
            patches = Conv2d(before, channels, stride, stride, **new)
            downsample_layers.append(
                Sequential(ChannelNorm(before, _EPS, dtype=dtype), patches)
                if stages
                else Sequential(patches, ChannelNorm(channels, _EPS, dtype=dtype))
            )
            blocks = [ConvNeXtBlock(channels, next(rates), **new) for _ in range(depth)]
            stages.append(Sequential(*blocks))
            before = channels
        self.downsample_layers, self.stages = downsample_layers, stages
        self.avgpool = GlobalAvgPool()
        self.norm = LayerNorm(before, _EPS, dtype=dtype)
        self.head = Linear(before, num_classes, **new)
        for module in self.modules():
            if isinstance(module, Conv2d | Linear):
                init.trunc_normal_(module.weight, std=0.02, rng=rng)

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, H, W)`` to logits ``(N, num_classes)``."""
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        return self.head(self.norm(self.avgpool(x)))
