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
    """Epochs done and time left, with the loss, every metric and samples per second.

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
        """Draw the bar: empty, or where a run that is resumed had come to."""
        for old in self._progress.task_ids:
            self._progress.remove_task(old)
        done = len(trainer.history)
        self._task = self._progress.add_task(
            "training", total=done + epochs, completed=done, status=""
        )
        kept = len(batches) * batches.batch_size if batches.drop_last else len(batches.dataset)
        self._done, self._per_epoch = done, kept
        self._start = time.perf_counter()
        self._progress.start()

    def on_step(self, trainer: Trainer) -> None:
        """Move the bar."""
        epochs = len(trainer.history) + trainer.samples / self._per_epoch
        seconds = time.perf_counter() - self._start
        scores = "  ".join(f"{name} {x:.4f}" for name, x in trainer.scores().items())
        rate = (epochs - self._done) * self._per_epoch / seconds
        self._progress.update(
            self._task, completed=epochs, status=f"{scores}  {rate:,.0f} samples/s"
        )

    def on_fit_end(self, trainer: Trainer) -> None:
        """Leave the bar as it is, or full if the Trainer was told to stop early."""
        if trainer.stop:
            self._progress.update(self._task, total=len(trainer.history))
        self._progress.stop()
