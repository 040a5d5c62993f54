"""Normalization: statistics of what comes out, and those that are kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor

BATCH_NORMS = [(nn.BatchNorm1d, (4,)), (nn.BatchNorm1d, (4, 5)), (nn.BatchNorm2d, (4, 3, 5))]


def normal(*shape):
    return 3 + 2 * np.random.default_rng(shape).normal(size=shape)


def over(x):
    """The axes that batch normalization takes its statistics over."""
    return (0, *range(2, x.ndim))


@pytest.mark.parametrize(("make", "sample"), BATCH_NORMS)
def test_in_training_every_channel_has_mean_0_and_variance_1(make, sample):
    norm, x = make(4, eps=0.0, dtype=np.float64), normal(6, *sample)
    y = norm(x).data
    np.testing.assert_allclose(y.mean(over(y)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(over(y)), 1)


def test_the_weight_and_the_bias_are_the_deviation_and_the_mean():
    norm, x = nn.BatchNorm1d(2, dtype=np.float64), normal(50, 2)
    norm.weight.data[:], norm.bias.data[:] = [2, 3], [-1, 1]
    y = norm(x).data
    np.testing.assert_allclose(y.mean(0), [-1, 1])
    np.testing.assert_allclose(y.std(0), [2, 3], rtol=1e-4)  # but for eps


@pytest.mark.parametrize(("make", "sample"), BATCH_NORMS)
@given(momentum=st.floats(0, 1), batches=st.integers(1, 4))
def test_running_statistics_move_by_the_momentum(make, sample, momentum, batches):
    norm, mean, variance = make(4, momentum=momentum, dtype=np.float64), 0.0, 1.0
    for i in range(batches):
        x = normal(6 + i, *sample)
        norm(x)
        mean = (1 - momentum) * mean + momentum * x.mean(over(x))
        variance = (1 - momentum) * variance + momentum * x.var(over(x), ddof=1)
    np.testing.assert_allclose(norm.running_mean, mean, atol=1e-12)
    np.testing.assert_allclose(norm.running_var, variance)
    assert norm.num_batches_tracked == batches


@given(batches=st.integers(1, 5))
def test_without_a_momentum_they_are_the_means_over_batches(batches):
    norm = nn.BatchNorm2d(2, momentum=None, dtype=np.float64)
    data = [normal(3 + i, 2, 2, 2) for i in range(batches)]
    for x in data:
        norm(x)
    np.testing.assert_allclose(norm.running_mean, np.mean([x.mean((0, 2, 3)) for x in data], 0))
    variances = [x.var((0, 2, 3), ddof=1) for x in data]
    np.testing.assert_allclose(norm.running_var, np.mean(variances, 0))


def test_in_use_the_running_statistics_are_constants():
    norm, x = nn.BatchNorm1d(2, dtype=np.float64), Tensor(normal(3, 2), requires_grad=True)
    norm(normal(9, 2))
    before = norm.state_dict()
    scale = 1 / np.sqrt(norm.running_var + norm.eps)
    y = norm.eval()(x)
    y.sum().backward()
    np.testing.assert_allclose(y.data, (x.data - norm.running_mean) * scale)
    np.testing.assert_allclose(x.grad, np.broadcast_to(scale, (3, 2)))
    for name, array in norm.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_without_tracking_the_batch_is_used_in_eval_mode_too():
    norm, x = nn.BatchNorm1d(2, track_running_stats=False), normal(9, 2).astype(np.float32)
    np.testing.assert_array_equal(norm(x).data, norm.eval()(x).data)
    assert list(norm.state_dict()) == ["weight", "bias"]


def test_running_statistics_go_through_a_state_dict_and_stay_in_their_dtype():
    norm, other = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    norm(normal(9, 2))  # in float64
    other.load_state_dict(norm.state_dict())
    assert other.num_batches_tracked == 1
    np.testing.assert_array_equal(other.running_var, norm.running_var)
    assert norm.running_mean.dtype == norm.running_var.dtype == np.float32
    assert (other.to(np.float16).running_mean.dtype, other.num_batches_tracked.dtype) == (
        np.float16,
        np.int64,
    )


def test_a_batch_that_is_refused_leaves_the_statistics_alone():
    norm = nn.BatchNorm2d(3)
    before = norm.state_dict()
    for shape in [(1, 3, 1, 1), (0, 3, 2, 2), (2, 4, 2, 2), (2, 3)]:
        with pytest.raises(tg.ShapeError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
            norm(np.ones(shape, np.float32))
    assert all(np.array_equal(before[k], array) for k, array in norm.state_dict().items())
    assert norm.eval()(np.ones((1, 3, 1, 1), np.float32)).shape == (1, 3, 1, 1)


def test_a_wrong_number_of_channels_names_the_layer():
    model = nn.Sequential(nn.Identity(), nn.BatchNorm1d(3))
    with pytest.raises(tg.ShapeError, match=r"in 1 takes x \(N, C\) or \(N, C, L\) with C = 3"):
        model(np.ones((2, 4), np.float32))


@given(st.sampled_from([(4,), (2, 4), (3, 2, 4)]))
def test_group_norm_of_one_group_is_layer_norm_over_all_of_a_sample(shape):
    x = normal(3, *shape)
    group, layer = nn.GroupNorm(1, shape[0], affine=False), nn.LayerNorm(shape)
    np.testing.assert_allclose(group(x), layer(x).data, atol=1e-12)


def test_instance_norm_is_group_norm_of_a_group_per_channel():
    instance = nn.InstanceNorm2d(4, affine=True, dtype=np.float64)
    group = nn.GroupNorm(4, 4, dtype=np.float64)
    instance.weight.data[:] = group.weight.data[:] = np.arange(4)
    x = normal(3, 4, 5, 2)
    np.testing.assert_array_equal(instance(x).data, group(x).data)


def test_instance_norm_keeps_the_statistics_of_the_samples_averaged():
    norm, x = nn.InstanceNorm2d(2, track_running_stats=True), normal(3, 2, 4, 4)
    norm(x)
    mean, variance = x.mean((2, 3)).mean(0), x.var((2, 3), ddof=1).mean(0)
    np.testing.assert_allclose(norm.running_mean, 0.1 * mean, rtol=1e-6)
    np.testing.assert_allclose(norm.running_var, 0.9 + 0.1 * variance, rtol=1e-6)
    scale = np.sqrt(norm.running_var + norm.eps)[:, None, None]
    expected = (x - norm.running_mean[:, None, None]) / scale
    np.testing.assert_allclose(norm.eval()(x), expected)


def test_instance_norm_needs_more_than_one_place():
    with pytest.raises(tg.ShapeError, match="more than one place per channel"):
        nn.InstanceNorm2d(2)(np.ones((3, 2, 1, 1)))


@given(st.sampled_from([5, (5,), (4, 5), (3, 4, 5)]))
def test_layer_norm_has_mean_0_and_variance_1_over_its_axes(shape):
    x, axes = normal(2, 3, 4, 5), tuple(range(-len(np.zeros(shape).shape), 0))
    y = nn.LayerNorm(shape, eps=0.0, dtype=np.float64)(x).data
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-12)
    np.testing.assert_allclose(y.var(axes), 1)


def test_rms_norm_has_mean_square_1_whatever_the_scale():
    norm, x = nn.RMSNorm(5, dtype=np.float64), normal(4, 5)
    y = norm(x).data
    np.testing.assert_allclose((y * y).mean(-1), 1)
    np.testing.assert_allclose(norm(100 * x).data, y)


@pytest.mark.parametrize(
    ("make", "parameters"),
    [
        (lambda: nn.LayerNorm(3), ["weight", "bias"]),
        (lambda: nn.LayerNorm(3, bias=False), ["weight"]),
        (lambda: nn.LayerNorm(3, elementwise_affine=False), []),
        (lambda: nn.RMSNorm(3), ["weight"]),
        (lambda: nn.InstanceNorm2d(3), []),
        (lambda: nn.BatchNorm2d(3, affine=False, track_running_stats=False), []),
    ],
)
def test_a_layer_has_the_parameters_that_were_asked_for(make, parameters):
    assert list(make().state_dict()) == parameters


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.GroupNorm(2, 3), "2 groups do not divide 3 channels"),
        (lambda: nn.BatchNorm1d(0), "num_features must be a positive integer"),
        (lambda: nn.BatchNorm1d(2, momentum=2), r"None or in \[0, 1\]"),
        (lambda: nn.BatchNorm1d(2, eps=float("nan")), "eps is at least 0"),
        (lambda: nn.LazyBatchNorm2d(eps=-1), "eps is at least 0"),
        (lambda: nn.LayerNorm(()), "one axis or more"),
        (lambda: nn.RMSNorm((2, 0)), "must be a positive integer"),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(nn.ConfigurationError, match=message):
        make()
