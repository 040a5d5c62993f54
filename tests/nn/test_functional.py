"""The functions that nn.functional adds to the engine's: distances, one-hot rows, and the names."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nn
import tinygrad_edu as tg
from nn import functional as f
from tinygrad_edu import Tensor
from tinygrad_edu.testing import gradcheck

REAL = st.floats(-5, 5)


def test_every_name_is_there_and_those_of_the_engine_are_the_engines():
    for name in f.__all__:
        function = getattr(f, name)
        assert function.__doc__
        assert (
            name == "softplus"
            or getattr(function, "__module__", "") == "nn.functional"
            or (function is getattr(tg, name))
        )


def test_the_modules_of_losses_and_activations_are_these_functions():
    of = {name: getattr(nn, name).function for name in ("MSELoss", "CrossEntropyLoss", "CELU")}
    assert of == {"MSELoss": f.mse_loss, "CrossEntropyLoss": tg.cross_entropy, "CELU": f.celu}


@given(hnp.arrays(np.float64, (3, 4), elements=REAL), st.sampled_from([1, 2, 3, math.inf]))
def test_normalized_rows_have_the_norm_one_unless_they_are_zero(x, p):
    norms = np.linalg.norm(f.normalize(x, p).data, p, axis=1)
    zero = np.linalg.norm(x, p, axis=1) < 1e-12
    np.testing.assert_allclose(norms[~zero], 1, rtol=1e-12)


@given(hnp.arrays(np.float64, (2, 3, 4), elements=REAL))
def test_the_cosine_of_vectors_is_that_of_their_angle(pair):
    a, b = pair + 6  # away from zero
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(f.cosine_similarity(a, b), (a * b).sum(1) / lengths, rtol=1e-12)
    np.testing.assert_allclose(f.cosine_similarity(a, -3 * a), -1, rtol=1e-12)


@given(hnp.arrays(np.float64, (2, 3, 4), elements=REAL), st.sampled_from([1, 2, 3]))
def test_a_pairwise_distance_is_a_norm_of_the_difference(pair, p):
    a, b = pair
    expected = np.linalg.norm(a - b + 1e-6, p, axis=1)
    np.testing.assert_allclose(f.pairwise_distance(a, b, p), expected, rtol=1e-9, atol=1e-12)


def test_distances_have_their_gradients():
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4))
    gradcheck(f.cosine_similarity, a, b, order=2)
    gradcheck(f.pairwise_distance, a, b, order=2)
    gradcheck(f.normalize, a, order=2)


@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=2), elements=st.integers(0, 4)))
def test_one_hot_rows_have_their_one_at_the_label(labels):
    rows = f.one_hot(labels, 5)
    np.testing.assert_array_equal(rows.argmax(-1), labels)
    np.testing.assert_array_equal(rows.sum(-1), np.ones(labels.shape))
    assert f.one_hot(Tensor(labels)).shape == (*labels.shape, labels.max() + 1)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([1.0], {}, "integer labels, not float64"),
        ([0, -1], {}, "label -1 at index 1"),
        ([0, 3], {"num_classes": 3}, "label 3 at index 1"),
        (np.zeros(0, int), {}, "needs num_classes="),
    ],
)
def test_labels_that_have_no_row_are_named(labels, options, message):
    with pytest.raises(tg.TargetError, match=f"one_hot.*{message}"):
        f.one_hot(labels, **options)


def test_a_wrong_call_is_explained():
    with pytest.raises(tg.OperandError, match="mse_loss has no option 'size_average'"):
        f.mse_loss(np.ones(2), np.ones(2), size_average=True)
    with pytest.raises(tg.OperandError, match="softmin has no option 'dim': here it is axis"):
        f.softmin(np.ones(2), dim=0)
