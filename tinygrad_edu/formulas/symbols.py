"""Symbols: a kind of node that stands for a number or array and records what is done to it."""

from __future__ import annotations

from numbers import Real
from typing import Any, Self

import numpy as np

from tinygrad_edu.errors import OperandError
from tinygrad_edu.formulas import expressions
from tinygrad_edu.formulas.expressions import TRANSPOSE, Call, Expression, call
from tinygrad_edu.numpy_calls import LOOKS_AT_DATA, call_ours
from tinygrad_edu.operators import Operators
from tinygrad_edu.ops import shape as shape_ops
from tinygrad_edu.ops.declare import Op
from tinygrad_edu.ops.einsum import matmul
from tinygrad_edu.ops.indexing import getitem

Shape = tuple[int, ...]

_QUESTIONS = {op.on_arrays: op for op in expressions.QUESTIONS} | {
    np.bitwise_and: expressions.both,
    np.bitwise_or: expressions.either,
    np.invert: expressions.negation,
}


class Symbol(Operators):
    """What an op or a rule can be called with to see its formula; it has no number.

    Whatever asks for a number (``if x > 0``, ``math.exp(x)``) or for a shape that is not known
    raises: there is no formula then.

    Args:
        expression: what it stands for.
        shape: of the array that it stands for, if known.

    >>> from tinygrad_edu import tanh
    >>> (1 - tanh(Symbol("x")) ** 2).expression.op
    <op subtract>
    """

    __slots__ = ("expression", "known_shape")

    def __init__(self, expression: Expression, shape: Shape | None = None) -> None:
        self.expression, self.known_shape = expression, shape
        self.requires_grad = False

    @staticmethod
    def apply(op: Op, inputs: tuple[Any, ...], attrs: dict[str, Any] | None) -> Any:
        """Record ``op``.

        Raises:
            OperandError: an input or attribute is an array, which no formula can show.
        """
        if any(map(_holds_array, (attrs or {}).values())):
            raise OperandError(f"{op.name} has an array for an attribute")
        terms = (expression_of(x, op) for x in inputs)
        found = call(op, *terms, attrs=tuple((attrs or {}).items()))
        return Symbol(found, _shape_of(op, inputs, attrs or {}))

    @property
    def data(self) -> Self:
        """The symbol itself: what asks about the data records its question."""
        return self

    @property
    def shape(self) -> Shape:
        """The lengths of its axes."""
        if self.known_shape is None:
            raise OperandError("the shape of this symbol is not known")
        return self.known_shape

    @property
    def ndim(self) -> int:
        """The number of its axes."""
        return len(self.shape)

    def __bool__(self) -> bool:
        raise OperandError("a symbol is neither true nor false: use where instead of if")

    def __float__(self) -> float:
        raise OperandError("a symbol is no number: use this library's functions, not math's")

    __int__ = __index__ = __float__  # type: ignore[assignment]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise OperandError("a symbol is no array")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        if ufunc in _QUESTIONS:
            return self.apply(_QUESTIONS[ufunc], inputs, None)
        return self.__array_function__(ufunc, (), inputs, {})

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in LOOKS_AT_DATA:
            raise OperandError(f"a symbol has no data for {function.__name__} to look at")
        return call_ours(function, args, kwargs)

    def __lt__(self, other: Any) -> Any:
        return self.apply(expressions.less, (self, other), None)

    def __le__(self, other: Any) -> Any:
        return self.apply(expressions.less_equal, (self, other), None)

    def __gt__(self, other: Any) -> Any:
        return self.apply(expressions.greater, (self, other), None)

    def __ge__(self, other: Any) -> Any:
        return self.apply(expressions.greater_equal, (self, other), None)

    def __eq__(self, other: object) -> Any:
        return self.apply(expressions.equal, (self, other), None)

    def __ne__(self, other: object) -> Any:
        return self.apply(expressions.not_equal, (self, other), None)

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Any:
        return self.apply(expressions.both, (self, other), None)

    def __rand__(self, other: Any) -> Any:
        return self.apply(expressions.both, (other, self), None)

    def __or__(self, other: Any) -> Any:
        return self.apply(expressions.either, (self, other), None)

    def __ror__(self, other: Any) -> Any:
        return self.apply(expressions.either, (other, self), None)

    def __invert__(self) -> Any:
        return self.apply(expressions.negation, (self,), None)

    # What rules of ops on arrays use besides.

    def __matmul__(self, other: Any) -> Any:
        return self.apply(matmul, (self, other), None)

    def __getitem__(self, index: Any) -> Any:
        return self.apply(getitem, (self,), {"index": index})

    def __iter__(self) -> Any:
        raise OperandError("a symbol has no entries to go through")

    @property
    def mT(self) -> Any:  # noqa: N802
        """The last two axes swapped."""
        if isinstance(self.expression, Call) and self.expression.attrs == TRANSPOSE:
            return Symbol(self.expression.inputs[0], _swapped(self.known_shape))
        return self.apply(shape_ops.swapaxes, (self,), dict(TRANSPOSE))

    def reshape(self, shape: Shape) -> Any:
        """The same entries in another shape."""
        if self.known_shape == shape:
            return self
        return self.apply(shape_ops.reshape, (self,), {"shape": shape})

    def __repr__(self) -> str:
        return f"Symbol({self.expression!r})"


def expression_of(x: Any, op: Op) -> Expression:
    """A symbol or plain number as an expression.

    Raises:
        OperandError: it is something else.
    """
    if isinstance(x, Symbol):
        return x.expression
    if isinstance(x, bool | np.bool_):
        return bool(x)
    if isinstance(x, Real):
        return float(x)
    raise OperandError(op.cannot_take((x,)))


def _shape_of(op: Op, inputs: tuple[Any, ...], attrs: dict[str, Any]) -> Shape | None:
    """The shape of a result, where it follows easily."""
    if op in (shape_ops.reshape, shape_ops.broadcast_to):
        return tuple(attrs["shape"])
    shapes = [x.known_shape if isinstance(x, Symbol) else () for x in inputs]
    known = [shape for shape in shapes if shape is not None]
    if len(known) < len(shapes):
        return None
    if op.on_floats is not None:
        return np.broadcast_shapes(*known)
    if op is matmul and all(len(shape) == 2 for shape in known):
        return known[0][0], known[1][1]
    if op is shape_ops.swapaxes and tuple(attrs.items()) == TRANSPOSE:
        return _swapped(known[0])
    return None


def _swapped(shape: Shape | None) -> Shape | None:
    return None if shape is None else (*shape[:-2], shape[-1], shape[-2])


def _holds_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) or (isinstance(x, tuple | list) and any(map(_holds_array, x)))
