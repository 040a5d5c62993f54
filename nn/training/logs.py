"""A run's history in a file, a row per epoch, for spreadsheets and for programs."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from nn.training.callbacks import Callback
from tinygrad_edu import MissingFolderError, OutputError

if TYPE_CHECKING:
    from nn.data import DataLoader
    from nn.training.trainer import Trainer


class HistoryLog(Callback):
    """The base of logs: the file always holds the whole history; a subclass writes ``_write``.

    Args:
        path: the file; replaced if it exists. It is opened before training starts.

    Raises:
        MissingFolderError: there is no such folder.
        OutputError: the file cannot be written. Both are raised before training starts.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Open the file, and write the epochs before a run was resumed."""
        if not self.path.parent.is_dir():
            raise MissingFolderError(self.path)
        try:
            self._file = self.path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
        for i, row in enumerate(trainer.history):
            self._write(self._file, row, first=i == 0)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Write a row."""
        assert self._file is not None
        self._write(self._file, row, first=len(trainer.history) == 1)
        self._file.flush()

    def _write(self, file: TextIO, row: dict[str, float], first: bool) -> None:
        raise TypeError(f"{type(self).__name__} has no _write(): a HistoryLog's subclass has one")

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


class CSVLogger(HistoryLog):
    """Write a row per epoch to a CSV file, below a header, as soon as it is known."""

    def _write(self, file: TextIO, row: dict[str, float], first: bool) -> None:
        writer = csv.DictWriter(file, list(row))
        if first:
            writer.writeheader()
        writer.writerow(row)


class JSONLinesLogger(HistoryLog):
    """Write a line of JSON per epoch, as soon as it is known; what is not finite is ``null``."""

    def _write(self, file: TextIO, row: dict[str, float], first: bool) -> None:
        finite = {name: x if math.isfinite(x) else None for name, x in row.items()}
        file.write(json.dumps(finite) + "\n")
