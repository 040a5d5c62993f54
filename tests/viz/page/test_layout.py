"""Every arrow has a way from its tail to its head, through the ports of the modules between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import viz
from viz.page.layout import insides


@st.composite
def nested_graphs(draw):
    """Boxes in modules in modules, and arrows between any of them."""
    modules = {}
    for i in range(draw(st.integers(0, 5))):
        modules[f"m{i}"] = draw(st.sampled_from(["", *modules]))
    boxes = {f"n{i}": draw(st.sampled_from(["", *modules])) for i in range(draw(st.integers(1, 8)))}
    numbers = st.integers(0, len(boxes) - 1)
    pairs = draw(st.lists(st.tuples(numbers, numbers).filter(lambda p: p[0] != p[1]), max_size=12))
    return boxes, modules, [(f"n{a}", f"n{b}") for a, b in pairs]


def laid_out(graph):
    boxes, modules, arrows = graph
    return insides(boxes, modules, arrows, dict.fromkeys([*boxes, *modules], (80.0, 40.0)))


@given(nested_graphs())
def test_every_arrow_runs_from_its_tail_to_its_head_without_a_gap(graph):
    boxes, modules, arrows = graph
    found = laid_out(graph)
    for number, (tail, head) in enumerate(arrows):
        at = {"": ""} | modules | boxes
        pieces = [
            (module, route)
            for module, inside in found.items()
            for route in inside.routes
            if number in route.arrows
        ]
        links = {}
        for module, route in pieces:
            # A port of a module is where the piece around it meets the piece inside.
            start = (module, route.tail)
            end = (module, route.head)
            links.setdefault(start, []).append(end)
        reached, seen = [(at[tail], tail)], set()
        while reached:
            place = reached.pop()
            if place in seen:
                continue
            seen.add(place)
            module, item = place
            reached += links.get(place, [])
            if item in modules:  # enters it, and goes on from its port
                reached.append((item, f"in:{tail}"))
            if item == f"out:{tail}":  # leaves the module that it is a port of
                reached.append((modules[module], module))
        assert (at[head], head) in seen


@given(nested_graphs())
def test_every_box_and_module_is_placed_once_where_it_belongs(graph):
    boxes, modules, _ = graph
    found = laid_out(graph)
    placed = [item for inside in found.values() for item in inside.places if ":" not in item]
    assert sorted(placed) == sorted([*boxes, *modules])
    for item, module in (boxes | modules).items():
        x, y = found[module].places[item]
        width, height = found[module].size
        assert 40 <= x <= width - 40
        assert 20 <= y <= height - 20


@given(nested_graphs())
def test_the_boxes_inside_a_module_do_not_overlap(graph):
    for inside in laid_out(graph).values():
        places = [place for item, place in inside.places.items() if ":" not in item]
        for i, (x, y) in enumerate(places):
            assert all(abs(x - a) >= 79.9 or abs(y - b) >= 39.9 for a, b in places[:i])


@given(nested_graphs())
def test_arrows_between_the_same_two_items_are_drawn_as_one(graph):
    for inside in laid_out(graph).values():
        ends = [(route.tail, route.head) for route in inside.routes]
        assert len(ends) == len(set(ends))


def test_what_is_too_large_is_said_before_it_is_tried():
    boxes = {f"n{i}": "" for i in range(5001)}
    with pytest.raises(viz.LayoutError, match=r"the graph has 5,001 nodes .* fewer samples"):
        insides(boxes, {}, [], dict.fromkeys(boxes, (80.0, 40.0)))
