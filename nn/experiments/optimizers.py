"""Every optimizer with every learning rate: which go well together, and which blow up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nn import optim
from nn.errors import ConfigurationError, TrainingError
from nn.experiments.samples import Data, rows, split
from nn.experiments.training import Progress, StepProgress, fit
from nn.table import table
from nn.training import evaluate
from nn.zoo.feedforward import feedforward


class Cell(NamedTuple):
    """What one optimizer reached with one learning rate.

    Attributes:
        optimizer: its name.
        lr: the learning rate.
        accuracy: on the held-out samples, after the last epoch; nan if there was no such.
        loss: likewise.
        diverged: whether a loss or a gradient was nan or infinite on the way, which ends it; or the
            loss ended above that of the initial weights.
    """

    optimizer: str
    lr: float
    accuracy: float
    loss: float
    diverged: bool


@dataclass(frozen=True, repr=False)
class OptimizerTable:
    """What ``optimizers_by_learning_rate`` found; printing it shows accuracy and loss.

    Attributes:
        optimizers: the names, a row each.
        lrs: the learning rates, a column each.
        cells: for each optimizer a tuple with a cell for each learning rate.
        epochs: how long each was trained.
    """

    optimizers: tuple[str, ...]
    lrs: tuple[float, ...]
    cells: tuple[tuple[Cell, ...], ...]
    epochs: int

    @property
    def best(self) -> Cell | None:
        """The cell of the highest accuracy, of several that of the lowest loss; None if all
        diverged.
        """
        found = [cell for row in self.cells for cell in row if not cell.diverged]
        return max(found, key=lambda cell: (cell.accuracy, -cell.loss), default=None)

    def __str__(self) -> str:
        lines = [
            [name, *map(_told, row)] for name, row in zip(self.optimizers, self.cells, strict=True)
        ]
        header = ["optimizer", *(f"lr {lr:g}" for lr in self.lrs)]
        grid = f"held-out accuracy / loss after {self.epochs} epochs\n{table(header, lines)}"
        best = self.best
        if best is None:
            return f"{grid}\nall diverged"
        return f"{grid}\nbest: {best.optimizer} with lr {best.lr:g}"

    __repr__ = __str__


def optimizers_by_learning_rate(
    optimizers: Sequence[str] = ("sgd", "adam", "adamw"),
    lrs: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
    data: Data = "digits",
    epochs: int = 5,
    hidden: Sequence[int] = (64,),
    samples: int | None = None,
    held_out: int = 360,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> OptimizerTable:
    """Train a feed-forward network with every optimizer and learning rate, from the same weights.

    A training that diverges is a cell that says so, and the others go on.

    Args:
        optimizers: names of optimizers of ``nn.optim`` in lower case, such as ``"sgd"``.
        lrs: learning rates.
        data: the samples, or their name.
        epochs: how often each goes through the samples.
        hidden: the width of each hidden layer.
        samples: how many to learn from; None for all that are not held out.
        held_out: how many to measure on.
        batch_size: how many at a time.
        seed: of the initial weights, the samples and their order.
        progress: told of every step.

    Raises:
        UnknownNameError: there is no such optimizer.
        ConfigurationError: there is no optimizer or no learning rate, or one is out of range.

    >>> import nn
    >>> found = nn.experiments.optimizers_by_learning_rate(
    ...     ["sgd"], [0.1, 1e9], "xor", epochs=2, held_out=50
    ... )
    >>> [cell.diverged for cell in found.cells[0]]
    [False, True]
    """
    if not optimizers or not lrs:
        raise ConfigurationError("the table takes at least one optimizer and one learning rate")
    dataset = rows(data)
    train, measured = split(dataset, samples, held_out, seed)
    sizes = [dataset.inputs.shape[1], *hidden, len(dataset.classes)]
    # All are made before one is trained, so that whatever is wrong with an option is said at once.
    runs = []
    for name in optimizers:
        for lr in lrs:
            model = feedforward(sizes, rng=np.random.default_rng(seed))
            runs.append((name, lr, model, optim.create(name, model.parameters(), lr=lr)))
    cells: list[Cell] = []
    for i, (name, lr, model, optimizer) in enumerate(runs):
        before = evaluate(model, measured)["loss"]
        accuracy = loss = math.nan
        # A loss that overflows is an answer here.
        with np.errstate(all="ignore"), suppress(TrainingError):
            last = fit(
                model,
                optimizer,
                train,
                measured,
                epochs=epochs,
                batch_size=batch_size,
                seed=seed,
                callbacks=[StepProgress(progress, f"{name}, lr {lr:g}", i, len(runs))],
            )[-1]
            accuracy, loss = last["validation_accuracy"], last["validation_loss"]
        cells.append(Cell(name, lr, accuracy, loss, not loss <= before))
    n = len(lrs)
    grid = tuple(tuple(cells[i : i + n]) for i in range(0, len(cells), n))
    return OptimizerTable(tuple(optimizers), tuple(lrs), grid, epochs)


def _told(cell: Cell) -> str:
    share = "diverged" if cell.diverged else f"{cell.accuracy:.1%}"
    return f"{share} / {cell.loss:.3g}"
