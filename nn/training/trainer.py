"""Trainer: the training loop, in one piece that can be read aloud."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn.data import DataLoader
from nn.errors import ConfigurationError, TrainingError
from nn.module import Module
from nn.optim import Optimizer
from nn.training.callbacks import Callback
from tinygrad_edu import Tensor

Array = np.ndarray[Any, Any]
Loss = Callable[[Any, Array], Any]

# One row per epoch: its number, the losses and accuracies, the seconds it took.
History = list[dict[str, float]]


class Trainer:
    """Trains a model of Tensors on batches of inputs and labels.

    Args:
        model: takes a batch of inputs, returns logits ``(N, classes)``.
        optimizer: changes the model's parameters.
        loss: takes logits and labels, returns a scalar.
        callbacks: told of the start and end of training, every batch and every epoch.

    Attributes:
        history: a row per epoch, of ``epoch``, ``train_loss``, ``train_accuracy``, ``seconds``
            and, with validation data, ``validation_loss`` and ``validation_accuracy``.
        stop: set it to end training after this epoch.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Loss = tg.cross_entropy,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.callbacks = list(callbacks)
        self.history: History = []
        self.stop = False

    def fit(
        self, train: DataLoader, validation: DataLoader | None = None, epochs: int = 10
    ) -> History:
        """Go through ``train`` up to ``epochs`` times; returns ``history``.

        Raises:
            ConfigurationError: ``epochs`` is not a positive integer.
            TrainingError: the loss of a batch is nan or infinite.
        """
        if not isinstance(epochs, int) or epochs < 1:
            raise ConfigurationError(f"epochs must be a positive integer, not {epochs!r}")
        self.stop = False
        self._tell("on_fit_start", train, epochs)
        try:
            for epoch in range(len(self.history) + 1, len(self.history) + epochs + 1):
                start = time.perf_counter()
                row: dict[str, float] = {"epoch": epoch, **self._train_epoch(train)}
                if validation is not None:
                    loss, share = evaluate(self.model, validation, self.loss)
                    row |= {"validation_loss": loss, "validation_accuracy": share}
                row["seconds"] = time.perf_counter() - start
                self.history.append(row)
                self._tell("on_epoch_end", row)
                if self.stop:
                    break
        finally:
            self._tell("on_fit_end")
        return self.history

    def _train_epoch(self, batches: DataLoader) -> dict[str, float]:
        self.model.train()
        seen, total_loss, correct = 0, 0.0, 0.0
        for x, y in batches:
            logits = self.model(Tensor(x))
            loss = self.loss(logits, y)
            if not math.isfinite(loss.item()):
                raise TrainingError(
                    f"the loss is {loss.item()} after {seen} samples of epoch"
                    f" {len(self.history) + 1}: try a smaller learning rate than"
                    f" {self.optimizer.lr}, and look for inf or nan in the inputs"
                )
            self.optimizer.zero_grad()
            loss.backward(retain_graph=False)
            self.optimizer.step()
            seen += len(y)
            total_loss += loss.item() * len(y)
            correct += accuracy(logits.data, y) * len(y)
            self._tell("on_batch_end", len(y), total_loss / seen, correct / seen)
        return {"train_loss": total_loss / seen, "train_accuracy": correct / seen}

    def _tell(self, event: str, *facts: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *facts)


def accuracy(logits: Array, target: Array) -> float:
    """The share of rows whose largest logit is that of the label."""
    return float(np.mean(np.argmax(logits, axis=1) == target))


def evaluate(
    model: Module, batches: DataLoader, loss: Loss = tg.cross_entropy
) -> tuple[float, float]:
    """The mean loss and the accuracy over all batches, in ``eval`` mode and without a graph."""
    was_training = model.training
    model.eval()
    seen, total_loss, correct = 0, 0.0, 0.0
    with tg.no_grad():
        for x, y in batches:
            logits = model(Tensor(x))
            seen += len(y)
            total_loss += loss(logits, y).item() * len(y)
            correct += accuracy(logits.data, y) * len(y)
    model.train(was_training)
    return total_loss / seen, correct / seen
