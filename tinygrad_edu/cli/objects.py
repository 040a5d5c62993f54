"""What the command line is told to look at: objects of a person's own modules, and inputs."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import nn
from tinygrad_edu.errors import TinygradError, UnknownNameError

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class ObjectError(TinygradError, ValueError):
    """What was named on the command line cannot be found, or not be used as is."""


def find(target: str) -> Any:
    """The object that ``"package.module:name"`` names; the current folder can be imported from.

    Raises:
        ObjectError: it is written in another way, or the module cannot be imported.
        UnknownNameError: the module has no such name.
    """
    module_name, colon, path = target.partition(":")
    if module_name.endswith(".py"):
        module_name = module_name.removesuffix(".py").replace(os.sep, ".")
        raise ObjectError(
            f"{target} is a file: name the module, as in {module_name}:{path or 'Name'}"
        )
    if not colon or not module_name or not path:
        raise ObjectError(f"{target!r} names no object: write package.module:name")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise ObjectError(f"{module_name} cannot be imported: {error}") from error
        raise ObjectError(
            f"there is no module {error.name!r} in {os.getcwd()} or among the installed ones"
        ) from error
    except Exception as error:
        raise ObjectError(
            f"{module_name} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    for name in path.split("."):
        if not hasattr(found, name):
            known = [known for known in vars(found) if not known.startswith("_")]
            raise UnknownNameError(f"name in {module_name}", name, known)
        found = getattr(found, name)
    return found


def made(thing: Any, name: str) -> Any:
    """What a class, or a function that needs no arguments, makes; anything else as it is.

    Raises:
        ObjectError: the class needs arguments.
    """
    if not isinstance(thing, type) and not inspect.isfunction(thing):
        return thing
    needed = required(thing)
    if needed and isinstance(thing, type):
        raise ObjectError(
            f"{name} needs {', '.join(needed)} to be made: name a function without arguments that"
            f" returns one, such as def model(): return {name}(...)"
        )
    return thing if needed else thing()


def required(function: Callable[..., Any]) -> list[str]:
    """The names of the parameters that a call has to give."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in positional and p.default is p.empty]


def shapes_of(texts: Sequence[str]) -> list[Shape]:
    """The shapes in texts such as ``"3,4"``; an empty text is the shape of a number.

    Raises:
        ObjectError: one is no shape.
    """
    shapes = []
    for text in texts:
        try:
            shape = tuple(int(part) for part in text.split(",") if part.strip())
        except ValueError:
            shape = (-1,)
        if any(length < 0 for length in shape):
            raise ObjectError(f"a shape is written as lengths, such as 3,4, not {text!r}")
        shapes.append(shape)
    return shapes


def draw_arrays(shapes: Sequence[Shape], seed: int) -> list[Array]:
    """An array of normally distributed numbers for each shape."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes]


def module_named(target: str, seed: int) -> nn.Module:
    """The module that is named, or that the class or function of that name makes.

    Raises:
        ObjectError: it is no module and makes none.
    """
    name = target.rpartition(":")[2]
    nn.manual_seed(seed)
    thing = made(find(target), name)
    if not isinstance(thing, nn.Module):
        raise ObjectError(f"{target} is no nn.Module and makes none: it is {_kind(thing)}")
    return thing


def _kind(thing: Any) -> str:
    if callable(thing) and not isinstance(thing, type):
        return f"a function of {', '.join(required(thing))}"
    return f"of {type(thing).__name__}"
