"""Modules that repeat in a row are drawn once, and no gradient path is lost."""

import numpy as np
import pytest
from hypothesis import given

import nn
from tests.viz.graphs import modular, reachable, stacks, within
from tinygrad_edu import Tensor, Value
from viz.folding import folded
from viz.graph import number, picture


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


@pytest.mark.parametrize("counts", [(4, 4, 4), (4, 5, 4)])
def test_blocks_of_blocks_fold_outside_if_they_are_as_many_inside(counts):
    model = nn.Sequential(*(nn.Sequential(*(nn.Linear(2, 2) for _ in range(n))) for n in counts))
    loss = model(Tensor(np.ones((1, 2)), requires_grad=True)).sum()
    alike = {"0.0": 4, "0": 3}
    different = {"0.0": 4, "1.0": 5, "2.0": 4}
    assert folded(picture(loss)).repeats == (alike if len(set(counts)) == 1 else different)


def test_a_box_that_stands_for_blocks_of_blocks_shows_the_range_over_all_of_them():
    model = nn.Sequential(*(nn.Sequential(*(nn.Linear(2, 2) for _ in range(3))) for _ in range(3)))
    loss = (model(Tensor(np.ones((1, 2)))) ** 2).sum()
    loss.backward()
    sizes = [np.linalg.norm(p.grad) for path, p in model.named_parameters() if "weight" in path]
    (shown,) = (box for box in folded(picture(loss)).boxes if box.label == "weight")
    assert dict(shown.rows)["‖grad‖"] == f"{number(min(sizes))} … {number(max(sizes))}"
