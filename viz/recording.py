"""What training does inside a model, recorded step by step.

A recorder takes snapshots while a model learns. It asks of a model no more than that it names its
parameters and modules, and calls hooks after their forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np

from tinygrad_edu import Node, OperandError, TinygradError, Value, is_grad_enabled
from tinygrad_edu.graph import plain
from tinygrad_edu.trees import leaves
from viz.snapshots import KINDS, Snapshot, Summary, packed, unpacked

__all__ = ["Recorder", "RecordingError", "Snapshot", "Summary", "recorder"]

Array = np.ndarray[Any, Any]


class RecordingError(TinygradError, ValueError):
    """A recorder that is used in a way, or given a state, that it cannot go on from."""


def recorder(model: Any, every: int = 1, keep: int = 100) -> Recorder:
    """A recorder of what training does inside ``model``: pass it to a ``Trainer`` as a callback.

    In a loop of one's own, the loop goes into ``with recorder:``, and every step calls
    ``recorder.take(loss)`` after ``backward`` and before anything changes gradients or weights.

    There is a snapshot of step 1, and of every so many steps after it. When there are ``keep``,
    every second one goes, and from then on they are taken twice as far apart: so that a run of any
    length ends with ``keep / 2`` to ``keep``, evenly spaced, and with many at first, for short
    runs. Steps between are not looked at and cost nothing. One that is recorded holds what its
    modules return, and the gradients by it, in memory until its end.

    Training is not changed: with and without a recorder a run ends with the same weights.

    Args:
        model: an ``nn.Module``, or what has its ``named_parameters``, ``named_modules`` and hooks.
        every: so many steps from one snapshot to the next, at first.
        keep: the largest number of snapshots, at least 2.

    Raises:
        OperandError: the model is no such thing.
        RecordingError: ``every`` or ``keep`` is out of range.

    >>> import nn, viz
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> seen, optimizer = viz.recorder(model, keep=4), nn.optim.SGD(model.parameters())
    >>> trainer = nn.training.Trainer(model, optimizer, callbacks=[seen])
    >>> history = trainer.fit(nn.data.DataLoader(nn.data.moons(96), 16), epochs=2)
    >>> [snapshot.step for snapshot in seen.snapshots]
    [1, 5, 9]
    >>> list(seen.snapshots[0].activations), list(seen.snapshots[0].gradients)
    (['0', '1', '2'], ['0.weight', '0.bias', '2.weight', '2.bias'])
    """
    return Recorder(model, every, keep)


class Recorder:
    """What ``recorder`` returns.

    Values, as in ``nn.MLP``, are summed up by layer: the weights and activations of the neurons
    side by side are one array. Of a module that returns several Tensors, the first is looked at.
    A pass in ``eval`` mode or under ``no_grad`` is not.

    Attributes:
        model: what it looks at.
        every: how many steps there are from one snapshot to the next by now.
        keep: the largest number of snapshots.
    """

    def __init__(self, model: Any, every: int = 1, keep: int = 100) -> None:
        check_model("a recorder", model)
        self.model = model
        self.every = self._asked = _integer("every", every, 1)
        self.keep = _integer("keep", keep, 2)
        self._snapshots: list[Snapshot] = []
        self._step = 0
        self._open = False
        self._flow = _Flow()
        self._remove: list[Callable[[], None]] = []
        self._weights: dict[str, Array] | None = None  # from before the step under way
        self._seen = 0.0, 0  # the Trainer's sum of losses and its samples before a step

    @property
    def snapshots(self) -> list[Snapshot]:
        """Those taken so far, a step each, in order."""
        self._finish_updates(over=False)
        return list(self._snapshots)

    # In a loop of one's own.

    def __enter__(self) -> Self:
        self._open = True
        self._look_at(self._step + 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._finish_updates(over=True)
        self._look_away()

    def take(self, loss: Any = None) -> None:
        """Count a step, and record it if its turn has come.

        Args:
            loss: of the batch: a scalar Value or Tensor, or a number.

        Raises:
            RecordingError: this is not in a ``with`` of the recorder, or the loss is no number.

        >>> import nn, viz
        >>> import tinygrad_edu as tg
        >>> model = nn.MLP(2, [4, 1], "tanh")
        >>> optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
        >>> with viz.recorder(model) as recorder:
        ...     for _ in range(3):
        ...         model.zero_grad()
        ...         loss = (model([1.0, -2.0]) - 1) ** 2
        ...         loss.backward()
        ...         recorder.take(loss)
        ...         optimizer.step()
        >>> list(recorder.snapshots[-1].updates)
        ['layers.0.weights', 'layers.0.bias', 'layers.1.weights', 'layers.1.bias']
        """
        number = None if loss is None else _loss(loss)
        if not self._open:
            raise RecordingError(
                "take() belongs into `with recorder:`, around the whole loop, so that the"
                " activations are seen as well"
            )
        self._finish_updates(over=True)
        self._step += 1
        self._record(number)
        self._look_at(self._step + 1)

    # As a callback of a Trainer.

    def on_fit_start(self, trainer: Any, batches: Any, epochs: int) -> None:
        """Begin to look at the model; forget the run before, if this is a new one."""
        if trainer.model is not self.model:
            raise RecordingError(
                "this recorder is of another model than the Trainer's: make one of this model"
            )
        if not trainer.steps:
            self._snapshots, self.every = [], self._asked
        self._step, self._seen, self._weights = trainer.steps, (0.0, 0), None
        self._look_at(self._step + 1)

    def on_backward(self, trainer: Any) -> None:
        """Record a step if its turn has come: where it starts from, before clipping."""
        # An optimizer that searches along a line, LBFGS, comes here several times in a step.
        if self._step == trainer.steps:
            self._step += 1
            self._record(None)
            self._look_away()

    def on_step(self, trainer: Any) -> None:
        """See how far the weights went."""
        total, samples = self._seen
        recorded = self._weights is not None
        next_one = self._is_due(self._step + 1)
        if recorded or next_one:
            self._seen = trainer.scores()["loss"] * trainer.samples, trainer.samples
        if recorded:
            loss = (self._seen[0] - total) / (self._seen[1] - samples)
            self._snapshots[-1] = replace(self._snapshots[-1], loss=loss)
            self._finish_updates(over=True)
        self._look_at(self._step + 1)

    def on_epoch_end(self, trainer: Any, row: Any) -> None:
        """Nothing: the epoch's row says nothing of the inside."""

    def on_epoch_over(self, trainer: Any) -> None:
        """The Trainer starts to sum losses up anew."""
        self._seen = 0.0, 0

    def on_fit_end(self, trainer: Any) -> None:
        """Look at the model no more."""
        self._weights = None
        self._look_away()

    # Looking.

    def _is_due(self, step: int) -> bool:
        return (step - 1) % self.every == 0

    def _look_at(self, step: int) -> None:
        """Have the leaf modules tell of what they return in a step, if it is one to record."""
        self._look_away()
        if self._is_due(step):
            layers = _layers(self.model)
            for path, module in self.model.named_modules():
                if not any(module.named_children()):
                    hook = self._hook(path, layers.get(path, path))
                    self._remove.append(module.register_forward_hook(hook))

    def _look_away(self) -> None:
        for remove in self._remove:
            remove()
        self._remove = []
        self._flow = _Flow()

    def _hook(self, path: str, layer: str) -> Callable[..., None]:
        def look(module: Any, inputs: Any, output: Any) -> None:
            if is_grad_enabled() and getattr(self.model, "training", True):
                self._flow.add(path, layer, output)

        return look

    def _record(self, loss: float | None) -> None:
        """Take the snapshot of this step, if it is one to record."""
        while self._is_due(self._step) and len(self._snapshots) >= self.keep:
            self.every *= 2
            self._snapshots = [each for each in self._snapshots if self._is_due(each.step)]
        if not self._is_due(self._step):
            return
        groups = parameter_groups(self.model)
        self._weights = {path: _entries(group) for path, group in groups.items()}
        gradients = {path: gradient_of(group) for path, group in groups.items()}
        self._snapshots.append(
            Snapshot(
                step=self._step,
                loss=loss,
                parameters={path: Summary.of(w) for path, w in self._weights.items()},
                gradients={path: Summary.of(g) for path, g in gradients.items() if g is not None},
                updates={},
                activations=self._flow.activations(),
                activation_gradients=self._flow.gradients(),
            )
        )

    def _finish_updates(self, over: bool) -> None:
        """Compare the weights with those before the step, if it is over or they have changed."""
        if self._weights is None:
            return
        now = {path: _entries(group) for path, group in parameter_groups(self.model).items()}
        changed = any(
            path in now and not np.array_equal(now[path], w, equal_nan=True)
            for path, w in self._weights.items()
        )
        if over or changed:
            self._snapshots[-1].updates.update(
                {p: _update(w, now[p]) for p, w in self._weights.items() if p in now}
            )
            self._weights = None

    # In and out.

    def to_dict(self) -> dict[str, Any]:
        """All snapshots as nested dicts of what JSON has; nan and inf are None."""
        snapshots = [snapshot.to_dict() for snapshot in self.snapshots]
        return {"every": self.every, "snapshots": snapshots}

    def state_dict(self) -> dict[str, Any]:
        """All snapshots and where the counting is."""
        return {
            "asked": self._asked,
            "every": self.every,
            "step": self._step,
            **packed(self.snapshots),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            RecordingError: it is not of a recorder, or of one of another model or with another
                ``every``. Nothing was changed.
        """
        if state.keys() != self.state_dict().keys():
            raise RecordingError("this is no state of a recorder, as its state_dict() returns it")
        if state["asked"] != self._asked:
            raise RecordingError(
                f"this recorder has every={self._asked}, and what it is to go on from has"
                f" every={state['asked']}"
            )
        recorded, own = list(state["parameters"]), list(parameter_groups(self.model))
        if recorded and set(recorded) != set(own):
            raise RecordingError(
                f"the state is of a model with {', '.join(recorded)}, and this one has"
                f" {', '.join(own)}: another model takes another recorder"
            )
        self._snapshots = unpacked(state)
        self.every, self._step, self._weights = state["every"], state["step"], None

    def __repr__(self) -> str:
        n = len(self._snapshots)
        return f"<Recorder of {type(self.model).__name__}: {n} snapshots, {self.every} steps apart>"

    def __str__(self) -> str:
        if not self._snapshots:
            return "Recorder: no snapshots yet"
        last = self.snapshots[-1]
        loss = "" if last.loss is None else f", loss {last.loss:.4g}"
        lines = [f"step {last.step}{loss}; {len(self._snapshots)} snapshots, {self.every} apart"]
        lines += _columns(["parameter", "norm", "gradient", "|Δw|/|w|"], _parameter_rows(last))
        if last.activations:
            header = ["output of", "mean", "std", "zero", "dead", "saturated", "gradient"]
            lines += ["", *_columns(header, _activation_rows(last))]
        if bad := _nonfinite(last):
            lines += ["", *(f"{what}: {n} nan or infinite" for what, n in bad.items())]
        return "\n".join(lines)


class _Flow:
    """What went through the leaf modules since the last step: arrays, and no graph."""

    def __init__(self) -> None:
        self._outputs: dict[str, dict[str, list[Array]]] = {}
        self._gradients: dict[str, list[Any]] = {}
        self._limits: dict[str, set[tuple[float, float] | None]] = {}

    def add(self, path: str, layer: str, output: Any) -> None:
        """Take in what a module returned, and wait for the gradient by it.

        Args:
            path: the module's.
            layer: that of the module in which its Values are summed up.
            output: what it returned.
        """
        nodes = [x for x in leaves(output) if isinstance(x, Node)]
        if not nodes:
            return
        if isinstance(nodes[0], Value):  # a sample's
            place, entries = layer, np.array([[x.data for x in nodes]])
        else:
            nodes = nodes[:1]
            place, entries = path, np.atleast_1d(nodes[0].data)
        if entries.dtype.kind != "f":
            return
        self._outputs.setdefault(place, {}).setdefault(path, []).append(entries)
        self._limits.setdefault(place, set()).update(map(_limits, nodes))
        for x in nodes:
            if x.requires_grad:
                x.register_hook(self._waiting(self._gradients.setdefault(place, [])))

    def _waiting(self, found: list[Any]) -> Callable[[Any], None]:
        """A hook that adds up the gradients of a node, over several backward passes."""
        i = len(found)
        found.append(None)

        def arrived(g: Any) -> None:
            found[i] = plain(g) if found[i] is None else found[i] + plain(g)

        return arrived

    def activations(self) -> dict[str, Summary]:
        """By place, what was returned there."""
        summaries = {}
        for place, outputs in self._outputs.items():
            limits = self._limits[place]
            only = next(iter(limits)) if len(limits) == 1 else None
            joined = _joined([_joined(calls, axis=0) for calls in outputs.values()], axis=1)
            summaries[place] = Summary.of(joined, only, units=True)
        return summaries

    def gradients(self) -> dict[str, Summary]:
        """By place, the gradients by it, where any arrived."""
        arrived = {
            place: [np.ravel(g) for g in found if g is not None]
            for place, found in self._gradients.items()
        }
        return {at: Summary.of(np.concatenate(found)) for at, found in arrived.items() if found}


def _joined(arrays: Sequence[Array], axis: int) -> Array:
    """Arrays along an axis; if they don't fit, all their entries in a row."""
    if len(arrays) == 1:
        return arrays[0]
    others = {(x.ndim, *np.delete(x.shape, axis)) if x.ndim > axis else None for x in arrays}
    if len(others) == 1 and None not in others:
        return np.concatenate(arrays, axis)
    return np.concatenate([x.ravel() for x in arrays])


def _limits(node: Node) -> tuple[float, float] | None:
    """What the activation that made a node tends to, at least and at most."""
    name = "" if node.op is None else node.op.name
    if name == "hardtanh":
        bounds = node.op.defaults | (node.attrs or {})  # type: ignore[union-attr]
        return float(bounds["min_val"]), float(bounds["max_val"])
    return _LIMITS.get(name)


_LIMITS = {"tanh": (-1.0, 1.0), "softsign": (-1.0, 1.0), "sigmoid": (0.0, 1.0)}


# Places in a model. Neurons side by side are a tuple of their layer, ``neurons.0``, ``neurons.1``
# and so on. Their Values are summed up by layer, since a single number has no distribution.


def _layers(model: Any) -> dict[str, str]:
    """The path of the module around it, for each module that is one of a tuple."""
    return {
        _join(path, name): path
        for path, module in model.named_modules()
        for name, _ in module.named_children()
        if "." in name
    }


def check_model(what: str, model: Any) -> None:
    """Raise an OperandError unless ``what`` can ask a model for its parameters and modules."""
    for name in ("named_parameters", "named_modules"):
        if isinstance(model, type) or not callable(getattr(model, name, None)):
            raise OperandError(
                f"{what} takes a model that has named_parameters() and named_modules(), as an"
                f" nn.Module, not {model!r:.60}"
            )


def parameter_groups(model: Any) -> dict[str, list[Any]]:
    """The parameters by path: a Tensor, or the Values that are summed up."""
    modules, layers = {path for path, _ in model.named_modules()}, _layers(model)
    groups: dict[str, list[Any]] = {}
    for path, parameter in model.named_parameters():
        place = path
        if isinstance(parameter, Value):
            owner = path.rpartition(".")[0]
            while owner not in modules:
                owner = owner.rpartition(".")[0]
            name = path.removeprefix(f"{owner}.").partition(".")[0]
            place = _join(layers.get(owner, owner), name)
        groups.setdefault(place, []).append(parameter)
    return groups


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _entries(group: Sequence[Any]) -> Array:
    """A copy of a parameter's data, or the numbers of several Values."""
    return np.array(group[0].data if len(group) == 1 else [p.data for p in group])


def gradient_of(group: Sequence[Any]) -> Array | None:
    """The gradients of what learns, likewise."""
    found = [plain(p.grad) for p in group if p.requires_grad and p.grad is not None]
    return np.asarray(found[0] if len(found) == 1 else found) if found else None


def _update(before: Array, after: Array) -> float:
    """|Δw| / |w| with L2 norms."""
    if before.shape != after.shape:
        return math.nan
    pair = np.stack([before, after]).astype(np.float64)
    # The quotient is the same for w of any scale; in this one no square overflows.
    before, after = np.ldexp(pair, -math.frexp(float(np.abs(pair).max(initial=0.0)))[1])
    change, size = (float(np.linalg.norm(x.ravel())) for x in (after - before, before))
    if size == 0:
        return math.inf if change else 0.0
    return change / size


def _integer(name: str, value: Any, low: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise RecordingError(
            f"{name} of a recorder must be an integer of at least {low}, not {value!r}"
        )
    return int(value)


def _loss(loss: Any) -> float:
    number = np.asarray(plain(loss))
    if number.dtype.kind not in "fiu" or number.size != 1:
        what = f"an array of shape {number.shape}" if number.dtype.kind in "fiu" else repr(loss)
        raise RecordingError(f"the loss of a step is one number, not {what:.60}")
    return float(number.item())


# On paper.


def _columns(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of cells below a header: names to the left, numbers to the right."""
    cells = [header, *rows]
    first, *others = (max(map(len, column)) for column in zip(*cells, strict=True))
    return [
        "  ".join([line[0].ljust(first), *map(str.rjust, line[1:], others)]).rstrip()
        for line in cells
    ]


def _parameter_rows(snapshot: Snapshot) -> list[list[str]]:
    rows = []
    for path, summary in snapshot.parameters.items():
        gradient, update = snapshot.gradients.get(path), snapshot.updates.get(path)
        norms = [f"{summary.norm:.3g}", "none" if gradient is None else f"{gradient.norm:.3g}"]
        rows.append([path, *norms, "–" if update is None else f"{update:.2g}"])
    return rows


def _activation_rows(snapshot: Snapshot) -> list[list[str]]:
    rows = []
    for path, x in snapshot.activations.items():
        gradient = snapshot.activation_gradients.get(path)
        shares = [_percent(share) for share in (x.zero_share, x.dead_share, x.saturated_share)]
        norm = "none" if gradient is None else f"{gradient.norm:.3g}"
        rows.append([path or "(model)", f"{x.mean:.3g}", f"{x.std:.3g}", *shares, norm])
    return rows


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _nonfinite(snapshot: Snapshot) -> dict[str, int]:
    """How many numbers are nan or infinite, by what they are."""
    return {
        f"{kind.replace('_', ' ')} of {path or 'the model'}": summary.nonfinite
        for kind in KINDS
        for path, summary in getattr(snapshot, kind).items()
        if summary.nonfinite
    }
