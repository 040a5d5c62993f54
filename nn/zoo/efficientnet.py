"""EfficientNet-Lite0: few multiplications, by convolutions of one channel each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nn.containers import Sequential
from nn.layers.activation import ReLU6
from nn.layers.convolution import Conv2d
from nn.layers.dropout import Dropout, DropPath
from nn.layers.linear import Linear
from nn.layers.normalization import BatchNorm2d
from nn.layers.pooling import GlobalAvgPool
from nn.layers.squeeze_excite import SqueezeExcite
from nn.module import Module
from nn.zoo.small_images import fitted_strides

# Of each stage: expansion, kernel size, stride of the first block, channels, blocks. Table 1.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


class InvertedResidual(Module):
    """y = x + project(squeeze_excite(depthwise(expand(x)))), wide inside and narrow outside.

    A 1x1 convolution to ``expansion`` times the channels, one of k x k for each channel alone, and
    a 1x1 convolution back, linear. x is added where shapes allow it.

    Source: Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, 2018, figure 3;
    the squeeze and excitation is that of Tan et al., MnasNet, 2019, figure 7.

    Args:
        in_channels: C of x ``(N, C, H, W)``.
        out_channels: C of y.
        kernel_size: k, an odd number.
        stride: of the middle convolution.
        expansion: 1 for no first convolution.
        squeeze_excite: whether channels are weighted, by way of a layer of in_channels / 4.
        drop_path: the probability of leaving the branch out for a sample in training.
        dtype: the dtype of the parameters.
        rng: where initial weights and drop paths come from; the shared generator by default.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        expansion: int = 6,
        *,
        squeeze_excite: bool = False,
        drop_path: float = 0.0,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"dtype": dtype, "rng": rng}
        wide = expansion * in_channels
        self.expand = _conv_bn_relu6(in_channels, wide, 1, **new) if expansion > 1 else None
        self.depthwise = _conv_bn_relu6(wide, wide, kernel_size, stride, groups=wide, **new)
        self.squeeze_excite = SqueezeExcite(wide, 4 * expansion, **new) if squeeze_excite else None
        self.project = Sequential(
            Conv2d(wide, out_channels, 1, bias=False, **new), BatchNorm2d(out_channels, dtype=dtype)
        )
        self.skip = stride == 1 and in_channels == out_channels
        self.drop_path = DropPath(drop_path, rng=rng)

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, H, W)`` to ``(N, out_channels, ⌈H / stride⌉, ⌈W / stride⌉)``."""
        y = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        y = y if self.squeeze_excite is None else self.squeeze_excite(y)
        y = self.project(y)
        return x + self.drop_path(y) if self.skip else y


class EfficientNetLite0(Module):
    """Sixteen ``InvertedResidual`` in seven stages, a mean over all places, a linear layer.

    Before the stages comes a 3x3 convolution, and after them a wide one of 1x1. There are
    4,652,008 parameters, and with ``squeeze_excite`` the 5,288,548 of EfficientNet-B0.

    Source: Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks,
    2019, table 1. Lite0 is their B0 with relu6 and without squeeze and excitation, published as
    code in 2020. The initial weights are He's.

    Args:
        in_channels: C of the images ``(N, C, H, W)``.
        num_classes: how many logits come out.
        image_size: H and W, at least 8; ``fitted_strides`` says what changes for small images.
        squeeze_excite: whether the blocks weight their channels, as B0's.
        dropout: the probability of dropping what goes into the last layer.
        drop_path: the probability of leaving out the last block's branch for a sample in training;
            that of the blocks before grows evenly from 0.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
        squeeze_excite: bool = False,
        dropout: float = 0.2,
        drop_path: float = 0.2,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"dtype": dtype, "rng": rng}
        published = [stride for _, _, stride, _, _ in _STAGES]
        first, *strides = fitted_strides("EfficientNetLite0", image_size, 2, *published)
        self.stem = _conv_bn_relu6(in_channels, 32, 3, first, **new)
        depth = sum(blocks for *_, blocks in _STAGES)
        stages: list[Sequential] = []
        before, index = 32, 0
        for stride, (expansion, kernel_size, _, channels, blocks) in zip(
            strides, _STAGES, strict=True
        ):
            stage = Sequential()
            for i in range(blocks):
                stage.append(
                    InvertedResidual(
                        before,
                        channels,
                        kernel_size,
                        stride if i == 0 else 1,
                        expansion,
                        squeeze_excite=squeeze_excite,
                        drop_path=drop_path * index / (depth - 1),
                        **new,
                    )
                )
                before, index = channels, index + 1
            stages.append(stage)
        self.stages = Sequential(*stages)
        self.head = _conv_bn_relu6(before, 1280, 1, **new)
        self.avgpool = GlobalAvgPool()
        self.dropout = Dropout(dropout, rng=rng)
        self.fc = Linear(1280, num_classes, **new)

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, H, W)`` to logits ``(N, num_classes)``."""
        x = self.head(self.stages(self.stem(x)))
        return self.fc(self.dropout(self.avgpool(x)))


def _conv_bn_relu6(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    **new: Any,
) -> Sequential:
    return Sequential(
        {
            "conv": Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding=kernel_size // 2,
                groups=groups,
                bias=False,
                nonlinearity="relu6",
                **new,
            ),
            "bn": BatchNorm2d(out_channels, dtype=new["dtype"]),
            "relu6": ReLU6(),
        }
    )
