"""A progress bar for training, drawn by rich."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import tinygrad_edu as tg
from nn.training.callbacks import Callback

if TYPE_CHECKING:
    from nn.data import DataLoader
    from nn.training.trainer import Trainer


class ProgressBar(Callback):
    """Epochs done and time left, with loss, accuracy and samples per second.

    Args:
        console: the rich console to draw on; standard error by default.

    Raises:
        MissingExtraError: rich is not installed.
    """

    def __init__(self, console: Any = None) -> None:
        try:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )
        except ImportError as error:
            raise tg.MissingExtraError("the progress bar", "rich", "train") from error
        self._progress = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Draw the empty bar."""
        self._task = self._progress.add_task("training", total=epochs, status="")
        self._per_epoch = len(batches.dataset)
        self._samples, self._start = 0, time.perf_counter()
        self._progress.start()

    def on_batch_end(self, trainer: Trainer, samples: int, loss: float, accuracy: float) -> None:
        """Move the bar."""
        self._samples += samples
        rate = self._samples / (time.perf_counter() - self._start)
        self._progress.update(
            self._task,
            completed=self._samples / self._per_epoch,
            status=f"loss {loss:.4f}  accuracy {accuracy:6.2%}  {rate:,.0f} samples/s",
        )

    def on_fit_end(self, trainer: Trainer) -> None:
        """Leave the bar as it is, or full if the Trainer was told to stop early."""
        if trainer.stop:
            self._progress.update(self._task, total=len(trainer.history))
        self._progress.stop()
