"""The history in files, and the progress bar."""

import csv
import io
import json
import os

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.optim import SGD
from nn.training import Callback, Checkpoint, CSVLogger, JSONLinesLogger, ProgressBar, Trainer
from tests.nn.training.runs import trained


def rows_of(path):
    with path.open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_logs_hold_the_history(tmp_path):
    logs = [CSVLogger(tmp_path / "log.csv"), JSONLinesLogger(tmp_path / "log.jsonl")]
    history = trained(callbacks=logs).history
    assert rows_of(tmp_path / "log.csv") == lines_of(tmp_path / "log.jsonl") == history


def test_the_logs_are_there_while_training_goes_on(tmp_path):
    seen = []

    class Look(Callback):
        def on_epoch_over(self, trainer):
            seen.append((len(rows_of(tmp_path / "log.csv")), len(lines_of(tmp_path / "log.jsonl"))))

    logs = [CSVLogger(tmp_path / "log.csv"), JSONLinesLogger(tmp_path / "log.jsonl")]
    trained(callbacks=[*logs, Look()])
    assert seen == [(1, 1), (2, 2), (3, 3)]


def test_the_logs_of_a_resumed_run_hold_every_epoch_once(tmp_path):
    def run(epochs, resume=None):
        logs = [CSVLogger(tmp_path / "log.csv"), JSONLinesLogger(tmp_path / "log.jsonl")]
        keep = Checkpoint(tmp_path / "run.safetensors", every=2)
        return trained(epochs, [*logs, keep], resume=resume)

    run(3)
    (tmp_path / "log.csv").write_text("spoilt")
    history = run(5, resume=tmp_path / "run.safetensors").history
    assert [row["epoch"] for row in history] == [1, 2, 3, 4, 5]
    assert rows_of(tmp_path / "log.csv") == lines_of(tmp_path / "log.jsonl") == history


def test_what_other_callbacks_add_to_a_row_is_in_the_logs(tmp_path):
    class Add(Callback):
        def on_epoch_end(self, trainer, row):
            row[f"norm_{min(2, int(row['epoch']))}"] = 0.5

    logs = [CSVLogger(tmp_path / "log.csv"), JSONLinesLogger(tmp_path / "log.jsonl")]
    history = trained(callbacks=[*logs, Add()]).history
    assert lines_of(tmp_path / "log.jsonl") == history
    with (tmp_path / "log.csv").open() as file:
        table = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    assert table == history  # every number below its own name, though epoch 2 brings a new one


def test_a_second_fit_with_other_columns_is_logged_whole(tmp_path):
    model = nn.Linear(2, 2)
    log = CSVLogger(tmp_path / "log.csv")
    trainer = Trainer(model, SGD(model.parameters()), callbacks=[log])
    trainer.fit(nn.data.xor(32), epochs=2)
    history = trainer.fit(nn.data.xor(32), 0.5, epochs=1)
    with (tmp_path / "log.csv").open() as file:
        table = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    assert table == history


def test_what_is_not_finite_is_null_in_json(tmp_path):
    class Spoil(Callback):
        def on_epoch_end(self, trainer, row):
            row |= {"a": np.nan, "b": np.inf}

    trained(1, [Spoil(), JSONLinesLogger(tmp_path / "log.jsonl")])
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    row = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (row["a"], row["b"]) == (None, None)


@pytest.mark.parametrize("numbers", [np.float32, np.float64, np.int64])
def test_a_metric_may_be_a_numpy_number(numbers, tmp_path):
    class Two(nn.training.Metric):
        name, larger_is_better = "two", True
        reset = update = lambda self, *batch: None

        def compute(self):
            return numbers(2)

    logs = [CSVLogger(tmp_path / "log.csv"), JSONLinesLogger(tmp_path / "log.jsonl")]
    trained(1, logs, metrics=[Two()])
    assert rows_of(tmp_path / "log.csv")[0]["train_two"] == 2
    assert lines_of(tmp_path / "log.jsonl")[0]["validation_two"] == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
@pytest.mark.parametrize("log", [CSVLogger, JSONLinesLogger])
def test_a_full_disk_is_told_of(log):
    with pytest.raises(tg.OutputError, match="cannot write /dev/full: No space"):
        trained(callbacks=[log("/dev/full")])


# The progress bar.


def bar(callbacks=(), **options):
    from rich.console import Console

    console = Console(record=True, force_terminal=True, width=120, file=io.StringIO())
    trained(callbacks=[ProgressBar(console), *callbacks], **options)
    return console.export_text()


def test_the_progress_bar_shows_loss_accuracy_and_speed():
    last = bar().splitlines()[-1]
    for word in ("3/3", "loss", "accuracy", "samples/s"):
        assert word in last


def test_the_bar_of_a_resumed_run_starts_where_it_had_come_to(tmp_path):
    started = []

    class Look(Callback):
        def on_step(self, trainer):
            (task,) = trainer.callbacks[0]._progress.tasks
            started.append((task.completed, task.total))

    def run(epochs, resume=None):
        return bar([Look(), Checkpoint(tmp_path / "run.safetensors")], epochs=epochs, resume=resume)

    run(2)
    started.clear()
    text = run(5, tmp_path / "run.safetensors")
    assert started[0][1] == 5
    assert 2 < started[0][0] < 2.5  # a batch into the third epoch
    assert "5/5" in text.splitlines()[-1]


def test_the_bar_of_a_run_that_is_stopped_early_is_full():
    class Stop(Callback):
        def on_epoch_end(self, trainer, row):
            trainer.stop = row["epoch"] == 2

    assert "2/2" in bar([Stop()], epochs=9).splitlines()[-1]


def test_the_bar_of_a_run_that_fails_stays_where_it_was():
    from rich.console import Console

    class Fail(Callback):
        def on_epoch_end(self, trainer, row):
            raise nn.TrainingError("enough")

    console = Console(record=True, force_terminal=True, width=120, file=io.StringIO())
    with pytest.raises(nn.TrainingError, match="enough"):
        trained(callbacks=[ProgressBar(console), Fail()])
    assert "1/3" in console.export_text().splitlines()[-1]


def test_a_second_fit_draws_one_bar():
    from rich.console import Console

    console = Console(record=True, force_terminal=True, width=120, file=io.StringIO())
    model = nn.Linear(2, 2)
    trainer = Trainer(model, SGD(model.parameters()), callbacks=[ProgressBar(console)])
    trainer.fit(nn.data.xor(32), epochs=2)
    console.export_text()
    trainer.fit(nn.data.xor(32), epochs=1)
    text = console.export_text()
    assert "3/3" in text
    assert "2/2" not in text
