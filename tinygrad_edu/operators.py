"""The operators and methods that Value and Tensor share: each applies an op of the table."""

from __future__ import annotations

from typing import Any, Self

from tinygrad_edu.graph import Node
from tinygrad_edu.ops import elementwise as ops


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

    def __neg__(self) -> Self:
        return self.apply(ops.negative, (self,), None)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self.apply(ops.abs, (self,), None)

    # A comparison is of the data, and a constant: a bool, or an ndarray of them.

    def __lt__(self, other: Any) -> Any:
        return self.data < _plain(other)

    def __le__(self, other: Any) -> Any:
        return self.data <= _plain(other)

    def __gt__(self, other: Any) -> Any:
        return self.data > _plain(other)

    def __ge__(self, other: Any) -> Any:
        return self.data >= _plain(other)

    def __eq__(self, other: object) -> Any:
        return self.data == _plain(other)

    def __ne__(self, other: object) -> Any:
        return self.data != _plain(other)

    __hash__ = object.__hash__  # by identity: a node is a place in a graph, not a number

    def __float__(self) -> float:
        return float(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def exp(self) -> Self:
        """eˣ."""
        return self.apply(ops.exp, (self,), None)

    def log(self) -> Self:
        """The natural logarithm."""
        return self.apply(ops.log, (self,), None)

    def sqrt(self) -> Self:
        """The square root."""
        return self.apply(ops.sqrt, (self,), None)

    def abs(self) -> Self:
        """|x|; the derivative at 0 is 0."""
        return self.apply(ops.abs, (self,), None)

    def tanh(self) -> Self:
        """The hyperbolic tangent."""
        return self.apply(ops.tanh, (self,), None)

    def sigmoid(self) -> Self:
        """1 / (1 + exp(-x))."""
        return self.apply(ops.sigmoid, (self,), None)

    def relu(self) -> Self:
        """max(x, 0); the derivative at 0 is 0."""
        return self.apply(ops.relu, (self,), None)


def _plain(x: Any) -> Any:
    return x.data if isinstance(x, Node) else x
