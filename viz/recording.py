"""What training does inside a model, step by step: snapshots of numbers too many to keep whole.

A summary says how the entries of an array are distributed; a snapshot has one for each parameter,
gradient and activation of a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Array = np.ndarray[Any, Any]

BINS = 30

# How near to a limit of its activation an entry is called saturated.
_SATURATED = 0.01

# A range narrower than this, relative to the largest entry, has no room for the bins.
_NARROW = 2.0**-40


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Summary:
    """How the entries of an array are distributed.

    All are of the finite entries, but for ``size``, ``nonfinite`` and the shares, which are of all
    of them. What is not defined, as the mean of no entries, is nan.

    Attributes:
        mean: their mean.
        std: their standard deviation, with the divisor n.
        mean_abs: the mean of |x|.
        max_abs: the largest |x|.
        norm: the L2 norm, √Σx².
        size: how many entries there are.
        counts: how many are in each of 30 bins of equal width from the least to the largest.
        edges: the 31 ends of the bins, in rising order.
        zero_share: the share of entries that are exactly 0, in [0, 1].
        saturated_share: the share that is within 0.01 of a limit of the activation that made them,
            or beyond it; None if no activation with limits did.
        nonfinite: how many are nan or infinite.
        dead_share: the share of units that are 0 for every sample; None where there are no
            units. They are axis 1 of the outputs ``(N, F)`` and ``(N, C, H, W)``.
    """

    mean: float
    std: float
    mean_abs: float
    max_abs: float
    norm: float
    size: int
    counts: Array
    edges: Array
    zero_share: float
    saturated_share: float | None = None
    nonfinite: int
    dead_share: float | None = None

    @classmethod
    def of(
        cls, entries: Any, limits: tuple[float, float] | None = None, units: bool = False
    ) -> Self:
        """Summarise an array, in float64 and without overflow.

        Args:
            entries: an array of any shape, or a number.
            limits: what the activation that made it tends to, at least and at most.
            units: whether it is the output of units, of which some may be dead.

        >>> summary = Summary.of([-1.0, 0.0, 0.0, 3.0])
        >>> summary.mean, summary.max_abs, summary.zero_share, summary.counts.sum()
        (0.5, 3.0, 0.5, 4)
        """
        x = np.asarray(entries, np.float64)
        finite = x[np.isfinite(x)]
        # Scaled by a power of 2, so that neither squares nor sums can overflow or underflow.
        exponent = math.frexp(float(np.abs(finite).max(initial=0.0)))[1]
        scaled = np.ldexp(finite, -exponent)
        counts, edges = _histogram(scaled)

        def back(number: Any) -> Any:
            with np.errstate(over="ignore"):  # a norm may be beyond the largest float64
                return np.ldexp(number, exponent)

        some = finite.size > 0
        return cls(
            mean=float(back(scaled.mean())) if some else math.nan,
            std=float(back(scaled.std())) if some else math.nan,
            mean_abs=float(back(np.abs(scaled).mean())) if some else math.nan,
            max_abs=float(np.abs(finite).max()) if some else math.nan,
            norm=float(back(np.sqrt(np.square(scaled).sum()))) if some else math.nan,
            size=x.size,
            counts=counts,
            edges=np.clip(back(edges), -_LARGEST, _LARGEST),
            zero_share=_share(x == 0),
            saturated_share=None if limits is None else _share(_saturated(x, *limits)),
            nonfinite=x.size - finite.size,
            dead_share=_dead_share(x) if units else None,
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Snapshot:
    """What one step of training did inside a model.

    Attributes:
        step: its number, from 1.
        loss: the loss of the step's batch, or None if it was not given.
        parameters: by path, the weights before the step.
        gradients: by path, those of the loss, before clipping. A parameter without one is absent.
        updates: by path, |Δw| / |w|, with L2 norms: by how much the step changed a parameter,
            relatively. It is inf of a parameter that was 0.
        activations: by path of a module without modules inside, what it returned.
        activation_gradients: by path, the gradient of the loss by what it returned.
    """

    step: int
    loss: float | None
    parameters: dict[str, Summary]
    gradients: dict[str, Summary]
    updates: dict[str, float]
    activations: dict[str, Summary]
    activation_gradients: dict[str, Summary]


_LARGEST = float(np.finfo(np.float64).max)


def _histogram(x: Array) -> tuple[Array, Array]:
    """Counts and edges of the bins of numbers in [-1, 1]; numbers all alike get wider bins."""
    if not x.size:
        return np.zeros(BINS, np.int64), np.linspace(0.0, 1.0, BINS + 1)
    low, high = float(x.min()), float(x.max())
    if high - low < _NARROW:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(x, BINS, (low, high))
    return counts.astype(np.int64), edges


def _saturated(x: Array, low: float, high: float) -> Array:
    return (x <= low + _SATURATED) | (x >= high - _SATURATED)


def _dead_share(x: Array) -> float | None:
    if x.ndim not in (2, 4) or not x.size:
        return None
    return _share(~np.any(x, axis=tuple(i for i in range(x.ndim) if i != 1)))


def _share(found: Array) -> float:
    return int(np.count_nonzero(found)) / found.size if found.size else math.nan
