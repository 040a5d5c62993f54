"""Where a node was made: source lines on request, and the first nan or inf with its origin."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.errors import AnomalyError

if TYPE_CHECKING:
    from tinygrad_edu.graph import Node

# How many blocks of the two kinds below are open anywhere: asked first, since it costs nothing.
watchers = 0

# What is watched for here: nothing, lines only, or anomalies too.
_OFF, _LINES, _ANOMALIES = range(3)
_watching: ContextVar[int] = ContextVar("tinygrad_edu.watching", default=_OFF)


@contextmanager
def source_lines() -> Iterator[None]:
    """Within it every operation takes down the line of source that called it, in ``node.line``.

    A page of the graph then shows the line that made each node. Finding the line takes longer than
    many an operation, so it is done only here and in ``detect_anomaly``.

    >>> from tinygrad_edu import Value, source_lines
    >>> with source_lines():
    ...     y = Value(2.0) * 3
    >>> file, colon, number = y.line.rpartition(":")
    >>> number.isdigit()
    True
    """
    # An outer block that looks for anomalies goes on doing so.
    with _watch(max(_LINES, _watching.get())):
        yield


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Within it, the first nan or inf of a forward or backward pass raises, and names its origin.

    Every operation looks at its result and takes down the line of source that called it, which
    slows a model down; use it to find a fault.

    >>> from tinygrad_edu import Tensor, detect_anomaly
    >>> x = Tensor([0.0, 1.0], requires_grad=True)
    >>> with np.errstate(divide="ignore"), detect_anomaly():  # doctest: +ELLIPSIS
    ...     y = x.sqrt().sum()
    ...     y.backward()
    Traceback (most recent call last):
      ...
    tinygrad_edu.errors.AnomalyError: the backward of sqrt, called at ..., gave inf in the ...
    """
    with _watch(_ANOMALIES):
        yield


@contextmanager
def _watch(what: int) -> Iterator[None]:
    global watchers
    watchers += 1
    token = _watching.set(what)
    try:
        yield
    finally:
        _watching.reset(token)
        watchers -= 1


def look_at_result(node: Node, op_name: str) -> None:
    """Take down where an operation was called; raise if its result is not finite."""
    watching = _watching.get()
    if watching == _OFF:
        return
    node.line = _calling_line()
    if watching == _ANOMALIES and (found := _not_finite(node.data)):
        raise _anomaly(node, f"{op_name}{_place(node)} gave {found}")


def look_at_gradients(node: Node, pending: dict[Node, Any]) -> None:
    """Raise if what the rules of ``node`` passed back is not finite."""
    if _watching.get() != _ANOMALIES or node.op is None:
        return
    for x in node.inputs:
        if getattr(x, "requires_grad", False) and x in pending:
            gradient = pending[x]
            if found := _not_finite(getattr(gradient, "data", gradient)):
                label = f" {x.label!r}" if x.label else ""
                raise _anomaly(
                    node,
                    f"the backward of {node.op.name}{_place(node)} gave {found} in the gradient of"
                    f" {type(x).__name__}{label}",
                )


def _anomaly(node: Node, message: str) -> AnomalyError:
    error = AnomalyError(message)
    error.graph = node
    return error


def _not_finite(data: Any) -> str:
    """What is wrong with the numbers, if anything: "nan" or "inf"."""
    if np.isnan(data).any():
        return "nan"
    return "" if np.isfinite(data).all() else "inf"


def _place(node: Node) -> str:
    """The module and the line that made a node."""
    line = readable(getattr(node, "line", ""))
    return (f" in {node.scope}" if node.scope else "") + (f", called at {line}," if line else "")


def readable(line: str) -> str:
    """A node's ``line``, and of a notebook the cell: IPython's file for it is one of a hash."""
    file, _, number = line.rpartition(":")
    ipython: Any = sys.modules.get("IPython")  # where that is not imported, nothing runs in it
    shell = ipython and ipython.get_ipython()
    cell = shell and shell.compile.format_code_name(file)
    return f"{cell[1]}, line {number}" if cell else line


def _calling_line() -> str:
    """The innermost line of source outside of this library; on our command line there is none."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(module := frame.f_globals.get("__name__", "")):
        if module.startswith("tinygrad_edu.cli."):
            return ""
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("tinygrad_edu", "nn", "contextlib")
