"""What a Trainer tells of its progress, and early stopping, which listens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import tinygrad_edu as tg
from nn.checks import check_integer, check_number
from nn.errors import ConfigurationError

if TYPE_CHECKING:
    from nn.data import DataLoader
    from nn.training.trainer import Trainer


class Callback(Protocol):
    """What a Trainer tells. Each method does nothing until a subclass writes it.

    What has all these methods is a callback, too, without being a subclass, as ``viz.recorder``.

    What a callback remembers of a run belongs in its ``state_dict``, so that a run that is resumed
    goes on as if it had never stopped.
    """

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Before the first epoch; ``epochs`` is how many there will be at most."""
        return

    def on_backward(self, trainer: Trainer) -> None:
        """After the gradients of a step are known, before they are clipped."""
        return

    def on_step(self, trainer: Trainer) -> None:
        """After the optimizer has changed the parameters; ``trainer.scores()`` are the epoch's."""
        return

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """After an epoch, with its row of the history."""
        return

    def on_epoch_over(self, trainer: Trainer) -> None:
        """When every callback has seen to the end of the epoch: what is saved now is whole."""
        return

    def on_fit_end(self, trainer: Trainer) -> None:
        """After the last epoch, and when training fails."""
        return

    def state_dict(self) -> dict[str, Any]:
        """What is remembered: dicts and lists of numbers, strings and arrays."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Remember what ``state_dict`` returned."""
        return


class EarlyStopping(Callback):
    """Stop when a metric has not become better for a while, and give the best weights back.

    Args:
        patience: for how many epochs it may fail to become better.
        monitor: the metric's name in the history.
        min_delta: by how much it must be better to count.
        mode: ``"min"`` if it should fall, ``"max"`` if it should rise; by default what is right
            for the metric.

    Attributes:
        best: the best value so far, or None.
        best_epoch: the epoch it was reached in; 0 before the first.

    Raises:
        ConfigurationError: an option is out of range.
    """

    def __init__(
        self,
        patience: int = 10,
        monitor: str = "validation_loss",
        min_delta: float = 0.0,
        mode: str | None = None,
    ) -> None:
        check_integer("patience", patience, 1)
        check_number("min_delta", min_delta, 0, math.inf)
        if mode not in (None, "min", "max"):
            raise tg.UnknownNameError("mode of EarlyStopping", mode, ["min", "max"])
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta
        self.mode = mode
        self.best: float | None = None
        self.best_epoch = 0
        self._weights: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Forget the run before, if this is a new one."""
        if not trainer.history:
            self.best, self.best_epoch, self._weights = None, 0, None

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Keep the weights if they are the best, or count an epoch without progress."""
        if self.monitor not in row:
            raise ConfigurationError(
                f"EarlyStopping watches {self.monitor!r}, which is not in the history: it has"
                f" {', '.join(row)}. Metrics of validation need validation data in fit()."
            )
        value = row[self.monitor]
        if self._better(value, trainer):
            self.best, self.best_epoch = value, int(row["epoch"])
            self._weights = trainer.evaluated_weights()
        elif row["epoch"] - self.best_epoch >= self.patience:
            trainer.stop = True

    def _better(self, value: float, trainer: Trainer) -> bool:
        if math.isnan(value) or self.best is None:
            return not math.isnan(value)
        metric = self.monitor.partition("_")[2]
        rises = any(each.larger_is_better for each in trainer.metrics if each.name == metric)
        sign = 1 if (self.mode or ("max" if rises else "min")) == "max" else -1
        return sign * (value - self.best) > self.min_delta

    def on_fit_end(self, trainer: Trainer) -> None:
        """Give the model the best weights seen."""
        if self._weights is not None:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best value, its epoch and its weights."""
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state_dict``."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._weights = state["weights"]
