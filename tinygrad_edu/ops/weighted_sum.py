"""A neuron's w·x + b as one node, for where nobody wants to see each product."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import lru_cache, reduce
from inspect import Parameter, Signature
from typing import Any

from tinygrad_edu.errors import ShapeError
from tinygrad_edu.ops.declare import Op, Rule


def weighted_sum(weights: Sequence[Any], x: Sequence[Any], bias: Any) -> Any:
    """w·x + b = w₀x₀ + w₁x₁ + ... + b, as one node that has every weight and input for an operand.

    The number and the gradients are those of the products and sums written out. With n weights it
    is one node in place of 2n, which is several times faster to make and to go back through.

    Args:
        weights: one or more numbers or Values. Tensors broadcast.
        x: as many.
        bias: one.

    Raises:
        ShapeError: there are no weights, or not as many as inputs.

    >>> from tinygrad_edu import Value
    >>> w0, w1, b = Value(0.5), Value(-1.0), Value(2.0)
    >>> z = weighted_sum((w0, w1), (4.0, 3.0), b)
    >>> z.backward()
    >>> z.data, w0.grad, w1.grad, b.grad
    (1.0, 4.0, 3.0, 1.0)
    """
    if len(weights) != len(x) or not len(weights):
        raise ShapeError(
            f"weighted_sum takes one weight or more and as many inputs: not {len(weights)} weights"
            f" and {len(x)} inputs"
        )
    return _op_of(len(weights))(*weights, *x, bias)


@lru_cache(maxsize=256)
def _op_of(n: int) -> Op:
    """The op of n weights, n inputs and a bias, in this order: like any op it has one arity."""

    def forward(*operands: Any) -> Any:
        return reduce(operator.add, map(operator.mul, operands[:n], operands[n:])) + operands[-1]

    def times_operand(i: int) -> Rule:
        return lambda g, y, *operands: g * operands[i]

    def together(g: Any, y: Any, *operands: Any, needed: Sequence[bool]) -> list[Any]:
        return [g * x for x in operands[n:-1]] + [g * w for w in operands[:n]] + [g]

    by_weights = [times_operand(n + i) for i in range(n)]
    by_inputs = [times_operand(i) for i in range(n)]
    op = Op(
        "weighted_sum",
        "w·x + b",
        forward,
        forward,
        (*by_weights, *by_inputs, lambda g, y, *operands: g),
        together=together,
        doc=weighted_sum.__doc__,
    )
    names = [*(f"w{i}" for i in range(n)), *(f"x{i}" for i in range(n)), "b"]
    op.__signature__ = Signature([Parameter(name, Parameter.POSITIONAL_ONLY) for name in names])
    return op
