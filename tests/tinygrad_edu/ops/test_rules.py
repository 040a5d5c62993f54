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
from tinygrad_edu.ops.declare import OPS
from tinygrad_edu.testing import gradcheck

ORDINARY = st.floats(-2, 2)
POSITIVE = st.floats(0.5, 2)
NONZERO = st.builds(math.copysign, POSITIVE, st.sampled_from([-1, 1]))
# Two grids that have no number in common, for functions with a kink where their inputs are equal.
HALVES = st.integers(-4, 4).map(lambda n: n / 2)
QUARTERS = st.integers(-4, 4).map(lambda n: n / 2 + 0.25)


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
def reduction(draw, op, min_side, distinct=False):
    shape = draw(shapes(min_side=min_side))
    axes = [st.none(), hnp.valid_tuple_axes(len(shape))]
    if shape:
        axes.append(st.integers(-len(shape), len(shape) - 1))
    axis, keepdims = draw(st.one_of(axes)), draw(st.booleans())
    if distinct:
        x = np.array(draw(st.permutations(range(math.prod(shape)))), float).reshape(shape)
    else:
        x = draw(arrays(shape))
    return lambda x: op(x, axis=axis, keepdims=keepdims), [x]


@st.composite
def reshape(draw):
    shape = draw(shapes(min_side=1))
    size = math.prod(shape)
    target = draw(st.sampled_from([(size,), (1, size), (-1,), (size, 1, -1), shape[::-1]]))
    return lambda x: tg.reshape(x, target), [draw(arrays(shape))]


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
    "sum": reduction(tg.sum, min_side=0),
    "mean": reduction(tg.mean, min_side=1),
    "max": reduction(tg.max, min_side=1, distinct=True),
    "reshape": reshape(),
    "transpose": transpose(),
    "broadcast_to": broadcast_to(),
    "astype": unary(lambda x: tg.astype(tg.astype(x, np.longdouble), np.float64)),
    "getitem": getitem(),
    "scatter": scatter(),
    "matmul": matmul(),
    "linear": linear(),
    "softmax": along_an_axis(tg.softmax),
    "log_softmax": along_an_axis(tg.log_softmax),
    "cross_entropy": cross_entropy(),
}


def is_of_the_engine(op):
    functions = (op.on_floats, op.on_arrays, *op.rules)
    return any(getattr(f, "__module__", None) in ENGINE_MODULES for f in functions)


ENGINE_MODULES = {
    f"tinygrad_edu.ops.{family}"
    for family in ("elementwise", "reduction", "shape", "indexing", "linalg", "fused")
}
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
