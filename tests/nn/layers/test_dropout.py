"""Dropout: what is dropped together, and what stays the same on average."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor

# A layer, and the axes of x (N, C, H, W) that it drops whole.
KINDS = [(nn.Dropout, ()), (nn.Dropout2d, (2, 3)), (nn.DropPath, (1, 2, 3))]


@pytest.mark.parametrize(("make", "whole"), KINDS)
def test_what_is_dropped_is_dropped_whole_and_the_rest_is_scaled(make, whole):
    x = np.ones((50, 4, 3, 5), np.float32)
    y = make(0.2, rng=np.random.default_rng(0))(Tensor(x)).data
    assert set(y.flat) == {0, np.float32(1 / 0.8)}
    np.testing.assert_array_equal(y, np.broadcast_to(y.max(whole, keepdims=True), y.shape))
    assert y.dtype == np.float32


@pytest.mark.parametrize(("make", "whole"), KINDS)
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_expectation_is_kept(make, whole, p):
    drop, draws = make(p, rng=np.random.default_rng(0)), 20_000
    y = drop(Tensor(np.ones((draws, 1, 1, 1)))).data
    # The standard error of a mean of n draws of mean 1 and variance p / (1 - p); 5 of them.
    assert abs(y.mean() - 1) < 5 * np.sqrt(p / (1 - p) / draws)


@pytest.mark.parametrize(("make", "whole"), KINDS)
def test_the_gradient_passes_where_the_input_did(make, whole):
    x = Tensor(np.ones((20, 4, 3, 2), np.float32), requires_grad=True)
    y = make(0.3)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)


@pytest.mark.parametrize(("make", "whole"), KINDS)
def test_nothing_happens_in_use_and_everything_is_dropped_at_one(make, whole):
    x = Tensor(np.ones((2, 3, 4, 4)))
    assert make(0.5).eval()(x) is x
    assert make(0.0)(x) is x
    assert make(1.0)(x).data.sum() == 0


@pytest.mark.parametrize(("make", "whole"), KINDS)
@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan"), "0.5"])
def test_a_probability_outside_of_0_to_1_is_refused(make, whole, p):
    with pytest.raises(nn.ConfigurationError, match=f"{make.__name__}'s p is a probability"):
        make(p)


def test_dropout_of_channels_needs_images():
    with pytest.raises(tg.ShapeError, match=r"Dropout2d\(p=0.5\) in 0 takes x \(N, C, H, W\)"):
        nn.Sequential(nn.Dropout2d())(np.ones((2, 3)))
