"""A run's history in a file, a row per epoch, for spreadsheets and for programs."""

from __future__ import annotations

import csv
import json
import math
from contextlib import suppress
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
        OutputError: the file cannot be written. Both are raised before training starts, unless the
            disk is full later.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: TextIO | None = None
        self._columns: list[str] = []

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Open the file, and write the epochs before a run was resumed."""
        if not self.path.parent.is_dir():
            raise MissingFolderError(self.path)
        try:
            self._file = self.path.open("w", newline="", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
        self._columns = []
        self._append(trainer.history, trainer.history)

    def on_epoch_over(self, trainer: Trainer) -> None:
        """Write a row: now that no callback will add to it."""
        self._append(trainer.history[-1:], trainer.history)

    def _append(self, rows: list[dict[str, float]], history: list[dict[str, float]]) -> None:
        """Write rows; or the whole history anew, if there is a column that was not there before."""
        assert self._file is not None
        before = self._columns
        self._columns = list(dict.fromkeys([*before, *(name for row in rows for name in row)]))
        changed = self._columns != before
        try:
            if changed and before:
                self._file.seek(0)
                self._file.truncate()
                rows = history
            self._write(self._file, rows, header=changed)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error

    def _write(self, file: TextIO, rows: list[dict[str, float]], header: bool) -> None:
        """Append rows, below a header if the file is empty."""
        raise TypeError(f"{type(self).__name__} has no _write(): a HistoryLog's subclass has one")

    def on_fit_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):  # of what could not be written before, and was told of then
                self._file.close()
            self._file = None


class CSVLogger(HistoryLog):
    """Write a row per epoch to a CSV file, below a header, as soon as it is known."""

    def _write(self, file: TextIO, rows: list[dict[str, float]], header: bool) -> None:
        writer = csv.DictWriter(file, self._columns)
        if header:
            writer.writeheader()
        writer.writerows(rows)


class JSONLinesLogger(HistoryLog):
    """Write a line of JSON per epoch, as soon as it is known; what is not finite is ``null``."""

    def _write(self, file: TextIO, rows: list[dict[str, float]], header: bool) -> None:
        for row in rows:
            finite = {name: x if math.isfinite(x) else None for name, x in row.items()}
            file.write(json.dumps(finite) + "\n")
