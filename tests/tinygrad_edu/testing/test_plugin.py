"""The pytest plugin, on test files of its own: what a failed gradient check leaves behind."""

import os
import re
import sys
from importlib.metadata import entry_points
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import GradientMismatchError, Value
from tinygrad_edu.testing import gradcheck
from tinygrad_edu.testing.plugin import reproduction

pytest_plugins = ["pytester"]

# An op of a user's whose rule lacks a factor of 3.
CUBE = """
import numpy as np
import pytest
import tinygrad_edu as tg
from hypothesis import given, strategies as st
from tinygrad_edu.testing import gradcheck, tensors

cube = tg.elementwise(
    "cube", "³", lambda x: x**3, lambda x: x**3, lambda g, y, x: g * x * x
)
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs a file of tests under the plugin, and nothing else that is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(tests, *arguments):
        pytester.makepyfile(test_cube=CUBE + tests)
        return pytester.runpytest_inprocess("-p", "tinygrad_edu.testing.plugin", *arguments)

    return run


FAILING = """
def test_cube():
    gradcheck(lambda x: cube(x.exp()), np.array([0.1, 0.2]))
"""


def picture(result):
    (path,) = re.findall(r"drawn: (.*\.svg)", result.stdout.str())
    return path


def test_a_failure_shows_the_picture_and_what_reproduces_it(run, pytester):
    result = run(FAILING)
    result.assert_outcomes(failed=1)
    path = picture(result)
    assert os.path.dirname(path) == str(pytester.path / ".pytest_cache" / "d" / "tinygrad-edu")
    texts = list(ElementTree.parse(path).getroot().itertext())
    assert any("cube" in text for text in texts)
    result.stdout.fnmatch_lines(
        [
            "*gradient mismatch*",
            "    from test_cube import cube",
            "    pytest test_cube.py::test_cube",
        ]
    )


def test_the_line_that_is_printed_fails_in_the_same_way(run, pytester):
    printed = run(FAILING).stdout.str()
    (line,) = re.findall(r"    (gradcheck\(cube, .*\))", printed)
    assert re.findall(r"\d\.\d+", line) == [repr(float(x)) for x in np.exp([0.1, 0.2])]
    script = "\n".join(re.findall(r"(?m)^    (?:import|from|gradcheck).*$", printed))
    result = pytester.run(sys.executable, pytester.makepyfile(again=script.replace("    ", "")))
    assert "GradientMismatchError" in result.stderr.str()


def test_pictures_stand_beside_the_report_that_is_written(run, pytester):
    result = run(FAILING, "--junitxml=reports/junit.xml")
    assert os.path.dirname(picture(result)) == str(pytester.path / "reports")
    assert (pytester.path / "reports" / "junit.xml").exists()


def test_with_hypothesis_it_is_the_simplest_example_that_is_shown(run):
    result = run("""
@given(tensors((), domain=(1, 50)))
def test_cube(x):
    gradcheck(cube, x)
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["    gradcheck(cube, np.array(1.0))"])
    picture(result)


def test_each_error_of_a_group_is_shown(run):
    result = run("""
@given(st.booleans())
def test_cube(twice):
    try:
        gradcheck(cube, 2.0)
    except AssertionError as error:
        first = error
    with pytest.raises(AssertionError) as second:
        gradcheck(cube, 3.0)
    raise ExceptionGroup("both", [first, second.value])
""")
    printed = result.stdout.str()
    assert "gradcheck(cube, np.array(2.0))" in printed
    assert "gradcheck(cube, np.array(3.0))" in printed
    assert len(set(re.findall(r"drawn: (.*\.svg)", printed))) == 2


def test_an_error_that_caused_the_one_that_was_raised_is_found(run):
    result = run("""
def test_cube():
    try:
        gradcheck(cube, 2.0)
    except AssertionError as error:
        raise ValueError("the layer is wrong") from error
""")
    result.stdout.fnmatch_lines(["    gradcheck(cube, np.array(2.0))"])


def test_other_outcomes_are_left_alone(run):
    result = run("""
def test_passes():
    gradcheck(tg.exp, 1.0)

def test_fails():
    assert False

def test_raises_as_it_should():
    with pytest.raises(AssertionError):
        gradcheck(cube, 1.0)

@pytest.mark.xfail
def test_is_known_to_fail():
    gradcheck(cube, 1.0)
""")
    result.assert_outcomes(passed=2, failed=1, xfailed=1)
    result.stdout.no_fnmatch_line("*gradient mismatch*")


def test_trouble_in_drawing_is_a_line_of_the_report(run, monkeypatch):
    def fails(node):
        raise OSError("the disk is full")

    monkeypatch.setattr("viz.draw", fails)
    result = run(FAILING)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*could not be drawn: OSError: the disk is full", "    gradcheck(cube, *"]
    )


def test_a_session_without_a_cache_has_its_pictures_too(run):
    assert os.path.exists(picture(run(FAILING, "-p", "no:cacheprovider")))


def test_large_inputs_are_not_printed(run):
    result = run("""
def test_cube():
    gradcheck(cube, np.ones((20, 20)))
""")
    result.stdout.fnmatch_lines(["*operands of cube are too large to print: (20, 20)"])


@pytest.mark.skipif(
    not {"pytest11", "hypothesis"} <= {e.group for e in entry_points(name="tinygrad_edu")},
    reason="installed before it had entry points",
)
def test_it_is_found_where_the_distribution_is_installed(pytester):
    pytester.makepyfile(
        CUBE
        + """
@given(st.from_type(tg.Tensor), st.from_type(tg.Value))
def test_cube(x, v):
    gradcheck(cube, x * v.data + 1)
"""
    )
    result = pytester.runpytest_subprocess("--hypothesis-profile=quick", "-W", "error")
    result.assert_outcomes(failed=1)
    picture(result)


# The line of Python


def wrong_by_a_half(rule):
    return lambda *args, **attrs: 1.5 * rule(*args, **attrs)


@pytest.mark.parametrize(
    ("op", "f", "inputs", "line"),
    [
        (tg.exp, tg.exp, [0.5], "gradcheck(tg.exp, np.array(0.5))"),
        (tg.exp, tg.exp, [Value(0.5)], "gradcheck(tg.exp, tg.Value(0.5))"),
        (
            tg.multiply,
            lambda x: x * x,
            [np.array([0.5])],
            "gradcheck(lambda x0: tg.multiply(x0, x0), np.array([0.5]))",
        ),
        (
            tg.multiply,
            lambda x: x * [[True, False]],
            [np.array([0.1, 0.2])],
            "gradcheck(lambda x0: tg.multiply(x0, np.array([[1.0, 0.0]])), np.array([0.1, 0.2]))",
        ),
        (
            tg.sum,
            lambda x: tg.sum(x, axis=(0, -1)),
            [np.array([[0.1]])],
            "gradcheck(lambda x0: tg.sum(x0, axis=(0, -1)), np.array([[0.1]]))",
        ),
        (
            tg.concatenate,
            lambda x, y: tg.concatenate([x, y]),
            [np.array([0.1]), np.array([3.0])],
            "gradcheck(lambda x0, x1: tg.concatenate([x0, x1]), np.array([0.1]), np.array([3.0]))",
        ),
        (
            tg.getitem,
            lambda x: x[::-1, None, [0, 1]],
            [np.array([[0.1, 0.2]])],
            "gradcheck(lambda x0: tg.getitem(x0, index=(slice(None, None, -1), None,"
            " [0, 1])), np.array([[0.1, 0.2]]))",
        ),
        (
            tg.linalg.det,
            tg.linalg.det,
            [np.eye(1)],
            "gradcheck(tg.linalg.det, np.array([[1.0]]))",
        ),
    ],
)
def test_the_line_names_the_op_its_operands_and_its_options(monkeypatch, op, f, inputs, line):
    monkeypatch.setattr(op, "rules", tuple(map(wrong_by_a_half, op.rules)))
    with pytest.raises(GradientMismatchError) as caught:
        gradcheck(f, *inputs)
    *imports, found = reproduction(caught.value)
    assert found == line
    with pytest.raises(GradientMismatchError):
        exec("\n".join([*imports, found]), {})
