"""What holds for every op, whatever it computes.

A law looks at one call of an op. It compares what the op does with what the op does in another
way, or with finite differences; so no law needs to know what the op is to compute.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu import trees
from tinygrad_edu.errors import GradientMismatchError, OpLawError, TinygradError
from tinygrad_edu.graph import Node, gradients, plain
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS, Op
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.comparison import Loss, Tolerance, compare
from tinygrad_edu.testing.gradcheck import KinkWarning, Report, gradcheck
from tinygrad_edu.testing.source import source
from tinygrad_edu.value import Value

Array = np.ndarray[Any, Any]

REPEATED = 1e-12  # relative; where an array lies in memory may change the last bits of a sum
ENTRIES_AS_VALUES = 8  # so many entries of an array are computed as Values too, at most


class Call:
    """An op, or a function of nodes, applied to arrays.

    Attributes:
        op: what is applied.
        inputs: the operands; those of floating dtype are of float64.
        attrs: the options.
        variables: the positions of the operands that have a derivative.
        constants: the positions of those that are not differentiated by for once.
    """

    def __init__(
        self,
        op: Callable[..., Any],
        inputs: Sequence[Any],
        attrs: dict[str, Any],
        constants: frozenset[int] = frozenset(),
    ) -> None:
        self.op, self.attrs, self.constants = op, attrs, constants
        arrays = [np.asarray(x) if isinstance(x, float | np.floating) else x for x in inputs]
        self.inputs = tuple(x.astype(np.float64) if _is_float(x) else x for x in arrays)
        self.is_elementwise = isinstance(op, Op) and op.on_floats is not None
        self.is_variadic = isinstance(op, Op) and op.variadic
        rules = op.rules_for(self.inputs) if isinstance(op, Op) else [plain] * len(inputs)
        self.variables = [
            i
            for i, (x, rule) in enumerate(zip(self.inputs, rules, strict=False))
            if _is_float(x) and rule is not None
        ]

    def arrays(self, dtype: Any = np.float64) -> list[Any]:
        """Copies of the operands, in a floating dtype."""
        return [
            x.astype(dtype) if _is_float(x) else x.copy() if isinstance(x, np.ndarray) else x
            for x in self.inputs
        ]

    def nodes(self, arrays: Sequence[Any] | None = None) -> list[Any]:
        """The operands as leaves, which require a gradient where there is a rule for it."""
        return [
            Tensor(x, i in self.variables, self.name_of(i)) if _is_float(x) else x
            for i, x in enumerate(self.arrays() if arrays is None else arrays)
        ]

    def results(self, operands: Sequence[Any]) -> list[Any]:
        """What the op gives for other operands than its own."""
        given = [list(operands)] if self.is_variadic else operands
        found = trees.leaves(self.op(*given, **self.attrs))
        for y in found:
            if not isinstance(y, Node):
                raise OpLawError(f"it returns {type(y).__name__}, and has to return nodes")
        return found

    @property
    def chosen(self) -> list[int]:
        """The positions of the operands to differentiate by."""
        return [i for i in self.variables if i not in self.constants]

    def operands(self) -> list[Any]:
        """The operands as leaves, or as arrays where they are constants."""
        pairs = enumerate(zip(self.arrays(), self.nodes(), strict=True))
        return [array if i in self.constants else node for i, (array, node) in pairs]

    def of(self, op: Callable[..., Any], attrs: dict[str, Any]) -> Call:
        """The same call of another function."""
        call = copy(self)
        call.op, call.attrs = op, attrs
        return call

    def name_of(self, i: int) -> str:
        """The name of an operand, as the op calls it."""
        names = list(inspect.signature(self.op).parameters)
        return names[i] if len(names) >= len(self.inputs) else ""

    def __repr__(self) -> str:
        name = getattr(self.op, "__name__", type(self.op).__name__)
        operands = ", ".join(map(_shown, self.inputs))
        options = "".join(f", {key}={_shown(value)}" for key, value in self.attrs.items())
        return f"{name}({f'[{operands}]' if self.is_variadic else operands}{options})"


class Law(NamedTuple):
    """Something that holds for every call of an op.

    Attributes:
        statement: the law, as a sentence about the op.
        check: raises ``OpLawError`` or ``GradientMismatchError`` for a call that breaks it; what
            it returns says how much was compared with finite differences.
    """

    statement: str
    check: Callable[[Call], Report | None]


def laws_of(op: Callable[..., Any], order: int, tolerance: Tolerance) -> list[Law]:
    """The laws that ``op`` has to obey, the simplest first."""
    laws = [
        Law("the same operands give the same result and gradients", _repeats),
        Law("operands and gradients that it is given stay as they are", _changes_nothing),
        Law("its gradients do not depend on what it computes in between", _has_no_memory),
    ]
    if not isinstance(op, Op) or op.on_floats is not None:
        laws.append(Law("Values and Tensors have the same results and gradients", _suits_values))
    if isinstance(op, Op):
        if op.on_floats is not None:
            laws.append(Law("broadcasting is repeating", _broadcasts))
        laws.append(Law("each rule is linear in g", _is_linear))
    if order == 2:
        statement = "its gradients are the same where they are recorded, to be differentiated"
        laws.append(Law(statement, _records))
    laws.append(Law("float32 and float16 stay what they are", _keeps_dtype))
    laws += [
        Law(
            "its gradients are what finite differences see",
            lambda call: _has_right_derivatives(call, order, tolerance),
        ),
        Law(
            "its gradients add up to the slope that all entries have together",
            lambda call: _has_right_slope_together(call, tolerance),
        ),
        Law("a node that goes in twice gets both gradients", _accumulates),
    ]
    if isinstance(op, Op) and op.definition is not None:
        laws.append(Law("it is what its definition says", _is_its_definition))
    if _numpy_functions(op):
        laws.append(Law("NumPy's function takes Tensors through it", _serves_numpy))
    return laws


# The forward and the gradients, compared with themselves.


def _repeats(call: Call) -> None:
    first, second = _outcome(call), _outcome(call)
    for a, b in zip(first, second, strict=True):
        if np.shape(a) != np.shape(b) or not _close(a, b, REPEATED):
            raise OpLawError(f"it gives\n{a}\nand, called again,\n{b}")


def _changes_nothing(call: Call) -> None:
    arrays = call.arrays()
    nodes = call.nodes(arrays)
    results = call.results(nodes)
    _expect_unchanged(call, arrays, "the forward changes")
    _pulled_back(results, _variables(call, nodes))
    _expect_unchanged(call, arrays, "a derivative rule changes")
    for i, rules in _rules(call, np.float64):
        g = _weights(rules.y)
        kept, y = g.copy(), rules.y.copy()
        rules(i, g)
        for name, given, before in (("g", g, kept), ("y", rules.y, y)):
            if not _same(given, before):
                raise OpLawError(f"the rule of {_operand(call, i)} changes {name} in place")


def _has_no_memory(call: Call) -> None:
    *_, expected = _gradients_of(call, call.nodes())
    nodes = call.nodes()
    results = call.results(nodes)
    others = [np.asarray(x * 1.0625 + 0.0625) if _is_float(x) else x for x in call.arrays()]
    with suppress(TinygradError):  # the other operands may be none that the op takes
        _outcome(call, others)
    found = _pulled_back(results, _variables(call, nodes))
    for i, a, b in zip(call.variables, found, expected, strict=True):
        if not _close(a, b, REPEATED):
            raise OpLawError(
                f"the gradient by {_operand(call, i)} is\n{b}\nand, if the op is applied to other"
                f" operands between forward and backward,\n{a}"
            )


def _records(call: Call) -> None:
    operands, chosen = call.operands(), call.chosen
    results, variables = call.results(operands), [operands[i] for i in chosen]
    found = _pulled_back(results, variables, create_graph=True)
    for i, a, b in zip(chosen, found, _pulled_back(results, variables), strict=True):
        _expect_close(a, b, f"the gradient by {_operand(call, i)}, recorded,", "not recorded")


def _suits_values(call: Call) -> None:
    if not call.is_elementwise and any(np.ndim(x) for x in call.inputs):
        return
    stretched = [np.array(x) for x in np.broadcast_arrays(*call.inputs)]
    nodes = call.nodes(stretched)
    ys, by_array = _gradients_of(call, nodes, weighted=False)
    for index in list(np.ndindex(stretched[0].shape))[:ENTRIES_AS_VALUES]:
        numbers = [float(x[index]) for x in stretched]
        values = [Value(x, requires_grad=i in call.variables) for i, x in enumerate(numbers)]
        try:
            results = call.results(values)
        except Exception:
            if call.is_elementwise:
                raise
            return  # a function for Tensors only
        by_value = _pulled_back(results, _variables(call, values), weighted=False)
        for a, b in zip(results, ys, strict=True):
            _expect_alike(a.data, b.data[index], f"the result for the floats {numbers}")
        for i, a, b in zip(call.variables, by_value, by_array, strict=True):
            of = f"the derivative by {_operand(call, i)} for the floats {numbers}"
            _expect_alike(a, b[index], of)


def _broadcasts(call: Call) -> None:
    shape = np.broadcast_shapes(*map(np.shape, call.inputs))
    stretched = [np.broadcast_to(x, shape).copy() for x in call.inputs]
    (y,), found = _gradients_of(call, call.nodes())
    (expected,), wanted = _gradients_of(call, call.nodes(stretched))
    if y.shape != shape:
        raise OpLawError(f"the result has the shape {y.shape}; the operands broadcast to {shape}")
    _expect_close(y.data, expected.data, "the result", "with operands repeated by hand")
    for i, a, b in zip(call.variables, found, wanted, strict=True):
        added = b.sum(tuple(range(b.ndim - a.ndim)))
        stretches = tuple(k for k, n in enumerate(a.shape) if n == 1)
        added = added.sum(stretches, keepdims=True)
        of = f"the gradient by {_operand(call, i)}"
        _expect_close(a, added, of, "added up over what broadcasting repeats")


def _is_linear(call: Call) -> None:
    for i, rules in _rules(call, np.float64):
        rng = np.random.default_rng(3)
        one, other = (2 * rng.standard_normal(rules.y.shape) for _ in range(2))
        found = rules(i, 1.5 * one - 0.25 * other)
        expected = 1.5 * rules(i, one) - 0.25 * rules(i, other)
        of = f"the rule of {_operand(call, i)}, for 1.5 g - 0.25 h,"
        _expect_close(found, expected, of, "as 1.5 times that for g, less 0.25 times that for h")


def _keeps_dtype(call: Call) -> None:
    if call.attrs.get("dtype") is not None:
        return
    for dtype in (np.float32, np.float16):
        arrays = call.arrays(dtype)
        try:
            ys, found = _gradients_of(call, call.nodes(arrays))
        except TinygradError:
            if call.is_elementwise:
                raise
            continue  # NumPy's linear algebra, for one, has no float16
        expected_dtypes = (dtype, np.result_type(*[x for x in arrays if hasattr(x, "dtype")]))
        for y in ys:
            if y.dtype.kind == "f" and y.dtype not in expected_dtypes:
                raise OpLawError(f"for {dtype.__name__} the forward gives {y.dtype}")
        for i, rules in _rules(call, dtype):
            d = rules(i, _weights(rules.y))
            # What the forward saved of a float16 may be in float32, on purpose.
            widest = np.float32 if rules.has_saved and dtype is np.float16 else rules.y.dtype
            if hasattr(d, "dtype") and not np.can_cast(d.dtype, widest):
                raise OpLawError(
                    f"for {dtype.__name__} the rule of {_operand(call, i)} gives {d.dtype}"
                )
        exact, wanted = _gradients_of(call, call.nodes([_widened(x) for x in arrays]))
        for y, z in zip(ys, exact, strict=True):
            _expect_about(y.data, z.data, dtype, "the result")
        for i, a, b in zip(call.variables, found, wanted, strict=True):
            _expect_about(a, b, dtype, f"the gradient by {_operand(call, i)}")


def _accumulates(call: Call) -> None:
    for i, j in combinations(call.variables, 2):
        if not call.is_elementwise and np.shape(call.inputs[i]) != np.shape(call.inputs[j]):
            continue
        apart, together = call.nodes(), call.nodes()
        apart[j] = Tensor(apart[i].data.copy(), requires_grad=True)
        together[j] = together[i]
        try:
            by_both = _pulled_back(call.results(apart), [apart[i], apart[j]])
            (found,) = _pulled_back(call.results(together), [together[i]])
        except TinygradError:
            if call.is_elementwise:
                raise
            continue  # what one operand may be, the other may not
        of = f"the gradient by a node that is both {_operand(call, i)} and {_operand(call, j)}"
        _expect_close(found, by_both[0] + by_both[1], of, "as the sum of both gradients")


def _is_its_definition(call: Call) -> None:
    assert isinstance(call.op, Op)
    definition = call.op.definition
    assert definition is not None
    ys, found = _gradients_of(call, call.nodes())
    slow = call.of(definition, {**call.op.defaults, **call.attrs})
    zs, wanted = _gradients_of(slow, call.nodes())
    for y, z in zip(ys, zs, strict=True):
        _expect_close(y.data, z.data, "the result", "by the definition")
    for i, a, b in zip(call.variables, found, wanted, strict=True):
        _expect_close(a, b, f"the gradient by {_operand(call, i)}", "by the definition")


def _serves_numpy(call: Call) -> None:
    for function in _numpy_functions(call.op):
        arrays = call.arrays()
        try:
            operands = [arrays] if call.is_variadic else arrays
            expected = trees.leaves(function(*operands, **call.attrs))
        except (TypeError, ValueError):  # an option or a shape that NumPy's function does not take
            continue
        name = f"np.{getattr(function, '__name__', function)}"
        found = call.of(function, call.attrs).results(call.nodes())
        for y, z in zip(found, expected, strict=True):
            if isinstance(call.op, Op) and y.requires_grad and y.op is not call.op:
                raise OpLawError(f"{name} of a Tensor is another op, {y.op}")
            _expect_close(y.data, z, f"{name} of Tensors", f"as {name} of arrays")


# The gradients, compared with finite differences.


def _has_right_derivatives(call: Call, order: int, tolerance: Tolerance) -> Report | None:
    operands, chosen = call.operands(), call.chosen
    if not chosen:
        return None

    def f(*variables: Any) -> Any:
        given = dict(zip(chosen, variables, strict=True))
        return call.results([given.get(i, x) for i, x in enumerate(operands)])

    def curved(*variables: Any) -> Any:
        # The gradient that reaches the op depends on its result here, so that a second derivative
        # goes through the rule's g as well.
        return [y + 0.5 * y * y for y in f(*variables)]

    points = [operands[i] for i in chosen]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KinkWarning)
        report = gradcheck(f, *points, rtol=tolerance.rtol, atol=tolerance.atol)
        if order == 1 or report.kinks:  # a gradient that jumps has no derivative
            return report
        more = gradcheck(curved, *points, order=order, rtol=tolerance.rtol, atol=tolerance.atol)
    return Report(*(a + b for a, b in zip(report, more, strict=True)))


def _has_right_slope_together(call: Call, tolerance: Tolerance) -> Report | None:
    # At a tie each entry by itself meets a kink, where any share of the gradient is a convention.
    # All moved together they stay tied, and the shares have to add up.
    if not call.variables:
        return None
    step = Tensor(np.zeros(()), requires_grad=True)
    arrays = call.arrays()

    def moved() -> Any:
        return call.results([x + step if i in call.variables else x for i, x in enumerate(arrays)])

    outcome = compare(Loss(moved, [step]), 1, tolerance)
    if outcome.wrong:
        worst = outcome.wrong[0]
        raise GradientMismatchError(
            f"the slope along (1, 1, ..., 1) is {worst.analytic:.9g} by its gradients and"
            f" {worst.numeric.slope:.9g} by finite differences"
        )
    return Report(outcome.entries, outcome.compared, len(outcome.kinks))


# What the laws are made of.


class _Rules:
    """The derivative rules of an op on arrays: what they return before the traversal sees it."""

    def __init__(self, call: Call, arrays: Sequence[Any]) -> None:
        assert isinstance(call.op, Op)
        self._rules = call.op.rules_for(tuple(arrays))
        self._arrays = arrays
        self._attrs = {**call.op.defaults, **call.attrs}
        y = call.op.on_arrays(*arrays, **self._attrs)
        self.has_saved = call.op.saves
        if call.op.saves:
            y, self._attrs["saved"] = y
        self.y = np.asarray(y)

    def __call__(self, i: int, g: Any) -> Any:
        rule = self._rules[i]
        assert rule is not None
        return rule(g, self.y, *self._arrays, **self._attrs)


def _rules(call: Call, dtype: Any) -> Iterator[tuple[int, _Rules]]:
    """Each operand that has a rule, with the rules on fresh arrays."""
    if isinstance(call.op, Op):
        for i in call.variables:
            yield i, _Rules(call, call.arrays(dtype))


def _gradients_of(
    call: Call, nodes: Sequence[Any], weighted: bool = True
) -> tuple[list[Any], list[Array]]:
    """The results, and the gradient by each variable."""
    results = call.results(nodes)
    return results, _pulled_back(results, _variables(call, nodes), weighted)


def _outcome(call: Call, arrays: Sequence[Any] | None = None) -> list[Any]:
    """The data of the results and the gradients."""
    results, found = _gradients_of(call, call.nodes(arrays))
    return [*(y.data for y in results), *found]


def _pulled_back(
    results: Sequence[Any],
    variables: Sequence[Any],
    weighted: bool = True,
    create_graph: bool = False,
) -> list[Any]:
    """The gradient by each variable of Σ w · y over the results, all w being 1 or about 1."""
    total = [x.data * 0 for x in variables]
    for y in results:
        if y.requires_grad:
            w = _weights(y.data) if weighted else np.ones_like(y.data)
            sources = frozenset(variables)
            found = gradients(y, w, sources=sources, intermediates=False, create_graph=create_graph)
            total = [
                t + plain(found[x]) if x in found else t
                for x, t in zip(variables, total, strict=True)
            ]
    return total


def _variables(call: Call, nodes: Sequence[Any]) -> list[Any]:
    return [nodes[i] for i in call.variables]


def _weights(y: Any) -> Array:
    weights = np.random.default_rng(0).uniform(0.5, 1.5, np.shape(y))
    return np.asarray(weights, np.asarray(y).dtype)


def _numpy_functions(op: Callable[..., Any]) -> list[Callable[..., Any]]:
    return [function for function, target in NUMPY_FUNCTIONS.items() if target is op]


def _is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _widened(x: Any) -> Any:
    return x.astype(np.float64) if _is_float(x) else x


def _operand(call: Call, i: int) -> str:
    return f"input {i} {call.name_of(i)}".rstrip()


def _shown(x: Any) -> str:
    try:
        return source(x, digits=8)
    except ValueError:  # a function, say
        return repr(x)


def _same(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and np.array_equal(a, b, equal_nan=True)


def _close(a: Any, b: Any, rtol: float) -> bool:
    finite = np.abs(b)[np.isfinite(b)]
    size = max(1.0, float(finite.max())) if finite.size else 1.0
    return np.allclose(a, b, rtol=rtol, atol=rtol * size, equal_nan=True)


def _expect_unchanged(call: Call, arrays: Sequence[Any], what: str) -> None:
    for i, (x, before) in enumerate(zip(arrays, call.inputs, strict=True)):
        if isinstance(x, np.ndarray) and not _same(x, before):
            raise OpLawError(f"{what} {_operand(call, i)} in place: it is now\n{x}")


def _expect_alike(a: Any, b: Any, what: str) -> None:
    # NumPy's functions and those of the C library differ in the last bits.
    if not _close(a, b, 1e-9):
        raise OpLawError(f"{what} is {float(a):.9g}, and {float(b):.9g} for arrays")


def _expect_close(a: Any, b: Any, what: str, how: str) -> None:
    if np.shape(a) != np.shape(b):
        raise OpLawError(f"{what} has the shape {np.shape(a)}, and {np.shape(b)} {how}")
    if not _close(a, b, 1e-9):
        raise OpLawError(f"{what} is\n{a}\nand, {how},\n{b}")


def _expect_about(a: Any, b: Any, dtype: Any, what: str) -> None:
    # Half of the digits: rounding may cost some, and a wrong formula costs all.
    finite = np.isfinite(a)
    if not _close(a[finite], b[finite], 4 * float(np.finfo(dtype).eps) ** 0.5):
        raise OpLawError(f"{what} in {dtype.__name__} is\n{a}\nand in float64\n{b}")
