"""Lookahead's slow weights follow the fast ones, under any schedule."""

import numpy as np
import pytest

import nn
from nn import optim
from tinygrad_edu import Value

SCHEDULES = [
    lambda o: optim.LambdaLR(o, lambda t: 1 / (1 + t)),
    lambda o: optim.StepLR(o, 2),
    lambda o: optim.MultiStepLR(o, [1, 4]),
    lambda o: optim.ConstantLR(o),
    lambda o: optim.LinearLR(o),
    lambda o: optim.LinearWarmup(o, 4),
    lambda o: optim.ExponentialLR(o, 0.9),
    lambda o: optim.PolynomialLR(o),
    lambda o: optim.CosineAnnealingLR(o, 5),
    lambda o: optim.CosineAnnealingWarmRestarts(o, 3),
    lambda o: optim.OneCycleLR(o, 0.1, total_steps=9),
    lambda o: optim.SequentialLR(o, [optim.LinearWarmup(o, 2), optim.StepLR(o, 2)], [2]),
    lambda o: optim.ChainedScheduler([optim.LinearLR(o), optim.ExponentialLR(o, 0.9)]),
]
GRADIENTS = np.random.default_rng(0).normal(size=(7, 2))


def run(optimizer, p, schedule):
    path = []
    for g in GRADIENTS:
        p.grad = g
        optimizer.step()
        schedule.step()
        path.append(p.data.copy())
    return path


@pytest.mark.parametrize("make", SCHEDULES)
def test_the_weights_are_those_of_algorithm_1(make):
    p, fast = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    lookahead = optim.Lookahead(optim.SGD([p], lr=0.1, momentum=0.9), k=3, alpha=0.4)
    path = run(lookahead, p, make(lookahead))
    inner, slow = optim.SGD([fast], lr=0.1, momentum=0.9), np.ones(2)
    schedule = make(inner)
    for t, g in enumerate(GRADIENTS, start=1):
        fast.grad = g
        inner.step()
        schedule.step()
        if t % 3 == 0:
            slow = slow + 0.4 * (fast.data - slow)
            fast.data[...] = slow
        np.testing.assert_allclose(path[t - 1], fast.data, rtol=1e-12)


@pytest.mark.parametrize("make", SCHEDULES)
def test_a_schedule_of_the_inner_optimizer_is_one_of_the_wrapper(make):
    p, q = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))
    outer = optim.Lookahead(optim.Adam([p], lr=0.1))
    inner = optim.Lookahead(optim.Adam([q], lr=0.1))
    np.testing.assert_array_equal(run(outer, p, make(outer)), run(inner, q, make(inner.optimizer)))


def test_values_take_the_steps_of_tensors():
    value, tensor = Value(1.0), nn.Parameter(np.array([1.0]))
    optimizer = optim.Lookahead(optim.Adam([value, tensor], lr=0.1), k=2)
    for g in GRADIENTS[:, 0]:
        value.grad, tensor.grad = float(g), np.array([g])
        optimizer.step()
    assert value.data == pytest.approx(tensor.data[0], rel=1e-12)


def test_the_slow_weights_start_where_the_first_step_does():
    p = nn.Parameter(np.zeros(1))
    optimizer = optim.Lookahead(optim.SGD([p], lr=1.0), k=1, alpha=0.5)
    p.data[...] = 10  # weights loaded after the optimizer was made
    p.grad = np.array([2.0])
    optimizer.step()
    assert p.data == 9


def test_a_group_added_later_is_followed_too():
    p, q = nn.Parameter(np.zeros(1)), nn.Parameter(np.zeros(1))
    optimizer = optim.Lookahead(optim.SGD([p], lr=1.0), k=1, alpha=0.5)
    optimizer.add_param_group({"params": [q]})
    q.grad = np.array([2.0])
    optimizer.step()
    assert q.data == -1
