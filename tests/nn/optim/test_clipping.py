"""Clipping keeps the direction, or every entry, within bounds, and says what it did."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nn
from nn import optim
from tinygrad_edu import Value

ROWS = hnp.arrays(np.float64, (3, 4), elements=st.floats(-100, 100))
LIMIT = st.floats(1e-3, 100)


def with_gradients(rows):
    """Tensors with these gradients, a Value, and a parameter without one."""
    tensors = [nn.Parameter(np.zeros_like(row)) for row in rows]
    for p, row in zip(tensors, rows, strict=True):
        p.grad = np.copy(row)
    value = Value(0.0)
    value.grad = 2.0
    return [*tensors, value, nn.Parameter([1.0])]


def all_of(ps):
    return np.concatenate([np.ravel(p.grad) for p in ps if p.grad is not None])


@given(rows=ROWS, limit=LIMIT, p=st.sampled_from([1.0, 2.0, 3.0, math.inf]))
def test_the_norm_ends_within_the_limit_and_the_direction_stays(rows, limit, p):
    ps = with_gradients(rows)
    before = all_of(ps)
    norm = np.linalg.norm(before, p)
    assert optim.clip_grad_norm_(ps, limit, p) == pytest.approx(norm)
    factor = min(1, limit / (norm + 1e-6))
    np.testing.assert_allclose(all_of(ps), factor * before, rtol=1e-12, atol=1e-12)
    assert np.linalg.norm(all_of(ps), p) <= limit * (1 + 1e-9)


@given(rows=ROWS, limit=LIMIT)
def test_every_entry_ends_within_the_limit(rows, limit):
    ps = with_gradients(rows)
    before = all_of(ps)
    optim.clip_grad_value_(ps, limit)
    np.testing.assert_array_equal(all_of(ps), np.clip(before, -limit, limit))


def test_gradients_are_clipped_in_place_and_keep_their_dtype():
    p = nn.Parameter(np.zeros(2, np.float16))
    p.grad = gradient = np.array([300.0, 400.0], np.float16)  # whose squares overflow
    assert optim.clip_grad_norm_(p, 5.0) == pytest.approx(500)
    np.testing.assert_allclose(gradient, [3, 4], rtol=1e-3)
    optim.clip_grad_value_([p], 3.5)
    assert p.grad is gradient
    assert (gradient.max(), gradient.dtype) == (3.5, np.float16)


def test_a_gradient_that_is_a_node_stays_one():
    x = nn.Parameter(np.array([3.0]))
    (x**3).sum().backward(create_graph=True)
    optim.clip_grad_value_([x], 100.0)
    x.grad.sum().backward()  # 3 x², and its derivative 6 x on top
    np.testing.assert_allclose(x.grad.data, 27 + 18)


def test_a_norm_that_is_no_number_is_reported_and_changes_nothing():
    for bad in (math.nan, math.inf):
        ps = with_gradients([[1.0, bad], [2.0, 3.0]])
        before = all_of(ps)
        assert not math.isfinite(optim.clip_grad_norm_(ps, 1.0))
        np.testing.assert_array_equal(all_of(ps), before)
        with pytest.raises(nn.TrainingError, match=r"parameter 0.*shape \(2,\)"):
            optim.clip_grad_norm_(ps, 1.0, error_if_nonfinite=True)


def test_without_gradients_the_norm_is_zero():
    assert optim.clip_grad_norm_([nn.Parameter([1.0])], 1.0) == 0


@pytest.mark.parametrize("limits", [{"max_norm": 1.0}, {"max_value": 1.0}])
def test_clipping_keeps_count(limits):
    clipping, p = optim.Clipping(**limits), nn.Parameter([0.0, 0.0])
    for g in ([3.0, 4.0], [0.3, 0.4], [math.inf, 0.0]):
        p.grad = np.array(g)
        clipping([p])
    by_norm = "max_norm" in limits
    assert clipping.before == [5, 0.5, math.inf]
    expected = [1, 0.5, math.inf] if by_norm else [math.sqrt(2), 0.5, 1]
    assert clipping.after == pytest.approx(expected, rel=1e-6)
    assert (clipping.fired, clipping.nonfinite) == (1 if by_norm else 2, 1)


def test_limits_that_make_no_sense_are_refused():
    p = nn.Parameter([1.0])
    for message, call in (
        ("either max_norm or max_value", optim.Clipping),
        ("either max_norm or max_value", lambda: optim.Clipping(1.0, 1.0)),
        ("max_norm", lambda: optim.clip_grad_norm_([p], -1.0)),
        ("clip_value", lambda: optim.clip_grad_value_([p], math.nan)),
        ("norm_type", lambda: optim.clip_grad_norm_([p], 1.0, norm_type=0)),
    ):
        with pytest.raises(nn.ConfigurationError, match=message):
            call()
