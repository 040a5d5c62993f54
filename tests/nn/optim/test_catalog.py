"""Every optimizer and schedule can be made by its name, and a schedule is as long as training."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn import optim

BY_STEP = sorted(optim.SCHEDULES.keys() - {"constant", "plateau"})
ALWAYS_LOWER = ["cosine", "exponential", "linear"]
TOTALS = st.integers(1, 500)


def sgd(lr=0.5, **options):
    return optim.SGD([nn.Parameter([1.0])], lr=lr, **options)


def rates(name, total, **options):
    """The learning rate of each of ``total`` steps."""
    optimizer = sgd()
    schedule = optim.schedule(name, optimizer, total, **options)
    found = []
    for _ in range(total):
        found.append(optimizer.lr)
        schedule.step()
    return np.array(found)


def test_every_optimizer_that_takes_parameters_is_in_the_table():
    kinds = [kind for kind in vars(optim).values() if inspect.isclass(kind)]
    made_of_parameters = {
        kind.__name__.lower(): kind
        for kind in kinds
        if issubclass(kind, optim.Optimizer) and "params" in inspect.signature(kind).parameters
    }
    del made_of_parameters["optimizer"]
    assert made_of_parameters == optim.OPTIMIZERS


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_an_optimizer_made_by_name_is_the_one_made_by_its_class(name):
    parameters = nn.Linear(2, 1).parameters()
    made = optim.create(name, parameters, lr=0.25)
    assert type(made) is optim.OPTIMIZERS[name]
    assert made.state_dict() == optim.OPTIMIZERS[name](parameters, lr=0.25).state_dict()


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_an_option_that_the_optimizer_does_not_take_is_refused(name):
    with pytest.raises(tg.UnknownNameError, match=r"option of \w+ 'leraning_rate'.*Known: .*lr"):
        optim.create(name, [nn.Parameter([1.0])], leraning_rate=0.1)


def test_an_unknown_optimizer_or_schedule_suggests_the_nearest():
    with pytest.raises(tg.UnknownNameError, match=r"optimizer 'adamv'.*Did you mean 'adam"):
        optim.create("adamv", [nn.Parameter([1.0])])
    with pytest.raises(tg.UnknownNameError, match=r"schedule 'cosin'.*Did you mean 'cosine'"):
        optim.schedule("cosin", sgd(), 10)


def test_constant_is_no_schedule():
    assert optim.schedule("constant", sgd(), 10) is None


@pytest.mark.parametrize("name", BY_STEP)
@pytest.mark.parametrize("total", [1, 2, 3, 7, 100])
def test_a_schedule_lasts_for_all_of_training_and_keeps_the_rate_positive(name, total):
    found = rates(name, total)
    assert (found > 0).all()
    assert found.max() <= 0.5 * (1 + 1e-12)


@pytest.mark.parametrize("name", ALWAYS_LOWER)
@given(total=TOTALS)
def test_a_decay_starts_at_the_optimizers_rate_and_falls_with_every_step(name, total):
    found = rates(name, total)
    assert found[0] == 0.5
    assert (np.diff(found) < 0).all()


@given(total=TOTALS)
def test_the_rate_ends_where_the_table_says(total):
    for name, share in ("cosine", 0.0), ("linear", 0.0), ("exponential", 0.01), ("step", 0.001):
        optimizer = sgd()
        schedule = optim.schedule(name, optimizer, 3 * total)
        for _ in range(3 * total):
            schedule.step()
        assert math.isclose(optimizer.lr, 0.5 * share, rel_tol=1e-9, abs_tol=1e-15)


def test_step_falls_to_a_tenth_after_each_third():
    np.testing.assert_allclose(rates("step", 9), np.repeat([0.5, 0.05, 0.005], 3))


@given(total=st.integers(20, 500))
def test_warmup_rises_evenly_for_a_tenth_and_then_is_a_cosine(total):
    found, warm = rates("warmup_cosine", total), round(total / 10)
    np.testing.assert_allclose(found[:warm], 0.5 * np.arange(1, warm + 1) / warm)
    angles = np.pi * np.arange(total - warm) / (total - warm)
    np.testing.assert_allclose(found[warm:], 0.25 * (1 + np.cos(angles)), atol=1e-12)


def test_one_cycle_goes_up_to_the_rate_of_each_group():
    groups = [{"params": [nn.Parameter([1.0])], "lr": lr} for lr in (0.5, 0.1)]
    schedule = optim.schedule("onecycle", optim.SGD(groups), 100)
    assert max(schedule.curve(100, group=0)) == pytest.approx(0.5)
    assert max(schedule.curve(100, group=1)) == pytest.approx(0.1)


def test_one_cycle_leaves_the_momentum_alone_where_there_is_none():
    optimizer = optim.Adagrad([nn.Parameter([1.0])])
    optim.schedule("onecycle", optimizer, 10).step()
    assert "momentum" not in optimizer.param_groups[0]


def test_a_plateau_waits_a_tenth_of_the_epochs():
    optimizer = sgd()
    schedule = optim.schedule("plateau", optimizer, 50)
    found = []
    for _ in range(7):
        schedule.step(1.0)
        found.append(optimizer.lr)
    assert found == pytest.approx([0.5] * 6 + [0.05])  # the first is the best, then 5 go unpunished


def test_options_take_the_place_of_the_defaults():
    assert rates("linear", 10, end_factor=1.0).tolist() == [0.5] * 10
    assert rates("warmup_cosine", 10, warmup_steps=5)[:5] == pytest.approx(np.arange(1, 6) / 10)
    assert optim.schedule("plateau", sgd(), 10, factor=0.5).factor == 0.5


def test_an_option_that_the_schedule_does_not_take_is_refused():
    with pytest.raises(tg.UnknownNameError, match=r"option of the schedule 'cosine' 'gamma'"):
        optim.schedule("cosine", sgd(), 10, gamma=0.1)
    with pytest.raises(nn.ConfigurationError, match=r"'constant' has no options.*gamma"):
        optim.schedule("constant", sgd(), 10, gamma=0.1)


@pytest.mark.parametrize("name", optim.SCHEDULES)
@pytest.mark.parametrize("total", [0, -1, 2.5, "10"])
def test_a_total_that_is_no_positive_integer_is_refused_and_leaves_the_rate(name, total):
    optimizer = sgd()
    with pytest.raises(nn.ConfigurationError, match="total_steps"):
        optim.schedule(name, optimizer, total)
    assert optimizer.lr == 0.5


@pytest.mark.parametrize("warmup", [-1, 10, 11, 0.1])
def test_a_warmup_that_leaves_no_steps_is_refused(warmup):
    with pytest.raises(nn.ConfigurationError, match=r"warmup_steps .*\[0, 10\)"):
        optim.schedule("warmup_cosine", sgd(), 10, warmup_steps=warmup)


@pytest.mark.parametrize(
    ("name", "per"),
    [
        (name, per)
        for name in optim.SCHEDULES
        for per in ("epoch", "step")
        if (name, per) != ("plateau", "step")  # which a Trainer refuses
    ],
)
def test_a_trainer_takes_every_schedule_to_its_end(name, per):
    model = nn.zoo.feedforward([2, 4, 2])
    optimizer = optim.create("sgd", model.parameters(), lr=0.1)
    steps = 3 if per == "epoch" else 3 * 2
    schedule = optim.schedule(name, optimizer, steps)
    trainer = nn.training.Trainer(model, optimizer, schedule=schedule, schedule_per=per)
    trainer.fit(nn.data.DataLoader(nn.data.xor(64), 32), epochs=3)
    if schedule is not None:
        assert schedule.last_epoch == steps
