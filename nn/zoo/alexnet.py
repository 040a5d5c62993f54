"""AlexNet, the network that won ImageNet in 2012 and began the deep years."""

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

# The windows of the first convolution, and the padding, by its stride.
_FIRST = {4: (11, 2), 2: (5, 2), 1: (3, 1)}


class AlexNet(Module):
    """Five convolutions with relu, three max poolings among them; then three linear layers.

    The modules are named as torchvision's. For photographs there are 61,100,840 parameters, nine
    tenths of them in the first two linear layers.

    Source: Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional
    neural networks, 2012; in the form for one device of Krizhevsky, One weird trick for
    parallelizing convolutional neural networks, 2014. The initial weights are He's.

    Args:
        in_channels: C of the images ``(N, C, H, W)``.
        num_classes: how many logits come out.
        image_size: H and W, at least 8; ``fitted_strides`` says what changes for small images.
            The first windows are then of 5x5 or 3x3, and the linear layers see fewer places.
        dropout: the probability of dropping what goes into a hidden linear layer.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    >>> import nn, numpy as np
    >>> nn.zoo.AlexNet(num_classes=10, image_size=8)(np.ones((2, 3, 8, 8), np.float32)).shape
    (2, 10)
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
        strides = fitted_strides("AlexNet", image_size, 4, 2, 2, 2)
        stride, *pools = strides
        kernel_size, padding = _FIRST[stride]
        # Windows of 3 with a stride of 2 leave out the edge.
        left = min(6, image_size // math.prod(strides) - 1)
        self.features = Sequential(
            Conv2d(in_channels, 64, kernel_size, stride, padding, **relu),
            ReLU(),
            max_pool(3, pools[0]),
            Conv2d(64, 192, 5, padding=2, **relu),
            ReLU(),
            max_pool(3, pools[1]),
            Conv2d(192, 384, 3, padding=1, **relu),
            ReLU(),
            Conv2d(384, 256, 3, padding=1, **relu),
            ReLU(),
            Conv2d(256, 256, 3, padding=1, **relu),
            ReLU(),
            max_pool(3, pools[2]),
        )
        self.avgpool = AdaptiveAvgPool2d(left)
        self.flatten = Flatten()
        self.classifier = Sequential(
            Dropout(dropout, rng=rng),
            Linear(256 * left * left, 4096, **relu),
            ReLU(),
            Dropout(dropout, rng=rng),
            Linear(4096, 4096, **relu),
            ReLU(),
            Linear(4096, num_classes, **new),
        )

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, H, W)`` to logits ``(N, num_classes)``."""
        return self.classifier(self.flatten(self.avgpool(self.features(x))))
