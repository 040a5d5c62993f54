"""From a line of arithmetic to a graph of Values. The line is parsed, never evaluated as code."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Mapping

from tinygrad_edu.errors import TinygradError, UnknownNameError
from tinygrad_edu.ops import activation
from tinygrad_edu.ops import elementwise as ops
from tinygrad_edu.ops.declare import Op
from tinygrad_edu.value import Value

Number = Value | float

OPERATORS: dict[type[ast.AST], Op] = {
    ast.Add: ops.add,
    ast.Sub: ops.subtract,
    ast.Mult: ops.multiply,
    ast.Div: ops.divide,
    ast.Pow: ops.power,
    ast.USub: ops.negative,
}
FUNCTIONS: dict[str, Op] = {
    op.name: op
    for op in (
        ops.exp,
        ops.log,
        ops.sqrt,
        ops.abs,
        ops.tanh,
        activation.sigmoid,
        activation.relu,
        activation.leaky_relu,
        activation.gelu,
        activation.silu,
        ops.erf,
        ops.maximum,
        ops.minimum,
    )
}


class ExpressionError(TinygradError, ValueError):
    """An expression that is not arithmetic on its variables."""


def evaluate(expression: str, variables: Mapping[str, float]) -> tuple[Value, dict[str, Value]]:
    """The graph of an arithmetic expression.

    Args:
        expression: numbers, the variables' names, ``+ - * / **``, parentheses and FUNCTIONS.
        variables: a number for each name in the expression.

    Returns:
        The Value of the whole, and the leaf Value of each variable.

    Raises:
        ExpressionError: it is something else, or a variable is missing or not used.

    >>> y, leaves = evaluate("tanh(w*x + b)", {"w": 0.5, "x": 2.0, "b": -1.0})
    >>> y.backward()
    >>> y.data, leaves["w"].grad
    (0.0, 2.0)
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        leaves = _leaves(tree, variables)
        result = _build(tree, expression.strip(), leaves)
    except SyntaxError as error:
        raise ExpressionError(f"{expression!r:.60} is not an expression: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise ExpressionError(f"{expression!r:.60} is nested too deeply") from error
    if not isinstance(result, Value):
        raise ExpressionError(f"{expression!r} has no variable, so there is no graph to draw")
    return result, leaves


def assignments(pairs: Iterable[str]) -> dict[str, float]:
    """Numbers by name, from strings such as ``"w=0.5"``.

    >>> assignments(["w=0.5", "x=2"])
    {'w': 0.5, 'x': 2.0}
    """
    values: dict[str, float] = {}
    for pair in pairs:
        name, equals, number = (part.strip() for part in pair.partition("="))
        if not equals or not name.isidentifier():
            raise ExpressionError(f"{pair!r} is no assignment; write name=number, such as w=0.5")
        if name in FUNCTIONS:
            raise ExpressionError(f"{name!r} is a function; give the variable another name")
        if name in values:
            raise ExpressionError(f"{name!r} is given twice")
        try:
            values[name] = float(number)
        except ValueError as error:
            raise ExpressionError(f"{name} must be a number, not {number!r}") from error
    return values


def _leaves(tree: ast.expr, variables: Mapping[str, float]) -> dict[str, Value]:
    """A leaf for each variable of the expression: each has a number, and each number a variable."""
    called = {id(n.func): n.func for n in ast.walk(tree) if isinstance(n, ast.Call)}
    for function in called.values():
        if isinstance(function, ast.Name) and function.id not in FUNCTIONS:
            raise UnknownNameError("function", function.id, FUNCTIONS)
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called}
    if missing := sorted(names - set(variables)):
        raise ExpressionError(
            f"no number for {', '.join(missing)}: add {' '.join(f'{n}=1' for n in missing)}"
        )
    if unused := sorted(set(variables) - names):
        raise ExpressionError(f"the expression does not use {', '.join(unused)}")
    return {name: Value(variables[name], label=name) for name in sorted(names)}


def _build(tree: ast.expr, expression: str, leaves: Mapping[str, Value]) -> Number:
    match tree:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number) if number < 1e308 else math.inf
        case ast.Name(id=name) if name in leaves:
            return leaves[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            operands = (_build(left, expression, leaves), _build(right, expression, leaves))
            return OPERATORS[type(op)](*operands)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _build(operand, expression, leaves)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant() as operand):
            return -float(_build(operand, expression, leaves))  # a negative number, not an op
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_build(operand, expression, leaves))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            function = FUNCTIONS[name]
            if len(args) != function.arity:
                raise ExpressionError(
                    f"{name} takes {function.arity} argument{'s' * (function.arity > 1)},"
                    f" not {len(args)}"
                )
            return function(*(_build(argument, expression, leaves) for argument in args))
    part = ast.get_source_segment(expression, tree)
    raise ExpressionError(
        f"{part!r:.60} is not arithmetic. There are numbers, variables, + - * / **, parentheses and"
        f" {', '.join(sorted(FUNCTIONS))}."
    )
