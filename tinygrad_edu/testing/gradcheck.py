"""Compare the engine's gradients with finite differences.

The finite difference knows nothing of derivative rules: it only evaluates the function. So where
the two agree, the rules, and how the traversal put them together, are right.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from numbers import Real
from operator import methodcaller
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu import trees
from tinygrad_edu.errors import DTypeError, GradientError, GradientMismatchError, OperandError
from tinygrad_edu.graph import Node, enable_grad
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.comparison import SHOWN, Comparison, Loss, Outcome, Tolerance, compare
from tinygrad_edu.testing.locate import Fault, first_fault

NAMES = {1: "gradient", 2: "second derivative"}


class KinkWarning(UserWarning):
    """A gradient was checked at a point where the slopes to its two sides differ."""


class Report(NamedTuple):
    """What a check that passed has looked at.

    Attributes:
        entries: how many numbers the gradients have.
        compared: how many comparisons there were: of entries alone, and of many at once.
        kinks: how many of them were at kinks, where any slope between the two sides' passes.
    """

    entries: int
    compared: int
    kinks: int


def gradcheck(
    f: Callable[..., Any], *inputs: Any, order: int = 1, rtol: float = 1e-6, atol: float = 1e-8
) -> Report:
    """Check that the gradient of ``f`` at ``inputs`` is the one that finite differences see.

    With L = Σ w · f(inputs), each entry x of each input is moved by ever smaller steps h, and the
    central differences (L(x + h) - L(x - h)) / 2h are extrapolated to h = 0 by Ridders' method,
    which also estimates the error that remains. The entry passes where

        |analytic - numeric| ≤ atol + rtol |numeric| + error.

    Of more than 100 entries, those of each larger input are moved together, in random directions.
    Where the slopes on the two sides of the point differ, the gradient is a convention: it passes
    if it lies between them, and a ``KinkWarning`` says so.

    Args:
        f: maps the inputs to a node, or to nested tuples, lists and dicts of nodes. The entries
            of all of them are added up with fixed pseudo-random weights w. It must give the same
            result each time it is called.
        inputs: what to differentiate by: float64 Tensors, Values, float64 ndarrays and Python
            numbers, which reach ``f`` as Tensors; or nested tuples, lists and dicts of these. A
            node that requires no gradient is passed on as it is, and not differentiated by.
        order: 1, or 2 to check second derivatives too: those of Σ v · ∂L/∂input, with fixed
            pseudo-random v.
        rtol: what the gradients may differ by, relative to the numeric one.
        atol: what they may differ by besides.

    Returns:
        How much was compared.

    Raises:
        GradientMismatchError: the gradients differ. The message is a table of the worst entries,
            and names the first op whose own derivative rule is wrong; the error's ``graph`` is
            that op alone, to be drawn. An entry that does not reach the result has the gradient
            0, and that is compared as well.
        DTypeError: an input to differentiate by, or the result, is not of float64.
        GradientError: no input requires a gradient, or ``f`` is not repeatable.
        OperandError: the result is not made of nodes, or ``order`` is another number.

    >>> import numpy as np
    >>> from tinygrad_edu.testing import gradcheck
    >>> gradcheck(lambda x, w: (x @ w).tanh(), np.eye(3), np.array([0.1, -0.2, 0.3]), order=2)
    Report(entries=24, compared=24, kinks=0)
    """
    # pytest leaves this function out of the traceback of a mismatch, which is not about it.
    __tracebackhide__ = methodcaller("errisinstance", GradientMismatchError)
    if order not in (1, 2):
        raise OperandError(f"gradcheck checks order=1 or order=2, not {order!r}")
    names = [name for i, x in enumerate(inputs) for name in _names(x, str(i))]
    found = trees.leaves(inputs)
    nodes = [_as_node(x, name) for x, name in zip(found, names, strict=True)]
    chosen = {x: name for x, name in zip(nodes, names, strict=True) if x.requires_grad}
    if not chosen:
        raise GradientError("gradcheck has nothing to differentiate by: no input requires_grad")
    arguments = trees.rebuild(inputs, nodes)
    loss = Loss(lambda: f(*arguments), list(chosen))
    tolerance = Tolerance(rtol, atol)
    titles = [f"{name} {x.label}".rstrip() for x, name in chosen.items()]
    outcomes = []
    with enable_grad():
        for derivative in range(1, order + 1):
            outcome = compare(loss, derivative, tolerance)
            if outcome.wrong:
                fault = first_fault(loss.value(), order, tolerance)
                raise _mismatch(outcome, derivative, titles, fault, tolerance)
            outcomes.append(outcome)
    kinks = [kink for outcome in outcomes for kink in outcome.kinks]
    if kinks:
        warnings.warn(_about(kinks, titles), KinkWarning, stacklevel=2)
    return Report(
        sum(outcome.entries for outcome in outcomes),
        sum(outcome.compared for outcome in outcomes),
        len(kinks),
    )


def _names(tree: Any, name: str) -> list[str]:
    """Where each leaf of an input stands, such as ``0.weights.1``."""
    if isinstance(tree, tuple | list):
        return [leaf for i, part in enumerate(tree) for leaf in _names(part, f"{name}.{i}")]
    if isinstance(tree, dict):
        return [leaf for key, part in tree.items() for leaf in _names(part, f"{name}.{key}")]
    return [name]


def _as_node(x: Any, name: str) -> Any:
    if isinstance(x, Real):
        x = np.array(float(x))
    node = Tensor(x, requires_grad=True) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x
    if not isinstance(node, Node):
        kind = f"ndarray of {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
        raise DTypeError(
            f"input {name} of gradcheck must be a node, a number or a float64 ndarray, not"
            f" {kind}; a constant belongs in f"
        )
    if node.requires_grad and isinstance(node, Tensor) and node.dtype != np.float64:
        raise DTypeError(
            f"input {name} of gradcheck is of {node.dtype}: its rounding would drown the finite"
            " differences, which need float64, as in Tensor(x, dtype=np.float64)"
        )
    return node


# What the message of a failure says.


def _mismatch(
    outcome: Outcome,
    order: int,
    titles: Sequence[str],
    fault: Fault | None,
    tolerance: Tolerance,
) -> GradientMismatchError:
    parts = [
        f"the {NAMES[order]} differs from finite differences at {_amount(outcome)}:",
        _table(outcome.wrong, titles),
        _accusation(fault),
    ]
    error = GradientMismatchError("\n".join(parts))
    if fault is not None:
        error.graph = fault.piece
        error.options = {"order": fault.order, **tolerance._asdict()}
    return error


def _amount(outcome: Outcome) -> str:
    alone = outcome.compared == outcome.entries
    return f"{'' if alone else 'at least '}{len(outcome.wrong)} of {outcome.entries} entries"


def _table(wrong: Sequence[Comparison], titles: Sequence[str]) -> str:
    """The worst comparisons under a heading, in columns."""
    rows = [("input", "index", "analytic", "numeric", "its error", "ratio")]
    for c in wrong[:SHOWN]:
        numeric = c.numeric
        ratio = c.analytic / numeric.slope if numeric.slope else np.inf
        rows.append(
            (
                "several" if c.variable is None else titles[c.variable],
                "together" if c.variable is None else str(c.entry),
                f"{c.analytic:.9g}",
                f"{numeric.slope:.9g}" if numeric.sides is None else _between(c),
                f"{numeric.error:.1e}",
                f"{ratio + 0.0:.4g}",  # no -0
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines + [f"... and {len(wrong) - SHOWN} more"] * (len(wrong) > SHOWN))


def _between(c: Comparison) -> str:
    assert c.numeric.sides is not None
    left, right = c.numeric.sides
    return f"{left:.4g} | {right:.4g}"


def _accusation(fault: Fault | None) -> str:
    """Which op is to blame."""
    if fault is None:
        return (
            "Every op's own rule agrees, so the fault is in how f puts them together: a value taken"
            " out of the graph (.detach(), .data, float()), a number kept from an earlier call, or"
            " less than float64 inside of it."
        )
    node, op = fault.node, fault.node.op
    assert op is not None
    titles = [
        f"{i} {x.label if isinstance(x, Node) else ''}".rstrip() for i, x in enumerate(node.inputs)
    ]
    lines = [
        f"The first op whose own rule disagrees is {op.name}"
        + (f" of {node.scope}" if node.scope else "")
        + f", in its {NAMES[fault.order]}. By itself, at the inputs it had:",
        _table(fault.wrong, [titles[i] for i in fault.positions]),
        "viz.draw(error.graph) draws it.",
    ]
    return "\n".join(lines)


def _about(kinks: Sequence[Comparison], titles: Sequence[str]) -> str:
    places = [
        ("several entries" if c.variable is None else f"{titles[c.variable]} {c.entry}")
        + f": gradient {c.analytic:.4g}, slopes {_between(c)}"
        for c in kinks[:3]
    ]
    more = f" and {len(kinks) - 3} more" if len(kinks) > 3 else ""
    return (
        f"{len(kinks)} of the points are at kinks, where the slopes to the left and right differ"
        f" and the gradient is a convention (input {'; '.join(places)}{more})"
    )
