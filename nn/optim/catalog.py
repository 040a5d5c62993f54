"""The optimizers and schedules by name, for a command line or a configuration file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nn.errors import ConfigurationError
from nn.optim.adagrad import Adadelta, Adagrad, RMSprop
from nn.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from nn.optim.lbfgs import LBFGS
from nn.optim.optimizer import Optimizer, Params
from nn.optim.schedules import (
    CosineAnnealingLR,
    ExponentialLR,
    LinearLR,
    LinearWarmup,
    OneCycleLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
)
from nn.optim.sgd import SGD, Lion
from tinygrad_edu import UnknownNameError

# Lookahead is not among them: it takes an optimizer, not parameters.
OPTIMIZERS: dict[str, type[Optimizer]] = {
    "adadelta": Adadelta,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamax": Adamax,
    "adamw": AdamW,
    "lbfgs": LBFGS,
    "lion": Lion,
    "nadam": NAdam,
    "radam": RAdam,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


def create(name: str, params: Params, **options: Any) -> Optimizer:
    """A new optimizer.

    Args:
        name: one of ``OPTIMIZERS``.
        params: what to change, such as ``model.parameters()``.
        options: the arguments of its class; what is left out is as there.

    Raises:
        UnknownNameError: there is no optimizer of that name, or it has no such option.
        ConfigurationError: an option is out of its range.

    >>> import nn
    >>> nn.optim.create("lion", nn.Linear(2, 1).parameters(), lr=1e-3)
    Lion(lr=0.001, betas=(0.9, 0.99), weight_decay=0.0): 2 parameters
    """
    if name not in OPTIMIZERS:
        raise UnknownNameError("optimizer", name, OPTIMIZERS)
    kind = OPTIMIZERS[name]
    _check_options(kind.__name__, kind, options)
    return kind(params, **options)


class Recipe(NamedTuple):
    """How to make a schedule for a number of steps.

    Attributes:
        make: takes the optimizer and options.
        options: from the optimizer and the number of steps to the options, unless others are given.
    """

    make: Callable[..., Schedule | ReduceLROnPlateau | None]
    options: Callable[[Optimizer, int], dict[str, Any]]


def _constant(optimizer: Optimizer) -> None:
    """No schedule: the learning rate stays."""


def _warmup_cosine(
    optimizer: Optimizer, total_steps: int, warmup_steps: int, eta_min: float = 0.0
) -> Schedule:
    """``LinearWarmup``, then ``CosineAnnealingLR`` for the steps that are left."""
    if not isinstance(warmup_steps, int) or not 0 <= warmup_steps < total_steps:
        raise ConfigurationError(
            f"warmup_steps must be an integer in [0, {total_steps}), which is the total number of"
            f" steps, not {warmup_steps!r}"
        )
    if warmup_steps == 0:
        return CosineAnnealingLR(optimizer, total_steps, eta_min)
    warmup = LinearWarmup(optimizer, warmup_steps)
    decay = CosineAnnealingLR(optimizer, total_steps - warmup_steps, eta_min)
    return SequentialLR(optimizer, [warmup, decay], [warmup_steps])


def _one_cycle_options(optimizer: Optimizer, n: int) -> dict[str, Any]:
    groups = optimizer.param_groups
    return {
        "max_lr": [group["lr"] for group in groups],
        "total_steps": n,
        "cycle_momentum": all("momentum" in group or "betas" in group for group in groups),
    }


SCHEDULES: dict[str, Recipe] = {
    "constant": Recipe(_constant, lambda optimizer, n: {}),
    "cosine": Recipe(CosineAnnealingLR, lambda optimizer, n: {"T_max": n}),
    "exponential": Recipe(ExponentialLR, lambda optimizer, n: {"gamma": 0.01 ** (1 / n)}),
    "linear": Recipe(
        LinearLR, lambda optimizer, n: {"start_factor": 1.0, "end_factor": 0.0, "total_iters": n}
    ),
    "onecycle": Recipe(OneCycleLR, _one_cycle_options),
    "plateau": Recipe(ReduceLROnPlateau, lambda optimizer, n: {"patience": max(1, n // 10)}),
    "step": Recipe(StepLR, lambda optimizer, n: {"step_size": max(1, round(n / 3))}),
    "warmup_cosine": Recipe(
        _warmup_cosine, lambda optimizer, n: {"total_steps": n, "warmup_steps": round(n / 10)}
    ),
}


def schedule(
    name: str, optimizer: Optimizer, total_steps: int, **options: Any
) -> Schedule | ReduceLROnPlateau | None:
    """A new schedule that is as long as training: what a ``Trainer`` takes.

    =================  ======================================================================
    ``constant``       None: the learning rate stays
    ``cosine``         ``CosineAnnealingLR``, down to 0
    ``linear``         ``LinearLR``, down to 0
    ``exponential``    ``ExponentialLR``, down to 1 % of the learning rate
    ``step``           ``StepLR``, to a tenth after each third
    ``onecycle``       ``OneCycleLR``, up to the optimizer's learning rate
    ``warmup_cosine``  ``LinearWarmup`` for a tenth, then ``CosineAnnealingLR`` down to 0
    ``plateau``        ``ReduceLROnPlateau``, to a tenth when a tenth of the steps did no good
    =================  ======================================================================

    Args:
        name: one of ``SCHEDULES``.
        optimizer: whose learning rate to change.
        total_steps: how often the schedule's ``step`` will be called. For a ``Trainer`` these are
            epochs, or with ``schedule_per="step"`` the steps of all epochs together; a plateau
            goes by epochs.
        options: the arguments of the class above, in place of those that make it so long;
            ``warmup_cosine`` takes ``warmup_steps`` and ``eta_min``.

    Raises:
        UnknownNameError: there is no schedule of that name, or it has no such option.
        ConfigurationError: ``total_steps`` or an option is out of its range, or ``constant`` was
            given one.

    >>> import nn
    >>> optimizer = nn.optim.SGD(nn.Linear(2, 1).parameters(), lr=1.0)
    >>> [round(lr, 3) for lr in nn.optim.schedule("cosine", optimizer, 4).curve(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    if name not in SCHEDULES:
        raise UnknownNameError("schedule", name, SCHEDULES)
    if not isinstance(total_steps, int) or total_steps < 1:
        raise ConfigurationError(f"total_steps must be a positive integer, not {total_steps!r}")
    recipe = SCHEDULES[name]
    _check_options(f"the schedule {name!r}", recipe.make, options)
    return recipe.make(optimizer, **{**recipe.options(optimizer, total_steps), **options})


def _check_options(what: str, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Raise an UnknownNameError for an option that ``make`` does not take."""
    # The first is what it is made of: parameters, or an optimizer.
    known = list(inspect.signature(make).parameters)[1:]
    for name in options:
        if not known:
            raise ConfigurationError(f"{what} has no options, and was given {name}")
        if name not in known:
            raise UnknownNameError(f"option of {what}", name, known)
