"""Running a copy of a module for a test: repeatably, recorded, and with all that it holds in view.

What is tried out here are copies, so the module that is being tested stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from nn import random
from nn.errors import ModuleLawError
from nn.module import Module
from tinygrad_edu import Node, Tensor, TinygradError, Value, enable_grad, mark_changed, trees

Array = np.ndarray[Any, Any]


class Call(NamedTuple):
    """A module being run once.

    Attributes:
        path: where the module is held in the model, registered or not.
        module: the module.
        inputs: what it was called on.
        options: what it was given by name.
        output: what it returned.
        first: the position, in the list of all calls, of the first one made within it; its own if
            it calls no module.
    """

    path: str
    module: Module
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    output: Any
    first: int


def copied(module: Module) -> Module:
    """A deep copy.

    Raises:
        ModuleLawError: there can be none.
    """
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise ModuleLawError(
            "copying",
            type(module).__name__,
            "",
            f"copy.deepcopy of it raises {type(error).__name__}: {error}. A result kept as an"
            " attribute takes its graph along; keep y.detach() or y.data, or leave it out in"
            " __getstate__.",
        ) from error


def held(module: Module) -> Iterator[tuple[str, Any]]:
    """Everything that a module holds, with its path: in attributes, lists, tuples and dicts.

    Paths are those of ``named_modules`` and ``named_parameters``, and written in the same way for
    what is not registered: ``blocks.0.weight`` may be ``blocks[0]["weight"]``.
    """
    seen: set[int] = set()
    stack: list[tuple[str, Any]] = [("", module)]
    while stack:
        path, x = stack.pop()
        parts: list[tuple[Any, Any]] = []
        if isinstance(x, Module | list | tuple | dict):
            if id(x) in seen:
                continue
            seen.add(id(x))
        if isinstance(x, Module):
            parts = [(k, v) for k, v in vars(x).items() if k not in ("_parameters", "_modules")]
        elif isinstance(x, list | tuple):
            parts = list(enumerate(x))
        elif isinstance(x, dict):
            parts = list(x.items())
        yield path, x
        stack += [(f"{path}.{name}".lstrip("."), part) for name, part in reversed(parts)]


def held_modules(module: Module) -> dict[str, Module]:
    """The module itself and every one in it, by path, whether registered or not."""
    return {path: x for path, x in held(module) if isinstance(x, Module)}


def generators(module: Module) -> list[np.random.Generator]:
    """The generators that a module holds."""
    return [x for _, x in held(module) if isinstance(x, np.random.Generator)]


@contextmanager
def seeded(own: Sequence[np.random.Generator], seed: int) -> Iterator[None]:
    """Within it all that a module draws repeats.

    That is what comes from the shared generator of ``nn``, from its ``own`` generators, and from
    ``np.random``.
    """
    for i, generator in enumerate(own):  # not alike, or two dropouts would drop the same entries
        generator.bit_generator.state = _start(type(generator.bit_generator), (seed, i))
    legacy: Any = np.random  # whose stubs leave these two functions out
    before = legacy.get_bit_generator()
    legacy.set_bit_generator(np.random.PCG64(seed))
    try:
        with random.seeded(seed):
            yield
    finally:
        legacy.set_bit_generator(before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """After it, ``np.random`` goes on where it was before; ``seeded`` loses half a normal draw."""
    state = np.random.get_state()
    try:
        yield
    finally:
        np.random.set_state(state)


@cache
def _start(kind: Any, seed: tuple[int, ...]) -> Any:
    return kind(seed).state


def run(module: Module, inputs: Sequence[Any], training: bool, seed: int = 0) -> Any:
    """What the module returns in train or eval mode, with all that it draws seeded."""
    module.train(training)
    with seeded(generators(module), seed), enable_grad(), np.errstate(all="ignore"):
        return module(*inputs)


def numbers(tree: Any) -> list[Array]:
    """The data of every node of a result, copied."""
    return [np.array(x.data) for x in trees.leaves(tree) if isinstance(x, Node)]


def record(module: Module) -> list[Call]:
    """Have every call of the module, and of each one in it, added to a list when it returns."""
    calls: list[Call] = []
    for path, part in held_modules(module).items():
        # An attribute of the instance hides the method of its class; only Module.__call__ sees it.
        vars(part)["forward"] = _recording(part, path, calls)
    return calls


def _recording(module: Module, path: str, calls: list[Call]) -> Any:
    forward = module.forward

    def recorded(*inputs: Any, **options: Any) -> Any:
        first = len(calls)
        output = forward(*inputs, **options)
        calls.append(Call(path, module, inputs, options, output, first))
        return output

    return recorded


# Inputs, and other points to try than the ones that were given.


def perturb(module: Module) -> None:
    """Move every parameter that learns by up to a tenth, as training would; a zero to ± 0.1.

    Initial values are special points: at a bias of zero, much that is wrong cannot be seen.
    """
    rng = np.random.default_rng(1)
    for parameter in module.parameters():
        if parameter.requires_grad:
            data = np.asarray(parameter.data)
            factor = rng.uniform(0.9, 1.1, data.shape)
            start = rng.choice([-0.1, 0.1], data.shape)
            moved = np.where(data == 0, start, data * factor).astype(data.dtype)
            parameter.data = float(moved) if isinstance(parameter, Value) else moved
            mark_changed(parameter)


def plain_inputs(inputs: Any) -> Any:
    """The inputs as arrays and numbers of their own, those of floating dtype in float64."""

    def plain(x: Any) -> Any:
        x = x.data if isinstance(x, Node) else x
        if isinstance(x, np.ndarray | np.generic):
            return np.array(x, dtype=np.float64 if x.dtype.kind == "f" else x.dtype)
        return x

    return trees.transform(plain, inputs)


def as_nodes(inputs: Any, values: bool, dtype: Any = np.float64) -> Any:
    """The inputs with a leaf for every floating array, and, if ``values``, for every float."""

    def node(x: Any) -> Any:
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            return Tensor(x, requires_grad=True, label="x", dtype=dtype)
        return Value(x, label="x") if values and isinstance(x, float) else x

    return trees.transform(node, inputs)


def other_inputs(inputs: Any) -> Any:
    """Other numbers of the same kind and range: shuffled, and the floating ones a little smaller.

    So indices stay in range, and what is positive stays so.
    """
    rng = np.random.default_rng(2)

    def other(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            shuffled = rng.permutation(x.ravel()).reshape(x.shape)
            return shuffled * 0.9 if x.dtype.kind == "f" else shuffled
        return x * 0.9 if isinstance(x, float) else x

    return trees.transform(other, inputs)


def is_finite(arrays: Sequence[Any]) -> bool:
    """Whether all the numbers are, in the arrays of floating dtype."""
    return all(np.isfinite(x).all() for x in arrays if np.asarray(x).dtype.kind == "f")


def fails(error: Exception) -> str:
    """An exception in one line."""
    name = type(error).__name__
    return str(error) if isinstance(error, TinygradError) else f"{name}: {error}"
