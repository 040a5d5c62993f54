"""What a graph and its gradients look like in a terminal: tables, bars and trees.

Names come from people, so that nothing in them is markup or a command to the terminal here. Colour
only repeats what the words and numbers say.
"""

from __future__ import annotations

import io
import math
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tinygrad_edu import Failure, MissingExtraError, Node, OperandError, TinygradError
from viz.dot import shortened
from viz.graph import Arrow, Box, Picture, number, survey
from viz.recording import check_model, gradient_of, parameter_groups
from viz.snapshots import Summary

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

# How many characters the longest bar has at least and at most, as the terminal has room for.
_BAR = 8, 32

# How many powers of ten bars show at most.
_DECADES = 12


class Printout:
    """What a terminal shows. ``print`` does, a notebook, and a ``Console`` of rich, in colour."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich__(self) -> RenderableType:
        return self._renderable

    def __str__(self) -> str:
        from rich.console import Console

        width = shutil.get_terminal_size((120, 24)).columns  # 120 if it is no terminal
        console = Console(file=io.StringIO(), width=width, color_system=None, force_jupyter=False)
        with console.capture() as captured:
            console.print(self._renderable)
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    __repr__ = __str__


def neuron_table(model: Any) -> Printout:
    """Every neuron's z, activation and gradients, with bars that compare ∂L/∂z on a log scale.

    Args:
        model: an ``nn.MLP``, ``nn.Layer`` or ``nn.Neuron`` that was called. The gradients are
            those of the last ``backward``.

    Raises:
        GradientError: the model has not been called yet.
        OperandError: the model has no ``table()``.
        MissingExtraError: rich is not installed.

    >>> import nn, viz, numpy as np
    >>> model = nn.MLP(1, [2, 1], "tanh", rng=np.random.default_rng(0))
    >>> ((model([1.0]) - 1) ** 2).backward()
    >>> len(str(viz.text.neuron_table(model)).splitlines())  # with 3 neurons
    8
    """
    _need_rich()
    if isinstance(model, type) or not callable(getattr(model, "table", None)):
        raise OperandError(
            "neuron_table takes a model of neurons that has table(), as nn.MLP, not a"
            f" {type(model).__name__}; gradient_flow takes any model"
        )
    rows = list(model.table())
    bars = _Bars(abs(row.z_grad) for row in rows)
    table = _table(["neuron", "z", "a", "∂L/∂z", "∂L/∂a", "|∂L/∂z|"])
    layer = None
    for row in rows:
        above, name = _split(row.path)
        if (above, row.activation_name) != layer:
            layer = above, row.activation_name
            title = " · ".join(part for part in layer if part)
            table.add_row(_text(title, "bold"), *[""] * 5)
        numbers = row.z, row.activation, row.z_grad, row.activation_grad
        cells = [_text(number(x)) for x in numbers]
        table.add_row(_text(f"  {name}"), *cells, bars.of(abs(row.z_grad)))
    return _below(table, [bars.legend("|∂L/∂z|")])


def gradient_flow(model: Any) -> Printout:
    """How large the gradient of every parameter is, as bars on a log scale.

    Gradients that vanish or explode towards the first layers show as a slope. The Values of neurons
    side by side are taken together. Where something is the matter, it stands in the place of the
    bar: ``frozen``, ``no gradient``, ``all 0``, or how many entries are nan or infinite; the
    numbers are then those of the others.

    Args:
        model: an ``nn.Module``, or what has its ``named_parameters`` and ``named_modules``. The
            gradients are those of the last ``backward``.

    Raises:
        OperandError: the model is no such thing.
        MissingExtraError: rich is not installed.

    >>> import nn, numpy as np
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    >>> model(np.ones((4, 2), np.float32)).mean().backward()
    >>> print(str(gradient_flow(model)).split()[:4])
    ['parameter', 'shape', 'mean', '|g|']
    """
    _need_rich()
    check_model("gradient_flow", model)
    groups = parameter_groups(model)
    gradients = {path: gradient_of(group) for path, group in groups.items()}
    found = {path: None if g is None else Summary.of(g) for path, g in gradients.items()}
    bars = _Bars(x.mean_abs for x in found.values() if x is not None)
    table = _table(["parameter", "shape", "mean |g|", "max |g|", "mean |g|"])
    for path, group in groups.items():
        summary = found[path]
        shape = tuple(np.shape(group[0].data)) if len(group) == 1 else (len(group),)
        sizes = ("–", "–") if summary is None else (summary.mean_abs, summary.max_abs)
        table.add_row(
            _text(_path(path)),
            _text(" × ".join(map(str, shape)) or "1"),
            *(_text(x if isinstance(x, str) else number(x)) for x in sizes),
            _bar_or_remark(summary, any(p.requires_grad for p in group), bars),
        )
    return _below(table, [bars.legend("mean |g|")])


def tree(
    node: Node | Failure,
    *,
    gradient: Any = None,
    names: Mapping[str, Any] | None = None,
    depth: int = 12,
    nodes: int = 200,
) -> Printout:
    """The graph that ends in ``node``, as a tree: below each result stand its inputs.

    Each line has how the node was made, its label, data or shape, its gradient ∂node/∂line, and
    the module it was made in, where that is not the one of the line above. Between Values, a branch
    has the local derivative ∂result/∂input. What goes into several results stands in one place,
    with a number, to which the other places point. No ``grad`` is read or changed.

    Args:
        node: a Value or Tensor, usually a loss; or an error's ``graph``.
        gradient: as for ``draw``.
        names: as for ``draw``.
        depth: how many levels to show below ``node``.
        nodes: how many nodes to show at most, those nearest to ``node``. What is left out is
            counted where it would be.

    Raises:
        GradientError: the graph was released, or ``gradient`` does not fit.
        OperandError: ``node`` is not a node of a graph.
        TextError: ``depth`` is negative, or ``nodes`` not positive.
        MissingExtraError: rich is not installed.

    >>> from tinygrad_edu import Value
    >>> x, w = Value(2.0, label="x"), Value(-0.5, label="w")
    >>> print(tree((w * x).tanh()))
    tanh: data -0.7616, grad 1
    └─(0.42) ×: data -1, grad 0.42
      ├─(2) w: data -0.5, grad 0.8399
      └─(-0.5) x: data 2, grad -0.21
    (…) on a branch: ∂result/∂input
    """
    _need_rich()
    _check("depth", depth, 0)
    _check("nodes", nodes, 1)
    shown = survey(node, gradient, names).picture
    return _lines([*_Tree(shown, depth, nodes).texts(), *_notes(shown)])


class TextError(TinygradError, ValueError):
    """An option of a text that is out of range."""


def _need_rich() -> None:
    try:
        import rich  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("viz.text", "rich", "train") from error


def _check(name: str, value: Any, low: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise TextError(f"{name} of a tree must be an integer of at least {low}, not {value!r}")


# Text of any origin.


def _escaped(text: str) -> str:
    r"""A name as one line, with escapes for what commands a terminal or turns its direction.

    >>> _escaped("\x1b[31m red\n")
    '\\x1b[31m red\\n'
    """
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _printable(text: str) -> str:
    """The same for a label, which may be long."""
    return shortened(_escaped(text))


def _text(content: str, style: str = "") -> Text:
    """A Text in which rich finds no markup."""
    from rich.text import Text

    return Text(content, style=style)


def _lines(lines: Iterable[Text]) -> Printout:
    from rich.console import Group

    return Printout(Group(*lines))


def _below(table: Table, notes: Sequence[str]) -> Printout:
    from rich.console import Group

    return Printout(Group(table, *(_text(note, "dim") for note in notes if note)))


def _table(columns: Sequence[str]) -> Table:
    """A table of names, then numbers, then bars, which give way to the others."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    bars = len(columns) - 1
    for i, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if 0 < i < bars else "left"
        table.add_column(_text(column), justify=justify, no_wrap=i < bars)
    return table


def _path(path: str) -> str:
    """A path; of a long one the beginning and the end.

    >>> _path("encoder.layers.11.self_attention.out_proj.weight")
    'encoder.…ttention.out_proj.weight'
    """
    whole = _escaped(path) or "(model)"
    return whole if len(whole) <= 33 else f"{whole[:8]}…{whole[-24:]}"


def _split(path: str) -> tuple[str, str]:
    """The layer and the name of a neuron: ``layers.0`` and ``neurons.3``.

    >>> _split("layers.0.neurons.3"), _split("")
    (('layers.0', 'neurons.3'), ('', '(model)'))
    """
    parts = _escaped(path).split(".")
    return ".".join(parts[:-2]), ".".join(parts[-2:]) or "(model)"


# Bars.


class _Bars:
    """Bars whose length is the logarithm of a size, between two powers of ten."""

    def __init__(self, sizes: Iterable[float]) -> None:
        positive = [x for x in sizes if 0 < x < math.inf]
        self.high = math.floor(math.log10(max(positive))) + 1 if positive else 0
        self.low = math.floor(math.log10(min(positive))) if positive else 0
        self.low = max(self.low, self.high - _DECADES)

    def of(self, size: float) -> RenderableType:
        """The bar of a size, or a word for what has no logarithm."""
        if not 0 < size < math.inf:
            return _text(number(size))
        return _Bar((math.log10(size) - self.low) / (self.high - self.low))

    def legend(self, what: str) -> str:
        """What the bars show; nothing, if there are none."""
        if self.high == self.low:
            return f"{what} is nowhere a positive number: were gradients computed?"
        return f"bars: {what} on a log scale, none at 1e{self.low} and full at 1e{self.high}"


class _Bar:
    """A bar over a share of the width that there is for it."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement(*_BAR)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        full, eighths = divmod(max(1, round(8 * options.max_width * self.share)), 8)
        yield _text("█" * full + " ▏▎▍▌▋▊▉"[eighths].strip())


def _bar_or_remark(summary: Summary | None, learns: bool, bars: _Bars) -> RenderableType:
    if summary is None:
        return "no gradient" if learns else "frozen"
    if summary.nonfinite:
        return f"{summary.nonfinite:,} nan or infinite"
    return "all 0" if summary.zero_share == 1 else bars.of(summary.mean_abs)


# Trees.


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a tree.

    Attributes:
        kind: a node; a pointer to the place of one; or what is left out.
        name: of the box; of what is left out, that of the result it goes into.
        branch: what stands before it.
        indent: what stands before the branches of its inputs.
        group: the module that the line above it is in.
    """

    kind: Literal["node", "pointer", "left out"]
    name: str
    branch: str
    indent: str
    group: str


class _Tree:
    """A picture's graph as a tree from the root down.

    A node stands below a result that is as near to the root as any it goes into. So what is left
    out is what is farthest away, and no deep place hides what a shallow one has room for.
    """

    def __init__(self, shown: Picture, depth: int, nodes: int) -> None:
        self.boxes = {box.name: box for box in shown.boxes}
        self.inputs: dict[str, list[Arrow]] = {name: [] for name in self.boxes}
        for arrow in shown.arrows:
            self.inputs[arrow.head].append(arrow)
        self.root = shown.boxes[-1].name
        self.level = {self.root: 0}  # of the nodes that are shown
        self.branches: set[int] = set()  # the ids of the arrows that are branches
        queue = deque([self.root])
        while queue:
            name = queue.popleft()
            for arrow in self.inputs[name] if self.level[name] < depth else ():
                if arrow.tail not in self.level and len(self.level) < nodes:
                    self.level[arrow.tail] = self.level[name] + 1
                    self.branches.add(id(arrow))
                    queue.append(arrow.tail)
        self.left_out = self._count_left_out()

    def _count_left_out(self) -> dict[str, int]:
        """How many nodes are left out, each counted once, by the shown result that they go into."""
        counts: dict[str, int] = {}
        counted = set(self.level)
        for name in self.level:
            before, stack = len(counted), [name]
            while stack:
                tails = {arrow.tail for arrow in self.inputs[stack.pop()]} - counted
                counted |= tails
                stack += tails
            counts[name] = len(counted) - before
        return counts

    def texts(self) -> list[Text]:
        """Its lines as they read."""
        lines = self._lines()
        places = {line.name: i for i, line in enumerate(lines) if line.kind == "node"}
        pointed = sorted({places[line.name] for line in lines if line.kind == "pointer"})
        numbers = {lines[place].name: i for i, place in enumerate(pointed, 1)}
        texts = []
        for i, line in enumerate(lines):
            box = self.boxes[line.name]
            text = _text("")
            text.append(line.branch, "dim")
            if line.kind == "left out":
                text.append(_more(self.left_out[line.name]))
            elif line.kind == "pointer":
                arrow = "↑" if places[line.name] < i else "↓"
                text.append(f"{_title(box)} {arrow} see #{numbers[line.name]}")
            else:
                text.append(_title(box), "bold")
                text.append(_facts(box, line.group))
                if line.name in numbers:
                    text.append(f"  #{numbers[line.name]}", "bold")
            text.no_wrap, text.overflow = True, "ellipsis"
            texts.append(text)
        return texts

    def _lines(self) -> list[_Line]:
        lines = []
        stack = [_Line("node", self.root, "", "", "")]
        while stack:
            line = stack.pop()
            lines.append(line)
            if line.kind == "node":
                stack += reversed(self._below(line))
        return lines

    def _below(self, line: _Line) -> list[_Line]:
        """A line for each input that is shown, and one for what is left out."""
        arrows = self.inputs[line.name]
        shown = [arrow for arrow in arrows if arrow.tail in self.level]
        rest = len(shown) < len(arrows)
        group = self.boxes[line.name].group
        lines = []
        for i, arrow in enumerate(shown):
            last = i == len(shown) - 1 and not rest
            slope = "" if arrow.derivative is None else f"({number(arrow.derivative)})"
            branch = f"{line.indent}{'└' if last else '├'}─{slope} "
            indent = line.indent + ("  " if last else "│ ")
            kind: Literal["node", "pointer"] = "node" if id(arrow) in self.branches else "pointer"
            lines.append(_Line(kind, arrow.tail, branch, indent, group))
        if rest:
            lines.append(_Line("left out", line.name, f"{line.indent}└─ ", "", group))
        return lines


def _title(box: Box) -> str:
    """What a node is: its label and its op, or what kind of leaf."""
    if box.kind == "number":
        return box.rows[0][1]
    parts = [_printable(part) for part in (box.label, box.op) if part]
    return " = ".join(parts) or box.kind


def _facts(box: Box, group: str) -> str:
    """What is known of a node, and the module it is in, if it is not that of the line above."""
    bare = {"shape", "dtype"}  # which say of themselves what they are
    rows = () if box.kind == "number" else box.rows
    facts = [_printable(text if caption in bare else f"{caption} {text}") for caption, text in rows]
    if box.group != group and box.kind not in {"data", "number", "array"}:
        facts.append(f"in {_escaped(box.group) or '(model)'}")
    return f": {', '.join(facts)}" if facts else ""


def _more(count: int) -> str:
    if not count:
        return "… nodes that are counted elsewhere"
    return f"… {count:,} more node{'s' * (count > 1)}"


def _notes(shown: Picture) -> list[Text]:
    notes = []
    if any(arrow.derivative is not None for arrow in shown.arrows):
        notes.append("(…) on a branch: ∂result/∂input")
    if not shown.has_gradients:
        notes.append("without gradients: the last node failed, needs none or is no scalar")
    return [_text(note, "dim") for note in notes]
