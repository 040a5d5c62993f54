"""From the drawing model to DOT source, and from there, by a layout engine, to SVG or PNG.

Whatever people can name (labels, ops, modules) goes into HTML-like labels and through one escape
function. The engine is the graphviz-pure program, which pip installs, or the system's dot.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import sysconfig
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import graphviz

from tinygrad_edu import TinygradError
from viz.graph import CONSTANTS, Arrow, Box, Picture, number, repeated
from viz.scale import LIGHT, Scale, Theme, is_exploded

Direction = Literal["LR", "TB"]
Format = Literal["svg", "png", "json0"]

LONGEST_LABEL = 40
# Where arrows leave and enter boxes.
PORTS = {"LR": "ew", "TB": "sn"}
# Arrows for each box from which on they are drawn straight.
MANY = 4
FONT, FONT_SIZE = "Helvetica", 11

# What XML cannot hold: control characters, lone surrogates, two non-characters.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class LayoutError(TinygradError, RuntimeError):
    """The layout engine failed, or there is none."""


def to_dot(picture: Picture, direction: Direction = "LR", theme: Theme = LIGHT) -> str:
    """The DOT source of a picture.

    Args:
        picture: what to draw.
        direction: where the root is: to the right (``"LR"``) or at the bottom (``"TB"``).
        theme: its colours.
    """
    # That of a module drawn as one box is a norm, which in a graph of Values has no colour.
    norms = () if picture.signed else (b.gradient for b in picture.boxes if b.kind == "module")
    scale = Scale.of((*picture.gradients, *norms), picture.signed, theme)
    whole = graphviz.Digraph("computation graph")
    whole.attr(
        "graph",
        rankdir=direction,
        fontname=FONT,
        fontcolor=theme.muted,
        fontsize="9",
        bgcolor=theme.paper,
        pad="0.2",
        nodesep="0.22",
        ranksep="0.45",
        labelloc="b",
        labeljust="l",
        label=legend(scale, picture.signed, _notes(picture, scale)),
    )
    whole.attr(
        "node",
        shape="box",
        style="rounded,filled",
        fontname=FONT,
        fontsize=str(FONT_SIZE),
        fontcolor=theme.ink,
        color=theme.line,
        fillcolor=theme.paper,
        penwidth="0.9",
        margin="0.09,0.05",
        width="0",
        height="0",
    )
    whole.attr(
        "edge",
        fontname=FONT,
        fontsize="9",
        fontcolor=theme.ink,
        color=theme.line,
        penwidth="0.9",
        arrowsize="0.55",
    )
    if len(picture.arrows) > MANY * len(picture.boxes):
        # Curves around one another would only tangle: straight, and from side to side.
        whole.attr("graph", splines="line", ranksep="1.6")
        whole.attr("edge", **dict(zip(("tailport", "headport"), PORTS[direction], strict=True)))
    clusters = {"": whole}
    for i, path in enumerate(picture.groups):
        clusters[path] = graphviz.Digraph(
            f"cluster_{i}", graph_attr=_group_style(path, picture, theme)
        )
    for box in picture.boxes:
        clusters[box.group].node(
            box.name, label=_label(box, scale), **style_of(box, picture, scale)
        )
    for path in reversed(picture.groups):  # the inner ones first: a subgraph is copied in
        clusters[_parent(path)].subgraph(clusters[path])
    for arrow in picture.arrows:
        whole.edge(arrow.tail, arrow.head, **_arrow_style(arrow))
    return str(whole.source)


def lay_out(source: str, form: Format, dpi: int | None = None) -> bytes:
    """Have the layout engine draw DOT source.

    Args:
        source: DOT source.
        form: ``"svg"``, ``"png"``, or ``"json0"`` for places alone.
        dpi: dots per inch, for PNG.

    Raises:
        LayoutError: there is no engine, or it failed; the message has what it said.
    """
    command = [engine(), "-q", f"-T{form}", *([f"-Gdpi={dpi}"] if dpi else [])]
    done = subprocess.run(command, input=source.encode(), capture_output=True, check=False)
    if done.returncode or not done.stdout:
        said = done.stderr.decode(errors="replace").strip() or "it said nothing"
        raise LayoutError(f"{Path(command[0]).name} failed with code {done.returncode}: {said}")
    return done.stdout


def engine() -> str:
    """The path of the layout engine: that of this Python environment, or else one on PATH.

    Raises:
        LayoutError: there is none.
    """
    for folder in (str(Path(sys.executable).parent), sysconfig.get_path("scripts")):
        if found := shutil.which("graphviz-pure", path=folder):
            return found
    found = shutil.which("graphviz-pure") or shutil.which("dot")
    if found is None:
        raise LayoutError("no layout engine was found: pip install graphviz-pure")
    return found


def escape(text: str) -> str:
    r"""Text of any origin as the inside of an HTML-like label.

    Such labels are XML in which DOT still reads backslash escapes, ``\N`` being a node's name.

    >>> escape('a < "b" \\N')
    'a &lt; &quot;b&quot; \\\\N'
    """
    return html.escape(_NOT_XML.sub("", text)).replace("\\", "\\\\")


def shortened(text: str) -> str:
    r"""A label as one line of a width that a picture has room for.

    >>> shortened("a\nb"), len(shortened(1000 * "x"))
    ('a b', 40)
    """
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LABEL else line[: LONGEST_LABEL - 1] + "…"


def _label(box: Box, scale: Scale) -> str:
    """A box's content: its name and op, then a table of captions and texts."""
    if box.kind == "number":
        return f'<<FONT POINT-SIZE="9" COLOR="{scale.theme.ink}">{escape(box.rows[0][1])}</FONT>>'
    title = _title(box)
    lines = [_cells(title, "")] if title else []
    rows = dict(box.rows)
    if "dtype" in rows:
        rows["shape"] += f" {rows.pop('dtype')}"
    lines += [_cells(escape(caption), escape(shortened(text))) for caption, text in rows.items()]
    if scale.is_vanished(box.gradient) or is_exploded(box.gradient):
        lines.append(_cells("", "exploded" if is_exploded(box.gradient) else "vanished"))
    return table(lines)


def _title(box: Box) -> str:
    label, op = escape(shortened(box.label)), escape(shortened(box.op))
    if not label and box.kind in {"parameter", "array"}:
        return f"<I>{box.kind}</I>"
    parts = [f"<B>{label}</B>" if label else "", op]
    # The engine has no widths for letters beyond ASCII and takes them for spaces: make room.
    room = "&#160;" * round(0.9 * sum(map(_width, label + op)))
    return " = ".join(part for part in parts if part) + room


def _width(letter: str) -> float:
    """How many spaces wider a letter is than the layout engine believes."""
    if letter.isascii():
        return 0
    return 3 if unicodedata.east_asian_width(letter) in "WF" else 1.2


def _cells(left: str, right: str) -> str:
    # Bold text, or text next to text in another font, would get another baseline in its cell.
    if not right:
        return f'<TR><TD ALIGN="LEFT" COLSPAN="2">{left}</TD></TR>'
    return f'<TR><TD ALIGN="LEFT">{left}&#160;</TD><TD ALIGN="RIGHT">{right}</TD></TR>'


def table(lines: Iterable[str]) -> str:
    """An HTML-like label of rows that are markup."""
    rows = "".join(lines)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'


def style_of(box: Box, picture: Picture, scale: Scale) -> dict[str, str]:
    """The DOT attributes of a box: its colours, and a border that tells the special cases."""
    theme = scale.theme
    if box.kind == "more":
        return {"style": "rounded,dashed", "fontcolor": theme.muted, "color": theme.line}
    if box.kind == "module":
        signed = picture.signed or box.gradient is None
        fill, border = (theme.paper, theme.muted) if signed else scale.colours(box.gradient)
        # A border within a border: there is something inside.
        return {"fillcolor": fill, "color": border, "peripheries": "2"}
    if box.kind == "number":
        return {"fillcolor": theme.data, "color": theme.data, "margin": "0.06,0.03"}
    if box.kind in {"data", "array"}:
        return {"fillcolor": theme.data}
    if box.kind == "failure":
        return {"fillcolor": theme.unusable, "color": theme.failed, "penwidth": "3"}
    fill, border = scale.colours(box.gradient)
    style = {"fillcolor": fill, "color": border}
    if box.kind == "parameter":
        style |= {"color": theme.parameter, "penwidth": "2"}
    if not picture.has_gradients:
        return style
    if box.gradient is None:
        style["style"] = "rounded,filled,dashed"
    elif scale.is_vanished(box.gradient):
        style["style"] = "rounded,filled,dotted"
    elif is_exploded(box.gradient):
        style |= {"fillcolor": theme.unusable, "color": theme.ink, "penwidth": "3"}
    return style


def _parent(path: str) -> str:
    return path.rpartition(".")[0]


def _arrow_style(arrow: Arrow) -> dict[str, str]:
    """What stands on an arrow: the local derivative, or for how many arrows it is drawn."""
    if arrow.count > 1:
        return {"label": f" ×{arrow.count} ", "penwidth": "1.6"}
    if arrow.derivative is None:
        return {}
    value = number(arrow.derivative)
    if arrow.formula and arrow.formula != value:
        return {"label": f"<&#160;{escape(shortened(arrow.formula))} = {value}&#160;>"}
    return {"label": f" {value} "}


def _group_style(path: str, picture: Picture, theme: Theme) -> dict[str, str]:
    own = path.rpartition(".")[2]
    times = picture.repeats.get(path, 1)
    name = escape(shortened(own if times == 1 else repeated(own, times))) or "&#160;"
    return {
        "label": f'<<FONT COLOR="{theme.muted}" POINT-SIZE="10"><B>{name}</B></FONT>>',
        "labelloc": "t",
        "style": "rounded,filled",
        "fillcolor": theme.group,
        "color": theme.group_line,
        "penwidth": "0.8",
        "margin": "9",
    }


def legend(scale: Scale, signed: bool, notes: Iterable[str], lines: bool = False) -> str:
    """What the colours mean, of boxes and perhaps of lines, and then some notes."""
    parts = ['<TR><TD HEIGHT="8"></TD></TR>']  # the distance to the graph
    if scale.largest:
        shades = table(_shades(scale, signed, lines))
        parts.append(f'<TR><TD ALIGN="LEFT">{shades[1:-1]}</TD></TR>')
    parts += [f'<TR><TD ALIGN="LEFT">{escape(note)}</TD></TR>' for note in notes]
    return table(parts)


def _shades(scale: Scale, signed: bool, lines: bool) -> list[str]:
    steps = scale.steps()
    named = {steps[0], 0.0, steps[-1]}
    fills = "".join(
        f'<TD WIDTH="22" HEIGHT="14" BGCOLOR="{scale.colours(step)[0]}">'
        f'<FONT COLOR="{scale.theme.ink}">{number(step) if step in named else "&#160;"}</FONT></TD>'
        for step in steps
    )
    meaning = "gradient" if signed else "norm of the gradient"
    rows = [f"<TR>{fills}<TD>&#160;{meaning}; a shade is a factor of 10</TD></TR>"]
    if lines:
        strokes = (f'<TD HEIGHT="4" BGCOLOR="{scale.line(step)}"></TD>' for step in steps)
        rows.append(f"<TR>{''.join(strokes)}</TR>")
    return rows


def _notes(picture: Picture, scale: Scale) -> list[str]:
    """The legend's lines of text."""
    notes = []
    if not picture.has_gradients:
        why = "is not a scalar" if any(map(_takes_gradient, picture.boxes)) else "requires none"
        if any(box.kind == "failure" for box in picture.boxes):
            why = "failed"
        notes.append(f"without gradients: the last node {why}")
    if any(arrow.derivative is not None for arrow in picture.arrows):
        notes.append("on an arrow: ∂result/∂input")
    modules = [box for box in picture.boxes if box.kind == "module"]
    if modules:
        notes.append("two borders: a module; ‖grad‖ is that of its parameters")
    if any(arrow.count > 1 for arrow in picture.arrows):
        notes.append("×n on an arrow: n arrows")
    if picture.repeats or any("×" in box.label for box in modules):
        notes.append("×n after a name: modules in a row, drawn once, with the range of gradients")
    return [*notes, *border_notes(picture, scale), *picture.notes]


def border_notes(picture: Picture, scale: Scale) -> list[str]:
    """What the borders that ``style_of`` gives the boxes mean."""
    drawn = [box for box in picture.boxes if _takes_gradient(box)]
    gradients = [box.gradient for box in drawn] if picture.has_gradients else []
    seen = {
        "thick purple border: parameter": any(box.kind == "parameter" for box in drawn),
        "grey: no gradient needed": any(b.kind in CONSTANTS for b in picture.boxes),
        "dotted border: vanished, 0 or as good as": any(map(scale.is_vanished, gradients)),
        "dashed border: no gradient": None in gradients,
        "thick border: exploded, NaN or infinite": any(map(is_exploded, gradients)),
    }
    return [note for note, is_seen in seen.items() if is_seen]


def _takes_gradient(box: Box) -> bool:
    return box.kind not in CONSTANTS and box.kind not in ("module", "more")
