"""ResNet-18 with all of its skip connections, and with one of them taken out."""

from __future__ import annotations

import numpy as np

from nn.experiments.comparison import Comparison, compare
from nn.experiments.samples import Data, images, split
from nn.experiments.training import Progress
from nn.zoo.resnet import BasicBlock, ResNet18
from tinygrad_edu import UnknownNameError


def without_skip(
    removed: str = "layer1.0",
    data: Data = "digits",
    epochs: int = 3,
    samples: int | None = 192,
    held_out: int = 100,
    lr: float = 1e-3,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Train a ResNet-18 with all skip connections and one without the skip of one block.

    Both start from the same weights and see the same samples in the same order. The defaults take
    less than a minute on a laptop, and so few samples that accuracy depends on the seed: see
    whether a difference stays with another one.

    Args:
        removed: the path of a ``BasicBlock``, ``"layer1.0"`` to ``"layer4.1"``.
        data: square images, or their name.
        epochs: how often to go through them.
        samples: how many to learn from; None for all that are not held out.
        held_out: how many to measure on.
        lr: the learning rate of AdamW.
        batch_size: how many samples at a time.
        seed: of the initial weights, the samples and their order.
        progress: told of every step.

    Raises:
        UnknownNameError: there is no block of that path.
    """
    dataset = images(data)
    train, measured = split(dataset, samples, held_out, seed)
    _, channels, size, _ = dataset.inputs.shape
    plain, without = (
        ResNet18(
            in_channels=channels,
            num_classes=len(dataset.classes),
            image_size=size,
            rng=np.random.default_rng(seed),
        )
        for _ in range(2)
    )
    blocks = {path: m for path, m in without.named_modules() if isinstance(m, BasicBlock)}
    if removed not in blocks:
        raise UnknownNameError("block with a skip connection", removed, blocks)
    blocks[removed].skip = False
    models = [("all skips", plain), (f"without that of {removed}", without)]
    return compare(models, train, measured, epochs, lr, batch_size, seed, progress)
