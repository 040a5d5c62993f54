"""Schedules: how the learning rate changes from step to step (or epoch to epoch).

A schedule is a function of the number of steps, ``at``. All else is in the base class, so schedules
can be put one after the other, on top of each other, and drawn before training starts.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nn.checks import check_integer, check_number, check_probability
from nn.errors import ConfigurationError, TrainingError
from nn.optim.optimizer import Optimizer
from nn.optim.state import check_names, flatten, unflatten
from tinygrad_edu import UnknownNameError
from tinygrad_edu.graph import plain


class Schedule:
    """The base of the schedules; a subclass writes ``at``.

    Making one sets the learning rate of step 0. What others make of the learning rate meanwhile (a
    second schedule, ``ReduceLROnPlateau``, you) is kept: the schedule goes on from there.

    Args:
        optimizer: whose groups to set the learning rate of.

    Attributes:
        last_epoch: the number of steps so far, which PyTorch calls so.
        base_lrs: the learning rate of every group that the schedule starts from.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ConfigurationError(
                f"{type(self).__name__} takes an optimizer, not {type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs: list[float]
        self._set(0, [group["lr"] for group in optimizer.param_groups])

    def at(self, t: int, lr: float, group: int) -> float:
        """The learning rate of a group after ``t`` steps, if it starts from ``lr``."""
        raise TypeError(f"{type(self).__name__} has no formula: a subclass defines at()")

    def momentum_at(self, t: int, group: int) -> float | None:
        """The momentum after ``t`` steps, or None to leave it alone."""
        return None

    def step(self) -> None:
        """Set the learning rates of the next step: after ``optimizer.step()``."""
        _check_groups(self, len(self.base_lrs), self.optimizer)
        # Where another hand has set the rate, that is what the rest of the schedule scales from.
        now = [group["lr"] for group in self.optimizer.param_groups]
        self._set(
            self.last_epoch + 1,
            [
                base * lr / last if lr != last and last else base
                for base, lr, last in zip(self.base_lrs, now, self._last_lrs, strict=True)
            ],
        )

    def _set(self, t: int, base_lrs: list[float]) -> None:
        lrs = [self.at(t, lr, i) for i, lr in enumerate(base_lrs)]
        momenta = [self.momentum_at(t, i) for i in range(len(lrs))]
        for group, lr, momentum in zip(self.optimizer.param_groups, lrs, momenta, strict=True):
            group["lr"] = lr
            if momentum is not None:
                _set_momentum(group, momentum)
        self.last_epoch, self.base_lrs, self._last_lrs = t, base_lrs, lrs

    def get_last_lr(self) -> list[float]:
        """The learning rate that the schedule last set, of every group."""
        return list(self._last_lrs)

    def curve(self, steps: int, group: int = 0) -> list[float]:
        """The learning rates of the next ``steps`` steps, from that of now on; nothing changes.

        >>> import nn
        >>> optimizer = nn.optim.SGD(nn.Linear(2, 1).parameters(), lr=1.0)
        >>> nn.optim.StepLR(optimizer, step_size=2, gamma=0.5).curve(6)
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
        """
        start = self.last_epoch
        return [self.at(t, self.base_lrs[group], group) for t in range(start, start + steps)]

    def state_dict(self) -> dict[str, Any]:
        """Where the schedule is, as flat names and numbers; its shape is the constructor's."""
        return flatten(
            {
                "last_epoch": self.last_epoch,
                "base_lrs": list(map(float, self.base_lrs)),
                "last_lrs": list(map(float, self._last_lrs)),
                "lrs": [float(group["lr"]) for group in self.optimizer.param_groups],
            }
        )

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where ``state_dict`` was, and set the optimizer's learning rates as they were.

        Raises:
            StateDictError: it is that of another kind of schedule. Nothing was loaded.
        """
        check_names(type(self).__name__, self.state_dict(), state)
        tree = unflatten(state)
        self._set(tree["last_epoch"], tree["base_lrs"])
        self._last_lrs = tree["last_lrs"]
        for group, lr in zip(self.optimizer.param_groups, tree["lrs"], strict=True):
            group["lr"] = lr


class LambdaLR(Schedule):
    """lr f(t).

    Args:
        optimizer: see ``Schedule``.
        lr_lambda: f, or one for every group.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
    ) -> None:
        self._factors = _per_group("lr_lambda", lr_lambda, optimizer)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """lr f(t)."""
        return lr * self._factors[group](t)


class StepLR(Schedule):
    """lr gamma^⌊t / step_size⌋.

    Args:
        optimizer: see ``Schedule``.
        step_size: after how many steps it falls.
        gamma: by what factor.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = check_integer("step_size", step_size)
        self.gamma = check_number("gamma", gamma)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """lr gamma^⌊t / step_size⌋."""
        return lr * self.gamma ** (t // self.step_size)


class MultiStepLR(Schedule):
    """lr gamma^n, where n of the milestones are at most t.

    Args:
        optimizer: see ``Schedule``.
        milestones: the steps at which it falls.
        gamma: by what factor.
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1) -> None:
        self.milestones = sorted(milestones)
        self.gamma = check_number("gamma", gamma)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """lr gamma^n."""
        return lr * self.gamma ** bisect_right(self.milestones, t)


class ConstantLR(Schedule):
    """lr factor for the first ``total_iters`` steps, then lr."""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5) -> None:
        self.factor = check_number("factor", factor)
        self.total_iters = check_integer("total_iters", total_iters)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """lr factor, or lr."""
        return lr * self.factor if t < self.total_iters else lr


class LinearLR(Schedule):
    """lr times a factor that goes evenly from start_factor to end_factor in total_iters steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ) -> None:
        self.start_factor = check_number("start_factor", start_factor)
        self.end_factor = check_number("end_factor", end_factor)
        self.total_iters = check_integer("total_iters", total_iters)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """lr (start + (end - start) t / total_iters)."""
        share = min(t, self.total_iters) / self.total_iters
        return lr * (self.start_factor + (self.end_factor - self.start_factor) * share)


class LinearWarmup(Schedule):
    """lr min(1, (t + 1) / warmup_steps): small at first, while Adam's moments are young.

    Source: Goyal et al., 2017, section 2.2.

    >>> import nn
    >>> optimizer = nn.optim.Adam(nn.Linear(2, 1).parameters(), lr=1.0)
    >>> warmup = nn.optim.LinearWarmup(optimizer, warmup_steps=4)
    >>> decay = nn.optim.CosineAnnealingLR(optimizer, T_max=4)
    >>> schedule = nn.optim.SequentialLR(optimizer, [warmup, decay], milestones=[4])
    >>> [round(lr, 3) for lr in schedule.curve(8)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 0.854, 0.5, 0.146]
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: int) -> None:
        self.warmup_steps = check_integer("warmup_steps", warmup_steps)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """lr min(1, (t + 1) / warmup_steps)."""
        return lr * min(1.0, (t + 1) / self.warmup_steps)


class ExponentialLR(Schedule):
    """lr gammaᵗ."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = check_number("gamma", gamma)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """lr gammaᵗ."""
        return lr * self.gamma**t


class PolynomialLR(Schedule):
    """lr (1 - t / total_iters)^power, and 0 from then on."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0) -> None:
        self.total_iters = check_integer("total_iters", total_iters)
        self.power = check_number("power", power)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """lr (1 - t / total_iters)^power."""
        return lr * (1 - min(t, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(Schedule):
    """eta_min + ½ (lr - eta_min) (1 + cos(π t / T_max)); it rises again after T_max steps.

    Source: Loshchilov and Hutter, 2017, equation 5.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:  # noqa: N803
        self.T_max = check_integer("T_max", T_max)
        self.eta_min = check_number("eta_min", eta_min)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """Half a period of a cosine, from lr down to eta_min."""
        return _cosine(lr, self.eta_min, t / self.T_max)


class CosineAnnealingWarmRestarts(Schedule):
    """``CosineAnnealingLR`` that starts over after T_0 steps, then T_0 T_mult, T_0 T_mult², ...

    Source: Loshchilov and Hutter, 2017, section 3.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,  # noqa: N803
        T_mult: int = 1,  # noqa: N803
        eta_min: float = 0.0,
    ) -> None:
        self.T_0, self.T_mult = check_integer("T_0", T_0), check_integer("T_mult", T_mult)
        self.eta_min = check_number("eta_min", eta_min)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """The cosine of the period that t is in."""
        period = self.T_0
        if self.T_mult == 1:
            t %= period
        while t >= period:
            t -= period
            period *= self.T_mult
        return _cosine(lr, self.eta_min, t / period)


class OneCycleLR(Schedule):
    """From max_lr / div_factor up to max_lr, then far down; the momentum goes the other way.

    Step after every batch. Source: Smith and Topin, 2018; the phases as in PyTorch.

    Args:
        optimizer: see ``Schedule``.
        max_lr: the highest learning rate, or that of every group.
        total_steps: the length of the cycle; or give
        epochs: the number of epochs, and
        steps_per_epoch: of steps in each.
        pct_start: the share of the steps that go up.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: whether the momentum (or β₁) changes.
        base_momentum: its lowest value, or that of every group.
        max_momentum: its highest.
        div_factor: max_lr by the first learning rate.
        final_div_factor: the first by the last.
        three_phase: come down to the first learning rate as fast as it went up, then lower.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ConfigurationError(
                    "OneCycleLR needs total_steps, or epochs and steps_per_epoch"
                )
            total_steps = check_integer("epochs", epochs) * check_integer(
                "steps_per_epoch", steps_per_epoch
            )
        self.total_steps = check_integer("total_steps", total_steps)
        check_probability("pct_start", pct_start)
        if anneal_strategy not in _ANNEALING:
            raise UnknownNameError("anneal_strategy", anneal_strategy, _ANNEALING)
        self._anneal = _ANNEALING[anneal_strategy]
        self.max_lrs = _per_group("max_lr", max_lr, optimizer)
        self._momenta: list[tuple[float, float]] | None = None
        if cycle_momentum:
            if any("momentum" not in g and "betas" not in g for g in optimizer.param_groups):
                raise ConfigurationError(
                    f"{type(optimizer).__name__} has no momentum: pass cycle_momentum=False"
                )
            low = _per_group("base_momentum", base_momentum, optimizer)
            high = _per_group("max_momentum", max_momentum, optimizer)
            for name, momenta in ("base_momentum", low), ("max_momentum", high):
                for momentum in momenta:
                    check_number(name, momentum, 0, 1)
            self._momenta = list(zip(low, high, strict=True))
        # The learning rates between which it goes, as shares of max_lr, and the phases: the last
        # step of each, and which of those it goes from and to.
        first = 1 / check_number("div_factor", div_factor)
        self._shares = (first, 1.0, first / check_number("final_div_factor", final_div_factor))
        up, end = pct_start * self.total_steps - 1, self.total_steps - 1
        self._phases: list[tuple[float, int, int]] = [(up, _FIRST, _TOP), (end, _TOP, _LAST)]
        if three_phase:
            self._phases[1:] = [(2 * up, _TOP, _FIRST), (end, _FIRST, _LAST)]
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """``max_lr`` times what the phase gives; ``lr`` has no say."""
        progress, *ends = self._phase(t)
        start, end = (self.max_lrs[group] * self._shares[i] for i in ends)
        return self._anneal(start, end, progress)

    def momentum_at(self, t: int, group: int) -> float | None:
        """High where the learning rate is low."""
        if self._momenta is None:
            return None
        (low, high), (progress, *ends) = self._momenta[group], self._phase(t)
        start, end = (low if i == _TOP else high for i in ends)
        return self._anneal(start, end, progress)

    def _phase(self, t: int) -> tuple[float, int, int]:
        """How far t is in its phase, and the ends of that."""
        if t > self.total_steps:
            raise TrainingError(
                f"OneCycleLR was made for {self.total_steps} steps, and this is one more"
            )
        t = min(t, self.total_steps - 1)  # the step after the last changes nothing
        i = min(bisect_left([last for last, _, _ in self._phases], t), len(self._phases) - 1)
        begin = self._phases[i - 1][0] if i else 0.0
        last, start, end = self._phases[i]
        return (t - begin) / (last - begin) if last > begin else 1.0, start, end


_FIRST, _TOP, _LAST = range(3)


class SequentialLR(Schedule):
    """One schedule after the other.

    Args:
        optimizer: see ``Schedule``.
        schedulers: what to go through. Each starts from the optimizer's first learning rate.
        milestones: the steps at which the second, the third, ... takes over.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]
    ) -> None:
        self._schedules = _of_optimizer(optimizer, schedulers)
        self.milestones = list(milestones)
        if len(self.milestones) != len(self._schedules) - 1 or self.milestones != sorted(
            set(self.milestones)
        ):
            raise ConfigurationError(
                f"SequentialLR of {len(self._schedules)} schedules takes"
                f" {len(self._schedules) - 1} rising milestones, not {milestones!r}"
            )
        _start_over(optimizer)
        super().__init__(optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """What the schedule whose turn it is gives."""
        schedule, t = self._current(t)
        return schedule.at(t, lr, group)

    def momentum_at(self, t: int, group: int) -> float | None:
        """What the schedule whose turn it is gives."""
        schedule, t = self._current(t)
        return schedule.momentum_at(t, group)

    def _current(self, t: int) -> tuple[Schedule, int]:
        i = bisect_right(self.milestones, t)
        return self._schedules[i], t - (self.milestones[i - 1] if i else 0)


class ChainedScheduler(Schedule):
    """All at once: each goes by the learning rate that the one before it gives.

    Args:
        schedulers: of one optimizer.
        optimizer: which one; by default that of the first.
    """

    def __init__(self, schedulers: Sequence[Schedule], optimizer: Optimizer | None = None) -> None:
        if optimizer is None and schedulers:
            optimizer = schedulers[0].optimizer
        self._schedules = _of_optimizer(optimizer, schedulers)
        _start_over(self._schedules[0].optimizer)
        super().__init__(self._schedules[0].optimizer)

    def at(self, t: int, lr: float, group: int) -> float:
        """The composition of the schedules."""
        for schedule in self._schedules:
            lr = schedule.at(t, lr, group)
        return lr

    def momentum_at(self, t: int, group: int) -> float | None:
        """That of the last schedule which has one."""
        momenta = [schedule.momentum_at(t, group) for schedule in self._schedules]
        return next((m for m in reversed(momenta) if m is not None), None)


class ReduceLROnPlateau:
    """lr ← factor lr, when a metric has not become better for ``patience`` steps.

    Args:
        optimizer: whose learning rates to lower.
        mode: ``"min"`` if the metric should fall, ``"max"`` if it should rise.
        factor: in (0, 1).
        patience: how many steps without progress to stand; the next one lowers the rate.
        threshold: how much better is better.
        threshold_mode: whether that is a share of the best value (``"rel"``) or not (``"abs"``).
        cooldown: how many steps not to count after the rate was lowered.
        min_lr: where to stop, or that of every group.
        eps: a change of the learning rate that is not worth making.

    Attributes:
        best: the best value so far.
        num_bad_epochs: how many steps ago that was, cooling down apart.
        last_epoch: the number of steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max"):
            raise UnknownNameError("mode of ReduceLROnPlateau", mode, ["min", "max"])
        if threshold_mode not in ("rel", "abs"):
            raise UnknownNameError("threshold_mode", threshold_mode, ["rel", "abs"])
        check_number("factor of ReduceLROnPlateau", factor, 0, 1)
        check_number("patience", patience)
        check_number("cooldown", cooldown)
        self.optimizer, self.factor = optimizer, factor
        self.patience, self.cooldown, self.eps = patience, cooldown, eps
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.min_lrs = _per_group("min_lr", min_lr, optimizer)
        self.best = math.inf if mode == "min" else -math.inf
        self.last_epoch = self.num_bad_epochs = self.cooldown_counter = 0

    def step(self, metrics: Any) -> None:
        """Take note of the metric: a number, or a node of one entry."""
        _check_groups(self, len(self.min_lrs), self.optimizer)
        metric = float(np.asarray(plain(metrics)).item())
        if self._better(metric):
            self.best, self.num_bad_epochs = metric, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group, least in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
                lower = max(self.factor * group["lr"], least)
                if group["lr"] - lower > self.eps:
                    group["lr"] = lower
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self.last_epoch += 1

    def _better(self, metric: float) -> bool:
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "abs":
            return sign * metric < sign * self.best - self.threshold
        return sign * metric < sign * self.best * (1 - sign * self.threshold)

    def get_last_lr(self) -> list[float]:
        """The learning rate of every group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where it is, as flat names and numbers."""
        counters = {name: getattr(self, name) for name in _COUNTERS}
        return flatten(counters | {"lrs": list(map(float, self.get_last_lr()))})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where ``state_dict`` was, and set the optimizer's learning rates as they were."""
        check_names("ReduceLROnPlateau", self.state_dict(), state)
        tree = unflatten(state)
        for name in _COUNTERS:
            setattr(self, name, tree[name])
        for group, lr in zip(self.optimizer.param_groups, tree["lrs"], strict=True):
            group["lr"] = lr


_COUNTERS = ("last_epoch", "best", "num_bad_epochs", "cooldown_counter")


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _linear(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


_ANNEALING: dict[str, Callable[[float, float, float], float]] = {
    "cos": _cosine,
    "linear": _linear,
}


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "momentum" in group:
        group["momentum"] = momentum
    else:
        group["betas"] = (momentum, *group["betas"][1:])


def _check_groups(schedule: object, groups: int, optimizer: Optimizer) -> None:
    if len(optimizer.param_groups) != groups:
        raise ConfigurationError(
            f"{type(schedule).__name__} was made for {groups} parameter groups, and there are"
            f" {len(optimizer.param_groups)} now: make it after the last add_param_group()"
        )


def _start_over(optimizer: Optimizer) -> None:
    """Undo what the parts of a schedule made of the learning rate when they were made."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]


def _of_optimizer(optimizer: Any, schedules: Sequence[Schedule]) -> list[Schedule]:
    if not schedules:
        raise ConfigurationError("there are no schedules to combine")
    for schedule in schedules:
        if not isinstance(schedule, Schedule):
            raise ConfigurationError(
                f"{type(schedule).__name__} is no function of the step: step it beside the others"
            )
        if schedule.optimizer is not optimizer:
            raise ConfigurationError(
                f"{type(schedule).__name__} is of another optimizer than the one it is to be part"
                " of a schedule for"
            )
    return list(schedules)


def _per_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ConfigurationError(
            f"{name} needs one value, or one for each of {groups} groups, not {len(value)}"
        )
    return list(value)
