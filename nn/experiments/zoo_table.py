"""All models of the zoo in one table: how large, how slow and how good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nn.containers import Sequential
from nn.data import Dataset
from nn.errors import ConfigurationError, TrainingError
from nn.experiments.samples import Data, images, some, split
from nn.experiments.training import Progress, StepProgress, fit
from nn.layers.flatten import Flatten
from nn.module import Module
from nn.optim import AdamW
from nn.table import table
from nn.training import evaluate
from nn.zoo.catalog import create
from nn.zoo.catalog import models as catalog
from nn.zoo.feedforward import feedforward
from tinygrad_edu import TinygradError, UnknownNameError

# How many samples each model learns from by default: so that the slow ones take about a minute on
# a laptop too. A model that is not here takes all.
_SAMPLES = {
    "alexnet": 512,
    "convnext_tiny": 96,
    "efficientnet_lite0": 256,
    "resnet18": 512,
    "vgg16": 192,
}


class ZooRow(NamedTuple):
    """One model.

    Attributes:
        model: its name.
        parameters: how many numbers it learns.
        multiply_adds: of one sample's forward pass.
        samples: how many it learned from.
        accuracy: the share of held-out samples that it gets right.
        seconds_per_epoch: of training, without measuring.
    """

    model: str
    parameters: int
    multiply_adds: int
    samples: int
    accuracy: float
    seconds_per_epoch: float


@dataclass(frozen=True, repr=False)
class ZooTable:
    """What ``zoo_table`` measured; printing it shows a row for each model.

    Attributes:
        rows: the models.
        held_out: how many samples the accuracies are of.
        epochs: how often each model went through its samples.
    """

    rows: tuple[ZooRow, ...]
    held_out: int
    epochs: int

    def __str__(self) -> str:
        header = ("model", "parameters", "multiply-adds", "samples", "accuracy", "s / epoch")
        lines = [
            (
                row.model,
                *(f"{n:,}" for n in (row.parameters, row.multiply_adds, row.samples)),
                f"{row.accuracy:.2%}",
                f"{row.seconds_per_epoch:.2f}",
            )
            for row in self.rows
        ]
        epochs = f"{self.epochs} epoch" + ("s" if self.epochs > 1 else "")
        return (
            f"{table(header, lines)}\n"
            f"after {epochs} of its samples each, on {self.held_out} held-out ones"
        )

    __repr__ = __str__


def zoo_table(
    models: Sequence[str] | None = None,
    data: Data = "digits",
    epochs: int = 1,
    samples: int | Mapping[str, int] | None = None,
    held_out: int = 100,
    lr: float = 1e-3,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> ZooTable:
    """Train every model of the zoo for images: its size, its accuracy, and seconds per epoch.

    By default the larger models learn from few samples, to take a few minutes together; what they
    reach then says how they begin, and not which is best.

    Args:
        models: names of ``nn.zoo.models()``; by default all but ``"gpt"``, which reads tokens.
        data: square images, or their name.
        epochs: how often each goes through its samples.
        samples: how many each learns from, or how many by name; by default all that are not held
            out, and fewer for the models that are slow.
        held_out: how many to measure on, the same for all.
        lr: the learning rate of AdamW.
        batch_size: how many samples at a time.
        seed: of the initial weights, the samples and their order, and dropout.
        progress: told of every step.

    Raises:
        UnknownNameError: there is no such model.
        ConfigurationError: it takes no images.
        TrainingError: one of them failed; the message names it.

    >>> import nn
    >>> row = nn.experiments.zoo_table(["lenet5"], samples=64).rows[0]
    >>> row.parameters == sum(p.size for p in nn.zoo.LeNet5(image_size=8).parameters())
    True
    """
    names = tuple(name for name in catalog() if name != "gpt") if models is None else tuple(models)
    _check(names, samples)
    dataset = images(data)
    rest, measured = split(dataset, None, held_out, seed)
    trained = [some(rest, _samples_of(name, samples, len(rest)), seed) for name in names]
    rows: list[ZooRow] = []
    for i, (name, train) in enumerate(zip(names, trained, strict=True)):
        told = StepProgress(progress, name, i, len(names))
        try:
            rows.append(_row(name, dataset, train, measured, epochs, lr, batch_size, seed, told))
        except (MemoryError, TinygradError) as error:
            what = "there is not enough memory" if isinstance(error, MemoryError) else f"{error}"
            raise TrainingError(f"{name}, model {i + 1} of {len(names)}, failed: {what}") from error
    return ZooTable(tuple(rows), held_out, epochs)


def _row(
    name: str,
    dataset: Dataset,
    train: Dataset,
    measured: Dataset,
    epochs: int,
    lr: float,
    batch_size: int,
    seed: int,
    progress: StepProgress,
) -> ZooRow:
    shape = dataset.inputs.shape[1:]
    model = _made(name, shape, len(dataset.classes), np.random.default_rng(seed))
    summary = model.summary((1, *shape))
    history = fit(
        model,
        AdamW(model.parameters(), lr=lr),
        train,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        callbacks=[progress],
    )
    return ZooRow(
        name,
        summary.parameters,
        summary.multiply_adds,
        len(train),
        evaluate(model, measured)["accuracy"],
        float(np.mean([row["seconds"] for row in history])),
    )


def _made(name: str, shape: tuple[int, ...], classes: int, rng: np.random.Generator) -> Module:
    """A model for images ``(C, H, H)``."""
    if name == "feedforward":
        return Sequential(Flatten(), feedforward([math.prod(shape), 128, classes], rng=rng))
    return create(name, in_channels=shape[0], num_classes=classes, image_size=shape[1], rng=rng)


def _samples_of(name: str, samples: int | Mapping[str, int] | None, most: int) -> int:
    """How many of at most so many samples a model learns from."""
    if isinstance(samples, int):
        return samples
    if samples is not None and name in samples:
        return samples[name]
    return min(_SAMPLES.get(name, most), most)


def _check(names: Sequence[str], samples: int | Mapping[str, int] | None) -> None:
    """Raise what is wrong before anything is trained."""
    if not names:
        raise ConfigurationError("zoo_table takes at least one model")
    for name in [*names, *(samples if isinstance(samples, Mapping) else ())]:
        if name not in catalog():
            raise UnknownNameError("model", name, catalog())
    if "gpt" in names:
        raise ConfigurationError("gpt reads tokens and not images, so it is not in the zoo's table")
