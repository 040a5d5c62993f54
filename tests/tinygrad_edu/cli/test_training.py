"""The commands that train and look at models, run as a person would, in a folder."""

import csv
import json
import re
import signal
import subprocess
import time
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

import nn
from tests.tinygrad_edu.cli.command import COMMAND, ENVIRONMENT, tinygrad_edu
from tinygrad_edu.__main__ import main
from tinygrad_edu.cli.evaluation import evaluate, mistakes_plot
from tinygrad_edu.cli.run import finished, train
from tinygrad_edu.cli.settings import SWEPT, Settings, model_named, parse, prepare

QUICK = ("xor", "--hidden", "4", "--epochs", "3")


def ran(*arguments, cwd):
    run = tinygrad_edu(*arguments, cwd=cwd)
    assert run.returncode == 0, run.stderr
    return run.stdout


def only_run(folder):
    (made,) = (folder / "runs").iterdir()
    return made


def rows(path):
    with path.open() as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_the_same_seed_repeats_a_run_and_another_does_not(tmp_path):
    weights = []
    for seed in (1, 1, 2):
        ran("train", *QUICK, "--seed", seed, cwd=tmp_path)
        (path,) = (tmp_path / "runs").rglob("model.safetensors")
        weights.append(path.read_bytes())
        path.unlink()
    assert weights[0] == weights[1] != weights[2]


def test_training_in_the_plane_draws_the_decision_boundary(tmp_path):
    ran("train", *QUICK, "--activation", "tanh", "--optimizer", "sgd", "-o", "runs", cwd=tmp_path)
    names = {path.name for path in only_run(tmp_path).iterdir()}
    drawn = {"decision_boundary.svg", "confusion.svg", "model.svg", "curves.svg", "report.html"}
    assert drawn <= names


def test_lenet_reads_985_of_1000_digits_it_never_saw(tmp_path):
    output = ran(
        *("train", "digits", "--model", "lenet", "--schedule", "cosine", "--lr", "0.005"),
        *("--augment", "noise:0.1,mixup"),
        cwd=tmp_path,
    )
    (share,) = re.findall(r"(\d+\.\d+)% of 359 held-out", output)
    assert float(share) >= 98.5


def test_everything_at_once_trains(tmp_path):
    ran(
        *("train", "digits", "--model", "lenet", "--samples", "200", "--epochs", "2"),
        *("--augment", "shift,cutout:2,mixup", "--schedule", "onecycle", "--clip", "1"),
        *("--ema", "0.9", "--accumulate", "2", "--label-smoothing", "0.1"),
        *("--optimizer", "sgd", "--momentum", "0.9", "--weight-decay", "0.001"),
        cwd=tmp_path,
    )
    history = rows(only_run(tmp_path) / "metrics.csv")
    assert len(history) == 2
    assert float(history[0]["learning_rate"]) != float(history[1]["learning_rate"])


@pytest.mark.parametrize(
    ("dataset", "score"), [("regression", r"R² 0\.\d+ on"), ("iris", r"% of 30 held-out")]
)
def test_tables_of_numbers_are_learned_too(dataset, score, tmp_path):
    assert re.search(score, ran("train", dataset, "--epochs", 5, cwd=tmp_path))


def test_a_text_is_learned_by_the_gpt_and_written_on(tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat. " * 200)
    ran("train", "tiny_text", "--data", "text.txt", "--epochs", 1, cwd=tmp_path)
    page = (only_run(tmp_path) / "report.html").read_text(encoding="utf-8")
    assert "What it writes" in page
    assert "Where it looks" in page
    ElementTree.parse(only_run(tmp_path) / "attention.svg")


def test_the_report_of_a_convolutional_network_looks_inside_it(tmp_path):
    ran("train", "digits", "--model", "lenet", "--samples", 200, "--epochs", 2, cwd=tmp_path)
    folder = only_run(tmp_path)
    drawn = ("filters", "feature_maps", "gradients", "updates", "activations")
    for name in drawn:
        ElementTree.parse(folder / f"{name}.svg")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "What it looks for" in page
    assert "units were dead" not in page  # no tanh is 0 for every sample


@pytest.mark.parametrize("model", ["feedforward", "lenet"])
def test_recording_changes_neither_weights_nor_scores(tmp_path, model):
    results = []
    for record in (False, True):
        prepared = prepare(Settings("digits", model=model_named(model), samples=200, epochs=2))
        (folder := tmp_path / str(record)).mkdir()
        results.append(train(prepared, folder, Console(quiet=True), record=record))
    plain, recorded = results
    np.testing.assert_equal(recorded.model.state_dict(), plain.model.state_dict())
    assert recorded.scores == plain.scores
    assert plain.recorder is None
    assert len(recorded.recorder.snapshots) > 1


def test_a_killed_run_is_resumed_to_the_very_weights_of_one_that_never_stopped(tmp_path):
    arguments = ("train", "moons", "--hidden", "8", "--epochs", "40", "--patience", "0")
    ran(*arguments, "-o", "whole", cwd=tmp_path)
    process = subprocess.Popen(
        [COMMAND, *arguments, "-o", "runs"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    log = next_log(tmp_path / "runs")
    while len(log.read_text().splitlines()) < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = only_run(tmp_path)
    assert not (folder / "model.safetensors").exists()
    ran("train", "--resume", folder, cwd=tmp_path)
    (whole,) = (tmp_path / "whole").iterdir()
    assert rows(folder / "metrics.csv") == rows(whole / "metrics.csv")
    name = "model.safetensors"
    assert (folder / name).read_bytes() == (whole / name).read_bytes()


def next_log(folder):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = list(folder.glob("*/metrics.csv"))
        if found:
            return found[0]
        time.sleep(0.01)
    raise AssertionError("no run began")


def test_ctrl_c_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(
        [COMMAND, "train", "moons", "--epochs", "100000", "--patience", "0"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = next_log(tmp_path / "runs")
    while len(log.read_text().splitlines()) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"tinygrad-edu train --resume {only_run(tmp_path).relative_to(tmp_path)}" in said
    assert "Traceback" not in said


def test_a_sweep_compares_every_combination(tmp_path):
    output = ran(
        *("sweep", "xor", "optimizer=sgd,adam", "lr=0.1,0.01,0.001", "epochs=2", "hidden=4"),
        cwd=tmp_path,
    )
    folder = only_run(tmp_path)
    with (folder / "results.csv").open() as file:
        header, *body = csv.reader(file)
    assert header[1:] == ["0.1", "0.01", "0.001"]
    assert [row[0] for row in body] == ["sgd", "adam"]
    for i, row in enumerate(body):
        for j, cell in enumerate(row[1:]):
            assert cell in output
            result = json.loads((folder / str(3 * i + j + 1) / "result.json").read_text())
            best = min(result["history"], key=lambda r: r["validation_loss"])
            assert cell == f"{best['validation_accuracy']:.2%}"
    ElementTree.parse(folder / "validation_loss.svg")


def test_a_run_of_a_sweep_is_the_run_alone(tmp_path):
    ran("sweep", "xor", "lr=0.1,0.01", "epochs=3", "hidden=4", cwd=tmp_path)
    swept = only_run(tmp_path) / "2" / "model.safetensors"
    ran("train", *QUICK, "--lr", "0.01", "-o", "alone", cwd=tmp_path)
    (alone,) = (tmp_path / "alone").rglob("model.safetensors")
    assert swept.read_bytes() == alone.read_bytes()


def without_seconds(table):
    return [row[:-1] for row in csv.reader(table.splitlines())]


def test_a_sweep_goes_on_where_it_was_stopped(tmp_path):
    ran("sweep", "xor", "lr=0.1,0.01", "epochs=2", "hidden=4", cwd=tmp_path)
    folder = only_run(tmp_path)
    before = (folder / "results.csv").read_text()
    kept = (folder / "1" / "result.json").stat().st_mtime_ns
    (folder / "2" / "result.json").unlink()
    (folder / "results.csv").unlink()
    output = ran("sweep", "--resume", folder, cwd=tmp_path)
    assert "run 2 of 2" in output
    assert "run 1 of 2" not in output
    assert (folder / "1" / "result.json").stat().st_mtime_ns == kept
    after = (folder / "results.csv").read_text()
    assert without_seconds(after) == without_seconds(before)


def test_a_diverged_run_does_not_end_a_sweep(tmp_path):
    output = ran(
        *("sweep", "xor", "lr=0.1,1e30", "optimizer=sgd", "epochs=2", "hidden=4"), cwd=tmp_path
    )
    assert "diverged" in output
    page = (only_run(tmp_path) / "report.html").read_text(encoding="utf-8")
    assert "What failed" in page
    assert "lr=1e30" in page


def test_eval_counts_what_is_right_and_wrong_class_by_class(tmp_path):
    ran("train", "iris", "--epochs", 5, "--hidden", "8", cwd=tmp_path)
    folder = only_run(tmp_path)
    (folder / "confusion.svg").unlink()
    output = ran("eval", folder, cwd=tmp_path)
    assert "30 held-out samples of iris" in output
    for name in ("setosa", "versicolor", "virginica", "precision", "recall"):
        assert name in output
    ElementTree.parse(folder / "confusion.svg")
    assert "105 train samples" in ran("eval", folder, "--part", "train", cwd=tmp_path)


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Run the command in this process, which starts sooner; returns the exit and the output."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["tinygrad-edu", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", nn.zoo.models())
def test_summary_prints_every_model_of_the_zoo(name, here):
    size = () if name == "gpt" else ("--shape", "1,1,8,8")
    code, output = here("summary", name, *size)
    assert code == 0
    assert "multiply-adds" in output
    assert "total" in output


@pytest.mark.parametrize("command", ["train", "sweep", "eval", "summary"])
def test_every_command_has_help_that_explains_its_options(command, tmp_path):
    assert len(ran(command, "--help", cwd=tmp_path)) > 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train digit", "Did you mean 'digits'? Known: "),
        ("train xor --model lenet", "lenet5 takes images"),
        ("train xor --model lent", "Did you mean 'lenet5'?"),
        ("train digits --model lenet --hidden 3", "lenet5 has no hidden"),
        ("train xor --augment shift", "augmentation changes images"),
        ("train digits --augment shif", "Did you mean 'shift'?"),
        ("train xor --activation rel", "Did you mean 'relu'? Known: celu"),
        ("train xor --optimizer adm", "Did you mean 'adam'?"),
        ("train xor --schedule cosin", "Did you mean 'cosine'?"),
        ("train xor --hidden 3,x", "such as 64,32, not '3,x'"),
        ("train xor --lr -1", "lr must be at least 0"),
        ("train xor --held-out 2", "shares in (0, 1)"),
        ("train xor --held-out 0", "shares in (0, 1)"),
        ("train xor --batch-size 0", "batch_size must be a positive integer"),
        ("train xor --samples 3", "xor has 200 samples"),
        ("train xor --clip -1", "max_norm must be at least 0"),
        ("train xor --ema 2", "decay must be in [0, 1)"),
        ("train xor --accumulate 0", "accumulate must be a positive integer"),
        ("train xor -o file/x", "cannot write to file/x: Not a directory"),
        ("train mnist --data nowhere", "nowhere"),
        ("train --resume nowhere", "nowhere is not the folder of a run"),
        ("train xor --lr 1 --resume nowhere", "leave out dataset, lr"),
        ("sweep xor learningrate=1,2", "unknown setting 'learningrate'"),
        ("sweep xor lr=fast", "lr takes float, not 'fast'"),
        ("sweep xor lr=0.1,0.1", "a value twice"),
        ("sweep xor lr", "such as lr=0.1,0.01, not 'lr'"),
        ("sweep xor model=feedforward,lenet", "lenet5 takes images"),
        ("sweep --resume nowhere", "nowhere is not the folder of a sweep"),
        ("eval nowhere", "nowhere is not the folder of a run"),
        ("summary lenett", "Did you mean 'lenet5'?"),
        ("summary lenet --shape 1,8", "takes images"),
        ("summary models:net", "needs --shape"),
    ],
)
def test_bad_input_is_one_line_that_says_what_would_work(arguments, message, here, tmp_path):
    (tmp_path / "file").touch()
    said, output = here(*arguments.split())
    assert said.startswith("tinygrad-edu: ")
    assert message in said
    assert "epoch" not in output  # found before training
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_checkpoint_that_is_not_whole_is_named(tmp_path):
    ran("train", *QUICK, cwd=tmp_path)
    path = only_run(tmp_path) / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    run = tinygrad_edu("train", "--resume", path.parent, cwd=tmp_path)
    assert run.returncode == 1
    assert "checkpoint.safetensors is not a whole" in run.stderr


@pytest.mark.parametrize("name", SWEPT)
def test_every_setting_survives_json_and_text(name):
    texts = {"hidden": "64+32", "augment": "shift+cutout:2", "model": "lenet", "optimizer": "sgd"}
    text = texts.get(name, {"activation": "tanh", "schedule": "cosine"}.get(name, "1"))
    settings = Settings("xor", **{name: parse(name, text)})
    assert Settings.from_dict(json.loads(json.dumps(settings.as_dict()))) == settings


def test_the_mistakes_that_are_shown_are_those_of_the_model(tmp_path):
    ran("train", "digits", "--samples", 300, "--epochs", 2, cwd=tmp_path)
    _, parts, model = finished(only_run(tmp_path))
    found = evaluate(model, parts.held_out, nn.CrossEntropyLoss(), ["accuracy"])
    logits = nn.training.predict(model, parts.held_out.inputs)
    wrong = (logits.argmax(1) != parts.held_out.targets).sum()
    assert len(mistakes_plot(found).child_axes) == min(wrong, 32)
    assert found.matrix.sum() - np.trace(found.matrix) == wrong
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)
