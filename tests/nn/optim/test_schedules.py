"""Schedules give the learning rates of their formulas, alone, combined, and after a restart.

Where PyTorch documents a schedule as a recursion from one learning rate to the next, it is that
recursion which stands here, since ours is the closed form.
"""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn import optim

LR = st.floats(1e-4, 10)
FACTOR = st.floats(0.05, 1)
STEPS = st.integers(1, 12)
LENGTH = 30


def optimizer(lr=1.0, groups=1):
    ps = [{"params": [nn.Parameter([1.0])], "lr": lr / (i + 1)} for i in range(groups)]
    return optim.SGD(ps, momentum=0.9)


def path(o, *schedules, steps=LENGTH):
    """The learning rates of every group, a row per step."""
    rows = []
    for _ in range(steps):
        rows.append([group["lr"] for group in o.param_groups])
        for schedule in schedules:
            schedule.step()
    return np.array(rows)


def recursion(lr, following, steps=LENGTH):
    """lr, following(lr, 1), ..."""
    lrs = [lr]
    for t in range(1, steps):
        lrs.append(following(lrs[-1], t))
    return lrs


def assert_follows(make, lr, expected):
    """Group i, whose learning rate is 1 / (i + 1) of the first, follows in that proportion."""
    o = optimizer(lr, groups=2)
    schedule = make(o)
    curve = schedule.curve(LENGTH)
    rows = path(o, schedule)
    np.testing.assert_allclose(rows[:, 0], expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(rows[:, 0], curve)
    return rows


@given(lr=LR, step_size=STEPS, gamma=FACTOR)
def test_step_lr(lr, step_size, gamma):
    expected = recursion(lr, lambda x, t: x * gamma if t % step_size == 0 else x)
    rows = assert_follows(lambda o: optim.StepLR(o, step_size, gamma), lr, expected)
    np.testing.assert_allclose(rows[:, 1], np.array(expected) / 2, rtol=1e-9)


@given(lr=LR, milestones=st.lists(STEPS, max_size=4), gamma=FACTOR)
def test_multi_step_lr(lr, milestones, gamma):
    expected = recursion(lr, lambda x, t: x * gamma ** milestones.count(t))
    assert_follows(lambda o: optim.MultiStepLR(o, milestones, gamma), lr, expected)


@given(lr=LR, gamma=FACTOR)
def test_exponential_lr(lr, gamma):
    expected = recursion(lr, lambda x, t: x * gamma)
    assert_follows(lambda o: optim.ExponentialLR(o, gamma), lr, expected)


@given(lr=LR, factor=FACTOR, n=STEPS)
def test_constant_lr(lr, factor, n):
    expected = recursion(lr * factor, lambda x, t: x / factor if t == n else x)
    assert_follows(lambda o: optim.ConstantLR(o, factor, n), lr, expected)


@given(lr=LR, start=FACTOR, end=FACTOR, n=STEPS)
def test_linear_lr(lr, start, end, n):
    def following(x, t):
        change = (end - start) / (n * start + (t - 1) * (end - start))
        return x * (1 + change) if t <= n else x

    expected = recursion(lr * start, following)
    assert_follows(lambda o: optim.LinearLR(o, start, end, n), lr, expected)


@given(lr=LR, n=STEPS)
def test_linear_warmup(lr, n):
    expected = [lr * k / n for k in range(1, n)] + [lr] * (LENGTH - n + 1)
    assert_follows(lambda o: optim.LinearWarmup(o, n), lr, expected)


@given(lr=LR, n=STEPS, power=st.floats(0.5, 3))
def test_polynomial_lr(lr, n, power):
    def following(x, t):
        return x * ((1 - t / n) / (1 - (t - 1) / n)) ** power if t <= n else x

    assert_follows(lambda o: optim.PolynomialLR(o, n, power), lr, recursion(lr, following))


@given(lr=LR, n=st.integers(LENGTH, 50), eta_min=st.floats(0, 1e-4))
def test_cosine_annealing_lr(lr, n, eta_min):
    def following(x, t):
        ratio = (1 + math.cos(math.pi * t / n)) / (1 + math.cos(math.pi * (t - 1) / n))
        return eta_min + (x - eta_min) * ratio

    make = lambda o: optim.CosineAnnealingLR(o, n, eta_min)
    assert_follows(make, lr, recursion(lr, following))


def test_cosine_annealing_comes_back_up():
    o = optimizer()
    lrs = path(o, optim.CosineAnnealingLR(o, 5, eta_min=0.1), steps=11)[:, 0]
    np.testing.assert_allclose(lrs, lrs[::-1])
    assert lrs[5] == pytest.approx(0.1)


@given(lr=LR, first=STEPS, factor=st.integers(1, 3), eta_min=st.floats(0, 1e-4))
def test_cosine_annealing_warm_restarts(lr, first, factor, eta_min):
    expected, period = [], first
    while len(expected) < LENGTH:
        share = np.arange(period) / period
        expected += list(eta_min + (lr - eta_min) * (1 + np.cos(np.pi * share)) / 2)
        period *= factor
    make = lambda o: optim.CosineAnnealingWarmRestarts(o, first, factor, eta_min)
    assert_follows(make, lr, expected[:LENGTH])


@given(lr=LR)
def test_lambda_lr(lr):
    rows = assert_follows(
        lambda o: optim.LambdaLR(o, [lambda t: 1 / (1 + t), lambda t: 0.9**t]),
        lr,
        [lr / (1 + t) for t in range(LENGTH)],
    )
    np.testing.assert_allclose(rows[:, 1], lr / 2 * 0.9 ** np.arange(LENGTH))


def anneal(strategy, start, end, steps):
    """``steps`` steps from start to end, without the start."""
    share = np.arange(1, steps + 1) / steps
    if strategy == "linear":
        return list(start + (end - start) * share)
    return list(end + (start - end) * (1 + np.cos(np.pi * share)) / 2)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("three_phase", [False, True])
def test_one_cycle_lr(strategy, three_phase):
    # 40 steps, of which 0.25 go up: steps 0 to 9, and 9 to 18 back in three phases.
    o = optimizer()
    schedule = optim.OneCycleLR(
        o,
        max_lr=2.0,
        epochs=4,
        steps_per_epoch=10,
        pct_start=0.25,
        anneal_strategy=strategy,
        three_phase=three_phase,
        div_factor=10,
        final_div_factor=100,
    )
    up = [0.2, *anneal(strategy, 0.2, 2.0, 9)]
    down = anneal(strategy, 2.0, 0.002, 30)
    momentum = [0.95, *anneal(strategy, 0.95, 0.85, 9), *anneal(strategy, 0.85, 0.95, 30)]
    if three_phase:
        down = anneal(strategy, 2.0, 0.2, 9) + anneal(strategy, 0.2, 0.002, 21)
        momentum[10:] = anneal(strategy, 0.85, 0.95, 9) + [0.95] * 21
    for lr, mu in zip(up + down, momentum, strict=True):
        assert o.param_groups[0]["lr"] == pytest.approx(lr)
        assert o.param_groups[0]["momentum"] == pytest.approx(mu)
        schedule.step()
    with pytest.raises(nn.TrainingError, match="made for 40 steps"):
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.002])


def test_one_cycle_turns_the_first_beta_of_adam():
    p = nn.Parameter([1.0])
    adam = optim.Adam([p], betas=(0.9, 0.99))
    optim.OneCycleLR(adam, 0.1, total_steps=10)
    assert adam.param_groups[0]["betas"] == (0.95, 0.99)
    with pytest.raises(nn.ConfigurationError, match="cycle_momentum=False"):
        optim.OneCycleLR(optim.Adagrad([p]), 0.1, total_steps=10)
    optim.OneCycleLR(optim.Adagrad([p]), 0.1, total_steps=10, cycle_momentum=False)


def plateau_rates(metrics, lr, mode, factor, patience, threshold, cooldown):
    best, waited, resting, lrs = None, 0, 0, []
    for metric in metrics:
        if best is None:
            progress = True
        elif mode == "max":
            progress = metric > best + threshold * best
        else:
            progress = metric < best - threshold * best
        best, waited = (metric, 0) if progress else (best, waited + 1)
        if resting:
            resting, waited = resting - 1, 0
        if waited > patience:
            lr, waited, resting = lr * factor, 0, cooldown
        lrs.append(lr)
    return lrs


@given(
    metrics=st.lists(st.floats(0.5, 2), min_size=1, max_size=20),
    mode=st.sampled_from(["min", "max"]),
    patience=st.integers(0, 3),
    threshold=st.floats(0, 0.2),
    cooldown=st.integers(0, 3),
)
def test_reduce_lr_on_plateau(metrics, mode, patience, threshold, cooldown):
    o = optimizer()
    schedule = optim.ReduceLROnPlateau(o, mode, 0.5, patience, threshold, cooldown=cooldown, eps=0)
    lrs = []
    for metric in metrics:
        schedule.step(metric)
        lrs += schedule.get_last_lr()
    expected = plateau_rates(metrics, 1.0, mode, 0.5, patience, threshold, cooldown)
    assert lrs == pytest.approx(expected)


def test_a_plateau_lowers_the_rate_as_far_as_told():
    o = optimizer()
    schedule = optim.ReduceLROnPlateau(o, factor=0.1, patience=0, min_lr=0.05)
    for metric in (tg.Tensor(1.0), np.float32(1.0), 1.0, math.nan):
        schedule.step(metric)
    assert schedule.get_last_lr() == [0.05]


# All together.

EVERY = [
    lambda o: optim.LambdaLR(o, lambda t: 1 / (1 + t)),
    lambda o: optim.StepLR(o, 2),
    lambda o: optim.MultiStepLR(o, [1, 4]),
    optim.ConstantLR,
    optim.LinearLR,
    lambda o: optim.LinearWarmup(o, 4),
    lambda o: optim.ExponentialLR(o, 0.9),
    optim.PolynomialLR,
    lambda o: optim.CosineAnnealingLR(o, 5, eta_min=0.01),
    lambda o: optim.CosineAnnealingWarmRestarts(o, 3),
    lambda o: optim.OneCycleLR(o, [0.1, 0.2], total_steps=20),
    lambda o: optim.SequentialLR(
        o, [optim.LinearWarmup(o, 3), optim.OneCycleLR(o, 0.1, total_steps=20)], [3]
    ),
    lambda o: optim.ChainedScheduler([optim.LinearLR(o), optim.OneCycleLR(o, 0.1, 20)]),
]


def groups_of(o):
    return [{k: v for k, v in group.items() if k != "params"} for group in o.param_groups]


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_a_resumed_schedule_goes_on_bit_for_bit(make, optimizer_first):
    o, other = optimizer(groups=2), optimizer(groups=2)
    schedule = make(o)
    path(o, schedule, steps=4)
    for group in o.param_groups:
        group["lr"] *= 0.7  # what a plateau would do
    states = json.loads(json.dumps([o.state_dict(), schedule.state_dict()]))
    if optimizer_first:
        other.load_state_dict(states[0])
    resumed = make(other)
    resumed.load_state_dict(states[1])
    if not optimizer_first:
        other.load_state_dict(states[0])
    for _ in range(6):
        assert groups_of(other) == groups_of(o)
        schedule.step()
        resumed.step()


@pytest.mark.parametrize("make", EVERY)
def test_a_curve_is_what_will_come_and_changes_nothing(make):
    o = optimizer(groups=2)
    schedule = make(o)
    path(o, schedule, steps=2)
    before = groups_of(o)
    curve = schedule.curve(5, group=1)
    assert groups_of(o) == before
    np.testing.assert_array_equal(path(o, schedule, steps=5)[:, 1], curve)


@given(order=st.permutations([0, 1, 2]))
def test_schedules_side_by_side_multiply_in_any_order(order):
    o = optimizer()
    makers = [
        lambda o: optim.ExponentialLR(o, 0.9),
        lambda o: optim.StepLR(o, 3, 0.5),
        lambda o: optim.LinearLR(o, 0.25),
    ]
    product = np.prod([makers[i](optimizer()).curve(LENGTH) for i in range(3)], axis=0)
    lrs = path(o, *[makers[i](o) for i in order])
    np.testing.assert_allclose(lrs[:, 0], product)


def test_chained_schedules_multiply():
    o = optimizer()
    chained = optim.ChainedScheduler([optim.LinearLR(o, 0.25), optim.ExponentialLR(o, 0.9)])
    product = np.multiply(
        optim.LinearLR(optimizer(), 0.25).curve(LENGTH),
        optim.ExponentialLR(optimizer(), 0.9).curve(LENGTH),
    )
    np.testing.assert_allclose(path(o, chained)[:, 0], product)


def test_schedules_in_sequence_each_start_from_the_first_rate():
    o = optimizer(2.0)
    parts = [optim.LinearWarmup(o, 3), optim.ExponentialLR(o, 0.5), optim.ConstantLR(o, 0.1)]
    sequence = optim.SequentialLR(o, parts, milestones=[3, 6])
    expected = [2 / 3, 4 / 3, 2, 2, 1, 0.5, 0.2, 0.2]
    np.testing.assert_allclose(path(o, sequence, steps=8)[:, 0], expected)


def test_a_learning_rate_set_by_hand_or_by_a_plateau_is_gone_on_from():
    o = optimizer()
    schedule = optim.ExponentialLR(o, 0.5)
    plateau = optim.ReduceLROnPlateau(o, factor=0.1, patience=0)
    schedule.step()
    plateau.step(1.0)
    plateau.step(1.0)
    schedule.step()
    assert o.param_groups[0]["lr"] == pytest.approx(0.5 * 0.1 * 0.5)
    o.param_groups[0]["lr"] = 8.0
    schedule.step()
    assert schedule.get_last_lr() == [4.0]


def test_a_rule_of_ones_own_is_one_method():
    class InverseRoot(optim.Schedule):
        def at(self, t, lr, group):
            return lr / math.sqrt(t + 1)

    o = optimizer()
    np.testing.assert_allclose(path(o, InverseRoot(o))[:, 0], np.arange(1, LENGTH + 1) ** -0.5)


def test_a_plateau_comes_back_from_its_state():
    o, other = optimizer(), optimizer()
    schedule = optim.ReduceLROnPlateau(o, patience=1, factor=0.5)
    resumed = optim.ReduceLROnPlateau(other, patience=1, factor=0.5)
    for metric in (3.0, 3.0, 3.0, 3.0):
        schedule.step(metric)
    resumed.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    for metric in (3.0, 2.0, 2.0, 2.0):
        schedule.step(metric)
        resumed.step(metric)
        assert resumed.state_dict() == schedule.state_dict()


def test_a_state_of_another_schedule_is_refused():
    o = optimizer()
    schedule = optim.StepLR(o, 2)
    for state in (optim.ReduceLROnPlateau(o).state_dict(), {}):
        before = schedule.state_dict()
        with pytest.raises(nn.StateDictError, match="StepLR"):
            schedule.load_state_dict(state)
        assert schedule.state_dict() == before


def test_what_makes_no_schedule_is_refused():
    o = optimizer()
    part, plateau = optim.StepLR(o, 2), optim.ReduceLROnPlateau(o)
    for message, make in (
        ("step_size", lambda: optim.StepLR(o, 0)),
        ("gamma", lambda: optim.ExponentialLR(o, -0.5)),
        ("total_iters", lambda: optim.LinearLR(o, total_iters=1.5)),
        ("takes an optimizer, not list", lambda: optim.StepLR([], 2)),
        ("total_steps, or epochs", lambda: optim.OneCycleLR(o, 0.1, epochs=3)),
        ("pct_start", lambda: optim.OneCycleLR(o, 0.1, total_steps=9, pct_start=2)),
        ("max_momentum", lambda: optim.OneCycleLR(o, 0.1, total_steps=9, max_momentum=1.5)),
        ("one for each of 1 groups, not 2", lambda: optim.OneCycleLR(o, [1, 2], total_steps=9)),
        ("takes 1 rising milestones", lambda: optim.SequentialLR(o, [part, part], [])),
        ("takes 2 rising milestones", lambda: optim.SequentialLR(o, [part] * 3, [5, 2])),
        ("no schedules", lambda: optim.ChainedScheduler([])),
        ("step it beside", lambda: optim.ChainedScheduler([part, plateau])),
        ("another optimizer", lambda: optim.SequentialLR(optimizer(), [part], [])),
        ("factor", lambda: optim.ReduceLROnPlateau(o, factor=1.0)),
    ):
        with pytest.raises(nn.ConfigurationError, match=message):
            make()
    for message, make in (
        ("Did you mean 'min'", lambda: optim.ReduceLROnPlateau(o, "minn")),
        ("'rel'", lambda: optim.ReduceLROnPlateau(o, threshold_mode="re")),
        ("'cos'", lambda: optim.OneCycleLR(o, 0.1, total_steps=9, anneal_strategy="cosine")),
    ):
        with pytest.raises(tg.UnknownNameError, match=message):
            make()


def test_a_group_added_after_the_schedule_is_found():
    o = optimizer()
    schedule = optim.StepLR(o, 2)
    o.add_param_group({"params": [nn.Parameter([1.0])]})
    plateau = optim.ReduceLROnPlateau(o)
    o.add_param_group({"params": [nn.Parameter([1.0])]})
    for step in (schedule.step, lambda: plateau.step(1.0)):
        with pytest.raises(nn.ConfigurationError, match="parameter groups, and there are 3 now"):
            step()
