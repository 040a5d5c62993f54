"""What a Trainer tells of its progress, and two that listen: early stopping and a CSV log."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nn.errors import ConfigurationError

if TYPE_CHECKING:
    from nn.data import DataLoader
    from nn.training.trainer import Trainer


class Callback:
    """The base of callbacks: each method does nothing until a subclass writes it."""

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Before the first epoch, of at most ``epochs``."""

    def on_batch_end(self, trainer: Trainer, samples: int, loss: float, accuracy: float) -> None:
        """After a batch; loss and accuracy are the means over the epoch so far."""

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """After an epoch, with its row of the history."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, and when training fails."""


class EarlyStopping(Callback):
    """Stop when a metric has not fallen for a while, and give the best weights back.

    Args:
        patience: for how many epochs it may fail to fall.
        monitor: the metric's name in the history.
        min_delta: by how much it must fall to count.

    Attributes:
        best: the lowest value so far.
        best_epoch: the epoch it was reached in; 0 before the first.
    """

    def __init__(
        self, patience: int = 10, monitor: str = "validation_loss", min_delta: float = 0.0
    ) -> None:
        if patience < 1:
            raise ConfigurationError(f"patience must be at least 1 epoch, not {patience!r}")
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta
        self.best, self.best_epoch = float("inf"), 0
        self._weights: dict[str, Any] | None = None

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Keep the weights if they are the best, or count an epoch without progress."""
        if self.monitor not in row:
            raise ConfigurationError(
                f"EarlyStopping watches {self.monitor!r}, which is not in the history: it has"
                f" {', '.join(row)}. Metrics of validation need validation data in fit()."
            )
        if row[self.monitor] < self.best - self.min_delta:
            self.best, self.best_epoch = row[self.monitor], int(row["epoch"])
            self._weights = trainer.model.state_dict()
        elif row["epoch"] - self.best_epoch >= self.patience:
            trainer.stop = True

    def on_fit_end(self, trainer: Trainer) -> None:
        """Give the model the best weights seen."""
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)


class CSVLogger(Callback):
    """Write a row per epoch to a CSV file, as soon as it is known.

    Args:
        path: the file; replaced if it exists. It is opened before training starts.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None
        self._writer: csv.DictWriter[str] | None = None

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Open the file."""
        self._file = self.path.open("w", newline="")
        self._writer = None

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Write a row, after the header if it is the first."""
        assert self._file is not None
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(row))
            self._writer.writeheader()
        self._writer.writerow(row)
        self._file.flush()

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
