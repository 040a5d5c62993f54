"""Test an op in one line: draw operands for it, and try on them every law that an op obeys."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from numbers import Real
from typing import Any, NamedTuple, cast

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from tinygrad_edu.errors import GradientMismatchError, OperandError, OpLawError, TinygradError
from tinygrad_edu.ops.declare import Op
from tinygrad_edu.testing.comparison import Tolerance
from tinygrad_edu.testing.domains import ANYWHERE, DOMAINS, Domain, domains_of, smooth_domains
from tinygrad_edu.testing.laws import Call, Law, laws_of
from tinygrad_edu.testing.strategies import broadcastable_shapes, shapes

Shapes = tuple[tuple[int, ...], ...]
Calls = st.SearchStrategy[Call]

MOST_ENTRIES = 12  # of one operand
OF_EACH_KIND = 2  # calls of each kind of broadcasting
GRID = 64  # numbers are drawn from the multiples of 1 / 64, which every dtype holds exactly
BESIDE = 1 / 128


class OpReport(NamedTuple):
    """What ``check_op`` has looked at, and found right.

    Attributes:
        examples: how many calls of the op were tried.
        compared: how many derivatives were compared with finite differences.
        kinks: how many of them were at kinks, where any slope between the two sides' passes.
        laws: what held for each call.
    """

    examples: int
    compared: int
    kinks: int
    laws: tuple[str, ...]

    def __str__(self) -> str:
        head = (
            f"{self.examples} calls, {self.compared} derivatives compared with finite differences"
            f" ({self.kinks} at kinks). For each call:"
        )
        return "\n- ".join([head, *self.laws])


def check_op(
    op: Callable[..., Any],
    *inputs: Any,
    order: int = 2,
    max_examples: int = 50,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    domain: Domain | Sequence[Domain] | None = None,
    **options: Any,
) -> OpReport:
    """Check an op against the laws that every op obeys, on operands that are drawn for it.

    Among the laws: the gradients are those that finite differences see, to first and second order,
    also where some operands are constants; broadcasting is repeating; each derivative rule is
    linear in g; float32 and float16 stay what they are, in the rules too; operands are not changed
    in place; Values and Tensors agree. A failure names the law and the simplest call that breaks
    it. The same calls are drawn every time.

    Args:
        op: made by ``elementwise`` or ``primitive``, or a function that is put together from ops.
        inputs: what to draw the operands from: a Hypothesis strategy of arrays for each, or one of
            tuples of arrays. An elementwise op needs none. For another one, arrays of several
            shapes are tried without; say here what it takes if its derivative exists for some
            only, such as symmetric matrices or those of full rank.
        order: 2, or 1 to leave second derivatives out.
        max_examples: how many calls to draw; of an elementwise op besides a few of each kind of
            broadcasting.
        rtol: what gradients may differ by from finite differences, relatively.
        atol: what they may differ by besides.
        domain: what numbers to draw where no ``inputs`` are given: intervals ``(low, high)`` for
            all operands, or a sequence of such for each. By default those at which the op is
            smooth, which for an op of yours are found by evaluating it.
        options: for the op, by name; a strategy is drawn from.

    Returns:
        What was checked.

    Raises:
        GradientMismatchError: a derivative is wrong; ``graph`` is the op alone, to be drawn.
        OpLawError: another law is broken.
        OperandError: nothing was found that the op takes.

    >>> import tinygrad_edu as tg
    >>> from tinygrad_edu.testing import check_op
    >>> cube = tg.elementwise(
    ...     "cube", "³", lambda x: x**3, lambda x: x**3, lambda g, y, x: g * 3 * x * x
    ... )
    >>> check_op(cube).kinks
    0
    >>> halved = tg.elementwise(
    ...     "cube", "³", lambda x: x**3, lambda x: x**3, lambda g, y, x: g * x * x
    ... )
    >>> check_op(halved)
    Traceback (most recent call last):
        ...
    tinygrad_edu.errors.GradientMismatchError: ...
    """
    sources = _sources(op, inputs, domain, options, max_examples)
    laws = laws_of(op, order, Tolerance(rtol, atol))
    failures: list[tuple[Law, TinygradError]] = []
    counts = [0, 0, 0]  # calls, comparisons, kinks

    def obeys_the_laws(call: Call) -> None:
        # Once a law is broken, a simpler call that breaks the same one is looked for.
        for law in [failures[-1][0]] if failures else laws:
            try:
                with np.errstate(all="ignore"):
                    report = law.check(call)
            except Exception as error:
                failures.append((law, _failure(call, law, error)))
                raise failures[-1][1] from error
            if report is not None:
                counts[1] += report.compared
                counts[2] += report.kinks
        counts[0] += 1

    try:
        for calls, share in sources:
            _drawing(share)(given(calls)(obeys_the_laws))()
    except Unsatisfiable as error:
        raise OperandError(
            f"check_op has found no operands at which {_name(op)} gives a finite result: pass"
            " domain= or strategies of inputs"
        ) from error
    except Exception:
        if not failures:
            raise
        failure = failures[-1][1]
        raise failure from failure.__cause__
    examples, compared, kinks = counts
    return OpReport(examples, compared, kinks, tuple(law.statement for law in laws))


def _failure(call: Call, law: Law, error: Exception) -> TinygradError:
    """What the user gets to see of a broken law."""
    constants = " and ".join(call.name_of(i) or f"input {i}" for i in sorted(call.constants))
    where = f" where {constants} is constant" if constants else ""
    title = f"{_name(call.op)} breaks the law that {law.statement}. For\n{call!r}{where}\n"
    if isinstance(error, GradientMismatchError):
        mismatch = GradientMismatchError(f"{title}{error}")
        mismatch.graph, mismatch.options = error.graph, error.options
        return mismatch
    if isinstance(error, OpLawError):
        return OpLawError(f"{title}{error}")
    return OpLawError(f"{title}it raises {type(error).__name__}: {error}")


def _drawing(max_examples: int) -> settings:
    # Ops may be slow, their domains narrow, and check_op called from a Hypothesis test.
    return settings(
        max_examples=max_examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )


# What calls are drawn from.


def _sources(
    op: Callable[..., Any],
    inputs: Sequence[Any],
    domain: Domain | Sequence[Domain] | None,
    options: dict[str, Any],
    max_examples: int,
) -> list[tuple[Calls, int]]:
    """What to draw calls from, and how many from each."""
    drawn_options = st.fixed_dictionaries({name: _drawn(x) for name, x in options.items()})
    if inputs:
        calls = _calls_of(op, st.tuples(*map(_drawn, inputs)), drawn_options)
        return [(calls.filter(_is_finite), max_examples)]
    if isinstance(op, Op) and op.on_floats is not None:
        calls_on = _elementwise_calls(op, _per_input(domain, op.arity), drawn_options)
        any_shapes = broadcastable_shapes(op.arity).filter(_are_small)
        kinds = [st.just(shapes) for shapes in _kinds_of_broadcasting(op.arity)]
        # The former shrink further.
        return [
            (calls_on(any_shapes), max_examples),
            *((calls_on(shapes), OF_EACH_KIND) for shapes in kinds),
        ]
    return [(_tried_calls(op, domain, drawn_options), max_examples)]


def _kinds_of_broadcasting(arity: int) -> Iterator[Shapes]:
    """Numbers; zero-size arrays; axes that are missing, and ones of length 1, in every operand."""
    yield ((),) * arity
    for kind in ([(0,), (1,)], [(2, 1), (1, 3)], [(2, 3), (3,), ()]):
        for first in range(len(kind)):
            yield tuple(kind[(first + i) % len(kind)] for i in range(arity))


def _drawn(x: Any) -> Any:
    return x if isinstance(x, st.SearchStrategy) else st.just(x)


def _per_input(domain: Domain | Sequence[Domain] | None, arity: int) -> tuple[Domain, ...] | None:
    if domain is None:
        return None
    if isinstance(domain[0][0], Real):
        return (cast(Domain, domain),) * arity
    if len(domain) != arity:
        raise OperandError(
            f"domain= has to be ((low, high), ...), or one such for each of {arity} inputs"
        )
    return tuple(cast(Sequence[Domain], domain))


@st.composite
def _calls_of(draw: st.DrawFn, op: Callable[..., Any], inputs: Any, options: Any) -> Call:
    """Calls on given inputs, and which of them are constants."""
    operands = draw(inputs)
    if len(operands) == 1 and isinstance(operands[0], tuple | list):  # a strategy of tuples
        (operands,) = operands
    last = len(operands) - 1
    constants = draw(st.frozensets(st.integers(0, last), max_size=last))
    return Call(op, operands, draw(options), constants)


def _elementwise_calls(
    op: Op, domains: tuple[Domain, ...] | None, options: Any
) -> Callable[[Any], Calls]:
    """A function that makes calls of a strategy for the operands' shapes."""
    if domains is None and op.name in DOMAINS:
        domains = domains_of(op)
    found: dict[str, tuple[Domain, ...]] = {}  # options may move a kink

    def calls_with(shapes: Any, attrs: dict[str, Any]) -> Calls:
        key = repr(attrs)
        if key not in found:
            found[key] = domains or smooth_domains(lambda *x: op.on_arrays(*x, **attrs), op.arity)
        inputs = shapes.flatmap(lambda drawn: _operands(drawn, found[key]))
        return _calls_of(op, inputs, st.just(attrs))

    def calls_on(shapes: Any) -> Calls:
        calls = options.flatmap(lambda attrs: calls_with(shapes, attrs))
        return calls if domains else calls.filter(_is_finite_around)

    return calls_on


def _are_small(shapes: Sequence[tuple[int, ...]]) -> bool:
    return math.prod(np.broadcast_shapes(*shapes)) <= MOST_ENTRIES


def _arrays(shape: tuple[int, ...], domain: Domain) -> st.SearchStrategy[Any]:
    return hnp.arrays(np.float64, shape, elements=st.one_of([_numbers(*ends) for ends in domain]))


def _numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Multiples of 1 / 64, the simplest being the nearest to 0; any float if there is none."""
    first, last = int(np.ceil(low * GRID)), int(np.floor(high * GRID))
    if first > last:
        return st.floats(low, high)
    return st.integers(first, last).map(lambda n: n / GRID)


def _tried_calls(
    op: Callable[..., Any], domain: Domain | Sequence[Domain] | None, options: Any
) -> Calls:
    """Calls on arrays of the most general kind that a function takes."""
    arity = _count_operands(op)
    domains = _per_input(domain, arity) or (ANYWHERE,) * arity
    refusal = ""
    for inputs in _kinds_of_inputs(domains):
        calls = _calls_of(op, inputs, options).filter(_is_finite_around)
        refusal = _refusal(calls)
        if not refusal:
            return calls
    raise OperandError(
        f"check_op has tried arrays of several shapes, and {_name(op)} takes none of them"
        f" ({refusal}): say what to draw its operands from, as in check_op(f, arrays(np.float64,"
        " (2, 3))) with the arrays of hypothesis.extra.numpy, and name its options"
    )


def _count_operands(op: Callable[..., Any]) -> int:
    parameters = inspect.signature(op).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in parameters) or getattr(op, "variadic", False):
        return 2
    if isinstance(op, Op):
        return op.arity
    return sum(p.default is p.empty and p.kind is not p.KEYWORD_ONLY for p in parameters)


def _kinds_of_inputs(domains: tuple[Domain, ...]) -> Iterator[st.SearchStrategy[Any]]:
    """Strategies of operands: the same shape for all, then matrices that can be multiplied."""
    for dims in (0, 1, 2, 4):
        same = shapes(dims, max(3, dims), min_side=1, max_size=MOST_ENTRIES)
        yield same.flatmap(lambda shape: _operands([shape] * len(domains), domains))
    side = st.integers(1, 3)
    if len(domains) == 2:
        yield st.tuples(side, side, side).flatmap(lambda n: _operands([n[:2], n[1:]], domains))
    # Far from singular.
    yield side.flatmap(lambda n: _operands([(n, n)] * len(domains), domains)).map(
        lambda matrices: tuple(3 * np.eye(len(x)) + x / 4 for x in matrices)
    )


def _operands(
    shapes: Sequence[tuple[int, ...]], domains: tuple[Domain, ...]
) -> st.SearchStrategy[Any]:
    return st.tuples(*[_arrays(s, numbers) for s, numbers in zip(shapes, domains, strict=True)])


def _refusal(calls: Calls) -> str:
    """Why an op does not take such calls; empty if it does."""

    @_drawing(10)
    @given(calls)
    def takes(call: Call) -> None:
        call.results(call.nodes())

    try:
        takes()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


# Which calls are passed over.


def _is_finite(call: Call) -> bool:
    results = _results(call)
    return results is None or all(np.isfinite(y).all() for y in results)


def _is_finite_around(call: Call) -> bool:
    """Whether the function is defined, with no jump or pole, a small step to each side as well."""
    middle = _results(call)
    if middle is None:
        return True
    for step in (-BESIDE, BESIDE):
        moved = [x + step if i in call.variables else x for i, x in enumerate(call.inputs)]
        beside = _results(Call(call.op, moved, call.attrs))
        if beside is None or not all(
            np.all(np.abs(b - a) <= 1 + np.abs(a)) for a, b in zip(middle, beside, strict=True)
        ):
            return False
    return True


def _results(call: Call) -> list[Any] | None:
    """What the op gives; None if it raises, which is for the laws to say."""
    try:
        with np.errstate(all="ignore"):
            return [y.data for y in call.results(call.nodes())]
    except Exception:
        return None


def _name(op: Callable[..., Any]) -> str:
    return getattr(op, "__name__", type(op).__name__)
