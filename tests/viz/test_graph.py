"""The drawing model says of a graph what the graph is and what the engine computes."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tests.viz.graphs import every_node, expressions, within
from tinygrad_edu import GradientError, Tensor, Value
from viz.graph import local_derivative, number, picture


@given(expressions())
def test_every_node_is_one_box_and_every_use_of_an_input_is_one_arrow(root):
    shown = picture(root)
    uses = [(x, node) for node in every_node(root) for x in node.inputs]
    constants = [x for x, _ in uses if not isinstance(x, Value)]
    name = {box.label: box.name for box in shown.boxes if box.kind != "number"}
    assert len({box.name for box in shown.boxes}) == len(shown.boxes)
    assert len(shown.boxes) == len(every_node(root)) + len(constants)
    assert set(name) == {node.label for node in every_node(root)}
    wanted = Counter((name[x.label], name[y.label]) for x, y in uses if isinstance(x, Value))
    drawn = Counter((a.tail, a.head) for a in shown.arrows if a.tail in name.values())
    assert drawn == wanted
    assert len(shown.arrows) == len(uses)


@given(expressions())
def test_gradients_are_those_of_backward_and_drawing_leaves_grad_alone(root):
    shown = {box.label: box for box in picture(root).boxes}
    assert all(node.grad == 0.0 for node in every_node(root))
    root.backward()
    for node in every_node(root):
        assert (shown[node.label].gradient or 0.0) == pytest.approx(node.grad)
        assert ("data", number(node.data)) in shown[node.label].rows


@given(expressions())
def test_a_gradient_is_the_sum_of_arrow_times_gradient_at_its_head(root):
    shown = picture(root)
    box = {box.name: box for box in shown.boxes}
    for name, b in box.items():
        flows = [
            a.derivative * box[a.head].gradient
            for a in shown.arrows
            if a.tail == name and a.derivative is not None and box[a.head].gradient is not None
        ]
        if flows and b.label != root.label:
            assert b.gradient == pytest.approx(math.fsum(flows))


@pytest.mark.parametrize(
    ("op", "point"),
    [
        (tg.add, (1.5, -0.5)),
        (tg.subtract, (1.5, -0.5)),
        (tg.multiply, (1.5, -0.5)),
        (tg.divide, (1.5, -0.5)),
        (tg.power, (1.5, -0.5)),
        (tg.maximum, (1.5, -0.5)),
        (tg.exp, (0.3,)),
        (tg.log, (0.3,)),
        (tg.sqrt, (0.3,)),
        (tg.tanh, (0.3,)),
        (tg.sigmoid, (0.3,)),
        (tg.gelu, (0.3,)),
        (tg.leaky_relu, (-0.3,)),
    ],
)
def test_local_derivatives_match_finite_differences(op, point):
    y = op(*map(Value, point))
    for i in range(len(point)):
        step = np.where(np.arange(len(point)) == i, 1e-6, 0.0)
        high, low = op(*(point + step).tolist()), op(*(point - step).tolist())
        assert local_derivative(y, i) == pytest.approx((high - low) / 2e-6, rel=1e-6, abs=1e-9)


def test_both_uses_of_an_input_have_their_own_local_derivative():
    x = Value(3.0)
    assert [arrow.derivative for arrow in picture(x / x).arrows] == [1 / 3, -1 / 3]


def test_no_local_derivative_where_no_gradient_flows():
    x, fixed = Value(3.0), Value(2.0, requires_grad=False)
    assert [arrow.derivative for arrow in picture(x * fixed).arrows] == [2.0, None]
    assert [arrow.derivative for arrow in picture(tg.sign(x)).arrows] == [None]


def test_derivatives_that_python_cannot_compute_are_infinite():
    assert local_derivative(tg.sqrt(Value(0.0)), 0) == math.inf


def test_tensors_are_shown_by_shape_dtype_and_norm_of_the_gradient():
    w = Tensor([[3.0, 4.0]], requires_grad=True, label="w")
    box = picture((w * w).sum() / 2).boxes[0]  # the gradient of |w|²/2 is w, of norm 5
    assert (box.kind, box.gradient) == ("parameter", 5.0)
    wanted = [("shape", "(1, 2)"), ("dtype", "float32"), ("data", "[[3, 4]]"), ("‖grad‖", "5")]
    assert list(box.rows) == wanted


def test_a_norm_beyond_the_range_of_squares_is_exact():
    x = Tensor(np.array([1.0, 1.0]), requires_grad=True)
    assert picture(-x, gradient=np.array([3e200, 4e200])).boxes[0].gradient == pytest.approx(5e200)


def test_large_tensors_are_not_written_out():
    rows = dict(picture(Tensor(np.zeros(5), requires_grad=True).sum()).boxes[0].rows)
    assert "data" not in rows


def test_absent_operands_are_not_drawn():
    x, weight = Tensor([[1.0]]), Tensor([[2.0]], requires_grad=True)
    assert len(picture(tg.linear(x, weight, None)).boxes) == 3


def test_each_use_of_a_constant_is_a_box_of_its_own():
    boxes = picture((Value(1.0) + 2) * 2).boxes
    assert [box.rows for box in boxes if box.kind == "number"] == [(("", "2"),)] * 2


def test_an_array_is_outside_of_the_module_it_is_given_to_and_inside_where_it_meets_a_result():
    weight = Tensor([1.0, 2.0], requires_grad=True)
    x, mask = np.array([3.0, 4.0]), np.array([1.0, 0.0])
    boxes = within("layer", lambda: picture(((weight * x) * mask).sum())).boxes
    groups = [(box.kind, box.group) for box in boxes if box.kind != "result"]
    assert groups == [("parameter", "layer"), ("array", ""), ("array", "layer")]


def test_groups_nest_by_module_path_and_leaves_go_where_they_are_used():
    x = Tensor([[1.0]], label="x")
    weight = Tensor([[2.0]], requires_grad=True, label="weight")
    shared = Tensor([3.0], requires_grad=True, label="shared")
    y = within("features.0.conv", lambda: tg.linear(x, weight, shared))
    y = within("features.1", lambda: y * shared)
    shown = picture(y.sum())
    group = {box.label or box.op: box.group for box in shown.boxes}
    assert shown.groups == ("features", "features.0", "features.0.conv", "features.1")
    assert group["linear"] == group["weight"] == "features.0.conv"
    assert group["shared"] == "features"
    assert group["x"] == shown.boxes[-1].group == ""


def test_a_root_that_is_not_a_scalar_needs_a_gradient_to_show_any():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert not picture(x * 2).has_gradients
    assert picture(x * 2, gradient=np.array([3.0, 4.0])).boxes[0].gradient == 10.0


def test_data_alone_are_drawn_without_gradients():
    shown = picture(Value(1.0, requires_grad=False))
    assert (shown.has_gradients, [box.kind for box in shown.boxes]) == (False, ["data"])


def test_a_released_graph_is_an_error_of_the_engine():
    y = Value(1.0) * 2
    y.backward(retain_graph=False)
    with pytest.raises(GradientError, match="released"):
        picture(y)


def test_something_else_than_a_node_cannot_be_drawn():
    with pytest.raises(tg.OperandError, match="float"):
        picture(1.0)


def test_depth_is_limited_by_memory_only():
    y = Value(0.5)
    for _ in range(100_000):
        y = y.tanh()
    assert len(picture(y).arrows) == 100_000


@given(st.floats(-1e300, 1e300))
def test_numbers_have_four_significant_digits(x):
    # Below the smallest normal number, floats themselves have fewer digits.
    assert float(number(x)) == pytest.approx(x, rel=5.01e-4, abs=1e-307)


def test_the_graph_of_an_error_is_drawn_up_to_the_operation_that_failed():
    w = Tensor(np.ones((2, 3)), requires_grad=True, label="w")
    hidden = tg.tanh(w)
    with pytest.raises(tg.ShapeError) as error:
        hidden @ (hidden * 2.0)
    shown = picture(error.value.graph)
    assert [box.op for box in shown.boxes if box.op] == ["tanh", "× multiply", "matmul failed"]
    assert [b.kind for b in shown.boxes].count("failure") == 1
    assert len(shown.arrows) == 5  # w, hidden twice, 2.0, the product
    assert not shown.has_gradients
