"""Losses against their formulas in NumPy, and what they say of targets that make no sense."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value
from tinygrad_edu.testing import gradcheck

REDUCTIONS = {"mean": np.mean, "sum": np.sum, "none": np.asarray}
POSITIVE = st.floats(0.25, 2)

REAL = st.floats(-5, 5)
SHARE = st.floats(0.0625, 0.9375)
SIGN = st.sampled_from([-1.0, 1.0])
COUNT = st.integers(0, 9).map(float)


def stirling(t):
    many = np.maximum(t, 2)
    return np.where(t > 1, many * np.log(many) - many + np.log(2 * np.pi * many) / 2, 0)


def huber(x, t, delta):
    d = np.abs(x - t)
    return np.where(d < delta, d * d / 2, delta * (d - delta / 2))


# For a loss of entries: its options, what its input and target are drawn from, and its formula.
ENTRYWISE = {
    "MSELoss": ({}, REAL, REAL, lambda x, t: (x - t) ** 2),
    "L1Loss": ({}, REAL, REAL, lambda x, t: np.abs(x - t)),
    "HuberLoss": ({"delta": POSITIVE}, REAL, REAL, huber),
    "SmoothL1Loss": ({"beta": POSITIVE}, REAL, REAL, lambda x, t, beta: huber(x, t, beta) / beta),
    "BCELoss": ({}, SHARE, SHARE, lambda p, t: -t * np.log(p) - (1 - t) * np.log(1 - p)),
    "BCEWithLogitsLoss": ({}, REAL, SHARE, lambda z, t: np.log(1 + np.exp(z)) - t * z),
    "HingeLoss": ({"margin": POSITIVE}, REAL, SIGN, lambda x, t, margin: (margin - t * x).clip(0)),
    "SoftMarginLoss": ({}, REAL, SIGN, lambda x, t: np.log(1 + np.exp(-t * x))),
    "KLDivLoss": ({}, REAL, SHARE, lambda x, t: t * (np.log(t) - x)),
    "PoissonNLLLoss": (
        {"full": st.booleans()},
        REAL,
        COUNT,
        lambda x, t, full: np.exp(x) - t * x + full * stirling(t),
    ),
}

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)


@pytest.mark.parametrize("name", sorted(ENTRYWISE))
@given(data=st.data(), shape=SHAPES, reduction=st.sampled_from(sorted(REDUCTIONS)))
def test_a_loss_of_entries_is_its_formula_reduced(name, data, shape, reduction):
    options, inputs, targets, formula = ENTRYWISE[name]
    options = {option: data.draw(values) for option, values in options.items()}
    x = data.draw(hnp.arrays(np.float64, shape, elements=inputs))
    t = data.draw(hnp.arrays(np.float64, shape, elements=targets))
    loss = getattr(nn, name)(reduction=reduction, **options)
    expected = REDUCTIONS[reduction](formula(x, t, **options))
    np.testing.assert_allclose(loss(Tensor(x), t).data, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", sorted(ENTRYWISE))
def test_a_loss_of_entries_has_first_and_second_derivatives_by_both_of_its_inputs(name):
    rng = np.random.default_rng(0)
    _, inputs, targets, _ = ENTRYWISE[name]
    x = rng.uniform(0.1, 0.9, (3, 2)) if inputs is SHARE else rng.normal(size=(3, 2))
    loss = getattr(nn, name)(reduction="none")
    if targets is SIGN:  # which cannot be moved
        t = np.where(rng.random((3, 2)) < 0.5, -1.0, 1.0)
        gradcheck(lambda x: loss(x, t), x, order=2)
    else:
        gradcheck(loss, x, rng.uniform(0.1, 0.9, (3, 2)), order=2)


@given(st.data(), st.sampled_from(["mean", "sum", "none"]))
def test_the_loss_of_log_probabilities_is_cross_entropy_without_its_softmax(data, reduction):
    places = data.draw(st.sampled_from([(), (2,), (2, 3)]))
    x = data.draw(hnp.arrays(np.float64, (4, 3, *places), elements=REAL))
    labels = data.draw(hnp.arrays(np.int64, (4, *places), elements=st.sampled_from([0, 1, 2, -7])))
    labels.flat[0] = 1
    weight = data.draw(st.none() | st.just([0.5, 1.0, 3.0]))
    options = {"weight": weight, "ignore_index": -7, "reduction": reduction}
    y = nn.NLLLoss(**options)(nn.LogSoftmax(dim=1)(x), labels)
    expected = nn.CrossEntropyLoss(**options)(x, labels)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-13)


@given(st.sampled_from([1, 2]), POSITIVE, hnp.arrays(np.float64, (4, 3), elements=REAL))
def test_the_margin_loss_of_classes_is_the_sum_of_what_the_others_come_too_near(p, margin, x):
    labels, weight = np.array([0, 2, 1, 2]), np.array([0.5, 1.0, 3.0])
    rows = [
        weight[y] * sum(max(0, margin - row[y] + row[c]) ** p for c in range(3) if c != y) / 3
        for row, y in zip(x, labels, strict=True)
    ]
    loss = nn.MultiMarginLoss(p, margin, weight)
    assert loss(x, labels).item() == pytest.approx(np.mean(rows), rel=1e-12)
    assert loss(x[0], labels[0]).item() == pytest.approx(rows[0], rel=1e-12)


@given(hnp.arrays(np.float64, (3, 4), elements=REAL), hnp.arrays(np.float64, (3, 4), elements=REAL))
def test_cross_entropy_of_shares_is_their_divergence_and_their_entropy(x, z):
    shares, log_q = nn.Softmax()(z), nn.LogSoftmax()(x)
    entropy = -np.sum(shares * np.log(shares), 1).mean()
    divergence = nn.KLDivLoss("batchmean")(log_q, shares).item()
    assert divergence >= -1e-12
    assert nn.CrossEntropyLoss()(x, shares) == pytest.approx(divergence + entropy)
    logarithms = nn.KLDivLoss("batchmean", log_target=True)(log_q, np.log(shares))
    assert logarithms.item() == pytest.approx(divergence, abs=1e-12)


def test_a_share_of_nothing_adds_nothing_to_a_divergence():
    x = Tensor(np.log([0.5, 0.5]), requires_grad=True)
    loss = nn.KLDivLoss("sum")(x, np.array([0.0, 1.0]))
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert x.grad.tolist() == [0, -1]


@given(hnp.arrays(np.float64, (3, 2), elements=REAL), st.sampled_from([(3, 2), (3, 1), (3,)]))
def test_the_loss_of_a_normal_distribution_is_minus_the_logarithm_of_its_density(x, shape):
    t, var = np.ones((3, 2)), np.linspace(0.5, 2, math.prod(shape)).reshape(shape)
    spread = var[:, None] if shape == (3,) else var
    density = np.exp(-((x - t) ** 2) / (2 * spread)) / np.sqrt(2 * np.pi * spread)
    loss = nn.GaussianNLLLoss(full=True, reduction="none")
    np.testing.assert_allclose(loss(x, t, var).data, -np.log(density), rtol=1e-11, atol=1e-12)


@given(hnp.arrays(np.float64, (2, 4, 3), elements=st.floats(0.5, 5)), st.floats(-0.5, 0.5))
def test_cosines_are_pushed_to_one_or_below_the_margin(pair, margin):
    a, b = pair
    t = np.array([1, -1, 1, -1])
    cosine = (a * b).sum(1) / np.sqrt((a * a).sum(1) * (b * b).sum(1))
    expected = np.where(t == 1, 1 - cosine, np.maximum(0, cosine - margin))
    y = nn.CosineEmbeddingLoss(margin, "none")(a, b, t)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)


@given(hnp.arrays(np.float64, (3, 4, 2), elements=REAL), st.sampled_from([1, 2, 3]), st.booleans())
def test_a_triplets_negative_has_to_be_farther_by_the_margin(triplet, p, swap):
    anchor, positive, negative = triplet
    distance = lambda a, b: (np.abs(a - b + 1e-6) ** p).sum(1) ** (1 / p)
    far = distance(anchor, negative)
    if swap:
        far = np.minimum(far, distance(positive, negative))
    expected = np.maximum(0, distance(anchor, positive) - far + 0.5)
    y = nn.TripletMarginLoss(0.5, p, swap=swap, reduction="none")(anchor, positive, negative)
    np.testing.assert_allclose(y.data, expected, rtol=1e-9, atol=1e-12)


def test_a_ranking_loss_is_the_hinge_loss_of_the_difference():
    a, b, t = np.array([1.0, 2, 3]), np.array([2.0, 0, 3]), np.array([1, -1, 1])
    ranking = nn.MarginRankingLoss(0.5)(a, b, t).item()
    assert ranking == nn.HingeLoss(0.5)(a - b, t).item() == (1.5 + 2.5 + 0.5) / 3


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_are_factors_of_the_losses(reduction):
    p, t = np.array([[0.2, 0.7], [0.9, 0.4]]), np.array([[0.0, 1.0], [1.0, 0.5]])
    plain = nn.BCELoss(reduction="none")(p, t).data
    weighted = nn.BCELoss([2.0, 0.5], reduction)(p, t).item()
    assert weighted == pytest.approx(REDUCTIONS[reduction](plain * [2.0, 0.5]))
    positive = nn.BCEWithLogitsLoss(None, reduction, [3.0, 3.0])
    logits = np.log(p / (1 - p))
    rows = -3 * t * np.log(p) - (1 - t) * np.log(1 - p)
    assert positive(logits, t).item() == pytest.approx(REDUCTIONS[reduction](rows))


# Far out


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.BCEWithLogitsLoss(), [0.0, 1.0, 1.0]),
        (nn.SoftMarginLoss(), [-1, 1, 1]),
        (nn.HingeLoss(), [-1, 1, 1]),
        (nn.HuberLoss(), [0.0, 1.0, 1.0]),
        (nn.SmoothL1Loss(), [0.0, 1.0, 1.0]),
        (nn.CrossEntropyLoss(), 1),
        (nn.CrossEntropyLoss(label_smoothing=0.1), 1),
        (nn.MultiMarginLoss(), 1),
    ],
)
def test_huge_scores_have_a_finite_loss_and_gradient(loss, target):
    x = Tensor(np.array([1e30, -1e30, 0], np.float32), requires_grad=True)
    y = loss(x, np.array(target, np.float32 if isinstance(target, list) else np.int64))
    y.backward()
    assert np.isfinite(y.item())
    assert np.all(np.isfinite(x.grad))
    assert x.grad.any()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_probability_of_zero_for_what_is_true_is_finite_and_pushed_away(dtype):
    p = Tensor(np.array([0, 1, 0, 1], dtype), requires_grad=True)
    y = nn.BCELoss(reduction="none")(p, [1, 0, 0, 1])
    y.sum().backward()
    assert y.data.tolist() == [100, 100, 0, 0]  # no logarithm is below -100
    assert np.all(np.isfinite(p.grad))
    assert np.sign(p.grad).tolist() == [-1, 1, 0, 0]


def test_a_variance_below_eps_counts_as_eps():
    y = nn.GaussianNLLLoss(eps=0.25)(np.ones(2), np.zeros(2), np.zeros(2))
    assert y.item() == pytest.approx((math.log(0.25) + 4) / 2)


# Values


@pytest.mark.parametrize("name", sorted(set(ENTRYWISE) - {"BCEWithLogitsLoss"}))
def test_a_loss_of_values_is_that_of_a_tensor(name):
    x, t = np.array([0.3, 0.8, 0.1]), np.array([1.0, 1.0, 1.0])
    for reduction in ("mean", "sum"):
        loss = getattr(nn, name)(reduction=reduction)
        values, tensor = [Value(number) for number in x], Tensor(x, requires_grad=True)
        y, expected = loss(values, t), loss(tensor, t)
        y.backward()
        expected.backward()
        assert y.data == pytest.approx(expected.item(), rel=1e-14)
        assert [v.grad for v in values] == pytest.approx(tensor.grad.tolist(), rel=1e-14)


def test_the_max_margin_loss_of_values_is_micrograds():
    scores, labels = [Value(0.5), Value(-3.0), Value(0.25)], [1, -1, -1]
    by_hand = [(1 + -y * s).relu() for s, y in zip(scores, labels, strict=True)]
    assert nn.HingeLoss()(scores, labels).data == (sum(by_hand) / 3).data
    assert [y.data for y in nn.HingeLoss(reduction="none")(scores, labels)] == [0.5, 0, 1.25]


def test_a_single_value_is_a_row_of_one_and_rows_of_rows_are_refused():
    assert nn.MSELoss()(Value(3.0), 1.0).data == 4
    with pytest.raises(tg.ShapeError, match="as many Values as targets; it got 1 and 2"):
        nn.MSELoss()([Value(3.0)], [1.0, 2.0])
    with pytest.raises(tg.ShapeError, match="entry 0 is a list"):
        nn.MSELoss()([[Value(3.0)]], [1.0])


# What makes no sense


def test_shapes_that_would_broadcast_by_accident_are_refused():
    column, row = np.zeros((4, 1)), np.zeros(4)
    for name in ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss", "BCELoss", "HingeLoss"):
        with pytest.raises(
            tg.ShapeError,
            match=r"\(4, 1\) and \(4,\), which would broadcast to \(4, 4\).*reshape\(4, 1\)",
        ):
            getattr(nn, name)()(Tensor(column), row)
    with pytest.raises(tg.ShapeError, match=r"mse_loss.*it got \(4,\) and \(3,\)$"):
        nn.MSELoss()(row, np.zeros(3))
    with pytest.raises(tg.ShapeError, match=r"weight= that broadcasts to the shape \(4, 1\)"):
        nn.BCELoss(weight=np.ones(4))(column, column)
    with pytest.raises(tg.ShapeError, match=r"pos_weight= that broadcasts to the shape \(4, 1\)"):
        nn.BCEWithLogitsLoss(pos_weight=np.ones(4))(column, column)


ZEROS = np.zeros((2, 3))
HALVES = np.full((2, 3), 0.5)


@pytest.mark.parametrize(
    ("loss", "inputs", "message"),
    [
        (nn.CrossEntropyLoss(), (ZEROS, [0, -1]), r"label -1 at index 1 \(1 such\), outside \[0"),
        (nn.CrossEntropyLoss(), (ZEROS, [0, 3]), "label 3 at index 1 .* logits of 3 classes"),
        (nn.CrossEntropyLoss(), (ZEROS, [0.0, 1.0]), "integer labels, not float64; or prob"),
        (nn.CrossEntropyLoss(), (ZEROS, HALVES), r"sum to 1.5 at index \(0,\) \(2 such\), and not"),
        (nn.CrossEntropyLoss(), (ZEROS, -HALVES), r"target -0.5 at index \(0, 0\) \(6 such\)"),
        (nn.NLLLoss(), (ZEROS, [-1, 0]), "nll_loss got label -1 at index 0"),
        (nn.NLLLoss(), (ZEROS, [1.0, 0.0]), "nll_loss takes integer labels, not float64$"),
        (nn.NLLLoss(), (ZEROS, [-100, -100]), "no mean: all 2 labels are the ignore_index"),
        (nn.MultiMarginLoss(), (ZEROS, [0, 5]), "label 5 at index 1 .* scores of 3 classes"),
        (nn.BCELoss(), (HALVES, 2 * HALVES + ZEROS.round() + 1), r"target 2.0 at index \(0, 0\)"),
        (nn.BCELoss(), (3 * HALVES, HALVES), r"a sigmoid returns, got input 1.5 at index \(0, 0\)"),
        (nn.BCELoss(), (HALVES, np.nan * ZEROS), "target nan"),
        (nn.BCEWithLogitsLoss(), (ZEROS, HALVES - 1), r"target -0.5 at index \(0, 0\)"),
        (nn.HingeLoss(), (ZEROS, ZEROS), r"target 0.0 at index \(0, 0\).* is 1 or -1"),
        (nn.SoftMarginLoss(), ([Value(1.0), Value(2.0)], [1, 0]), r"target 0 at index \(1,\)"),
        (nn.CosineEmbeddingLoss(), (ZEROS, ZEROS, [0, 1]), r"target 0.0 at index \(0,\)"),
        (nn.KLDivLoss(), (ZEROS, HALVES + 1), r"target 1.5 at index \(0, 0\)"),
        (nn.PoissonNLLLoss(), (ZEROS, -HALVES), "target -0.5 .* counts are at least 0"),
        (nn.GaussianNLLLoss(), (ZEROS, ZEROS, -HALVES), "var -0.5 .* variance is at least 0"),
    ],
)
def test_targets_that_make_no_sense_are_named(loss, inputs, message):
    inputs = [np.array(x) if isinstance(x, list) and x[0].__class__ is int else x for x in inputs]
    with pytest.raises(tg.TargetError, match=message):
        loss(*inputs)


def test_labels_of_the_wrong_shape_are_refused():
    for loss in (nn.CrossEntropyLoss(), nn.NLLLoss(), nn.MultiMarginLoss()):
        with pytest.raises(tg.ShapeError, match=r"\(2, 3\) and labels \(3,\)"):
            loss(ZEROS, np.zeros(3, int))
    for weight in ([1.0], np.ones((3, 1))):
        with pytest.raises(tg.ShapeError, match=r"takes a weight \(3,\), a factor for each class"):
            nn.NLLLoss(weight)(ZEROS, np.zeros(2, int))


@pytest.mark.parametrize("name", sorted(ENTRYWISE))
def test_nothing_has_no_mean(name):
    with pytest.raises(tg.ShapeError, match=r"no entries|not empty"):
        getattr(nn, name)()(np.zeros((0, 2)), np.zeros((0, 2)))


@pytest.mark.parametrize("name", ["MSELoss", "CrossEntropyLoss", "BCELoss", "KLDivLoss"])
def test_an_unknown_reduction_is_found_when_the_loss_is_made(name):
    with pytest.raises(tg.UnknownNameError, match=f"reduction of {name} 'men'.*'mean'.*none, sum"):
        getattr(nn, name)(reduction="men")


@pytest.mark.parametrize(
    ("loss", "inputs", "message"),
    [
        (nn.HuberLoss(delta=0), (ZEROS, ZEROS), "delta above 0, not 0"),
        (nn.SmoothL1Loss(beta=-1), (ZEROS, ZEROS), "beta of at least 0, not -1"),
        (nn.MultiMarginLoss(p=3), (ZEROS, np.zeros(2, int)), "p=1 or p=2, not 3"),
    ],
)
def test_options_that_make_no_sense_are_named(loss, inputs, message):
    with pytest.raises(nn.ConfigurationError, match=message):
        loss(*inputs)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_labels_lists_and_weights_do_not_widen_a_loss(dtype):
    x = Tensor(np.full((2, 2), 0.5, dtype), requires_grad=True)
    whole, classes = np.array([[1, 1], [1, 1]]), np.array([0, 1])
    for y in (
        nn.MSELoss()(x, whole),
        nn.L1Loss()(x, [[1.0, 1.0], [1.0, 1.0]]),
        nn.HingeLoss()(x, whole),
        nn.BCELoss(np.ones(2))(x, whole),
        nn.BCEWithLogitsLoss(np.ones(2), pos_weight=np.ones(2))(x, whole),
        nn.CrossEntropyLoss(np.ones(2))(x, classes),
        nn.NLLLoss(np.ones(2))(x, classes),
        nn.MultiMarginLoss(weight=np.ones(2))(x, classes),
        nn.CosineEmbeddingLoss()(x, x, np.array([1, -1])),
        nn.GaussianNLLLoss()(x, whole, [[1.0, 1.0], [1.0, 1.0]]),
    ):
        y.backward()
        assert y.dtype == x.grad.dtype == dtype
