"""Fused ops against their definitions in terms of other ops."""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import ShapeError, TargetError, Tensor, gradients
from tinygrad_edu.errors import IndexingError, OperandError, UnknownNameError
from tinygrad_edu.ops.declare import OPS
from tinygrad_edu.ops.fused import (
    batch_norm,
    binary_cross_entropy_with_logits,
    dropout,
    embedding,
    group_norm,
    layer_norm,
    rms_norm,
    scaled_dot_product_attention,
    standardize,
)
from tinygrad_edu.testing import gradcheck


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


NUMBERS = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
IMAGES = np.random.default_rng(0).standard_normal((3, 4, 2, 2))


def walk(gates, states):
    """What the input brings to each of four steps, a weight, a bias, and a state to start from."""
    normal = np.random.default_rng(gates).standard_normal
    return [normal((4, 3, gates * 2)), normal((gates * 2, 2)), normal(gates * 2),
            *(normal((3, 2)) for _ in range(states))]  # fmt: skip


def softmax(x, axis):
    return tg.exp(x) / tg.exp(x).sum(axis, keepdims=True)


DEFINITIONS = {
    "linear": lambda x, weight, bias: x @ weight.mT + bias,
    "softmax": softmax,
    "log_softmax": lambda x, axis: tg.log(softmax(x, axis)),
    "label_cross_entropy": lambda x, target: -tg.log(softmax(x, -1))[range(len(target)), target],
}


@st.composite
def fused_calls(draw):
    """An op's name, its differentiable inputs and its other arguments."""
    matrix = hnp.arrays(np.float64, (3, 2), elements=st.floats(-3, 3))
    name = draw(st.sampled_from(sorted(DEFINITIONS)))
    if name == "linear":
        bias = draw(hnp.arrays(np.float64, 3, elements=st.floats(-3, 3)))
        return name, [draw(matrix), draw(matrix), bias], ()
    if name == "label_cross_entropy":
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
    calls = {
        "label_cross_entropy": ([NUMBERS], (np.array([2, 0]), True)),
        "standardize": ([NUMBERS, NUMBERS[0], NUMBERS[1]], ((-1,), 0.1, True)),
        "lstm": (walk(4, states=2), ()),
        "gru": (walk(3, states=1), ()),
    }
    defined = {name: op.definition for name, op in OPS.items() if op.definition}
    assert set(calls) == {name for name, f in defined.items() if "tinygrad_edu" in f.__module__}
    for name, (arrays, rest) in calls.items():
        fast, slow = [leaf(a) for a in arrays], [leaf(a) for a in arrays]
        y, expected = OPS[name](*fast, *rest), OPS[name].definition(*slow, *rest)
        np.testing.assert_allclose(y.data, expected.data, rtol=1e-14, atol=1e-14)
        found, wanted = gradients((y * y).sum()), gradients((expected * expected).sum())
        for x, z in zip(fast, slow, strict=True):
            np.testing.assert_allclose(found[x], wanted[z], rtol=1e-12, atol=1e-14)


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


def shared_out(logits, target, weight, smoothing):
    """Every row's -Σ w p log softmax, with p on the label but for what is smoothed."""
    classes = logits.shape[1]
    p = (1 - smoothing) * np.eye(classes)[target] + smoothing / classes
    log_q = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -(weight * p * log_q).sum(1)


@given(st.data(), st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from(["mean", "sum", "none"]))
def test_cross_entropy_with_all_its_options_is_its_formula(data, smoothing, reduction):
    logits = data.draw(hnp.arrays(np.float64, (4, 3), elements=st.floats(-3, 3)))
    labels = data.draw(hnp.arrays(np.int64, 4, elements=st.sampled_from([0, 1, 2, -1])))
    labels[0] = 2
    weight, kept = np.array([0.5, 1.0, 3.0]), labels != -1
    rows = np.where(kept, shared_out(logits, np.where(kept, labels, 0), weight, smoothing), 0)
    mean = rows.sum() / weight[labels[kept]].sum()
    expected = {"mean": mean, "sum": rows.sum(), "none": rows}[reduction]
    y = tg.cross_entropy(leaf(logits), labels, weight, -1, reduction, smoothing)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-14)


def test_cross_entropy_with_all_its_options_has_its_gradients():
    target, weight = np.array([0, -1, 2]), np.array([0.5, 1.0, 3.0])
    logits = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0], [2.0, 0.5, -1.0]])
    for options in [{}, {"reduction": "sum"}, {"label_smoothing": 0.3}]:
        gradcheck(
            lambda x, w, o=options: tg.cross_entropy(x, target, w, ignore_index=-1, **o),
            logits,
            weight,
            order=2,
        )


def test_labels_as_probabilities_have_a_gradient_too():
    labels, weight = np.array([1, 0]), np.array([1.0, 2.0, 0.5])
    certain = np.eye(3)[labels]
    for options in [{}, {"label_smoothing": 0.2}, {"weight": weight, "reduction": "sum"}]:
        y = tg.cross_entropy(leaf(NUMBERS), certain, **options)
        assert y.item() == pytest.approx(tg.cross_entropy(leaf(NUMBERS), labels, **options).item())
        gradcheck(lambda x, p, o=options: tg.cross_entropy(x, p, **o), NUMBERS, certain / 2 + 0.1)


def test_a_label_at_every_place_is_one_of_a_longer_batch():
    logits = IMAGES  # of four classes
    labels = np.random.default_rng(0).integers(0, 4, (3, 2, 2))
    flat = np.moveaxis(logits, 1, -1).reshape(12, 4)
    expected = tg.cross_entropy(leaf(flat), labels.reshape(12), reduction="none").data
    y = tg.cross_entropy(leaf(logits), labels, reduction="none")
    np.testing.assert_array_equal(y.data, expected.reshape(3, 2, 2))
    single = tg.cross_entropy(leaf(flat[0]), labels[0, 0, 0])
    assert single.item() == pytest.approx(expected[0])


def test_an_ignored_label_gets_no_gradient_whatever_its_logits():
    logits = leaf([[-np.inf, 0.0], [1.0, 1.0]])
    tg.cross_entropy(logits, np.array([-100, 0])).backward()
    assert logits.grad.tolist() == [[0, 0], [-0.5, 0.5]]


@pytest.mark.parametrize(
    ("target", "options", "error", "message"),
    [
        ([-100, -100], {}, TargetError, "has no mean: all 2 labels are the ignore_index -100"),
        ([0, 1], {"reduction": "avg"}, UnknownNameError, "reduction of cross_entropy 'avg'"),
        ([0, 1], {"label_smoothing": 2}, OperandError, r"label_smoothing= in \[0, 1\], not 2"),
        ([0, 1], {"weight": np.ones(2)}, ShapeError, r"takes a weight \(3,\).*not of .*\(2,\)"),
        (np.full((2, 3), 2.0), {}, TargetError, r"target 2.0 at index \(0, 0\) \(6 such\)"),
        (np.ones((2, 3), int), {}, ShapeError, r"and labels \(2, 3\)"),
    ],
)
def test_options_of_cross_entropy_that_make_no_sense_are_named(target, options, error, message):
    with pytest.raises(error, match=f"cross_entropy.*{message}|{message}"):
        tg.cross_entropy(leaf(np.zeros((2, 3))), target, **options)


def test_a_linear_needs_no_bias():
    x, weight = leaf(np.ones((2, 3))), leaf(np.ones((4, 3)))
    assert tg.linear(x, weight).data.tolist() == [[3] * 4] * 2
    assert tg.linear(x, weight=weight, bias=np.ones(4)).data.tolist() == [[4] * 4] * 2


# Binary cross entropy


def test_binary_cross_entropy_is_its_formula():
    z, t = NUMBERS, np.array([[0.0, 1, 0.5], [1, 0.25, 1]])
    p = 1 / (1 + np.exp(-z))
    expected = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    assert binary_cross_entropy_with_logits(leaf(z), t).item() == pytest.approx(expected)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_binary_cross_entropy_with_weights_is_its_formula(reduction):
    z, t = NUMBERS, np.array([[0.0, 1, 0.5], [1, 0.25, 1]])
    p, positive, weight = 1 / (1 + np.exp(-z)), np.array([2.0, 0.5, 1.0]), np.array([[1.0], [3.0]])
    rows = -weight * (positive * t * np.log(p) + (1 - t) * np.log(1 - p))
    expected = {"mean": rows.mean(), "sum": rows.sum(), "none": rows}[reduction]

    def loss(z, t, weight, positive):
        return binary_cross_entropy_with_logits(z, t, weight, reduction, positive)

    np.testing.assert_allclose(loss(leaf(z), leaf(t), leaf(weight), leaf(positive)).data, expected)
    gradcheck(loss, z, t / 2 + 0.2, weight, positive, order=2)


def test_binary_cross_entropy_of_large_logits_is_exact_and_its_gradient_too():
    logits = leaf([1000.0, -1000.0, 1000.0, 0.0])
    loss = binary_cross_entropy_with_logits(logits, [1.0, 0.0, 0.0, 1.0])
    loss.backward()
    assert loss.item() == pytest.approx((1000 + math.log(2)) / 4)
    assert logits.grad.tolist() == [0, 0, 0.25, -0.125]  # (sigmoid - target) / 4


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_whole_labels_do_not_widen_the_loss(dtype):
    logits = leaf([1.0, -1.0], dtype)
    for target in (np.array([1, 0]), np.array([True, False])):
        loss = binary_cross_entropy_with_logits(logits, target)
        loss.backward()
        assert loss.dtype == logits.grad.dtype == dtype


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        ([0.0, 1.5], TargetError, r"target 1.5 at index \(1,\) \(1 such\), outside \[0, 1\]"),
        ([np.nan, np.nan], TargetError, r"target nan at index \(0,\) \(2 such\)"),
        ([[0.0, 1.0]], ShapeError, r"logits \(2,\) and targets \(1, 2\)"),
    ],
)
def test_wrong_binary_targets_are_named(target, error, message):
    with pytest.raises(error, match=f"binary_cross_entropy_with_logits.*{message}"):
        binary_cross_entropy_with_logits(leaf([0.0, 0.0]), np.array(target))


# Normalization


def standardized(x, axes):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)


def test_norms_are_their_formulas():
    w, b = np.arange(1.0, 5), np.arange(4.0)
    per_channel = (1, 4, 1, 1)
    rows = IMAGES.reshape(3, 4, 4)
    grouped = standardized(IMAGES.reshape(3, 2, 2, 2, 2), (2, 3, 4)).reshape(IMAGES.shape)
    batch = standardized(IMAGES, (0, 2, 3))
    rms = rows / np.sqrt((rows**2).mean(-1, keepdims=True) + np.finfo(float).eps)
    for y, expected in [
        (layer_norm(leaf(rows), 4, leaf(w), leaf(b)), standardized(rows, -1) * w + b),
        (layer_norm(leaf(rows), (4, 4)), standardized(rows, (1, 2))),
        (rms_norm(leaf(rows), [4], leaf(w)), rms * w),
        (
            group_norm(leaf(IMAGES), 2, leaf(w), leaf(b)),
            grouped * w.reshape(per_channel) + b.reshape(per_channel),
        ),
        (
            batch_norm(leaf(IMAGES), None, None, leaf(w), leaf(b), training=True),
            batch * w.reshape(per_channel) + b.reshape(per_channel),
        ),
    ]:
        np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w, b: layer_norm(x, (2,), w, b),
        lambda x, w, b: rms_norm(x, 2, w) + b,
        lambda x, w, b: group_norm(x, 1, w, b),
        lambda x, w, b: batch_norm(x, None, None, w, b, training=True),
        lambda x, w, b: batch_norm(x, np.array([1.0, 2.0]), np.array([0.5, 3.0]), w, b),
    ],
)
def test_norms_have_their_gradients(f):
    x = IMAGES[:2, :2, 0]
    gradcheck(lambda *inputs: f(*inputs) ** 2, x, np.array([1.5, -0.5]), np.ones(2), order=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_dtype_stays_through_norms(dtype):
    w, b = leaf(np.ones(4), dtype), leaf(np.zeros(4), dtype)
    running = np.zeros(4, dtype), np.ones(4, dtype)
    for f in [
        lambda x: layer_norm(x.reshape(3, 4, 4), 4, w, b),
        lambda x: rms_norm(x.reshape(3, 4, 4), 4, w),
        lambda x: group_norm(x, 2, w, b),
        lambda x: batch_norm(x, *running, w, b, training=True),
        lambda x: batch_norm(x, *running, w, b),
        lambda x: dropout(x, 0.5),
    ]:
        x = leaf(IMAGES, dtype)
        y = f(x)
        y.sum().backward()
        assert {y.dtype, x.grad.dtype, w.grad.dtype} == {np.dtype(dtype)}


def test_squares_that_overflow_a_half_do_not_spoil_a_norm():
    y = layer_norm(leaf([[1000.0, -1000.0]], np.float16), 2)
    assert y.data.tolist() == [[1, -1]]


def test_squares_that_overflow_a_half_do_not_spoil_a_running_variance():
    x = np.repeat([100.0, -100.0], 100).reshape(200, 1)  # the squares add up to 2 000 000
    variance = np.ones(1, np.float16)
    batch_norm(leaf(x, np.float16), None, variance, training=True, momentum=1.0)
    assert variance[0] == pytest.approx(x.var(ddof=1), rel=1e-3)


def test_a_constant_sample_is_standardized_to_zero():
    x = leaf(np.full((2, 3), 7.0))
    y = layer_norm(x, 3)
    y[0, 0].backward()
    assert not y.data.any()
    assert np.all(np.isfinite(x.grad))


@given(st.floats(0, 1))
def test_running_statistics_move_towards_those_of_the_batch_in_training_only(momentum):
    mean, variance = np.full(4, 2.0), np.full(4, 3.0)
    batch_norm(leaf(IMAGES), mean, variance, momentum=momentum)
    assert mean.tolist() == [2] * 4
    assert variance.tolist() == [3] * 4
    batch_norm(leaf(IMAGES), mean, variance, training=True, momentum=momentum)
    m, v = IMAGES.mean((0, 2, 3)), IMAGES.var((0, 2, 3), ddof=1)
    np.testing.assert_allclose(mean, (1 - momentum) * 2 + momentum * m)
    np.testing.assert_allclose(variance, (1 - momentum) * 3 + momentum * v)


def test_norms_that_do_not_fit_are_named():
    x, three = leaf(IMAGES), np.ones(3)
    for error, message, f in [
        (ShapeError, r"does not end in the normalized_shape \(3,\)", lambda: layer_norm(x, 3)),
        (ShapeError, r"normalized_shape \(2,\), not of \(3,\)", lambda: layer_norm(x, 2, three)),
        (ShapeError, "3 groups do not divide 4 channels", lambda: group_norm(x, 3)),
        (
            ShapeError,
            r"4 channels, so running_var has shape \(4,\), not \(3,\)",
            lambda: batch_norm(x, None, three, training=True),
        ),
        (
            ShapeError,
            "more than one entry per",
            lambda: batch_norm(x[:1, :, 0, 0], None, None, training=True),
        ),
        (OperandError, "needs running_mean and running_var", lambda: batch_norm(x, None, None)),
    ]:
        with pytest.raises(error, match=message):
            f()


def test_a_norm_needs_no_weight_and_no_tensor():
    np.testing.assert_allclose(
        standardize(IMAGES, None, None, (0,), 1e-5), standardized(IMAGES, 0), rtol=1e-12
    )


# Embedding, dropout, attention


def test_an_embedding_is_rows_of_its_weight_and_repeated_rows_add_up():
    weight = leaf([[1.0, 2], [3, 4], [5, 6]])
    y = embedding([[0, 2], [2, 2]], weight)
    y.sum().backward()
    assert y.data.tolist() == [[[1, 2], [5, 6]], [[5, 6], [5, 6]]]
    assert weight.grad.tolist() == [[1, 1], [0, 0], [3, 3]]


@pytest.mark.parametrize("padding_idx", [1, -2])
def test_the_row_of_padding_is_looked_up_and_gets_no_gradient(padding_idx):
    weight = leaf([[1.0, 2], [3, 4], [5, 6]])
    y = embedding(np.array([1, 2, 1]), weight, padding_idx)
    (y * y).sum().backward()
    assert y.data.tolist() == [[3, 4], [5, 6], [3, 4]]
    assert weight.grad.tolist() == [[0, 0], [0, 0], [10, 12]]
    with pytest.raises(IndexingError, match="padding_idx 3 for a weight of 3 rows"):
        embedding(np.array([1]), weight, 3)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0, 3], IndexingError, r"got 3 at index \(1,\) \(1 such\), outside \[0, 3\)"),
        ([[-1]], IndexingError, r"got -1 at index \(0, 0\)"),
        ([0.0], OperandError, "integer indices, not float64"),
    ],
)
def test_rows_that_an_embedding_does_not_have_are_named(indices, error, message):
    with pytest.raises(error, match=f"embedding.*{message}"):
        embedding(np.array(indices), leaf(np.ones((3, 2))))


def test_dropout_keeps_the_mean_and_passes_the_gradient_where_it_passes_the_entry():
    x = leaf(np.ones(10_000))
    y = dropout(x, 0.25, rng=np.random.default_rng(0))
    y.sum().backward()
    assert set(y.data) == {0, 1 / 0.75}
    assert y.data.mean() == pytest.approx(1, abs=0.03)  # five standard deviations
    np.testing.assert_array_equal(x.grad, y.data)


def test_dropout_of_all_or_nothing_or_outside_of_training():
    x = leaf([1.0, -2.0])
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0) is x
    assert dropout(x, 1).data.tolist() == [0, 0]
    with pytest.raises(OperandError, match="probability p in"):
        dropout(x, 1.5)


QUERY, KEY, VALUE = (
    np.random.default_rng(i).standard_normal(shape)
    for i, shape in enumerate([(2, 3, 4), (2, 5, 4), (2, 5, 2)])
)


def attention(query, key, value, mask):
    scores = query @ key.mT / 2 + mask  # the square root of 4 features
    e = np.exp(scores)
    return e / e.sum(-1, keepdims=True) @ value


def test_attention_is_its_formula_with_every_kind_of_mask():
    allowed = np.random.default_rng(3).random((3, 5)) < 0.7
    allowed[:, 0] = True
    added = np.random.default_rng(4).standard_normal((2, 3, 5))
    causal = np.tri(3, 5, dtype=bool)
    minus = np.log(np.where(causal, 1, np.exp(-100)))
    inputs = leaf(QUERY), leaf(KEY), leaf(VALUE)
    for mask, is_causal, equal in [
        (None, False, 0),
        (added, False, added),
        (allowed, False, np.where(allowed, 0, -100)),
        (None, True, minus),
        (allowed, True, np.where(allowed, minus, -100)),
        (added, True, added + minus),
    ]:
        y = scaled_dot_product_attention(*inputs, mask, is_causal=is_causal)
        expected = attention(QUERY, KEY, VALUE, equal)
        np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-14)


def test_attention_to_nothing_is_zero_and_so_is_its_gradient():
    query = leaf(QUERY)
    mask = np.ones((3, 5), bool)
    mask[1] = False
    y = scaled_dot_product_attention(query, KEY, VALUE, mask)
    y.sum().backward()
    assert not y.data[:, 1].any()
    assert not query.grad[:, 1].any()
    assert query.grad[:, 0].all()


def test_a_mask_that_adds_minus_infinity_is_one_of_booleans():
    allowed = np.array([[True, False, True, True, False], [False] * 5, [True] * 5])
    query = leaf(QUERY)
    y = scaled_dot_product_attention(query, KEY, VALUE, np.where(allowed, 0, -np.inf))
    y.sum().backward()
    expected = scaled_dot_product_attention(leaf(QUERY), KEY, VALUE, allowed)
    np.testing.assert_array_equal(y.data, expected.data)
    assert np.all(np.isfinite(query.grad))


def test_attention_may_be_scaled_otherwise():
    y = scaled_dot_product_attention(leaf(QUERY), KEY, VALUE, scale=1.5)
    expected = attention(3 * QUERY, KEY, VALUE, 0)  # which divides by the square root of 4
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)


def test_attention_drops_weights_and_keeps_the_mean():
    query, key = leaf(np.zeros((1000, 4))), np.zeros((10, 4))  # every weight is 1 / 10
    rng = np.random.default_rng(0)
    y = scaled_dot_product_attention(query, key, np.ones((10, 1)), dropout_p=0.2, rng=rng)
    assert set(np.round(y.data[:, 0] * 8)) <= set(range(11))  # so many of 10 were kept, of 1 / 8
    assert y.data.mean() == pytest.approx(1, abs=0.025)  # five standard deviations


def test_attention_has_its_gradients():
    gradcheck(
        lambda q, k, v: scaled_dot_product_attention(q, k, v, is_causal=True) ** 2,
        QUERY[0, :, :2],
        KEY[0, :3, :2],
        VALUE[0, :3],
        order=2,
    )


def test_attention_keeps_the_dtype_and_names_what_does_not_fit():
    half = [leaf(x, np.float16) for x in (QUERY, KEY, VALUE)]
    y = scaled_dot_product_attention(*half, is_causal=True)
    y.sum().backward()
    assert {y.dtype, *(x.grad.dtype for x in half)} == {np.dtype(np.float16)}
    with pytest.raises(ShapeError, match=r"it got \(2, 3, 4\), \(2, 5, 2\) and \(2, 5, 2\)"):
        scaled_dot_product_attention(leaf(QUERY), leaf(VALUE), leaf(VALUE))
    with pytest.raises(ShapeError, match=r"takes a query \(..., length, features\)"):
        scaled_dot_product_attention(leaf([1.0]), leaf(KEY), leaf(VALUE))
