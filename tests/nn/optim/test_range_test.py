"""The learning-rate range test finds a good rate, and leaves no trace."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn import optim


class Scaled(nn.Module):
    """A layer with everything that a run could change: weights, a buffer, dropout, a mode."""

    def __init__(self):
        self.linear = nn.Linear(2, 2)
        self.drop = nn.Dropout(0.2)
        self.own_drop = nn.Dropout(0.2, rng=np.random.default_rng(3))
        self.register_buffer("seen", np.zeros(1))

    def forward(self, x):
        self.seen = self.seen + len(x)
        return self.own_drop(self.drop(self.linear(x)))


@pytest.fixture(autouse=True)
def _weights_repeat():
    nn.manual_seed(0)


def batches():
    return nn.data.DataLoader(nn.data.xor(), 50)


def everything(model, optimizer):
    return {
        **model.state_dict(),
        **optimizer.state_dict(),
        "modes": [m.training for m in model.modules()],
        "grads": [p.grad for p in model.parameters()],
        "drawn": (
            nn.random.generator().bit_generator.state,
            model.own_drop.rng.bit_generator.state,
        ),
    }


@pytest.mark.parametrize("end", [1.0, 1e30])
def test_everything_is_afterwards_what_it_was(end):
    model = Scaled().eval()
    optimizer = optim.Adam([{"params": model.parameters(), "lr": 0.3}])
    model(np.ones((1, 2), np.float32)).sum().backward()
    optimizer.step()
    before = everything(model, optimizer)
    optim.find_learning_rate(model, tg.cross_entropy, batches(), optimizer, end=end, steps=30)
    for name, x in everything(model, optimizer).items():
        np.testing.assert_equal(x, before[name])


def test_everything_is_restored_after_an_error_too():
    model = Scaled()
    optimizer = optim.SGD(model.parameters())
    before = model.state_dict()

    def fail(step, lr, loss):
        if step == 5:
            raise KeyError

    with pytest.raises(KeyError):
        optim.find_learning_rate(model, tg.cross_entropy, batches(), optimizer, callback=fail)
    np.testing.assert_equal(model.state_dict(), before)


def test_the_rates_grow_evenly_on_a_logarithmic_axis():
    told = []
    found = optim.find_learning_rate(
        nn.Linear(2, 2),
        tg.cross_entropy,
        batches(),
        start=1e-6,
        end=1e-2,
        steps=5,
        callback=lambda *facts: told.append(facts),
    )
    np.testing.assert_allclose(found.lrs, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
    assert [(step, lr) for step, lr, _ in told] == list(enumerate(found.lrs, start=1))
    assert found.losses[0] == pytest.approx(told[0][2])  # smoothing starts from the first loss


def test_the_suggestion_trains_and_ten_times_where_the_loss_explodes_does_not():
    # L = ½ h x² under gradient descent falls for lr < 2 / h, and fastest at 1 / h.
    h = 100.0
    model = nn.Sequential(nn.Linear(1, 1, bias=False))
    loss = lambda y, target: (y * y).sum() * (h / 2)
    data = [(np.ones((1, 1), np.float32), None)]
    found = optim.find_learning_rate(
        model, loss, data, optim.SGD(model.parameters()), start=1e-5, end=10
    )
    assert 1e-4 < found.suggestion < 2 / h
    assert max(found.lrs) < 1  # it gave up soon after 2 / h


def test_a_model_of_values_has_a_learning_rate_too():
    model = nn.MLP(2, [2, 1])
    data = [([0.5, -1.0], 1.0), ([1.0, 0.3], -1.0)]
    found = optim.find_learning_rate(model, lambda y, target: (y - target) ** 2, data, steps=20)
    assert len(found.lrs) > 1


def test_what_cannot_be_tried_is_refused():
    model, data = nn.Linear(2, 2), batches()
    for error, message, options in (
        (nn.ConfigurationError, "start and end", {"start": 1.0, "end": 0.1}),
        (nn.ConfigurationError, "start and end", {"start": 0.0}),
        (nn.ConfigurationError, "steps", {"steps": 1}),
        (nn.TrainingError, "no batches", {"data": []}),
        (nn.TrainingError, "no number", {"loss": lambda y, target: y.sum() * np.nan}),
    ):
        arguments = {"loss": tg.cross_entropy, "data": data, **options}
        with pytest.raises(error, match=message):
            optim.find_learning_rate(model, **arguments)


def test_the_suggestion_is_where_the_loss_falls_fastest():
    found = optim.RangeTest([1e-3, 1e-2, 1e-1, 1.0], [3.0, 2.9, 1.0, 5.0])
    assert found.suggestion == 1e-2  # the largest fall of a central difference is around it


def test_a_loss_that_never_falls_suggests_nothing():
    found = optim.RangeTest([0.1, 1.0], [1.0, 2.0])
    assert found.suggestion is None
    assert optim.RangeTest([0.1], [1.0]).suggestion is None


def test_a_loss_that_falls_back_after_it_rose_does_not_move_the_suggestion():
    lrs = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0]
    assert optim.RangeTest(lrs, [2.3, 2.25, 1.8, 1.6, 9.0, 3.0]).suggestion == 1e-2


def test_the_first_losses_which_are_of_few_batches_do_not_make_the_suggestion():
    lrs = np.geomspace(1e-7, 1.0, 71)
    losses = [2.9, *[2.5] * 50, *np.linspace(2.45, 1.5, 20)]
    assert optim.RangeTest(list(lrs), losses).suggestion >= lrs[50]
