"""What one step of training did inside a model, in few numbers.

A summary says how the entries of an array are distributed; a snapshot has one for each parameter,
gradient and activation of a step. Both turn into JSON, for a page, and into arrays, for a
checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
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
        >>> summary.mean, summary.max_abs, summary.zero_share, int(summary.counts.sum())
        (0.5, 3.0, 0.5, 4)
        """
        x = np.asarray(entries, np.float64)
        finite = x[np.isfinite(x)]
        sizes = np.abs(finite)
        largest = float(sizes.max(initial=0.0))
        # Scaled by a power of 2, so that neither squares nor sums can overflow or underflow.
        exponent = max(math.frexp(largest)[1], -1000)
        scale = 2.0**-exponent
        scaled = finite * scale
        counts, edges = _histogram(scaled)
        n = finite.size or math.nan
        mean = float(scaled.sum()) / n
        squares = float(np.square(scaled).sum())
        variance = float(np.square(scaled - mean).sum()) / n

        def back(number: Any) -> Any:
            with np.errstate(over="ignore"):  # a norm may be beyond the largest float64
                return np.ldexp(number, exponent)

        return cls(
            mean=float(back(mean)),
            std=float(back(math.sqrt(variance))),
            mean_abs=float(back(float((sizes * scale).sum()) / n)),
            max_abs=largest if finite.size else math.nan,
            norm=float(back(math.sqrt(squares))) if finite.size else math.nan,
            size=x.size,
            counts=counts,
            edges=np.clip(back(edges), -_LARGEST, _LARGEST),
            zero_share=_share(x == 0),
            saturated_share=None if limits is None else _share(_saturated(x, *limits)),
            nonfinite=x.size - finite.size,
            dead_share=_dead_share(x) if units else None,
        )

    def to_dict(self) -> dict[str, Any]:
        """What JSON has of it: of the edges the first and the last, and None for nan and inf."""
        return {
            **{name: _json_number(getattr(self, name)) for name in _NUMBERS},
            "counts": self.counts.tolist(),
            "range": [float(self.edges[0]), float(self.edges[-1])],
        }


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

    def to_dict(self) -> dict[str, Any]:
        """The same in dicts as JSON has them, with None for nan and inf."""
        return {
            "step": self.step,
            "loss": _json_number(self.loss),
            "updates": {path: _json_number(x) for path, x in self.updates.items()},
            **{
                kind: {path: summary.to_dict() for path, summary in getattr(self, kind).items()}
                for kind in KINDS
            },
        }


# The fields of a snapshot that hold summaries, and those of a summary that are numbers.
KINDS = ("parameters", "gradients", "activations", "activation_gradients")
_NUMBERS = tuple(each.name for each in fields(Summary) if each.name not in ("counts", "edges"))


def packed(snapshots: Sequence[Snapshot]) -> dict[str, Any]:
    """Snapshots as dicts and lists of arrays and numbers: by path, a row for each that has it."""
    return {
        "steps": np.array([each.step for each in snapshots], np.int64),
        "losses": [each.loss for each in snapshots],
        "updates": _rows([each.updates for each in snapshots], lambda x: {"numbers": np.array(x)}),
        **{kind: _rows([getattr(each, kind) for each in snapshots], _arrays) for kind in KINDS},
    }


def unpacked(state: Mapping[str, Any]) -> list[Snapshot]:
    """The snapshots that ``packed`` made a state of."""
    n = len(state["steps"])
    updates = _by_snapshot(state["updates"], n, lambda row, j: float(row["numbers"][j]))
    kinds = {kind: _by_snapshot(state[kind], n, _summary) for kind in KINDS}
    return [
        Snapshot(
            step=step,
            loss=loss,
            updates=updates[i],
            **{kind: found[i] for kind, found in kinds.items()},
        )
        for i, (step, loss) in enumerate(zip(state["steps"].tolist(), state["losses"], strict=True))
    ]


_Rows = Mapping[str, Mapping[str, Array]]


def _rows(
    snapshots: Sequence[Mapping[str, Any]], arrays: Callable[[list[Any]], dict[str, Array]]
) -> _Rows:
    rows: dict[str, dict[str, Array]] = {}
    for path in dict.fromkeys(path for each in snapshots for path in each):
        at = [i for i, each in enumerate(snapshots) if path in each]
        rows[path] = {"at": np.array(at), **arrays([snapshots[i][path] for i in at])}
    return rows


def _by_snapshot(
    rows: _Rows, n: int, entry: Callable[[Mapping[str, Array], int], Any]
) -> list[dict[str, Any]]:
    snapshots: list[dict[str, Any]] = [{} for _ in range(n)]
    for path, row in rows.items():
        for j, i in enumerate(row["at"].tolist()):
            snapshots[i][path] = entry(row, j)
    return snapshots


def _arrays(summaries: list[Summary]) -> dict[str, Array]:
    numbers = [[getattr(each, name) for name in _NUMBERS] for each in summaries]
    return {
        "numbers": np.array(numbers, np.float64),  # nan where there is None
        "counts": np.stack([each.counts for each in summaries]),
        "edges": np.stack([each.edges for each in summaries]),
    }


def _summary(row: Mapping[str, Array], j: int) -> Summary:
    numbers: dict[str, Any] = dict(zip(_NUMBERS, row["numbers"][j].tolist(), strict=True))
    for name in ("size", "nonfinite"):
        numbers[name] = int(numbers[name])
    for name in ("saturated_share", "dead_share"):
        numbers[name] = None if math.isnan(numbers[name]) else numbers[name]
    return Summary(**numbers, counts=row["counts"][j].copy(), edges=row["edges"][j].copy())


def _json_number(x: float | None) -> float | None:
    return x if x is not None and math.isfinite(x) else None


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
