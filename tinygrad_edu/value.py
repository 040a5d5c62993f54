"""Value: one float that remembers how it was computed."""

from __future__ import annotations

from numbers import Real
from typing import Any, cast

import numpy as np

from tinygrad_edu import anomaly, changes
from tinygrad_edu.errors import DTypeError, OperandError
from tinygrad_edu.graph import Node, mode
from tinygrad_edu.operators import Operators
from tinygrad_edu.ops.declare import Op


class Value(Operators):
    """One float in a computation graph, for seeing backpropagation one number at a time.

    Args:
        data: the number.
        label: a name for printouts and pictures.
        requires_grad: whether gradients flow to it.

    Raises:
        DTypeError: ``data`` is not a real number.

    >>> x, w, b = Value(2.0, label="x"), Value(-0.5, label="w"), Value(1.5, label="b")
    >>> y = (w * x + b).tanh()
    >>> y.backward()
    >>> w.grad, b.grad  # ∂y/∂w = (1 - y²) x, ∂y/∂b = 1 - y²
    (1.5728954659318548, 0.7864477329659274)
    """

    __slots__ = ()

    keeps_grad = True  # every Value keeps its gradient, as in micrograd

    def __init__(self, data: float, label: str = "", requires_grad: bool = True) -> None:
        self.data = _as_float(data)
        self.grad = 0.0
        self.op = None
        self.inputs = ()
        self.attrs = self.saved = None
        self.scope = ""
        self.label = label
        self.requires_grad = requires_grad

    @staticmethod
    def apply(op: Op, inputs: tuple[Any, ...], attrs: dict[str, Any] | None) -> Any:
        """Run ``op`` on Values and numbers and record the result; see ``Node.apply``."""
        data = []
        requires_grad = False
        for x in inputs:
            if x.__class__ is Value:
                data.append(x.data)
                if x.requires_grad:
                    requires_grad = True
            elif x.__class__ is float:
                data.append(x)
            elif isinstance(x, Real):
                return Value.apply(op, tuple(map(_number_as_float, inputs)), attrs)
            else:
                return NotImplemented
        if op.on_floats is None:
            raise OperandError(
                f"{op.name} is for Tensors; on Values, write it with arithmetic or Python's sum()"
            )
        try:
            y = op.on_floats(*data, **attrs) if attrs else op.on_floats(*data)
        except (ArithmeticError, ValueError):
            y = op.on_python_floats(data, attrs)
        return _record(op, inputs, attrs, y, requires_grad)

    def seed(self, gradient: Any) -> float:
        """The gradient that ``backward`` starts from: 1, or the given number."""
        if gradient is None:
            return 1.0
        return gradient.data if isinstance(gradient, Value) else _as_float(gradient)

    def constant(self, gradient: Any) -> Value:
        """A plain gradient as a Value that requires none."""
        return gradient if isinstance(gradient, Value) else Value(gradient, requires_grad=False)

    def fit(self, gradient: Any, op: Op) -> Any:
        """A derivative rule's result, as it is: a number has no shape to broadcast."""
        return gradient

    def pass_back(self, g: Any, pending: dict[Node, Any], owned: set[Node]) -> None:
        """One step of the chain rule, on floats; see ``Node.pass_back``."""
        op = cast(Op, self.op)
        operands = [x.data if x.__class__ is Value else x for x in self.inputs]
        attrs = self.attrs or {}
        for x, rule in zip(self.inputs, op.rules_for(self.inputs), strict=True):
            if x.__class__ is Value and x.requires_grad and rule is not None:
                try:
                    d = rule(g, self.data, *operands, **attrs)
                except (ArithmeticError, ValueError):
                    # Python raises where IEEE arithmetic has an inf or nan, as in 1 / 0.
                    ieee = map(np.float64, (g, self.data, *operands))
                    d = float(rule(*ieee, **attrs))
                pending[x] = pending[x] + d if x in pending else d

    def accumulate(self, gradient: Any) -> None:
        """Add to ``grad``."""
        untouched = self.grad.__class__ is float and self.grad == 0.0
        self.grad = gradient if untouched else self.grad + gradient

    def zero_grad(self) -> None:
        """Set ``grad`` back to 0."""
        self.grad = 0.0

    def detach(self) -> Value:
        """The same number as a leaf that requires no gradient."""
        return Value(self.data, self.label, requires_grad=False)

    def item(self) -> float:
        """The number itself."""
        return self.data

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return f"Value(data={self.data}, grad={self.grad}{label})"


def _record(
    op: Op, inputs: tuple[Any, ...], attrs: dict[str, Any] | None, y: float, requires_grad: bool
) -> Value:
    """The Value y that ``op`` computed from ``inputs``, with its place in the graph."""
    records, scope = mode.get()
    out = Value.__new__(Value)
    out.data = y
    out.grad = 0.0
    out.scope = scope
    out.label = ""
    out.saved = None
    if requires_grad and records:
        out.op, out.inputs, out.attrs, out.requires_grad = op, inputs, attrs, True
        out.born = changes.clock
    else:
        out.op, out.inputs, out.attrs, out.requires_grad = None, (), None, False
    if anomaly.watchers:
        anomaly.look_at_result(out, op.name)
    return out


def _as_float(x: Any) -> float:
    if isinstance(x, Real) or (isinstance(x, np.ndarray) and x.ndim == 0 and x.dtype.kind in "fiu"):
        return float(x)
    if isinstance(x, Value):
        raise DTypeError("this is a Value already; use detach() for its number as a new leaf")
    raise DTypeError(f"a Value holds one real number, not {type(x).__name__}: {x!r:.60}")


def _number_as_float(x: Any) -> Any:
    return float(x) if isinstance(x, Real) else x
