"""The operators and methods that Value and Tensor share: each applies an op of the table."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Self

from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops import activation
from tinygrad_edu.ops import elementwise as ops


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of a node as a method: ``x.f(...)`` is ``f(x, ...)``, and so is its signature."""

    @wraps(function, assigned=("__doc__", "__name__"), updated=())
    def of_self(self: Any, *args: Any, **options: Any) -> Any:
        return function(self, *args, **options)

    return of_self


class Operators(Node):
    """Arithmetic and elementwise methods, for numbers and arrays on either side."""

    __slots__ = ()

    def __add__(self, other: Any) -> Self:
        return self.apply(ops.add, (self, other), None)

    def __radd__(self, other: Any) -> Self:
        return self.apply(ops.add, (other, self), None)

    def __sub__(self, other: Any) -> Self:
        return self.apply(ops.subtract, (self, other), None)

    def __rsub__(self, other: Any) -> Self:
        return self.apply(ops.subtract, (other, self), None)

    def __mul__(self, other: Any) -> Self:
        return self.apply(ops.multiply, (self, other), None)

    def __rmul__(self, other: Any) -> Self:
        return self.apply(ops.multiply, (other, self), None)

    def __truediv__(self, other: Any) -> Self:
        return self.apply(ops.divide, (self, other), None)

    def __rtruediv__(self, other: Any) -> Self:
        return self.apply(ops.divide, (other, self), None)

    def __pow__(self, other: Any) -> Self:
        return self.apply(ops.power, (self, other), None)

    def __rpow__(self, other: Any) -> Self:
        return self.apply(ops.power, (other, self), None)

    def __floordiv__(self, other: Any) -> Self:
        return self.apply(ops.floor_divide, (self, other), None)

    def __rfloordiv__(self, other: Any) -> Self:
        return self.apply(ops.floor_divide, (other, self), None)

    def __mod__(self, other: Any) -> Self:
        return self.apply(ops.mod, (self, other), None)

    def __rmod__(self, other: Any) -> Self:
        return self.apply(ops.mod, (other, self), None)

    def __divmod__(self, other: Any) -> tuple[Self, Self]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Self, Self]:
        return other // self, other % self

    def __round__(self, decimals: int | None = None) -> Self:
        return self.apply(ops.round, (self,), {"decimals": decimals or 0})

    def __floor__(self) -> Self:
        return self.apply(ops.floor, (self,), None)

    def __ceil__(self) -> Self:
        return self.apply(ops.ceil, (self,), None)

    def __neg__(self) -> Self:
        return self.apply(ops.negative, (self,), None)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self.apply(ops.abs, (self,), None)

    # A comparison is of the data, and a constant: a bool, or an ndarray of them.

    def __lt__(self, other: Any) -> Any:
        return self.data < plain(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= plain(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > plain(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= plain(other)

    def __eq__(self, other: object) -> Any:
        return self.data == plain(other)

    def __ne__(self, other: object) -> Any:
        return self.data != plain(other)

    __hash__ = object.__hash__  # by identity: a node is a place in a graph, not a number

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __format__(self, spec: str) -> str:
        return format(float(self), spec) if spec else str(self)

    # Elementwise functions as methods; each is documented where it is declared.

    exp = method(ops.exp)
    exp2 = method(ops.exp2)
    expm1 = method(ops.expm1)
    log = method(ops.log)
    log2 = method(ops.log2)
    log10 = method(ops.log10)
    log1p = method(ops.log1p)
    sqrt = method(ops.sqrt)
    square = method(ops.square)
    reciprocal = method(ops.reciprocal)
    abs = method(ops.abs)
    sign = method(ops.sign)
    sin = method(ops.sin)
    cos = method(ops.cos)
    tan = method(ops.tan)
    arcsin = method(ops.arcsin)
    arccos = method(ops.arccos)
    arctan = method(ops.arctan)
    sinh = method(ops.sinh)
    cosh = method(ops.cosh)
    tanh = method(ops.tanh)
    erf = method(ops.erf)
    floor = method(ops.floor)
    ceil = method(ops.ceil)
    round = method(ops.round)
    clip = method(ops.clip)
    maximum = method(ops.maximum)
    minimum = method(ops.minimum)
    sigmoid = method(activation.sigmoid)
    relu = method(activation.relu)
    leaky_relu = method(activation.leaky_relu)
    elu = method(activation.elu)
    gelu = method(activation.gelu)
    silu = method(activation.silu)
    softplus = method(activation.softplus)
