"""Large graphs on one screen: modules drawn as one box each, and repeated ones drawn once.

Both are functions from a Picture to a Picture. No gradient path is lost: if one box could be
reached from another before, the boxes that stand for them can afterwards.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from viz.graph import CONSTANTS, Arrow, Box, Picture, groups_of, number, repeated

# Fewer modules in a row than this are drawn one by one.
FEWEST = 3


def depth_of(path: str) -> int:
    """How deep a module is nested: 1 for ``"features"``, 2 for ``"features.0"``."""
    return path.count(".") + 1 if path else 0


def collapse(picture: Picture, depth: int) -> Picture:
    """Draw every module that is nested deeper than ``depth`` as one box.

    At depth 0 those are the outermost modules. Arrows that come to lie on one another are drawn as
    one, with their number; those inside a module go.
    """
    place = {}  # of each box: the module that is drawn for it, or itself
    inside: dict[str, list[Box]] = defaultdict(list)
    for box in picture.boxes:
        closed = _outermost_closed(box.group, depth)
        place[box.name] = box.name if closed is None else closed
        if closed is not None:
            inside[closed].append(box)
    name_of = {path: f"module{i}" for i, path in enumerate(inside)}
    leaving = _leaving(picture, place)
    boxes: list[Box] = []
    drawn: set[str] = set()
    for box in picture.boxes:
        path = place[box.name]
        if path == box.name and path not in name_of:
            boxes.append(box)
        elif path not in drawn:
            drawn.add(path)
            boxes.append(_module_box(name_of[path], path, inside[path], leaving[path], picture))
    arrows = _joined(
        replace(arrow, tail=name_of.get(place[arrow.tail], place[arrow.tail]),
                head=name_of.get(place[arrow.head], place[arrow.head]))
        for arrow in picture.arrows
    )  # fmt: skip
    repeats = {path: n for path, n in picture.repeats.items() if path not in inside}
    return replace(
        picture, boxes=tuple(boxes), arrows=arrows, groups=groups_of(boxes), repeats=repeats
    )


def readable_depth(picture: Picture, most: int) -> int | None:
    """The largest depth at which at most so many boxes are drawn; None if all of them can be.

    If even the outermost modules are too many, it is 0.
    """
    if len(picture.boxes) <= most or not picture.groups:
        return None
    deepest = max(map(depth_of, picture.groups))
    for depth in range(deepest - 1, 0, -1):
        places = {_outermost_closed(box.group, depth) or box.name for box in picture.boxes}
        if len(places) <= most:
            return depth
    return 0


def folded(picture: Picture) -> Picture:
    """Draw modules that repeat in a row once.

    Those are modules next to each other in one module, their names numbers in sequence, with the
    same ops on the same shapes inside, of which each feeds the next and no other, by one result.
    The first stands for all; a gradient in it is that of the one where it is largest.
    """
    for parent in sorted({"", *picture.groups}, key=depth_of, reverse=True):
        opened = _with_inputs_outside(picture, parent)
        if runs := _runs(opened, parent):
            picture = opened
        for run in runs:
            picture = _fold(picture, run)
    return picture


def _outermost_closed(group: str, depth: int) -> str | None:
    if depth_of(group) <= depth:
        return None
    return ".".join(group.split(".")[: depth + 1])


def _leaving(picture: Picture, place: Mapping[str, str]) -> dict[str, set[str]]:
    """By module, the boxes in it whose results are used outside; and the very last one."""
    found: dict[str, set[str]] = defaultdict(set)
    found[place[picture.boxes[-1].name]].add(picture.boxes[-1].name)
    for arrow in picture.arrows:
        if place[arrow.tail] != place[arrow.head]:
            found[place[arrow.tail]].add(arrow.tail)
    return found


def _module_box(
    name: str, path: str, inside: Sequence[Box], leaving: Collection[str], picture: Picture
) -> Box:
    rows = [("nodes", str(sum(box.kind not in CONSTANTS for box in inside)))]
    outputs = [dict(box.rows) for box in inside if box.name in leaving]
    if outputs and "shape" in outputs[-1]:
        rows.append(("output", outputs[-1]["shape"]))
    leaves = [box for box in inside if box.kind in ("leaf", "parameter")]
    if leaves:
        rows.append(("parameters", f"{sum(box.entries for box in leaves):,}"))
    gradients = [box.gradient for box in leaves if box.gradient is not None]
    gradient = None
    if gradients:
        gradient = math.hypot(*gradients)
        rows.append(("‖grad‖", number(gradient)))
    parent, _, own = path.rpartition(".")
    times = picture.repeats.get(path, 1)
    label = own if times == 1 else repeated(own, times)
    return Box(
        name, "module", label, "", tuple(rows), gradient, parent, sum(b.entries for b in leaves)
    )


def _joined(arrows: Iterable[Arrow]) -> tuple[Arrow, ...]:
    """Arrows with the same ends as one, unless each says something of its own."""
    found: dict[tuple[str, str], list[Arrow]] = defaultdict(list)
    for arrow in arrows:
        if arrow.tail != arrow.head:
            found[arrow.tail, arrow.head].append(arrow)
    joined: list[Arrow] = []
    for (tail, head), some in found.items():
        if tail.startswith("module") or head.startswith("module"):
            joined.append(Arrow(tail, head, None, "", sum(arrow.count for arrow in some)))
        else:
            joined += some
    return tuple(joined)


def _numbered(picture: Picture, parent: str) -> list[str]:
    """The modules of a parent whose names are numbers, in order."""
    prefix = f"{parent}." if parent else ""
    children = [
        path for path in picture.groups
        if path.startswith(prefix) and re.fullmatch(r"\d+", path[len(prefix):])
    ]  # fmt: skip
    return sorted(children, key=lambda path: int(path[len(prefix) :]))


def _with_inputs_outside(picture: Picture, parent: str) -> Picture:
    """Move a leaf that a module is called with, as the next one is with its result, out of it.

    A leaf is drawn in the module that uses it; there such a leaf would tell the first from others.
    """
    kind = {box.name: box.kind for box in picture.boxes}
    tails: dict[str, list[str]] = defaultdict(list)
    for arrow in picture.arrows:
        tails[arrow.head].append(arrow.tail)
    moved: set[str] = set()
    for first, second in pairwise(_numbered(picture, parent)):
        inside = [_inside(picture, path) for path in (first, second)]
        names = {box.name for box in inside[0]}
        results = [[box for box in boxes if box.kind == "result"] for boxes in inside]
        if [box.op for box in results[0]] == [box.op for box in results[1]]:
            moved |= {
                x
                for y0, y1 in zip(*results, strict=True)
                for x, other in zip(tails[y0.name], tails[y1.name], strict=False)
                if x in names and kind[x] in ("leaf", "parameter") and other in names
            }
    boxes = [replace(box, group=parent) if box.name in moved else box for box in picture.boxes]
    return replace(picture, boxes=tuple(boxes), groups=groups_of(boxes))


def _runs(picture: Picture, parent: str) -> list[list[str]]:
    """The modules of a parent that repeat in a row, such as ["layers.0", "layers.1", ...]."""
    children = _numbered(picture, parent)
    prefix = f"{parent}." if parent else ""
    if len(children) < FEWEST:
        return []
    contents = {path: _inside(picture, path) for path in children}
    signs = {path: _signature(picture, path, boxes) for path, boxes in contents.items()}
    owner = {box.name: path for path, boxes in contents.items() for box in boxes}
    place = {box.name: i for boxes in contents.values() for i, box in enumerate(boxes)}
    feeds: dict[str, set[str]] = defaultdict(set)
    exits: dict[str, set[int]] = defaultdict(set)
    for arrow in picture.arrows:
        source, target = owner.get(arrow.tail), owner.get(arrow.head, "")
        if source is not None and source != target:
            feeds[source].add(target)
            exits[source].add(place[arrow.tail])
    runs: list[list[str]] = []
    for path in children:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and signs[last] == signs[path]
            and int(last[len(prefix) :]) + 1 == int(path[len(prefix) :])
            and feeds[last] == {path}
            and len(exits[last] | exits[path]) == 1
        ):
            runs[-1].append(path)
        else:
            runs.append([path])
    return [run for run in runs if len(run) >= FEWEST]


def _inside(picture: Picture, path: str) -> list[Box]:
    return [box for box in picture.boxes if box.group == path or box.group.startswith(f"{path}.")]


def _signature(picture: Picture, path: str, boxes: Sequence[Box]) -> object:
    """What has to agree for one module to stand for another: ops, shapes, and how they connect."""
    place = {box.name: i for i, box in enumerate(boxes)}
    what = [
        (box.kind, box.op, box.group[len(path) :], box.entries,
         [row for row in box.rows if row[0] not in ("data", "‖data‖", "grad", "‖grad‖")])
        for box in boxes
    ]  # fmt: skip
    arrows = [
        (place[arrow.tail], place[arrow.head])
        for arrow in picture.arrows
        if arrow.tail in place and arrow.head in place
    ]
    repeats = {
        key[len(path) :]: n for key, n in picture.repeats.items() if key.startswith(f"{path}.")
    }
    return what, arrows, repeats


def _fold(picture: Picture, run: Sequence[str]) -> Picture:
    contents = [_inside(picture, path) for path in run]
    first = contents[0]
    stands_for = {box.name: first[i].name for boxes in contents[1:] for i, box in enumerate(boxes)}
    alike = {box.name: [boxes[i] for boxes in contents] for i, box in enumerate(first)}
    boxes = [
        _summarised(box, alike[box.name]) if box.name in alike else box
        for box in picture.boxes
        if box.name not in stands_for
    ]
    inside = alike.keys() | stands_for.keys()
    constants = {box.name for box in picture.boxes if box.kind in CONSTANTS}
    known = {(arrow.tail, arrow.head) for arrow in picture.arrows}
    arrows = []
    for arrow in picture.arrows:
        ends = stands_for.get(arrow.tail, arrow.tail), stands_for.get(arrow.head, arrow.head)
        if ends == (arrow.tail, arrow.head):
            arrows.append(arrow)
        elif arrow.tail in inside and arrow.head in inside:
            continue  # inside one of them, or from one to the next
        elif arrow.tail not in constants and ends not in known:  # the first has its own constants
            known.add(ends)
            arrows.append(Arrow(*ends, None))
    used = {name for arrow in arrows for name in (arrow.tail, arrow.head)}
    boxes = [box for box in boxes if box.kind not in CONSTANTS or box.name in used]
    groups = groups_of(boxes)
    repeats = {path: n for path, n in picture.repeats.items() if path in groups}
    return replace(
        picture,
        boxes=tuple(boxes),
        arrows=tuple(arrows),
        groups=groups,
        repeats={**repeats, run[0]: len(run)},
    )


def _summarised(box: Box, alike: Sequence[Box]) -> Box:
    """A box that stands for several: the range of their gradients, and the largest as its own."""
    gradients = [each.gradient for each in alike if each.gradient is not None]
    if not gradients:
        return box
    low, high = min(gradients, key=abs), max(gradients, key=abs)
    rows = [
        (caption, f"{number(low)} … {number(high)}" if caption in ("grad", "‖grad‖") else text)
        for caption, text in box.rows
        if caption not in ("data", "‖data‖")
    ]
    return replace(box, rows=tuple(rows), gradient=high)
