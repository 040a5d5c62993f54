"""The command ``check``: a person's own op, function or module against finite differences."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import nn
import tinygrad_edu.testing as kit
from nn.testing import check_module
from tinygrad_edu.cli.objects import ObjectError, Shape, draw_arrays, find, made, required
from tinygrad_edu.ops.declare import Op
from tinygrad_edu.testing import KinkWarning, gradcheck
from tinygrad_edu.value import Value


def check(
    target: str,
    shapes: Sequence[Shape],
    order: int | None,
    seed: int,
    rtol: float,
    atol: float,
    batch_axis: int | None,
) -> str:
    """Check what ``package.module:name`` names; returns what was looked at, in one line.

    Args:
        target: an op, a function of Values or Tensors, a module or what makes one.
        shapes: of the inputs to draw.
        order: of the derivatives; None for 2 of ops and 1 of anything else.
        seed: of the inputs and of initial weights.
        rtol: what gradients may differ by, relatively.
        atol: what they may differ by besides.
        batch_axis: the samples' axis, for a module.

    Raises:
        GradientMismatchError: a gradient is wrong.
        ModuleLawError: a module breaks a law.
        OpLawError: an op breaks a law.
        ObjectError: the target cannot be found or checked, or the shapes do not fit.
    """
    name = target.rpartition(":")[2]
    nn.manual_seed(seed)
    thing = made(find(target), name)
    if isinstance(thing, Op):
        found = kit.check_op(
            thing, *draw_arrays(shapes, seed), order=order or 2, rtol=rtol, atol=atol
        )
        return (
            f"{name} keeps all {len(found.laws)} laws of an op, in {found.examples} calls, with"
            f" {found.compared} derivatives compared"
        )
    if isinstance(thing, nn.Module):
        inputs = _inputs_of_module(thing, name, shapes, seed)
        report = check_module(
            thing, *inputs, order=order or 1, rtol=rtol, atol=atol, batch_axis=batch_axis
        )
        return f"{name} {report}"
    if not callable(thing):
        raise ObjectError(
            f"{target} is of {type(thing).__name__}: check takes an op, a function of Values or"
            " Tensors, an nn.Module, and a class or function that makes one"
        )
    with warnings.catch_warnings(record=True) as kinks:
        warnings.simplefilter("always", KinkWarning)
        inputs = _inputs_of_function(thing, name, shapes, seed)
        compared = gradcheck(thing, *inputs, order=order or 1, rtol=rtol, atol=atol).compared
    told = f"{name} has the gradient that finite differences see; {compared} derivatives compared"
    return "; ".join([told, *(str(kink.message) for kink in kinks)])


def _inputs_of_module(
    module: nn.Module, name: str, shapes: Sequence[Shape], seed: int
) -> Sequence[Any]:
    if not shapes:
        raise ObjectError(f"say what {name} is to be called on: --shape 4,3 for a batch of 4 rows")
    arrays = draw_arrays(shapes, seed)
    if any(isinstance(p, Value) for p in module.parameters()):
        return [x.tolist() for x in arrays]
    return arrays


def _inputs_of_function(
    function: Callable[..., Any], name: str, shapes: Sequence[Shape], seed: int
) -> Sequence[Any]:
    """Arrays of the shapes; without any, a number for each parameter."""
    needed = required(function)
    parameters = inspect.signature(function).parameters
    most = (
        len(shapes)
        if any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
        else len(parameters)
    )
    of_tensors = [p for p in needed if "Tensor" in str(parameters[p].annotation)]
    if shapes and not len(needed) <= len(shapes) <= most:
        raise ObjectError(
            f"{name} takes {', '.join(needed)}: give --shape for each, not {len(shapes)}"
        )
    if shapes:
        return draw_arrays(shapes, seed)
    if of_tensors:
        raise ObjectError(f"give --shape, such as --shape 3,4, for each of {', '.join(needed)}")
    return [
        Value(x, label=p) if "Value" in str(parameters[p].annotation) else x
        for p, x in zip(needed, np.random.default_rng(seed).normal(size=len(needed)), strict=True)
    ]
