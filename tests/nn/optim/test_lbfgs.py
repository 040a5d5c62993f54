"""L-BFGS finds minima in few steps, and its line search keeps its promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import optim
from nn.optim.line_search import Point, cubic_minimum, strong_wolfe
from tinygrad_edu import Value


def rosenbrock(x, y):
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def minimize(optimizer, loss, steps=1):
    def closure():
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(steps):
        optimizer.step(closure)
    return loss().item()


def test_it_finds_the_minimum_of_rosenbrocks_valley():
    p = nn.Parameter(np.array([-1.2, 1.0]))
    optimizer = optim.LBFGS([p], max_iter=99, tolerance_change=0, line_search_fn="strong_wolfe")
    assert minimize(optimizer, lambda: rosenbrock(p[0], p[1])) < 1e-14
    np.testing.assert_allclose(p.data, 1, rtol=1e-6)


def test_values_take_the_steps_of_tensors():
    x, y, p = Value(-1.2), Value(1.0), nn.Parameter(np.array([-1.2, 1.0]))
    options = {"max_iter": 5, "line_search_fn": "strong_wolfe"}
    minimize(optim.LBFGS([x, y], **options), lambda: rosenbrock(x, y), steps=3)
    minimize(optim.LBFGS([p], **options), lambda: rosenbrock(p[0], p[1]), steps=3)
    np.testing.assert_allclose([x.data, y.data], p.data, rtol=1e-9)


@given(seed=st.integers(0, 50))
def test_an_exact_search_solves_a_quadratic_in_as_many_directions_as_it_has(seed):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(4, 4))
    a, b = a @ a.T + np.eye(4), rng.normal(size=4)
    p = nn.Parameter(rng.normal(size=4))
    optimizer = optim.LBFGS([p], max_iter=40, line_search_fn="strong_wolfe")
    minimize(optimizer, lambda: (p @ a @ p) / 2 - (p * b).sum())
    np.testing.assert_allclose(p.data, np.linalg.solve(a, b), rtol=1e-4, atol=1e-5)


def test_the_first_fixed_step_is_along_the_gradient_and_no_longer_than_lr():
    p = nn.Parameter(np.array([3.0, -4.0]))
    minimize(optim.LBFGS([p], lr=0.7, max_iter=1), lambda: (p * p).sum())
    g = np.array([6.0, -8.0])
    np.testing.assert_allclose(p.data, [3, -4] - 0.7 * g / np.abs(g).sum())


def test_with_one_pair_the_direction_is_that_of_the_bfgs_formula():
    start, a = np.array([1.0, 2.0]), np.diag([1.0, 5.0])
    p = nn.Parameter(start.copy())
    minimize(optim.LBFGS([p], lr=0.3, max_iter=2, max_eval=9), lambda: (p @ a @ p) / 2)
    g0 = a @ start
    s = -0.3 * min(1, 1 / np.abs(g0).sum()) * g0
    y, g1 = a @ s, a @ (start + s)
    rho, identity = 1 / (y @ s), np.eye(2)
    v = identity - rho * np.outer(y, s)  # H = vᵀ γ v + ρ s sᵀ, equation 7.16
    h = v.T @ (identity * (s @ y) / (y @ y)) @ v + rho * np.outer(s, s)
    np.testing.assert_allclose(p.data, start + s - 0.3 * h @ g1, rtol=1e-12)


@pytest.mark.parametrize("limit", [{"max_iter": 3}, {"max_eval": 4, "max_iter": 50}])
def test_it_evaluates_the_loss_no_more_often_than_told(limit):
    p, calls = nn.Parameter(np.array([-1.2, 1.0])), []

    def loss():
        calls.append(1)
        return rosenbrock(p[0], p[1])

    minimize(optim.LBFGS([p], lr=1e-3, **limit), loss)
    # One before each direction, and minimize() asks for one itself.
    assert len(calls) == 1 + next(iter(limit.values()))


def test_a_minimum_is_left_as_it_is():
    p = nn.Parameter(np.array([0.0]))
    assert minimize(optim.LBFGS([p]), lambda: (p * p).sum()) == 0
    assert p.data == 0


def test_it_needs_a_closure_and_one_group():
    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    with pytest.raises(nn.ConfigurationError, match="closure"):
        optim.LBFGS([p]).step()
    with pytest.raises(nn.ConfigurationError, match="one group"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])


CURVES = {
    "a quartic": (lambda t: (t - 2) ** 4 - 3 * t, lambda t: 4 * (t - 2) ** 3 - 3),
    "waves": (lambda t: np.cos(3 * t) - 0.5 * t + 0.1 * t * t, None),
    "a wall": (lambda t: t * t - 4 * t if t < 5 else np.inf, None),
    "far": (lambda t: -np.log1p(t) + 1e-4 * t, None),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 30.0])
def test_the_line_search_meets_the_strong_wolfe_conditions(name, first):
    f, slope = CURVES[name]
    slope = slope or (lambda t: (f(t + 1e-6) - f(t - 1e-6)) / 2e-6 if f(t) < np.inf else np.nan)
    evaluate = lambda t: Point(t, f(t), np.array([slope(t)]), slope(t))
    start = evaluate(0.0)
    found, trials = strong_wolfe(evaluate, start, first, reach=1.0, tolerance=1e-9)
    assert found.loss <= start.loss + 1e-4 * found.t * start.slope
    assert abs(found.slope) <= 0.9 * abs(start.slope)
    assert trials <= 26


@given(st.floats(-3, 3), st.floats(0.1, 3), st.floats(0.1, 2))
def test_the_minimum_of_a_cubic_is_found_exactly(centre, width, scale):
    # t³/3 - w² t has its minimum at w.
    f = lambda t: scale * ((t - centre) ** 3 / 3 - width**2 * (t - centre))
    slope = lambda t: scale * ((t - centre) ** 2 - width**2)
    a, b = (Point(t, f(t), np.zeros(1), slope(t)) for t in (centre - 0.3, centre + 4))
    assert cubic_minimum(a, b, -9, 9) == pytest.approx(centre + width, rel=1e-6, abs=1e-6)
    assert cubic_minimum(b, a, -9, 9) == cubic_minimum(a, b, -9, 9)
