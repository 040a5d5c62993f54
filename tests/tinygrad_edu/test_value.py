"""Value: arithmetic on one number, in agreement with Tensor and with micrograd."""

import copy
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import DTypeError, GradientLostError, OperandError, Tensor, Value, gradients
from tinygrad_edu.ops.declare import OPS
from tinygrad_edu.testing import gradcheck


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


# Agreement with Tensor

OPERATIONS = [
    lambda a, b: a + b,
    lambda a, b: a - b * 0.5,
    lambda a, b: (a * b).tanh(),
    lambda a, b: a / (b * b + 1),
    lambda a, b: a.sigmoid() - b.relu(),
    lambda a, b: abs(a) + (b.tanh() + 2).log(),
    lambda a, b: tg.maximum(a, b) + tg.minimum(a, 0.5),
    lambda a, b: (a.tanh() + 1.5) ** b.tanh(),
    lambda a, b: tg.where(a > b, a, -b) + 2 ** b.tanh(),
    lambda a, b: tg.gelu(a) + tg.silu(b) + tg.erf(a) + tg.leaky_relu(b),
    lambda a, b: (1 - a.tanh()).exp() + (b * b + 1).sqrt(),
]


@st.composite
def programs(draw):
    length = draw(st.integers(1, 8))
    operation = st.sampled_from(OPERATIONS)
    return [
        (draw(operation), draw(st.integers(0, n + 1)), draw(st.integers(0, n + 1)))
        for n in range(length)
    ]


@given(programs(), st.floats(-2, 2), st.floats(-2, 2))
def test_values_and_tensors_agree_on_any_expression_and_all_its_gradients(program, a, b):
    nodes = {}
    for kind in (Value, leaf):
        results = [kind(a), kind(b)]
        for operation, i, j in program:
            results.append(operation(results[i], results[j]))
        found = gradients(results[-1])
        nodes[kind] = [(float(x.data), float(found.get(x, 0.0))) for x in results]
    # The two round differently in the last bit of tanh and exp.
    np.testing.assert_allclose(nodes[Value], nodes[leaf], rtol=1e-9, atol=1e-9)


SCALAR_OPS = [name for name, op in OPS.items() if op.on_floats is not None]

EDGES = [0.0, -0.0, 1.0, -8.0, 1 / 3, 1000.0, -1000.0, 1e308, 5e-324, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("name", SCALAR_OPS)
@pytest.mark.parametrize("x", EDGES)
def test_edge_cases_are_ieee_for_both_kinds_of_node_and_never_an_exception(name, x):
    op = OPS[name]
    for others in [()] if op.arity == 1 else [(e,) * (op.arity - 1) for e in EDGES]:
        with np.errstate(all="ignore"):
            values, tensors = [Value(v) for v in (x, *others)], [leaf(v) for v in (x, *others)]
            y, z = op(*values), op(*tensors)
            np.testing.assert_allclose(y.data, z.data, rtol=1e-12)
            if z.requires_grad:
                by_value, by_tensor = gradients(y), gradients(z)
                for v, t in zip(values, tensors, strict=True):
                    expected = float(by_tensor.get(t, 0.0))
                    np.testing.assert_allclose(by_value.get(v, 0.0), expected, rtol=1e-12)


def test_an_undefined_result_is_inf_or_nan_with_numpys_warning():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert Value(0.0).log().data == -math.inf
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert (1 / Value(0.0)).data == math.inf
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert Value(1000.0).exp().data == math.inf
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert math.isnan((Value(-8.0) ** (1 / 3)).data)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_gradient_of_an_undefined_result_is_ieee_too():
    x = Value(0.0)
    (x.log() + x.sqrt()).backward()
    assert x.grad == math.inf  # 1/0 + 1/(2 √0)
    x = Value(0.0)
    (1 / x).backward()
    assert x.grad == -math.inf


# What micrograd's users rely on


def test_the_example_of_micrograds_readme_gives_its_published_numbers():
    a, b = Value(-4.0), Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


def test_an_expression_with_a_relu_of_a_square_agrees_with_its_calculus():
    # micrograd's first check, at x = -4: z = 2x + 2 + x = -10, q = relu(z) + z x = 40,
    # h = relu(z²) = 100, y = h + q + q x = 100 + 40 - 160.
    x = Value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    assert y.data == -20
    # dz/dx = 3, dq/dx = 3x + z = -22, dh/dx = 2z · 3 = -60: -60 - 22 + (-22)(-4) + 40
    assert x.grad == 46


def test_the_methods_can_be_called_unbound():
    x = Value(0.5)
    assert Value.tanh(x).data == math.tanh(0.5)
    assert Value.exp(x).data == math.exp(0.5)
    assert list(map(Value.relu, [Value(-1.0), Value(2.0)]))[1].data == 2


def test_an_assignment_with_an_operator_makes_a_new_node():
    x = y = Value(1.0)
    y += 2
    y *= x
    assert x.data == 1
    y.backward()
    assert x.grad == 4  # (x + 2) x


def test_pythons_sum_adds_values():
    values = [Value(float(i)) for i in range(4)]
    total = sum(values)
    total.backward()
    assert total.data == 6
    assert [v.grad for v in values] == [1.0] * 4


NUMBERS = [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), Fraction(1, 2)]


@pytest.mark.parametrize("n", NUMBERS, ids=lambda n: type(n).__name__)
def test_numbers_of_every_kind_work_on_either_side(n):
    x = float(n)
    for f in (
        lambda v: v + n,
        lambda v: n + v,
        lambda v: v - n,
        lambda v: n - v,
        lambda v: v * n,
        lambda v: n * v,
        lambda v: v / n,
        lambda v: n / v,
        lambda v: v**n,
        lambda v: n**v,
    ):
        y = f(Value(3.0))
        assert type(y) is Value
        assert type(y.data) is float
        assert y.data == pytest.approx(f(3.0))
        gradcheck(f, Value(3.0), order=2)
    assert x == n


def test_an_array_meets_a_value_as_an_array_of_values():
    x = Value(2.0)
    for products in (np.arange(3.0) * x, x * np.arange(3.0)):
        assert products.dtype == object
        products.sum().backward()
        assert x.grad == 3  # 0 + 1 + 2
        x.zero_grad()


def test_comparisons_are_of_the_numbers():
    a, b = Value(1.0), Value(2.0)
    assert a < b
    assert a <= 1
    assert 3 > b  # noqa: SIM300
    assert b >= a
    assert a == 1
    assert a != b
    assert max([a, b]) is b


def test_values_are_told_apart_by_identity_in_sets():
    a, b = Value(1.0), Value(1.0)
    assert a == b
    assert len({a, b}) == 2


def test_a_value_shows_its_number_and_gradient():
    assert repr(Value(2.0)) == "Value(data=2.0, grad=0.0)"
    assert repr(Value(2, label="w")) == "Value(data=2.0, grad=0.0, label='w')"


def test_a_value_is_a_float_to_python():
    assert float(Value(2.5)) == math.fsum([Value(2.5)]) == 2.5
    assert Value(2.5).item() == 2.5
    assert not Value(0.0)
    assert (+Value(2.5)).data == 2.5


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_leaf_can_be_copied_and_pickled(duplicate):
    x = duplicate(Value(3.0, label="w"))
    (x * x).backward()
    assert (x.grad, x.label, x.keeps_grad) == (6.0, "w", True)


@pytest.mark.parametrize(
    "data", ["3", None, 1j, [1.0], np.ones(1), np.array(1j), np.array(True), Tensor(1.0)]
)
def test_a_value_holds_one_real_number(data):
    with pytest.raises(DTypeError, match=f"one real number, not {type(data).__name__}"):
        Value(data)


def test_a_value_of_a_value_would_lose_a_gradient():
    with pytest.raises(DTypeError, match="Value already"):
        Value(Value(1.0))


@pytest.mark.parametrize("other", ["2", None, 1j, Tensor(1.0), [1.0], {}])
def test_other_operands_are_refused_in_operators_and_functions(other):
    with pytest.raises(TypeError, match="unsupported operand"):
        Value(1.0) + other
    with pytest.raises(OperandError, match=f"add cannot take Value and {type(other).__name__}"):
        tg.add(Value(1.0), other)


def test_values_and_tensors_do_not_mix_and_the_message_says_how_to_convert():
    for operands in [(Value(1.0), Tensor(1.0)), (Tensor(1.0), Value(1.0))]:
        with pytest.raises(OperandError, match=r"of Values or of Tensors; Tensor\(v.data\)"):
            tg.multiply(*operands)


def test_ops_on_arrays_are_refused_by_name():
    with pytest.raises(OperandError, match=r"matmul is for Tensors; on Values"):
        tg.matmul(Value(1.0), Value(2.0))


def test_an_option_that_is_a_node_would_lose_its_gradient():
    message = "no gradient flows to the option negative_slope of leaky_relu.*detach.*Value"
    with pytest.raises(GradientLostError, match=message):
        tg.leaky_relu(Value(-1.0), Value(0.1))
    assert tg.leaky_relu(Value(-1.0), Value(0.1).detach()).data == -0.1


def test_an_unknown_option_is_refused_with_those_there_are():
    with pytest.raises(OperandError, match=r"no option 'slope'.*\(x, negative_slope"):
        tg.leaky_relu(Value(1.0), slope=0.1)
    with pytest.raises(tg.UnknownNameError, match=r"'tahn'\. Did you mean 'tanh'"):
        tg.gelu(Value(1.0), approximate="tahn")
