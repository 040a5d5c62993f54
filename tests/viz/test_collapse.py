"""Closing modules loses no box and no arrow between modules."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.viz.graphs import modular, within
from tinygrad_edu import Value
from viz.collapse import collapse, depth_of, readable_depth
from viz.dot import lay_out, to_dot
from viz.graph import picture


def path_of(module):
    """The path of a module that is drawn as one box."""
    return f"{module.group}.{module.label}" if module.group else module.label


def outermost_closed(group, depth):
    parts = group.split(".") if group else []
    return ".".join(parts[: depth + 1]) if len(parts) > depth else None


@given(modular(), st.integers(0, 3))
def test_closing_modules_keeps_every_arrow_that_is_not_inside_one(root, depth):
    whole = picture(root)
    closed = collapse(whole, depth)
    modules = {path_of(box): box.name for box in closed.boxes if box.kind == "module"}
    place = {
        box.name: modules.get(outermost_closed(box.group, depth), box.name) for box in whole.boxes
    }
    assert set(place.values()) == {box.name for box in closed.boxes}
    uses = Counter((place[a.tail], place[a.head]) for a in whole.arrows)
    wanted = Counter({ends: n for ends, n in uses.items() if ends[0] != ends[1]})
    drawn = Counter()
    for arrow in closed.arrows:
        drawn[arrow.tail, arrow.head] += arrow.count
    assert drawn == wanted
    assert all(depth_of(box.group) <= depth for box in closed.boxes)


@given(modular(), st.integers(0, 3))
def test_a_closed_module_counts_its_nodes_and_has_the_norm_of_its_parameters_gradients(root, depth):
    whole = picture(root)
    for module in collapse(whole, depth).boxes:
        if module.kind == "module":
            path = path_of(module)
            inside = [b for b in whole.boxes if f"{b.group}.".startswith(f"{path}.")]
            assert dict(module.rows)["nodes"] == str(sum(b.kind != "number" for b in inside))
            leaves = [b.gradient for b in inside if b.kind == "leaf" and b.gradient is not None]
            assert module.gradient == (pytest.approx(np.linalg.norm(leaves)) if leaves else None)


@given(modular())
def test_the_depth_that_is_chosen_is_the_largest_that_can_be_read(root):
    whole = picture(root)
    boxes = [len(collapse(whole, depth).boxes) for depth in range(5)]
    for most in range(1, len(whole.boxes) + 1):
        depth = readable_depth(whole, most)
        if depth is None:
            assert len(whole.boxes) <= most or not whole.groups
        else:
            assert boxes[depth] <= most or depth == 0
            assert len(collapse(whole, depth + 1).boxes) > most


def test_a_module_that_is_called_twice_is_one_box_in_a_cycle_which_lays_out():
    x = Value(1.0)
    y = within("encoder", lambda: x.tanh())
    z = within("decoder", lambda: y * 2)
    loss = within("encoder", lambda: z.tanh())
    closed = collapse(picture(loss), 0)
    names = {box.label: box.name for box in closed.boxes}
    ends = {(a.tail, a.head) for a in closed.arrows}
    assert (names["encoder"], names["decoder"]) in ends
    assert (names["decoder"], names["encoder"]) in ends
    assert lay_out(to_dot(closed), "svg")


def test_a_module_may_have_the_name_of_a_box():
    x = Value(1.0)
    inner = within("n0", lambda: x * 2)
    whole = picture(inner + 3)
    closed = collapse(whole, 0)
    outside = {box.name for box in whole.boxes if not box.group}
    assert outside < {box.name for box in closed.boxes}
    assert len(closed.boxes) == len(outside) + 1
