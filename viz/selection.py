"""Less of a picture: without constants, only what leads to parameters, or what is near a node.

Each takes a Picture and returns one; what is left out leaves no arrow without an end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from viz.graph import CONSTANTS, Box, Picture, groups_of


def keeping(picture: Picture, keeps: Callable[[Box], bool]) -> Picture:
    """The picture with some of its boxes, and the arrows between them."""
    boxes = tuple(box for box in picture.boxes if keeps(box))
    names = {box.name for box in boxes}
    arrows = tuple(a for a in picture.arrows if a.tail in names and a.head in names)
    return replace(picture, boxes=boxes, arrows=arrows, groups=groups_of(boxes))


def without_constants(picture: Picture) -> Picture:
    """The picture without numbers, arrays and data that take no gradient."""
    return keeping(picture, lambda box: box.kind not in CONSTANTS)


def leading_to_parameters(picture: Picture) -> Picture:
    """Only what a gradient of a parameter flows through, and those parameters.

    A parameter is a leaf that takes a gradient and gets one.
    """
    heads = defaultdict(list)
    for arrow in picture.arrows:
        heads[arrow.tail].append(arrow.head)
    takes = {
        box.name
        for box in picture.boxes
        if box.kind not in CONSTANTS and (box.gradient is not None or not picture.has_gradients)
    }
    leaves = {box.name for box in picture.boxes if box.kind in ("leaf", "parameter")}
    found = _reachable(leaves & takes, lambda name: (head for head in heads[name] if head in takes))
    return keeping(picture, lambda box: box.name in found)


def neighbourhood(picture: Picture, names: Collection[str], radius: int) -> Picture:
    """What is within so many arrows, in either direction, of some boxes.

    What lies beyond is drawn as a box that says how much of it there is.
    """
    near: dict[str, set[str]] = defaultdict(set)
    for arrow in picture.arrows:
        near[arrow.tail].add(arrow.head)
        near[arrow.head].add(arrow.tail)
    found = edge = set(names)
    for _ in range(radius):
        edge = {other for name in edge for other in near[name]} - found
        found = found | edge
    kept = keeping(picture, lambda box: box.name in found)
    group = {box.name: box.group for box in kept.boxes}
    before: dict[str, set[str]] = defaultdict(set)
    after: dict[str, set[str]] = defaultdict(set)
    for arrow in picture.arrows:
        if arrow.head in found and arrow.tail not in found:
            before[arrow.head].add(arrow.tail)
        elif arrow.tail in found and arrow.head not in found:
            after[arrow.tail].add(arrow.head)
    boxes, arrows = list(kept.boxes), list(kept.arrows)
    uses = {(a.tail in found, a.head in found): a for a in picture.arrows}
    for beyond, inward in ((before, True), (after, False)):
        for name, others in beyond.items():
            more = Box(
                f"more{len(boxes)}", "more", "", f"… {len(others)} more", (), None, group[name]
            )
            boxes.append(more)
            like = uses[not inward, inward]
            ends = (more.name, name) if inward else (name, more.name)
            arrows.append(
                replace(like, tail=ends[0], head=ends[1], derivative=None, formula="", count=1)
            )
    return replace(kept, boxes=tuple(boxes), arrows=tuple(arrows))


def _reachable(start: Iterable[str], onward: Callable[[str], Iterable[str]]) -> set[str]:
    found = set(start)
    stack = list(found)
    while stack:
        for name in onward(stack.pop()):
            if name not in found:
                found.add(name)
                stack.append(name)
    return found
