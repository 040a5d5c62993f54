"""MultiheadAttention against a loop over its heads, and what masks mean."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.testing import gradcheck

N, L, S, E, H = 2, 3, 5, 6, 3


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape)


def attention(**options):
    layer = nn.MultiheadAttention(E, H, batch_first=True, dtype=np.float64, **options)
    for parameter in layer.parameters():
        parameter.data = normal(*parameter.shape)  # biases are zeros at first
    return layer


def head_by_head(layer, query, key, value):
    """The outputs and weights of one sequence, as the formula has them."""
    q, k, v = (
        x @ w.T + b
        for x, w, b in zip(
            (query, key, value),
            np.split(layer.in_proj_weight.data, 3),
            np.split(layer.in_proj_bias.data, 3),
            strict=True,
        )
    )
    heads, weights = [], []
    for own in np.split(np.arange(E), H):
        e = np.exp(q[:, own] @ k[:, own].T / np.sqrt(E / H))
        weights.append(e / e.sum(axis=1, keepdims=True))
        heads.append(weights[-1] @ v[:, own])
    out = layer.out_proj
    return np.concatenate(heads, axis=1) @ out.weight.data.T + out.bias.data, np.array(weights)


def test_it_is_its_formula_head_by_head():
    layer, q, k, v = attention(), normal(N, L, E), normal(N, S, E), normal(N, S, E) + 1
    y, weights = layer(q, k, v, average_attn_weights=False)
    for i in range(N):
        expected, shares = head_by_head(layer, q[i], k[i], v[i])
        np.testing.assert_allclose(y.data[i], expected, atol=1e-12)
        np.testing.assert_allclose(weights.data[i], shares, atol=1e-12)


def test_weights_are_averaged_over_heads_and_each_row_sums_to_one():
    layer, q, k = attention(), normal(N, L, E), normal(N, S, E)
    _, weights = layer(q, k, k)
    _, per_head = layer(q, k, k, average_attn_weights=False)
    np.testing.assert_allclose(weights.data.sum(axis=-1), np.ones((N, L)))
    np.testing.assert_allclose(weights.data, per_head.data.mean(axis=1))
    assert layer(q, k, k, need_weights=False)[1] is None


def test_without_positions_it_does_not_see_the_order():
    layer, x, order = attention(), normal(N, S, E), np.array([3, 0, 4, 1, 2])
    np.testing.assert_allclose(
        layer(x[:, order], x[:, order], x[:, order])[0].data, layer(x, x, x)[0].data[:, order]
    )


@pytest.mark.parametrize(
    "options",
    [
        {"is_causal": True},
        {"attn_mask": np.triu(np.ones((S, S), bool), 1)},
        {"attn_mask": np.triu(np.full((S, S), -np.inf), 1)},
        {"attn_mask": np.triu(np.ones((N * H, S, S), bool), 1)},
    ],
    ids=["is_causal", "booleans", "numbers", "per head"],
)
def test_what_is_causal_does_not_depend_on_what_comes_later(options):
    layer, x = attention(), normal(N, S, E)
    y, weights = layer(x, x, x, **options)
    assert not np.triu(weights.data, 1).any()
    changed = x.copy()
    changed[:, 3:] += 1
    z = layer(changed, changed, changed, **options)[0]
    np.testing.assert_array_equal(y.data[:, :3], z.data[:, :3])
    assert not np.allclose(y.data[:, 3:], z.data[:, 3:])


@pytest.mark.parametrize("as_numbers", [False, True])
def test_to_mask_a_key_is_to_remove_it(as_numbers):
    layer, q, k = attention(), normal(N, L, E), normal(N, S, E)
    mask = np.zeros((N, S), bool)
    mask[0, 1] = True
    y, weights = layer(q, k, k, np.where(mask, -np.inf, 0) if as_numbers else mask)
    rest = np.delete(k[:1], 1, axis=1)
    np.testing.assert_allclose(y.data[:1], layer(q[:1], rest, rest)[0].data, atol=1e-12)
    np.testing.assert_allclose(y.data[1:], layer(q[1:], k[1:], k[1:])[0].data, atol=1e-12)
    assert not weights.data[0, :, 1].any()


@pytest.mark.parametrize("as_numbers", [False, True])
def test_masks_add_up(as_numbers):
    layer, x = attention(), normal(N, S, E)
    later, padding = np.triu(np.ones((S, S), bool), 1), np.zeros((N, S), bool)
    padding[:, 2] = True
    numbers = np.where(later, -np.inf, 0) if as_numbers else later
    weights = layer(x, x, x, padding, attn_mask=numbers)[1].data
    np.testing.assert_array_equal(
        weights == 0, np.broadcast_to(later | padding[:, None], (N, S, S))
    )
    np.testing.assert_allclose(weights, layer(x, x, x, padding, is_causal=True)[1].data)


def test_a_mask_of_numbers_moves_the_scores_and_may_be_learned():
    layer, x = attention(), normal(1, S, E)
    mask = Tensor(normal(S, S), requires_grad=True)
    gradcheck(lambda mask: layer(x, x, x, attn_mask=mask), mask)


def test_a_place_that_may_attend_to_nothing_gets_zeros_to_project():
    layer, x = attention(), normal(N, S, E)
    y, weights = layer(x, x, x, np.ones((N, S), bool))
    assert not weights.data.any()
    np.testing.assert_array_equal(y.data, np.broadcast_to(layer.out_proj.bias.data, (N, S, E)))


def test_axes_may_stand_as_in_pytorch_or_without_a_batch():
    layer, q, k = attention(), normal(N, L, E), normal(N, S, E)
    other = nn.MultiheadAttention(E, H, dtype=np.float64)
    other.load_state_dict(layer.state_dict())
    y, weights = layer(q, k, k)
    z, same = other(*(x.swapaxes(0, 1) for x in (q, k, k)))
    np.testing.assert_allclose(z.data.swapaxes(0, 1), y.data)
    np.testing.assert_allclose(same.data, weights.data)
    for single in (layer, other):
        z, same = single(q[0], k[0], k[0], np.zeros(S, bool))
        np.testing.assert_allclose(z.data, y.data[0])
        np.testing.assert_allclose(same.data, weights.data[0])


def test_dropout_of_all_weights_leaves_the_bias_in_training_only():
    layer, x = attention(dropout=1.0), normal(N, S, E)
    y = layer(x, x, x)[0].data
    np.testing.assert_array_equal(y, np.broadcast_to(layer.out_proj.bias.data, y.shape))
    assert layer.eval()(x, x, x)[1].data.all()


def test_its_weights_start_as_glorots_and_its_biases_as_zeros():
    layer = nn.MultiheadAttention(200, 4, rng=np.random.default_rng(0))
    # Fans of 200 in and 600 out: 2 / 800, with a standard error of 0.3 % over 120,000 draws.
    assert layer.in_proj_weight.data.var() == pytest.approx(2 / 800, rel=0.02)
    assert not layer.in_proj_bias.data.any()
    assert not layer.out_proj.bias.data.any()
    assert len(nn.MultiheadAttention(4, 2, bias=False).parameters()) == 2


def test_heads_that_do_not_divide_the_features_are_refused_with_those_that_do():
    with pytest.raises(nn.ConfigurationError, match=r"1, 2, 3, 4, 6, 12 do, and 5"):
        nn.MultiheadAttention(12, 5)
    with pytest.raises(nn.ConfigurationError, match="probability"):
        nn.MultiheadAttention(4, 2, dropout=-0.1)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ((normal(N, L, 4),) * 3, {}, r"\(N, L, 6\)"),
        ((normal(N, L, E), normal(N, S, E), normal(N, L, E)), {}, "a key and a value of one shape"),
        ((normal(N, L, E), *(normal(1, S, E),) * 2), {}, "as many sequences"),
        ((normal(N, L, E), *(np.zeros((N, 0, E)),) * 2), {}, "nothing to attend to"),
        ((normal(N, S, E),) * 3, {"attn_mask": np.ones((S, 2), bool)}, r"\(5, 5\) or \(6, 5, 5\)"),
        ((normal(N, S, E),) * 3, {"key_padding_mask": np.ones((S, N), bool)}, r"\(2, 5\), not"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_with_the_shapes_that_do(inputs, options, message):
    with pytest.raises(tg.ShapeError, match=message):
        attention()(*inputs, **options)


def test_a_mask_of_integers_is_refused():
    x = normal(N, S, E)
    with pytest.raises(tg.DTypeError, match="attn_mask of booleans or floats, not int64"):
        attention()(x, x, x, attn_mask=np.ones((S, S), np.int64))
