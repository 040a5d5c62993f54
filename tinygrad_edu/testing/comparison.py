"""Where the gradients of a graph are not the ones that finite differences see.

The inputs are one long vector of entries. Few of them are moved one by one; many are moved
together in random directions, so that the cost does not grow with their number, and where a
direction disagrees it is halved until the entries that are to blame stand alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu import trees
from tinygrad_edu.errors import DTypeError, GradientError, OperandError, TinygradError
from tinygrad_edu.graph import Node, enable_grad, gradients, no_grad
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.differences import Estimate, derivative

Array = np.ndarray[Any, Any]

ENTRY_BY_ENTRY = 100  # so many entries at most
DIRECTIONS = 4  # of each input with more than FEW entries, if there are more altogether
FEW = 8
MOST_GROUPS = 24  # inputs beyond so many are moved together
SHOWN = 10


class Tolerance(NamedTuple):
    """How far a gradient may be from the numeric one: atol + rtol |numeric| + its error."""

    rtol: float
    atol: float


class Comparison(NamedTuple):
    """What one entry, or one direction, showed.

    Attributes:
        variable: the input's position among those differentiated by; ``None`` for a direction.
        entry: its index within that.
        analytic: the engine's derivative.
        numeric: the finite difference, its error and the slopes at a kink.
        excess: how many times its tolerance the two are apart by; above 1 they disagree.
    """

    variable: int | None
    entry: tuple[int, ...]
    analytic: float
    numeric: Estimate
    excess: float


class Outcome(NamedTuple):
    """What a comparison of gradients found.

    Attributes:
        wrong: the entries that disagree, the worst first; the worst few of many.
        kinks: what was not decided: the slopes on the two sides differ, and the gradient is one
            of them or between them, as a convention.
        entries: how many entries there are.
        compared: how many entries and directions were compared.
    """

    wrong: list[Comparison]
    kinks: list[Comparison]
    entries: int
    compared: int


class Loss:
    """A scalar, Σ w · y, of every y that a function returns, with fixed pseudo-random weights w.

    The weights differ, so that no two entries of a result reach the scalar in the same way.

    Args:
        f: returns nodes, or nested tuples, lists and dicts of them, made from ``variables``.
        variables: what to differentiate by.
        name: of the function, for error messages.
    """

    def __init__(self, f: Callable[[], Any], variables: Sequence[Any], name: str = "f") -> None:
        self.f, self.variables, self.name = f, variables, name

    def value(self) -> Any:
        """The scalar, a node."""
        results = trees.leaves(self.f())
        for y in results:
            if not isinstance(y, Node):
                raise OperandError(
                    f"{self.name} must return a Value or a Tensor, not {type(y).__name__}"
                )
            if np.asarray(y.data).dtype != np.float64:
                raise DTypeError(
                    f"the result of {self.name} is of {y.data.dtype}: its rounding would drown the"
                    " finite differences. Does something in it compute in less than float64?"
                )
        if len({type(y) for y in results}) > 1:
            raise OperandError(f"{self.name} must return Values or Tensors, not some of both")
        if len(results) == 1 and not np.ndim(results[0].data):
            return results[0]
        return _weighted_sum(results, np.random.default_rng(0))

    def slope(self) -> Any:
        """Σ v · ∂L/∂x, a node: what second derivatives are derivatives of."""
        found = _gradients(self.value(), self.variables, create_graph=True)
        # An x that the loss does not depend on uses up no weights, whatever moves.
        return _weighted_sum(
            [found[x] for x in self.variables if x in found], np.random.default_rng(1)
        )


def compare(loss: Loss, order: int, tolerance: Tolerance) -> Outcome:
    """Compare the derivatives of a loss by its variables with finite differences.

    Args:
        loss: what to differentiate.
        order: 1 for the gradient, 2 for the derivatives of ``loss.slope()``.
        tolerance: what counts as equal.

    The variables' data are replaced for a time; no ``grad`` is touched.
    """
    point = _Point(loss, order, tolerance)
    directions = list(point.directions())
    found = [point.compared(direction) for direction in directions]
    wrong = [c for c in found if c.excess > 1 and c.variable is not None]
    halved: set[int] = set()  # the first entries of groups whose culprits have been looked for
    for direction, c in zip(directions, found, strict=True):
        group = int(direction.entries[0])
        if c.excess > 1 and c.variable is None and group not in halved:
            halved.add(group)
            wrong += point.culprits(direction) or [c]
    return Outcome(
        sorted(wrong, key=lambda c: -c.excess),
        [c for c in found if c.excess <= 1 and c.numeric.sides is not None],
        len(point.gradient),
        len(found),
    )


class _Direction(NamedTuple):
    entries: Array  # positions in the long vector
    signs: Array


class _Point:
    """The variables at their present data, as one vector, and the gradient there."""

    def __init__(self, loss: Loss, order: int, tolerance: Tolerance) -> None:
        self.loss = loss.value if order == 1 else loss.slope
        # A slope needs its operations recorded; a value is faster without.
        self.mode = no_grad if order == 1 else enable_grad
        self.variables = variables = loss.variables
        self.tolerance = tolerance
        y = self.loss()
        self._check_repeatable(y)
        found = _gradients(y, variables)
        parts = [np.ravel(found.get(x, np.zeros_like(x.data))) for x in variables]
        self.gradient = np.concatenate([np.asarray(part, np.float64) for part in parts])
        self.data = np.concatenate([np.ravel(x.data) for x in variables])
        self.offsets = np.cumsum([0, *(np.size(x.data) for x in variables)])
        finite = self.gradient[np.isfinite(self.gradient)]
        # Rounding in a sum of many terms that cancel is of the size of the terms.
        self.typical = math.sqrt(float(np.mean(finite**2))) if finite.size else 0.0

    def directions(self) -> Iterator[_Direction]:
        """What to move: every entry alone, or each input's entries together, a few times."""
        n = len(self.gradient)
        if n <= ENTRY_BY_ENTRY:
            yield from (self._alone(i) for i in range(n))
            return
        rng = np.random.default_rng(2)
        per_group = math.ceil(len(self.variables) / MOST_GROUPS)
        for first in range(0, len(self.variables), per_group):
            last = min(first + per_group, len(self.variables))
            entries = np.arange(self.offsets[first], self.offsets[last])
            if len(entries) <= FEW:
                yield from (self._alone(i) for i in entries)
                continue
            for _ in range(DIRECTIONS):
                yield _Direction(entries, rng.choice([-1.0, 1.0], len(entries)))

    def compared(self, direction: _Direction) -> Comparison:
        """The derivative along a direction, by the engine and numerically."""
        entries, signs = direction
        unit = signs / math.sqrt(len(entries))
        analytic = float(unit @ self.gradient[entries])
        scale = max(1.0, float(np.sqrt(np.mean(self.data[entries] ** 2))))
        rtol, atol = self.tolerance
        numeric = derivative(
            lambda t: self._value(entries, t * unit), scale, rtol=rtol / 10, atol=atol / 10
        )
        variable, index = (None, ()) if len(entries) > 1 else self._where(int(entries[0]))
        excess = self._excess(analytic, numeric, len(entries))
        return Comparison(variable, index, analytic, numeric, excess)

    def culprits(self, direction: _Direction) -> list[Comparison]:
        """A few entries of a direction that disagree by themselves."""
        found: list[Comparison] = []
        suspects = [direction]
        while suspects and len(found) < SHOWN:
            entries, signs = suspects.pop()
            middle = len(entries) // 2
            halves = [
                _Direction(entries[half], signs[half])
                for half in (slice(middle), slice(middle, None))
            ]
            judged = [(self.compared(half), half) for half in halves]
            judged.sort(key=lambda pair: pair[0].excess)
            for comparison, part in judged:  # the worse half last, to be halved next
                if comparison.excess > 1:
                    if len(part.entries) == 1:
                        found.append(comparison)
                    else:
                        suspects.append(part)
        return found

    def _check_repeatable(self, y: Node) -> None:
        again = self.loss()
        if not np.array_equal(y.data, again.data, equal_nan=True):
            raise GradientError(
                f"f gives {y.data!s:.12} and then {again.data!s:.12} for the same inputs, so it has"
                " no derivative to compare with: switch dropout off with model.eval(), or seed"
                " what it draws inside of f"
            )

    def _alone(self, i: int) -> _Direction:
        return _Direction(np.array([i]), np.ones(1))

    def _where(self, entry: int) -> tuple[int, tuple[int, ...]]:
        """Which variable an entry of the long vector belongs to, and its index there."""
        variable = int(np.searchsorted(self.offsets, entry, side="right")) - 1
        shape = np.shape(self.variables[variable].data)
        index = np.unravel_index(entry - self.offsets[variable], shape)
        return variable, tuple(int(i) for i in index)

    def _value(self, entries: Array, step: Array) -> float:
        """The loss with some entries moved; nan where the function is not defined."""
        moved = self.data.copy()
        moved[entries] += step
        before = [x.data for x in self.variables]
        try:
            for x, start, stop in zip(self.variables, self.offsets, self.offsets[1:], strict=False):
                if start < stop and entries[0] < stop and entries[-1] >= start:
                    part = moved[start:stop]
                    x.data = part.reshape(x.data.shape) if isinstance(x, Tensor) else float(part[0])
            with np.errstate(all="ignore"), self.mode():
                return float(self.loss().data)
        except (TinygradError, ArithmeticError):
            # A number that the function is not defined for, though the point itself was.
            return math.nan
        finally:
            for x, data in zip(self.variables, before, strict=True):
                x.data = data

    def _excess(self, analytic: float, numeric: Estimate, n: int) -> float:
        """How many tolerances the two derivatives are apart."""
        rtol, atol = self.tolerance
        if numeric.sides is not None:
            low, high = sorted(numeric.sides)
            allowed = atol + 1e-4 * max(
                (abs(s) for s in (low, high) if math.isfinite(s)), default=1
            )
            apart = max(low - analytic, analytic - high, 0.0)
        else:
            size = max(abs(analytic), abs(numeric.slope))
            # A larger estimate is of no smooth function, and would let any gradient pass.
            trusted = max(min(numeric.error, 1e-4 * size), 2 * numeric.rounding)
            allowed = atol + rtol * max(size, self.typical if n > 1 else 0.0) + trusted
            apart = abs(analytic - numeric.slope)
        return apart / allowed if math.isfinite(apart) else math.inf


def _gradients(y: Any, variables: Sequence[Any], create_graph: bool = False) -> dict[Any, Any]:
    if not y.requires_grad:  # y depends on none of them
        return {}
    return gradients(y, sources=frozenset(variables), create_graph=create_graph)


def _weighted_sum(nodes: Sequence[Any], rng: np.random.Generator) -> Any:
    terms = [
        (y * rng.uniform(0.5, 1.5, y.data.shape)).sum()
        if np.ndim(y.data)
        else y * rng.uniform(0.5, 1.5)
        for y in nodes
    ]
    return sum(terms[1:], start=terms[0]) if terms else Tensor(np.zeros(()))
