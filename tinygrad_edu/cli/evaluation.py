"""What a trained model gets right and wrong: numbers by class, and the samples it mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import nn
import viz
from nn.data import Dataset
from nn.training import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Evaluation:
    """A model's answers to some samples.

    Attributes:
        samples: what it was asked.
        scores: the loss and the metrics.
        probabilities: of each class, ``(N, classes)``; None where no single class is right.
    """

    samples: Dataset
    scores: dict[str, float]
    probabilities: Array | None

    @property
    def predicted(self) -> Array:
        """The likeliest class of every sample."""
        assert self.probabilities is not None
        return np.argmax(self.probabilities, axis=1)

    @property
    def matrix(self) -> Array:
        """How many samples of each class (row) were taken for each (column)."""
        assert self.probabilities is not None
        return nn.training.ConfusionMatrix()(self.probabilities, self.samples.targets)

    def rows(self) -> list[list[str]]:
        """Name, number of samples, precision, recall and F1 of every class, below a header."""
        matrix = self.matrix
        right, true, chosen = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
        rows = [["class", "samples", "precision", "recall", "F1"]]
        for name, hits, n, m in zip(self.samples.classes, right, true, chosen, strict=True):
            shares = (_share(hits, m), _share(hits, n), _share(2 * hits, n + m))
            rows.append([name, f"{n:,}", *shares])
        return rows


def evaluate(
    model: nn.Module,
    samples: Dataset,
    loss: Callable[[Any, Any], Any],
    metrics: Sequence[str | Metric],
) -> Evaluation:
    """Measure a model on every sample, and take its answers."""
    return answers(model, samples, nn.training.evaluate(model, samples, loss, metrics))


def answers(model: nn.Module, samples: Dataset, scores: dict[str, float]) -> Evaluation:
    """Ask a model, whose scores are known, about every sample."""
    probabilities = None
    if samples.classes and samples.targets.ndim == 1:
        logits = nn.training.predict(model, samples.inputs).astype(np.float64)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = odds / odds.sum(axis=1, keepdims=True)
    return Evaluation(samples, scores, probabilities)


def confusion_plot(found: Evaluation) -> Axes:
    """The confusion matrix as a picture."""
    return viz.plots.confusion_matrix(found.matrix, found.samples.classes)


def mistakes_plot(found: Evaluation) -> Axes | None:
    """The images that the model is wrong about; None if there are none."""
    assert found.probabilities is not None
    wrong = np.flatnonzero(found.predicted != found.samples.targets)
    if not len(wrong):
        return None
    images, targets = found.samples.batch(wrong)[:2]
    return viz.plots.misclassified(
        images, targets, found.probabilities[wrong], found.samples.classes
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"
