"""Initial weights: their spread, as far as a sample shows it, their bounds and structure."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn import init
from tinygrad_edu import Tensor


def parameter(*shape, dtype=np.float64):
    return nn.Parameter(np.full(shape, np.nan, dtype))


def assert_spread(data, std, mean=0.0):
    """Mean and standard deviation are within five standard errors of what they should be.

    Of n draws those are std / √n, and at most std / √(2n): a normal distribution has the heaviest
    tails here.
    """
    assert data.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(data.size))
    assert data.std() == pytest.approx(std, abs=5 * std / math.sqrt(2 * data.size))


SHAPES = {(40, 60): (60, 40), (16, 8, 3, 5): (8 * 15, 16 * 15)}  # of a weight: its fans

# For a function that fills a weight: the standard deviation it is to have.
SPREADS = {
    "kaiming_uniform_": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
    "kaiming_normal_": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
    "xavier_uniform_": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
    "xavier_normal_": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
    "lecun_uniform_": lambda fan_in, fan_out: math.sqrt(1 / fan_in),
    "lecun_normal_": lambda fan_in, fan_out: math.sqrt(1 / fan_in),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SPREADS)
@given(seed=st.integers(0, 100))
def test_a_weight_has_the_spread_that_its_fans_ask_for(name, shape, seed):
    weight, std = parameter(*shape), SPREADS[name](*SHAPES[shape])
    assert getattr(init, name)(weight, rng=np.random.default_rng(seed)) is weight
    assert_spread(weight.data, std)
    bounded = np.abs(weight.data).max() <= math.sqrt(3) * std  # as a uniform distribution is
    assert bounded == ("uniform" in name)


@pytest.mark.parametrize("fill", [init.kaiming_uniform_, init.kaiming_normal_])
def test_kaimings_options_are_a_slope_a_mode_and_an_activation(fill):
    rng, weight = np.random.default_rng(0), parameter(80, 120)
    assert_spread(fill(weight, 0.5, "fan_out", rng=rng).data, math.sqrt(2 / (1 + 0.25) / 80))
    assert_spread(fill(weight, nonlinearity="tanh", rng=rng).data, 5 / 3 / math.sqrt(120))
    with pytest.raises(tg.UnknownNameError, match=r"mode of kaiming 'fan'.*fan_in, fan_out"):
        fill(weight, mode="fan")


@pytest.mark.parametrize("fill", [init.xavier_uniform_, init.xavier_normal_])
def test_a_gain_scales_xaviers_spread(fill):
    weight = fill(parameter(50, 50), gain=3.0, rng=np.random.default_rng(0))
    assert_spread(weight.data, 3 / math.sqrt(50))


@pytest.mark.parametrize("activation", sorted(nn.ACTIVATIONS))
def test_a_layers_first_weights_suit_its_activation(activation):
    layer = nn.Linear(200, 100, nonlinearity=activation, rng=np.random.default_rng(0))
    if activation in init.RELU_FAMILY:  # a relu zeroes half of what it gets
        variance = 2 / 200
    else:
        variance = 1 / 200 if activation == "selu" else 2 / (200 + 100)
    assert_spread(layer.weight.data, math.sqrt(variance))


def test_scalar_neurons_start_at_the_same_scale_as_linear_layers():
    layer = nn.Layer(50, 40, "relu", rng=np.random.default_rng(0))
    weights = [w.data for neuron in layer.neurons for w in neuron.weights]
    assert_spread(np.array(weights), math.sqrt(2 / 50))


def test_signals_keep_their_variance_through_layers_of_the_right_scale():
    rng = np.random.default_rng(0)
    for fill, activation, power in [
        (init.kaiming_normal_, nn.ReLU(), lambda x: np.mean(x**2)),  # He's condition
        (init.lecun_normal_, nn.SELU(), np.var),
    ]:
        x = rng.normal(size=(200, 300))
        before = power(x)
        for _ in range(10):
            weight = fill(parameter(300, 300), rng=rng).data
            x = activation(x @ weight.T)
        assert 0.5 < power(x) / before < 2


def test_gains_make_up_for_what_an_activation_takes_away():
    # E[relu(z)²] and E[leaky(z)²] of standard normal z, by the symmetry of z.
    assert init.calculate_gain("relu") ** 2 * 0.5 == pytest.approx(1)
    assert init.calculate_gain("leaky_relu", 0.3) ** 2 * (1 + 0.09) / 2 == pytest.approx(1)
    assert init.calculate_gain("linear") == init.calculate_gain("conv2d") == 1
    with pytest.raises(tg.UnknownNameError, match=r"gain 'rleu'.*'relu'.*tanh"):
        init.calculate_gain("rleu")


def test_fans_count_the_kernel_and_need_two_axes():
    assert init.fans((16, 3, 5, 5)) == (75, 400)
    assert init.fans((2, 3)) == (3, 2)
    with pytest.raises(tg.ShapeError, match=r"shape \(3,\): a weight is \(out, in\).*zeros_"):
        init.xavier_uniform_(parameter(3))


def test_normal_and_uniform_numbers_have_their_moments():
    rng, data = np.random.default_rng(0), parameter(5000)
    assert_spread(init.normal_(data, 2.0, 0.5, rng=rng).data, 0.5, mean=2.0)
    assert_spread(init.uniform_(data, -1.0, 5.0, rng=rng).data, 6 / math.sqrt(12), mean=2.0)
    assert data.data.min() >= -1
    assert data.data.max() <= 5


@given(st.floats(-2, 2), st.floats(0.25, 2), st.floats(-4, 3), st.floats(0.25, 6))
def test_a_truncated_normal_distribution_is_the_normal_one_within_its_bounds(mean, std, a, width):
    b, weight = a + width, parameter(2000)
    density = lambda z: math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    below = lambda z: math.erfc(-z / math.sqrt(2)) / 2
    low, high = (a - mean) / std, (b - mean) / std
    inside = below(high) - below(low)
    if inside < 0.01:
        return
    data = init.trunc_normal_(weight, mean, std, a, b, rng=np.random.default_rng(0)).data
    expected = mean + std * (density(low) - density(high)) / inside
    assert a <= data.min() <= data.max() <= b
    # The bounds make the distribution no wider than it was.
    assert data.mean() == pytest.approx(expected, abs=5 * std / math.sqrt(2000))


@given(st.integers(1, 6), st.integers(1, 6), st.sampled_from([(), (2,), (2, 3)]))
def test_an_orthogonal_weight_keeps_lengths(rows, columns, kernel):
    weight = init.orthogonal_(parameter(rows, columns, *kernel), gain=2.0)
    w = weight.data.reshape(rows, -1)
    gram = w @ w.T if rows <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_an_orthogonal_matrix_is_drawn_with_all_directions_alike():
    # The trace of a matrix of Haar's distribution has mean 0 and variance 1.
    rng, weight = np.random.default_rng(0), parameter(3, 3)
    traces = [np.trace(init.orthogonal_(weight, rng=rng).data) for _ in range(1000)]
    assert_spread(np.array(traces), 1)


def test_constants_fill_everything():
    weight = parameter(2, 3)
    for fill, number in [(init.zeros_, 0), (init.ones_, 1)]:
        assert fill(weight).data.tolist() == [[number] * 3] * 2
    assert init.constant_(weight, 0.5).data.tolist() == [[0.5] * 3] * 2


@pytest.mark.parametrize("groups", [1, 2])
def test_a_dirac_kernel_and_an_identity_matrix_pass_their_input_on(groups):
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    kernel = init.dirac_(parameter(4, 4 // groups, 3, 3), groups)
    np.testing.assert_array_equal(tg.conv2d(x, kernel, padding=1, groups=groups).data, x)
    weight = init.eye_(parameter(3, 3))
    np.testing.assert_array_equal(tg.linear(x, weight).data, x)


@pytest.mark.parametrize(
    ("fill", "error", "message"),
    [
        (lambda: init.normal_(parameter(2), std=-1), nn.ConfigurationError, "at least 0, not -1"),
        (lambda: init.uniform_(parameter(2), 1, 0), nn.ConfigurationError, "lower bound 1"),
        (
            lambda: init.trunc_normal_(parameter(2), a=5, b=6),
            nn.ConfigurationError,
            r"less than a thousandth of a normal distribution with mean 0.0.*\[5, 6\]",
        ),
        (lambda: init.trunc_normal_(parameter(2), std=0), nn.ConfigurationError, "std above 0"),
        (lambda: init.eye_(parameter(2)), tg.ShapeError, r"matrices, not a Tensor of shape \(2,\)"),
        (lambda: init.dirac_(parameter(3, 2, 1), 2), tg.ShapeError, "groups=2 that divide out"),
        (lambda: init.orthogonal_(parameter(3)), tg.ShapeError, "a weight is"),
    ],
)
def test_what_cannot_be_filled_is_refused_and_left_alone(fill, error, message):
    with pytest.raises(error, match=message):
        fill()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_weight_keeps_its_memory_and_its_dtype(dtype):
    weight = parameter(4, 3, dtype=dtype)
    memory = weight.data
    for fill in (init.kaiming_uniform_, init.xavier_normal_, init.orthogonal_, init.trunc_normal_):
        assert fill(weight).data is memory
        assert memory.dtype == dtype
        assert np.isfinite(memory).all()


def test_a_backward_pass_that_needed_the_old_weight_says_so():
    weight = Tensor(np.ones(3), requires_grad=True)
    loss = (weight * weight).sum()
    init.zeros_(weight)
    with pytest.raises(tg.GradientError, match="changed"):
        loss.backward()


def test_a_seed_repeats_weights_and_masks():
    draws = []
    for _ in range(2):
        nn.manual_seed(3)
        weights = nn.Linear(3, 3).weight.data, init.orthogonal_(parameter(3, 3)).data
        draws.append((*weights, nn.Dropout()(Tensor(np.ones(50))).data))
    for first, again in zip(*draws, strict=True):
        np.testing.assert_array_equal(first, again)
