"""The exponential moving average of the weights, and its loan to the model."""

import numpy as np
import pytest

import nn
from nn import optim


def weights(model):
    return [np.array(p.data) for p in model.parameters()]


def trained(make, decay=0.8, updates=4):
    """An average after random updates, and the weights at each."""
    model = make()
    ema, seen = optim.EMA(model, decay), [weights(model)]
    rng = np.random.default_rng(0)
    for _ in range(updates):
        for p in model.parameters():
            p.data = p.data + rng.normal()
        ema.update()
        seen.append(weights(model))
    return model, ema, seen


MODELS = [lambda: nn.Linear(3, 2), lambda: nn.MLP(2, [3, 1])]


@pytest.mark.parametrize("make", MODELS)
def test_the_average_is_the_weighted_sum_over_the_past(make):
    model, ema, seen = trained(make)
    # 0.8⁴ of the start, then 0.2 · 0.8³, ..., 0.2.
    factors = [0.8**4, *(0.2 * 0.8**age for age in (3, 2, 1, 0))]
    with ema.applied():
        for i, x in enumerate(weights(model)):
            expected = sum(f * w[i] for f, w in zip(factors, seen, strict=True))
            np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", MODELS)
def test_the_models_own_weights_come_back_exactly(make):
    model, ema, seen = trained(make)
    with pytest.raises(KeyError), ema.applied():
        raise KeyError
    for x, own in zip(weights(model), seen[-1], strict=True):
        np.testing.assert_array_equal(x, own)


def test_a_change_within_leaves_the_average_alone():
    model, ema, _ = trained(MODELS[0])
    before = ema.state_dict()
    with ema.applied():
        model.bias.data += 1
    np.testing.assert_array_equal(ema.averages["bias"], before["averages.bias"])


def test_the_average_of_half_precision_is_kept_in_single():
    model = nn.Linear(2, 1).to(np.float16)
    ema = optim.EMA(model, 0.9999)
    ema.update()
    assert ema.averages["weight"].dtype == np.float32
    with ema.applied():
        assert model.weight.dtype == np.float16


@pytest.mark.parametrize("make", MODELS)
def test_a_state_comes_back_exactly(make):
    _, ema, _ = trained(make)
    other = optim.EMA(make(), 0.8)
    other.load_state_dict(ema.state_dict())
    assert other.updates == 4
    for path, average in ema.averages.items():
        np.testing.assert_array_equal(other.averages[path], average)


def test_a_state_of_another_model_is_refused():
    ema = optim.EMA(nn.Linear(3, 2))
    before = ema.state_dict()
    for other in (nn.Linear(3, 4), nn.Linear(3, 2, bias=False)):
        with pytest.raises(nn.StateDictError, match=r"averages\."):
            ema.load_state_dict(optim.EMA(other).state_dict())
    np.testing.assert_array_equal(ema.averages["bias"], before["averages.bias"])


def test_it_is_not_updated_or_applied_while_applied():
    ema = optim.EMA(nn.Linear(2, 1))
    with ema.applied():
        with pytest.raises(nn.TrainingError, match="leave applied"):
            ema.update()
        with pytest.raises(nn.TrainingError, match="leave applied"), ema.applied():
            pass


@pytest.mark.parametrize("decay", [1.0, -0.1, float("nan")])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(nn.ConfigurationError, match="decay"):
        optim.EMA(nn.Linear(2, 1), decay)
