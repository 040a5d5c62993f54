"""The training loop, its callbacks, and weights on disk."""

import csv
import io

import numpy as np
import pytest

import nn
from nn.training import CSVLogger, EarlyStopping, Trainer


def trained(epochs=3, callbacks=(), seed=0, lr=0.01):
    nn.manual_seed(seed)
    train, validation = nn.data.random_split(nn.data.xor(120), [0.75, 0.25])
    model = nn.zoo.feedforward([2, 8, 2], activation="tanh", dropout=0.1)
    trainer = Trainer(model, nn.optim.Adam(model.parameters(), lr=lr), callbacks=callbacks)
    trainer.fit(nn.data.DataLoader(train, 16, shuffle=True), nn.data.DataLoader(validation), epochs)
    return trainer


def without_time(history):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_training_lowers_the_loss_and_learns_xor():
    history = trained(epochs=30).history
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    assert history[-1]["validation_accuracy"] == 1


def test_a_run_with_the_same_seed_repeats_bit_for_bit():
    first, again = trained(seed=5), trained(seed=5)
    assert without_time(first.history) == without_time(again.history)
    for a, b in zip(first.model.parameters(), again.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert without_time(trained(seed=6).history) != without_time(first.history)


def test_one_step_of_the_loop_is_the_gradient_step_written_out():
    data = nn.data.TensorDataset(np.eye(2, dtype=np.float32), np.array([0, 1]))
    model = nn.Sequential(nn.Linear(2, 2))
    weight, bias = model[0].weight.data.copy(), model[0].bias.data.copy()
    Trainer(model, nn.optim.SGD(model.parameters(), lr=0.5)).fit(nn.data.DataLoader(data), epochs=1)
    logits = data.inputs @ weight.T + bias
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    d = (p - np.eye(2)) / 2  # ∂L/∂logits of the mean cross-entropy
    np.testing.assert_allclose(model[0].weight.data, weight - 0.5 * d.T @ data.inputs, rtol=1e-5)
    np.testing.assert_allclose(model[0].bias.data, bias - 0.5 * d.sum(0), atol=1e-6)


def test_the_metrics_of_a_row_are_those_of_the_model():
    trainer = trained(epochs=2)
    _, validation = nn.data.random_split(nn.data.xor(120), [0.75, 0.25])
    logits = trainer.model.eval()(validation.inputs).data.astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = -log_p[np.arange(len(logits)), validation.targets].mean()
    row = trainer.history[-1]
    assert row["validation_loss"] == pytest.approx(loss, rel=1e-5)
    share = (logits.argmax(1) == validation.targets).mean()
    assert row["validation_accuracy"] == pytest.approx(share)


def test_early_stopping_stops_and_gives_the_best_weights_back():
    class Spoiler(nn.training.Callback):
        def on_epoch_end(self, trainer, row):
            row["validation_loss"] = abs(row["epoch"] - 3)  # best at epoch 3
            if row["epoch"] == 3:
                self.best = trainer.model.state_dict()

    spoiler, stopping = Spoiler(), EarlyStopping(patience=2)
    trainer = trained(epochs=20, callbacks=[spoiler, stopping])
    assert (len(trainer.history), stopping.best_epoch) == (5, 3)
    for name, data in trainer.model.state_dict().items():
        np.testing.assert_array_equal(data, spoiler.best[name])


def test_early_stopping_says_which_metrics_there_are():
    with pytest.raises(nn.ConfigurationError, match=r"'validation_f1'.*train_loss"):
        trained(callbacks=[EarlyStopping(monitor="validation_f1")])


def test_the_csv_log_holds_the_history(tmp_path):
    trainer = trained(callbacks=[CSVLogger(tmp_path / "metrics.csv")])
    with (tmp_path / "metrics.csv").open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    assert rows == trainer.history


def test_a_folder_that_does_not_exist_is_found_before_training(tmp_path):
    with pytest.raises(FileNotFoundError):
        trained(callbacks=[CSVLogger(tmp_path / "missing" / "metrics.csv")])


def test_a_loss_that_is_no_number_stops_training():
    model = nn.zoo.feedforward([2, 2])
    model[0].weight.data[0, 0] = np.nan
    trainer = Trainer(model, nn.optim.SGD(model.parameters()))
    before = model[0].bias.data.copy()
    with pytest.raises(nn.TrainingError, match="the loss is nan after 0 samples of epoch 1"):
        trainer.fit(nn.data.DataLoader(nn.data.xor()))
    np.testing.assert_array_equal(model[0].bias.data, before)


@pytest.mark.parametrize("epochs", [0, -1, 1.5])
def test_a_number_of_epochs_that_is_none_is_refused(epochs):
    with pytest.raises(nn.ConfigurationError, match="epochs"):
        trained(epochs=epochs)


def test_evaluate_leaves_the_mode_as_it_was():
    model = nn.zoo.feedforward([2, 2], dropout=0.5)
    nn.training.evaluate(model, nn.data.DataLoader(nn.data.xor()))
    assert all(m.training for _, m in model.named_modules())


@pytest.mark.parametrize("make", [lambda: nn.zoo.feedforward([2, 3, 2]), lambda: nn.MLP(2, [3, 1])])
def test_weights_on_disk_come_back_exactly(make, tmp_path):
    model, other = make(), make()
    nn.training.load_weights(other, nn.training.save_weights(model, tmp_path / "m.safetensors"))
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize("keep", [0, 7, 40])
def test_a_truncated_or_foreign_file_is_refused_and_nothing_is_loaded(keep, tmp_path):
    model = nn.zoo.feedforward([2, 3, 2])
    path = nn.training.save_weights(model, tmp_path / "m.safetensors")
    path.write_bytes(path.read_bytes()[:keep])
    before = model.state_dict()
    with pytest.raises(nn.CheckpointError, match=r"m\.safetensors is not a whole"):
        nn.training.load_weights(model, path)
    np.testing.assert_array_equal(model.state_dict()["linear1.weight"], before["linear1.weight"])


def test_weights_of_another_model_are_refused(tmp_path):
    path = nn.training.save_weights(nn.zoo.feedforward([2, 3, 2]), tmp_path / "m.safetensors")
    with pytest.raises(nn.StateDictError, match=r"linear1\.weight"):
        nn.training.load_weights(nn.zoo.feedforward([2, 4, 2]), path)


def test_the_progress_bar_shows_loss_accuracy_and_speed():
    from rich.console import Console

    console = Console(record=True, force_terminal=True, width=120, file=io.StringIO())
    trained(callbacks=[nn.training.ProgressBar(console)])
    text = console.export_text()
    for word in ("3/3", "loss", "accuracy", "samples/s"):
        assert word in text
