"""check_module: whether a layer or model does what every module has to do.

Each law is a function of a Subject, below check_module in the order in which they are tried. It
compares the module with copies of itself, or with finite differences, so no law needs to know
what the module is to compute.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from copy import copy
from typing import Any, NamedTuple

import numpy as np

from nn.errors import ModuleLawError
from nn.module import Module
from nn.testing.trial import (
    Array,
    as_nodes,
    copied,
    fails,
    generators,
    held,
    is_finite,
    numbers,
    other_inputs,
    perturb,
    plain_inputs,
    record,
    run,
    seeded,
    undisturbed,
)
from tinygrad_edu import (
    GradientMismatchError,
    Node,
    OperandError,
    Tensor,
    Value,
    gradients,
    topological_order,
    trees,
)
from tinygrad_edu.testing import KinkWarning, gradcheck
from tinygrad_edu.testing.comparison import Loss

MODES = {True: "train", False: "eval"}

# How many masks, or whatever else a module draws, its expectation is taken over.
DRAWS = 128


class ModuleReport(NamedTuple):
    """What a check that passed has looked at.

    Attributes:
        parameters: how many numbers the module learns.
        compared: how many derivatives were compared, in train and in eval mode.
        kinks: how many of them were at kinks, where any slope between the two sides' passes.
        laws: the names of the laws that it keeps.
    """

    parameters: int
    compared: int
    kinks: int
    laws: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"keeps all {len(self.laws)} laws; {self.compared} derivatives compared, of"
            f" {self.parameters:,} parameters and the inputs"
        )


@undisturbed()
def check_module(
    module: Module,
    *inputs: Any,
    order: int = 1,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    batch_axis: int | None = 0,
) -> ModuleReport:
    """Check a layer or a model of your own in one line: its gradients, and what else all keep.

    The laws, in the order they are tried:

    - copying: it can be deep-copied;
    - registration: what it learns is in ``parameters()``, what it runs obeys ``train``/``eval``;
    - dtype: float32 parameters and inputs give float32 results and gradients;
    - finite results: no nan and no inf;
    - use without traces: in eval mode, a call changes neither the state dict nor later results;
    - determinism: in eval mode nothing is random, in train mode ``nn.manual_seed`` repeats it;
    - separate samples: in eval mode, a sample's result does not depend on the rest of the batch;
    - the state dict: loaded into a copy, it makes the copy compute the same;
    - complete state: whatever a call leaves behind for later ones is in the state dict;
    - separate instances: a copy is not changed by what another one computes;
    - tied parameters: no array of its own is a copy of a parameter's data, to go stale;
    - expectation: what is random and linear (dropout) has in eval mode the mean of train mode;
    - gradients: by every parameter and floating input, in train and in eval mode, they are those
      that finite differences see;
    - use of parameters: each gets a gradient;
    - pickling: its state can be pickled (classes and functions are taken as importable).

    The module itself is left as it is: copies are tried, in float64 and with slightly moved
    parameters, since initial values such as zero biases hide faults.

    Args:
        module: of Tensors or of Values.
        inputs: what to call it on: arrays, Tensors, numbers; or nested tuples, lists and dicts.
        order: 2 to check second derivatives too.
        rtol: what the gradients may differ by, relative to the numeric one.
        atol: what they may differ by besides.
        batch_axis: the axis of the samples, in every array with two or more; None for a module
            in which samples are meant to meet.

    Returns:
        How much was compared.

    Raises:
        GradientMismatchError: as by ``gradcheck``, with the parameter's path in the table.
        ModuleLawError: another law is broken; it names the law and the path.

    >>> import numpy as np, nn
    >>> from nn.testing import check_module
    >>> print(check_module(nn.Linear(3, 2), np.eye(3)))
    keeps all 15 laws; 17 derivatives compared, of 8 parameters and the inputs
    """
    subject = Subject(module, inputs, batch_axis)
    for law in LAWS.values():
        law(subject)
    compared = kinks = 0
    for training in (True, False) if _mode_matters(subject) else (True,):
        report = check_gradients(
            subject.fresh(), subject.inputs, training, order=order, rtol=rtol, atol=atol
        )
        compared, kinks = compared + report.compared, kinks + report.kinks
    for law in LATER_LAWS.values():
        law(subject)
    count = sum(np.size(p.data) for p in module.parameters() if p.requires_grad)
    laws = ("copying", *LAWS, "gradients", *LATER_LAWS)
    return ModuleReport(count, compared, kinks, laws)


def _mode_matters(subject: Subject) -> bool:
    """Whether the graph in eval mode is another than that in train mode."""
    graphs = []
    for training in MODES:
        results = trees.leaves(subject.output(subject.fresh(), subject.inputs, training))
        ends = [y for y in results if y.requires_grad]
        graphs.append([node for end in ends for node in topological_order(end)])
    return len(graphs[0]) != len(graphs[1]) or any(
        a.op is not b.op or not _same([a.data], [b.data]) for a, b in zip(*graphs, strict=True)
    )


class Compared(NamedTuple):
    """What the gradient check of one mode looked at; see ``ModuleReport``."""

    compared: int
    kinks: int


def check_gradients(
    module: Module, inputs: Any, training: bool, *, order: int, rtol: float, atol: float
) -> Compared:
    """``gradcheck`` by every parameter and floating input of a module of float64.

    Raises:
        GradientMismatchError: the gradients differ; the message says in which mode.
    """
    nodes = as_nodes(inputs, _is_of_values(module))
    variables = [x for x in trees.leaves(nodes) if isinstance(x, Node)]
    for path, parameter in module.named_parameters():
        parameter.label = path
        if parameter.requires_grad:
            variables.append(parameter)
    if not variables:
        return Compared(0, 0)
    # Running statistics, say, that each call in train mode moves.
    kept = {p: copy(p.data) for p in module.parameters() if not p.requires_grad}
    statistics = {path: array.copy() for path, array in module.named_buffers()}
    own = generators(module)
    module.train(training)

    def f(*_: Any) -> Any:
        for parameter, data in kept.items():
            parameter.data = copy(data)
        module.load_state_dict(statistics, strict=False)
        with seeded(own, 0) if training else nullcontext():
            return module(*nodes)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", KinkWarning)
        try:
            report = gradcheck(f, *variables, order=order, rtol=rtol, atol=atol)
        except GradientMismatchError as error:
            name = type(module).__name__
            told = GradientMismatchError(f"{name} in {MODES[training]} mode: {error}")
            told.graph, told.options = error.graph, error.options
            raise told from None
    return Compared(report.compared, report.kinks)


class Subject:
    """A module under test, and the inputs it is called on.

    Attributes:
        module: the one that was given; it is never called.
        inputs: as plain arrays in float64, and numbers.
        others: other inputs of the same kind.
        batch_axis: as for ``check_module``.
    """

    def __init__(self, module: Module, inputs: Sequence[Any], batch_axis: int | None) -> None:
        if not isinstance(module, Module):
            hint = ": call the class to make one" if isinstance(module, type) else ""
            raise OperandError(
                f"check_module checks a Module, not {_a(module)}{hint}. Functions are for"
                " gradcheck, ops for check_op."
            )
        self.module, self.batch_axis = module, batch_axis
        self.inputs: Any = plain_inputs(tuple(inputs))
        self.others: Any = other_inputs(self.inputs)
        self._moved = copied(module)
        self._moved.to(np.float64)
        perturb(self._moved)

    def fresh(self) -> Module:
        """A copy that was never called: of float64, its parameters slightly moved."""
        return copied(self._moved)

    def nodes(self, module: Module, inputs: Any) -> Any:
        """Inputs to call a copy on."""
        return as_nodes(inputs, _is_of_values(module))

    def output(self, module: Module, inputs: Any, training: bool, seed: int = 0) -> Any:
        """What a copy returns."""
        return run(module, self.nodes(module, inputs), training, seed)

    def result(self, module: Module, inputs: Any, training: bool, seed: int = 0) -> list[Array]:
        """What a copy returns, as arrays."""
        return numbers(self.output(module, inputs, training, seed))

    def broken(self, law: str, reason: str, path: str = "") -> ModuleLawError:
        """The error that says so."""
        return ModuleLawError(law, type(self.module).__name__, path, reason)


# The laws.


def _registration(subject: Subject) -> None:
    for training, mode in MODES.items():
        module = subject.fresh()
        calls = record(module)
        inputs = subject.nodes(module, subject.inputs)
        results = trees.leaves(run(module, inputs, training))
        known = {id(x) for x in [*trees.leaves(inputs), *module.parameters()]}
        for y in results:
            if not isinstance(y, Node):
                raise OperandError(
                    f"{type(subject.module).__name__} must return a Value or a Tensor, not {_a(y)}"
                )
            for leaf, user in _leaves(y):
                if id(leaf) not in known:
                    path = next((path for path, x in held(module) if x is leaf), "")
                    raise subject.broken(
                        "registration",
                        f"the result depends on {_named(leaf)}, which requires a gradient"
                        + (f" and is used in {user.scope}" if user.scope else "")
                        + ", but parameters() does not list it: no optimizer trains it, and"
                        " state_dict() leaves it out. A Parameter, a module, or a flat list of"
                        " them that is set as an attribute is registered; what is in a dict or a"
                        " list of lists is not.",
                        path,
                    )
        for call in calls:
            if call.module.training is not training:
                raise subject.broken(
                    "registration",
                    f"{mode}() does not reach it: its training is still {call.module.training}."
                    " A module, or a flat list of modules, that is set as an attribute is"
                    " registered; what is in a dict or a list of lists is not.",
                    call.path,
                )


def _dtype(subject: Subject) -> None:
    module = copied(subject.module)
    if _is_of_values(module):
        return
    parameters = [p for p in module.parameters() if p.data.dtype.kind == "f"]
    natural = {p.data.dtype for p in parameters} or {np.dtype(np.float32)}
    for dtype, trial in ((next(iter(natural)), module), (np.dtype(np.float64), subject.fresh())):
        nodes = as_nodes(subject.inputs, False, dtype)
        if len(natural) > 1 or not any(isinstance(x, Tensor) for x in trees.leaves(nodes)):
            return
        for y in trees.leaves(run(trial, nodes, True)):
            if y.data.dtype.kind == "f" and y.data.dtype != dtype:
                raise subject.broken(
                    "dtype",
                    f"with parameters and inputs of {dtype} the result is of {y.data.dtype}"
                    f"{_first_of(y, y.data.dtype)}. A constant array in a forward needs"
                    " .astype(x.dtype); a Python number needs nothing.",
                )


def _finite(subject: Subject) -> None:
    for training, mode in MODES.items():
        result = subject.result(subject.fresh(), subject.inputs, training)
        if not is_finite(result):
            found = "nan" if any(np.isnan(y).any() for y in result) else "inf"
            raise subject.broken(
                "finite results",
                f"in {mode} mode the result has {found} in it; nn.testing.isolate finds where it"
                " arises. If such inputs are outside of what it is defined on, check it on others.",
            )


def _traces(subject: Subject) -> None:
    module = subject.fresh()
    before = module.state_dict()
    subject.output(module, subject.inputs, training=False)
    after = module.state_dict()
    changed = [name for name in before if not _same([before[name]], [after.get(name)])]
    if changed:
        raise subject.broken(
            "use without traces",
            f"a call in eval mode changes {', '.join(changed)}; what is learned or counted belongs"
            " under `if self.training:`",
        )
    expected = subject.result(subject.fresh(), subject.others, training=False)
    result = subject.result(module, subject.others, training=False)
    if not _same(result, expected):
        raise subject.broken(
            "use without traces",
            f"in eval mode, a call on other inputs changes the next result by"
            f" {_gap(result, expected):.3g}{_kept(module, subject.fresh())}",
        )


def _determinism(subject: Subject) -> None:
    module = subject.fresh()
    result = subject.result(module, subject.inputs, training=False, seed=0)
    again = subject.result(module, subject.inputs, training=False, seed=1)
    if not _same(result, again):
        raise subject.broken(
            "determinism",
            f"in eval mode two calls on the same inputs differ by {_gap(result, again):.3g}: what"
            " is random belongs under `if self.training:`",
        )
    results = [subject.result(subject.fresh(), subject.inputs, training=True) for _ in range(2)]
    if not _same(*results):
        raise subject.broken(
            "determinism",
            f"in train mode two copies, seeded alike, differ by {_gap(*results):.3g}: draw from"
            " nn.random.generator(self.rng), with rng a generator that the module was given, or"
            " None",
        )


def _samples(subject: Subject) -> None:
    axis = subject.batch_axis
    sizes = {x.shape[axis] for x in _batches(subject.inputs, axis)} if axis is not None else set()
    if len(sizes) != 1 or next(iter(sizes)) < 2:
        return
    assert axis is not None

    def first_kept(x: Any, other: Any) -> Any:
        if not isinstance(x, np.ndarray) or x.ndim < 2:
            return x
        mixed = other.copy()
        np.moveaxis(mixed, axis, 0)[0] = np.moveaxis(x, axis, 0)[0]
        return mixed

    pairs = zip(trees.leaves(subject.inputs), trees.leaves(subject.others), strict=True)
    mixed = trees.rebuild(subject.inputs, [first_kept(x, other) for x, other in pairs])
    module = subject.fresh()
    result = subject.result(module, subject.inputs, training=False)
    changed = subject.result(module, mixed, training=False)
    for y, z in zip(result, changed, strict=True):
        if not (y.ndim > axis and y.shape == z.shape and y.shape[axis] in sizes):
            continue
        y, z = np.moveaxis(y, axis, 0)[0], np.moveaxis(z, axis, 0)[0]
        # A matrix product of other rows may round this one differently.
        if not np.allclose(y, z, rtol=1e-9, atol=1e-12 * (1 + np.abs(y).max(initial=0))):
            raise subject.broken(
                "separate samples",
                f"in eval mode the result of the first sample changes by {_gap([y], [z]):.3g} with"
                " the other samples of the batch. In use, take statistics kept from training. If"
                " samples are meant to meet, pass batch_axis=None; if they lie along another axis,"
                " that one.",
            )


def _state_dict(subject: Subject) -> None:
    module, new = subject.fresh(), subject.fresh()
    perturb(module)
    try:
        new.load_state_dict(module.state_dict())
    except Exception as error:
        raise subject.broken(
            "the state dict", f"a copy does not load it: {fails(error)}"
        ) from error
    for training, mode in MODES.items():
        expected = subject.result(module, subject.inputs, training)
        result = subject.result(new, subject.inputs, training)
        if not _same(result, expected):
            raise subject.broken(
                "the state dict",
                f"in {mode} mode, the result of a copy that has loaded it is off by"
                f" {_gap(result, expected):.3g}: state_dict() or load_state_dict() leaves something"
                " out, or changes it",
            )


def _state(subject: Subject) -> None:
    module, new, trained = subject.fresh(), subject.fresh(), subject.fresh()
    perturb(trained)
    subject.output(module, subject.inputs, training=True, seed=1)
    subject.output(module, subject.inputs, training=False, seed=1)
    for copy_ in (module, new):
        copy_.load_state_dict(trained.state_dict())
    left_behind = _kept(module, new)
    for training, mode in MODES.items():
        result = subject.result(module, subject.others, training)
        expected = subject.result(new, subject.others, training)
        if not _same(result, expected):
            raise subject.broken(
                "complete state",
                f"of two copies with the same state dict, the one that was called before is off by"
                f" {_gap(result, expected):.3g} in {mode} mode: something that a call leaves behind"
                f" is not in state_dict(){left_behind}. Keep it as a Parameter with"
                " requires_grad=False, or not at all.",
            )


def _instances(subject: Subject) -> None:
    module, other = subject.fresh(), subject.fresh()
    before = subject.result(module, subject.inputs, training=False)
    subject.output(other, subject.others, training=True)
    after = subject.result(module, subject.inputs, training=False)
    if not _same(before, after):
        raise subject.broken(
            "separate instances",
            f"a call of one copy changes the result of another by {_gap(before, after):.3g}: they"
            " share something, such as an attribute of the class; set it in __init__ instead",
        )


def _tied(subject: Subject) -> None:
    module = copied(subject.module)
    before = subject.result(module, subject.inputs, training=False)
    parameters = list(module.named_parameters())
    ids = {id(p) for _, p in parameters}
    for path, x in held(module):
        data = x.data if isinstance(x, Tensor) and id(x) not in ids else x
        if not isinstance(data, np.ndarray) or data.dtype.kind != "f" or _is_constant(data):
            continue
        for name, parameter in parameters:
            if not any(_same([data], [p]) for p in (parameter.data, np.transpose(parameter.data))):
                continue
            changed = data.copy()
            data *= 2
            after = subject.result(module, subject.inputs, training=False)
            data[...] = changed
            if not _same(before, after):
                raise subject.broken(
                    "tied parameters",
                    f"it is a copy of the data of {name}, and stays as it is when that is trained:"
                    f" use {name} itself in forward",
                    path,
                )


def _expectation(subject: Subject) -> None:
    found = scale_of_expectation(subject)
    if found is not None and abs(found[0] - 1) > found[1]:
        raise subject.broken(
            "expectation",
            f"in train mode its mean over {DRAWS} draws is {found[0]:.3g} times its result in eval"
            " mode, so what follows sees another scale in use than in training: divide by"
            " (1 - p) in training, as nn.Dropout does",
        )


def scale_of_expectation(subject: Subject) -> tuple[float, float] | None:
    """The mean result in train mode relative to that in eval mode, and how far from 1 it may be.

    None if the module is not random in train mode, or not linear (but for an offset) in each draw:
    then the two need not agree.
    """
    leaves = trees.leaves(subject.inputs)
    if not all(isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in leaves):
        return None
    module = subject.fresh()

    def result(factors: tuple[float, float], seed: int = 0, training: bool = True) -> Array:
        pairs = zip(leaves, trees.leaves(subject.others), strict=True)
        mixed = [factors[0] * x + factors[1] * other for x, other in pairs]
        return _flat(
            subject.result(module, trees.rebuild(subject.inputs, mixed), training, seed=seed)
        )

    if np.array_equal(result((1, 0)), result((1, 0), seed=1)):
        return None
    both, neither = result((1, 1)), result((0, 0))
    if not np.allclose(both + neither, result((1, 0)) + result((0, 1)), rtol=1e-9, atol=1e-9):
        return None
    expected = result((1, 0), training=False)
    drawn = np.array([result((1, 0), seed) for seed in range(DRAWS)])
    size = float(expected @ expected)
    if size == 0 or drawn.shape[1] != len(expected):
        return None
    scales = drawn @ expected / size
    return float(scales.mean()), 0.02 + 6 * float(scales.std()) / DRAWS**0.5


def _use(subject: Subject) -> None:
    module = subject.fresh()
    reached: set[Node] = set()
    for training in MODES:
        loss = Loss(lambda: subject.output(module, subject.inputs, training), []).value()  # noqa: B023
        if loss.requires_grad:
            with np.errstate(all="ignore"):
                reached |= gradients(loss).keys()
    for path, parameter in module.named_parameters():
        if parameter.requires_grad and parameter not in reached:
            raise subject.broken(
                "use of parameters",
                "no gradient ever reaches it: the result does not depend on it, or only through"
                " what has the derivative 0 everywhere, such as sign()",
                path,
            )


def _pickling(subject: Subject) -> None:
    module = subject.fresh()
    for training in MODES:
        result = subject.result(module, subject.inputs, training)
    copied(module)
    try:
        buffer = io.BytesIO()
        pickler = _StatePickler(buffer)
        pickler.dump(module)
        buffer.seek(0)
        loaded = _StateUnpickler(buffer, pickler.code).load()
        same = _same(result, subject.result(loaded, subject.inputs, training=False))
    except Exception as error:
        raise subject.broken(
            "pickling", f"it cannot be pickled and loaded: {fails(error)}"
        ) from error
    if not same:
        raise subject.broken("pickling", "pickled and loaded, it gives another result")


LAWS = {
    "registration": _registration,
    "dtype": _dtype,
    "finite results": _finite,
    "use without traces": _traces,
    "determinism": _determinism,
    "separate samples": _samples,
    "the state dict": _state_dict,
    "complete state": _state,
    "separate instances": _instances,
    "tied parameters": _tied,
    "expectation": _expectation,
}
LATER_LAWS = {"use of parameters": _use, "pickling": _pickling}  # after the gradients


class _StatePickler(pickle.Pickler):
    """Takes classes and functions as they are: those of a test or a notebook cannot be imported."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.code: list[Any] = []

    def persistent_id(self, obj: Any) -> int | None:
        if isinstance(obj, type) or (callable(obj) and hasattr(obj, "__code__")):
            self.code.append(obj)
            return len(self.code) - 1
        return None


class _StateUnpickler(pickle.Unpickler):
    def __init__(self, file: Any, code: list[Any]) -> None:
        super().__init__(file)
        self.code = code

    def persistent_load(self, pid: int) -> Any:
        return self.code[pid]


# What the laws are put together from.


def _is_of_values(module: Module) -> bool:
    return any(isinstance(p, Value) for p in module.parameters())


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two results are equal to the last bit."""
    return len(a) == len(b) and all(
        np.shape(x) == np.shape(y) and np.array_equal(x, y, equal_nan=True)
        for x, y in zip(a, b, strict=True)
    )


def _gap(a: Sequence[Array], b: Sequence[Array]) -> float:
    """The largest difference; inf where the shapes differ."""
    if [np.shape(x) for x in a] != [np.shape(y) for y in b]:
        return float("inf")
    return float(np.abs(_flat(a) - _flat(b)).max(initial=0))


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.zeros(0), *(np.ravel(x).astype(np.float64) for x in arrays)])


def _is_constant(data: Array) -> bool:
    return data.size < 2 or bool((data == data.flat[0]).all())


def _batches(inputs: Any, axis: int) -> list[Array]:
    """The inputs that have samples: the arrays with two or more axes."""
    arrays = [x for x in trees.leaves(inputs) if isinstance(x, np.ndarray)]
    return [x for x in arrays if x.ndim >= max(2, axis + 1)]


def _leaves(root: Node) -> list[tuple[Node, Node]]:
    """Each leaf that gradients flow to, and the first node that was made from it."""
    found: dict[Node, Node] = {}
    for node in topological_order(root) if root.requires_grad else ():
        if node.op is None:
            found.setdefault(node, node)
        for x in node.inputs:
            if isinstance(x, Node) and x.requires_grad and x.op is None and found.get(x, x) is x:
                found[x] = node
    return list(found.items())


def _first_of(root: Node, dtype: Any) -> str:
    """Which op made the first node of a dtype."""
    for node in topological_order(root) if root.requires_grad else ():
        if node.op is not None and node.data.dtype == dtype:
            return f", from {node.op.name}{f' in {node.scope}' if node.scope else ''} on"
    return ""


def _kept(module: Module, new: Module) -> str:
    """Which attributes of a module that was called differ from those of one that was not."""
    old = {path: x for path, x in held(new) if not isinstance(x, Module)}
    changed = []
    for path, x in held(module):
        if isinstance(x, Module) or path.rpartition(".")[2] == "training":
            continue
        x, y = (z.data if isinstance(z, Node) else z for z in (x, old.get(path)))
        if type(x) is not type(y) or not np.array_equal(_comparable(x), _comparable(y)):
            changed.append(path)
    return f" (what has changed: {', '.join(changed)})" if changed else ""


def _comparable(x: Any) -> Any:
    """A number or array; of anything else only that it is there."""
    return x if isinstance(x, np.ndarray | int | float) else 0


def _named(node: Node) -> str:
    label = f" {node.label!r}" if node.label else ""
    return f"a {type(node).__name__}{label} of shape {tuple(np.shape(node.data))}"


def _a(x: Any) -> str:
    return f"the class {x.__name__}" if isinstance(x, type) else type(x).__name__
