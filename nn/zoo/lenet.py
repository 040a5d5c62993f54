"""LeNet-5, the convolutional network that read cheques."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from nn.containers import Sequential
from nn.layers.activation import Identity, Tanh
from nn.layers.convolution import Conv2d
from nn.layers.flatten import Flatten
from nn.layers.linear import Linear
from nn.layers.pooling import AvgPool2d
from nn.module import Module
from nn.zoo.small_images import fitted_strides


class LeNet5(Module):
    """Twice convolution, tanh and mean of 2x2 windows; then three linear layers.

    Without the paper's peculiarities, as it is usually built today: each map of the second
    convolution sees all of the first, and the last layer is linear. It has 61,706 parameters for
    images of 28x28, or 32x32 with the paper's margins.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
    recognition, 1998, section 2.B.

    Args:
        in_channels: C of the images ``(N, C, H, W)``.
        num_classes: how many logits come out.
        image_size: H and W, at least 8; ``fitted_strides`` says what changes for small images.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    >>> import nn, numpy as np
    >>> nn.zoo.LeNet5()(np.ones((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        num_classes: int = 10,
        image_size: int = 28,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        new: dict[str, Any] = {"dtype": dtype, "rng": rng}
        tanh: dict[str, Any] = {"nonlinearity": "tanh", **new}
        # The second convolution has no padding: what it takes at the edges has to be there.
        first, second = fitted_strides("LeNet5", image_size, 2, 2, smallest_map=3)
        left = (image_size // first - 4) // second
        self.features = Sequential(
            Conv2d(in_channels, 6, 5, padding=2, **tanh),
            Tanh(),
            AvgPool2d(2) if first > 1 else Identity(),
            Conv2d(6, 16, 5, **tanh),
            Tanh(),
            AvgPool2d(2) if second > 1 else Identity(),
        )
        self.classifier = Sequential(
            Flatten(),
            Linear(16 * left * left, 120, **tanh),
            Tanh(),
            Linear(120, 84, **tanh),
            Tanh(),
            Linear(84, num_classes, **new),
        )

    def forward(self, x: Any) -> Any:
        """``(N, in_channels, image_size, image_size)`` to logits ``(N, num_classes)``."""
        return self.classifier(self.features(x))
