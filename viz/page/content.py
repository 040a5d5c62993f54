"""Everything that a page shows, as plain lists, texts and numbers that JSON can hold.

Taken from a graph once: numbers, gradients, the steps of the traversal, and where each box is.
"""

from __future__ import annotations

import base64
import linecache
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_edu import Node, Value
from tinygrad_edu.anomaly import readable
from tinygrad_edu.formulas import (
    Formula,
    gradient_formula,
    javascript_forward,
    javascript_functions,
    operand_names,
)
from viz.dot import Direction
from viz.graph import Box, Picture, known_operands, options, size, survey
from viz.page.layout import Inside, Size, insides
from viz.page.steps import backward_steps
from viz.scale import DECADES, EXPLODED, THEMES, VANISHED, Scale

Content = dict[str, Any]

# A tensor of so many entries is shown in full; a larger one as a histogram and a heat map.
MOST_ENTRIES = 48
BINS = 24
SHADES = 25
# Rows and columns of a heat map at most; a larger array is shown at evenly spaced entries.
RESOLUTION = 32
# With more modules and boxes than this in sight, modules begin closed.
MOST_OPEN = 60
# A graph of Values with more nodes than this is not recomputed while a number is dragged.
MOST_LIVE = 2000

LINE_HEIGHT, LETTER_WIDTH, LONGEST = 15.0, 6.6, 26
BOLD = 1.1  # how much wider bold letters are


def content(
    root: Node,
    gradient: Any,
    direction: Direction,
    recorder: Any = None,
    names: Mapping[str, Any] | None = None,
) -> Content:
    """What a page of the graph that ends in ``root`` shows; see ``viz.page``."""
    taken = survey(root, gradient, names)
    picture = taken.picture
    index = {box.name: i for i, box in enumerate(picture.boxes)}
    nodes = {index[name]: node for node, name in taken.names.items()}
    index_of = {node: i for i, node in nodes.items()}
    called = _names(picture, nodes, root)
    rules = _Rules()
    boxes = []
    for i, box in enumerate(picture.boxes):
        node = nodes.get(i)
        gradient_of = (taken.gradients or {}).get(node) if node is not None else None
        boxes.append(_box(box, called[i], node, gradient_of, rules))
    for number_of_arrow, arrow in enumerate(picture.arrows):
        head, tail = boxes[index[arrow.head]], boxes[index[arrow.tail]]
        if tail["kind"] == "number":
            position = head["operands"][len(head["arrows"])]
            tail["data"] = exact(float(nodes[index[arrow.head]].inputs[position]))
        head["arrows"].append(number_of_arrow)
    if recorder is not None:
        for path, parameter in recorder.model.named_parameters():
            if parameter in index_of:
                boxes[index_of[parameter]]["parameter"] = path
    modules = _modules(picture)
    return {
        "root": index_of[root],
        "signed": picture.signed,
        "direction": direction,
        "boxes": boxes,
        "arrows": [(index[arrow.tail], index[arrow.head]) for arrow in picture.arrows],
        "order": [index_of[node] for node in taken.order],
        "seed": None if taken.gradients is None else exact(size(taken.gradients[root])),
        "backward": _backward(root, taken.gradients, index_of),
        "rules": rules.table,
        "live": _is_live(boxes, rules),
        "modules": modules,
        "insides": _insides(picture, boxes, modules, direction),
        "most_open": MOST_OPEN,
        "palette": _palette(),
        "recording": None if recorder is None else _recording(recorder),
    }


def javascript(page: Content) -> str:
    """RULES, a JavaScript array: each op's forward on numbers, and a rule for each operand."""
    rows = []
    for rule in page["rules"]:
        operands = ", ".join(rule["operands"])
        backward = [
            _function(f"g, y, {operands}", each and each["javascript"]) for each in rule["backward"]
        ]
        forward = _function(operands, rule["javascript"])
        rows.append(f"{{forward: {forward}, backward: [{', '.join(backward)}]}}")
    return "\n".join([javascript_functions(), "const RULES = [", ",\n".join(rows), "];"])


def _function(parameters: str, expression: str | None) -> str:
    return "null" if expression is None else f"({parameters}) => {expression}"


def statistics(data: Any) -> Content:
    """An array's shape, dtype, spread, histogram, and entries or a heat map."""
    array = np.asarray(data)
    found: Content = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "norm": exact(size(array)),
    }
    entries = array.ravel().astype(np.float64)
    finite = entries[np.isfinite(entries)]
    found["nonfinite"] = int(entries.size - finite.size)
    if finite.size:
        # Scaled by the largest entry, so that no square overflows.
        largest = float(np.abs(finite).max()) or 1.0
        scaled = finite / largest
        found |= {
            "min": float(finite.min()),
            "max": float(finite.max()),
            "mean": float(scaled.mean()) * largest,
            "std": float(scaled.std()) * largest,
        }
    if array.size <= MOST_ENTRIES:
        found["entries"] = [exact(x) for x in entries.tolist()]
    elif finite.size:
        found["histogram"] = _histogram(finite)
    if array.size > MOST_ENTRIES:
        found["map"] = _heat_map(array)
    return found


def exact(x: float | None) -> float | str | None:
    """A number in JSON, which has no nan and no infinity: they go as texts."""
    if x is None or math.isfinite(x):
        return x
    return "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity"


def _names(picture: Picture, nodes: Mapping[int, Node], root: Node) -> list[str]:
    """What formulas call each box: its label, or else a letter and a number."""
    names = []
    for i, box in enumerate(picture.boxes):
        if box.label:
            names.append(box.label)
        elif i not in nodes:
            names.append(box.rows[0][1] if box.kind == "number" else f"c{i}")
        else:
            names.append("L" if nodes[i] is root else f"v{i}")
    return names


def _box(box: Box, name: str, node: Node | None, gradient: Any, rules: _Rules) -> Content:
    found: Content = {
        "kind": box.kind,
        "name": name,
        "label": box.label,
        "op": box.op,
        "group": box.group,
        "arrows": [],  # those that enter it, one for each operand
        "rows": box.rows,
    }
    if node is None:
        return found
    if isinstance(node, Value):
        found["data"], found["grad"] = exact(node.data), exact(box.gradient)
    else:
        found["tensor"] = statistics(node.data)
        found["gradient"] = None if gradient is None else statistics(gradient)
        found["grad"] = exact(box.gradient)
    found["requires_grad"] = node.requires_grad
    if node.op is not None:
        found["rule"] = rules.number_of(node)
        found["operands"] = [i for i, x in enumerate(node.inputs) if x is not None]
        found["shapes"] = _shape_story(node)
    if line := getattr(node, "line", ""):
        found["line"] = readable(line)
        file, _, number_of_line = line.rpartition(":")
        found["code"] = linecache.getline(file, int(number_of_line)).strip()
    return found


def _shape_story(node: Node) -> list[str]:
    """How the shapes of the operands became that of the result, and what backward undoes."""
    assert node.op is not None
    if isinstance(node, Value):
        return []
    shapes = [np.shape(getattr(x, "data", x)) for x in node.inputs if x is not None]
    story = [f"{', '.join(map(str, shapes))} → {node.data.shape}"]
    if node.op.arity != 1 and isinstance(node.op.on_arrays, np.ufunc):
        for x, shape in zip(node.inputs, shapes, strict=True):
            if shape != node.data.shape and isinstance(x, Node) and x.requires_grad:
                story.append(
                    f"{shape} is broadcast to {node.data.shape}, so its gradient is summed back"
                    f" over {_broadcast_axes(shape, node.data.shape)}"
                )
    return story


def _broadcast_axes(shape: tuple[int, ...], result: tuple[int, ...]) -> str:
    padded = (1,) * (len(result) - len(shape)) + shape
    axes = [
        str(axis)
        for axis, (n, m) in enumerate(zip(padded, result, strict=True))
        if n != m or axis < len(result) - len(shape)
    ]
    return ("axis " if len(axes) == 1 else "axes ") + ", ".join(axes)


def _backward(
    root: Node, found: Mapping[Node, Any] | None, index_of: Mapping[Node, int]
) -> list[Content]:
    """The steps of the backward pass: which node, and what it hands to which operand."""
    if found is None:
        return []
    return [
        {
            "box": index_of[node],
            "shares": [
                {
                    "position": each.position,
                    "to": index_of[each.x],
                    "share": exact(size(each.share)),
                    "total": exact(size(each.total)),
                }
                for each in shares
            ],
        }
        for node, _, shares in backward_steps(root, found)
    ]


class _Rules:
    """The table of the ops of a graph: each op with the same attributes is in it once."""

    def __init__(self) -> None:
        self.table: list[Content] = []
        self._numbers: dict[Any, int] = {}

    def number_of(self, node: Node) -> int:
        """The row of the op that made ``node``."""
        op = node.op
        assert op is not None
        known = known_operands(node)
        # The rules of ops on arrays may ask for shapes, and so their formulas depend on them.
        shapes = None if isinstance(node, Value) else _shapes(node)
        key = (op, repr(node.attrs), len(node.inputs), known, shapes)
        if key not in self._numbers:
            self._numbers[key] = len(self.table)
            self.table.append(_rule(node, known, shapes))
        return self._numbers[key]


def _shapes(node: Node) -> tuple[tuple[int, ...] | None, ...]:
    """The shapes of a result and of its operands, None for one that is left out."""
    return tuple(
        None if x is None else np.shape(getattr(x, "data", x)) for x in (node, *node.inputs)
    )


def _rule(
    node: Node,
    known: tuple[float | None, ...],
    shapes: tuple[tuple[int, ...] | None, ...] | None,
) -> Content:
    op, attrs = node.op, node.attrs
    assert op is not None
    on_numbers = isinstance(node, Value)
    operands = operand_names(op)
    if op.variadic:
        operands = [f"x{i}" for i in range(len(node.inputs))]
    backward: list[Content | None] = []
    for position, rule in enumerate(op.rules_for(node.inputs)):
        formula = None if op.variadic else gradient_formula(op, position, attrs, known, shapes)
        if rule is None:
            backward.append(None)
        else:
            backward.append(
                {
                    "parts": None if formula is None else _parts(formula),
                    "javascript": formula.javascript() if formula and on_numbers else None,
                }
            )
    return {
        "name": op.name,
        "symbol": op.symbol,
        "attrs": options(op, attrs),
        "operands": operands,
        "javascript": javascript_forward(op, attrs) if on_numbers else None,
        "backward": backward,
    }


def _parts(formula: Formula) -> list[Any]:
    """A formula's pieces: texts, and a [name, parenthesised if negative] for each slot."""
    return [
        part if isinstance(part, str) else [part.name, part.parenthesised] for part in formula.parts
    ]


def _is_live(boxes: Sequence[Content], rules: _Rules) -> bool:
    """Whether the page itself can compute everything anew, which takes every op in JavaScript."""
    return len(boxes) <= MOST_LIVE and all(
        row["javascript"] is not None
        and all(each is None or each["javascript"] is not None for each in row["backward"])
        for row in rules.table
    )


def _modules(picture: Picture) -> list[Content]:
    """Every module: its path, the name of the module around it, and what it has inside."""
    inside = dict.fromkeys(picture.groups, 0)
    for box in picture.boxes:
        path = box.group
        while path:
            inside[path] += 1
            path = path.rpartition(".")[0]
    return [
        {
            "path": path,
            "name": path.rpartition(".")[2],
            "parent": path.rpartition(".")[0],
            "count": inside[path],
        }
        for path in picture.groups
    ]


def _insides(
    picture: Picture, boxes: Sequence[Content], modules: Sequence[Content], direction: Direction
) -> list[Content]:
    """The layout of the whole graph, then of each module, in the order of ``modules``."""
    module_name = {module["path"]: f"m{i}" for i, module in enumerate(modules)} | {"": ""}
    box_name = {box.name: f"n{i}" for i, box in enumerate(picture.boxes)}
    sizes = {f"n{i}": _box_size(box) for i, box in enumerate(boxes)}
    sizes |= {f"m{i}": _module_size(module) for i, module in enumerate(modules)}
    for each, name in [(boxes[i], f"n{i}") for i in range(len(boxes))] + [
        (modules[i], f"m{i}") for i in range(len(modules))
    ]:
        each["size"] = sizes[name]
    found = insides(
        {box_name[box.name]: module_name[box.group] for box in picture.boxes},
        {module_name[module["path"]]: module_name[module["parent"]] for module in modules},
        [(box_name[arrow.tail], box_name[arrow.head]) for arrow in picture.arrows],
        sizes,
        direction,
    )
    return [_inside(inside) for inside in found.values()]


def _inside(inside: Inside) -> Content:
    return {
        "size": inside.size,
        "places": inside.places,
        "routes": [
            [route.tail, route.head, route.arrows, [x for point in route.points for x in point]]
            for route in inside.routes
        ],
    }


def _box_size(box: Content) -> Size:
    if box["kind"] == "number":
        return (14 + LETTER_WIDTH * len(box["name"]), 20.0)
    title = f"{box['name']} = {box['op']}" if box["op"] else box["label"] or box["kind"]
    lengths = [BOLD * min(len(title), LONGEST)]
    lengths += [min(len(f"{caption}  {text}"), LONGEST) for caption, text in box["rows"][:2]]
    letters = max(12, *lengths)
    return (18 + LETTER_WIDTH * letters, 10 + 3 * LINE_HEIGHT)


def _module_size(module: Content) -> Size:
    letters = max(13, BOLD * min(len(module["name"]), LONGEST) + 2)
    return (24 + LETTER_WIDTH * letters, 10 + 3 * LINE_HEIGHT)


def _histogram(finite: np.ndarray[Any, Any]) -> Content:
    low, high = float(finite.min()), float(finite.max())
    if not math.isfinite(high - low):  # np.histogram's bins would overflow
        finite, low, high = finite / 4, low / 4, high / 4
    counts, _ = np.histogram(finite, BINS, (low, high))
    return {"counts": counts.tolist()}


def _heat_map(array: np.ndarray[Any, Any]) -> Content:
    """The last two axes, of the first of everything else, as signed bytes of the largest entry."""
    where = "".join(", 0" for _ in range(array.ndim - 2))
    plane = array[(0,) * (array.ndim - 2)] if array.ndim > 2 else np.atleast_2d(array)
    rows, columns = (
        np.unique(np.linspace(0, n - 1, min(n, RESOLUTION)).astype(int)) for n in plane.shape
    )
    shown = plane[np.ix_(rows, columns)].astype(np.float64)
    finite = np.abs(shown[np.isfinite(shown)])
    largest = float(finite.max(initial=0.0))
    with np.errstate(all="ignore"):
        scaled = np.round(np.clip(shown / (largest or 1.0), -1, 1) * 127)
    scaled[~np.isfinite(shown)] = -128
    return {
        "what": f"[{where[2:]}, :, :]" if where else "",
        "rows": len(rows),
        "columns": len(columns),
        "sampled": (len(rows), len(columns)) != plane.shape,
        "largest": largest,
        "bytes": base64.b64encode(scaled.astype(np.int8).tobytes()).decode(),
    }


def _palette() -> Content:
    """Each theme's colours, from the faintest to the strongest, as [fill, border]."""
    sizes = [10 ** (-DECADES * (1 - i / (SHADES - 1))) for i in range(SHADES)]
    found: Content = {"decades": DECADES, "vanished": VANISHED, "exploded": EXPLODED}
    for name, theme in THEMES.items():
        arms = {"negative": (True, -1), "positive": (True, 1), "norm": (False, 1)}
        found[name] = {
            arm: [Scale(1.0, signed, theme).colours(sign * size) for size in sizes]
            for arm, (signed, sign) in arms.items()
        }
        found[name] |= {"paper": theme.paper, "none": Scale(1.0, True, theme).colours(None)}
    return found


def _recording(recorder: Any) -> Content:
    """A recorder's snapshots, each quantity by path and then by time."""
    snapshots = recorder.snapshots
    found: Content = {
        "steps": [each.step for each in snapshots],
        "losses": [exact(each.loss) for each in snapshots],
        "updates": _by_path([each.updates for each in snapshots], exact),
    }
    for quantity in ("parameters", "gradients", "activations", "activation_gradients"):
        found[quantity] = _by_path([getattr(each, quantity) for each in snapshots], _summary)
    return found


def _by_path(series: Sequence[Mapping[str, Any]], write: Callable[[Any], Any]) -> Content:
    paths = dict.fromkeys(path for each in series for path in each)
    return {
        path: [write(each[path]) if path in each else None for each in series] for path in paths
    }


def _summary(summary: Any) -> Content:
    numbers = ("mean", "std", "mean_abs", "max_abs", "norm", "zero_share", "saturated_share")
    edges = summary.edges
    return {
        **{name: exact(getattr(summary, name)) for name in numbers},
        "counts": np.asarray(summary.counts).tolist(),
        "low": exact(float(edges[0])) if len(edges) else None,
        "high": exact(float(edges[-1])) if len(edges) else None,
    }
