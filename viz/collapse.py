"""Large graphs on one screen: modules drawn as one box each.

No gradient path is lost: if one box could be reached from another before, the boxes that stand for
them can afterwards.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from viz.graph import CONSTANTS, Arrow, Box, Picture, groups_of, number, repeated


def depth_of(path: str) -> int:
    """How deep a module is nested: 1 for ``"features"``, 2 for ``"features.0"``."""
    return path.count(".") + 1 if path else 0


def collapse(picture: Picture, depth: int) -> Picture:
    """Draw every module that is nested deeper than ``depth`` as one box.

    At depth 0 those are the outermost modules. Arrows that come to lie on one another are drawn as
    one, with their number; those inside a module go.
    """
    place: dict[str, str] = {}  # of each box: the name of the module drawn for it, or its own
    name_of: dict[str, str] = {}
    inside: dict[str, list[Box]] = defaultdict(list)
    for box in picture.boxes:
        closed = _outermost_closed(box.group, depth)
        if closed is None:
            place[box.name] = box.name
        else:
            place[box.name] = name_of.setdefault(closed, f"module{len(name_of)}")
            inside[closed].append(box)
    leaving = _leaving(picture, place)
    drawn: dict[str, Box] = {}  # a module where the first of its boxes was
    for box in picture.boxes:
        closed, name = _outermost_closed(box.group, depth), place[box.name]
        if closed is None:
            drawn[name] = box
        elif name not in drawn:
            drawn[name] = _module_box(name, closed, inside[closed], leaving[name], picture)
    boxes = tuple(drawn.values())
    arrows = _joined(
        (
            replace(arrow, tail=place[arrow.tail], head=place[arrow.head])
            for arrow in picture.arrows
        ),
        set(name_of.values()),
    )
    repeats = {path: n for path, n in picture.repeats.items() if path not in inside}
    return replace(picture, boxes=boxes, arrows=arrows, groups=groups_of(boxes), repeats=repeats)


def readable_depth(picture: Picture, most: int) -> int | None:
    """The largest depth at which at most so many boxes are drawn; None if all of them can be.

    If even the outermost modules are too many, it is 0.
    """
    if len(picture.boxes) <= most or not picture.groups:
        return None
    deepest = max(map(depth_of, picture.groups))
    for depth in range(deepest - 1, 0, -1):
        closed = [_outermost_closed(box.group, depth) for box in picture.boxes]
        if closed.count(None) + len({*closed} - {None}) <= most:
            return depth
    return 0


def _outermost_closed(group: str, depth: int) -> str | None:
    if depth_of(group) <= depth:
        return None
    return ".".join(group.split(".")[: depth + 1])


def _leaving(picture: Picture, place: Mapping[str, str]) -> dict[str, set[str]]:
    """By place, the boxes there whose results are used elsewhere; and the very last one."""
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


def _joined(arrows: Iterable[Arrow], modules: Collection[str]) -> tuple[Arrow, ...]:
    """Arrows with the same ends as one, unless each says something of its own."""
    found: dict[tuple[str, str], list[Arrow]] = defaultdict(list)
    for arrow in arrows:
        if arrow.tail != arrow.head:
            found[arrow.tail, arrow.head].append(arrow)
    joined: list[Arrow] = []
    for (tail, head), some in found.items():
        if tail in modules or head in modules:
            joined.append(Arrow(tail, head, None, "", sum(arrow.count for arrow in some)))
        else:
            joined += some
    return tuple(joined)
