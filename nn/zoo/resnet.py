"""ResNet: blocks that add to their input, so that a gradient finds its way through many layers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nn.containers import Sequential
from nn.layers.activation import ReLU
from nn.layers.convolution import Conv2d
from nn.layers.linear import Linear
from nn.layers.normalization import BatchNorm2d
from nn.layers.pooling import GlobalAvgPool
from nn.module import Module
from nn.zoo.small_images import fitted_strides, max_pool


class BasicBlock(Module):
    """y = relu(bn2(conv2(relu(bn1(conv1(x))))) + x), with 3x3 convolutions.

    Where the channels or the stride change, x is added through ``downsample``: a 1x1 convolution
    of that stride with a batch norm of its own.

    Source: He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2016, figure 2
    and option B of section 3.3.

    Args:
        in_channels: C of x ``(N, C, H, W)``.
        out_channels: C of y.
        stride: of the first convolution.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        skip: whether x is added; set it to False to see what a network without shortcuts loses.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"bias": False, "nonlinearity": "relu", "dtype": dtype, "rng": rng}
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride, padding=1, **new)
        self.bn1 = BatchNorm2d(out_channels, dtype=dtype)
        self.relu = ReLU()
        self.conv2 = Conv2d(out_channels, out_channels, 3, padding=1, **new)
        self.bn2 = BatchNorm2d(out_channels, dtype=dtype)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = Sequential(
                Conv2d(in_channels, out_channels, 1, stride, **new),
                BatchNorm2d(out_channels, dtype=dtype),
            )
        self.skip = True

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)``."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.skip:
            y = y + (x if self.downsample is None else self.downsample(x))
        return self.relu(y)

    def _extra_repr(self) -> str:
        return "" if self.skip else "skip=False"


class ResNet18(Module):
    """A convolution, eight ``BasicBlock`` in four layers, a mean over all places, a linear layer.

    The modules are named as torchvision's. For photographs there are 11,689,512 parameters.

    Source: He et al., 2016, table 1. The initial weights are He's.

    Args:
        in_channels: C of the images ``(N, C, H, W)``.
        num_classes: how many logits come out.
        image_size: H and W, at least 8; ``fitted_strides`` says what changes for small images.
            The first windows are then of 3x3, as is usual for CIFAR.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    A skip connection is removed in one line, to see what gradients do without it:

    >>> import nn
    >>> model = nn.zoo.ResNet18(num_classes=10, image_size=8)
    >>> model.layer1[0].skip = False
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"dtype": dtype, "rng": rng}
        stride, pool, *strides = fitted_strides("ResNet18", image_size, 2, 2, 2, 2, 2)
        kernel_size = 7 if stride > 1 else 3
        self.conv1 = Conv2d(
            in_channels,
            64,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            bias=False,
            nonlinearity="relu",
            **new,
        )
        self.bn1 = BatchNorm2d(64, dtype=dtype)
        self.relu = ReLU()
        self.maxpool = max_pool(3, pool, padding=1)
        self.layer1 = Sequential(BasicBlock(64, 64, **new), BasicBlock(64, 64, **new))
        self.layer2 = Sequential(
            BasicBlock(64, 128, strides[0], **new), BasicBlock(128, 128, **new)
        )
        self.layer3 = Sequential(
            BasicBlock(128, 256, strides[1], **new), BasicBlock(256, 256, **new)
        )
        self.layer4 = Sequential(
            BasicBlock(256, 512, strides[2], **new), BasicBlock(512, 512, **new)
        )
        self.avgpool = GlobalAvgPool()
        self.fc = Linear(512, num_classes, **new)

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, H, W)`` to logits ``(N, num_classes)``."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x))
