"""A plugin of pytest: what a gradient check that failed leaves behind to look at and to run.

The graph of the op to blame goes into an SVG, and the terminal says where it is and which line of
Python fails in the same way. With Hypothesis both are of the simplest example.
"""

from __future__ import annotations

import inspect
import re
import shlex
import sys
import tempfile
import warnings
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.errors import GradientMismatchError
from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops.declare import Op
from tinygrad_edu.testing.gradcheck import gradcheck
from tinygrad_edu.testing.source import source

TITLE = "gradient mismatch"
MOST_PRINTED = 100  # numbers


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add a section to the report of a test that failed for a wrong gradient."""
    report = yield
    if call.excinfo is not None and report.failed:
        for i, error in enumerate(_mismatches(call.excinfo.value)):
            report.sections.append((TITLE, "\n".join(_lines(item, error, i))))
    return report


def _mismatches(error: BaseException) -> list[GradientMismatchError]:
    """The mismatches with a graph among an error, what caused it, and what it is a group of."""
    found: dict[Node, GradientMismatchError] = {}
    seen: set[int] = set()
    ahead: list[BaseException | None] = [error]
    while ahead:
        e = ahead.pop(0)
        if e is None or id(e) in seen:
            continue
        seen.add(id(e))
        if isinstance(e, GradientMismatchError) and isinstance(e.graph, Node):
            found[e.graph] = e  # of several with the same graph, the one that was raised first
        ahead += [e.__cause__, e.__context__]
        if isinstance(e, BaseExceptionGroup):
            ahead += e.exceptions
    return list(found.values())


def _lines(item: pytest.Item, error: GradientMismatchError, i: int) -> Iterator[str]:
    """What is printed: where the picture is, and what to run."""
    assert isinstance(error.graph, Node)
    name = re.sub(r"[^\w.-]+", "-", item.nodeid)[-80:].strip("-")
    key = zlib.crc32(f"{item.nodeid} {i}".encode())  # names that were cut short may be the same
    try:
        path = _folder(item.config) / f"{name}-{key:08x}.svg"
        _draw(error.graph, path)
        yield f"The op to blame, drawn: {path}"
    except Exception as trouble:  # whatever it is, the test has failed for another reason
        yield f"The op to blame could not be drawn: {type(trouble).__name__}: {trouble}"
    yield "The same failure from a line of Python:"
    try:
        yield from (f"    {line}" for line in reproduction(error))
    except Exception as trouble:
        yield f"    (it could not be written: {type(trouble).__name__}: {trouble})"
    yield "and from the test:"
    yield f"    pytest {shlex.quote(item.nodeid)}"


def _folder(config: pytest.Config) -> Path:
    """Where pictures go: beside a report that is being written, else into pytest's cache."""
    for option in ("xmlpath", "htmlpath"):  # of --junitxml, and of --html of pytest-html
        report = getattr(config.option, option, None)
        if report:
            folder = (config.invocation_params.dir / Path(report).expanduser()).parent
            folder.mkdir(parents=True, exist_ok=True)
            return folder
    cache = getattr(config, "cache", None)
    return Path(tempfile.mkdtemp()) if cache is None else cache.mkdir("tinygrad-edu")


def _draw(graph: Node, path: Path) -> None:
    import viz

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the test may turn them into errors
        viz.draw(graph).save(path)


# The line of Python


def reproduction(error: GradientMismatchError) -> list[str]:
    """Lines of Python that check the op to blame, by itself, at the inputs it had.

    Args:
        error: one with a ``graph``, which is the op alone, on leaves.
    """
    node: Any = error.graph
    if any(isinstance(x, Node) and x.op is not None for x in node.inputs):
        (node,) = node.inputs  # the root is the sum of what the op made
    nodes = [x for x in node.inputs if isinstance(x, Node)]
    arrays = [x for x in map(plain, node.inputs) if isinstance(x, np.ndarray)]
    if sum(x.size for x in arrays) > MOST_PRINTED:
        shapes = " and ".join(str(x.shape) for x in arrays)
        return [f"# none: the operands of {node.op.name} are too large to print: {shapes}"]
    name, imports = _name(node.op)
    names = {x: f"x{i}" for i, x in enumerate(dict.fromkeys(x for x in nodes if x.requires_grad))}
    empty = inspect.Parameter.empty
    attrs = {
        key: value
        for key, value in (node.attrs or {}).items()
        if node.op.defaults[key] is empty or source(value) != source(node.op.defaults[key])
    }
    function = name
    if attrs or node.op.variadic or len(names) < len(node.inputs):
        operands = ", ".join(
            names[x] if isinstance(x, Node) and x in names else source(plain(x))
            for x in node.inputs
        )
        operands = f"[{operands}]" if node.op.variadic else operands
        options = "".join(f", {key}={source(value)}" for key, value in attrs.items())
        function = f"lambda {', '.join(names.values())}: {name}({operands}{options})"
    defaults = inspect.signature(gradcheck).parameters
    given = [f"{k}={v!r}" for k, v in error.options.items() if v != defaults[k].default]
    return [*imports, f"gradcheck({', '.join([function, *map(source, names), *given])})"]


def _name(op: Op) -> tuple[str, list[str]]:
    """What an op is called in Python, and the imports that this takes."""
    imports = [
        "import numpy as np",
        "import tinygrad_edu as tg",
        "from tinygrad_edu.testing import gradcheck",
    ]
    for prefix, module in (("tg", tg), ("tg.linalg", tg.linalg)):
        if getattr(module, op.name, None) is op:
            return f"{prefix}.{op.name}", imports
    for function in (*op.rules, op.on_arrays):
        home = getattr(function, "__module__", None)
        for name, found in vars(sys.modules[home]).items() if home in sys.modules else ():
            if found is op:
                return name, [*imports, f"from {home} import {name}"]
    return f'OPS["{op.name}"]', [*imports, "from tinygrad_edu.ops.declare import OPS"]
