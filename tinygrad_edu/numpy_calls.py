"""NumPy's calls as ours: its names for the arrays, its order of options, its defaults.

``np.sum(a=t, axis=0, out=None)`` is ``sum(t, axis=0)``. Of what NumPy takes and we do not, an
option is no obstacle as long as it has NumPy's default value.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.errors import OperandError, UnsupportedFunctionError, closest
from tinygrad_edu.graph import Node
from tinygrad_edu.names_elsewhere import instead_of, unknown_option
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS

Function = Callable[..., Any]

# What only looks at the data: the answer is about numbers that change by steps (bools, counts,
# places, dtypes), so that no gradient is lost with plain arrays in the place of Tensors.
LOOKS_AT_DATA: frozenset[Function] = frozenset(
    {
        np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal,
        np.logical_and, np.logical_or, np.logical_xor, np.logical_not,
        np.signbit, np.isposinf, np.isneginf,
        np.isclose, np.allclose, np.array_equal, np.array_equiv, np.isin,
        np.isreal, np.iscomplex, np.isrealobj, np.iscomplexobj,
        np.searchsorted, np.digitize, np.lexsort, np.nanargmax, np.nanargmin,
        np.diag_indices_from, np.tril_indices_from, np.triu_indices_from,
        np.result_type, np.min_scalar_type, np.shares_memory, np.may_share_memory,
        np.array2string, np.array_repr, np.array_str,
    }
)  # fmt: skip


def plain_within(x: Any) -> Any:
    """x with plain arrays in the place of nodes, in lists and tuples too."""
    if isinstance(x, list | tuple):
        return type(x)(map(plain_within, x))
    return x.data if isinstance(x, Node) else x


def call_ours(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a call of a NumPy function on Tensors gives.

    Raises:
        UnsupportedFunctionError: the function, or an option that is not at its default, is not
            supported.
    """
    if function in LOOKS_AT_DATA:
        return function(*plain_within(args), **{k: plain_within(x) for k, x in kwargs.items()})
    ours = NUMPY_FUNCTIONS.get(function)
    if ours is None:
        raise UnsupportedFunctionError(unsupported(function))
    translation = _translation(function, ours)
    if translation is None:  # nothing is known of NumPy's parameters
        return ours(*args, **{name: x for name, x in kwargs.items() if x is not None})
    if len(args) <= translation.aligned and translation.same >= kwargs.keys():
        return ours(*args, **{k: x for k, x in kwargs.items() if x is not np._NoValue})
    operands, options = translation.arguments(function, args, kwargs)
    return ours(*operands, **options)


def unsupported(function: Function, method: str = "__call__") -> str:
    """The message for a NumPy function that has no derivative rule here."""
    name = _name(function) + (f".{method}" if method != "__call__" else "")
    instead = instead_of(function.__name__)
    if instead is not None:
        return f"{name} does not take a Tensor: use {instead}"
    close = closest(function.__name__, {f.__name__ for f in NUMPY_FUNCTIONS}, most=3)
    return (
        f"{name} has no derivative rule here, so it does not take a Tensor. On the plain numbers:"
        f" {name}(t.detach().numpy())."
        + (f" Of similar name, and with a rule: {', '.join(close)}." if close else "")
    )


class _Translation(NamedTuple):
    """How the parameters of a NumPy function correspond to ours."""

    theirs: inspect.Signature
    ours: inspect.Signature
    names: dict[str, str]  # ours, by NumPy's
    aligned: float  # so many arguments mean the same here as there by their position
    same: frozenset[str]  # and these by their name

    def arguments(
        self, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of our function for a call of NumPy's."""
        try:
            given = self.theirs.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise OperandError(f"{_name(function)}{self.theirs}: {error}") from error
        named: dict[str, Any] = {}
        for name, value in given.items():
            parameter = self.theirs.parameters[name]
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                named |= {option: x for option, x in value.items() if x is not None}
            elif _is_default(value, parameter):
                continue
            elif name in self.names:
                named[self.names[name]] = value
            else:
                known = self.ours.parameters
                refused = unknown_option(f"{_name(function)} on a Tensor", name, known)
                raise UnsupportedFunctionError(refused)
        positional: list[Any] = []
        for parameter in self.ours.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                positional += named.pop(parameter.name, ())
            elif parameter.default is inspect.Parameter.empty and parameter.name in named:
                positional.append(named.pop(parameter.name))
        return positional, named


@cache
def _translation(function: Function, ours: Function) -> _Translation | None:
    try:
        theirs = inspect.signature(function)
    except ValueError:  # a compiled function says nothing of its parameters before NumPy 2.4
        return None
    here = inspect.signature(ours)
    required = [
        name
        for name, parameter in here.parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in theirs.parameters
    ]
    names: dict[str, str] = {}
    for name in theirs.parameters:
        if name in here.parameters:
            names[name] = name
        elif required:  # an operand, by another name
            names[name] = required.pop(0)
    aligned = 0.0
    for p, own in zip(theirs.parameters.values(), here.parameters.values(), strict=False):
        if names.get(p.name) != own.name or p.kind is inspect.Parameter.KEYWORD_ONLY:
            break
        aligned = math.inf if p.kind is inspect.Parameter.VAR_POSITIONAL else aligned + 1
    same = frozenset(name for name, own in names.items() if name == own)
    return _Translation(theirs, here, names, aligned, same)


def _is_default(value: Any, parameter: inspect.Parameter) -> bool:
    default = parameter.default
    return value is default or (type(value) is type(default) and value == default)


def _name(function: Function) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module.replace('numpy', 'np', 1)}.{function.__name__}"
