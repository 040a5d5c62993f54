"""The training loop: its steps and its history against NumPy, and what it refuses."""

import threading

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.data import DataLoader, TensorDataset
from nn.optim import EMA, SGD, Adam, AdamW, Clipping, Lookahead, ReduceLROnPlateau, StepLR
from nn.training import Trainer
from tests.nn.training.runs import (
    assert_same,
    everything,
    model_of_all_sorts,
    trained,
    without_seconds,
    xor_trainer,
)


def squared_error(output, target):
    return ((output - target) ** 2).mean()


def regression(n=23, dtype=np.float64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)).astype(dtype)
    return TensorDataset(x, (x @ [[1.0], [-2.0], [0.5]] + 1).astype(dtype))


def linear(dtype=np.float64):
    nn.manual_seed(0)
    return nn.Linear(3, 1, dtype=dtype)


# What it does.


def test_training_lowers_the_loss_and_learns_xor():
    history = trained(epochs=30).history
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    assert history[-1]["validation_accuracy"] == 1


def test_a_run_with_the_same_seed_repeats_bit_for_bit():
    first, again = trained(seed=5), trained(seed=5)
    assert_same(everything(first), everything(again))
    assert without_seconds(trained(seed=6).history) != without_seconds(first.history)


def test_one_step_of_the_loop_is_the_gradient_step_written_out():
    data = TensorDataset(np.eye(2, dtype=np.float32), np.array([0, 1]))
    model = nn.Sequential(nn.Linear(2, 2))
    weight, bias = model[0].weight.data.copy(), model[0].bias.data.copy()
    Trainer(model, SGD(model.parameters(), lr=0.5)).fit(DataLoader(data), epochs=1)
    logits = data.inputs @ weight.T + bias
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    d = (p - np.eye(2)) / 2  # ∂L/∂logits of the mean cross-entropy
    np.testing.assert_allclose(model[0].weight.data, weight - 0.5 * d.T @ data.inputs, rtol=1e-5)
    np.testing.assert_allclose(model[0].bias.data, bias - 0.5 * d.sum(0), atol=1e-6)


class ByHand:
    """Linear regression by gradient descent, in NumPy."""

    def __init__(self, model):
        self.weight, self.bias = model.weight.data.copy(), model.bias.data.copy()

    def loss(self, x, y):
        return ((x @ self.weight.T + self.bias - y) ** 2).mean()

    def step(self, x, y, lr, max_norm=np.inf):
        error = 2 * (x @ self.weight.T + self.bias - y) / len(x)
        gradients = [error.T @ x, error.sum(0)]
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        scale = min(1, max_norm / (norm + 1e-6))
        self.weight -= lr * scale * gradients[0]
        self.bias -= lr * scale * gradients[1]


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_the_history_is_what_numpy_finds(accumulate):
    model, data, held_out = linear(), regression(23), regression(11)
    by_hand, average, lr, max_norm = ByHand(model), ByHand(model), 0.1, 1.5
    loader = DataLoader(data, 5, shuffle=True, seed=3)  # 5 batches, the last of 3
    optimizer = SGD(model.parameters(), lr=lr)
    schedule = StepLR(optimizer, 2, 0.5)
    options = {"ema": EMA(model, 0.8), "clipping": max_norm, "accumulate": accumulate}
    trainer = Trainer(model, optimizer, squared_error, schedule=schedule, **options)
    history = trainer.fit(loader, DataLoader(held_out, 4), epochs=4)
    for epoch, row in enumerate(history):
        loader.epoch = epoch
        batches, losses = list(loader), []
        for i in range(0, len(batches), accumulate):
            group = batches[i : i + accumulate]
            losses += [by_hand.loss(x, y) for x, y in group]
            by_hand.step(*map(np.concatenate, zip(*group, strict=True)), lr, max_norm)
            average.weight += 0.2 * (by_hand.weight - average.weight)
            average.bias += 0.2 * (by_hand.bias - average.bias)
        assert row["epoch"] == epoch + 1
        assert row["learning_rate"] == lr
        assert row["train_loss"] == pytest.approx(np.average(losses, weights=[5, 5, 5, 5, 3]))
        # Validation looks at the averaged weights.
        validation_loss = average.loss(held_out.inputs, held_out.targets)
        assert row["validation_loss"] == pytest.approx(validation_loss)
        lr *= 0.5 if epoch % 2 else 1
    np.testing.assert_allclose(model.weight.data, by_hand.weight)
    assert trainer.steps == 4 * -(-5 // accumulate)


def test_a_schedule_of_steps_counts_steps_and_not_batches():
    model = linear()
    optimizer = SGD(model.parameters(), lr=1e-3)
    schedule = nn.optim.ExponentialLR(optimizer, 0.5)
    trainer = Trainer(
        model, optimizer, squared_error, schedule=schedule, schedule_per="step", accumulate=2
    )
    rates = [row["learning_rate"] for row in trainer.fit(DataLoader(regression(), 5), epochs=3)]
    assert rates == [1e-3, 1e-3 * 0.5**3, 1e-3 * 0.5**6]  # 5 batches are 3 steps


def test_a_plateau_is_one_of_the_validation_loss():
    model = linear()
    optimizer = SGD(model.parameters(), lr=0.1)
    schedule = ReduceLROnPlateau(optimizer, factor=0.5, patience=0)

    # The validation targets move away as the training targets are met.
    x, y = regression().arrays
    away = TensorDataset(x, -100 * y)
    trainer = Trainer(model, optimizer, squared_error, schedule=schedule)
    history = trainer.fit(DataLoader(regression(), 23), away, epochs=4)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert [row["learning_rate"] for row in history] == [0.1, 0.1, 0.05, 0.025]


@pytest.mark.parametrize("n", [24, 23, 20])  # 20: the last group is of fewer batches
def test_accumulated_batches_make_the_step_of_one_batch_of_them_all(n):
    def weights(batch_size, accumulate):
        model = nn.Sequential(linear(), nn.Tanh(), nn.Linear(1, 1, dtype=np.float64))
        trainer = Trainer(model, AdamW(model.parameters()), squared_error, accumulate=accumulate)
        loader = DataLoader(regression(n), batch_size, shuffle=True)
        return trainer.fit(loader, epochs=3), model.state_dict()

    (history, found), (whole_history, wanted) = weights(2, 4), weights(8, 1)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9)
    for row, whole in zip(history, whole_history, strict=True):
        assert row["train_loss"] == pytest.approx(whole["train_loss"], rel=1e-9)


def test_a_second_fit_goes_on_from_the_first():
    def run(*parts):
        trainer = xor_trainer()
        for epochs in parts:
            trainer.fit(nn.data.xor(64), epochs=epochs)
        return {**everything(trainer), "first_epoch": 1}

    assert_same(run(1, 3), run(4))


def test_a_share_kept_for_validation_is_not_trained_on():
    seen = []

    class Spy(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(1, 2)

        def forward(self, x):
            (seen if self.training else kept).extend(x.data[:, 0].tolist())
            return self.linear(x)

    kept = []
    model = Spy()
    data = TensorDataset(np.arange(40, dtype=np.float32)[:, None], np.arange(40) % 2)
    Trainer(model, SGD(model.parameters(), lr=0.0)).fit(data, 0.25, epochs=2)
    assert (len(set(seen)), len(set(kept))) == (30, 10)
    assert sorted({*seen} | {*kept}) == list(range(40))


# What it takes.


def test_a_model_may_have_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            self.a, self.b = nn.Linear(2, 2), nn.Linear(3, 2)

        def forward(self, a, b):
            return self.a(a) + self.b(b)

    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(32, k)).astype(np.float32) for k in (2, 3))
    data = TensorDataset(a, b, (a[:, 0] + b[:, 1] > 0).astype(int))
    model = Two()
    history = Trainer(model, Adam(model.parameters(), lr=0.1)).fit(data, 0.25, epochs=10)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_inputs_may_be_integers():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    x = np.random.default_rng(0).integers(0, 5, (40, 2))
    data = TensorDataset(x, (x[:, 0] > x[:, 1]).astype(int))
    history = Trainer(model, Adam(model.parameters(), lr=0.1)).fit(data, epochs=20)
    assert history[-1]["train_loss"] < 0.3 * history[0]["train_loss"]


def test_a_language_model_learns_what_comes_next(tmp_path):
    x = np.tile(np.arange(8) % 3, (16, 1))
    data = TensorDataset(x[:, :-1], x[:, 1:])
    nn.manual_seed(0)
    model = nn.zoo.GPT(3, 8, n_layer=1, n_head=2, n_embd=8, dropout=0.1)

    def loss(logits, targets):
        return tg.cross_entropy(logits.reshape((-1, 3)), targets.reshape(-1))

    keep = nn.training.Checkpoint(tmp_path / "gpt.safetensors")
    trainer = Trainer(model, AdamW(model.parameters(), lr=0.02), loss, metrics=[], callbacks=[keep])
    history = trainer.fit(data, 0.25, epochs=15)
    assert history[-1]["validation_loss"] < 0.1 * np.log(3)


def test_samples_of_several_lengths_are_trained_on_with_a_collate_of_ones_own(tmp_path):
    class Ragged(nn.data.Dataset):
        name = "ragged"

        def __len__(self):
            return 12

        def __getitem__(self, i):
            return np.ones(1 + i % 3, np.float32), i % 2

    def padded(samples):
        x = np.zeros((len(samples), 3), np.float32)
        for row, (values, _) in zip(x, samples, strict=True):
            row[: len(values)] = values
        return x, np.array([y for _, y in samples])

    def run(epochs, resume=None):
        nn.manual_seed(0)
        model = nn.Linear(3, 2)
        keep = nn.training.Checkpoint(tmp_path / "run.safetensors")
        trainer = Trainer(model, SGD(model.parameters()), callbacks=[keep])
        trainer.fit(DataLoader(Ragged(), 4, collate=padded), 0.25, epochs, resume)
        return everything(trainer)

    whole = run(3)
    run(1)
    assert_same(run(3, tmp_path / "run.safetensors"), whole)


def test_a_schedule_may_be_of_the_optimizer_that_lookahead_wraps():
    model = nn.Linear(2, 2)
    inner = SGD(model.parameters(), lr=0.5)
    trainer = Trainer(model, Lookahead(inner), schedule=StepLR(inner, 1, 0.5))
    history = trainer.fit(nn.data.xor(32), epochs=2)
    assert [row["learning_rate"] for row in history] == [0.5, 0.25]


# What it refuses.


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True, "3", None, np.nan])
def test_a_number_of_epochs_that_is_none_is_refused(epochs):
    with pytest.raises(nn.ConfigurationError, match="epochs must be a positive integer"):
        trained(epochs=epochs)


@pytest.mark.parametrize("accumulate", [0, -1, 1.5, True, None])
def test_a_number_of_batches_that_is_none_is_refused(accumulate):
    with pytest.raises(nn.ConfigurationError, match="accumulate must be a positive integer"):
        xor_trainer(accumulate=accumulate)


@pytest.mark.parametrize("share", [0, 1, 0.0, 1.0, -0.1, 1.1, np.nan, np.inf, True, False])
def test_a_share_that_is_none_is_refused(share):
    trainer = xor_trainer()
    with pytest.raises(nn.ConfigurationError, match=r"must be in \(0, 1\)"):
        trainer.fit(nn.data.xor(32), share)
    assert trainer.steps == 0


def test_a_share_may_be_a_numpy_number():
    assert "validation_loss" in xor_trainer().fit(nn.data.xor(32), np.float32(0.25), 1)[0]


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_a_share_that_leaves_nothing_is_refused(share):
    with pytest.raises(nn.ConfigurationError, match="leaves a part empty"):
        xor_trainer().fit(nn.data.xor(32), share)


@pytest.mark.parametrize("data", [(np.ones((2, 2)), np.ones(2)), np.ones((2, 2)), "xor", None])
def test_what_is_no_data_set_is_refused_before_training(data):
    trainer = xor_trainer()
    with pytest.raises(nn.ConfigurationError, match="Dataset"):
        trainer.fit(data)
    if data is not None:
        with pytest.raises(nn.ConfigurationError, match="Dataset"):
            trainer.fit(nn.data.xor(32), data)
    assert trainer.steps == 0


def test_a_data_set_without_samples_is_refused():
    empty = TensorDataset(np.zeros((0, 2), np.float32), np.zeros(0, int))
    for train, validation in ((empty, None), (nn.data.xor(32), empty)):
        with pytest.raises(nn.ConfigurationError, match="0 samples gives no batch"):
            xor_trainer().fit(train, validation)


def test_an_optimizer_of_another_model_is_refused():
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    with pytest.raises(nn.ConfigurationError, match="none of the optimizer's parameters"):
        Trainer(model, SGD(other.parameters()))
    with pytest.raises(nn.ConfigurationError, match="none of the optimizer's parameters"):
        Trainer(nn.ReLU(), SGD(other.parameters()))  # which has none at all


def test_a_part_of_the_model_or_more_than_it_may_be_optimized():
    model, temperature = nn.Linear(2, 2), nn.Parameter(1.0)
    Trainer(model, SGD([model.bias]))
    loss = lambda logits, y: tg.cross_entropy(logits / temperature, y)
    Trainer(model, SGD([*model.parameters(), temperature]), loss).fit(nn.data.xor(32), epochs=1)
    assert temperature.data != 1


def test_a_schedule_or_an_average_of_another_is_refused():
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    optimizer = SGD(model.parameters())
    with pytest.raises(nn.ConfigurationError, match="of another optimizer"):
        Trainer(model, optimizer, schedule=StepLR(SGD(model.parameters()), 1))
    with pytest.raises(nn.ConfigurationError, match="averages another model"):
        Trainer(model, optimizer, ema=EMA(other))
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'step'"):
        Trainer(model, optimizer, schedule_per="steps")
    with pytest.raises(nn.ConfigurationError, match="leave schedule_per at 'epoch'"):
        Trainer(model, optimizer, schedule=ReduceLROnPlateau(optimizer), schedule_per="step")


@pytest.mark.parametrize("clipping", [True, False, "1", [1.0]])
def test_a_clipping_that_is_none_is_refused(clipping):
    with pytest.raises(nn.ConfigurationError, match="clipping is a Clipping or the largest norm"):
        xor_trainer(clipping=clipping)


@pytest.mark.parametrize("clipping", [1, 1.0, np.float32(1), Clipping(1.0)])
def test_a_clipping_is_a_number_or_one(clipping):
    trainer = xor_trainer(clipping=clipping)
    trainer.fit(nn.data.xor(32), epochs=1)
    assert max(trainer.clipping.after) <= 1


@pytest.mark.parametrize("loss", [tg.cross_entropy, squared_error])
def test_a_target_of_another_length_than_the_output_is_refused(loss):
    class Short(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(2, 2)

        def forward(self, x):
            return self.linear(x)[1:]

    model = Short()
    with pytest.raises(tg.ShapeError):
        Trainer(model, SGD(model.parameters()), loss).fit(nn.data.xor(32))


def test_a_loader_s_thread_ends_with_the_training_that_failed():
    class Fail(nn.training.Callback):
        def on_step(self, trainer):
            raise nn.TrainingError("enough")

    before = threading.active_count()
    model = model_of_all_sorts()
    trainer = Trainer(model, SGD(model.parameters()), callbacks=[Fail()])
    with pytest.raises(nn.TrainingError, match="enough"):
        trainer.fit(DataLoader(nn.data.xor(64), 8, prefetch=2))
    assert threading.active_count() == before
