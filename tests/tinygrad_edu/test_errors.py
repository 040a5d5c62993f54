"""Every exception is the library's own, and the built-in one that users of NumPy would catch."""

import copy
import inspect

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value, errors
from tinygrad_edu.errors import MissingExtraError, TinygradError, UnknownNameError

BUILTIN = (ValueError, TypeError, RuntimeError, IndexError, ImportError, OSError, AssertionError)
OWN = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, TinygradError) and kind is not TinygradError
]


@pytest.mark.parametrize("kind", OWN)
def test_every_error_is_a_built_in_one_as_well(kind):
    assert issubclass(kind, BUILTIN)


ONES = np.ones((2, 2))
BAD_CALLS = [
    (lambda: tg.einsum(), tg.OperandError, "einsum needs subscripts and operands"),
    (lambda: tg.linalg.matrix_power(ONES, 0.5), tg.OperandError, "whole number .* not 0.5"),
    (lambda: tg.linalg.lstsq(ONES[0], ONES[0]), tg.ShapeError, r"lstsq takes a matrix \(M, N\)"),
    (lambda: tg.linalg.norm(Tensor(ONES), axis=(0, 0)), tg.ShapeError, r"two axes, not .*\(0, 0\)"),
    (lambda: tg.linalg.cond(Tensor(ONES), 1), tg.LinearAlgebraError, "2x2 matrix is singular"),
    (lambda: tg.adaptive_avg_pool2d(Tensor(np.ones((1, 1, 0, 2))), 1), tg.ShapeError, "not empty"),
    (
        lambda: tg.interpolate(Tensor(ONES), 2),
        tg.ShapeError,
        r"\(N, C, \*spatial\), not .*\(2, 2\)",
    ),
    (
        lambda: tg.interpolate(Tensor(np.ones((1, 1, 3))), scale_factor=-1.0),
        tg.OperandError,
        "scale_factor= as a positive number .* not -1.0",
    ),
    (
        lambda: tg.batch_norm(Tensor(ONES[0]), None, None, training=True),
        tg.ShapeError,
        r"x \(N, C, \.\.\.\), not of shape \(2,\)",
    ),
    (
        lambda: tg.checkpoint(lambda x: 5.0)(Tensor(ONES)),
        tg.OperandError,
        "a function that returns one Tensor, not 5.0",
    ),
    (
        lambda: tg.primitive(None, saves=True)(lambda x: (x, x)),
        tg.OperandError,
        "saves arrays.*declare it with a definition=",
    ),
    (lambda: copy.copy(Value(1.0) * 2), tg.GradientError, r"only leaves.*multiply.*\.detach\(\)"),
    (lambda: copy.deepcopy(Tensor(ONES, requires_grad=True) * 2), tg.GradientError, "only leaves"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_CALLS)
def test_a_bad_call_is_told_what_was_wrong_with_it(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_an_unknown_name_comes_with_the_nearest_and_all_the_known_ones():
    error = UnknownNameError("activation", "rleu", ["tanh", "relu"])
    assert str(error) == "unknown activation 'rleu'. Did you mean 'relu'? Known: relu, tanh."
    assert (error.kind, error.name, error.known) == ("activation", "rleu", ["relu", "tanh"])
    assert "Did you mean" not in str(UnknownNameError("activation", "xyz", ["relu"]))


def test_a_missing_extra_names_the_package_and_how_to_install_it():
    error = MissingExtraError("plotting", "matplotlib", "train")
    assert "plotting needs matplotlib" in str(error)
    assert "pip install 'tinygrad-edu[train]'" in str(error)
