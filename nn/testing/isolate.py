"""isolate: which module of a model is at fault, and the smallest stack that shows it.

What one would do by hand: run the model once, look at every module's activations and gradients,
check each module by itself on what it really gets, and take the rest of the model away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import tinygrad_edu as tg
from nn.containers import Sequential
from nn.errors import ModuleLawError
from nn.module import Module
from nn.testing.check_module import check_module
from nn.testing.diagnosis import INPUT, LOSS, Diagnosis, Finding, Row
from nn.testing.trial import (
    Array,
    Call,
    copied,
    fails,
    generators,
    held_modules,
    is_finite,
    record,
    seeded,
    undisturbed,
)
from tinygrad_edu import (
    AnomalyError,
    GradientMismatchError,
    Node,
    Tensor,
    TinygradError,
    Value,
    detect_anomaly,
    enable_grad,
    gradients,
    topological_order,
    trees,
)
from tinygrad_edu.testing import gradcheck

# Of so many samples a module's own gradient is checked, and so many of its calls.
SAMPLES = 32
CALLS = 2


class Thresholds(NamedTuple):
    """From where on a number is a fault; see ``isolate``."""

    dead: float
    saturated: float
    exploding: float
    vanishing: float


@undisturbed()
def isolate(
    model: Module,
    x: Any,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    *,
    dead: float = 0.9,
    saturated: float = 0.5,
    exploding: float = 1e3,
    vanishing: float = 1e-3,
) -> Diagnosis:
    """Find the first faulty module of a model, and the smallest stack that shows the fault.

    The model is run once, forward and backward, in the mode it is in, and every module's inputs,
    results and gradients are recorded. What is reported first:

    1. Errors, the first along the chain; an inner module comes before the one around it:
       ``"nan"`` or ``"inf"`` in its result or (``"nan gradient"``, ``"inf gradient"``) in what it
       passes back, where neither had come in; ``"wrong gradient"`` and the other laws of
       ``check_module`` (``"registration"``, ``"use of parameters"``, ...), which each module is
       checked for on the activations that it really gets.
    2. Causes of bad training, the first along the chain: ``"exploding activations"``, ``"dead
       units"`` (such as those of a ReLU that are 0 for the whole batch), ``"saturated units"``
       (results of tanh and sigmoid at 0.99 of the way to their bounds).
    3. Their symptoms: ``"exploding gradients"`` and ``"vanishing gradients"``, with the fewest
       modules in a row over which the gradient grows or shrinks that much.

    Args:
        model: it is copied, and left as it is.
        x: a batch, or a tuple of all that the model takes.
        target: what the loss compares with.
        loss: takes the result, and ``target`` if there is one, and returns a scalar. By default
            the cross-entropy for integer targets, the mean squared error for others, and a
            weighted mean of the result without a target.
        dead: the share of dead units, of a module's, from which on it is a fault.
        saturated: the share of saturated units from which on it is a fault.
        exploding: how many times larger a gradient, or an activation, may get on its way.
        vanishing: how small a part of it a gradient may shrink to on its way.

    Raises:
        ModuleLawError: the model cannot be copied.

    >>> import numpy as np, nn
    >>> model = nn.Sequential(nn.Linear(2, 3, rng=np.random.default_rng(0)), nn.ReLU())
    >>> model[0].bias.data -= 100
    >>> diagnosis = isolate(model, np.eye(2, dtype=np.float32))
    >>> diagnosis.path, diagnosis.kind
    ('1', 'dead units')
    """
    trial = _Trial(model, x if isinstance(x, tuple) else (x,), target, loss)
    errors, notes = trial.errors()
    findings = list(errors)
    if all(finding.kind not in ("nan", "inf") for finding in errors):
        limits = Thresholds(dead, saturated, exploding, vanishing)
        findings += trial.causes(limits) + trial.symptoms(limits)
    for finding in findings:
        notes.setdefault(finding.path, finding.kind)
    return Diagnosis(tuple(findings), tuple(trial.rows(notes)), trial.value)


class _Trial:
    """A model that has been run once, forward and backward."""

    def __init__(
        self, model: Module, inputs: tuple[Any, ...], target: Any, loss: Callable[..., Any] | None
    ) -> None:
        self.target, self.loss = target, loss
        running, untouched = copied(model), copied(model)
        self.parts = held_modules(untouched)  # what stacks are made of
        self.of_values = any(isinstance(p, Value) for p in model.parameters())
        self.inputs = trees.transform(self._leaf, inputs)
        self.calls: list[Call] = record(running)
        self.gradients: dict[Node, Any] = {}
        with seeded(generators(running), 0), enable_grad(), np.errstate(all="ignore"):
            self.output = running(*self.inputs)
            result = self._loss(self.output)
            self.value = float(np.asarray(result.data))
            if result.requires_grad:
                self.gradients = gradients(result)
        # The calls that make no other: what the work is done by, in order.
        self.inner = [call for i, call in enumerate(self.calls) if call.first == i]
        self.shares = _shares(self.output)

    def _leaf(self, x: Any) -> Any:
        data = x.data if isinstance(x, Node) else x
        if isinstance(data, np.ndarray) and data.dtype.kind == "f":
            return Tensor(data.copy(), requires_grad=True, label="x")
        return Value(data, label="x") if self.of_values and isinstance(data, float) else x

    def _loss(self, output: Any) -> Any:
        if self.loss is not None:
            return self.loss(output) if self.target is None else self.loss(output, self.target)
        if self.target is not None:
            target = np.asarray(self.target.data if isinstance(self.target, Node) else self.target)
            if target.dtype.kind in "iu":
                return tg.cross_entropy(output, target)
            return ((output - target) ** 2).mean()
        rng = np.random.default_rng(0)
        ends: list[Any] = [y for y in trees.leaves(output) if isinstance(y, Node)]
        terms = [
            (y * rng.uniform(0.5, 1.5, y.shape).astype(y.dtype)).mean()
            if isinstance(y, Tensor)
            else y * rng.uniform(0.5, 1.5)
            for y in ends
            if y.requires_grad
        ]
        return sum(terms[1:], start=terms[0]) if terms else Tensor(0.0)

    # Errors.

    def errors(self) -> tuple[list[Finding], dict[str, str]]:
        """What is certainly wrong, along the chain; and why some modules could not be checked."""
        if not is_finite(_arrays(self.inputs)):
            return [Finding(INPUT, _not_finite(_arrays(self.inputs)), _amounts(self.inputs))], {}
        found: dict[int, Finding] = {}  # by the position of the call
        notes: dict[str, str] = {}
        checked: dict[int, int] = {}
        for i, call in enumerate(self.calls):
            if any(call.first <= k < i for k in found) or not is_finite(_arrays(call.inputs)):
                continue  # a consequence of what was found before
            finding = self._not_finite(call)
            if finding is None and _is_own_work(call) and checked.get(id(call.module), 0) < CALLS:
                checked[id(call.module)] = checked.get(id(call.module), 0) + 1
                finding = self._broken_law(call, notes)
            if finding is not None and all(f.path != finding.path for f in found.values()):
                found[i] = finding
        return [*found.values(), *self._faults_of_loss()], notes

    def _not_finite(self, call: Call) -> Finding | None:
        if not is_finite(_arrays(call.output)):
            for path, parameter in call.module.named_parameters():
                if not is_finite([parameter.data]):
                    kind = _not_finite([parameter.data])
                    evidence = f"its parameter {path} has {_amounts(parameter)}."
                    return self._finding(call, kind, evidence)
            evidence = (
                f"Its result has {_amounts(call.output)}, its inputs {_range(call.inputs)}."
                + _origin(call)
            )
            return self._finding(call, _not_finite(_arrays(call.output)), evidence)
        arriving = self._gradients_of(call.output)
        if not arriving or not is_finite(arriving):
            return None
        passed = [
            *self._gradients_of(call.inputs),
            *self._gradients_of(call.module.parameters()),
        ]
        if is_finite(passed):
            return None
        evidence = (
            f"What reaches it, ∂L/∂y, is finite (norm {_norm(arriving):.3g}), what it passes back"
            f" is not; its inputs are {_range(call.inputs)}.{_origin(call, arriving)}"
        )
        return self._finding(call, f"{_not_finite(passed)} gradient", evidence)

    def _broken_law(self, call: Call, notes: dict[str, str]) -> Finding | None:
        if call.options:
            notes[call.path] = f"not checked: called with {', '.join(call.options)} by name"
            return None
        inputs = _jittered(_some_samples(_plain(call.inputs)))
        try:
            check_module(self.parts[call.path], *inputs, batch_axis=None)
        except GradientMismatchError as error:
            return self._finding(call, "wrong gradient", str(error))
        except ModuleLawError as error:
            where = f"{error.path}: " if error.path else ""
            return self._finding(call, error.law, where + error.reason)
        except Exception as error:
            notes[call.path] = f"not checked: {fails(error)}"
        return None

    def _faults_of_loss(self) -> Iterator[Finding]:
        arrays = _arrays(self.output)
        if not is_finite(arrays):
            return
        arriving = self._gradients_of(self.output)
        if not math.isfinite(self.value):
            yield Finding(
                LOSS, _not_finite([self.value]), f"The model's result is {_range(self.output)}."
            )
        elif not is_finite(arriving):
            yield Finding(
                LOSS, f"{_not_finite(arriving)} gradient", f"The loss itself is {self.value:.3g}."
            )
        elif self.loss is not None and isinstance(self.output, Tensor):
            y = Tensor(self.output.data, requires_grad=True, label="result", dtype=np.float64)
            try:
                gradcheck(self._loss, y)
            except GradientMismatchError as error:
                yield Finding(LOSS, "wrong gradient", str(error))
            except TinygradError:
                pass  # a loss that computes in float32, say, cannot be compared

    # Signs of bad training.

    def causes(self, limits: Thresholds) -> list[Finding]:
        """What makes training bad, along the chain."""
        found: dict[int, Finding] = {}  # by the position of the call
        inner = self.inner
        window = _window(
            inner,
            [max(_rms(call.inputs), 1.0) for call in inner],
            [_rms(call.output) for call in inner],
            lambda start, end: end / start >= limits.exploding,
        )
        if window is not None:
            i, j = window
            evidence = (
                f"Its inputs are {_range(inner[i].inputs)}, the result is"
                f" {_range(inner[j].output)}: are the weights too large at the start?"
            )
            found[self.calls.index(inner[i])] = self._run(i, j, "exploding activations", evidence)
        for position, call in enumerate(self.calls):
            dead, saturated = self.shares.get(call.path, (None, None))
            inputs = f"Its inputs are {_range(call.inputs)}."
            if dead is not None and dead >= limits.dead:
                evidence = (
                    f"{dead:.0%} of its units are 0 for every sample, and pass no gradient back."
                    f" {inputs}"
                )
                found.setdefault(position, self._finding(call, "dead units", evidence))
            if saturated is not None and saturated >= limits.saturated:
                evidence = (
                    f"{saturated:.0%} of its results are 0.99 of the way to the bounds of tanh or"
                    f" sigmoid, where the slope is next to 0. {inputs}"
                )
                found.setdefault(position, self._finding(call, "saturated units", evidence))
        return [finding for _, finding in sorted(found.items())]

    def symptoms(self, limits: Thresholds) -> list[Finding]:
        """Gradients that grow or shrink on their way back."""
        passed = [_norm(self._gradients_of(call.inputs)) for call in self.inner]
        arriving = [_norm(self._gradients_of(call.output)) for call in self.inner]
        growing = _window(
            self.inner, passed, arriving, lambda back, g: back / g >= limits.exploding
        )
        shrinking = _window(
            self.inner, passed, arriving, lambda back, g: back / g <= limits.vanishing
        )
        found = []
        for kind, window in (("exploding", growing), ("vanishing", shrinking)):
            if window is not None:
                i, j = window
                evidence = (
                    f"On its way back the norm of the gradient goes from {arriving[j]:.3g} to"
                    f" {passed[i]:.3g} over {_count(j - i + 1)}."
                )
                found.append(self._run(i, j, f"{kind} gradients", evidence))
        return found

    def _run(self, i: int, j: int, kind: str, evidence: str) -> Finding:
        """A finding on the inner modules from i to j."""
        run = self.inner[i : j + 1]
        chained = all(
            len(after.inputs) == 1 and after.inputs[0] is before.output
            for before, after in pairwise(run)
        )
        if chained and len(run[0].inputs) == 1:
            stack: Module = Sequential(*(self.parts[call.path] for call in run))
            first, last = run[0], run[-1]
        else:  # something happens between them: the smallest module around them all
            start, end = self.calls.index(run[0]), self.calls.index(run[-1])
            around = (call for call in self.calls[end:] if call.first <= start)
            first = last = next(around)
            stack = self.parts[first.path]
        to = run[-1].path if j > i else ""
        return Finding(
            run[0].path,
            kind,
            evidence,
            stack,
            _plain(first.inputs),
            self._gradient_of(last.output),
            to,
        )

    # What both are put together from.

    def rows(self, notes: dict[str, str]) -> Iterator[Row]:
        """Every call, in numbers."""
        for call in self.calls:
            arrays, entries = _arrays(call.output), _entries(call.output)
            dead, saturated = self.shares.get(call.path, (None, None))
            own = list(call.module._parameters.values())
            with np.errstate(all="ignore"):
                yield Row(
                    call.path,
                    type(call.module).__name__,
                    " ".join(str(np.shape(y)) for y in arrays[:2]) + " ..." * (len(arrays) > 2),
                    float(entries.mean()) if entries.size else math.nan,
                    float(entries.std()) if entries.size else math.nan,
                    dead,
                    saturated,
                    _norm(found) if (found := self._gradients_of(call.output)) else None,
                    _norm(self._gradients_of(own)) if own else None,
                    notes.get(call.path, ""),
                )

    def _gradients_of(self, tree: Any) -> list[Array]:
        nodes = [x for x in trees.leaves(tree) if isinstance(x, Node)]
        return [np.asarray(self.gradients[x]) for x in nodes if x in self.gradients]

    def _gradient_of(self, output: Any) -> Array | None:
        return self._gradients_of(output)[0] if output in self.gradients else None

    def _finding(self, call: Call, kind: str, evidence: str) -> Finding:
        part = self.parts[call.path]
        stack = Sequential(part) if len(call.inputs) == 1 else part
        gradient = self._gradient_of(call.output)
        return Finding(call.path, kind, evidence, stack, _plain(call.inputs), gradient)


# Reading a run.


def _is_own_work(call: Call) -> bool:
    """Whether a module computes anything that the modules in it do not."""
    return type(call.module).forward is not Sequential.forward


def _shares(output: Any) -> dict[str, tuple[float | None, float | None]]:
    """The shares of dead and of saturated units, by the path of the module that made them."""
    shares: dict[str, tuple[float | None, float | None]] = {}
    ends = [y for y in trees.leaves(output) if isinstance(y, Node) and y.requires_grad]
    for node in dict.fromkeys(node for end in ends for node in topological_order(end)):
        if node.op is not None:
            dead, saturated = shares.get(node.scope, (None, None))
            shares[node.scope] = _larger(dead, _dead(node)), _larger(saturated, _saturated(node))
    return shares


def _larger(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)


def _dead(node: Node) -> float | None:
    """The share of the columns of a batch that an op on each entry made 0, which were not."""
    if node.op is None or node.op.on_floats is None:
        return None
    y = np.asarray(node.data)
    inputs = [x.data for x in node.inputs if isinstance(x, Node) and np.shape(x.data) == y.shape]
    if y.ndim < 2 or len(y) < 2 or not y.size or not inputs:
        return None
    dead = (y == 0).all(axis=0)
    for x in inputs:
        dead &= (x != 0).any(axis=0)
    return float(dead.mean())


def _saturated(node: Node) -> float | None:
    """The share of the results of a tanh or sigmoid that are 0.99 of the way up or down."""
    assert node.op is not None
    y = np.asarray(node.data)
    if node.op.name not in ("tanh", "sigmoid") or not y.size:
        return None
    centred = y if node.op.name == "tanh" else 2 * y - 1
    return float((np.abs(centred) >= 0.99).mean())


def _window(
    calls: Sequence[Call],
    starts: Sequence[float],
    ends: Sequence[float],
    is_fault: Callable[[Array, Array], Array],
) -> tuple[int, int] | None:
    """The fewest calls in a row, from i to j, with a fault between start i and end j."""
    start, end = np.array(starts), np.array(ends)
    for k in range(len(calls)):
        with np.errstate(all="ignore"):
            faulty = is_fault(start[: len(start) - k], end[k:]) & (end[k:] > 0)
        for i in np.flatnonzero(faulty).tolist():
            if k == 0 or _depends(calls[i + k].output, calls[i].output):
                return i, i + k
    return None


def _depends(after: Any, before: Any) -> bool:
    """Whether a result was made from another."""
    ends = [y for y in trees.leaves(after) if isinstance(y, Node) and y.requires_grad]
    made_from = {node for end in ends for node in topological_order(end)}
    return any(y in made_from for y in trees.leaves(before) if isinstance(y, Node))


def _origin(call: Call, gradient: Sequence[Array] = ()) -> str:
    """Which op of a call made the first nan or inf, by running it again."""
    nodes = trees.transform(lambda x: x.detach() if isinstance(x, Node) else x, call.inputs)
    for x in trees.leaves(nodes):
        if isinstance(x, Node):
            x.requires_grad = np.asarray(x.data).dtype.kind == "f"
    try:
        with detect_anomaly(), enable_grad(), np.errstate(all="ignore"):
            y = call.module.forward(*nodes)
            if len(gradient) == 1 and isinstance(y, Node):
                gradients(y, gradient[0])
    except AnomalyError as error:
        return f" There, {error}."
    return ""


# Numbers.


def _arrays(tree: Any) -> list[Array]:
    return [np.asarray(x.data if isinstance(x, Node) else x) for x in trees.leaves(tree)]


def _entries(tree: Any) -> Array:
    """All the numbers in a tree, in a row."""
    parts = [np.ravel(x).astype(np.float64) for x in _arrays(tree) if x.dtype.kind in "biuf"]
    return np.concatenate([np.zeros(0), *parts])


def _plain(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Inputs as arrays and numbers."""
    plain = trees.transform(lambda x: x.data if isinstance(x, Node) else x, inputs)
    return tuple(plain)


def _norm(arrays: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.linalg.norm(_entries(list(arrays))))


def _rms(tree: Any) -> float:
    entries = _entries(tree)
    return _norm([entries]) / math.sqrt(max(entries.size, 1))


def _not_finite(arrays: Sequence[Any]) -> str:
    return "nan" if any(np.isnan(x).any() for x in arrays) else "inf"


def _amounts(tree: Any) -> str:
    """How many entries are no numbers."""
    entries = _entries(tree)
    nans, infs = int(np.isnan(entries).sum()), int(np.isinf(entries).sum())
    kinds = [f"{n} {name}" for n, name in ((nans, "nan"), (infs, "inf")) if n]
    return f"{' and '.join(kinds)} among {entries.size} entries"


def _range(tree: Any) -> str:
    """The size of the numbers in a tree."""
    entries = _entries(tree)
    if not entries.size:
        return "empty"
    return f"in [{entries.min():.3g}, {entries.max():.3g}], mean {entries.mean():.3g}"


def _count(n: int) -> str:
    return "one module" if n == 1 else f"{n} modules"


def _some_samples(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The first samples of a large batch."""
    arrays = [x for x in trees.leaves(inputs) if isinstance(x, np.ndarray) and x.ndim]
    if len({len(x) for x in arrays}) != 1:
        return inputs
    cut = trees.transform(lambda x: x[:SAMPLES] if isinstance(x, np.ndarray) else x, inputs)
    return tuple(cut)


def _jittered(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Inputs moved a little, away from kinks: what a ReLU has made 0 is at that of the next one.

    What is nowhere negative stays so, since a square root may follow.
    """
    rng = np.random.default_rng(3)

    def moved(x: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not x.size:
            return x
        low = 0.5 if x.min() >= 0 else -1.0
        return x + 1e-4 * (_rms(x) or 1.0) * rng.uniform(low, 1.0, x.shape)

    return tuple(trees.transform(moved, inputs))
