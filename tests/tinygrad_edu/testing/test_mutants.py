"""The proof of ``check_op``: it sees every fault of a list of them, and accuses nothing else.

A mutant is an op with one part exchanged for a faulty one. With the right part it has to pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import tinygrad_edu as tg
from tinygrad_edu import GradientMismatchError, OpLawError
from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops import shape as shaping
from tinygrad_edu.ops.declare import OPS, Op
from tinygrad_edu.testing import check_op

SINE, COSINE = OPS["sin"], OPS["cos"]
RNG = np.random.default_rng(2024)
PLACE = int(RNG.integers(1, 4))  # the entry at which a rule is wrong
MAX_EXAMPLES = 15
FACTOR = float(RNG.uniform(1.01, 1.1))


def op(f, *rules, on_floats=None):
    """An elementwise op with these rules."""
    return tg.elementwise("mutant", "?", on_floats or (lambda *x: float(f(*x))), f, *rules)


def of_arrays(f, *rules, **options):
    """An op on arrays with these rules."""
    return tg.primitive(*rules, **options)(f)


def multiply(*rules):
    return op(lambda a, b: a * b, *rules)


def square(rule):
    return op(lambda x: x * x, rule)


def drawn(mutant):
    """check_op on what it draws by itself."""
    return check_op(mutant, max_examples=MAX_EXAMPLES)


def on(*shapes, **options):
    """check_op on arrays of these shapes."""
    numbers = st.integers(-16, 16).map(lambda n: n / 8)
    strategies = [arrays(np.float64, shape, elements=numbers) for shape in shapes]
    return lambda mutant: check_op(mutant, *strategies, max_examples=MAX_EXAMPLES, **options)


def scaled_at_one_entry(g):
    """A factor at one entry, where there are so many."""
    factors = np.ones(np.size(plain(g)), plain(g).dtype)
    factors[PLACE : PLACE + 1] = FACTOR
    return g * factors.reshape(np.shape(plain(g)))


# Parts with a memory, which start anew in each op.


def rule_with_cache():
    seen = {}

    def forward(x):
        seen["x"] = x
        return x * x

    return op(forward, lambda g, y, x: 2 * g * seen["x"])


def saving_into(buffer):
    """The op x² that keeps 2x for its rule, in the array that ``buffer`` gives for x."""

    def forward(x):
        return x * x, np.multiply(x, 2, out=buffer(x))

    return of_arrays(
        forward, lambda g, y, x, saved: g * saved, saves=True, definition=lambda x: x * x
    )


def shared_buffer():
    memory = np.zeros(1000)
    return lambda x: memory[: x.size].reshape(x.shape).astype(x.dtype, copy=False)


def noise():
    rng = np.random.default_rng(0)
    return lambda x: x + 1e-9 * rng.random()


# Ops on arrays whose rules are a few lines.


def downsample(start):
    """x[::2], with a rule that puts g back at start, start + 2, ..."""

    def rule(g, y, x):
        return tg.scatter(g, x.shape, slice(start, start + 5, 2))

    return of_arrays(lambda x: x[::2].copy(), rule)


def reshape_rule(order):
    return of_arrays(lambda x: x.reshape(-1), lambda g, y, x: shaping.reshape(g, x.shape, order))


def row_softmax(rule):
    return of_arrays(lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True), rule)


def row_sum(rule):
    return of_arrays(lambda x: x.sum(axis=-1), rule)


def matmul(rule):
    return of_arrays(lambda a, b: a @ b, rule, lambda g, y, a, b: a.T @ g)


def correlate(rule):
    return of_arrays(
        lambda x, w: np.correlate(x, w, "valid"),
        rule,
        lambda g, y, x, w: np.correlate(x, g, "valid"),
    )


def whole(f):
    """A rule for an op that reduces everything to one number."""
    return lambda reduce: of_arrays(lambda x: reduce(x), f)


def join(position):
    """Two rows in one, with a rule that takes the part of g at ``position(i)``."""
    return of_arrays(
        lambda *rows: np.concatenate(rows),
        lambda g, y, *rows, i: g[3 * position(i) : 3 * position(i) + 3],
        variadic=True,
    )


def double(f, rule=lambda g, y, x: 2 * g, on_floats=lambda x: 2 * x):
    return op(f, rule, on_floats=on_floats)


def overwritten(x):
    x *= 2
    return x


def doubled_in_place(g, y, x):
    g *= 2
    return g


def defined_as(definition):
    return of_arrays(lambda x: x * x * x, lambda g, y, x: 3 * g * x * x, definition=definition)


def numpy_name(function):
    return of_arrays(lambda x: x * x, lambda g, y, x: 2 * g * x, numpy=function)


@dataclass
class Mutant:
    make: Callable[[Any], Any]  # an op with one part left open
    right: Any
    wrong: Any
    check: Callable[[Any], Any] = drawn


MUTANTS = {
    "wrong sign": Mutant(
        lambda rule: op(lambda x: np.cos(x), rule),
        lambda g, y, x: -g * SINE(x),
        lambda g, y, x: g * SINE(x),
    ),
    "missing factor": Mutant(square, lambda g, y, x: 2 * g * x, lambda g, y, x: g * x),
    "factor that is nearly right": Mutant(
        lambda k: square(lambda g, y, x: k * g * x), 2.0, 2.0 * FACTOR
    ),
    "g forgotten": Mutant(
        square, lambda g, y, x: 2 * g * x, lambda g, y, x: 2 * x * tg.sign(1 + g * g)
    ),
    "swapped operands": Mutant(
        lambda rule: op(lambda a, b: a * a * b, rule, lambda g, y, a, b: g * a * a),
        lambda g, y, a, b: 2 * g * a * b,
        lambda g, y, a, b: 2 * g * b * b,
    ),
    "swapped rules": Mutant(
        lambda rules: op(lambda a, b: a - b, *rules),
        (lambda g, y, a, b: g, lambda g, y, a, b: -g),
        (lambda g, y, a, b: -g, lambda g, y, a, b: g),
    ),
    "broadcasting undone along the wrong axis": Mutant(
        lambda rule: multiply(rule, lambda g, y, a, b: g * a),
        lambda g, y, a, b: g * b,
        lambda g, y, a, b: (g * b).sum(-1) if np.ndim(plain(a)) < np.ndim(plain(g)) else g * b,
    ),
    "mean instead of sum over what is repeated": Mutant(
        lambda rule: multiply(rule, lambda g, y, a, b: g * a),
        lambda g, y, a, b: g * b,
        lambda g, y, a, b: (
            (g * b).sum(0) / max(len(g), 1) if np.ndim(plain(a)) < np.ndim(plain(g)) else g * b
        ),
    ),
    "wrong only where an axis of length 1 is stretched": Mutant(
        lambda rule: multiply(lambda g, y, a, b: g * b, rule),
        lambda g, y, a, b: g * a,
        lambda g, y, a, b: g * a * (1 + (1 in np.shape(plain(b)) != np.shape(plain(g)))),
    ),
    "shared operand not accumulated": Mutant(
        lambda rule: multiply(rule, lambda g, y, a, b: g * a),
        lambda g, y, a, b: g * b,
        lambda g, y, a, b: g * b * (a is not b),
    ),
    "float64 in the forward": Mutant(double, lambda x: 2 * x, lambda x: np.float64(2) * x),
    "float64 constant array in the forward": Mutant(
        double, lambda x: 2 * x, lambda x: x * np.array([2.0])[0]
    ),
    "float64 in the rule": Mutant(
        lambda rule: double(lambda x: 2 * x, rule),
        lambda g, y, x: 2 * g,
        lambda g, y, x: np.float64(2) * g,
    ),
    "float32 constant in the rule": Mutant(
        lambda rule: double(lambda x: 2 * x, rule),
        lambda g, y, x: 2 * g,
        lambda g, y, x: g * np.float32(2),
    ),
    "wrong only in float16": Mutant(
        lambda rule: double(lambda x: 2 * x, rule),
        lambda g, y, x: 2 * g,
        lambda g, y, x: (2 - (g.dtype == np.float16 if hasattr(g, "dtype") else 0)) * g,
    ),
    "gradient of a scalar's shape": Mutant(
        square, lambda g, y, x: 2 * g * x, lambda g, y, x: tg.sum(2 * g * x)
    ),
    "gradient transposed": Mutant(
        lambda rule: of_arrays(lambda x: x * x, rule),
        lambda g, y, x: 2 * g * x,
        lambda g, y, x: (2 * g * x).T,
    ),
    "detached branch": Mutant(
        lambda keep: lambda x: x * keep(x), lambda x: x, lambda x: x.detach()
    ),
    "stale cache": Mutant(
        lambda make: make(), lambda: square(lambda g, y, x: 2 * g * x), rule_with_cache
    ),
    "saved array reused": Mutant(
        lambda make: saving_into(make()), lambda: np.empty_like, shared_buffer
    ),
    "second derivative cut at the operand": Mutant(
        square, lambda g, y, x: 2 * g * x, lambda g, y, x: 2 * g * plain(x)
    ),
    "second derivative cut at g": Mutant(
        square, lambda g, y, x: 2 * g * x, lambda g, y, x: 2 * plain(g) * x
    ),
    "wrong only in a gradient that is recorded": Mutant(
        square,
        lambda g, y, x: 2 * g * x,
        lambda g, y, x: 2 * g * x + (x if isinstance(g, Node) else 0),
    ),
    "wrong only in a recorded gradient beside a constant": Mutant(
        lambda rule: multiply(rule, lambda g, y, a, b: g * a),
        lambda g, y, a, b: g * b,
        lambda g, y, a, b: g * b * (2 if isinstance(g, Node) > isinstance(b, Node) else 1),
    ),
    "rule that clips g": Mutant(
        square, lambda g, y, x: 2 * g * x, lambda g, y, x: 2 * x * tg.clip(g, -1.6, 1.6)
    ),
    "rule with a constant in it": Mutant(
        square, lambda g, y, x: 2 * g * x, lambda g, y, x: 2 * g * x + 1e-3
    ),
    "g changed in place": Mutant(
        lambda rule: double(lambda x: 2 * x, rule), lambda g, y, x: 2 * g, doubled_in_place
    ),
    "operand changed in place": Mutant(double, lambda x: 2 * x, overwritten),
    "wrong at one entry": Mutant(
        lambda f: of_arrays(lambda x: x * x, lambda g, y, x: f(2 * g * x)),
        lambda d: d,
        scaled_at_one_entry,
    ),
    "wrong for negative numbers": Mutant(
        square, lambda g, y, x: 2 * g * x, lambda g, y, x: 2 * g * abs(x)
    ),
    "wrong beyond a threshold": Mutant(
        square, lambda g, y, x: 2 * g * x, lambda g, y, x: 2 * g * tg.clip(x, -1.5, 1.5)
    ),
    "floats and arrays differ": Mutant(
        lambda on_floats: double(lambda x: 2 * x, on_floats=on_floats),
        lambda x: 2 * x,
        lambda x: 2 * x if x < 1 else x + 1 + 1e-6,
    ),
    "result that is random": Mutant(
        lambda make: op(make(), lambda g, y, x: g, on_floats=lambda x: x),
        lambda: lambda x: x + 0,
        noise,
    ),
    "nothing for zero-size arrays": Mutant(
        double, lambda x: 2 * x, lambda x: 2 * x + 0 * np.max(x)
    ),
    "an axis more for a number": Mutant(double, lambda x: 2 * x, lambda x: np.atleast_1d(2 * x)),
    "off by one in an index": Mutant(downsample, 0, 1, on((6,))),
    "entries in another order": Mutant(reshape_rule, "C", "F", on((2, 3))),
    "another part for each operand": Mutant(join, lambda i: i, lambda i: 1 - i, on((3,), (3,))),
    "keepdims forgotten": Mutant(
        row_sum,
        lambda g, y, x: g[..., None] * np.ones(x.shape, plain(x).dtype),
        lambda g, y, x: g * np.ones(x.shape, plain(x).dtype),
        on((2, 2)),
    ),
    "wrong axis": Mutant(
        row_softmax,
        lambda g, y, x: y * (g - (g * y).sum(-1, keepdims=True)),
        lambda g, y, x: y * (g - (g * y).sum(0, keepdims=True)),
        on((2, 3)),
    ),
    "softmax without its cross term": Mutant(
        row_softmax,
        lambda g, y, x: y * (g - (g * y).sum(-1, keepdims=True)),
        lambda g, y, x: g * y * (1 - y),
        on(array_shapes(min_dims=1, max_dims=2, max_side=3)),
    ),
    "matmul without a transposition": Mutant(
        matmul, lambda g, y, a, b: g @ b.T, lambda g, y, a, b: g @ b, on((2, 2), (2, 2))
    ),
    "convolution without the flip": Mutant(
        correlate,
        lambda g, y, x, w: np.convolve(g, w),
        lambda g, y, x, w: np.convolve(g, w[::-1]),
        on((4,), (2,), order=1),
    ),
    "mean without 1 / n": Mutant(
        lambda rule: of_arrays(lambda x: np.mean(x), rule),
        lambda g, y, x: g * (x * 0 + 1) / x.size,
        lambda g, y, x: g * (x * 0 + 1),
    ),
    "product that divides by zero": Mutant(
        lambda rule: of_arrays(lambda x: x[..., 0] * x[..., 1], rule),
        lambda g, y, x: g[..., None] * x[..., ::-1],
        lambda g, y, x: (g * y)[..., None] / x,
        on((3, 2)),
    ),
    "norm with no slope at zero": Mutant(
        lambda rule: of_arrays(lambda x: np.sqrt(np.sum(x * x)), rule),
        lambda g, y, x: g * x / (y + (y == 0)),
        lambda g, y, x: g * x / y,
        on((2,)),
    ),
    "max that gives each of its ties everything": Mutant(
        lambda rule: of_arrays(lambda x: np.max(x), rule),
        lambda g, y, x: g * (x == y) / float(np.sum(plain(x) == plain(y))),
        lambda g, y, x: g * (x == y),
        on((3,)),
    ),
    "definition of something else": Mutant(defined_as, lambda x: x**3, lambda x: x**3 + 1e-6 * x),
    "NumPy's name for something else": Mutant(numpy_name, np.square, np.negative),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_the_op_that_was_mutated_is_right(name):
    mutant = MUTANTS[name]
    mutant.check(mutant.make(mutant.right))


def test_every_mutant_is_caught(capsys):
    survivors = []
    for name, mutant in MUTANTS.items():
        try:
            mutant.check(mutant.make(mutant.wrong))
        except (GradientMismatchError, OpLawError):
            continue
        survivors.append(name)
    with capsys.disabled():
        print(f"\n{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} mutants of ops caught")
    assert not survivors


# Not float_power, which breaks the law of dtypes, nor heaviside by its value at 0: that is 0 at
# every other point.
EXEMPT = {("float_power", 0), ("float_power", 1), ("heaviside", 1)}

# Taken now, while tests are collected: running them declares further ops.
RULES = [
    (op, i)
    for op in OPS.values()
    if op.on_floats is not None
    for i, rule in enumerate(op.rules)
    if rule is not None and (op.name, i) not in EXEMPT
]


@pytest.mark.parametrize(("op", "i"), RULES, ids=lambda x: getattr(x, "name", x))
def test_a_rule_of_the_library_that_is_off_by_some_percent_is_caught(op, i):
    rules = list(op.rules)
    rules[i] = lambda *args, **attrs: FACTOR * op.rules[i](*args, **attrs)
    with pytest.raises(GradientMismatchError):
        drawn(Op(op.name, op.symbol, op.on_floats, op.on_arrays, tuple(rules)))
