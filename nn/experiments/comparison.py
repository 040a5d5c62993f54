"""Two models that differ in one thing, trained alike: what the thing is worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nn.data import Dataset
from nn.experiments.training import Progress, StepProgress, fit
from nn.module import Module
from nn.optim import AdamW
from nn.table import table


@dataclass(frozen=True)
class Curve:
    """How one model learned.

    Attributes:
        name: what it is called in a table.
        parameters: how many numbers it learns.
        train_loss: mean loss of each epoch, while the weights changed.
        validation_loss: on the held-out samples after each epoch.
        validation_accuracy: likewise, the share of right answers.
    """

    name: str
    parameters: int
    train_loss: tuple[float, ...]
    validation_loss: tuple[float, ...]
    validation_accuracy: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class Comparison:
    """The curves of two models; printing it shows them next to each other, epoch by epoch.

    Attributes:
        plain: of the model that has the thing.
        without: of the model that has not.
    """

    plain: Curve
    without: Curve

    def __str__(self) -> str:
        rows = []
        for i in range(len(self.plain.train_loss)):
            for curve in (self.plain, self.without):
                losses = curve.train_loss[i], curve.validation_loss[i]
                cells = [f"{i + 1}", curve.name, *(f"{loss:.4f}" for loss in losses)]
                rows.append([*cells, f"{curve.validation_accuracy[i]:.2%}"])
        header = ("epoch", "model", "training loss", "held-out loss", "accuracy")
        counts = f"{self.plain.parameters:,} parameters, and {self.without.parameters:,} without"
        return f"{table(header, rows, words=2)}\n{counts}"

    __repr__ = __str__


def compare(
    models: Sequence[tuple[str, Module]],
    train: Dataset,
    validation: Dataset,
    epochs: int,
    lr: float,
    batch_size: int,
    seed: int,
    progress: Progress | None,
) -> Comparison:
    """Train two named models alike, by AdamW: the same samples in the same order."""
    curves = []
    for i, (name, model) in enumerate(models):
        history = fit(
            model,
            AdamW(model.parameters(), lr=lr),
            train,
            validation,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            callbacks=[StepProgress(progress, name, i, len(models))],
        )
        columns = (
            tuple(row[key] for row in history)
            for key in ("train_loss", "validation_loss", "validation_accuracy")
        )
        curves.append(Curve(name, sum(p.size for p in model.parameters()), *columns))
    return Comparison(*curves)
