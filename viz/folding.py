"""Modules that repeat in a row, such as the blocks of a transformer, drawn once.

No gradient path between boxes that are still drawn is lost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from viz.collapse import depth_of
from viz.graph import CONSTANTS, Arrow, Box, Picture, groups_of, number

# Fewer modules in a row than this are drawn one by one.
FEWEST = 3

# What of a box is its own, where boxes are alike.
_OWN = frozenset({"data", "‖data‖", "grad", "‖grad‖"})

# By number, the boxes in each of the numbered modules of a parent.
Contents = Mapping[int, Sequence[Box]]


def folded(picture: Picture) -> Picture:
    """Draw modules that repeat in a row once.

    Those are modules next to each other in one module, their names numbers in sequence, with the
    same ops on the same shapes inside, of which each feeds the next and no other, by one result.
    The first stands for all; a gradient in it is that of the one where it is largest.
    """
    # Outer ones first: what is inside those that are not drawn need not be looked at.
    for parent in sorted(_parents(picture), key=depth_of):
        if parent and parent not in picture.groups:
            continue
        opened = _with_inputs_outside(picture, parent)
        contents = _contents(opened, parent)
        if runs := _runs(opened, contents, parent):
            picture = opened
        for run in runs:
            picture = _fold(picture, [contents[i] for i in run])
            first = f"{parent}.{run[0]}" if parent else str(run[0])
            picture = replace(picture, repeats={**picture.repeats, first: len(run)})
    return picture


def _parents(picture: Picture) -> list[str]:
    """The modules with enough modules in them whose names are numbers."""
    parts = (path.rpartition(".") for path in picture.groups)
    counts = Counter(parent for parent, _, own in parts if own.isdecimal())
    return [parent for parent, count in counts.items() if count >= FEWEST]


def _contents(picture: Picture, parent: str) -> Contents:
    prefix = f"{parent}." if parent else ""
    found: dict[int, list[Box]] = defaultdict(list)
    for box in picture.boxes:
        if box.group.startswith(prefix):
            child = box.group[len(prefix) :].partition(".")[0]
            if child.isdecimal():
                found[int(child)].append(box)
    return dict(sorted(found.items()))


def _with_inputs_outside(picture: Picture, parent: str) -> Picture:
    """Move a leaf that a module is called with, as the next one is with its result, out of it.

    A leaf is drawn in the module that uses it; there such a leaf would tell the first from others.
    """
    kind = {box.name: box.kind for box in picture.boxes}
    tails: dict[str, list[str]] = defaultdict(list)
    for arrow in picture.arrows:
        tails[arrow.head].append(arrow.tail)
    moved: set[str] = set()
    for first, second in pairwise(_contents(picture, parent).values()):
        names = {box.name for box in first}
        results = [[box for box in boxes if box.kind == "result"] for boxes in (first, second)]
        if [box.op for box in results[0]] == [box.op for box in results[1]]:
            moved |= {
                x
                for y0, y1 in zip(*results, strict=True)
                for x, other in zip(tails[y0.name], tails[y1.name], strict=False)
                if x in names and kind[x] in ("leaf", "parameter") and other in names
            }
    if not moved:
        return picture
    boxes = [replace(box, group=parent) if box.name in moved else box for box in picture.boxes]
    return replace(picture, boxes=tuple(boxes), groups=groups_of(boxes))


def _runs(picture: Picture, contents: Contents, parent: str) -> list[list[int]]:
    """The numbers of modules that repeat in a row."""
    owner = {box.name: i for i, boxes in contents.items() for box in boxes}
    place = {box.name: j for boxes in contents.values() for j, box in enumerate(boxes)}
    feeds: dict[int, set[int | None]] = defaultdict(set)
    exits: dict[int, set[int]] = defaultdict(set)
    inner: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for arrow in picture.arrows:
        source, target = owner.get(arrow.tail), owner.get(arrow.head)
        if source is None:
            continue
        if source == target:
            inner[source].append((place[arrow.tail], place[arrow.head]))
        else:
            feeds[source].add(target)
            exits[source].add(place[arrow.tail])
    prefix = f"{parent}." if parent else ""
    # What has to agree for one module to stand for another: ops, shapes, and how they connect.
    signs = {
        i: ([_sign(box, len(f"{prefix}{i}")) for box in boxes], inner[i])
        for i, boxes in contents.items()
    }
    runs: list[list[int]] = []
    for i in contents:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and i == last + 1
            and signs[last] == signs[i]
            and feeds[last] == {i}
            and len(exits[last] | exits[i]) == 1
        ):
            runs[-1].append(i)
        else:
            runs.append([i])
    return [run for run in runs if len(run) >= FEWEST]


def _sign(box: Box, length: int) -> tuple[object, ...]:
    """What is not a box's own; its group without the module's path, which is so long."""
    rows = [row for row in box.rows if row[0] not in _OWN]
    return box.kind, box.op, box.group[length:], box.entries, rows


def _fold(picture: Picture, contents: Sequence[Sequence[Box]]) -> Picture:
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
    return replace(picture, boxes=tuple(boxes), arrows=tuple(arrows), groups=groups_of(boxes))


def _summarised(box: Box, alike: Sequence[Box]) -> Box:
    """A box that stands for several: the range of their gradients, and the largest as its own."""
    largest = [each.gradient for each in alike if each.gradient is not None]
    if not largest:
        return box
    high = max(largest, key=abs)
    low = min((*largest, *(each.least for each in alike if each.least is not None)), key=abs)
    span = f"{number(low)} … {number(high)}"
    rows = [
        (caption, span if caption in ("grad", "‖grad‖") else text)
        for caption, text in box.rows
        if caption not in ("data", "‖data‖")
    ]
    return replace(box, rows=tuple(rows), gradient=high, least=low)
