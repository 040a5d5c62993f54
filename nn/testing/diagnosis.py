"""What isolate reports: faults, a table of all modules, and a script that shows a fault alone."""

from __future__ import annotations

import base64
import html
import pickle
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from nn.errors import ConfigurationError
from nn.module import Module

Array = np.ndarray[Any, Any]

LOSS, INPUT = "(loss)", "(input)"  # paths of what is no module

READABLE = 64  # so many numbers, at most, stand in a script to be read
WIDTH = 88  # of a script's lines


@dataclass(frozen=True)
class Finding:
    """A fault of one module, or of several in a row.

    Attributes:
        path: the module's path, such as ``"features.3.1"``, the first of several; ``""`` for the
            model itself, ``"(loss)"`` and ``"(input)"`` for what is no module.
        kind: what is wrong, as listed at ``isolate``.
        evidence: how that shows, with numbers.
        stack: the smallest part of the model that shows it, a copy: a Sequential, unless the
            module takes several inputs; None for the loss and the input.
        inputs: what the stack was called on.
        gradient: ∂L/∂y of the stack's result y; None if none reaches it.
        last: the path of the last of several modules; else empty.
    """

    path: str
    kind: str
    evidence: str
    stack: Module | None = field(default=None, repr=False)
    inputs: tuple[Any, ...] = field(default=(), repr=False)
    gradient: Array | None = field(default=None, repr=False)
    last: str = ""

    def __str__(self) -> str:
        to = f" to {self.last}" if self.last else ""
        return f"{self.path or 'the model itself'}{to}: {self.kind}. {self.evidence}"

    @property
    def script(self) -> str:
        """A Python script that shows the fault: the stack, its inputs, and ``isolate`` on them.

        Raises:
            ConfigurationError: it is not of a stack, or a class in that cannot be imported.
        """
        if self.stack is None:
            raise ConfigurationError(f"{self.path} is no module, so there is no stack to show")
        data = _literal(self.inputs[0] if len(self.inputs) == 1 else self.inputs)
        back = "" if self.gradient is None else f"gradient = {_literal(self.gradient)}\n"
        loss = ", loss=lambda y: (y * gradient).sum()" if back else ""
        comment = "\n".join(f"# {line}" for line in repr(self.stack).splitlines())
        return (
            f'"""{self.kind} in {self.path or "the model"}, and nothing else of its model."""\n\n'
            "import base64\nimport pickle\nimport zlib\n\nimport numpy as np\n\n"
            "from nn.testing import isolate\n\n\n"
            "def unpacked(text):\n"
            "    return pickle.loads(zlib.decompress(base64.b85decode(text)))\n\n\n"
            f"{comment}\nstack = {_packed(self.stack)}\n"
            f"x = {data}\n{back}\nprint(isolate(stack, x{loss}))\n"
        )


class Row(NamedTuple):
    """One call of a module, in numbers.

    Attributes:
        path: where the module is.
        kind: its class.
        shape: of its result.
        mean: of the entries of its result.
        std: their standard deviation.
        dead: the share of its units that are 0 for the whole batch, though their input is not;
            None if it has nothing of the kind.
        saturated: the share of the results of tanh and sigmoid in it that are 0.99 of the way up
            or down; None if it has none.
        gradient: the norm of ∂L/∂result; None if no gradient reaches it.
        parameters: the norm of ∂L/∂parameters, of those it holds itself; None if it has none.
        note: what was found, or why it could not be checked.
    """

    path: str
    kind: str
    shape: str
    mean: float
    std: float
    dead: float | None
    saturated: float | None
    gradient: float | None
    parameters: float | None
    note: str


@dataclass(frozen=True)
class Diagnosis:
    """What ``isolate`` found: print it, or show it in a notebook.

    Attributes:
        findings: the faults, the one to look at first being the first; empty if there are none.
        rows: every call of a module, in the order in which they returned.
        loss: the value of the loss.
    """

    findings: tuple[Finding, ...]
    rows: tuple[Row, ...]
    loss: float

    @property
    def finding(self) -> Finding | None:
        """The fault to look at first; None if none was found."""
        return self.findings[0] if self.findings else None

    @property
    def path(self) -> str | None:
        """The path of the first faulty module."""
        return None if self.finding is None else self.finding.path

    @property
    def kind(self) -> str | None:
        """What is wrong with it."""
        return None if self.finding is None else self.finding.kind

    @property
    def stack(self) -> Module | None:
        """The smallest part of the model that shows it."""
        return None if self.finding is None else self.finding.stack

    @property
    def script(self) -> str | None:
        """A Python script that shows it; see ``Finding.script``."""
        return None if self.finding is None else self.finding.script

    def __str__(self) -> str:
        lines = [f"loss {self.loss:.6g}", "", *_table(self.rows), ""]
        if not self.findings:
            return "\n".join([*lines, "No fault was found."])
        lines += [f"First fault: {self.findings[0]}"]
        lines += [f"Also: {str(finding).splitlines()[0]}" for finding in self.findings[1:]]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        # JupyterLab shows a bare <pre> in the letters of prose, and columns would not line up.
        return f'<pre style="font-family: monospace">{html.escape(str(self))}</pre>'


def _table(rows: Sequence[Row]) -> list[str]:
    headings = ("module", "", "result", "mean", "std", "dead", "saturated", "‖∂L/∂y‖", "‖∂L/∂θ‖")
    cells: list[tuple[str, ...]] = [(*headings, "found")]
    for row in rows:
        shares = ("" if x is None else f"{x:.0%}" for x in (row.dead, row.saturated))
        norms = ("" if x is None else f"{x:.3g}" for x in (row.gradient, row.parameters))
        numbers = (f"{row.mean:.3g}", f"{row.std:.3g}")
        cells.append((row.path, row.kind, row.shape, *numbers, *shares, *norms, row.note))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < 3 or i == len(line) - 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]


# A script's data.


def _literal(data: Any) -> str:
    """An expression for arrays and numbers: to be read if it is short, else packed."""
    if isinstance(data, np.ndarray) and data.size <= READABLE and np.isfinite(data).all():
        text = np.array2string(
            data, separator=", ", threshold=READABLE, floatmode="unique", max_line_width=WIDTH
        )
        return f"np.array(\n    {text.replace(chr(10), chr(10) + '    ')},\n    np.{data.dtype},\n)"
    if isinstance(data, int | float) or (
        isinstance(data, list | tuple) and all(isinstance(x, int | float) for x in data)
    ):
        return repr(data)
    return _packed(data)


def _packed(data: Any) -> str:
    try:
        pickled = pickle.dumps(data)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ConfigurationError(
            f"there is no script for what cannot be imported ({error}): define its class at the top"
            " of a module"
        ) from error
    text = base64.b85encode(zlib.compress(pickled, 9)).decode()
    lines = "\n".join(f'    "{text[i : i + WIDTH]}"' for i in range(0, len(text), WIDTH))
    return f"unpacked(\n{lines}\n)"
