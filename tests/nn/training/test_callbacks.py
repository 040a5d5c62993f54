"""Early stopping, and what callbacks are told."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.optim import EMA, SGD
from nn.training import Callback, EarlyStopping, Trainer
from tests.nn.training.runs import assert_same, trained


class Losses(Callback):
    """Puts losses of our choice into the history, and keeps the weights of every epoch."""

    def __init__(self, losses):
        self.losses, self.weights = losses, {}

    def on_epoch_end(self, trainer, row):
        row["validation_loss"] = self.losses[int(row["epoch"]) - 1]
        self.weights[row["epoch"]] = trainer.evaluated_weights()


@pytest.mark.parametrize(
    ("losses", "options", "best", "last"),
    [
        ([3, 2, 1, 2, 3, 0], {}, 3, 5),
        ([3, 2, 1, 1, 1, 0], {}, 3, 5),  # as good is not better
        ([3, 2, 1, 0.9, 0.8, 0], {"min_delta": 0.5}, 3, 5),
        ([3, 2, np.nan, np.nan, 0], {}, 2, 4),
        ([np.nan, 2, 1, 0], {}, 4, 4),
        ([1, 2, 3, 2, 1, 9], {"mode": "max"}, 3, 5),
        ([5, 4, 3, 2, 1], {}, 5, 5),
    ],
)
def test_early_stopping_stops_and_gives_the_best_weights_back(losses, options, best, last):
    spoiler, stopping = Losses(losses), EarlyStopping(2, **options)
    trainer = trained(len(losses), [spoiler, stopping])
    assert (len(trainer.history), stopping.best_epoch) == (last, best)
    assert_same(trainer.model.state_dict(), spoiler.weights[best])


def test_the_best_weights_are_the_averaged_ones_that_were_looked_at():
    nn.manual_seed(0)
    model = nn.zoo.feedforward([2, 4, 2])
    spoiler = Losses([1, 2, 3])
    Trainer(
        model,
        SGD(model.parameters(), lr=0.5),
        ema=EMA(model, 0.9),
        callbacks=[spoiler, EarlyStopping()],
    ).fit(nn.data.xor(64), 0.5, epochs=3)
    assert_same(model.state_dict(), spoiler.weights[1])


def test_early_stopping_of_another_run_starts_anew():
    stopping = EarlyStopping(2)
    trained(3, [Losses([0, 0, 0]), stopping])
    spoiler = Losses([2, 1, 1.5])
    second = trained(3, [spoiler, stopping], seed=1)
    assert (stopping.best, stopping.best_epoch) == (1, 2)
    assert_same(second.model.state_dict(), spoiler.weights[2])


def test_a_metric_that_should_rise_is_known_by_its_name():
    class Score(nn.training.Metric):
        name, larger_is_better = "score_of_2", True
        reset = update = lambda self, *batch: None

        def compute(self):
            return next(scores)

    scores = iter([0.1, 0.1, 0.5, 0.5, 0.3, 0.3, 0.2, 0.2])  # of training, of validation, ...
    stopping = EarlyStopping(2, "validation_score_of_2")
    trainer = trained(4, [stopping], metrics=[Score()])
    assert (stopping.best, stopping.best_epoch, len(trainer.history)) == (0.5, 2, 4)


def test_early_stopping_says_which_metrics_there_are():
    with pytest.raises(nn.ConfigurationError, match=r"'validation_f1'.*train_loss"):
        trained(callbacks=[EarlyStopping(monitor="validation_f1")])


@pytest.mark.parametrize("patience", [0, -1, 1.5, np.nan, True, "2"])
def test_a_patience_that_is_no_number_of_epochs_is_refused(patience):
    with pytest.raises(nn.ConfigurationError, match="patience must be a positive integer"):
        EarlyStopping(patience)


@pytest.mark.parametrize("min_delta", [-0.1, np.nan, np.inf, "0"])
def test_a_difference_that_is_none_is_refused(min_delta):
    with pytest.raises(nn.ConfigurationError, match="min_delta must be at least 0"):
        EarlyStopping(min_delta=min_delta)


def test_an_unknown_mode_is_refused():
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'max'"):
        EarlyStopping(mode="maxi")


def test_a_callback_is_told_of_everything_in_its_order():
    told = []

    class Listener(Callback):
        def __init__(self, name):
            self.name = name

        def __getattribute__(self, name):
            if name.startswith("on_"):
                told.append((name, self.name))
            return super().__getattribute__(name)

    model = nn.Linear(2, 2)
    callbacks = [Listener("a"), Listener("b")]
    trainer = Trainer(model, SGD(model.parameters()), callbacks=callbacks)
    trainer.fit(nn.data.DataLoader(nn.data.xor(64), 32), epochs=2)
    assert [event for event, name in told if name == "a"] == [
        "on_fit_start",
        *2 * [*2 * ["on_backward", "on_step"], "on_epoch_end", "on_epoch_over"],
        "on_fit_end",
    ]
    assert [name for _, name in told] == ["a", "b"] * (len(told) // 2)


def test_the_scores_are_those_of_the_epoch_so_far():
    seen = []

    class Look(Callback):
        def on_fit_start(self, trainer, batches, epochs):
            seen.append((trainer.samples, trainer.scores()))

        def on_step(self, trainer):
            seen.append((trainer.samples, list(trainer.scores())))

    model = nn.Linear(2, 2)
    loader = nn.data.DataLoader(nn.data.xor(50), 20)
    Trainer(model, SGD(model.parameters()), callbacks=[Look()]).fit(loader, epochs=1)
    names = ["loss", "accuracy"]
    assert seen == [(0, {}), (20, names), (40, names), (50, names)]
