"""The command line, run as a person would: as a command, in a folder, looking at its files."""

import csv
import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from safetensors.numpy import load_file

import nn
from tests.tinygrad_edu.cli.command import tinygrad_edu
from tinygrad_edu.cli import scalar

SVG = "{http://www.w3.org/2000/svg}"


def words(svg):
    """The text in an SVG file, which has to be well-formed XML."""
    root = ElementTree.parse(svg).getroot()
    assert root.tag == f"{SVG}svg"
    return [text.text.strip() for text in root.iter(f"{SVG}text")]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's output and the folder it wrote."""
    folder = tmp_path_factory.mktemp("demo")
    run = tinygrad_edu("demo", cwd=folder)
    assert run.returncode == 0, run.stderr
    (made,) = (folder / "runs").iterdir()
    return run.stdout, made


def test_the_demo_reads_at_least_97_percent_of_held_out_digits(demo):
    shares = re.findall(r"(\d+\.\d+)% of 359 held-out samples right", demo[0])
    assert float(shares[0]) >= 97


def test_the_demo_writes_the_files_it_names_and_says_what_to_try_next(demo):
    output, folder = demo
    names = {
        "activations.svg",
        "backprop.html",
        "batch.svg",
        "checkpoint.safetensors",
        "confusion.svg",
        "curves.svg",
        "dead_units.svg",
        "decision_boundary.svg",
        "gradients.svg",
        "metrics.csv",
        "mistakes.svg",
        "model.safetensors",
        "model.svg",
        "neuron.svg",
        "neurons.svg",
        "report.html",
        "updates.svg",
    }
    assert {path.name for path in folder.iterdir()} == names
    for name in [*names, "tinygrad-edu draw", "tinygrad-edu neurons", "tinygrad-edu train"]:
        assert name in output


def test_the_demos_metrics_are_of_a_network_that_learned(demo):
    with (demo[1] / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(1, len(rows) + 1))
    assert float(rows[-1]["train_loss"]) < 0.2 * float(rows[0]["train_loss"])
    assert max(float(row["validation_accuracy"]) for row in rows) > 0.95


def test_the_demos_weights_are_those_of_its_model_and_read_digits(demo):
    path = demo[1] / "model.safetensors"
    assert set(load_file(path)) == {f"linear{i}.{p}" for i in (1, 2, 3) for p in ("weight", "bias")}
    model = nn.zoo.feedforward([(1, 8, 8), 128, 64, 10], dropout=0.2)
    nn.training.load_weights(model, path)
    assert nn.training.evaluate(model, nn.data.digits())["accuracy"] > 0.97


def test_the_demos_neuron_shows_its_parts_with_data_and_gradients(demo):
    shown = words(demo[1] / "neuron.svg")
    assert {"w0", "w1", "x0", "x1", "b", "z", "a"} <= set(shown)
    assert shown.count("data") == shown.count("grad") == 10  # 5 leaves, 2 products, 2 sums, tanh


def test_the_demos_model_shows_every_module_and_parameter_with_its_gradient(demo):
    shown = words(demo[1] / "model.svg")
    modules = {"flatten", "linear1", "relu1", "linear2", "relu2", "linear3"}
    assert modules | {"loss", "x"} <= set(shown)
    assert shown.count("weight") == shown.count("bias") == 3
    # Three of linear and bias and weight, two relu, x, flattened, and the loss.
    assert shown.count("‖grad‖") == 3 * 3 + 2 + 2 + 1


def test_the_demos_report_holds_every_picture_and_loads_nothing(demo):
    page = (demo[1] / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/svg+xml;base64,") == 12
    assert set(re.findall(r"(?:src|href)=.(\w+:)", page)) == {"data:"}
    assert "http:" not in page
    assert "https:" not in page
    assert "held-out accuracy" in page
    assert re.findall(r'href="(.*?)"', page) == ["backprop.html"]


def test_the_demos_page_steps_through_the_loss_and_shows_the_recorded_training(demo):
    page = (demo[1] / "backprop.html").read_text(encoding="utf-8")
    assert "<title>Backpropagation through Sequential</title>" in page
    assert '"steps":[1,' in page


def test_draw_writes_the_picture_and_prints_the_gradients(tmp_path):
    run = tinygrad_edu("draw", "tanh(w*x + b)", "w=0.5", "x=2", "b=-1", "-o", "n.svg", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "tanh(w*x + b) = 0" in run.stdout
    assert "∂/∂w = 2" in run.stdout  # x (1 - tanh² 0)
    assert {"w", "x", "b", "tanh"} <= set(words(tmp_path / "n.svg")) | {"tanh"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--formulas", "-o", "n.dot"), "1 - y² = 1"),
        (("--theme", "dark", "-o", "n.dot"), 'bgcolor="#0d1117"'),
        (("-o", "n.html"), "<title>tanh(w*x)</title>"),
    ],
)
def test_draw_writes_formulas_themes_and_pages(options, expected, tmp_path):
    run = tinygrad_edu("draw", "tanh(w*x)", "w=0", "x=2", *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert expected in (tmp_path / options[-1]).read_text(encoding="utf-8")


def test_draw_refuses_an_unknown_theme_before_it_writes(tmp_path):
    run = tinygrad_edu("draw", "w*x", "w=0", "x=2", "--theme", "blue", cwd=tmp_path)
    assert "unknown theme 'blue'. Known: dark, light" in run.stderr
    assert not list(tmp_path.iterdir())


def test_neurons_draws_them(tmp_path):
    run = tinygrad_edu("neurons", "--hidden", "3", "--draw", "n.svg", cwd=tmp_path)
    assert "drawn in n.svg" in run.stdout
    shown = words(tmp_path / "n.svg")
    assert {"inputs", "tanh", "linear", "x0", "x1"} <= set(shown)


def test_neurons_prints_every_neuron_with_the_gradients_of_the_chain_rule(tmp_path):
    run = tinygrad_edu("neurons", "--activation", "tanh", cwd=tmp_path)
    row = r"(layers\.\d\.neurons\.\d)\s+(\w+)" + r"\s+([+-]\d+\.\d+)" * 4
    rows = re.findall(row, run.stdout)
    assert len(rows) == 9  # 4 + 4 + 1
    for _, activation, z, a, dz, da in rows:
        slope = 1 - float(a) ** 2 if activation == "tanh" else 1
        assert float(dz) == pytest.approx(slope * float(da), abs=2e-5)
        assert activation == "tanh" or z == a


def test_the_logistic_loss_is_log_one_plus_exp_of_minus_the_score():
    score = scalar.Value(-3.0)
    loss = scalar.logistic_loss([score], [1])
    loss.backward()
    assert loss.data == pytest.approx(3.048587351573742)  # log(1 + e³)
    assert score.grad == pytest.approx(-0.9525741268224334)  # -1 / (1 + e⁻³)


@pytest.mark.parametrize("command", ["demo", "draw", "neurons"])
def test_every_command_has_help_that_explains_its_options(command, tmp_path):
    run = tinygrad_edu(command, "--help", cwd=tmp_path)
    assert run.returncode == 0
    assert "--out" in run.stdout or command == "neurons"
    assert len(run.stdout) > 600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("demo -o file", "cannot write to file"),
        ("draw x//2 x=1", "is not arithmetic"),
        ("draw x x=1 -o a.pdf", "Known: .dot, .png, .svg"),
        ("draw x x=1 -o nowhere/a.svg", "there is no folder nowhere"),
        ("neurons digits", "Known: blobs, moons, xor"),
        ("neurons --sample 99", "samples 0 to 59"),
    ],
)
def test_bad_input_is_one_line_that_says_what_would_work(arguments, message, tmp_path):
    (tmp_path / "file").touch()
    run = tinygrad_edu(*arguments.split(), cwd=tmp_path)
    assert run.returncode == 1
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert "epoch" not in run.stdout  # found before training
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_option_out_of_its_range_is_named(tmp_path):
    run = tinygrad_edu("demo", "--epochs", "0", cwd=tmp_path)
    assert run.returncode == 2
    assert "--epochs" in run.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_the_command_says_what_to_install(tmp_path):
    hide_typer = (
        "import sys; sys.modules['typer'] = None; import tinygrad_edu.__main__ as m; m.main()"
    )
    run = subprocess.run(
        [sys.executable, "-c", hide_typer], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 1
    assert "pip install 'tinygrad-edu[train]'" in run.stderr
