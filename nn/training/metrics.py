"""Metrics that accumulate over batches."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Metric:
    """The base of metrics."""

    name: str
    larger_is_better: bool

    def reset(self) -> None:
        """Forget."""

    def update(self, output: Array, target: Array) -> None:
        """Take in a batch."""

    def compute(self) -> float:
        """Over everything since reset()."""
        return 0.0


class Accuracy(Metric):
    """The share of right answers."""

    name, larger_is_better = "accuracy", True

    def reset(self) -> None:
        """Forget."""
        self._right = self._n = 0

    def update(self, output: Array, target: Array) -> None:
        """Take in a batch."""
        target = target.argmax(1) if target.ndim > 1 else target
        self._right += int((output.argmax(1) == target).sum())
        self._n += len(target)

    def compute(self) -> float:
        """The share."""
        return self._right / self._n


def metric(m: Any) -> Metric:
    """By name."""
    return Accuracy() if isinstance(m, str) else m
