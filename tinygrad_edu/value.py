"""Value: one float that remembers how it was computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from numbers import Real
from typing import Any, cast

import numpy as np

from tinygrad_edu import anomaly, changes
from tinygrad_edu.errors import DTypeError, OperandError
from tinygrad_edu.graph import Node, mode
from tinygrad_edu.operators import Operators
from tinygrad_edu.ops import elementwise as ops
from tinygrad_edu.ops.declare import Op


def _operator(op: Op, reflected: bool = False) -> Any:
    """``Value.apply`` for an operator between Values and Python numbers, without its loops.

    What it does not expect it leaves to ``apply``.
    """
    on_floats = cast("Callable[[float, float], float]", op.on_floats)
    current, make = mode.get, object.__new__

    def operate(self: Value, other: Any) -> Any:
        if other.__class__ is Value:
            number, requires_grad = other.data, self.requires_grad or other.requires_grad
        else:
            if other.__class__ is int and abs(other) < 2**53:
                other = float(other)
            number, requires_grad = other, self.requires_grad
        inputs = (other, self) if reflected else (self, other)
        records, scope = current()
        if number.__class__ is not float or not requires_grad or not records or anomaly.watchers:
            return Value.apply(op, inputs, None)
        try:
            y = on_floats(number, self.data) if reflected else on_floats(self.data, number)
        except (ArithmeticError, ValueError):
            return Value.apply(op, inputs, None)
        out: Value = make(Value)
        out.data = y
        out.grad = 0.0
        out.op, out.inputs = op, inputs
        out.attrs = out.saved = None
        out.scope = scope
        out.label = ""
        out.requires_grad = True
        out.born = changes.clock
        return out

    operate.__name__ = op.name
    return operate


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

    __add__ = _operator(ops.add)
    __radd__ = _operator(ops.add, reflected=True)
    __sub__ = _operator(ops.subtract)
    __rsub__ = _operator(ops.subtract, reflected=True)
    __mul__ = _operator(ops.multiply)
    __rmul__ = _operator(ops.multiply, reflected=True)
    __truediv__ = _operator(ops.divide)
    __rtruediv__ = _operator(ops.divide, reflected=True)
    __pow__ = _operator(ops.power)

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
        inputs, op = self.inputs, cast(Op, self.op)
        # Most nodes of most graphs have one or two operands and no attributes: what the loop at
        # the end does for them, at a third of its cost. What does not go well is left to the loop.
        if len(inputs) == 2 and not self.attrs:
            a, b = inputs
            a_data = a.data if a.__class__ is Value else a
            b_data = b.data if b.__class__ is Value else b
            by_a, by_b = op.rules
            by_a = by_a if a.__class__ is Value and a.requires_grad else None
            by_b = by_b if b.__class__ is Value and b.requires_grad else None
            try:
                d = None if by_a is None else by_a(g, self.data, a_data, b_data)
                e = None if by_b is None else by_b(g, self.data, a_data, b_data)
            except (ArithmeticError, ValueError):
                d = e = None
            if d is not None:
                pending[a] = pending[a] + d if a in pending else d
            if e is not None:
                pending[b] = pending[b] + e if b in pending else e
            if d is not None or e is not None:
                return
        elif len(inputs) == 1 and not self.attrs:
            (a,), (by_a,) = inputs, op.rules
            try:
                d = None if by_a is None else by_a(g, self.data, a.data)
            except (ArithmeticError, ValueError):
                d = None
            if d is not None:
                pending[a] = pending[a] + d if a in pending else d
                return
        elif op.together is not None:
            operands = [x.data if x.__class__ is Value else x for x in inputs]
            found = op.together(g, self.data, *operands, needed=[True] * len(inputs))
            for x, d in zip(inputs, found, strict=True):
                if x.__class__ is Value and x.requires_grad:
                    pending[x] = pending[x] + d if x in pending else d
            return
        for x, d in self._partials(g):
            pending[x] = pending[x] + d if x in pending else d

    def _partials(self, g: float) -> Iterator[tuple[Value, float]]:
        """Each input that takes a gradient, with what this node hands to it."""
        op, attrs = cast(Op, self.op), self.attrs or {}
        operands = [x.data if x.__class__ is Value else x for x in self.inputs]
        for x, rule in zip(self.inputs, op.rules_for(self.inputs), strict=True):
            if x.__class__ is Value and x.requires_grad and rule is not None:
                try:
                    yield x, rule(g, self.data, *operands, **attrs)
                except (ArithmeticError, ValueError):
                    # Python raises where IEEE arithmetic has an inf or nan, as in 1 / 0.
                    ieee = map(np.float64, (g, self.data, *operands))
                    yield x, float(rule(*ieee, **attrs))

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
