"""Every derivative rule of the engine against finite differences, over drawn shapes and options.

A case of ``CASES`` draws a function that applies one op, and inputs away from the kinks, ties and
poles of that op, where there is no derivative to compare with.
"""

import math

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu.ops import activation, convolution, einsum, elementwise, fused, indexing, linalg
from tinygrad_edu.ops import reduction as reductions
from tinygrad_edu.ops import shape as shaping
from tinygrad_edu.ops.declare import OPS
from tinygrad_edu.testing import gradcheck

ORDINARY = st.floats(-2, 2)
POSITIVE = st.floats(0.5, 2)
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


def arrays(shape, elements=ORDINARY):
    return hnp.arrays(np.float64, shape, elements=elements)


@st.composite
def unary(draw, op, elements=ORDINARY, **options):
    attrs = {name: draw(values) for name, values in options.items()}
    return lambda x: op(x, **attrs), [draw(arrays(draw(shapes()), elements))]


@st.composite
def binary(draw, op, left=ORDINARY, right=ORDINARY):
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=2))
    a, b = draw(arrays(drawn.input_shapes[0], left)), draw(arrays(drawn.input_shapes[1], right))
    # Either operand may be a constant.
    return draw(
        st.sampled_from(
            [
                (op, [a, b]),
                (lambda x: op(x, b), [a]),
                (lambda x: op(a, x), [b]),
            ]
        )
    )


@st.composite
def integer_power(draw):
    exponents = draw(hnp.arrays(np.int64, draw(shapes(max_dims=1)), elements=st.integers(-2, 3)))
    return lambda x: x**exponents, [draw(arrays(exponents.shape, NONZERO))]


@st.composite
def where(draw):
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=2, max_side=2))
    condition = draw(hnp.arrays(bool, drawn.input_shapes[0]))
    return lambda a, b: tg.where(condition, a, b), [
        draw(arrays(shape)) for shape in drawn.input_shapes[1:]
    ]


@st.composite
def clip(draw):
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=2, max_side=2))
    grids = zip(drawn.input_shapes, (QUARTERS, HALVES, EIGHTHS), strict=True)
    a, lo, hi = (draw(arrays(shape, grid)) for shape, grid in grids)
    return draw(
        st.sampled_from(
            [
                (elementwise.clip, [a, lo, hi]),
                (lambda a: elementwise.clip(a, lo, None), [a]),
                (lambda a: elementwise.clip(a, -0.5, 1.0), [a]),
                (lambda hi: elementwise.clip(a, a_max=hi), [hi]),
            ]
        )
    )


@st.composite
def reduction(draw, op, min_side, distinct=False, elements=ORDINARY):
    shape = draw(shapes(min_side=min_side))
    axes = [st.none(), hnp.valid_tuple_axes(len(shape))]
    if shape:
        axes.append(st.integers(-len(shape), len(shape) - 1))
    axis, keepdims = draw(st.one_of(axes)), draw(st.booleans())
    if distinct:
        x = np.array(draw(st.permutations(range(math.prod(shape)))), float).reshape(shape)
    else:
        x = draw(arrays(shape, elements))
    return lambda x: op(x, axis=axis, keepdims=keepdims), [x]


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
    drawn = draw(hnp.mutually_broadcastable_shapes(num_shapes=1, max_dims=3, max_side=3))
    shape = drawn.input_shapes[0]
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
    shape = draw(shapes(min_dims=1, min_side=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    return lambda x: op(x, axis), [draw(arrays(shape))]


@st.composite
def cross_entropy(draw):
    rows, classes = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    target = draw(hnp.arrays(np.int64, rows, elements=st.integers(0, classes - 1)))
    return lambda x: tg.cross_entropy(x, target), [draw(arrays((rows, classes)))]


SUBSCRIPTS = st.sampled_from(
    [
        ("ij,jk", [(2, 3), (3, 2)]),
        ("ij,jk->ik", [(2, 1), (3, 2)]),
        ("ii", [(2, 2)]),
        ("ii->i", [(2, 2)]),
        ("iii->", [(2, 2, 2)]),
        ("ij->i", [(2, 3)]),
        ("ba", [(2, 3)]),
        ("", [()]),
        ("i,j,->ji", [(2,), (0,), ()]),
        ("iij,j->i", [(2, 2, 3), (3,)]),
        ("ii,i->i", [(1, 1), (3,)]),
        ("ij,jk,kl->il", [(2, 2), (2, 1), (1, 2)]),
        ("...i,...i->...", [(2, 1, 2), (3, 2)]),
        ("...ij,i->j...", [(2, 2, 2), (2,)]),
        ("i...->...", [(2, 3)]),
    ]
)


@st.composite
def contraction(draw):
    subscripts, lengths = draw(SUBSCRIPTS)
    optimize = draw(st.sampled_from([False, True, "optimal"]))
    inputs = [draw(arrays(shape)) for shape in lengths]
    return lambda *operands: einsum.einsum(subscripts, *operands, optimize=optimize), inputs


@st.composite
def matrices(draw, f, rows=None, columns=None, *more):
    """f of matrices, or a stack of them, whose singular values are 1, 2, 3."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    rows = draw(st.integers(1, 3)) if rows is None else rows
    columns = rows if columns is None else columns
    stack = draw(st.sampled_from([(), (2,)])) if rows * columns <= 4 else ()
    u = np.linalg.qr(rng.standard_normal((*stack, rows, rows))).Q
    v = np.linalg.qr(rng.standard_normal((*stack, columns, columns))).Q
    middle = np.eye(rows, columns) * np.arange(1.0, columns + 1)
    return f, [u @ middle @ v, *(rng.standard_normal(shape) for shape in more)]


def symmetric(f):
    """f of x + xᵀ and a diagonal that keeps its eigenvalues apart: only a triangle is read."""
    return lambda x: f(0.1 * (x + x.mT) + np.diag(np.arange(1.0, x.shape[-1] + 1)))


@st.composite
def norms(draw, op, **options):
    attrs = {name: draw(values) for name, values in options.items()}
    shape = draw(shapes(min_dims=1, min_side=1))
    axis = draw(st.one_of(st.none(), st.integers(-len(shape), len(shape) - 1)))
    keepdims = draw(st.booleans())
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
    batch = draw(st.integers(1, 2)) if len(size) == 1 else 1
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
    options, kernel, size = draw(geometry(2, *names, smallest_kernel=smallest_kernel))
    (x,) = numbers(draw, (1, 1, *size))
    if adjoint is None:
        return lambda x: op(x, kernel, **options), [x]
    y = adjoint(x, kernel, **options)
    return lambda y: op(y, size, kernel, **options), [y]


@st.composite
def binary_cross_entropy(draw):
    shape = draw(shapes(min_side=1))
    target = draw(arrays(shape, st.floats(0.25, 0.75)))
    return fused.binary_cross_entropy_with_logits, [draw(arrays(shape)), target]


@st.composite
def standardize(draw):
    centered, axes = draw(st.booleans()), draw(st.sampled_from([(-1,), (0, -1), (1,)]))
    x = np.random.default_rng(draw(st.integers(0, 999))).standard_normal((2, 2, 2))
    weight, bias = draw(arrays((2,))), draw(arrays((1, 2, 1)))
    return draw(
        st.sampled_from(
            [
                (
                    lambda *inputs: fused.standardize(*inputs, axes, 1e-5, centered),
                    [x, weight, bias],
                ),
                (lambda x: fused.standardize(x, None, None, axes, 0.1, centered), [x]),
            ]
        )
    )


MASK = np.array([[True, True, False], [False, True, True]])


@st.composite
def masked(draw, op, **options):
    axis = draw(st.sampled_from([None, 1, (0, -1)]))
    x = np.array(draw(st.permutations(range(6))), float).reshape(2, 3) / 4
    return lambda x: op(x, axis=axis, where=MASK, **options), [x]


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
    return lambda *nodes: op([*nodes, constant, nodes[0]], axis=axis), inputs


@st.composite
def concatenate(draw):
    lengths = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    axis = draw(st.sampled_from([0, 1, -1, None]))
    parts = [draw(arrays((n, 2) if axis == 0 else (2, n))) for n in lengths]
    return lambda *nodes: shaping.concatenate(nodes, axis), parts


@st.composite
def rearranged(draw, op, *options):
    """An op with options that suit an array of three axes, the last of length 1."""
    chosen = draw(st.sampled_from(options))
    return lambda x: op(x, **chosen), [draw(arrays((2, 3, 1)))]


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
    "tan": unary(elementwise.tan, st.floats(-1, 1)),
    "arcsin": unary(elementwise.arcsin, st.floats(-0.75, 0.75)),
    "arccos": unary(elementwise.arccos, st.floats(-0.75, 0.75)),
    "arctan": unary(elementwise.arctan),
    "arctan2": binary(elementwise.arctan2, NONZERO),
    "deg2rad": unary(elementwise.deg2rad),
    "rad2deg": unary(elementwise.rad2deg),
    "sinh": unary(elementwise.sinh),
    "cosh": unary(elementwise.cosh),
    "arcsinh": unary(elementwise.arcsinh),
    "arccosh": unary(elementwise.arccosh, st.floats(1.5, 3)),
    "arctanh": unary(elementwise.arctanh, st.floats(-0.75, 0.75)),
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
    "sum": reduction(tg.sum, min_side=0) | masked(tg.sum, initial=2),
    "mean": reduction(tg.mean, min_side=1) | masked(tg.mean),
    "max": reduction(tg.max, min_side=1, distinct=True) | masked(tg.max, initial=0.6),
    "min": reduction(reductions.min, min_side=1, distinct=True) | masked(reductions.min, initial=9),
    "prod": reduction(reductions.prod, min_side=0, elements=HALVES)
    | masked(reductions.prod, initial=3),
    "var": reduction(reductions.var, min_side=1) | masked(reductions.var, ddof=1),
    "std": reduction(reductions.std, min_side=1, distinct=True)
    | masked(reductions.std, correction=0.5),
    "logsumexp": reduction(reductions.logsumexp, min_side=1),
    "cumsum": accumulation(reductions.cumsum),
    "cumprod": accumulation(reductions.cumprod, HALVES),
    "linear_recurrence": linear_recurrence(),
    "reshape": reshape(),
    "transpose": transpose(),
    "broadcast_to": broadcast_to(),
    "concatenate": concatenate(),
    "stack": joined(shaping.stack),
    "expand_dims": rearranged(shaping.expand_dims, {"axis": -1}, {"axis": (0, 3)}),
    "squeeze": rearranged(shaping.squeeze, {}, {"axis": -1}, {"axis": (2,)}),
    "swapaxes": rearranged(shaping.swapaxes, {"axis1": 0, "axis2": -1}),
    "moveaxis": rearranged(
        shaping.moveaxis,
        {"source": 0, "destination": -1},
        {"source": (0, 1), "destination": (-1, 0)},
    ),
    "flip": rearranged(shaping.flip, {}, {"axis": -2}, {"axis": (0, 1)}),
    "roll": rearranged(
        shaping.roll,
        {"shift": 2},
        {"shift": -2, "axis": 1},
        {"shift": (1, -2), "axis": (0, -2)},
        {"shift": 1, "axis": (0, 1)},
    ),
    "repeat": repeat(),
    "pad": pad(),
    "diagonal": rearranged(
        shaping.diagonal,
        {},
        {"offset": -1, "axis1": -2, "axis2": 0},
        {"offset": 1},
        {"offset": 7},
        {"axis1": 1, "axis2": 2},
    ),
    "tril": rearranged(shaping.tril, {}, {"k": -1})
    | accumulation(lambda x, axis: shaping.tril(x.reshape((-1,)), 1)),
    "triu": rearranged(shaping.triu, {}, {"k": -1}),
    "copy": unary(shaping.copy),
    "astype": unary(lambda x: tg.astype(tg.astype(x, np.longdouble), np.float64)),
    "getitem": getitem(),
    "scatter": scatter(),
    "add_at": changed_at(indexing.index_add),
    "set_at": changed_at(indexing.index_set),
    "matmul": matmul(),
    "linear": linear(),
    "softmax": along_an_axis(tg.softmax),
    "log_softmax": along_an_axis(tg.log_softmax),
    "cross_entropy": cross_entropy(),
    "contraction": contraction(),
    "inv": matrices(linalg.inv),
    "solve": matrices(linalg.solve, 2, 2, (2,)) | matrices(linalg.solve, 2, 2, (2, 2)),
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
    "max_pool": windows(convolution.max_pool, *PER_AXIS, smallest_kernel=2),
    "sum_windows": windows(convolution.sum_windows, "stride", "padding"),
    "spread_over_windows": windows(
        convolution.spread_over_windows, "stride", "padding", adjoint=convolution.sum_windows
    ),
    "image_to_columns": windows(convolution.image_to_columns, *PER_AXIS),
    "columns_to_image": windows(
        convolution.columns_to_image, *PER_AXIS, adjoint=convolution.image_to_columns
    ),
    "binary_cross_entropy_with_logits": binary_cross_entropy(),
    "standardize": standardize(),
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


@pytest.mark.parametrize("name", CASES)
@given(data=st.data())
@settings(max_examples=40)
def test_first_and_second_derivatives_are_what_finite_differences_see(name, data):
    f, inputs = data.draw(CASES[name])
    gradcheck(f, *inputs)
    # Squared, so that the gradient which reaches the op depends on the inputs as well: a second
    # derivative has to go through the rule's g, not only through the rule.
    gradcheck(lambda *nodes: f(*nodes) ** 2, *inputs, order=2)
