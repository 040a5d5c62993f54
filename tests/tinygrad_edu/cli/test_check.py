"""The commands check and isolate, run as a person would on a file of their own."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from tests.tinygrad_edu.cli.command import COMMAND

MINE = """
import numpy as np
import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value

cube = tg.elementwise("cube", "c", lambda x: x**3, lambda x: x**3, lambda g, y, x: g * 3 * x * x)
halved = tg.elementwise("halved", "h", lambda x: x**3, lambda x: x**3, lambda g, y, x: g * x * x)

class Gate(nn.Module):
    def __init__(self, features=3):
        self.w = nn.Parameter(np.ones(features, np.float32))
        self.b = nn.Parameter(np.ones(features, np.float32))

    def forward(self, x):
        return x * (x * self.w + self.b).sigmoid()

class Detached(Gate):
    def forward(self, x):
        return x * (x * self.w + self.b.detach()).sigmoid()

class Sized(nn.Module):
    def __init__(self, n_in, n_out):
        pass

def model():
    return nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Tanh(), Detached()), nn.Linear(3, 2))

def network():
    return nn.zoo.feedforward([3, 8, 2])

def scalars():
    return nn.MLP(2, [2, 1])

def batch():
    return np.ones((8, 3), np.float32) * np.arange(8, dtype=np.float32)[:, None], np.arange(8) % 2

def product(a: Value, b: Value):
    return (a * b).tanh()

def squares(a, b):
    return halved(a @ b)

def typed(x: Tensor):
    return x * 2

number = 3
"""


@pytest.fixture
def run(tmp_path):
    """The command in a folder with the file mine.py."""
    (tmp_path / "mine.py").write_text(MINE)

    def run(arguments):
        return subprocess.run(
            [COMMAND, *arguments.split()], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    run.folder = tmp_path
    return run


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("mine:cube", r"cube keeps all \d+ laws of an op, in \d+ calls"),
        ("mine:Gate --shape 4,3 --order 2", r"Gate keeps all 15 laws; \d+ derivatives compared"),
        ("mine:network --shape 4,3", r"network keeps all 15 laws"),
        ("mine:scalars --shape 2", r"scalars keeps all 15 laws; 11 derivatives compared"),
        ("mine:product", r"product has the gradient .* 2 derivatives compared"),
        ("mine:typed --shape 3,2 --seed 5", r"typed has the gradient .* 6 derivatives compared"),
        ("nn:ReLU --shape 4,3", r"ReLU keeps all 15 laws"),
        ("tinygrad_edu:relu", r"relu keeps all"),
    ],
)
def test_what_is_right_passes_in_one_line(run, arguments, told):
    checked = run(f"check {arguments}")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert re.fullmatch(told + r".*\n", checked.stdout)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("mine:halved", r"(?s)halved breaks the law .* ratio\n.* 0\.33"),
        ("mine:Detached --shape 4,3", r"(?s)Detached in train mode: .*\n\d b +\(\d,\) +0 +"),
        ("mine:squares --shape 2,3 --shape 3,2", r"first op whose own rule disagrees is halved"),
    ],
)
def test_what_is_wrong_is_told_as_a_table_with_exit_code_1(run, arguments, told):
    checked = run(f"check {arguments}")
    assert checked.returncode == 1
    assert re.search(told, checked.stdout)
    assert checked.stderr == ""


def test_the_faulty_op_is_drawn(run):
    checked = run("check mine:halved --draw halved.svg")
    assert "drawn in halved.svg" in checked.stdout
    text = "".join(ElementTree.parse(run.folder / "halved.svg").getroot().itertext())
    assert "halved" in text
    assert "no single op" in run("check mine:Detached --shape 2,3 --draw d.svg").stdout


def test_isolate_prints_the_table_and_writes_a_script_that_shows_the_fault(run):
    found = run("isolate mine:model --data mine:batch --script fault.py")
    assert found.returncode == 1, found.stderr
    assert "First fault: 1.1: wrong gradient. Detached in train mode" in found.stdout
    assert re.search(r"1\.0 +Tanh +\(8, 3\)", found.stdout)
    alone = subprocess.run(
        [sys.executable, "fault.py"], cwd=run.folder, capture_output=True, text=True
    )
    assert "First fault: 0: wrong gradient. Detached" in alone.stdout


@pytest.mark.parametrize(
    "arguments", ["--shape 8,3", "--shape 8,3 --loss mse", "--data mine:batch --loss cross_entropy"]
)
def test_isolate_finds_nothing_in_a_right_model(run, arguments):
    found = run(f"isolate mine:network {arguments}")
    assert found.returncode == 0, found.stderr
    assert found.stdout.endswith("No fault was found.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("check mine", "write package.module:name"),
        ("check mine.py:Gate", "name the module, as in mine:Gate"),
        ("check yours:Gate", "there is no module 'yours'"),
        ("check mine:Gat", "Did you mean 'Gate'?"),
        ("check mine:number", "is of int: check takes an op"),
        ("check mine:Gate", "--shape 4,3 for a batch"),
        ("check mine:Gate --shape 3,x", "such as 3,4, not '3,x'"),
        ("check mine:Gate --shape 4,2", "multiply cannot take shape (4, 2) and shape (3,)"),
        ("check mine:Sized --shape 2", "Sized needs n_in, n_out to be made"),
        ("check mine:typed", "give --shape, such as --shape 3,4, for each of x"),
        ("check mine:product --shape 2", "takes a, b: give --shape for each, not 1"),
        ("check mine:halved --draw a.pdf", "Known: .dot, .png, .svg"),
        ("isolate mine:cube --shape 2", "is no nn.Module"),
        ("isolate mine:network", "by --shape 8,3 or by --data"),
        ("isolate mine:network --shape 8,3 --loss l1", "Known: cross_entropy, mse"),
        ("isolate mine:model --shape 8,3 --script no/a.py", "there is no folder no"),
    ],
)
def test_bad_input_is_one_line_that_says_what_would_work(run, arguments, message):
    refused = run(arguments)
    assert refused.returncode == 1
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_module_that_cannot_be_imported_says_why(run):
    (run.folder / "broken.py").write_text("import nothing_like_that\n")
    assert "No module named 'nothing_like_that'" in run("check broken:x").stderr
    (run.folder / "broken.py").write_text("1 / 0\n")
    assert "broken cannot be imported: ZeroDivisionError" in run("check broken:x").stderr


@pytest.mark.parametrize("command", ["check", "isolate"])
def test_help_has_examples(run, command):
    helped = run(f"{command} --help")
    assert helped.returncode == 0
    assert f"tinygrad-edu {command} " in helped.stdout
    assert "--shape" in helped.stdout
