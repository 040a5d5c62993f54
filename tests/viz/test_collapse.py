"""Closing and folding modules loses no box, no arrow between modules, and no gradient path."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from tests.viz.graphs import modular, reachable, stacks, within
from tinygrad_edu import Tensor, Value
from viz.collapse import collapse, depth_of, folded, readable_depth
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


@given(stacks())
def test_folding_keeps_every_path_between_what_is_still_drawn(stack):
    root, count = stack
    whole = picture(root)
    short = folded(whole)
    kept = {box.name for box in short.boxes}
    before, after = reachable(whole), reachable(short)
    for name in kept:
        assert before[name] & kept <= after[name]
    assert short.repeats == ({"blocks.0": count} if count >= 3 else {})


@given(stacks())
def test_a_box_that_stands_for_several_has_their_largest_gradient(stack):
    root, count = stack
    whole = picture(root)
    blocks = [[b for b in whole.boxes if b.group == f"blocks.{i}"] for i in range(count)]
    shown = {box.name: box for box in folded(whole).boxes}
    if count >= 3:
        for alike in zip(*blocks, strict=True):
            if alike[0].gradient is not None:
                largest = max(abs(box.gradient) for box in alike)
                assert abs(shown[alike[0].name].gradient) == largest


@given(modular())
def test_folding_what_does_not_repeat_keeps_every_path(root):
    whole = picture(root)
    short = folded(whole)
    kept = {box.name for box in short.boxes}
    before, after = reachable(whole), reachable(short)
    assert all(before[name] & kept <= after[name] for name in kept)


@pytest.mark.parametrize(
    ("widths", "folds"),
    [([4, 4, 4, 4], True), ([4, 4, 5, 4], False), ([4, 4], False)],
)
def test_modules_fold_if_three_in_a_row_have_the_same_shapes(widths, folds):
    layers = [nn.Linear(a, b) for a, b in zip([4, *widths], widths, strict=False)]
    loss = nn.Sequential(*layers)(Tensor(np.ones((2, 4)), requires_grad=True)).sum()
    repeats = folded(picture(loss)).repeats
    assert repeats == ({"0": len(widths)} if folds else {})


def test_a_module_between_others_that_is_used_twice_does_not_fold():
    x = Value(1.0)
    first = within("blocks.0", lambda: x * 2)
    second = within("blocks.1", lambda: first * 2)
    third = within("blocks.2", lambda: second * 2)
    assert folded(picture(third)).repeats == {"blocks.0": 3}
    assert folded(picture(third + first)).repeats == {}


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


@pytest.mark.parametrize("counts", [(4, 4, 4), (4, 5, 4)])
def test_blocks_of_blocks_fold_outside_if_they_are_as_many_inside(counts):
    model = nn.Sequential(*(nn.Sequential(*(nn.Linear(2, 2) for _ in range(n))) for n in counts))
    loss = model(Tensor(np.ones((1, 2)), requires_grad=True)).sum()
    alike = {"0.0": 4, "0": 3}
    different = {"0.0": 4, "1.0": 5, "2.0": 4}
    assert folded(picture(loss)).repeats == (alike if len(set(counts)) == 1 else different)
