"""Recorders: callbacks that write down what training does inside a model, to look at afterwards.

They change nothing, copy what they keep, and remember it in a checkpoint. Printing one shows a
table.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from nn.checks import check_integer
from nn.errors import ConfigurationError
from nn.module import Module
from nn.optim.clipping import gradient_norm
from nn.optim.state import check_names
from nn.table import table
from nn.training.callbacks import Callback
from tinygrad_edu import Node, UnknownNameError

if TYPE_CHECKING:
    from nn.data import DataLoader
    from nn.training.trainer import Trainer

Array = np.ndarray[Any, Any]


class GradientNorms(Callback):
    """The L2 norm of the gradient, in every step, of every parameter or module and of all together.

    It is that of the whole step, before clipping. Of an optimizer that looks at several places in a
    step, LBFGS, it is the gradient at the last one. What has no gradient counts as 0.

    Args:
        per: ``"parameter"``; or ``"module"``, for the parameters that a module has itself, as one
            vector.

    Attributes:
        steps: the number of each step, from 1.
        norms: by path, a norm per step. The path of the model itself is ``""``.
        total: of all gradients as one vector, a norm per step.
        total_after: the same after clipping; where nothing clips, ``total`` itself.

    Raises:
        UnknownNameError: ``per`` is something else.

    >>> import nn
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> recorder, optimizer = nn.training.GradientNorms("module"), nn.optim.SGD(model.parameters())
    >>> trainer = nn.training.Trainer(model, optimizer, clipping=0.1, callbacks=[recorder])
    >>> history = trainer.fit(nn.data.DataLoader(nn.data.moons(96), 32), epochs=2)
    >>> recorder.steps, list(recorder.norms), len(recorder.norms["2"])
    ([1, 2, 3, 4, 5, 6], ['0', '2'], 6)
    """

    def __init__(self, per: str = "parameter") -> None:
        if per not in _GROUPS:
            raise UnknownNameError("per of GradientNorms", per, _GROUPS)
        self.per = per
        self.steps: list[int] = []
        self.norms: dict[str, list[float]] = {}
        self.total: list[float] = []
        self.total_after: list[float] = []
        self._pending: tuple[dict[str, float], float] | None = None

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Make a list for every path."""
        paths = list(_GROUPS[self.per](trainer.model))
        _check_paths(self, self.norms, paths)
        self.norms = self.norms or {path: [] for path in paths}

    def on_backward(self, trainer: Trainer) -> None:
        """Take the norms before clipping."""
        groups = _GROUPS[self.per](trainer.model)
        norms = {path: gradient_norm(parameters) for path, parameters in groups.items()}
        self._pending = norms, gradient_norm(trainer.model.parameters())

    def on_step(self, trainer: Trainer) -> None:
        """Write them down, with the norm after clipping."""
        assert self._pending is not None
        norms, total = self._pending
        clipped = trainer.clipping is not None
        self.steps.append(trainer.steps)
        for path, norm in norms.items():
            self.norms[path].append(norm)
        self.total.append(total)
        self.total_after.append(gradient_norm(trainer.model.parameters()) if clipped else total)

    def state_dict(self) -> dict[str, Any]:
        """All that was written down."""
        return {
            "per": self.per,
            "steps": list(self.steps),
            "norms": {path: np.array(norms) for path, norms in self.norms.items()},
            "total": np.array(self.total),
            "total_after": np.array(self.total_after),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            StateDictError: it is not of a ``GradientNorms``.
            ConfigurationError: it is of one with another ``per``.
        """
        check_names("GradientNorms", self.state_dict(), state)
        _check_option(self, "per", state)
        self.steps = list(state["steps"])
        self.norms = {path: norms.tolist() for path, norms in state["norms"].items()}
        self.total, self.total_after = state["total"].tolist(), state["total_after"].tolist()

    def __str__(self) -> str:
        if not self.steps:
            return "GradientNorms: no steps yet"
        header = ("gradient of", "first", "median", "largest", "in step", "last")
        rows = [self._row(path or "(model)", norms) for path, norms in self.norms.items()]
        printed = table(header, rows, self._row("total", self.total))
        clipped = np.count_nonzero(np.array(self.total_after) < np.array(self.total))
        return printed + (f"\nclipped in {clipped} of {len(self.steps)} steps" if clipped else "")

    def _row(self, name: str, norms: list[float]) -> tuple[str, ...]:
        largest = int(np.argmax(norms))
        numbers = norms[0], float(np.median(norms)), norms[largest]
        shown = (f"{x:.3g}" for x in numbers)
        return name, *shown, str(self.steps[largest]), f"{norms[-1]:.3g}"


class WeightHistograms(Callback):
    """How the entries of every parameter are distributed, before training and after epochs.

    All histograms of a parameter have the same bins, so that they can be compared bin by bin. The
    bins are [i w, (i + 1) w) with whole numbers i, and w a power of 2 that is doubled whenever the
    entries outgrow the bins. Doubling it joins neighbouring bins, so that the earlier counts stay
    right to the last entry. A parameter whose entries are all the same has one very narrow bin.

    Args:
        bins: how many a parameter has at most, 2 or more; between half of them and all are in use.
        every: after how many epochs to take one.

    Attributes:
        epochs: after how many epochs each was taken: 0, ``every``, 2 ``every`` and so on.
        counts: by path, ``(len(epochs), n)`` integers; nan and infinite entries are in no bin.
        edges: by path, the n + 1 ends of the bins.

    Raises:
        ConfigurationError: ``bins`` or ``every`` is out of range.

    >>> import nn
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> recorder, optimizer = nn.training.WeightHistograms(16), nn.optim.SGD(model.parameters())
    >>> trainer = nn.training.Trainer(model, optimizer, callbacks=[recorder])
    >>> history = trainer.fit(nn.data.moons(96), epochs=2)
    >>> recorder.epochs, recorder.counts["0.weight"].sum(axis=1)
    ([0, 1, 2], array([16, 16, 16]))
    """

    def __init__(self, bins: int = 50, every: int = 1) -> None:
        self.bins = check_integer("bins of WeightHistograms", bins)
        if self.bins < 2:
            raise ConfigurationError("bins of WeightHistograms must be at least 2: 0 is an edge")
        self.every = check_integer("every of WeightHistograms", every)
        self.epochs: list[int] = []
        self._histograms: dict[str, _Histograms] = {}

    @property
    def counts(self) -> dict[str, Array]:
        """By path, ``(len(epochs), n)`` integers."""
        return {path: each.counts.copy() for path, each in self._histograms.items()}

    @property
    def edges(self) -> dict[str, Array]:
        """By path, the n + 1 ends of the bins."""
        return {path: each.edges for path, each in self._histograms.items()}

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Take the histograms before training."""
        paths = [path for path, _ in trainer.model.named_parameters()]
        _check_paths(self, self._histograms, paths)
        if not self.epochs:
            self._histograms = {path: _Histograms() for path in paths}
            self._take(trainer.model, len(trainer.history))

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Take those after an epoch."""
        epoch = int(row["epoch"])
        if epoch % self.every == 0:
            self._take(trainer.model, epoch)

    def _take(self, model: Module, epoch: int) -> None:
        self.epochs.append(epoch)
        for path, parameter in model.named_parameters():
            self._histograms[path].add(np.asarray(parameter.data), self.bins)

    def state_dict(self) -> dict[str, Any]:
        """All histograms."""
        return {
            "bins": self.bins,
            "epochs": list(self.epochs),
            "histograms": {
                path: {"counts": each.counts.copy(), "first": each.first, "exponent": each.exponent}
                for path, each in self._histograms.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            StateDictError: it is not of ``WeightHistograms``.
            ConfigurationError: it is of others with more or fewer ``bins``.
        """
        check_names("WeightHistograms", self.state_dict(), state)
        _check_option(self, "bins", state)
        self.epochs = list(state["epochs"])
        self._histograms = {path: _Histograms(**each) for path, each in state["histograms"].items()}

    def __str__(self) -> str:
        if not self.epochs:
            return "WeightHistograms: none yet"
        which = [0] if len(self.epochs) == 1 else [0, -1]
        when = [f"after epoch {self.epochs[i]}" if self.epochs[i] else "at first" for i in which]
        rows = [
            (
                path,
                *(_bars(each.counts, i) for i in which),
                *(f"{x:.3g}" for x in each.edges[[0, -1]]),
            )
            for path, each in self._histograms.items()
        ]
        return table(("parameter", *when, "from", "to"), rows, words=1 + len(which))


class RunningStatistics(Callback):
    """The running mean and variance of every layer that keeps them, as training goes on.

    The first are those before training, the next those after every epoch.

    Args:
        every: take them after so many steps instead.

    Attributes:
        steps: after how many steps each was taken; 0 first.
        means: by path of the layer, an array ``(C,)`` for each of ``steps``.
        variances: likewise.

    Raises:
        ConfigurationError: ``every`` is no positive integer; or, once training starts, no layer
            keeps such statistics.

    >>> import nn
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    >>> recorder, optimizer = nn.training.RunningStatistics(), nn.optim.SGD(model.parameters())
    >>> trainer = nn.training.Trainer(model, optimizer, callbacks=[recorder])
    >>> history = trainer.fit(nn.data.DataLoader(nn.data.moons(96), 32), epochs=2)
    >>> recorder.steps, len(recorder.means["1"])
    ([0, 3, 6], 3)
    """

    def __init__(self, every: int | None = None) -> None:
        if every is not None:
            every = check_integer("every of RunningStatistics", every)
        self.every = every
        self.steps: list[int] = []
        self.means: dict[str, list[Array]] = {}
        self.variances: dict[str, list[Array]] = {}

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Take the statistics before training."""
        paths = list(_with_statistics(trainer.model))
        if not paths:
            raise ConfigurationError(
                "RunningStatistics finds no layer that keeps a running_mean and a running_var: a"
                " BatchNorm2d does, and an InstanceNorm2d with track_running_stats=True"
            )
        _check_paths(self, self.means, paths)
        if not self.steps:
            self.means = {path: [] for path in paths}
            self.variances = {path: [] for path in paths}
            self._take(trainer)

    def on_step(self, trainer: Trainer) -> None:
        """Take them after every so many steps."""
        if self.every is not None and trainer.steps % self.every == 0:
            self._take(trainer)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Take them after an epoch."""
        if self.every is None:
            self._take(trainer)

    def _take(self, trainer: Trainer) -> None:
        self.steps.append(trainer.steps)
        for path, layer in _with_statistics(trainer.model).items():
            self.means[path].append(np.array(layer.running_mean))
            self.variances[path].append(np.array(layer.running_var))

    def state_dict(self) -> dict[str, Any]:
        """All that was taken."""
        return {
            "steps": list(self.steps),
            "means": {path: np.stack(arrays) for path, arrays in self.means.items()},
            "variances": {path: np.stack(arrays) for path, arrays in self.variances.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            StateDictError: it is not of ``RunningStatistics``.
        """
        check_names("RunningStatistics", self.state_dict(), state)
        self.steps = list(state["steps"])
        self.means = {path: list(np.array(stack)) for path, stack in state["means"].items()}
        self.variances = {path: list(np.array(stack)) for path, stack in state["variances"].items()}

    def __str__(self) -> str:
        if not self.steps:
            return "RunningStatistics: none yet"
        which = [0] if len(self.steps) == 1 else [0, -1]
        when = [f"after step {self.steps[i]}" if self.steps[i] else "at first" for i in which]
        columns = [f"{kind} {x}" for kind in ("mean", "variance") for x in when]
        rows = [
            [
                path or "(model)",
                str(len(means[0])),
                *(_range(arrays[i]) for arrays in (means, self.variances[path]) for i in which),
            ]
            for path, means in self.means.items()
        ]
        return table(["layer", "channels", *columns], rows)


class _Histograms:
    """Counts in the bins [i, i + 1) * 2**exponent, i = first, first + 1, ...; a row per epoch."""

    def __init__(self, counts: Array | None = None, first: int = 0, exponent: int = 0) -> None:
        self.counts = np.zeros((0, 0), np.int64) if counts is None else np.array(counts)
        self.first, self.exponent = first, exponent

    @property
    def edges(self) -> Array:
        n = self.counts.shape[1]
        return np.ldexp(np.arange(self.first, self.first + n + 1, dtype=np.float64), self.exponent)

    def add(self, entries: Array, most: int) -> None:
        """A row for these entries, in ``most`` bins at most."""
        entries = entries[np.isfinite(entries)].astype(np.float64)
        if entries.size:
            self._cover(float(entries.min()), float(entries.max()), most)
        places = _bin_of(entries, self.exponent) - self.first
        row = np.bincount(places, minlength=self.counts.shape[1])
        self.counts = np.vstack([self.counts, row])

    def _cover(self, low: float, high: float, most: int) -> None:
        """Have bins from ``low`` to ``high`` too, wider ones if need be."""
        n = self.counts.shape[1]
        # The narrowest in which every place is a whole number that a float64 holds.
        exponent = max(math.frexp(max(abs(low), abs(high)))[1] - 53, -1074)
        if n:
            exponent = max(exponent, self.exponent)
        first, last = self._places(low, high, exponent)
        while last - first >= most:
            exponent += 1
            first, last = self._places(low, high, exponent)
        counts = np.zeros((len(self.counts), last - first + 1), np.int64)
        if n:
            old = np.arange(self.first, self.first + n) >> min(exponent - self.exponent, 63)
            for place, column in zip(old - first, self.counts.T, strict=True):
                counts[:, place] += column
        self.counts, self.first, self.exponent = counts, first, exponent

    def _places(self, low: float, high: float, exponent: int) -> tuple[int, int]:
        """The numbers of the first and the last bin that are needed, at this width."""
        first, last = _bin_of(np.array([low, high]), exponent).tolist()
        if n := self.counts.shape[1]:
            doubled = exponent - self.exponent
            first = min(first, self.first >> doubled)
            last = max(last, (self.first + n - 1) >> doubled)
        return first, last


def _bin_of(x: Array, exponent: int) -> Array:
    """The number of the bin of width 2^exponent that x is in: ⌊x / 2^exponent⌋."""
    scaled = np.ldexp(x, -exponent)
    # A negative number that underflows to 0 is still below it.
    return np.where((scaled == 0) & (x < 0), -1, np.floor(scaled)).astype(np.int64)


def _per_parameter(model: Module) -> dict[str, list[Node]]:
    return {path: [parameter] for path, parameter in model.named_parameters()}


def _per_module(model: Module) -> dict[str, list[Node]]:
    """The parameters of each module's own; a shared one belongs to the first."""
    groups: dict[str, list[Node]] = {}
    seen: set[Node] = set()
    for path, module in model.named_modules():
        own = [p for p in dict.fromkeys(module._parameters.values()) if p not in seen]
        seen.update(own)
        if own:
            groups[path] = own
    return groups


_GROUPS = {"parameter": _per_parameter, "module": _per_module}


def _with_statistics(model: Module) -> dict[str, Any]:
    return {
        path: module
        for path, module in model.named_modules()
        if {"running_mean", "running_var"} <= set(module._buffers)
    }


def _check_paths(recorder: Callback, recorded: Iterable[str], paths: list[str]) -> None:
    """Raise if something was recorded already, of another model."""
    recorded = list(recorded)
    if recorded and set(recorded) != set(paths):
        raise ConfigurationError(
            f"this {type(recorder).__name__} has recorded {', '.join(recorded)}, and the model has"
            f" {', '.join(paths)}: another model takes another recorder"
        )


def _check_option(recorder: Callback, name: str, state: Mapping[str, Any]) -> None:
    own = getattr(recorder, name)
    if state[name] != own:
        raise ConfigurationError(
            f"this {type(recorder).__name__} has {name}={own!r}, and what it is to go on from has"
            f" {name}={state[name]!r}"
        )


def _bars(counts: Array, row: int) -> str:
    """One row of counts as a line of bars, the largest of full height."""
    together = -(-counts.shape[1] // _WIDEST) or 1
    starts = np.arange(0, counts.shape[1], together)
    heights = np.add.reduceat(counts[row], starts) if starts.size else counts[row]
    eighths = np.ceil(8 * heights / max(heights.max(initial=0), 1)).astype(int)
    return "".join(" ▁▂▃▄▅▆▇█"[i] for i in eighths)


_WIDEST = 24  # characters, of a histogram in a table


def _range(x: Array) -> str:
    return f"{x.min():.3g} … {x.max():.3g}"
