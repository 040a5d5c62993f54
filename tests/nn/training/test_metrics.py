"""Metrics: scikit-learn's numbers, in batches of any size."""

import numpy as np
import pytest
import sklearn.metrics as sklearn
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn.training import METRICS, R2, Accuracy, ConfusionMatrix, MeanSquaredError, TopK, metric

AVERAGES = ["macro", "micro", "weighted"]


@st.composite
def classifications(draw, fewest=2):
    """Scores (N, C), no two of a sample alike, and labels (N,): not every class need occur."""
    n, classes = draw(st.integers(1, 30)), draw(st.integers(fewest, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    scores = rng.permuted(np.tile(np.linspace(-2, 3, classes), (n, 1)), axis=1)
    return scores, rng.integers(0, draw(st.integers(1, classes)), n)


@st.composite
def regressions(draw):
    n, columns = draw(st.integers(2, 30)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    target = rng.normal(size=(n, columns))
    return target + draw(st.floats(0, 2)) * rng.normal(size=(n, columns)), target


cuts = st.lists(st.integers(0, 30), max_size=6)


def gathered(measure, output, target, at):
    """The result of update() on one batch after the other, cut at these samples."""
    for x, y in zip(np.split(output, sorted(at)), np.split(target, sorted(at)), strict=True):
        measure.update(x, y)
    return measure.compute()


@given(classifications(), cuts)
def test_accuracy_is_scikit_learns_over_any_batches(samples, at):
    scores, labels = samples
    expected = sklearn.accuracy_score(labels, scores.argmax(1))
    assert gathered(Accuracy(), scores, labels, at) == pytest.approx(expected)


@given(classifications(fewest=3), cuts, st.data())
def test_top_k_is_scikit_learns_over_any_batches(samples, at, data):
    scores, labels = samples
    classes = scores.shape[1]
    k = data.draw(st.integers(1, classes - 1))  # scikit-learn warns where all are among the k
    expected = sklearn.top_k_accuracy_score(labels, scores, k=k, labels=range(classes))
    assert gathered(TopK(k), scores, labels, at) == pytest.approx(expected)


@given(st.integers(1, 20), st.integers(2, 4), st.integers(0, 2**16))
def test_top_1_is_the_accuracy_even_of_equal_outputs_and_top_c_is_1(n, classes, seed):
    rng = np.random.default_rng(seed)
    scores, labels = rng.integers(0, 2, (n, classes)), rng.integers(0, classes, n)
    assert TopK(1)(scores, labels) == Accuracy()(scores, labels)
    assert TopK(classes)(scores, labels) == 1


@pytest.mark.parametrize("average", AVERAGES)
@given(samples=classifications(), at=cuts)
def test_precision_recall_and_f1_are_scikit_learns_over_any_batches(average, samples, at):
    scores, labels = samples
    expected = sklearn.precision_recall_fscore_support(
        labels, scores.argmax(1), average=average, zero_division=0
    )
    kinds = nn.training.Precision, nn.training.Recall, nn.training.F1
    found = [gathered(kind(average), scores, labels, at) for kind in kinds]
    np.testing.assert_allclose(found, expected[:3])


@given(classifications(), cuts)
def test_the_confusion_matrix_is_scikit_learns_over_any_batches(samples, at):
    scores, labels = samples
    names = range(scores.shape[1])
    expected = sklearn.confusion_matrix(labels, scores.argmax(1), labels=names)
    np.testing.assert_array_equal(gathered(ConfusionMatrix(), scores, labels, at), expected)


@given(regressions(), cuts)
def test_mse_and_r2_are_scikit_learns_over_any_batches(samples, at):
    output, target = samples
    error, share = sklearn.mean_squared_error(target, output), sklearn.r2_score(target, output)
    assert gathered(MeanSquaredError(), output, target, at) == pytest.approx(error)
    assert gathered(R2(), output, target, at) == pytest.approx(share)


@given(regressions(), cuts, st.integers(20, 30))
def test_r2_loses_no_digits_to_a_large_mean(samples, at, exponent):
    output, target = (np.round(x * 2**16) / 2**16 for x in samples)
    shift = 2.0**exponent  # adding it rounds nothing, so R² is the same
    shifted = gathered(R2(), output + shift, target + shift, at)
    assert shifted == pytest.approx(sklearn.r2_score(target, output), rel=1e-9)


@pytest.mark.parametrize("off", [0.0, 0.5])
@pytest.mark.parametrize("at", [[], [1], [2, 3]])
def test_r2_of_constant_targets_is_scikit_learns(off, at):
    target = np.full(4, 0.25)
    expected = sklearn.r2_score(target, target + off)
    assert gathered(R2(), target + off, target, at) == expected


def test_the_averages_are_named_as_scikit_learn_names_its_scores():
    names = [nn.training.F1(average).name for average in AVERAGES]
    assert names == ["f1", "f1_micro", "f1_weighted"]
    assert {"f1_micro", "f1_weighted"} <= set(sklearn.get_scorer_names())


# Shapes


@pytest.mark.parametrize("kind", [Accuracy, nn.training.F1, ConfusionMatrix, lambda: TopK(2)])
def test_classes_may_be_the_second_axis_or_the_last(kind):
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(4, 5, 6, 3)), rng.integers(0, 3, (4, 5, 6))
    expected = kind()(scores.reshape(-1, 3), labels.reshape(-1))
    np.testing.assert_array_equal(kind()(scores, labels), expected)
    np.testing.assert_array_equal(kind()(np.moveaxis(scores, -1, 1), labels), expected)


def test_probabilities_as_targets_stand_for_their_largest_class():
    rng = np.random.default_rng(0)
    scores, shares = rng.normal(size=(20, 3)), rng.dirichlet(np.ones(3), 20)
    assert Accuracy()(scores, shares) == Accuracy()(scores, shares.argmax(1))


@pytest.mark.parametrize("output_shape", [(6,), (6, 1)])
@pytest.mark.parametrize("target_shape", [(6,), (6, 1)])
@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.bool_])
def test_a_single_logit_means_class_1_above_0(output_shape, target_shape, dtype):
    logits = np.array([-2.0, -0.1, 0.0, 0.1, 3.0, -1.0]).reshape(output_shape)
    target = np.array([0, 1, 0, 1, 0, 0], dtype).reshape(target_shape)
    expected = sklearn.confusion_matrix(target.ravel().astype(int), logits.ravel() > 0)
    np.testing.assert_array_equal(ConfusionMatrix()(logits, target), expected)
    assert Accuracy()(logits, target) == expected.trace() / 6


def test_the_logits_of_a_language_model_are_taken_as_they_are():
    model = nn.zoo.GPT(vocab_size=11, block_size=4, n_layer=1, n_head=1, n_embd=8)
    tokens = np.random.default_rng(0).integers(0, 11, (3, 5))
    logits = model(tokens[:, :-1])
    share = np.mean(logits.data.argmax(-1) == tokens[:, 1:])
    assert Accuracy()(logits, tokens[:, 1:]) == pytest.approx(share)


# What is refused


@pytest.mark.parametrize(
    ("output", "target"),
    [((4, 3), (5,)), ((4, 3), (4, 1)), ((4, 3), (4, 2)), ((4,), (5,)), ((), ()), ((4, 0), (4,))],
)
def test_classifications_of_other_shapes_are_refused(output, target):
    with pytest.raises(tg.ShapeError, match="accuracy takes outputs"):
        Accuracy()(np.zeros(output), np.zeros(target, int))


@pytest.mark.parametrize("measure", [MeanSquaredError(), R2()])
def test_a_column_is_not_broadcast_against_a_row(measure):
    with pytest.raises(tg.ShapeError, match=r"one shape, not \(4, 1\) and \(4,\)"):
        measure(np.zeros((4, 1)), np.zeros(4))


@pytest.mark.parametrize(
    ("output", "target", "said"),
    [
        (np.eye(3), np.array([0, 1, 3]), "label 3 at index 2"),
        (np.eye(3), np.array([0, -1, 1]), "label -1 at index 1"),
        (np.eye(3), np.array([0.0, 1.0, 2.0]), "not targets of float64"),
        (np.eye(3), np.full((3, 3), 0.5), "sum to 1.5"),
        (np.zeros(3), np.array([0.0, 1.0, 0.9]), "a single logit is 0 or 1"),
        (np.zeros(2), np.array([0.0, np.nan]), "a single logit is 0 or 1"),
    ],
)
def test_targets_that_are_no_classes_are_refused(output, target, said):
    with pytest.raises(tg.TargetError, match=said):
        Accuracy()(output, target)


def test_nan_is_no_prediction_and_no_target():
    with pytest.raises(nn.TrainingError, match="nan, 1 of 4"):
        Accuracy()(np.array([[0.0, 1.0], [np.nan, 0.0]]), np.array([0, 1]))
    with pytest.raises(tg.TargetError, match="nan"):
        MeanSquaredError()(np.zeros(2), np.array([0.0, np.nan]))


def test_what_holds_no_real_numbers_is_refused():
    with pytest.raises(tg.DTypeError, match="output of complex128"):
        MeanSquaredError()(np.zeros(2, complex), np.zeros(2))


def test_top_k_needs_k_classes():
    with pytest.raises(tg.ShapeError, match="top_5 takes outputs of 5 classes or more, not 3"):
        TopK()(np.eye(3), np.arange(3))
    with pytest.raises(nn.ConfigurationError, match="k of TopK"):
        TopK(0)


@pytest.mark.parametrize("kind", [nn.training.Recall, ConfusionMatrix])
def test_the_number_of_classes_stays(kind):
    measure = kind()
    measure.update(np.eye(3), np.arange(3))
    with pytest.raises(tg.ShapeError, match="of 3 classes, and now of 4"):
        measure.update(np.eye(4), np.arange(4))
    np.testing.assert_array_equal(measure.compute(), kind()(np.eye(3), np.arange(3)))


def test_the_axes_of_r2s_targets_stay():
    measure = R2()
    measure.update(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(tg.ShapeError, match=r"\(3,\) per sample, and now \(\)"):
        measure.update(np.zeros(2), np.zeros(2))
    with pytest.raises(tg.ShapeError, match="single number"):
        R2().update(np.float64(1), np.float64(1))


def test_one_sample_has_no_r2():
    assert np.isnan(R2()(np.ones(1), np.ones(1)))


# What all have in common


def outputs_for(measure):
    rng = np.random.default_rng(0)
    if isinstance(measure, MeanSquaredError | R2):
        return rng.normal(size=8), rng.normal(size=8)
    return rng.normal(size=(8, 6)), rng.integers(0, 6, 8)


@pytest.mark.parametrize("name", METRICS)
def test_a_call_and_a_reset_leave_nothing_behind(name):
    measure = metric(name)
    output, target = outputs_for(measure)
    alone = measure(output[:4], target[:4])
    measure.update(output[4:], target[4:])
    kept = measure.compute()
    assert measure(output[:4], target[:4]) == alone != kept
    assert measure.compute() == kept
    measure.reset()
    measure.update(output[:4], target[:4])
    assert measure.compute() == alone


@pytest.mark.parametrize("make", [*METRICS.values(), ConfusionMatrix])
def test_of_nothing_there_is_no_result(make):
    measure = make()
    output, target = outputs_for(measure)
    measure.update(output, target)
    measure.reset()
    measure.update(output[:0], target[:0])
    with pytest.raises(nn.TrainingError, match=f"{measure.name} has seen no samples"):
        measure.compute()


@pytest.mark.parametrize("name", METRICS)
def test_a_name_makes_the_metric_of_that_name(name):
    assert metric(name).name == name
    assert metric(name) is not metric(name)
    assert metric(name).larger_is_better == (name != "mse")


def test_metric_takes_any_k_and_hands_metrics_through():
    assert metric("top_3").k == 3
    own = nn.training.F1("weighted")
    assert metric(own) is own


@pytest.mark.parametrize("name", ["acuracy", "top_0", "top_", 3, Accuracy, ["f1"]])
def test_an_unknown_metric_is_refused(name):
    with pytest.raises(tg.UnknownNameError, match="unknown metric"):
        metric(name)
    with pytest.raises(tg.UnknownNameError, match="'macro'"):
        nn.training.F1("marco")


def test_as_many_places_as_classes_are_refused_since_either_axis_could_be_the_classes():
    with pytest.raises(tg.ShapeError, match=r"which axis of outputs \(2, 3, 3\)"):
        Accuracy()(np.zeros((2, 3, 3)), np.zeros((2, 3), int))
