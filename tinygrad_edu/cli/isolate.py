"""The command ``isolate``: which module of a person's model is at fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import nn
import tinygrad_edu as tg
from nn.testing import Diagnosis, isolate
from tinygrad_edu.cli.objects import ObjectError, Shape, draw_arrays, find, made, module_named

LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": tg.cross_entropy,
    "mse": lambda y, target: ((y - target) ** 2).mean(),
}


def diagnose(
    target: str, shapes: Sequence[Shape], data: str | None, loss: str | None, seed: int
) -> Diagnosis:
    """Run ``nn.testing.isolate`` on a model.

    Args:
        target: ``package.module:name`` of a model or of what makes one.
        shapes: of inputs to draw; targets of a loss are drawn too.
        data: ``package.module:name`` of inputs, of inputs and targets, or of a function that
            returns either.
        loss: one of LOSSES; None for what fits the targets.
        seed: of what is drawn.

    Raises:
        ObjectError: something cannot be found or used, or there are no inputs.
        UnknownNameError: there is no such loss.
    """
    if loss is not None and loss not in LOSSES:
        raise tg.UnknownNameError("loss", loss, LOSSES)
    if bool(shapes) == (data is not None):
        raise ObjectError("give the model its inputs, by --shape 8,3 or by --data module:function")
    model = module_named(target, seed)
    targets = None
    if data is not None:
        x = made(find(data), data.rpartition(":")[2])
        if isinstance(x, tuple) and len(x) == 2:
            x, targets = x
        if loss is not None and targets is None:
            raise ObjectError(f"--loss {loss} needs targets: {data} has to return inputs, targets")
    else:
        dtypes = {p.data.dtype for p in model.parameters() if isinstance(p, tg.Tensor)}
        dtype = dtypes.pop() if len(dtypes) == 1 else np.dtype(np.float32)
        x = tuple(array.astype(dtype) for array in draw_arrays(shapes, seed))
        if loss is not None:
            targets = _drawn_targets(model, x, loss, seed)
    return isolate(model, x, targets, None if loss is None else LOSSES[loss])


def _drawn_targets(model: nn.Module, x: tuple[Any, ...], loss: str, seed: int) -> Any:
    """Targets of the kind that a loss takes, for the model's results."""
    rng = np.random.default_rng(seed + 1)
    with tg.no_grad():
        y = model(*x)
    if loss == "mse":
        return rng.normal(size=y.shape).astype(y.dtype)
    return rng.integers(0, y.shape[-1], y.shape[:-1])
