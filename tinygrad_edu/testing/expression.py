"""Random expressions: graphs of elementwise ops in which results are shared.

What is drawn is a line of Python, so a counterexample can be read, and run again. Every operand
lies in its op's domain, where the op is smooth: a result that does not is brought there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from types import CodeType
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from tinygrad_edu.errors import OperandError
from tinygrad_edu.ops.declare import OPS, Op
from tinygrad_edu.ops.elementwise import add, multiply, sin
from tinygrad_edu.testing.domains import Domain
from tinygrad_edu.testing.strategies import numbers, ops

# The operator that an op is in Python, and how tightly it binds.
INFIX = {
    "add": ("+", 1),
    "subtract": ("-", 1),
    "multiply": ("*", 2),
    "divide": ("/", 2),
    "mod": ("%", 2),
    "power": ("**", 4),
}
SIGN = 3  # of a negative number

ARITIES = [2, 2, 2, 1, 1, 1, 3]  # that many inputs of an op are drawn, as often as they stand here


@dataclass(frozen=True)
class Expression:
    """A function of numbers, written as Python, and a point at which it is smooth.

    Call it on floats, Values or Tensors, as many as there are inputs.

    Attributes:
        source: made of x0, x1, ..., numbers and the library's elementwise ops, by their names; a
            result that is shared gets a name by ``:=``.
        inputs: numbers to evaluate it at, none of which is at a kink or a pole of an op.

    >>> from tinygrad_edu import Value
    >>> from tinygrad_edu.testing import Expression
    >>> f = Expression(source="(t0 := x0 * x1) + sin(t0)", inputs=(2.0, 0.0))
    >>> f(2.0, 0.0)
    0.0
    >>> f(*map(Value, f.inputs))
    Value(data=0.0, grad=0.0)
    """

    source: str
    inputs: tuple[float, ...]

    def __call__(self, *inputs: Any) -> Any:
        """Its value."""
        if len(inputs) != len(self.inputs):
            raise OperandError(
                f"the expression {self.source} takes {len(self.inputs)} inputs, not {len(inputs)}"
            )
        function = eval(_compiled(self.source, len(inputs)), {"__builtins__": {}, **OPS})
        return function(*inputs)


@lru_cache
def _compiled(source: str, inputs: int) -> CodeType:
    names = ", ".join(f"x{i}" for i in range(inputs))
    return compile(f"lambda {names}: {source}", "<expression>", "eval")


def expressions(depth: int = 4, leaves: int = 3) -> SearchStrategy[Expression]:
    """Random expressions of elementwise ops, which share subexpressions.

    Args:
        depth: how many ops lie between an input and the result at most, besides those that bring
            a number into the domain of the next op.
        leaves: how many inputs there are at most.

    Raises:
        OperandError: ``depth`` or ``leaves`` is less than 1.

    >>> from hypothesis import find
    >>> from tinygrad_edu.testing import expressions
    >>> find(expressions(), lambda f: len(f.inputs) == 2)
    Expression(source='x0 + x1', inputs=(0.0, 0.0))
    """
    if depth < 1 or leaves < 1:
        raise OperandError(
            f"expressions have a depth of 1 or more and 1 leaf or more, not {depth} and {leaves}"
        )
    return _expressions(depth, leaves)


@st.composite
def _expressions(draw: DrawFn, depth: int, leaves: int) -> Expression:
    drawing = _Drawing(draw, leaves)
    root = drawing.result(depth)
    return Expression(_source(root), tuple(leaf.value for leaf in drawing.leaves))


@dataclass(frozen=True, eq=False)
class _Term:
    """An input (a name), a constant (neither name nor op), or the result of an op."""

    value: float
    depth: int = 0
    name: str = ""
    op: Op | None = None
    operands: tuple[_Term, ...] = ()


class _Drawing:
    """An expression that is being drawn: its inputs, and the results there are to share."""

    def __init__(self, draw: DrawFn, leaves: int) -> None:
        self.draw, self.most = draw, leaves
        self.leaves: list[_Term] = []
        self.results: list[_Term] = []

    def result(self, depth: int) -> _Term:
        """The result of a random op, of at most this depth."""
        op, domains = self.draw(ops(self.draw(st.sampled_from(ARITIES))))
        switches = [i for i, domain in enumerate(domains) if all(a == b for a, b in domain)]
        rest = [i for i in range(op.arity) if i not in switches]
        varying = self.draw(st.sampled_from(rest))  # so that not all of the operands are constant
        operands = tuple(
            self.constant(domain)
            if i in switches
            else self.operand(domain, depth - 1, may_be_constant=i != varying)
            for i, domain in enumerate(domains)
        )
        term = _applied(op, *operands)
        self.results.append(term)
        return term

    def operand(self, domain: Domain, depth: int, may_be_constant: bool) -> _Term:
        """Something whose value is in a domain."""
        kinds = ["input", "shared", "shared", "result", "result"] + ["constant"] * may_be_constant
        kind = self.draw(st.sampled_from(kinds))
        if kind == "constant":
            return self.constant(domain)
        if kind == "result" and depth > 0:
            return self.moved_into(domain, self.result(depth))
        known = [term for term in self.results if term.depth <= depth] or self.leaves
        if known and (kind == "shared" or len(self.leaves) == self.most):
            return self.moved_into(domain, self.draw(st.sampled_from(known)))
        leaf = _Term(self.number(domain), name=f"x{len(self.leaves)}")
        self.leaves.append(leaf)
        return leaf

    def constant(self, domain: Domain) -> _Term:
        return _Term(self.number(domain))

    def number(self, domain: Domain) -> float:
        drawn = self.draw(numbers(domain))
        short = round(drawn, 2) + 0.0  # which is 0.0 for -0.0 too
        return short if _contains(domain, short) else drawn

    def moved_into(self, domain: Domain, term: _Term) -> _Term:
        """A term itself if its value is in a domain, else a function of it that is."""
        if _contains(domain, term.value):
            return term
        low, high = self.draw(st.sampled_from([(a, b) for a, b in domain if a < b]))
        middle, half = round((low + high) / 2, 4), round((high - low) / 2, 4)
        # Unlike tanh, a sine does not saturate: a gradient that is wrong below it still shows.
        wave = _applied(multiply, _Term(half), _applied(sin, term))
        moved = _applied(add, _Term(middle), wave) if middle else wave
        return replace(moved, depth=term.depth)


def _contains(domain: Domain, x: float) -> bool:
    return any(low <= x <= high for low, high in domain)


def _applied(op: Op, *operands: _Term) -> _Term:
    value = float(op(*(term.value for term in operands)))
    return _Term(value, 1 + max(term.depth for term in operands), op=op, operands=operands)


def _source(root: _Term) -> str:
    """A term as Python, in which what is used more than once has a name."""
    uses = Counter(operand for term in _terms(root) for operand in term.operands)
    names: dict[_Term, str] = {}

    def written(term: _Term, binding: int = 0) -> str:
        """It as an operand of what binds so tightly."""
        if term.op is None:
            text = term.name or repr(term.value)
            return f"({text})" if text.startswith("-") and binding > SIGN else text
        if term in names:
            return names[term]
        symbol, own = INFIX.get(term.op.name, ("", 0))
        if symbol:
            # a - b - c is (a - b) - c, but a ** b ** c is another thing than (a ** b) ** c.
            left, right = (written(x, own + (i or own == 4)) for i, x in enumerate(term.operands))
            text = f"{left} {symbol} {right}"
        else:
            text = f"{term.op.name}({', '.join(map(written, term.operands))})"
        if uses[term] > 1:
            names[term] = f"t{len(names)}"
            return f"({names[term]} := {text})"
        return f"({text})" if symbol and own < binding else text

    return written(root)


def _terms(root: _Term) -> set[_Term]:
    found: set[_Term] = set()
    ahead = [root]
    while ahead:
        term = ahead.pop()
        if term not in found:
            found.add(term)
            ahead += term.operands
    return found
