"""The command line's experiments: each prints the table of its function."""

import subprocess
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

import nn
from nn.experiments.samples import rows
from tests.tinygrad_edu.cli.command import COMMAND
from tinygrad_edu.cli import lab

SMALL = "--epochs 1 --samples 64 --held-out 40"

# A short run of each command, and the function's result that it should print.
RUNS = {
    "activations --activations tanh,relu --hidden 4 --seed 1": lambda: (
        nn.experiments.swap_activations(["tanh", "relu"], hidden=[4], seed=1)
    ),
    "running-statistics --samples 64 --lr 0.01": lambda: nn.experiments.running_statistics(
        samples=64, lr=0.01
    ),
    "clipping --max-norm 0.7 --epochs 1 --hidden 8 --samples 64 --lr 0.2": lambda: (
        nn.experiments.clipping(0.7, epochs=1, hidden=[8], samples=64, lr=0.2)
    ),
    f"weight-decay --decays 0,0.5 --hidden 8 --lr 0.01 {SMALL}": lambda: (
        nn.experiments.weight_decay(
            (0.0, 0.5), epochs=1, hidden=[8], lr=0.01, samples=64, held_out=40
        )
    ),
    f"squeeze-excite {SMALL} --seed 2": lambda: nn.experiments.without_squeeze_excite(
        epochs=1, samples=64, held_out=40, seed=2
    ),
    f"optimizers --optimizers sgd,lion --lrs 1e-3,0.1 --hidden 8 {SMALL}": lambda: (
        nn.experiments.optimizers_by_learning_rate(
            ["sgd", "lion"], [1e-3, 0.1], epochs=1, hidden=[8], samples=64, held_out=40
        )
    ),
}


def run(*arguments, cwd):
    return subprocess.run(
        [COMMAND, "lab", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("command", RUNS)
def test_a_command_prints_what_its_function_finds_with_the_same_options(command):
    result = CliRunner().invoke(lab.app, command.split())
    assert result.exit_code == 0, result.exception
    assert result.stdout == f"{RUNS[command]()}\n"


def test_neurons_prints_those_of_a_network_of_tensors_at_the_sample(tmp_path):
    result = run("neurons", "--sample", "7", "--hidden", "3", "--seed", "4", cwd=tmp_path)
    model = nn.zoo.feedforward([64, 3, 10], "tanh", rng=np.random.default_rng(4))
    assert result.stdout == f"{nn.experiments.neurons(model, *rows('digits')[7])}\n"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("tiers --sizes 2,3,1 --samples 5 --rounds 1", ["MLP 2-3-1, 5 samples", "13 gradients"]),
        ("zoo --models lenet5 --samples 32 --held-out 20", ["lenet5", "on 20 held-out ones"]),
        (
            "skip --removed layer4.1 --epochs 1 --samples 8 --held-out 10",
            ["all skips", "without that of layer4.1"],
        ),
    ],
)
def test_commands_with_times_or_large_models_print_their_tables(command, words):
    result = CliRunner().invoke(lab.app, command.split())
    assert result.exit_code == 0, result.exception
    assert all(word in result.stdout for word in words)


COMMANDS = (
    "neurons",
    "activations",
    "tiers",
    "running-statistics",
    "clipping",
    "weight-decay",
    "skip",
    "squeeze-excite",
    "zoo",
    "optimizers",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_explains_its_options(command):
    result = CliRunner().invoke(lab.app, [command, "--help"])
    assert result.exit_code == 0
    assert "--seed" in result.stdout
    assert len(result.stdout) > 600


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("skip --removed layer9", "unknown block with a skip connection 'layer9'"),
        ("zoo --models lenet5,resnet", "Did you mean 'resnet18'"),
        ("optimizers --lrs 0.1,fast", "expected numbers such as 0.1,1e-3, not '0.1,fast'"),
        ("activations --hidden 8,-1", "expected positive integers such as 64,32, not '8,-1'"),
        ("neurons --sample 5000", "samples 0 to 1796"),
    ],
)
def test_bad_input_is_an_error_that_says_what_would_work(command, message):
    result = CliRunner().invoke(lab.app, command.split())
    assert result.exit_code == 1
    assert message in str(result.exception)


def test_the_command_line_says_an_error_in_one_line(tmp_path):
    result = run("zoo", "--models", "gpt", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("tinygrad-edu: gpt reads tokens")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [c for c in RUNS if not c.startswith("optimizers")])
def test_what_is_a_curve_or_a_histogram_can_be_drawn(command, tmp_path):
    path = tmp_path / "a.svg"
    result = CliRunner().invoke(lab.app, [*command.split(), "--out", str(path)])
    assert f"drawn in {path}" in result.stdout
    assert ElementTree.parse(path).getroot().tag.endswith("svg")
