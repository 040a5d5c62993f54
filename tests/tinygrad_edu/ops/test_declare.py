"""Ops that a user declares."""

import math

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import ShapeError, Tensor, Value
from tinygrad_edu.ops.declare import OPS
from tinygrad_edu.testing import gradcheck


@pytest.fixture
def softplus():
    return tg.elementwise(
        "my_log1p", "log1p", math.log1p, np.log1p, lambda g, y, x: g / (1 + x), doc="log(1 + x)."
    )


def test_an_elementwise_op_works_on_everything_a_shipped_one_does(softplus):
    assert softplus(1.0) == math.log(2)
    assert softplus(Value(1.0)).data == math.log(2)
    assert np.log1p(Tensor([0.0, 1.0])).data.tolist() == softplus(np.float32([0, 1])).tolist()
    assert softplus.__doc__ == "log(1 + x)."
    assert OPS["my_log1p"] is softplus


def test_an_elementwise_op_has_second_derivatives(softplus):
    gradcheck(softplus, Value(0.5), order=2)
    gradcheck(np.log1p, np.array([[0.5, 2.0]]), order=2)


def test_an_elementwise_op_has_options():
    scaled = tg.elementwise(
        "my_scale",
        "k x",
        lambda x, k=2.0: k * x,
        lambda x, k=2.0: k * x,
        lambda g, y, x, k: g * k,
    )
    assert scaled(Value(3.0)).data == 6
    assert scaled(Value(3.0), k=5.0).data == 15
    gradcheck(lambda x: scaled(x, 5.0), np.ones(2))


def test_a_function_of_arrays_becomes_an_op():
    @tg.primitive(
        lambda g, y, a, b: g[..., None] * b, lambda g, y, a, b: g[..., None] * a, symbol="·"
    )
    def my_dot(a, b):
        """Σ a b over the last axis."""
        return np.sum(a * b, axis=-1)

    assert my_dot.symbol == "·"
    gradcheck(my_dot, np.arange(6.0).reshape(2, 3), np.array([1.0, -2.0, 0.5]), order=2)


def test_an_op_that_saves_is_differentiated_twice_through_its_definition():
    def definition(x):
        return tg.mean(x * x)

    @tg.primitive(lambda g, y, x, saved: g * saved, saves=True, definition=definition, numpy=np.var)
    def my_power_of_a_signal(x):
        """The mean of x²."""
        return np.mean(x * x), 2 * x / x.size

    gradcheck(lambda x: my_power_of_a_signal(x) ** 2, np.array([1.0, -2.0, 0.5]), order=2)
    assert np.var(Tensor([1.0, 3.0])).item() == 5


def test_derivatives_that_share_work_are_taken_together_where_both_are_needed():
    asked = []

    def together(g, y, a, b, needed):
        asked.append(needed)
        return g * b, g * a

    @tg.primitive(lambda g, y, a, b: g * b, lambda g, y, a, b: g * a, together=together)
    def my_product(a, b):
        """a b."""
        return a * b

    a, b = Tensor([2.0], requires_grad=True), Tensor([3.0], requires_grad=True)
    my_product(a, b).backward()
    my_product(a, b.detach()).backward()
    assert (a.grad.tolist(), b.grad.tolist()) == ([6], [2])
    assert asked == [[True, True]]
    gradcheck(my_product, np.array([1.0, -2.0]), np.array([0.5, 3.0]), order=2)


def test_an_input_without_a_rule_is_a_constant():
    gate = tg.elementwise(
        "my_gate",
        "gate",
        lambda x, open: x * open,
        lambda x, open: x * open,
        lambda g, y, x, open: g * open,
        None,
    )
    x, opening = Tensor(2.0, requires_grad=True), Tensor(0.5, requires_grad=True)
    gate(x, opening).backward()
    assert (x.grad, opening.grad) == (0.5, None)


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, y, x: g.T,  # of the same size, in another shape
        lambda g, y, x: g[0],
        lambda g, y, x: np.float64(1),
        lambda g, y, x: 1.0,
        lambda g, y, x: np.ones((2, 0)),
    ],
)
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_rule_that_returns_another_shape_is_named(rule, create_graph):
    op = tg.elementwise("my_identity", "=", lambda x: x, np.positive, rule)
    x = Tensor(np.ones((2, 3)), requires_grad=True, label="weight")
    message = r"rule of my_identity returned shape \(.*\) for Tensor 'weight' of shape \(2, 3\)"
    with pytest.raises(ShapeError, match=message):
        op(x).sum().backward(create_graph=create_graph)
    assert x.grad is None


def test_a_rule_may_return_what_broadcasting_repeated():
    # The forward stretches x over three rows; the traversal adds them up.
    op = tg.elementwise(
        "my_rows", "rows", abs, lambda x: x + np.zeros((3, 1)), lambda g, y, x: g * 1.0
    )
    x = Tensor(np.ones(2), requires_grad=True)
    op(x).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_help_shows_the_operands_and_options():
    assert str(tg.softmax.__signature__) == "(x, axis=-1)"
    assert str(tg.matmul.__signature__) == "(a, b)"
    assert repr(tg.matmul) == "<op matmul>"
