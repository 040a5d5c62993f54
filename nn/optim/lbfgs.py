"""L-BFGS: Newton's method with a Hessian that is estimated from the last few steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from nn.errors import ConfigurationError, StateDictError
from nn.optim.line_search import Point, strong_wolfe
from nn.optim.optimizer import Optimizer, Params, assign
from nn.optim.state import check_names, flatten, unflatten
from tinygrad_edu import UnknownNameError, enable_grad
from tinygrad_edu.graph import plain

Array = np.ndarray[Any, Any]


class LBFGS(Optimizer):
    """θ ← θ - t H g, where H g is found from differences of past steps s and gradients y alone.

    It is for a loss without noise: a whole data set rather than a batch. All parameters are one
    vector, so there is one group. A step evaluates the loss many times; ``closure`` does that.
    Source: Nocedal and Wright, 2006, algorithms 7.4 and 7.5.

    Args:
        params: what to change.
        lr: t, or the first t that the line search tries.
        max_iter: how many directions a step goes along at most.
        max_eval: how often it evaluates the loss at most; by default 5/4 of ``max_iter``.
        tolerance_grad: the largest partial derivative at which it is done.
        tolerance_change: the change of the loss, or of a parameter, at which it is done.
        history_size: how many pairs s, y it remembers.
        line_search_fn: ``"strong_wolfe"``, or None to go by ``lr``.

    >>> import nn
    >>> x = nn.Parameter([3.0, -2.0])
    >>> optimizer = nn.optim.LBFGS([x], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((x - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure).item()  # the loss before the step
    13.0
    >>> x.data.round(3)
    array([1., 1.], dtype=float32)
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise UnknownNameError("line search", line_search_fn, ["strong_wolfe"])
        super().__init__(
            params,
            lr=lr,
            max_iter=max_iter,
            max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
        )
        self.line_search_fn = line_search_fn
        self._iterations = 0
        # Past steps s, the changes y of the gradient along them, and 1 / s·y.
        self._pairs: list[tuple[Array, Array, float]] = []
        # The last step and the gradient before it, until the gradient after it is known.
        self._pending: list[Array] = []

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add the only group there can be."""
        if self.param_groups:
            raise ConfigurationError("LBFGS has one group, since its parameters are one vector")
        super().add_param_group(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Go along up to ``max_iter`` directions; returns the loss before them.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the
                loss. It must give the same loss for the same parameters.
        """
        if closure is None:
            raise ConfigurationError(
                "LBFGS evaluates the loss several times in a step: pass step(closure), where"
                " closure clears the gradients, calls loss.backward() and returns the loss"
            )
        options = self.param_groups[0]
        tolerance = options["tolerance_change"]
        with enable_grad():
            first = closure()
        loss, g, evaluations = _number(first), self._gradient(), 1
        for iteration in range(1, options["max_iter"] + 1):
            if abs(g).max() <= options["tolerance_grad"]:
                break
            d = self._direction(g, options["history_size"])
            here = Point(0.0, loss, g, float(g @ d))
            # How long the first gradient is says nothing of how far to go.
            t = options["lr"] * (1.0 if self._iterations else min(1.0, 1.0 / float(abs(g).sum())))
            self._iterations += 1
            if here.slope > -tolerance:
                break
            theta, reach = self._vector(), float(abs(d).max())
            along = partial(self._evaluate, closure, theta, d)
            if self.line_search_fn is not None:
                found, trials = strong_wolfe(along, here, t, reach, tolerance)
                t, loss, g = found.t, found.loss, found.gradient
                evaluations += trials
                self._assign(theta + t * d)
            elif iteration < options["max_iter"]:
                _, loss, g, _ = along(t)
                evaluations += 1
            else:  # the next step will see what comes of it
                self._assign(theta + t * d)
            self._pending = [t * d, here.gradient]
            if (
                evaluations >= options["max_eval"]
                or t * reach <= tolerance
                or abs(loss - here.loss) < tolerance
            ):
                break
        return first

    def _direction(self, g: Array, history_size: int) -> Array:
        """-H g, by the recursion over the pairs of past steps and gradients."""
        if self._pending:
            s, before = self._pending
            y = g - before
            product = float(y @ s)
            if product > 1e-10:  # else the estimate would lose its positive curvature
                self._pairs.append((s, y, 1 / product))
                del self._pairs[:-history_size]
            self._pending = []
        q = -g
        weights = []
        for s, y, rho in reversed(self._pairs):
            weights.append(rho * float(s @ q))
            q -= weights[-1] * y
        if self._pairs:
            s, y, _ = self._pairs[-1]
            q *= float(y @ s) / float(y @ y)
        for (s, y, rho), weight in zip(self._pairs, reversed(weights), strict=True):
            q += s * (weight - rho * float(y @ q))
        return q

    def _evaluate(self, closure: Callable[[], Any], theta: Array, d: Array, t: float) -> Point:
        self._assign(theta + t * d)
        with enable_grad():
            loss = _number(closure())
        g = self._gradient()
        return Point(t, loss, g, float(g @ d))

    # The parameters as one vector.

    def _vector(self) -> Array:
        return _joined([p.data for p in self.parameters])

    def _gradient(self) -> Array:
        """That of a parameter which is frozen or has none is 0, so that it stays as it is."""
        return _joined(
            [
                np.zeros_like(p.data) if p.grad is None or not p.requires_grad else plain(p.grad)
                for p in self.parameters
            ]
        )

    def _assign(self, vector: Array) -> None:
        start = 0
        for p in self.parameters:
            end = start + np.size(p.data)
            if p.requires_grad:
                assign(p, vector[start:end].reshape(np.shape(p.data)))
            start = end

    # In and out.

    def state_dict(self) -> dict[str, Any]:
        """The options, and the steps and gradients that are remembered; see ``Optimizer``."""
        pairs = [[s, y] for s, y, _ in self._pairs]
        own = {"iterations": self._iterations, "pairs": pairs, "pending": self._pending}
        return super().state_dict() | flatten({"lbfgs": own})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned; see ``Optimizer.load_state_dict``."""
        own = {name: value for name, value in state.items() if name.startswith("lbfgs.")}
        pairs = sum(name.startswith("lbfgs.pairs.") for name in own) + 1
        arrays = [f"lbfgs.pairs.{i}.{j}" for i in range(pairs // 2) for j in range(2)]
        if any(name.startswith("lbfgs.pending.") for name in own):
            arrays += ["lbfgs.pending.0", "lbfgs.pending.1"]
        check_names("LBFGS", ["lbfgs.iterations", *arrays], own)
        vector = self._vector()
        mismatched: dict[str, Any] = {
            name: (vector.shape, np.shape(value))
            for name, value in own.items()
            if name in arrays and np.shape(value) != vector.shape
        }
        if mismatched:
            raise StateDictError([], [], mismatched, "LBFGS")
        super().load_state_dict({n: value for n, value in state.items() if n not in own})
        tree = unflatten({n: np.array(own[n], vector.dtype) for n in arrays}).get("lbfgs", {})
        self._pairs = [(s, y, 1 / float(y @ s)) for s, y in tree.get("pairs", [])]
        self._pending = tree.get("pending", [])
        self._iterations = own["lbfgs.iterations"]


def _number(loss: Any) -> float:
    return float(np.asarray(plain(loss)).item())


def _joined(parts: list[Any]) -> Array:
    vector = np.concatenate([np.ravel(part) for part in parts])
    return vector.astype(np.float32) if vector.dtype == np.float16 else vector
