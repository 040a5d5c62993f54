"""``check_op`` on every op of the library, and what it does for an op of a user's."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_edu as tg
import viz
from tinygrad_edu import GradientMismatchError, OperandError, OpLawError
from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops import elementwise
from tinygrad_edu.ops.declare import COMPOSITES, OPS
from tinygrad_edu.testing import check_op
from tinygrad_edu.testing.domains import DOMAINS, smooth_domains
from tinygrad_edu.testing.laws import Call, laws_of

# Taken now, while tests are collected: running them declares further ops.
ELEMENTWISE = [name for name, op in OPS.items() if op.on_floats is not None]
NUMBERS = st.integers(-16, 16).map(lambda n: n / 8)


def cube(rule, on_floats=lambda x: x**3):
    return tg.elementwise("cube", "³", on_floats, lambda x: x**3, rule)


def right(g, y, x):
    return g * 3 * x * x


def halved(g, y, x):
    return g * 1.5 * x * x


# The library's own ops.


@pytest.mark.parametrize("name", [name for name in ELEMENTWISE if name != "float_power"])
def test_every_elementwise_op_obeys_the_laws(name):
    check_op(OPS[name], max_examples=10)


def test_an_op_that_is_double_by_definition_keeps_all_laws_but_that_of_dtypes():
    with pytest.raises(OpLawError, match="for float32 the forward gives float64"):
        check_op(elementwise.float_power, max_examples=5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("leaky_relu", {"negative_slope": st.sampled_from([0.0, -1.5])}),
        ("elu", {"alpha": st.sampled_from([0.0, 1.5])}),
        ("hardtanh", {"min_val": -3.0, "max_val": st.sampled_from([2.5, 3.0])}),
        ("gelu", {"approximate": "tanh"}),
        ("nan_to_num", {"nan": 1.0}),
    ],
)
def test_elementwise_ops_obey_the_laws_whatever_their_options(name, options):
    check_op(OPS[name], max_examples=10, **options)


@pytest.mark.parametrize("order", [0, 2])
def test_every_derivative_of_sinc_obeys_the_laws(order):
    check_op(lambda x: elementwise.sinc_derivative(x, order), max_examples=5)


@pytest.mark.parametrize("name", ["mod", "fmod", "clip", "maximum", "where", "power"])
def test_ops_with_kinks_and_poles_obey_the_laws_where_their_domain_has_none(name):
    assert check_op(OPS[name], max_examples=20).kinks == 0


@pytest.mark.parametrize(
    "name",
    [
        *["sum", "mean", "prod", "var", "std", "max", "min", "logsumexp", "cumsum", "cumprod"],
        *["transpose", "flip", "copy", "tril", "triu", "diagonal", "concatenate", "stack"],
        *["matmul", "inv", "solve", "det", "linear", "linear_recurrence"],
        *["softmax", "log_softmax", "euclidean_norm"],
    ],
)
def test_an_op_on_arrays_needs_no_inputs_where_it_takes_common_shapes(name):
    assert check_op(OPS[name], max_examples=10).compared > 0


def test_a_fused_op_obeys_the_laws_and_is_what_its_definition_says():
    x, row = arrays(np.float64, (2, 3), elements=NUMBERS), arrays(np.float64, 3, elements=NUMBERS)
    options = {"axes": (-1,), "eps": 0.1, "centered": st.booleans()}
    report = check_op(OPS["standardize"], x, row, row, max_examples=10, **options)
    assert "it is what its definition says" in report.laws
    labels = arrays(np.int64, 2, elements=st.integers(0, 2))
    check_op(tg.cross_entropy, x, target=labels, max_examples=10)


def test_inputs_may_be_tuples_whose_parts_fit_each_other():
    @st.composite
    def pairs(draw):
        n = draw(st.integers(1, 3))
        return tuple(draw(arrays(np.float64, (n, n), elements=NUMBERS)) for _ in range(2))

    check_op(tg.matmul, pairs(), max_examples=10)


def test_inputs_say_at_which_matrices_an_op_has_a_derivative():
    def positive(x):
        return x @ x.T + np.eye(len(x))

    square = arrays(np.float64, (2, 2), elements=NUMBERS).map(positive)
    check_op(lambda a: tg.linalg.cholesky(0.5 * (a + a.T)), square, max_examples=10)
    check_op(tg.linalg.pinv, square, max_examples=10)


# A user's op.


def test_a_report_says_what_was_checked():
    report = check_op(cube(right), max_examples=7)
    assert report.examples > 7  # some more of each kind of broadcasting
    assert report.compared >= 2 * 7  # first and second derivatives
    assert report.kinks == 0
    assert "each rule is linear in g" in report.laws
    assert str(report).startswith(f"{report.examples} calls, {report.compared} derivatives")


def test_a_wrong_gradient_is_shown_at_the_simplest_call_with_the_graph_to_draw():
    with pytest.raises(GradientMismatchError) as caught:
        check_op(cube(halved))
    message = str(caught.value)
    assert "cube breaks the law that its gradients are what finite differences see" in message
    assert "cube(np.array(0.015625))" in message  # the nearest to 0, where the two agree
    assert message.count(" 0.5") >= 1  # the ratio
    assert caught.value.graph.op is OPS["cube"]
    assert "cube" in viz.draw(caught.value.graph).source


def test_another_broken_law_is_named_with_the_numbers():
    with pytest.raises(OpLawError) as caught:
        check_op(cube(right, on_floats=lambda x: 2.0 * x))
    message = str(caught.value)
    assert "cube breaks the law that Values and Tensors have the same results" in message
    assert "the result for the floats [0.015625] is 0.03125" in message


def test_what_an_op_raises_breaks_a_law():
    def rule(g, y, x):
        return g * tg.no_such_function(x)

    with pytest.raises(OpLawError, match=r"it raises AttributeError: .*no_such_function"):
        check_op(cube(rule))


def test_a_failure_is_the_same_each_time():
    messages = set()
    for _ in range(2):
        with pytest.raises(GradientMismatchError) as caught:
            check_op(cube(halved))
        messages.add(str(caught.value))
    assert len(messages) == 1


def test_second_derivatives_can_be_left_out():
    def rule(g, y, x):
        return g * 3 * plain(x) ** 2

    check_op(cube(rule), order=1, max_examples=5)
    with pytest.raises(GradientMismatchError, match="second derivative"):
        check_op(cube(rule), max_examples=5)


def test_it_runs_within_another_property():
    @settings(max_examples=2, suppress_health_check=[HealthCheck.nested_given])
    @given(st.sampled_from([1, 2]))
    def every_order_is_right(order):
        check_op(cube(right), order=order, max_examples=2)

    every_order_is_right()


def test_it_runs_in_a_script():
    script = "import tinygrad_edu as tg; from tinygrad_edu.testing import check_op;"
    script += "print(check_op(tg.tanh, max_examples=3))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.stderr == ""
    assert "compared with finite differences" in ran.stdout


def test_a_pole_and_a_kink_of_an_op_of_ones_own_are_kept_away_from():
    # log|x - 1|, with a pole at 1, and |x + 0.3|, with a kink.
    log = tg.elementwise(
        "my_log",
        "log",
        lambda x: math.log(abs(x - 1)),
        lambda x: np.log(np.abs(x - 1)),
        lambda g, y, x: g / (x - 1),
    )
    distance = tg.elementwise(
        "my_distance",
        "| |",
        lambda x: abs(x + 0.3),
        lambda x: np.abs(x + 0.3),
        lambda g, y, x: g * tg.sign(x + 0.3),
    )
    assert check_op(log).kinks == 0
    assert check_op(distance).kinks == 0


def test_a_wrong_rule_in_a_part_of_a_domain_is_found_when_the_domain_is_given():
    # Right in (-4, 4), where numbers are drawn from by default.
    op = cube(lambda g, y, x: g * 3 * tg.clip(x, -5, 5) ** 2)
    check_op(op)
    with pytest.raises(GradientMismatchError):
        check_op(op, domain=((6, 7),))


def test_a_domain_may_be_given_for_each_operand():
    power = tg.elementwise(
        "my_power",
        "**",
        lambda x, n: x**n,
        lambda x, n: x**n,
        lambda g, y, x, n: g * n * x ** (n - 1),
        lambda g, y, x, n: g * y * tg.log(x),
    )
    check_op(power, domain=[((0.5, 2),), ((-2, 2),)], max_examples=10)
    with pytest.raises(OperandError, match="for each of 2 inputs"):
        check_op(power, domain=[((0.5, 2),)] * 3)


def test_a_function_that_is_put_together_from_ops_is_checked_too():
    check_op(lambda x, y: tg.tanh(x) * y + x, max_examples=10)
    check_op(lambda x: tg.log(x).sum() / x, max_examples=10)  # found out to need x > 0
    with pytest.raises(GradientMismatchError, match="Every op's own rule agrees"):
        check_op(lambda x: x * x.detach(), max_examples=10)


def test_a_fault_that_needs_a_constant_operand_is_shown_with_it():
    op = tg.elementwise(
        "my_product",
        "×",
        lambda a, b: a * b,
        lambda a, b: a * b,
        lambda g, y, a, b: g * b * (2 if isinstance(g, Node) > isinstance(b, Node) else 1),
        lambda g, y, a, b: g * a,
    )
    with pytest.raises(OpLawError, match=r"the same where they are recorded.*\n.* b is constant"):
        check_op(op)


@pytest.mark.parametrize("name", ["median", "ptp", "dot", "trace", "selu", "clip"])
def test_a_function_of_the_library_obeys_the_laws_and_serves_numpy(name):
    check_op(COMPOSITES[name], max_examples=10)


def test_a_function_that_returns_no_node_is_told_so():
    with pytest.raises(OpLawError, match="returns ndarray, and has to return nodes"):
        check_op(lambda x: x.data, arrays(np.float64, 2))


def test_an_op_that_takes_none_of_the_common_shapes_asks_for_inputs():
    message = r"tried arrays of several shapes, and convolution takes none .*needs stride"
    with pytest.raises(OperandError, match=message):
        check_op(OPS["convolution"])


def test_an_op_that_is_finite_nowhere_asks_for_a_domain():
    nowhere = tg.elementwise(
        "nowhere", "?", lambda x: math.nan, lambda x: x * np.nan, lambda g, y, x: g
    )
    with pytest.raises(OperandError, match="gives a finite result: pass domain="):
        check_op(nowhere, max_examples=5)


# What it is made of.


def test_the_table_of_domains_is_of_ops_that_exist():
    assert set(DOMAINS) <= set(ELEMENTWISE)
    for name, domains in DOMAINS.items():
        assert len(domains) == OPS[name].arity
        assert all(low <= high for domain in domains for low, high in domain)


@pytest.mark.parametrize(
    ("f", "gaps"),
    [
        (np.tanh, []),
        (np.abs, [0.0]),
        (np.log, [-2.0, 0.0]),
        (lambda x: 1 / (x * x - 1), [-1.0, 1.0]),
        (lambda x: np.floor(x + 0.3), [-0.3, 0.7]),
        (np.tan, [math.pi / 2, -math.pi / 2]),
    ],
)
def test_a_domain_leaves_out_where_a_function_is_not_smooth(f, gaps):
    (domain,) = smooth_domains(f, 1)
    assert domain
    for x in gaps:
        assert not any(low <= x <= high for low, high in domain)
    assert any(low <= 3 <= high for low, high in domain)  # nothing happens there


def test_the_domains_of_two_operands_are_found_together():
    bases, exponents = smooth_domains(np.power, 2)
    assert all(low > 0 for low, _ in bases)
    assert exponents == ((-3.96875, 3.96875),)


def test_a_call_is_written_as_python_that_makes_it():
    call = Call(tg.softmax, [np.array([[0.5, 1.0]])], {"axis": 0})
    assert repr(call) == "softmax(np.array([[0.5, 1. ]]), axis=0)"
    both = Call(tg.concatenate, [np.array([0.5]), np.zeros((0,))], {})
    assert repr(both) == "concatenate([np.array([0.5]), np.zeros((0,))])"
    no_source = Call(tg.softmax, [np.array([0.5])], {"axis": len})
    assert repr(no_source) == "softmax(np.array([0.5]), axis=<built-in function len>)"


def test_laws_that_make_no_sense_for_an_op_are_left_out():
    statements = {law.statement for law in laws_of(tg.matmul, 2, None)}
    assert "broadcasting is repeating" not in statements
    assert "NumPy's function takes Tensors through it" in statements
