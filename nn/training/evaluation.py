"""What a model is worth: its mean loss and its metrics over a data set, and its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn.checks import check_integer
from nn.data import DataLoader, Dataset
from nn.errors import ConfigurationError
from nn.module import Module, evaluating
from nn.training.metrics import Metric, metric
from tinygrad_edu import Node, Tensor
from tinygrad_edu.graph import plain

Array = np.ndarray[Any, Any]

# From the model's output and the target to the mean loss of the samples.
Loss = Callable[[Any, Array], Any]

# How many samples go through a model at once where nothing is learned from them.
_BATCH = 256


class Scores:
    """The mean loss and the metrics of the batches so far."""

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.metrics = metrics
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self.samples, self._loss = 0, 0.0
        for each in self.metrics:
            each.reset()

    def update(self, loss: float, output: Any, target: Array) -> None:
        """Take in a batch: its mean loss, the model's output and the target."""
        self.samples += len(target)
        self._loss += loss * len(target)
        for each in self.metrics:
            each.update(output.data, target)

    def compute(self) -> dict[str, float]:
        """``loss`` and every metric by its name."""
        return {
            "loss": self._loss / self.samples,
            **{each.name: float(each.compute()) for each in self.metrics},
        }


def metrics_for(dataset: Dataset, metrics: Sequence[str | Metric] | None) -> list[Metric]:
    """The metrics that were asked for; by default accuracy, if targets are classes."""
    if metrics is None:
        metrics = ["accuracy"] if dataset.batch([0])[-1].dtype.kind in "biu" else []
    return [metric(each) for each in metrics]


def mean_loss(loss: Loss, output: Any, target: Array) -> Any:
    """``loss(output, target)``, which is a scalar.

    Raises:
        ConfigurationError: it is not.
    """
    found = loss(output, target)
    if not isinstance(found, Node) or np.shape(found.data):
        shape = f" of shape {np.shape(found.data)}" if isinstance(found, Node) else ""
        raise ConfigurationError(
            "the loss returns the mean of the batch, a Tensor of shape (), not a"
            f" {type(found).__name__}{shape}"
        )
    return found


def evaluate(
    model: Module,
    data: DataLoader | Dataset,
    loss: Loss = tg.cross_entropy,
    metrics: Sequence[str | Metric] | None = None,
) -> dict[str, float]:
    """The mean loss and the metrics over all samples, in ``eval`` mode and without a graph.

    Args:
        model: takes a batch of inputs.
        data: the samples, or a loader of them.
        loss: takes the model's output and the target, returns the mean loss.
        metrics: see ``Trainer``.

    Returns:
        ``loss``, and every metric by its name.

    >>> import nn
    >>> model = nn.Sequential(nn.Linear(2, 2))
    >>> sorted(nn.training.evaluate(model, nn.data.xor()))
    ['accuracy', 'loss']
    """
    batches = data if isinstance(data, DataLoader) else DataLoader(data, _BATCH)
    scores = Scores(metrics_for(batches.dataset, metrics))
    with tg.no_grad(), evaluating(model):
        for *inputs, target in batches:
            output = model(*map(Tensor, inputs))
            scores.update(mean_loss(loss, output, target).item(), output, target)
    return scores.compute()


def predict(model: Module, *inputs: Any, batch_size: int = _BATCH) -> Array:
    """The model's output for every sample, in ``eval`` mode and without a graph.

    Args:
        model: takes a batch of inputs.
        inputs: arrays of one length; the model gets a batch of each.
        batch_size: how many samples at a time.

    Raises:
        ConfigurationError: ``batch_size`` is not a positive integer.
        ShapeError: the inputs are not of one length.

    >>> import nn, numpy as np
    >>> nn.training.predict(nn.Linear(3, 2), np.ones((5, 3), np.float32)).shape
    (5, 2)
    """
    check_integer("batch_size", batch_size, 1)
    arrays = [np.asarray(plain(x)) for x in inputs]
    shapes = [x.shape for x in arrays]
    if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
        raise tg.ShapeError(
            "predict takes inputs with an entry per sample, not of shapes"
            f" {', '.join(map(str, shapes)) or '(none)'}"
        )
    with tg.no_grad(), evaluating(model):
        outputs = [
            model(*(Tensor(x[start : start + batch_size]) for x in arrays)).numpy()
            for start in range(0, max(len(arrays[0]), 1), batch_size)
        ]
    return np.concatenate(outputs)
