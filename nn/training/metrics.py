"""Metrics: numbers that say how good a model is, gathered batch by batch.

What is gathered over batches of any size is what the whole gives at once, and a few counts or
means are all that is kept of a batch.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from nn.checks import check_integer
from nn.errors import TrainingError
from tinygrad_edu import DTypeError, ShapeError, TargetError, UnknownNameError
from tinygrad_edu.graph import plain
from tinygrad_edu.ops.targets import check_distributions, check_labels, refuse

Array = np.ndarray[Any, Any]
Result = TypeVar("Result")


class _Accumulator(ABC, Generic[Result]):
    """What gathers something of every batch: the metrics, and the confusion matrix."""

    name: str

    def __init__(self) -> None:
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forget every batch."""

    @abstractmethod
    def update(self, output: Array, target: Array) -> None:
        """Take in a batch: what the model returned, and what was right."""

    @abstractmethod
    def compute(self) -> Result:
        """The result over all that was taken in since ``reset``."""

    def __call__(self, output: Array, target: Array) -> Result:
        """The result for these alone; what was gathered stays as it is."""
        alone = deepcopy(self)
        alone.reset()
        alone.update(output, target)
        return alone.compute()

    def _check_seen(self, seen: int) -> None:
        if not seen:
            raise TrainingError(f"{self.name} has seen no samples since it was made or reset")


class Metric(_Accumulator[float]):
    """The base of metrics; a subclass writes ``reset``, ``update`` and ``compute``.

    Attributes:
        name: what it is called in a history, after ``train_`` or ``validation_``.
        larger_is_better: whether it rises as the model gets better.

    >>> import nn, numpy as np
    >>> class Largest(nn.training.Metric):
    ...     name, larger_is_better = "largest_error", False
    ...     def reset(self):
    ...         self.largest = 0.0
    ...     def update(self, output, target):
    ...         self.largest = max(self.largest, float(np.abs(output - target).max()))
    ...     def compute(self):
    ...         return self.largest
    >>> Largest()(np.array([1.0, 2.0]), np.array([1.5, 2.0]))
    0.5
    """

    larger_is_better: bool = True


class _ShareOfHits(Metric):
    """How many of all samples are hits."""

    def reset(self) -> None:
        """Forget every batch."""
        self._hits = self._seen = 0

    def update(self, output: Array, target: Array) -> None:
        """Take in a batch."""
        hits = self._are_hits(*classified(self.name, output, target))
        self._hits += int(np.count_nonzero(hits))
        self._seen += hits.size

    def compute(self) -> float:
        """In [0, 1]."""
        self._check_seen(self._seen)
        return self._hits / self._seen

    @abstractmethod
    def _are_hits(self, scores: Array, labels: Array) -> Array:
        """Which of the samples are."""


class Accuracy(_ShareOfHits):
    """The share of samples whose largest output is that of their class.

    Outputs are logits or probabilities ``(N, C)`` and targets the numbers of classes ``(N,)``; or
    ``(N, C, ...)`` and ``(N, ...)``; or ``(N, ..., C)`` and ``(N, ...)``, as for sequences. Targets
    that are probabilities, of the shape ``(N, C, ...)`` of the outputs, stand for their largest
    class. A binary model has logits ``(N,)`` or ``(N, 1)``
    and targets 0 or 1 in either shape: it says 1 where the logit is above 0.

    Raises:
        ShapeError: the shapes are others.
        TargetError: a target is no class.
        TrainingError: an output is nan; or nothing was seen, from ``compute``.

    >>> import nn, numpy as np
    >>> accuracy = nn.training.Accuracy()
    >>> accuracy.update(np.array([[0.1, 2.0], [3.0, 0.4]]), np.array([1, 0]))
    >>> accuracy.update(np.array([[1.0, 0.0]]), np.array([1]))
    >>> round(accuracy.compute(), 3)
    0.667
    """

    name = "accuracy"

    def _are_hits(self, scores: Array, labels: Array) -> Array:
        return np.argmax(scores, axis=1) == labels


class TopK(_ShareOfHits):
    """The share of samples whose class has one of the k largest outputs.

    Of equal outputs the one of the lower class counts as larger, so that the first of all is what
    ``Accuracy`` takes. Outputs and targets are those of ``Accuracy``.

    Args:
        k: how many.

    Raises:
        ShapeError: there are fewer than k classes; and as for ``Accuracy``.
    """

    def __init__(self, k: int = 5) -> None:
        self.k = check_integer("k of TopK", k)
        self.name = f"top_{self.k}"
        super().__init__()

    def _are_hits(self, scores: Array, labels: Array) -> Array:
        classes = scores.shape[1]
        if classes < self.k:
            raise ShapeError(
                f"{self.name} takes outputs of {self.k} classes or more, not {classes}"
            )
        own = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)
        before = np.arange(classes) < labels[:, np.newaxis]
        ahead = (scores > own) | ((scores == own) & before)
        return np.count_nonzero(ahead, axis=1) < self.k


class _OfClasses(Metric):
    """An average over the classes of a ratio of counts, 0/0 being 0."""

    _ratio: ClassVar[str]

    def __init__(self, average: str = "macro") -> None:
        if average not in _AVERAGES:
            raise UnknownNameError(f"average of {type(self).__name__}", average, _AVERAGES)
        self.average = average
        self.name = self._ratio if average == "macro" else f"{self._ratio}_{average}"
        super().__init__()

    def reset(self) -> None:
        """Forget every batch."""
        self._counts: Array | None = None

    def update(self, output: Array, target: Array) -> None:
        """Take in a batch."""
        scores, labels = classified(self.name, output, target)
        predicted = np.argmax(scores, axis=1)
        kinds = labels[predicted == labels], predicted, labels
        counts = np.stack([np.bincount(kind, minlength=scores.shape[1]) for kind in kinds])
        self._counts = _added(self.name, self._counts, counts)

    def compute(self) -> float:
        """In [0, 1]."""
        counts = np.zeros((3, 0), int) if self._counts is None else self._counts
        self._check_seen(int(counts[2].sum()))
        if self.average == "micro":
            return float(self._ratios(*counts.sum(axis=1, keepdims=True))[0])
        counts = counts[:, counts[1:].any(axis=0)]
        weights = counts[2] if self.average == "weighted" else None
        return float(np.average(self._ratios(*counts), weights=weights))

    @abstractmethod
    def _ratios(self, hits: Array, predicted: Array, actual: Array) -> Array:
        """By how often a class was predicted rightly, was predicted, and was the target."""


_AVERAGES = ("macro", "micro", "weighted")


class Precision(_OfClasses):
    """How many of the samples that were said to be of a class are: hits / predicted.

    0/0 is 0. Outputs and targets are those of ``Accuracy``; a binary model has two classes.

    Args:
        average: ``"macro"``, the mean over the classes that occur, as targets or predictions;
            ``"weighted"``, the mean over the targets' classes by how often they occur; or
            ``"micro"``, of the counts of all classes together.

    Attributes:
        name: ``"precision"``; ``"precision_micro"`` or ``"precision_weighted"`` for the others.

    >>> import nn, numpy as np
    >>> output = np.eye(3)[[0, 0, 1, 1]]  # class 2 is neither predicted nor a target
    >>> nn.training.Precision()(output, np.array([0, 1, 1, 1]))
    0.75
    """

    _ratio = "precision"

    def _ratios(self, hits: Array, predicted: Array, actual: Array) -> Array:
        return _divided(hits, predicted)


class Recall(_OfClasses):
    """How many of the samples of a class were said to be: hits / actual.

    0/0 is 0. Outputs and targets are those of ``Accuracy``.

    Args:
        average: as for ``Precision``.
    """

    _ratio = "recall"

    def _ratios(self, hits: Array, predicted: Array, actual: Array) -> Array:
        return _divided(hits, actual)


class F1(_OfClasses):
    """The harmonic mean of a class's precision and recall: 2 hits / (predicted + actual).

    0/0 is 0. Outputs and targets are those of ``Accuracy``.

    Args:
        average: as for ``Precision``, of the F1 of each class.
    """

    _ratio = "f1"

    def _ratios(self, hits: Array, predicted: Array, actual: Array) -> Array:
        return _divided(2 * hits, predicted + actual)


class ConfusionMatrix(_Accumulator[Array]):
    """How often a class was taken for another: ``(C, C)`` counts, a row for each true class.

    Outputs and targets are those of ``Accuracy``. It is no number, and so no ``Metric`` of a
    history.

    >>> import nn, numpy as np
    >>> nn.training.ConfusionMatrix()(np.eye(3)[[0, 2, 2]], np.array([0, 1, 2]))
    array([[1, 0, 0],
           [0, 0, 1],
           [0, 0, 1]])
    """

    name = "the confusion matrix"

    def reset(self) -> None:
        """Forget every batch."""
        self._counts: Array | None = None

    def update(self, output: Array, target: Array) -> None:
        """Take in a batch."""
        scores, labels = classified(self.name, output, target)
        classes = scores.shape[1]
        cells = labels * classes + np.argmax(scores, axis=1)
        counts = np.bincount(cells, minlength=classes**2).reshape(classes, classes)
        self._counts = _added(self.name, self._counts, counts)

    def compute(self) -> Array:
        """The counts, ``(C, C)``."""
        counts = np.zeros((0, 0), int) if self._counts is None else self._counts
        self._check_seen(int(counts.sum()))
        return counts.copy()


class MeanSquaredError(Metric):
    """The mean of (output - target)² over all entries of all samples, in float64.

    Outputs and targets have one shape.

    Raises:
        ShapeError: they have two.
        TargetError: a target is nan or infinite.
        TrainingError: nothing was seen, from ``compute``.
    """

    name = "mse"
    larger_is_better = False

    def reset(self) -> None:
        """Forget every batch."""
        self._total, self._seen = 0.0, 0

    def update(self, output: Array, target: Array) -> None:
        """Take in a batch."""
        output, target = _paired(self.name, output, target)
        self._total += float(np.sum(np.square(output - target)))
        self._seen += target.size

    def compute(self) -> float:
        """At least 0."""
        self._check_seen(self._seen)
        return self._total / self._seen


class R2(Metric):
    """1 - Σ(target - output)² / Σ(target - mean)²: how much of the variance is explained.

    Outputs and targets have one shape, ``(N, ...)``; of more than one number per sample it is the
    mean over them. As in scikit-learn it is nan for a single sample, and where all targets are the
    same it is 1 if every output is right, else 0. The sums of two batches are merged by their means
    (Chan, Golub and LeVeque, 1983, section 1), so that no digits are lost to a large mean.

    Raises:
        ShapeError: output and target have two shapes, or another batch had other axes.
        TargetError: a target is nan or infinite.
        TrainingError: nothing was seen, from ``compute``.
    """

    name = "r2"

    def reset(self) -> None:
        """Forget every batch."""
        self._seen = 0

    def update(self, output: Array, target: Array) -> None:
        """Take in a batch."""
        output, target = _paired(self.name, output, target)
        if target.ndim == 0:
            raise ShapeError(f"{self.name} takes targets (N, ...), not a single number")
        n = len(target)
        if not n:
            return
        if not self._seen:
            # All means are of what the targets have beyond the first: exactly 0 if they are equal.
            self._origin = target[0]
            self._mean = np.zeros_like(self._origin)
            self._spread, self._residual = self._mean.copy(), self._mean.copy()
        elif target.shape[1:] != self._origin.shape:
            raise ShapeError(
                f"{self.name} had targets (N, ...) with {self._origin.shape} per sample, and now"
                f" {target.shape[1:]}"
            )
        beyond = target - self._origin
        mean = beyond.mean(axis=0)
        apart = mean - self._mean
        total = self._seen + n
        self._spread = (
            self._spread
            + np.square(beyond - mean).sum(axis=0)
            + np.square(apart) * (self._seen * n / total)
        )
        self._mean = self._mean + apart * (n / total)
        self._residual = self._residual + np.square(target - output).sum(axis=0)
        self._seen = total

    def compute(self) -> float:
        """At most 1; nan for a single sample."""
        self._check_seen(self._seen)
        if self._seen < 2:
            return math.nan
        explained = 1 - np.divide(
            self._residual,
            self._spread,
            out=np.where(self._residual > 0, 1.0, 0.0),
            where=self._spread > 0,
        )
        return float(np.mean(explained))


METRICS: dict[str, Callable[[], Metric]] = {
    "accuracy": Accuracy,
    "top_5": TopK,
    "precision": Precision,
    "recall": Recall,
    "f1": F1,
    "mse": MeanSquaredError,
    "r2": R2,
}


def metric(name_or_metric: str | Metric) -> Metric:
    """A new metric by its name; a metric is returned as it is.

    Args:
        name_or_metric: a name in ``METRICS``, or ``"top_3"`` and the like.

    Raises:
        UnknownNameError: there is none of that name.

    >>> metric("top_3").k
    3
    """
    if isinstance(name_or_metric, Metric):
        return name_or_metric
    if isinstance(name_or_metric, str):
        if name_or_metric in METRICS:
            return METRICS[name_or_metric]()
        if found := re.fullmatch(r"top_([1-9][0-9]*)", name_or_metric):
            return TopK(int(found[1]))
    raise UnknownNameError("metric", name_or_metric, METRICS)


def classified(name: str, output: Any, target: Any) -> tuple[Array, Array]:
    """Scores ``(M, C)`` and labels ``(M,)`` of all M decisions of a batch, as ``Accuracy`` says."""
    output, target = _numbers(name, "output", output), _numbers(name, "target", target)
    shape = output.shape
    rows = (*shape[:1], *shape[2:])
    column = (*shape[:1], 1, *shape[2:])
    if shape and shape[1:] in ((), column[1:]) and target.shape in (rows, column):
        wrong = (target != 0) & (target != 1)
        refuse(name, "target", target, wrong, "and the target of a single logit is 0 or 1")
        logits = output.reshape(-1)
        scores = np.stack([np.zeros_like(logits), logits], axis=1)
    else:
        if target.dtype.kind == "f" and target.shape == shape and len(shape) > 1:
            check_distributions(name, target)
            target = np.argmax(target, axis=1)
        if len(shape) < 2 or target.shape not in (rows, shape[:-1]) or not shape[1] * shape[-1]:
            raise ShapeError(
                f"{name} takes outputs (N, C) and targets (N,), or (N, C, ...) or (N, ..., C) and"
                f" (N, ...), C being the classes; it got outputs {shape} and targets {target.shape}"
            )
        if target.dtype.kind not in "biu":
            raise TargetError(f"{name} takes the numbers of classes, not targets of {target.dtype}")
        if target.shape == rows == shape[:-1] and len(shape) > 2:
            raise ShapeError(
                f"{name} cannot tell which axis of outputs {shape} the classes are on: reshape them"
                " to (M, C) and the targets to (M,) in an update() of your own"
            )
        scores = np.moveaxis(output, 1, -1) if target.shape == rows else output
        scores = scores.reshape(-1, scores.shape[-1])
        check_labels(name, "outputs", scores.shape[1], target)
    unknown = np.isnan(scores)
    if unknown.any():
        raise TrainingError(
            f"{name} got outputs that are nan, {np.count_nonzero(unknown)} of {scores.size}: they"
            " say nothing of a class"
        )
    return scores, target.reshape(-1).astype(np.int64)


def _paired(name: str, output: Any, target: Any) -> tuple[Array, Array]:
    """Output and target in float64, of the same shape."""
    output, target = _numbers(name, "output", output), _numbers(name, "target", target)
    if output.shape != target.shape:
        raise ShapeError(
            f"{name} takes outputs and targets of one shape, not {output.shape} and {target.shape}"
        )
    refuse(name, "target", target, ~np.isfinite(target), "and a target is a finite number")
    return output.astype(np.float64), target.astype(np.float64)


def _numbers(name: str, what: str, x: Any) -> Array:
    array = np.asarray(plain(x))
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"{name} takes real numbers, not a {what} of {array.dtype}")
    return array


def _added(name: str, before: Array | None, counts: Array) -> Array:
    if before is None:
        return counts
    if before.shape != counts.shape:
        raise ShapeError(
            f"{name} had outputs of {before.shape[-1]} classes, and now of {counts.shape[-1]}"
        )
    return before + counts


def _divided(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.shape(b)), where=b > 0)
