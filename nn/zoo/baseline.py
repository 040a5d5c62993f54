"""A small convolutional network without anything special: what others are measured against."""

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
from nn.module import Module
from nn.zoo.small_images import fitted_strides, max_pool


class BaselineCNN(Module):
    """Twice convolution, relu and max of 2x2 windows; then two linear layers.

    Args:
        in_channels: C of the images ``(N, C, H, W)``.
        num_classes: how many logits come out.
        image_size: H and W, at least 8; ``fitted_strides`` says what changes for small images.
        dropout: the probability of dropping what goes into the last layer.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    >>> import nn, numpy as np
    >>> nn.zoo.BaselineCNN()(np.ones((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        num_classes: int = 10,
        image_size: int = 28,
        dropout: float = 0.5,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"dtype": dtype, "rng": rng}
        relu: dict[str, Any] = {"nonlinearity": "relu", **new}
        strides = fitted_strides("BaselineCNN", image_size, 2, 2)
        left = image_size // math.prod(strides)
        self.features = Sequential(
            Conv2d(in_channels, 32, 3, padding=1, **relu),
            ReLU(),
            max_pool(2, strides[0]),
            Conv2d(32, 64, 3, padding=1, **relu),
            ReLU(),
            max_pool(2, strides[1]),
        )
        self.classifier = Sequential(
            Flatten(),
            Linear(64 * left * left, 128, **relu),
            ReLU(),
            Dropout(dropout, rng=rng),
            Linear(128, num_classes, **new),
        )

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, image_size, image_size)`` to logits ``(N, num_classes)``."""
        return self.classifier(self.features(x))
