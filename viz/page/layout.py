"""Where everything on a page is drawn: each module's inside, laid out by itself by Graphviz.

A page opens and closes modules in place. So every module is laid out once, with the modules inside
it as closed boxes, and the page makes room for one that is opened by stretching what is around it.
An arrow that crosses a module's border ends there in a port, and goes on inside from the port.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from viz.dot import Direction, LayoutError, lay_out

Size = tuple[float, float]
Point = tuple[float, float]

# Of the space around a module's inside, in pixels; its title is above.
PADDING = 10.0
PORT = 6.0
# Side by side in one module; this many take Graphviz some three seconds, twice as many four times.
MOST_ITEMS = 5000
# In inches; an arrow to the right has room for a number on it.
RANK_DISTANCE = {"LR": 0.7, "TB": 0.4}


@dataclass(slots=True)
class Route:
    """One drawn arrow, for all the arrows of the graph that run along it.

    Attributes:
        tail: the item it leaves: a box's or module's name, or a port.
        head: the item it enters.
        arrows: numbers of the graph's arrows.
        points: a Bézier spline: a point, then three for each piece.
    """

    tail: str
    head: str
    arrows: list[int] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)


@dataclass(slots=True)
class Inside:
    """The inside of a module, with the modules in it closed.

    Attributes:
        size: width and height, in pixels.
        places: the centre of each item: boxes and modules by name, and the ports, where arrows
            cross the border; a port is named ``"in:"`` or ``"out:"`` and then the box that the
            arrows come from.
        routes: the arrows inside.
    """

    size: Size = (0.0, 0.0)
    places: dict[str, Point] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)


def insides(
    groups: Mapping[str, str],
    parents: Mapping[str, str],
    arrows: Sequence[tuple[str, str]],
    sizes: Mapping[str, Size],
    direction: Direction = "LR",
) -> dict[str, Inside]:
    """Lay out every module.

    Args:
        groups: the name of the module that each box is in; ``""`` is the whole graph.
        parents: likewise for each module but the whole; outer ones first.
        arrows: tail and head of each arrow, as names of boxes.
        sizes: width and height of each box, and of each closed module, in pixels.
        direction: of the arrows.

    Returns:
        By module, outer ones first.

    Raises:
        LayoutError: a module has too much inside, there is no layout engine, or it failed.
    """
    found = {module: Inside() for module in ("", *parents)}
    around = {**parents, **groups}
    for item, module in around.items():
        found[module].places[item] = (0.0, 0.0)
    for module, tail, head, arrow in _routes(around, arrows):
        inside = found[module]
        inside.places.setdefault(tail, (0.0, 0.0))
        inside.places.setdefault(head, (0.0, 0.0))
        inside.routes.append(Route(tail, head, [arrow]))
    for module, inside in found.items():
        if len(inside.places) > MOST_ITEMS:
            raise LayoutError(
                f"{'a module' if module else 'the graph'} has {len(inside.places):,} nodes side by"
                f" side, and a page takes {MOST_ITEMS:,}: make the graph of fewer samples or steps,"
                " start from a node further up, or run parts of it in modules, which close"
            )
        inside.routes = _merged(inside.routes)
    _place(list(found.values()), sizes, direction)
    return found


def _routes(
    around: Mapping[str, str], arrows: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, str, str, int]]:
    """The pieces of every arrow: the module a piece is inside of, its ends there, the arrow."""
    for number, (tail, head) in enumerate(arrows):
        above_tail, above_head = _above(tail, around), _above(head, around)
        # Outermost first: the modules that both are in come first in both.
        shared = 0
        for a, b in zip(above_tail, above_head, strict=False):
            if a != b:
                break
            shared += 1
        chain_tail, chain_head = [*above_tail, tail], [*above_head, head]
        yield above_tail[shared - 1], chain_tail[shared], chain_head[shared], number
        for i in range(shared, len(above_tail)):
            yield above_tail[i], chain_tail[i + 1], f"out:{tail}", number
        for i in range(shared, len(above_head)):
            yield above_head[i], f"in:{tail}", chain_head[i + 1], number


def _above(item: str, around: Mapping[str, str]) -> list[str]:
    """The modules that an item is in, the whole graph first."""
    chain = []
    while item:
        item = around[item]
        chain.append(item)
    return chain[::-1]


def _merged(routes: list[Route]) -> list[Route]:
    """One route between two items, whatever number of arrows run along it."""
    merged: dict[tuple[str, str], Route] = {}
    for route in routes:
        merged.setdefault((route.tail, route.head), Route(route.tail, route.head)).arrows.extend(
            route.arrows
        )
    return list(merged.values())


def _place(found: list[Inside], sizes: Mapping[str, Size], direction: Direction) -> None:
    """Have Graphviz find all the places and splines, in one run."""
    names: list[list[str]] = []
    sources = []
    for inside in found:
        items = list(inside.places)
        names.append(items)
        sources.append(_source(inside, items, sizes, direction))
    reader = json.JSONDecoder()
    text = lay_out("\n".join(sources), "json0").decode()
    at = 0
    for inside, items in zip(found, names, strict=True):
        while text[at].isspace():
            at += 1
        drawn, at = reader.raw_decode(text, at)
        _read(inside, items, drawn)


def _source(
    inside: Inside, items: list[str], sizes: Mapping[str, Size], direction: Direction
) -> str:
    """DOT that has numbers for names, so that nothing in it needs escaping."""
    number = {item: i for i, item in enumerate(items)}
    lines = [
        f"digraph {{ rankdir={direction}; nodesep=0.22; ranksep={RANK_DISTANCE[direction]}",
        'node [shape=box, fixedsize=true, label=""]; edge [dir=none]',
    ]
    for item, i in number.items():
        width, height = sizes.get(item, (PORT, PORT))
        lines.append(f"{i} [width={width / 72:.4f}, height={height / 72:.4f}]")
    for side, rank in (("in:", "source"), ("out:", "sink")):
        ports = " ".join(str(i) for item, i in number.items() if item.startswith(side))
        if ports:
            lines.append(f"{{ rank={rank}; {ports} }}")
    lines += [f"{number[route.tail]} -> {number[route.head]}" for route in inside.routes]
    return "\n".join([*lines, "}"])


def _read(inside: Inside, items: list[str], drawn: dict[str, Any]) -> None:
    """Take places and splines over from the engine, whose y axis points up."""
    _, _, width, height = map(float, drawn["bb"].split(","))
    inside.size = (width + 2 * PADDING, height + 2 * PADDING)

    def point(text: str) -> Point:
        x, y = map(float, text.split(","))
        return round(x + PADDING, 2), round(height - y + PADDING, 2)

    item_of = {}
    for each in drawn.get("objects", ()):
        if "pos" in each:  # and no subgraph
            item = item_of[each["_gvid"]] = items[int(each["name"])]
            inside.places[item] = point(each["pos"])
    route_of = {(route.tail, route.head): route for route in inside.routes}
    for each in drawn.get("edges", ()):
        route = route_of[item_of[each["tail"]], item_of[each["head"]]]
        route.points = [point(text) for text in each["pos"].split()]
