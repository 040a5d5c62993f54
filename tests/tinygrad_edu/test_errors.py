"""Every exception is the library's own, and the built-in one that users of NumPy would catch."""

import inspect

import pytest

from tinygrad_edu import errors
from tinygrad_edu.errors import MissingExtraError, TinygradError, UnknownNameError

BUILTIN = (ValueError, TypeError, RuntimeError, IndexError, ImportError, AssertionError)
OWN = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, TinygradError) and kind is not TinygradError
]


@pytest.mark.parametrize("kind", OWN)
def test_every_error_is_a_built_in_one_as_well(kind):
    assert issubclass(kind, BUILTIN)


def test_an_unknown_name_comes_with_the_nearest_and_all_the_known_ones():
    error = UnknownNameError("activation", "rleu", ["tanh", "relu"])
    assert str(error) == "unknown activation 'rleu'. Did you mean 'relu'? Known: relu, tanh."
    assert (error.kind, error.name, error.known) == ("activation", "rleu", ["relu", "tanh"])
    assert "Did you mean" not in str(UnknownNameError("activation", "xyz", ["relu"]))


def test_a_missing_extra_names_the_package_and_how_to_install_it():
    error = MissingExtraError("plotting", "matplotlib", "train")
    assert "plotting needs matplotlib" in str(error)
    assert "pip install 'tinygrad-edu[train]'" in str(error)
