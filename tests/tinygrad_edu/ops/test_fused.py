"""Fused ops against their definitions in terms of other ops."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import ShapeError, TargetError, Tensor, gradients
from tinygrad_edu.ops.declare import OPS
from tinygrad_edu.testing import gradcheck


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


def softmax(x, axis):
    return tg.exp(x) / tg.exp(x).sum(axis, keepdims=True)


DEFINITIONS = {
    "linear": lambda x, weight, bias: x @ weight.mT + bias,
    "softmax": softmax,
    "log_softmax": lambda x, axis: tg.log(softmax(x, axis)),
    "cross_entropy": lambda x, target: -tg.log(softmax(x, -1))[range(len(target)), target].mean(),
}


@st.composite
def fused_calls(draw):
    """An op's name, its differentiable inputs and its other arguments."""
    matrix = hnp.arrays(np.float64, (3, 2), elements=st.floats(-3, 3))
    name = draw(st.sampled_from(sorted(DEFINITIONS)))
    if name == "linear":
        bias = draw(hnp.arrays(np.float64, 3, elements=st.floats(-3, 3)))
        return name, [draw(matrix), draw(matrix), bias], ()
    if name == "cross_entropy":
        return name, [draw(matrix)], (draw(hnp.arrays(np.int64, 3, elements=st.integers(0, 1))),)
    return name, [draw(matrix)], (draw(st.sampled_from([-2, -1, 0, 1])),)


@given(fused_calls(), st.sampled_from([False, True]))
def test_values_and_gradients_are_those_of_the_definition(call, create_graph):
    name, arrays, rest = call
    fast, slow = [leaf(a) for a in arrays], [leaf(a) for a in arrays]
    y, expected = OPS[name](*fast, *rest), DEFINITIONS[name](*slow, *rest)
    np.testing.assert_allclose(y.data, expected.data, rtol=1e-12, atol=1e-14)
    found = gradients((y * y).sum(), create_graph=create_graph)
    wanted = gradients((expected * expected).sum())
    for x, z in zip(fast, slow, strict=True):
        gradient = found[x].data if create_graph else found[x]
        np.testing.assert_allclose(gradient, wanted[z], rtol=1e-9, atol=1e-12)


def test_every_op_that_names_a_definition_computes_it():
    # Of the shipped ones, that is cross_entropy.
    logits, target = leaf([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]), np.array([2, 0])
    y = OPS["cross_entropy"].definition(logits, target)
    assert tg.cross_entropy(logits, target).item() == pytest.approx(y.item(), rel=1e-14)


def test_a_second_derivative_sees_that_the_incoming_gradient_depends_on_the_logits():
    target = np.array([0, 2])
    gradcheck(
        lambda x: tg.cross_entropy(x, target) * tg.cross_entropy(x * x, target),
        np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]]),
        order=2,
    )


@pytest.mark.parametrize("op", [tg.softmax, tg.log_softmax])
def test_large_logits_do_not_overflow(op):
    x = leaf([[-1000.0, 0.0, 1000.0]])
    y = op(x)
    (y * np.array([1.0, 2.0, 3.0])).sum().backward()
    exact = {"softmax": [[0, 0, 1]], "log_softmax": [[-2000, -1000, 0]]}
    assert y.data.tolist() == exact[op.name]
    assert np.all(np.isfinite(x.grad))


def test_cross_entropy_of_large_logits_is_exact_and_its_gradient_too():
    logits = leaf([[1000.0, -1000.0], [1000.0, -1000.0]])
    loss = tg.cross_entropy(logits, [0, 1])
    loss.backward()
    assert loss.item() == 1000  # the mean of 0 and 2000
    assert logits.grad.tolist() == [[0, 0], [0.5, -0.5]]  # (softmax - onehot) / 2


def test_cross_entropy_of_equal_logits_is_the_entropy_of_a_uniform_guess():
    assert tg.cross_entropy(leaf(np.zeros((4, 10))), np.arange(4)).item() == pytest.approx(
        math.log(10)
    )


@given(st.integers(-3, 2), st.floats(-100, 100))
def test_softmax_sums_to_one_and_ignores_a_shift(axis, shift):
    x = np.arange(24.0).reshape(2, 3, 4) % 5
    y = tg.softmax(Tensor(x), axis).data
    np.testing.assert_allclose(y.sum(axis), 1, rtol=1e-14)
    np.testing.assert_allclose(tg.softmax(Tensor(x + shift), axis).data, y, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_dtype_stays_through_fused_ops(dtype):
    x, weight, bias = leaf([[1.0, 2.0]], dtype), leaf([[1.0, 0.5]] * 3, dtype), leaf([0.0], dtype)
    loss = tg.cross_entropy(tg.log_softmax(tg.softmax(tg.linear(x, weight, bias))), np.array([1]))
    loss.backward()
    assert {loss.dtype, x.grad.dtype, weight.grad.dtype, bias.grad.dtype} == {np.dtype(dtype)}


def test_a_bias_of_a_wider_dtype_widens_the_result_and_not_the_gradients():
    x, weight = leaf([[1.0]], np.float32), leaf([[2.0]], np.float32)
    y = tg.linear(x, weight, leaf([0.1]))
    y.sum().backward()
    assert y.dtype == np.float64
    assert x.grad.dtype == weight.grad.dtype == np.float32


def test_labels_may_be_a_tensor_of_integers():
    logits, labels = leaf([[1.0, 2.0]]), np.array([1], dtype=np.uint8)
    assert (
        tg.cross_entropy(logits, Tensor(labels)).item() == tg.cross_entropy(logits, labels).item()
    )


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (np.array([0, 3]), TargetError, r"label 3 at index 1 \(1 such\), outside \[0, 3\)"),
        (np.array([-1, -1]), TargetError, r"label -1 at index 0 \(2 such\), outside \[0, 3\)"),
        (np.array([0.0, 1.0]), TargetError, "integer labels, not float64"),
        (np.array([0.0, np.nan]), TargetError, "integer labels, not float64"),
        (np.array([True, False]), TargetError, "integer labels, not bool"),
        ([0.0, 1.0], TargetError, "integer labels, not float64"),
        (np.array([0, 1, 2]), ShapeError, r"logits \(2, 3\) and labels \(3,\)"),
        (np.array([[0, 1]]), ShapeError, r"logits \(2, 3\) and labels \(1, 2\)"),
    ],
)
def test_wrong_labels_are_named(target, error, message):
    with pytest.raises(error, match=f"cross_entropy.*{message}"):
        tg.cross_entropy(leaf(np.zeros((2, 3))), target)


def test_logits_of_no_batch_are_refused():
    for shape in [(3,), (0, 3)]:
        with pytest.raises(ShapeError, match="N labels, N > 0"):
            tg.cross_entropy(leaf(np.zeros(shape)), np.zeros(0, int))


def test_features_that_do_not_fit_a_linear_are_named():
    message = (
        r"linear cannot take shape \(2, 3\) and shape \(5, 4\) and None:"
        " the 3 columns on the left must match the 4 in_features of the weight"
    )
    with pytest.raises(ShapeError, match=message):
        tg.linear(leaf(np.ones((2, 3))), leaf(np.ones((5, 4))), None)
