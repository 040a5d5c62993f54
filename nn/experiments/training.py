"""How experiments train, how they say how far they are, and which steps of it they print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nn import random
from nn.data import DataLoader, Dataset
from nn.module import Module
from nn.optim import Optimizer
from nn.training import Callback, History, Trainer

# Told of what is being done, and which share of the whole, in [0, 1], is done.
Progress = Callable[[str, float], None]


class StepProgress(Callback):
    """Tells a ``Progress`` of every step of one training among several, of equal shares.

    Args:
        progress: what to tell; or None.
        doing: what is being trained.
        index: how many trainings went before.
        count: how many there are.
    """

    def __init__(
        self, progress: Progress | None, doing: str = "training", index: int = 0, count: int = 1
    ) -> None:
        self.progress, self.doing, self.index, self.count = progress, doing, index, count

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Count the steps there will be."""
        self._done, self._steps = 0, epochs * len(batches)

    def on_step(self, trainer: Trainer) -> None:
        """Tell how far it is."""
        self._done += 1
        if self.progress is not None:
            self.progress(self.doing, (self.index + self._done / self._steps) / self.count)


def fit(
    model: Module,
    optimizer: Optimizer,
    train: Dataset,
    validation: Dataset | None = None,
    *,
    epochs: int,
    batch_size: int,
    seed: int,
    callbacks: Sequence[Callback],
    **options: Any,
) -> History:
    """Train by cross-entropy on samples in random order; ``seed`` decides all that is random.

    Args:
        model: what to train.
        optimizer: of its parameters.
        train: the samples to learn from.
        validation: what to measure on after every epoch.
        epochs: how often to go through the samples.
        batch_size: how many at a time.
        seed: of their order and of dropout.
        callbacks: those of ``Trainer``.
        options: other options of ``Trainer``.
    """
    batches = DataLoader(train, batch_size, shuffle=True, seed=seed)
    trainer = Trainer(model, optimizer, callbacks=callbacks, **options)
    with random.seeded(seed):
        return trainer.fit(batches, validation, epochs)


def shown_steps(steps: int, most: int) -> list[int]:
    """At most so many steps of a run, from the first to the last, evenly apart.

    >>> shown_steps(101, 5)
    [0, 25, 50, 75, 100]
    """
    places = np.linspace(0, steps - 1, min(steps, most)).round().astype(int)
    return [int(step) for step in places]
