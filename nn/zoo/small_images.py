"""How architectures that were published for large photographs fit small images: by one rule.

An image of 224x224 pixels is halved five times on the way to the last convolutions; one of 8x8
would be gone before. So the first halvings are left out: small images keep their detail.
"""

from __future__ import annotations

import math

from nn.checks import check_integer
from nn.errors import ConfigurationError
from nn.layers.activation import Identity
from nn.layers.pooling import MaxPool2d
from nn.module import Module

SMALLEST_IMAGE = 8


def fitted_strides(
    model: str, image_size: int, *strides: int, smallest_map: int = 2
) -> tuple[int, ...]:
    """The strides of an architecture's steps, first to last, for images of a size.

    As long as fewer than 2x2 places would be left at the end, the first stride above 1 is halved.
    A pooling whose stride is 1 is then left out, and the windows of the very first convolution
    shrink with its stride.

    Args:
        model: what an error calls the architecture.
        image_size: the height and width of the images, at least 8.
        strides: as published, each a power of 2.
        smallest_map: the 2 above, for an architecture that needs more.

    Raises:
        ConfigurationError: the images are smaller than 8x8.

    >>> fitted_strides("ResNet18", 224, 2, 2, 2, 2, 2)
    (2, 2, 2, 2, 2)
    >>> fitted_strides("ResNet18", 32, 2, 2, 2, 2, 2)
    (1, 2, 2, 2, 2)
    >>> fitted_strides("ConvNeXtTiny", 32, 4, 2, 2, 2)
    (2, 2, 2, 2)
    """
    if check_integer(f"{model}'s image_size", image_size) < SMALLEST_IMAGE:
        raise ConfigurationError(
            f"{model} takes images from {SMALLEST_IMAGE}x{SMALLEST_IMAGE} pixels up, not"
            f" image_size={image_size}: nn.Upsample enlarges them"
        )
    fitted = list(strides)
    while image_size // math.prod(fitted) < smallest_map and max(fitted) > 1:
        first = next(i for i, stride in enumerate(fitted) if stride > 1)
        fitted[first] //= 2
    return tuple(fitted)


def max_pool(kernel_size: int, stride: int, padding: int = 0) -> Module:
    """A max pooling, or, where its stride is 1, what leaves x as it is."""
    return MaxPool2d(kernel_size, stride, padding) if stride > 1 else Identity()
