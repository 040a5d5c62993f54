"""The transformer's layers against their formulas, put together from their own parts."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg

N, L, S, E = 2, 4, 5, 6


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape)


def made(kind, **options):
    options = {"dim_feedforward": 8, "batch_first": True, "dtype": np.float64} | options
    return getattr(nn, kind)(E, 2, **options).eval()


def attended(attention, x, memory, **options):
    return attention(x, memory, memory, **options)[0]


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_an_encoder_layer_normalizes_each_sum(activation):
    layer, x = made("TransformerEncoderLayer", activation=activation), normal(N, L, E)
    middle = layer.norm1(x + attended(layer.self_attn, x, x))
    wide = getattr(tg, activation)(layer.linear1(middle))
    np.testing.assert_allclose(layer(x).data, layer.norm2(middle + layer.linear2(wide)).data)


def test_with_norm_first_an_encoder_layer_normalizes_what_each_part_reads():
    layer, x = made("TransformerEncoderLayer", norm_first=True), normal(N, L, E)
    read = layer.norm1(x)
    middle = x + attended(layer.self_attn, read, read)
    added = layer.linear2(tg.relu(layer.linear1(layer.norm2(middle))))
    np.testing.assert_allclose(layer(x).data, (middle + added).data)


def test_a_decoder_layer_attends_to_itself_and_then_to_the_memory():
    layer, x, memory = made("TransformerDecoderLayer"), normal(N, L, E), normal(N, S, E)
    first = layer.norm1(x + attended(layer.self_attn, x, x, is_causal=True))
    second = layer.norm2(first + attended(layer.multihead_attn, first, memory))
    added = layer.linear2(tg.relu(layer.linear1(second)))
    y = layer(x, memory, tgt_is_causal=True)
    np.testing.assert_allclose(y.data, layer.norm3(second + added).data)


def test_with_norm_first_a_decoder_layer_does_not_normalize_the_memory():
    layer = made("TransformerDecoderLayer", norm_first=True)
    x, memory = normal(N, L, E), normal(N, S, E)
    first = x + attended(layer.self_attn, *(layer.norm1(x),) * 2)
    second = first + attended(layer.multihead_attn, layer.norm2(first), memory)
    added = layer.linear2(tg.relu(layer.linear1(layer.norm3(second))))
    np.testing.assert_allclose(layer(x, memory).data, (second + added).data)


def test_an_encoder_is_its_layers_one_after_the_other():
    norm = nn.LayerNorm(E, dtype=np.float64)
    encoder = nn.TransformerEncoder(made("TransformerEncoderLayer"), 3, norm)
    x = step = normal(N, L, E)
    for layer in encoder.layers:
        step = layer(step)
    np.testing.assert_array_equal(encoder(x).data, norm(step).data)


def test_a_decoder_is_its_layers_all_looking_at_one_memory():
    decoder = nn.TransformerDecoder(made("TransformerDecoderLayer"), 2)
    x, memory = normal(N, L, E), normal(N, S, E)
    first, second = decoder.layers
    np.testing.assert_array_equal(decoder(x, memory).data, second(first(x, memory), memory).data)


def test_the_layers_are_copies_and_share_nothing_but_where_chance_comes_from():
    rng = np.random.default_rng(0)
    layer = made("TransformerEncoderLayer", rng=rng)
    encoder = nn.TransformerEncoder(layer, 2)
    assert len(encoder.parameters()) == 2 * len(layer.parameters())
    assert encoder.layers[0].linear1.weight is not encoder.layers[1].linear1.weight
    assert all(m.rng is rng for m in encoder.modules() if isinstance(m, nn.Dropout))


def test_masks_reach_the_attention_of_every_layer():
    encoder = nn.TransformerEncoder(made("TransformerEncoderLayer"), 2)
    x, padding = normal(N, L, E), np.zeros((N, L), bool)
    padding[:, -1] = True
    shorter = encoder(x[:, :-1])
    np.testing.assert_allclose(
        encoder(x, src_key_padding_mask=padding).data[:, :-1], shorter.data, atol=1e-12
    )
    causal = np.triu(np.ones((L, L), bool), 1)
    np.testing.assert_array_equal(encoder(x, causal).data, encoder(x, is_causal=True).data)
    np.testing.assert_allclose(
        encoder(x, causal).data[:, :-1], encoder(x[:, :-1], causal[1:, 1:]).data
    )


def test_the_masks_of_the_memory_hide_parts_of_it():
    decoder = nn.TransformerDecoder(made("TransformerDecoderLayer"), 2)
    x, memory, padding = normal(N, L, E), normal(N, S, E), np.zeros((N, S), bool)
    padding[:, 3:] = True
    expected = decoder(x, memory[:, :3]).data
    np.testing.assert_allclose(decoder(x, memory, memory_key_padding_mask=padding).data, expected)
    by_place = np.broadcast_to(padding[0], (L, S))
    np.testing.assert_allclose(decoder(x, memory, memory_mask=by_place).data, expected)


def test_dropout_is_for_training():
    layer, x = made("TransformerEncoderLayer", dropout=1.0), normal(N, L, E)
    assert not np.array_equal(layer(x).data, layer.norm2(layer.norm1(x)).data)
    np.testing.assert_array_equal(layer.train()(x).data, layer.norm2(layer.norm1(x)).data)


def test_an_activation_goes_by_its_name_or_is_a_function():
    x, state = normal(N, L, E), made("TransformerEncoderLayer").state_dict()
    results = []
    for activation in ("gelu", tg.gelu, nn.GELU()):
        layer = made("TransformerEncoderLayer", activation=activation)
        layer.load_state_dict(state)
        results.append(layer(x).data)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'gelu'"):
        made("TransformerEncoderLayer", activation="gelo")


def test_bias_false_leaves_no_biases():
    names = [name for name, _ in made("TransformerDecoderLayer", bias=False).named_parameters()]
    assert not [name for name in names if "bias" in name]


def test_wrong_features_are_refused_by_the_path_of_the_attention():
    encoder = nn.TransformerEncoder(made("TransformerEncoderLayer"), 2)
    with pytest.raises(tg.ShapeError, match=r"in layers\.0\.self_attn takes .*\(N, L, 6\)"):
        encoder(normal(N, L, 7))
    with pytest.raises(nn.ConfigurationError, match="num_layers must be a positive integer"):
        nn.TransformerEncoder(made("TransformerEncoderLayer"), 0)
