"""Less of a picture is exactly the part that was asked for."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tests.viz.graphs import expressions, reachable
from tinygrad_edu import Value
from viz.graph import CONSTANTS, picture
from viz.selection import leading_to_parameters, neighbourhood, without_constants


def names(boxes):
    return {box.name for box in boxes}


def assert_arrows_between(part, whole):
    kept = names(part.boxes)
    between = Counter((a.tail, a.head) for a in whole.arrows if {a.tail, a.head} <= kept)
    assert Counter((a.tail, a.head) for a in part.arrows) == between


@given(expressions())
def test_without_constants_all_else_is_there(root):
    whole = picture(root)
    part = without_constants(whole)
    assert names(part.boxes) == {b.name for b in whole.boxes if b.kind not in CONSTANTS}
    assert_arrows_between(part, whole)


@given(expressions())
def test_only_what_is_on_a_path_from_a_parameter_with_a_gradient_is_kept(root):
    whole = picture(root)
    part = leading_to_parameters(whole)
    # With no op on the way that stops gradients, a box has a gradient if it is before such a box.
    leads = reachable(whole)
    box = {b.name: b for b in whole.boxes}
    flowing = {name for name, b in box.items() if b.gradient is not None}
    leaves = {name for name in flowing if box[name].kind == "leaf"}
    assert leaves <= names(part.boxes) <= flowing
    for name in names(part.boxes) - leaves:
        assert any(name in leads[leaf] for leaf in leaves)
    assert_arrows_between(part, whole)


def test_what_sign_stops_is_not_on_a_path_to_a_parameter():
    lost, found = Value(2.0, label="lost"), Value(3.0, label="found")
    part = leading_to_parameters(picture(tg.sign(lost) * found))
    assert [(b.label, b.op) for b in part.boxes] == [("found", ""), ("", "×")]


@given(expressions(), st.integers(0, 4), st.data())
def test_a_neighbourhood_is_what_so_many_arrows_lead_to_either_way(root, radius, data):
    whole = picture(root)
    start = data.draw(st.sampled_from([box.name for box in whole.boxes]))
    near = {start}
    for _ in range(radius):
        near |= {a.head for a in whole.arrows if a.tail in near} | {
            a.tail for a in whole.arrows if a.head in near
        }
    part = neighbourhood(whole, [start], radius)
    more = {b.name: int(b.op.split()[1]) for b in part.boxes if b.kind == "more"}
    assert names(part.boxes) - more.keys() == near
    beyond = {(a.tail, a.head) for a in whole.arrows if (a.tail in near) != (a.head in near)}
    assert sum(more.values()) == len(beyond)
    for arrow in part.arrows:
        if arrow.tail in more:
            assert more[arrow.tail] == sum(head == arrow.head for _, head in beyond)
        if arrow.head in more:
            assert more[arrow.head] == sum(tail == arrow.tail for tail, _ in beyond)
