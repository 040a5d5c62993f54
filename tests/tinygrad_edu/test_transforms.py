"""grad, vjp, jvp, jacobian, hessian and the like: against closed forms and each other."""

import gc
import weakref

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value

VECTORS = hnp.arrays(np.float64, st.integers(1, 4), elements=st.floats(-1.5, 1.5))


def bumpy(x):
    """A smooth function from vectors to vectors, in plain NumPy."""
    return np.tanh(x) * np.sum(x * x) + np.exp(-x)


def central(f, x, h=1e-5):
    """The Jacobian of f at a vector x by central differences."""
    steps = h * np.eye(len(x))
    return np.stack([(f(x + s) - f(x - s)) / (2 * h) for s in steps], axis=-1)


def test_grad_is_the_derivative_and_nests():
    f = lambda x: x**4
    assert tg.grad(f)(2.0) == 32  # 4x³
    assert tg.grad(tg.grad(f))(2.0) == 48  # 12x²
    assert tg.grad(tg.grad(tg.grad(f)))(2.0) == 48  # 24x


@given(x=VECTORS)
def test_grad_of_plain_numpy_is_what_finite_differences_see(x):
    f = lambda v: np.sum(bumpy(v))
    np.testing.assert_allclose(tg.grad(f)(x), central(f, x), rtol=1e-6, atol=1e-8)


@given(x=VECTORS)
def test_jacobian_and_hessian_are_what_finite_differences_see(x):
    np.testing.assert_allclose(tg.jacobian(bumpy)(x), central(bumpy, x), rtol=1e-6, atol=1e-8)
    f = lambda v: np.sum(bumpy(v) ** 2)
    hessian = tg.hessian(f)(x)
    np.testing.assert_allclose(hessian, central(tg.grad(f), x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-10, atol=1e-10)


@given(x=VECTORS, seed=st.integers(0, 100))
def test_jvp_and_vjp_are_the_two_sides_of_the_jacobian(x, seed):
    rng = np.random.default_rng(seed)
    t, u = rng.normal(size=x.shape), rng.normal(size=x.shape)
    jacobian = tg.jacobian(bumpy)(x)
    out, tangent = tg.jvp(bumpy, (x,), (t,))
    same, pullback = tg.vjp(bumpy, x)
    np.testing.assert_array_equal(out, same)
    np.testing.assert_allclose(tangent, jacobian @ t, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(pullback(u)[0], u @ jacobian, rtol=1e-9, atol=1e-10)


@given(x=VECTORS, seed=st.integers(0, 100))
def test_hvp_is_the_hessian_times_the_vector(x, seed):
    t = np.random.default_rng(seed).normal(size=x.shape)
    f = lambda v: np.sum(bumpy(v) ** 2)
    product = tg.hvp(f, (x,), (t,))
    np.testing.assert_allclose(product, tg.hessian(f)(x) @ t, rtol=1e-9, atol=1e-9)


def test_an_inner_argument_is_not_the_outer_one_even_where_they_are_the_same_number():
    # d/dx [x · d/dy (x y)] at y = x is d/dx [x · x] = 2x; taking y for x would give 3x² / ...
    assert tg.grad(lambda x: x * tg.grad(lambda y: x * y)(x))(3.0) == 6
    assert tg.grad(lambda x: tg.jvp(lambda z: z**3, (x,), (1.0,))[1])(2.0) == 12


def test_results_come_back_as_the_kind_that_went_in():
    square = lambda x: x * x
    assert type(tg.grad(square)(3.0)) is float
    assert type(tg.grad(lambda x: np.sum(x * x))(np.ones(2))) is np.ndarray
    assert type(tg.grad(square)(np.array(3.0))) is np.ndarray
    assert type(tg.grad(lambda x: (x * x).sum())(Tensor([1.0]))) is Tensor
    assert type(tg.grad(square)(Value(3.0))) is Value
    assert type(tg.value_and_grad(square)(3.0)[0]) is float
    assert tg.grad(lambda x: np.sum(x * x))(np.ones(2, np.float32)).dtype == np.float32


def test_arguments_and_results_may_be_nested():
    f = lambda p: {"out": p["w"] * p["x"][0] + p["x"][1], "w": (p["w"],)}
    p = {"w": 2.0, "x": [np.array([1.0, 2.0]), 5.0]}
    out, pullback = tg.vjp(f, p)
    (g,) = pullback({"out": np.ones(2), "w": (10.0,)})
    assert out["out"].tolist() == [7, 9]
    assert (g["w"], g["x"][0].tolist(), g["x"][1]) == (13, [2, 2], 2)
    assert tg.hessian(lambda q: q["a"] ** 2 * q["b"])({"a": 1.0, "b": 3.0}) == {
        "a": {"a": 6, "b": 2},
        "b": {"a": 2, "b": 0},
    }


def test_argnums_chooses_and_aux_is_passed_on():
    f = lambda a, b, scale=1.0: (scale * a * b, "seen")
    assert tg.grad(f, 1, has_aux=True)(2.0, 5.0, scale=3.0) == (6, "seen")
    assert tg.grad(f, (0, 1), has_aux=True)(2.0, 5.0)[0] == (5, 2)
    assert tg.value_and_grad(f, has_aux=True)(2.0, 5.0) == ((10, "seen"), 5)
    assert tg.vjp(f, 2.0, 5.0, has_aux=True)[2] == "seen"


def test_transforms_nest_with_argnums_aux_and_containers():
    f = lambda scale, p: (scale * p["w"][0] ** 3 * p["w"][1], {"seen": p["w"][0]})
    inner = lambda scale, p: tg.grad(f, 1, has_aux=True)(scale, p)[0]["w"][0]  # 3 s u² v
    p = {"w": (2.0, 5.0)}
    assert tg.value_and_grad(inner, (0, 1))(7.0, p) == (
        3 * 7 * 4 * 5,
        (3 * 4 * 5, {"w": (6 * 7 * 2 * 5, 3 * 7 * 4)}),
    )
    assert tg.jvp(inner, (7.0, p), (0.0, {"w": (1.0, 0.0)})) == (420, 420)
    assert tg.hessian(inner, 1)(7.0, p)["w"][0]["w"] == (6 * 7 * 5, 6 * 7 * 2)


def test_what_a_function_does_not_depend_on_has_the_gradient_zero():
    assert tg.grad(lambda x: 5.0)(2.0) == 0
    assert tg.grad(lambda a, b: a, 1)(2.0, np.ones(3)).tolist() == [0, 0, 0]
    assert tg.jvp(lambda x: 5.0, (1.0,), (1.0,)) == (5.0, 0.0)
    assert tg.jacobian(lambda x: x[:0])(np.ones(2)).shape == (0, 2)


def test_the_gradient_of_a_parameter_stays_in_its_graph():
    w = Tensor([1.0, 2.0], requires_grad=True)
    tg.grad(lambda v: (v**3).sum())(w).sum().backward()
    assert w.grad.tolist() == [6, 12]  # d/dw 3w²


def test_no_grad_of_the_caller_changes_nothing_and_no_grad_attribute_is_touched():
    w = Tensor([1.0], requires_grad=True)
    with tg.no_grad():
        assert tg.grad(lambda x: x * x)(3.0) == 6
    tg.grad(lambda x: (x * w).sum())(np.ones(1))
    assert w.grad is None


def test_elementwise_grad_is_the_derivative_at_every_entry():
    x = np.linspace(-1, 1, 5)
    slope = tg.elementwise_grad(np.tanh)(x)
    np.testing.assert_allclose(slope, 1 - np.tanh(x) ** 2, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.grad(lambda x: x)(np.ones(2)), tg.GradientError, "one number.*jacobian"),
        (lambda: tg.grad(lambda x: "a")(1.0), tg.GradientError, "one number"),
        (lambda: tg.grad(lambda x: x)("a"), tg.DTypeError, "not by str: 'a'"),
        (lambda: tg.grad(lambda x: x)(np.arange(2)), tg.DTypeError, "int64"),
        (lambda: tg.grad(lambda x: x, 1)(1.0), tg.OperandError, "argnums=1.* 1 positional"),
        (lambda: tg.grad(lambda x: x, has_aux=True)(1.0), tg.OperandError, "pair"),
        (lambda: tg.vjp(np.exp, np.ones(2))[1](np.ones(3)), tg.ShapeError, "cotangent.*(3,)"),
        (lambda: tg.jvp(np.exp, (np.ones(2),), (1.0,)), tg.ShapeError, "tangents"),
        (lambda: tg.jvp(np.exp, (1.0,), (1.0, 2.0)), tg.OperandError, "structure"),
    ],
)
def test_what_is_wrong_with_a_call_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def network(x, w):
    return np.tanh(np.tanh(x @ w) @ w)


def test_a_checkpoint_has_the_gradients_of_the_function_to_any_order():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3)), Tensor(rng.normal(size=(3, 3)), requires_grad=True)
    plain, kept = (lambda v: network(v, w)), tg.checkpoint(lambda v: network(v, w))
    for f in (plain, kept):
        f(Tensor(x, requires_grad=True)).sum().backward()
    np.testing.assert_array_equal(w.grad, 2 * tg.grad(lambda u: np.sum(network(x, u)))(w).data)
    curved = [
        tg.grad(lambda v, f=f: np.sum(tg.grad(lambda u: np.sum(f(u)))(v) ** 2))(x)
        for f in (plain, kept)
    ]
    np.testing.assert_allclose(*curved, rtol=1e-12)


def test_a_checkpoint_is_one_node_and_keeps_no_intermediate_result():
    seen = []

    def f(x):
        h = x.tanh()
        seen.append(weakref.ref(h))
        return h * h

    gc.disable()
    try:
        y = tg.checkpoint(f)(Tensor([1.0], requires_grad=True))
        assert seen[0]() is None
    finally:
        gc.enable()
    assert len(tg.topological_order(y)) == 2
    y.backward()
    assert len(seen) == 2  # run again


def test_a_checkpoint_of_a_random_function_says_so():
    rng = np.random.default_rng(0)
    y = tg.checkpoint(lambda x: x * rng.random(3))(Tensor(np.ones(3), requires_grad=True))
    with pytest.raises(tg.GradientError, match="deterministic"):
        y.sum().backward()
