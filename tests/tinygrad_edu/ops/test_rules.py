"""Every derivative rule of the engine against finite differences, over drawn shapes and options.

A case of ``CASES`` draws a function that applies one op, and inputs away from the kinks, ties and
poles of that op, where there is no derivative to compare with.
"""

import math
from contextlib import contextmanager
from unittest import mock

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor, gradients
from tinygrad_edu.graph import plain
from tinygrad_edu.ops import (
    activation,
    convolution,
    einsum,
    elementwise,
    fused,
    indexing,
    joining,
    linalg,
    pooling,
    recurrent,
)
from tinygrad_edu.ops import reduction as reductions
from tinygrad_edu.ops import shape as shaping
from tinygrad_edu.ops import windows as sliding
from tinygrad_edu.ops.declare import OPS
from tinygrad_edu.testing import gradcheck

# Numbers that half precision holds exactly, so that a case is the same in every precision.
ORDINARY = st.floats(-2, 2, width=16)
POSITIVE = st.floats(0.5, 2, width=16)
NONZERO = st.builds(math.copysign, POSITIVE, st.sampled_from([-1, 1]))
# Two grids that have no number in common, for functions with a kink where their inputs are equal.
HALVES = st.integers(-4, 4).map(lambda n: n / 2)
QUARTERS = st.integers(-4, 4).map(lambda n: n / 2 + 0.25)
SMALL_DIVISORS = st.sampled_from([-1.0, -0.5, 0.5, 1.0])
EIGHTHS = st.integers(-4, 4).map(lambda n: n / 2 + 0.125)


def shapes(min_dims=0, min_side=0, max_dims=3):
    return hnp.array_shapes(
        min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=3
    ).filter(lambda shape: math.prod(shape) <= 9)


def broadcastable(count, max_dims=2):
    return hnp.mutually_broadcastable_shapes(
        num_shapes=count, max_dims=max_dims, min_side=0, max_side=2
    )


def arrays(shape, elements=ORDINARY):
    return hnp.arrays(np.float64, shape, elements=elements)


@st.composite
def unary(draw, op, elements=ORDINARY, **options):
    attrs = {name: draw(values) for name, values in options.items()}
    return lambda x: op(x, **attrs), [draw(arrays(draw(shapes()), elements))]


@st.composite
def binary(draw, op, left=ORDINARY, right=ORDINARY):
    drawn = draw(broadcastable(2, max_dims=3))
    a, b = draw(arrays(drawn.input_shapes[0], left)), draw(arrays(drawn.input_shapes[1], right))
    # Either operand may be a constant.
    return draw(
        st.sampled_from(
            [
                (op, [a, b]),
                (lambda x: op(x, b.astype(x.dtype)), [a]),
                (lambda x: op(a.astype(x.dtype), x), [b]),
            ]
        )
    )


@st.composite
def integer_power(draw):
    # int8, which NumPy does not widen half precision for.
    exponents = draw(hnp.arrays(np.int8, draw(shapes(max_dims=1)), elements=st.integers(-2, 3)))
    return lambda x: x**exponents, [draw(arrays(exponents.shape, NONZERO))]


@st.composite
def where(draw):
    drawn = draw(broadcastable(3))
    condition = draw(hnp.arrays(bool, drawn.input_shapes[0]))
    return lambda a, b: tg.where(condition, a, b), [
        draw(arrays(shape)) for shape in drawn.input_shapes[1:]
    ]


@st.composite
def clip(draw):
    drawn = draw(broadcastable(3))
    grids = zip(drawn.input_shapes, (QUARTERS, HALVES, EIGHTHS), strict=True)
    a, lo, hi = (draw(arrays(shape, grid)) for shape, grid in grids)
    return draw(
        st.sampled_from(
            [
                (elementwise.clip, [a, lo, hi]),
                (lambda a: elementwise.clip(a, lo.astype(a.dtype), None), [a]),
                (lambda a: elementwise.clip(a, -0.5, 1.0), [a]),
                (lambda hi: elementwise.clip(a.astype(hi.dtype), a_max=hi), [hi]),
            ]
        )
    )


def axes_of(shape):
    """Every way to name axes of a shape: None, a tuple, or a single one."""
    axes = [st.none(), hnp.valid_tuple_axes(len(shape))]
    if shape:
        axes.append(st.integers(-len(shape), len(shape) - 1))
    return st.one_of(axes)


@st.composite
def reduction(draw, op, least=0, distinct=False, elements=ORDINARY, masked=None):
    """A reduction of at least so many entries, perhaps with a mask and then the options masked."""
    shape = draw(shapes())
    axis, keepdims = draw(axes_of(shape)), draw(st.booleans())
    entries = np.ones(shape, bool)
    assume(entries.size >= least and np.all(np.sum(entries, axis=axis) >= least))
    options = {}
    if masked is not None and draw(st.booleans()):
        mask = draw(hnp.arrays(bool, draw(st.sampled_from([shape, shape[1:]]))))
        if np.any(np.sum(entries & mask, axis=axis) < least):
            mask[...] = True
        options = {"where": mask, **masked}
    if distinct:
        x = np.array(draw(st.permutations(range(math.prod(shape)))), float).reshape(shape) / 4
    else:
        x = draw(arrays(shape, elements))
    return lambda x: op(x, axis=axis, keepdims=keepdims, **options), [x]


@st.composite
def reshape(draw):
    shape = draw(shapes(min_side=1))
    size = math.prod(shape)
    target = draw(st.sampled_from([(size,), (1, size), (-1,), (size, 1, -1), shape[::-1]]))
    order = draw(st.sampled_from("CF"))
    return lambda x: tg.reshape(x, target, order), [draw(arrays(shape))]


@st.composite
def transpose(draw):
    shape = draw(shapes())
    axes = draw(st.permutations(range(len(shape))))
    axes = draw(st.sampled_from([None, tuple(axes), tuple(a - len(shape) for a in axes)]))
    return lambda x: tg.transpose(x, axes), [draw(arrays(shape))]


@st.composite
def broadcast_to(draw):
    shape = draw(shapes())
    repeated = tuple(draw(st.sampled_from([1, 2])) if n == 1 else n for n in shape)
    target = (*draw(hnp.array_shapes(min_dims=0, max_dims=1, max_side=2)), *repeated)
    return lambda x: tg.broadcast_to(x, target), [draw(arrays(shape))]


@st.composite
def indices(draw, shape):
    kinds = [hnp.basic_indices(shape, allow_newaxis=True), hnp.arrays(bool, shape)]
    if shape and math.prod(shape):
        along_first = st.lists(st.integers(-shape[0], shape[0] - 1), max_size=4)
        kinds += [hnp.integer_array_indices(shape), along_first.map(lambda rows: (rows, ...))]
    return draw(st.one_of(kinds))


@st.composite
def getitem(draw):
    shape = draw(shapes())
    index = draw(indices(shape))
    return lambda x: tg.getitem(x, index), [draw(arrays(shape))]


@st.composite
def scatter(draw):
    shape = draw(shapes(max_dims=2))
    index = draw(indices(shape))
    return lambda x: tg.scatter(x, shape, index), [draw(arrays(np.zeros(shape)[index].shape))]


@st.composite
def matmul(draw):
    drawn = draw(
        hnp.mutually_broadcastable_shapes(
            signature=np.matmul.signature, max_dims=2, min_side=0, max_side=2
        )
    )
    return tg.matmul, [draw(arrays(shape)) for shape in drawn.input_shapes]


@st.composite
def linear(draw):
    features, out = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    batch = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=2))
    inputs = [draw(arrays((*batch, features))), draw(arrays((out, features)))]
    if draw(st.booleans()):
        return tg.linear, [*inputs, draw(arrays((out,)))]
    return lambda x, weight: tg.linear(x, weight, None), inputs


@st.composite
def along_an_axis(draw, op):
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    assume(shape[axis])
    return lambda x: op(x, axis), [draw(arrays(shape))]


@st.composite
def label_cross_entropy(draw):
    shape, classes = draw(shapes(min_side=1, max_dims=2)), draw(st.integers(1, 3))
    target = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, classes - 1)))
    averaged = draw(st.booleans())
    return lambda x: fused.label_cross_entropy(x, target, averaged), [
        draw(arrays((*shape, classes)))
    ]


SUBSCRIPTS = st.sampled_from(
    [
        "ij,jk",
        "ij,jk->ik",
        "ii",
        "ii->i",
        "iii->",
        "ij->i",
        "ba",
        "",
        "i,j,->ji",
        "iij,j->i",
        "ii,i->i",
        "ij,jk,kl->il",
        "...i,...i->...",
        "...ij,i->j...",
        "i...->...",
    ]
)


@st.composite
def contraction(draw):
    subscripts = draw(SUBSCRIPTS)
    optimize = draw(st.sampled_from([False, True, "optimal"]))
    lengths = {label: draw(st.integers(0, 2)) for label in "abijkl" if label in subscripts}
    terms = subscripts.split("->")[0].split(",")
    ellipses = draw(broadcastable(len(terms), max_dims=1)).input_shapes
    inputs = []
    for term, ellipsis in zip(terms, ellipses, strict=True):
        # Along any label, an operand may have the length 1 and broadcast.
        own = {label: draw(st.sampled_from([n, 1])) for label, n in lengths.items()}
        shape = tuple(own[label] for label in term.replace("...", ""))
        shape = (*shape, *ellipsis) if term.endswith("...") else (*ellipsis, *shape)
        inputs.append(draw(arrays(shape if "..." in term else shape[len(ellipsis) :])))
    return lambda *operands: einsum.einsum(subscripts, *operands, optimize=optimize), inputs


@st.composite
def matrices(draw, f, rows=None, columns=None, *more):
    """f of matrices, or a stack of them, whose singular values are 1, 2, 3."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    rows = draw(st.integers(1, 3)) if rows is None else rows
    columns = rows if columns is None else columns
    stack = draw(st.sampled_from([(), (0,), (2,)])) if rows * columns <= 4 else ()
    u = np.linalg.qr(rng.standard_normal((*stack, rows, rows))).Q
    v = np.linalg.qr(rng.standard_normal((*stack, columns, columns))).Q
    middle = np.eye(rows, columns) * np.arange(1.0, columns + 1)
    return f, [u @ middle @ v, *(rng.standard_normal(shape) for shape in more)]


@st.composite
def systems(draw):
    """Equations to solve, for a vector or for several columns."""
    rows = draw(st.integers(1, 2))
    right = draw(st.sampled_from([(rows,), (rows, 0), (rows, 1), (rows, 2)]))
    return draw(matrices(linalg.solve, rows, rows, right))


def symmetric(f):
    """f of x + xᵀ and a diagonal that keeps its eigenvalues apart: only a triangle is read."""
    return lambda x: f(0.1 * (x + x.mT) + np.diag(np.arange(1, x.shape[-1] + 1, dtype=x.dtype)))


@st.composite
def norms(draw, op, **options):
    attrs = {name: draw(values) for name, values in options.items()}
    shape = draw(shapes(min_dims=1))
    axis, keepdims = draw(st.none() | an_axis(shape)), draw(st.booleans())
    assume(math.prod(shape) if axis is None else shape[axis])
    x = draw(arrays(shape, NONZERO))
    return lambda x: op(x, axis=axis, keepdims=keepdims, **attrs), [x]


PER_AXIS = {"stride": (1, 2), "dilation": (1, 2), "padding": ((0, 0), (1, 0), (1, 1))}


@st.composite
def geometry(draw, ndim, *names, smallest_kernel=1):
    """The options of a convolution or pooling with a value per axis, and a kernel and a size."""
    options = {
        name: tuple(draw(st.sampled_from(PER_AXIS[name])) for _ in range(ndim)) for name in names
    }
    kernel = tuple(draw(st.integers(smallest_kernel, 2)) for _ in range(ndim))
    ones = (1,) * ndim
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, options.get("dilation", ones), strict=True)]
    # The kernel fits, and perhaps there is one entry more.
    return options, kernel, tuple(e + draw(st.integers(0, 1)) for e in extents)


def numbers(draw, *lengths):
    """Arrays of these shapes, with no two numbers in one that tie."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return [rng.permutation(math.prod(s)).reshape(s) / math.prod(s) for s in lengths]


@st.composite
def convolutions(draw, name):
    options, kernel, size = draw(geometry(draw(st.integers(1, 2)), *PER_AXIS))
    options["groups"] = groups = draw(st.integers(1, 2))
    batch = draw(st.integers(0, 2 if len(size) == 1 else 1))
    x, weight, bias = numbers(draw, (batch, groups, *size), (2, 1, *kernel), (2,))
    y = convolution.convolution(x, weight, bias, **options)
    if name == "convolution":
        return lambda x, w, b: convolution.convolution(x, w, b, **options), [x, weight, bias]
    if name == "correlation":
        return lambda x, y: convolution.correlation(x, y, kernel, **options), [x, y]
    bias = bias[:groups]
    return (
        lambda y, w, b: convolution.transposed_convolution(y, w, b, size, **options),
        [y, weight, bias],
    )


@st.composite
def windows(draw, op, *names, adjoint=None, smallest_kernel=1):
    """A pooling over windows, or its adjoint."""
    ndim = draw(st.integers(1, 2))
    options, kernel, size = draw(geometry(ndim, *names, smallest_kernel=smallest_kernel))
    batch_and_channels = draw(st.sampled_from([(1, 1), (0, 1), (2, 1), (1, 2)]))
    (x,) = numbers(draw, (*batch_and_channels, *size))
    if adjoint is None:
        return lambda x: op(x, kernel, **options), [x]
    y = adjoint(x, kernel, **options)
    return lambda y: op(y, size, kernel, **options), [y]


@st.composite
def logistic_loss(draw):
    shape = draw(shapes(min_side=1))
    target = draw(arrays(shape, st.floats(0.25, 0.75, width=16)))
    return fused.logistic_loss, [draw(arrays(shape)), target]


@st.composite
def bernoulli_loss(draw):
    inner = st.floats(0.25, 0.75, width=16)
    shape = draw(shapes())
    return fused.bernoulli_loss, [draw(arrays(shape, inner)) for _ in range(2)]


@st.composite
def walks(draw, op, gates, states):
    length, batch, size = draw(st.integers(1, 3)), draw(st.integers(0, 2)), draw(st.integers(1, 2))
    a, weight = ((length, batch, gates * size), (gates * size, size))
    operands = [draw(arrays(shape)) for shape in (a, weight, *[(batch, size)] * states)]
    if draw(st.booleans()):
        return lambda a, weight, *state: op(a, weight, None, *state), operands
    operands.insert(2, draw(arrays(gates * size)))
    return op, operands


@st.composite
def standardize(draw):
    shape, centered = draw(shapes(min_dims=1)), draw(st.booleans())
    axes = draw(hnp.valid_tuple_axes(len(shape), min_size=1))
    assume(all(shape[axis] for axis in axes))
    # Apart by 1 / 2 at least, so that a deviation is not small beside eps or rounding.
    x = np.array(draw(st.permutations(range(1, math.prod(shape) + 1)))).reshape(shape) / 2
    if draw(st.booleans()):
        return lambda x: fused.standardize(x, None, None, axes, 0.1, centered), [x]
    weight, bias = (
        draw(arrays(tuple(draw(st.sampled_from([n, 1])) for n in shape))) for _ in range(2)
    )
    return lambda *inputs: fused.standardize(*inputs, axes, 0.1, centered), [x, weight, bias]


@st.composite
def accumulation(draw, op, elements=ORDINARY):
    shape = draw(shapes())
    axis = draw(st.none() | st.integers(-len(shape), len(shape) - 1) if shape else st.none())
    return lambda x: op(x, axis), [draw(arrays(shape, elements))]


@st.composite
def linear_recurrence(draw):
    shape = draw(shapes(min_dims=1, max_dims=2))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    a, b = draw(arrays(shape)), draw(arrays(shape))
    return lambda a, b: reductions.linear_recurrence(a, b, axis), [a, b]


@st.composite
def joined(draw, op):
    shape = draw(shapes(min_dims=1, max_dims=2))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    inputs = [draw(arrays(shape)) for _ in range(draw(st.integers(1, 3)))]
    constant = draw(arrays(shape))
    return lambda *nodes: op([*nodes, constant.astype(nodes[0].dtype), nodes[0]], axis=axis), inputs


@st.composite
def concatenate(draw):
    shape = draw(shapes(max_dims=2))
    axis = draw(st.none() | st.integers(-len(shape), len(shape) - 1) if shape else st.none())
    parts = []
    for length in draw(st.lists(st.integers(0, 2), min_size=1, max_size=3)):
        part = list(shape)
        if axis is not None:
            part[axis] = length
        parts.append(draw(arrays(tuple(part))))
    return lambda *nodes: joining.concatenate(nodes, axis), parts


@st.composite
def rearranged(draw, op, options, min_dims=1):
    """An op with options that suit a shape, as ``options`` draws them for it."""
    shape = draw(shapes(min_dims))
    chosen = draw(options(shape))
    return lambda x: op(x, **chosen), [draw(arrays(shape))]


def an_axis(shape):
    return st.integers(-len(shape), len(shape) - 1)


def new_axes(shape):
    two = hnp.valid_tuple_axes(len(shape) + 2, min_size=2, max_size=2)
    return st.fixed_dictionaries({"axis": two | st.integers(-len(shape) - 1, len(shape))})


def axes_of_length_1(shape):
    ones = [axis for axis, n in enumerate(shape) if n == 1]
    some = st.lists(st.sampled_from(ones), unique=True).map(tuple) if ones else st.just(())
    return st.fixed_dictionaries({}, optional={"axis": some})


def two_axes(shape):
    return st.fixed_dictionaries({"axis1": an_axis(shape), "axis2": an_axis(shape)})


@st.composite
def moves(draw, shape):
    order = st.permutations(range(len(shape)))
    count = draw(st.integers(0, len(shape)))
    return {"source": tuple(draw(order)[:count]), "destination": tuple(draw(order)[:count])}


@st.composite
def shifts(draw, shape):
    shift, axis = st.integers(-4, 4), an_axis(shape)
    together = st.lists(st.tuples(shift, axis), min_size=1, max_size=2).map(
        lambda pairs: tuple(zip(*pairs, strict=True))
    )
    one = st.tuples(shift, st.none() | axis | hnp.valid_tuple_axes(len(shape)))
    return dict(zip(("shift", "axis"), draw(together | one), strict=True))


@st.composite
def a_diagonal(draw, shape):
    axis1, axis2 = draw(st.permutations(range(len(shape))))[:2]
    return {"offset": draw(st.integers(-3, 3)), "axis1": axis1, "axis2": axis2 - len(shape)}


def triangle(shape):
    return st.fixed_dictionaries({}, optional={"k": st.integers(-2, 2)})


@st.composite
def repeat(draw):
    x = draw(arrays(draw(shapes(min_dims=1, max_dims=2))))
    axis = draw(st.none() | st.integers(-x.ndim, x.ndim - 1))
    counts = st.integers(0, 2)
    repeats = draw(counts | hnp.arrays(int, np.size(x, axis), elements=counts))
    return lambda x: shaping.repeat(x, repeats, axis), [x]


@st.composite
def pad(draw):
    mode = draw(st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]))
    min_side = 0 if mode == "constant" else 1
    x = draw(arrays(draw(shapes(min_dims=1, min_side=min_side, max_dims=2))))
    width = st.integers(0, 3)
    widths = draw(width | st.lists(st.tuples(width, width), min_size=x.ndim, max_size=x.ndim))
    return lambda x: shaping.pad(x, widths, mode), [x]


@st.composite
def changed_at(draw, op):
    shape = draw(shapes(max_dims=2))
    index = draw(indices(shape))
    target = np.zeros(shape)[index].shape
    value = draw(st.sampled_from([target, ()]))
    return lambda x, value: op(x, index, value), [draw(arrays(shape)), draw(arrays(value))]


CASES = {
    "add": binary(tg.add),
    "subtract": binary(tg.subtract),
    "multiply": binary(tg.multiply),
    "divide": binary(tg.divide, right=NONZERO),
    "negative": unary(tg.negative),
    "power": binary(tg.power, left=POSITIVE) | integer_power(),
    "float_power": binary(elementwise.float_power, left=POSITIVE),
    "copysign": binary(elementwise.copysign, NONZERO, NONZERO),
    "heaviside": binary(elementwise.heaviside, NONZERO)
    | unary(lambda at_zero: elementwise.heaviside(0.0, at_zero)),
    "exp": unary(tg.exp),
    "log": unary(tg.log, POSITIVE),
    "sqrt": unary(tg.sqrt, POSITIVE),
    "erf": unary(tg.erf),
    "abs": unary(tg.abs, NONZERO),
    "sign": unary(tg.sign, NONZERO),
    "maximum": binary(tg.maximum, HALVES, QUARTERS),
    "minimum": binary(tg.minimum, HALVES, QUARTERS),
    "where": where(),
    "sigmoid": unary(tg.sigmoid),
    "tanh": unary(tg.tanh),
    "relu": unary(tg.relu, NONZERO),
    "leaky_relu": unary(tg.leaky_relu, NONZERO, negative_slope=st.sampled_from([0.0, 0.01, -1.5])),
    "silu": unary(tg.silu),
    "gelu": unary(tg.gelu, approximate=st.sampled_from(["none", "tanh"])),
    "positive": unary(elementwise.positive),
    "reciprocal": unary(elementwise.reciprocal, NONZERO),
    "square": unary(elementwise.square),
    # n / 2 + 1 / 4 is never a multiple of 1 or 1 / 2
    "floor_divide": binary(elementwise.floor_divide, QUARTERS, SMALL_DIVISORS),
    "mod": binary(elementwise.mod, QUARTERS, SMALL_DIVISORS),
    "fmod": binary(elementwise.fmod, QUARTERS, SMALL_DIVISORS),
    "exp2": unary(elementwise.exp2),
    "expm1": unary(elementwise.expm1),
    "log2": unary(elementwise.log2, POSITIVE),
    "log10": unary(elementwise.log10, POSITIVE),
    "log1p": unary(elementwise.log1p, POSITIVE),
    "logaddexp": binary(elementwise.logaddexp),
    "logaddexp2": binary(elementwise.logaddexp2),
    "cbrt": unary(elementwise.cbrt, NONZERO),
    "hypot": binary(elementwise.hypot, right=NONZERO),
    "sin": unary(elementwise.sin),
    "cos": unary(elementwise.cos),
    "tan": unary(elementwise.tan, st.floats(-1, 1, width=16)),
    "arcsin": unary(elementwise.arcsin, st.floats(-0.75, 0.75, width=16)),
    "arccos": unary(elementwise.arccos, st.floats(-0.75, 0.75, width=16)),
    "arctan": unary(elementwise.arctan),
    "arctan2": binary(elementwise.arctan2, NONZERO),
    "deg2rad": unary(elementwise.deg2rad),
    "rad2deg": unary(elementwise.rad2deg),
    "sinh": unary(elementwise.sinh),
    "cosh": unary(elementwise.cosh),
    "arcsinh": unary(elementwise.arcsinh),
    "arccosh": unary(elementwise.arccosh, st.floats(1.5, 3, width=16)),
    "arctanh": unary(elementwise.arctanh, st.floats(-0.75, 0.75, width=16)),
    "sinc": unary(elementwise.sinc),
    "sinc_derivative": unary(elementwise.sinc_derivative, order=st.integers(0, 3)),
    "fmax": binary(elementwise.fmax, HALVES, QUARTERS),
    "fmin": binary(elementwise.fmin, HALVES, QUARTERS),
    "clip": clip(),
    "nan_to_num": unary(elementwise.nan_to_num),
    "floor": unary(elementwise.floor, QUARTERS),
    "ceil": unary(elementwise.ceil, QUARTERS),
    "trunc": unary(elementwise.trunc, QUARTERS),
    "round": unary(elementwise.round, QUARTERS, decimals=st.sampled_from([0, -1])),
    "softplus": unary(activation.softplus),
    "mish": unary(activation.mish),
    "softsign": unary(activation.softsign, NONZERO),
    "elu": unary(activation.elu, NONZERO, alpha=st.sampled_from([0.0, 1.0, 1.5])),
    "hardtanh": unary(activation.hardtanh, QUARTERS, max_val=st.sampled_from([1.0, 2.0])),
    "hardswish": unary(lambda x: activation.hardswish(2 * x), QUARTERS),
    "sum": reduction(tg.sum, masked={"initial": 2}),
    "mean": reduction(tg.mean, least=1, masked={}),
    "max": reduction(tg.max, least=1, distinct=True, masked={"initial": 0.6}),
    "min": reduction(reductions.min, least=1, distinct=True, masked={"initial": 9}),
    "prod": reduction(reductions.prod, elements=HALVES, masked={"initial": 3}),
    "var": reduction(reductions.var, least=2, masked={"ddof": 1}),
    "std": reduction(reductions.std, least=1, distinct=True, masked={"correction": 0.5}),
    "logsumexp": reduction(reductions.logsumexp, least=1),
    "cumsum": accumulation(reductions.cumsum),
    "cumprod": accumulation(reductions.cumprod, HALVES),
    "linear_recurrence": linear_recurrence(),
    "reshape": reshape(),
    "transpose": transpose(),
    "broadcast_to": broadcast_to(),
    "concatenate": concatenate(),
    "stack": joined(joining.stack),
    "expand_dims": rearranged(shaping.expand_dims, new_axes, min_dims=0),
    "squeeze": rearranged(shaping.squeeze, axes_of_length_1, min_dims=0),
    "swapaxes": rearranged(shaping.swapaxes, two_axes),
    "moveaxis": rearranged(shaping.moveaxis, moves, min_dims=0),
    "flip": rearranged(shaping.flip, lambda shape: st.fixed_dictionaries({"axis": axes_of(shape)})),
    "roll": rearranged(shaping.roll, shifts),
    "repeat": repeat(),
    "pad": pad(),
    "diagonal": rearranged(shaping.diagonal, a_diagonal, min_dims=2),
    "tril": rearranged(shaping.tril, triangle),
    "triu": rearranged(shaping.triu, triangle),
    "copy": unary(shaping.copy),
    "astype": unary(lambda x: tg.astype(tg.astype(x, np.longdouble), x.dtype)),
    "getitem": getitem(),
    "scatter": scatter(),
    "add_at": changed_at(indexing.index_add),
    "set_at": changed_at(indexing.index_set),
    "matmul": matmul(),
    "linear": linear(),
    "softmax": along_an_axis(tg.softmax),
    "log_softmax": along_an_axis(tg.log_softmax),
    "label_cross_entropy": label_cross_entropy(),
    "contraction": contraction(),
    "inv": matrices(linalg.inv),
    "solve": systems(),
    "det": matrices(linalg.det) | matrices(lambda x: linalg.det(x @ x.mT), 2, 1),  # singular
    "packed_slogdet": matrices(lambda x: linalg.slogdet(x).logabsdet),
    "cholesky": matrices(symmetric(linalg.cholesky))
    | matrices(symmetric(lambda x: linalg.cholesky(x, upper=True))),
    "packed_eigh": matrices(symmetric(linalg.packed_eigh)),
    "eigvalsh": matrices(symmetric(linalg.eigvalsh)),
    "packed_svd": st.sampled_from([(2, 2), (3, 2), (2, 3)]).flatmap(
        lambda shape: matrices(linalg.packed_svd, *shape)
    ),
    "svdvals": st.sampled_from([(2, 2), (3, 2), (2, 3)]).flatmap(
        lambda shape: matrices(linalg.svdvals, *shape)
    ),
    "packed_qr": matrices(linalg.packed_qr) | matrices(linalg.packed_qr, 3, 2),
    "pinv": matrices(linalg.pinv, 2, 3) | matrices(linalg.pinv, 3, 2),
    "euclidean_norm": norms(linalg.euclidean_norm),
    "p_norm": norms(linalg.p_norm, ord=st.sampled_from([3, 1.5, 0.5, -1])),
    "convolution": convolutions("convolution"),
    "transposed_convolution": convolutions("transposed_convolution"),
    "correlation": convolutions("correlation"),
    "max_pool": windows(pooling.max_pool, *PER_AXIS, smallest_kernel=2),
    "sum_windows": windows(pooling.sum_windows, "stride", "padding"),
    "spread_over_windows": windows(
        pooling.spread_over_windows, "stride", "padding", adjoint=pooling.sum_windows
    ),
    "image_to_columns": windows(sliding.image_to_columns, *PER_AXIS),
    "columns_to_image": windows(
        sliding.columns_to_image, *PER_AXIS, adjoint=sliding.image_to_columns
    ),
    "logistic_loss": logistic_loss(),
    "bernoulli_loss": bernoulli_loss(),
    "standardize": standardize(),
    "lstm": walks(recurrent.lstm, 4, 2),
    "gru": walks(recurrent.gru, 3, 1),
}


def is_of_the_engine(op):
    functions = (op.on_floats, op.on_arrays, *op.rules)
    modules = [getattr(f, "__module__", None) or "" for f in functions]
    return any(module.startswith("tinygrad_edu.ops.") for module in modules)


# Taken now, while tests are collected: running them declares further ops.
ENGINE_OPS = {name for name, op in OPS.items() if is_of_the_engine(op)}


def test_every_op_of_the_engine_has_a_case_here():
    assert set(CASES) >= ENGINE_OPS
    assert len(ENGINE_OPS) >= 35  # the ops were found at all


# check_op draws for every elementwise op by itself (tests/tinygrad_edu/testing/test_check_op.py);
# here are those with options or exponents that it does not draw.
ON_ARRAYS = [name for name in CASES if OPS[name].on_floats is None]
PARTICULAR = ["power", "heaviside", "clip", "sinc_derivative", "round"]


@pytest.mark.parametrize("name", ON_ARRAYS + PARTICULAR)
@given(data=st.data())
@settings(max_examples=25)
def test_first_and_second_derivatives_are_what_finite_differences_see(name, data):
    f, inputs = data.draw(CASES[name])
    # Curved, so that the gradient which reaches the op depends on the inputs as well: a second
    # derivative has to go through the rule's g, not only through the rule.
    gradcheck(lambda *nodes: curved(f(*nodes)), *inputs, order=2)


def curved(y):
    return y + 0.3 * y * y


# LAPACK, and so NumPy, has these in single and double precision only.
DECOMPOSITIONS = {
    *("inv", "solve", "det", "packed_slogdet", "cholesky", "packed_eigh", "eigvalsh"),
    *("packed_svd", "svdvals", "packed_qr", "pinv"),
}

# What NumPy defines to compute in double precision, whatever it is given.
ALWAYS_DOUBLE = {"float_power"}


def gradients_by(f, inputs, g):
    """The result of f, and the gradient by each input, given the gradient by the result."""
    nodes = [Tensor(x, requires_grad=True) for x in inputs]
    y = f(*nodes)
    found = gradients(y, g) if y.requires_grad else {}
    return y, [found.get(node, np.zeros_like(node.data)) for node in nodes]


@contextmanager
def no_rule_computes_in_double():
    """The traversal casts what a rule returns; that it has to from float64 is a fault in a rule."""
    fit = Tensor.fit

    def watched(self, gradient, op):
        assert plain(gradient).dtype != np.float64, f"a rule of {op.name} gave float64"
        return fit(self, gradient, op)

    with mock.patch.object(Tensor, "fit", watched):
        yield


@pytest.mark.parametrize("name", [name for name in CASES if name not in ALWAYS_DOUBLE])
@given(data=st.data())
def test_single_and_half_precision_stay_to_the_second_derivative_and_round_little(name, data):
    f, inputs = data.draw(CASES[name])
    for dtype in (np.float32, np.float16):
        if dtype is np.float32 or name not in DECOMPOSITIONS:
            check_precision(f, [x.astype(dtype) for x in inputs], dtype)


def check_precision(f, inputs, dtype):
    rng = np.random.default_rng(0)
    g = rng.uniform(0.5, 1.5, np.shape(f(*inputs))).astype(dtype)
    with no_rule_computes_in_double():
        y, computed = gradients_by(f, inputs, g)
        assert_keeps_its_precision_twice(f, inputs, g)
    assert y.dtype == dtype
    doubles = [x.astype(np.float64) for x in inputs]
    _, exact = gradients_by(f, doubles, g)
    # Rounding moves a gradient as much as a last bit more or less in the inputs and in g would,
    # which is what the condition of the op makes of it; and by a last bit of the terms of sums.
    eps = np.finfo(dtype).eps
    last_bit = lambda x: x * (1 + eps * rng.choice([-1.0, 1.0], x.shape))
    moved = [gradients_by(f, [last_bit(x) for x in doubles], last_bit(g))[1] for _ in range(3)]
    for i, x in enumerate(inputs):
        assert (computed[i].dtype, computed[i].shape) == (dtype, x.shape)
        condition = max(np.max(np.abs(m[i] - exact[i]), initial=0) for m in moved)
        np.testing.assert_allclose(
            computed[i], exact[i], rtol=4 * eps, atol=4 * (eps + condition), strict=False
        )


def assert_keeps_its_precision_twice(f, inputs, g):
    nodes = [Tensor(x, requires_grad=True) for x in inputs]
    y = f(*nodes)
    if not y.requires_grad:
        return
    first = gradients(curved(y), g, intermediates=False, create_graph=True)
    slope = sum((d.sum() for d in first.values()), start=y.sum())
    assert {slope.dtype, *(d.dtype for d in first.values())} == {g.dtype}
    for x, d in gradients(slope, intermediates=False).items():
        assert (d.dtype, d.shape) == (x.dtype, x.shape)


@pytest.mark.parametrize("name", sorted(DECOMPOSITIONS))
@given(data=st.data())
@settings(max_examples=5)
def test_half_precision_is_refused_by_name_where_lapack_has_none(name, data):
    f, inputs = data.draw(CASES[name])
    with pytest.raises(tg.OperandError, match=f"{name} cannot take.* float16 is unsupported"):
        f(*(Tensor(x.astype(np.float16)) for x in inputs))
