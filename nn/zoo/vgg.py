"""VGG: deep, and of nothing but 3x3 convolutions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nn.containers import Sequential
from nn.layers.activation import ReLU
from nn.layers.convolution import Conv2d
from nn.layers.dropout import Dropout
from nn.layers.flatten import Flatten
from nn.layers.linear import Linear
from nn.layers.pooling import AdaptiveAvgPool2d
from nn.module import Module
from nn.zoo.small_images import fitted_strides, max_pool

# The channels of the convolutions of each stage: column D of the paper's table 1.
_STAGES = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 512, 512),
)


class VGG16(Module):
    """Thirteen 3x3 convolutions with relu, in five stages, and three linear layers.

    A max pooling ends each stage. The modules are named as torchvision's. For photographs there are
    138,357,544 parameters, which take 553 MB, nine tenths of them in the linear layers.

    Source: Simonyan and Zisserman, Very deep convolutional networks for large-scale image
    recognition, 2015, configuration D. The initial weights are He's.

    Args:
        in_channels: C of the images ``(N, C, H, W)``.
        num_classes: how many logits come out.
        image_size: H and W, at least 8; ``fitted_strides`` says what changes for small images.
            The linear layers then see fewer places.
        dropout: the probability of dropping what a hidden linear layer gives.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        num_classes: int = 1000,
        image_size: int = 224,
        dropout: float = 0.5,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"dtype": dtype, "rng": rng}
        relu: dict[str, Any] = {"nonlinearity": "relu", **new}
        strides = fitted_strides("VGG16", image_size, *(2,) * len(_STAGES))
        left = min(7, image_size // math.prod(strides))
        features: list[Module] = []
        before = in_channels
        for stage, stride in zip(_STAGES, strides, strict=True):
            for channels in stage:
                features += [Conv2d(before, channels, 3, padding=1, **relu), ReLU()]
                before = channels
            features.append(max_pool(2, stride))
        self.features = Sequential(*features)
        self.avgpool = AdaptiveAvgPool2d(left)
        self.flatten = Flatten()
        self.classifier = Sequential(
            Linear(before * left * left, 4096, **relu),
            ReLU(),
            Dropout(dropout, rng=rng),
            Linear(4096, 4096, **relu),
            ReLU(),
            Dropout(dropout, rng=rng),
            Linear(4096, num_classes, **new),
        )

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, H, W)`` to logits ``(N, num_classes)``."""
        return self.classifier(self.flatten(self.avgpool(self.features(x))))
