"""Which learning rate to take: a short run in which it grows until the loss does too."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nn import random
from nn.errors import ConfigurationError, TrainingError
from nn.module import Module
from nn.optim.adam import AdamW
from nn.optim.optimizer import Optimizer, assign

# How much of the smoothed loss is past; and at how many times the lowest one to give up.
_MEMORY, _DIVERGED = 0.9, 4.0
# The smoothed losses of so many steps are each of few batches, and fall and rise by chance.
_UNSTEADY = 10


@dataclass(frozen=True)
class RangeTest:
    """What ``find_learning_rate`` saw; ``viz.plots.learning_rate_finder`` draws it.

    Attributes:
        lrs: the learning rate of every step.
        losses: the loss before it, smoothed.
        suggestion: where, before it was lowest, the loss fell fastest; None if it never fell.
    """

    lrs: list[float]
    losses: list[float]

    @property
    def suggestion(self) -> float | None:
        """Where, before it was lowest, the loss fell fastest on a logarithmic axis."""
        lowest = int(np.argmin(self.losses)) if self.losses else 0
        if lowest == 0 or len(self.lrs) != len(self.losses):
            return None
        first = min(_UNSTEADY, lowest // 2)
        slopes = np.gradient(self.losses, np.log(self.lrs))[first:lowest]
        return self.lrs[first + int(np.argmin(slopes))]


def find_learning_rate(
    model: Module,
    loss: Callable[[Any, Any], Any],
    data: Iterable[tuple[Any, ...]],
    optimizer: Optimizer | None = None,
    start: float = 1e-7,
    end: float = 10.0,
    steps: int = 100,
    callback: Callable[[int, float, float], None] | None = None,
) -> RangeTest:
    """Train with learning rates that grow from ``start`` to ``end``, and undo it all.

    It ends early when the loss is no number, or four times its lowest. The model, the optimizer
    and the shared random numbers are afterwards what they were; a loader that shuffles has moved
    on. Source: Smith, 2017, section 3.3.

    Args:
        model: what to train.
        loss: takes the model's output and a target, returns a scalar.
        data: batches of inputs and targets; gone through again if there are fewer than ``steps``.
        optimizer: of the model's parameters; by default an AdamW.
        start: the first learning rate.
        end: the last one.
        steps: how many, evenly apart on a logarithmic axis.
        callback: told of every step: its number from 1, its learning rate, its loss.

    Raises:
        TrainingError: the loss is no number from the start, or there are no batches.
    """
    if not 0 < start < end < math.inf:
        raise ConfigurationError(f"start and end must rise from above 0, not {start!r}, {end!r}")
    if not isinstance(steps, int) or steps < 2:
        raise ConfigurationError(f"steps must be an integer of at least 2, not {steps!r}")
    optimizer = AdamW(model.parameters()) if optimizer is None else optimizer
    restore = _snapshot(model, optimizer)
    lrs: list[float] = []
    losses: list[float] = []
    mean = 0.0
    try:
        model.train()
        # A loss that overflows is what the test is looking for.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for step, (x, y) in zip(range(1, steps + 1), _cycle(data), strict=False):
                lr = start * (end / start) ** ((step - 1) / (steps - 1))
                optimizer.lr = lr
                optimizer.zero_grad()
                value = loss(model(x), y)
                number = value.item()
                mean = _MEMORY * mean + (1 - _MEMORY) * number
                smooth = mean / (1 - _MEMORY**step)
                # The first few are too little smoothed to compare with.
                settled = step > steps / 10 and losses
                if not math.isfinite(smooth) or (settled and smooth > _DIVERGED * min(losses)):
                    break
                lrs.append(lr)
                losses.append(smooth)
                if callback is not None:
                    callback(step, lr, number)
                value.backward(retain_graph=False)
                optimizer.step()
    finally:
        restore()
    if not lrs:
        raise TrainingError(
            "no learning rate was tried: there are no batches, or the first loss is no number"
        )
    return RangeTest(lrs, losses)


def _cycle(data: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Batch after batch, from the start again as long as there are any."""
    found = True
    while found:
        found = False
        for batch in data:
            found = True
            yield batch


def _snapshot(model: Module, optimizer: Optimizer) -> Callable[[], None]:
    """A function that sets everything back to what it is now."""
    parameters = list(dict.fromkeys([*model.parameters(), *optimizer.parameters]))
    data = [(p, np.copy(p.data), p.grad) for p in parameters]
    modules = [
        (m, m.training, {b: getattr(m, b).copy() for b in m._buffers}) for m in model.modules()
    ]
    drawn = random.state_dict(model)
    state = optimizer.state_dict()

    def restore() -> None:
        for p, before, grad in data:
            assign(p, before)
            p.grad = grad
        for module, training, buffers in modules:
            module.training = training
            for name, buffer in buffers.items():
                setattr(module, name, buffer)
        random.load_state_dict(model, drawn)
        optimizer.load_state_dict(state)

    return restore
