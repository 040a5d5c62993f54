"""A convolutional network that weights its channels by squeeze and excitation, and without that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nn.experiments.comparison import Comparison, compare
from nn.experiments.samples import Data, images, split
from nn.experiments.training import Progress
from nn.layers.convolution import Conv2d
from nn.layers.squeeze_excite import SqueezeExcite
from nn.module import Module
from nn.zoo.baseline import BaselineCNN
from nn.zoo.efficientnet import EfficientNetLite0
from tinygrad_edu import UnknownNameError


def without_squeeze_excite(
    model: str = "baseline_cnn",
    data: Data = "digits",
    epochs: int = 5,
    samples: int | None = None,
    held_out: int = 360,
    lr: float = 1e-3,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Train a model with squeeze and excitation, and one without it that is else the same.

    What both have starts from the same weights, and they see the same samples in the same order.

    Args:
        model: ``"baseline_cnn"``, with a ``SqueezeExcite`` after each relu of its convolutions; or
            ``"efficientnet_lite0"``, whose blocks have the option. That one takes two hundred
            times as long for a sample, so take some 100 of them.
        data: square images, or their name.
        epochs: how often to go through them.
        samples: how many to learn from; None for all that are not held out.
        held_out: how many to measure on.
        lr: the learning rate of AdamW.
        batch_size: how many samples at a time.
        seed: of the initial weights, the samples and their order, and dropout.
        progress: told of every step.

    Raises:
        UnknownNameError: there is no such model here.
    """
    if model not in PAIRS:
        raise UnknownNameError("model with squeeze and excitation", model, PAIRS)
    dataset = images(data)
    train, measured = split(dataset, samples, held_out, seed)
    _, channels, size, _ = dataset.inputs.shape
    options = {
        "in_channels": channels,
        "num_classes": len(dataset.classes),
        "image_size": size,
    }
    with_it, without = PAIRS[model](options, seed)
    models = [("with", with_it), ("without", without)]
    return compare(models, train, measured, epochs, lr, batch_size, seed, progress)


def _baselines(options: dict[str, Any], seed: int) -> tuple[Module, Module]:
    plain, weighted = (BaselineCNN(**options, rng=np.random.default_rng(seed)) for _ in range(2))
    # From the last to the first, so that what is put in moves none of those to come.
    for i in range(len(weighted.features) - 1, -1, -1):
        convolution = weighted.features[i]
        if isinstance(convolution, Conv2d):
            block = SqueezeExcite(convolution.out_channels, rng=np.random.default_rng(seed + i))
            weighted.features.insert(i + 2, block)
    return weighted, plain


def _efficientnets(options: dict[str, Any], seed: int) -> tuple[Module, Module]:
    rng, same = np.random.default_rng(seed), np.random.default_rng(seed)
    plain = EfficientNetLite0(**options, rng=rng)
    weighted = EfficientNetLite0(**options, squeeze_excite=True, rng=same)
    weighted.load_state_dict({**weighted.state_dict(), **plain.state_dict()})
    same.bit_generator.state = rng.bit_generator.state  # dropout is alike as well
    return weighted, plain


# Of each model, what makes it with squeeze and excitation and without, from options and a seed.
PAIRS: dict[str, Callable[[dict[str, Any], int], tuple[Module, Module]]] = {
    "baseline_cnn": _baselines,
    "efficientnet_lite0": _efficientnets,
}
