"""SqueezeExcite: a factor in (0, 1) for each channel."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg


def test_every_channel_of_a_sample_has_one_factor_between_0_and_1():
    x = np.random.default_rng(0).normal(size=(3, 8, 4, 5))
    factors = nn.SqueezeExcite(8, 4, dtype=np.float64)(x).data / x
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :, :1, :1], x.shape))
    assert ((factors > 0) & (factors < 1)).all()


def test_the_factors_depend_on_the_means_of_the_channels_only():
    x = np.random.default_rng(0).normal(size=(1, 8, 4, 5))
    layer, mirrored = nn.SqueezeExcite(8, dtype=np.float64), x[..., ::-1].copy()
    np.testing.assert_allclose(layer(mirrored).data, layer(x).data[..., ::-1])


def test_of_weights_of_zero_the_factors_are_a_half():
    layer, x = nn.SqueezeExcite(4, 2), np.ones((2, 4, 3, 3), np.float32)
    layer.load_state_dict({k: 0 * p for k, p in layer.state_dict().items()})
    np.testing.assert_array_equal(layer(x).data, x / 2)


def test_the_layer_between_is_narrower_and_never_empty():
    assert nn.SqueezeExcite(32, 8).squeeze.out_features == 4
    assert nn.SqueezeExcite(4).squeeze.out_features == 1


def test_a_wrong_number_of_channels_names_the_layer():
    with pytest.raises(tg.ShapeError, match=r"0\.squeeze"):
        nn.Sequential(nn.SqueezeExcite(4))(np.ones((1, 3, 2, 2), np.float32))
    with pytest.raises(nn.ConfigurationError, match="reduction"):
        nn.SqueezeExcite(4, 0)
