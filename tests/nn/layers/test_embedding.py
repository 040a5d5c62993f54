"""Embedding and the encodings of positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg


def test_an_embedding_looks_up_rows_and_counts_them_in_its_gradient():
    layer, indices = nn.Embedding(5, 3), np.array([[0, 3, 1], [3, 3, 4]])
    y = layer(indices)
    np.testing.assert_array_equal(y.data, layer.weight.data[indices])
    y.sum().backward()
    counts = np.bincount(indices.ravel(), minlength=5)
    np.testing.assert_array_equal(layer.weight.grad, np.outer(counts, np.ones(3)))


@pytest.mark.parametrize("padding_idx", [2, -3])
def test_the_padding_starts_as_zeros_and_gets_no_gradient(padding_idx):
    layer = nn.Embedding(5, 3, padding_idx)
    y = layer([0, 2, 2, 4])
    assert not y.data[1:3].any()
    y.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.sum(1), [3, 0, 0, 0, 3])


def test_an_embedding_refuses_what_it_has_no_row_for():
    with pytest.raises(tg.IndexingError, match="got 5 at index"):
        nn.Embedding(5, 3)([0, 5])
    with pytest.raises(tg.OperandError, match="integer indices"):
        nn.Embedding(5, 3)([0.5])
    with pytest.raises(nn.ConfigurationError, match="padding_idx must be one of its 5"):
        nn.Embedding(5, 3, padding_idx=5)
    with pytest.raises(nn.ConfigurationError, match="num_embeddings must be a positive integer"):
        nn.Embedding(0, 3)


def test_the_waves_are_those_of_the_paper():
    encoded = nn.SinusoidalPositionalEncoding(6)(np.zeros((20, 6)))
    for t, k in ((0, 0), (7, 2), (19, 4)):
        angle = t / 10_000 ** (k / 6)
        np.testing.assert_allclose(encoded[t, [k, k + 1]], [np.sin(angle), np.cos(angle)])


@given(features=st.integers(1, 9), length=st.integers(1, 12), offset=st.integers(0, 50))
def test_how_alike_two_positions_are_depends_on_their_distance_alone(features, length, offset):
    features *= 2  # for each sine a cosine
    p = nn.SinusoidalPositionalEncoding(features)(np.zeros((offset + length, features)))
    np.testing.assert_allclose(p[0] @ p[length - 1], p[offset] @ p[offset + length - 1])


def test_an_odd_number_of_features_ends_in_a_sine():
    assert nn.SinusoidalPositionalEncoding(3)(np.zeros((2, 3)))[1, 2] == np.sin(10_000 ** (-2 / 3))


ENCODINGS = {
    "sinusoidal": lambda **options: nn.SinusoidalPositionalEncoding(4, **options),
    "learned": lambda **options: nn.LearnedPositionalEncoding(6, 4, **options),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_sequence_of_a_batch_gets_the_same_positions(name):
    rows, columns = ENCODINGS[name]().freeze(), ENCODINGS[name](batch_first=True).freeze()
    columns.load_state_dict(rows.state_dict())
    x = np.random.default_rng(0).normal(size=(5, 3, 4))
    y = np.asarray(rows(x))
    np.testing.assert_allclose(y - x, np.broadcast_to((y - x)[:, :1], x.shape), atol=1e-12)
    np.testing.assert_array_equal(np.asarray(columns(x.swapaxes(0, 1))), y.swapaxes(0, 1))
    np.testing.assert_array_equal(np.asarray(rows(x[:, 0])), y[:, 0])


@pytest.mark.parametrize("name", ENCODINGS)
def test_an_encoding_refuses_other_features(name):
    with pytest.raises(tg.ShapeError, match=r"takes \(L, N, 4\)"):
        ENCODINGS[name]()(np.zeros((5, 3, 7)))


def test_learned_positions_are_learned_and_end():
    layer = nn.LearnedPositionalEncoding(6, 4)
    layer(np.zeros((5, 3, 4), np.float32)).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.sum(1), [12, 12, 12, 12, 12, 0])
    with pytest.raises(tg.ShapeError, match=r"6 positions, and x .* has 7"):
        layer(np.zeros((7, 3, 4)))
