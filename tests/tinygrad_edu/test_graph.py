"""The graph: its order, the traversal, what it keeps and what it lets go of."""

import asyncio
import contextvars
import gc
import threading
import weakref
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import (
    GradientError,
    Node,
    ShapeError,
    Tensor,
    Value,
    enable_grad,
    gradients,
    is_grad_enabled,
    no_grad,
    topological_order,
)
from tinygrad_edu.graph import mode
from tinygrad_edu.testing import expressions, gradcheck

DEEP = 200_000  # Python's recursion limit is 1000


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


KINDS = pytest.mark.parametrize("make", [Value, leaf], ids=["Value", "Tensor"])


@contextmanager
def in_scope(path):
    token = mode.set((is_grad_enabled(), path))
    try:
        yield
    finally:
        mode.reset(token)


@contextmanager
def without_garbage_collection():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# Order and depth


@given(expressions())
def test_every_node_comes_once_and_after_its_inputs(expression):
    y = expression(*map(Value, expression.inputs))
    order = topological_order(y)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order)
    assert order[-1] is y
    for node in order:
        assert all(place[x] < place[node] for x in node.inputs if isinstance(x, Node))


@KINDS
def test_the_order_leaves_out_what_no_gradient_flows_to(make):
    x, constant = make(1.0), make(2.0).detach()
    product = constant * x
    assert topological_order(product) == [x, product]


@KINDS
def test_a_chain_of_any_depth_runs_backward_and_is_freed_without_recursion(make):
    with without_garbage_collection():
        x = make(1.0)
        y = x
        for _ in range(DEEP):
            y = y + 1.0
        halfway = weakref.ref(y.inputs[0].inputs[0])
        y.backward()
        assert y.data == 1 + DEEP
        assert x.grad == 1
        del y
        assert halfway() is None


@KINDS
def test_a_dropped_graph_is_freed_at_once(make):
    with without_garbage_collection():
        x = make(2.0)
        y = (x * x).tanh()
        y.backward()
        slopes = gradients(y, create_graph=True)
        alive = weakref.ref(y)
        del y, slopes
        assert alive() is None


@KINDS
def test_a_wide_graph_adds_up_all_of_its_paths(make):
    x = make(3.0)
    total = sum((x * float(i) for i in range(1000)), start=x)
    total.backward()
    assert x.grad == 1 + sum(range(1000))


@KINDS
def test_a_ladder_of_shared_nodes_is_traversed_once_per_node_not_once_per_path(make):
    x = y = make(1.0)
    for _ in range(60):
        y = y + y  # 2⁶⁰ paths
    y.backward()
    assert x.grad == 2.0**60


# Adding up paths. Each function sends x along several, some of which hand the same array on.

PATHS = {
    "sum of itself": lambda x: (x + x + x + x) * x,
    "add twice": lambda x: tg.add(x, x) * tg.subtract(x + x * x, x),
    "product with itself": lambda x: x * x * x,
    "quotient of itself": lambda x: x / (x * x) + x / x,
    "diamond of three": lambda x: x.tanh() + x * 2 + x,
    "diamond of diamonds": lambda x: (x + x.exp()) * (x + x.exp() + x) + x,
    "views": lambda x: x.T + x + x.reshape(2, 2) + x[::-1] + x.T.T,
    "broadcasts": lambda x: x[0] + x + x.sum(0, keepdims=True) + x.broadcast_to(3, 2, 2).mean(0),
    "slices": lambda x: x[0] * x[1] + x[1] + x[0, 0] + x[:, 1],
    "matrix products": lambda x: x @ x + x @ x.T + x.T @ x + x,
    "through reductions": lambda x: x - x.mean() + x.sum() * x.max(),
    "one node thrice in where": lambda x: tg.where(np.eye(2), x, x) + x,
}


@pytest.mark.parametrize("f", PATHS.values(), ids=PATHS)
def test_paths_add_up(f):
    gradcheck(f, np.array([[0.5, -1.5], [2.0, 1.0]]), order=2)


SCALAR_PATHS = list(PATHS)[:6]


@pytest.mark.parametrize("name", SCALAR_PATHS)
def test_paths_of_numbers_add_up_for_both_kinds_of_node(name):
    gradcheck(PATHS[name], 0.7, order=2)
    gradcheck(PATHS[name], Value(0.7), order=2)


SMOOTH = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: (a * b).tanh(),
    lambda a, b: a.T + b[::-1],
    lambda a, b: a.sum(0) - b[0],
    lambda a, b: (a @ b).sigmoid(),
    lambda a, b: a.reshape(4)[[0, 3, 0, 1]].reshape(2, 2) + b.broadcast_to(2, 2),
]


@st.composite
def programs(draw, kinds):
    """Steps, each the number of an operation and the two earlier results it is applied to."""
    length = draw(st.integers(1, 8))
    return [
        (
            draw(st.integers(0, kinds - 1)),
            draw(st.integers(0, step + 1)),
            draw(st.integers(0, step + 1)),
        )
        for step in range(length)
    ]


def run(program, operations, *inputs):
    results = list(inputs)
    for kind, i, j in program:
        results.append(operations[kind](results[i], results[j]))
    return results


@given(programs(len(SMOOTH)))
def test_a_graph_of_any_form_has_the_gradient_that_finite_differences_see(program):
    # Every result is made 2x2, so that it can be an operand of any later step.
    operations = [lambda a, b, f=f: f(a, b).broadcast_to(2, 2) for f in SMOOTH]
    inputs = np.array([[0.5, -1.0], [0.3, 0.8]]), np.array([[1.0, 0.2], [-0.6, 0.4]])
    gradcheck(lambda a, b: run(program, operations, a, b)[-1], *inputs, rtol=1e-5)


# Gradients belong to whom they are given


ALIASING = {
    "add": lambda a, b: a + b,
    "add and subtract": lambda a, b: a + b - (a - b) + a,
    "transpose": lambda a, b: a.T + b.T,
    "reshape": lambda a, b: (a + b).reshape(4),
    "broadcast_to": lambda a, b: (a + b).broadcast_to(3, 2, 2),
    "sum": lambda a, b: a.sum() + b.sum(),
    "sum over an axis": lambda a, b: (a + b).sum(0),
    "mean": lambda a, b: a.mean() + b.mean(1).sum(),
    "getitem": lambda a, b: a[:] + b[...],
    "scatter": lambda a, b: tg.scatter(a + b, (2, 2), ...),
    "where": lambda a, b: tg.where(True, a, b) + a + b,
    "linear": lambda a, b: tg.linear(np.eye(2), np.eye(2), a) + tg.linear(b, np.eye(2), None),
    "retained": lambda a, b: retained(a + b) + retained(a.T),
}


def retained(x):
    x.retain_grad()
    RETAINED.append(x)
    return x


RETAINED = []


@pytest.mark.parametrize("f", ALIASING.values(), ids=ALIASING)
def test_no_two_gradients_share_memory_and_each_can_be_written_to(f):
    RETAINED.clear()
    a, b = leaf([[1.0, 2.0], [3.0, 4.0]]), leaf([[5.0, 6.0], [7.0, 8.0]])
    y = f(a, b)
    seed = np.full(y.shape, 2.0)
    y.backward(gradient=seed)
    arrays = [a.grad, b.grad, a.data, b.data, y.data, seed, *(x.grad for x in RETAINED)]
    for i, first in enumerate(arrays):
        assert not any(np.shares_memory(first, second) for second in arrays[i + 1 :])
    before = [array.copy() for array in arrays]
    a.grad += 1  # raises if it is read-only
    b.grad += 1
    for array, old in zip(arrays[2:], before[2:], strict=True):
        np.testing.assert_array_equal(array, old)


def test_the_gradients_of_all_nodes_share_no_memory():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    found = list(gradients((a + b).reshape(1, 2).T.sum()).values())
    assert len(found) == 6
    for i, first in enumerate(found):
        assert not any(np.shares_memory(first, second) for second in found[i + 1 :])


def test_gradients_that_are_nodes_share_no_memory_either():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (a + b).sum().backward(create_graph=True)
    assert not np.shares_memory(a.grad.data, b.grad.data)
    a.grad.data += 1
    assert b.grad.data.tolist() == [1, 1]


def test_a_saved_array_survives_the_pass_that_reads_it():
    logits = leaf([[1.0, 2.0], [0.5, -1.0]])
    loss = tg.cross_entropy(logits, np.array([0, 1]))
    first, second = gradients(loss)[logits], gradients(loss)[logits]
    np.testing.assert_array_equal(first, second)


def test_accumulating_leaves_the_array_of_the_last_pass_as_it_was():
    x = leaf([1.0, 2.0])
    (x * 3).sum().backward()
    held = x.grad
    (x * 3).sum().backward()
    assert held.tolist() == [3, 3]
    assert x.grad.tolist() == [6, 6]


def test_the_root_itself_may_be_the_leaf():
    x = leaf([1.0, 2.0])
    seed = np.ones(2)
    x.backward(gradient=seed)
    x.grad += 1
    assert seed.tolist() == [1, 1]


@pytest.mark.parametrize(
    "data",
    [
        np.arange(6.0).reshape(2, 3).T,  # not contiguous
        np.arange(12.0).reshape(3, 4)[:, ::2],  # nor this
        np.broadcast_to(np.arange(2.0), (3, 2)),  # zero strides, read-only
        np.arange(6.0).reshape(3, 2)[::-1, ::-1],  # negative strides
    ],
    ids=["transposed", "strided", "broadcast", "reversed"],
)
def test_the_layout_of_an_array_does_not_matter(data):
    before = data.copy()
    gradcheck(lambda x: (x + x) * x.tanh() + x @ x.T[:, :2] + x, Tensor(data, requires_grad=True))
    np.testing.assert_array_equal(data, before)


def test_a_constant_and_a_lost_dtype_do_not_leak_into_a_gradient():
    single, double = Tensor(np.ones(3, np.float32), requires_grad=True), leaf([0.1, 0.2, 0.3])
    integers, mask = np.arange(3), np.array([True, False, True])
    (single * double * integers * mask + single).sum().backward()
    assert (single.grad.dtype, double.grad.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(single.grad, (double.data * integers * mask + 1).astype("f4"))
    np.testing.assert_array_equal(double.grad, [0, 0, 2])


# What backward keeps


@KINDS
def test_backward_twice_doubles_the_gradients_of_the_leaves(make):
    x = make(3.0)
    y = x * x
    y.backward()
    y.backward()
    assert x.grad == 12
    x.zero_grad()
    y.backward()
    assert x.grad == 6


def test_a_number_keeps_an_ndarray_as_its_gradient_however_often_it_accumulates():
    x = leaf(1.0)
    for passes in (1, 2, 3):
        (x + x + x).backward()
        assert isinstance(x.grad, np.ndarray)
        assert x.grad == 3 * passes


def test_tensors_keep_gradients_on_leaves_and_where_asked():
    x = leaf([1.0, 2.0])
    kept, dropped = x * 2, x * 3
    kept.retain_grad()
    (kept * dropped).sum().backward()
    assert kept.grad.tolist() == [3, 6]
    assert dropped.grad is None


def test_every_value_keeps_its_gradient():
    x = Value(3.0)
    y = x * 2
    (y * y).backward()
    assert (y.grad, x.grad) == (12, 24)


def test_what_requires_no_gradient_gets_none_and_its_rules_do_not_run():
    def rule_of_the_constant(g, y, a, b):
        raise AssertionError

    op = tg.elementwise(
        "first",
        "first",
        lambda a, b: a,
        lambda a, b: a + 0,
        lambda g, y, a, b: g,
        rule_of_the_constant,
    )
    for x in (leaf([1.0]), Value(1.0)):
        constant = x.detach()
        op(x, constant).backward()
        assert x.grad == 1
        assert not constant.grad


@KINDS
def test_retain_graph_false_lets_go_of_the_graph(make):
    with without_garbage_collection():
        x = make(0.5)
        hidden = x.exp()
        alive = weakref.ref(hidden)
        y = hidden.tanh()
        del hidden
        y.backward(retain_graph=False)
        assert alive() is None
        assert x.grad != 0


def test_a_released_activation_is_gone_before_the_pass_is_over():
    seen = []
    probe = tg.elementwise(
        "probe", "probe", lambda x: x, lambda x: x.copy(), lambda g, y, x: seen.append(late()) or g
    )
    x = leaf([1.0, 2.0])
    early = probe(x)
    activation = (early + early + early).exp()
    late = weakref.ref(activation)
    loss = (activation * activation + activation).sum()
    del early, activation
    loss.backward(retain_graph=False)
    assert seen == [None]


@KINDS
def test_a_released_graph_says_so_and_changes_no_gradient(make):
    x = make(2.0)
    hidden = x * x
    hidden.label = "hidden"
    y = hidden.tanh()
    y.backward(retain_graph=False)
    before = float(x.grad)
    for root in (y, hidden * 3):
        with pytest.raises(
            GradientError, match=r"was released by an earlier backward.*retain_graph"
        ):
            root.backward()
    with pytest.raises(GradientError, match="'hidden'"):
        (hidden * 3).backward()
    assert x.grad == before


@pytest.mark.parametrize("retain_graph", [True, False])
def test_a_rule_that_raises_changes_no_gradient_and_the_error_says_what_was_released(retain_graph):
    def rule(g, y, x):
        raise ZeroDivisionError

    broken = tg.elementwise("broken", "?", abs, np.positive, rule)
    x = leaf(2.0)
    y = x * broken(x).tanh()
    with pytest.raises(ZeroDivisionError) as failure:
        y.backward(retain_graph=retain_graph)
    notes = getattr(failure.value, "__notes__", [])
    assert [("run the forward pass again" in note) for note in notes] == [True] * (not retain_graph)
    assert x.grad is None
    again = ZeroDivisionError if retain_graph else GradientError
    with pytest.raises(again):
        y.backward()


@KINDS
def test_gradients_touches_no_grad(make):
    x = make(2.0)
    y = x * x * x
    untouched = x.grad
    assert gradients(y)[x] == 12
    assert x.grad is untouched
    assert y.grad is untouched or y.grad == 0


@KINDS
def test_gradients_says_how_to_ask_for_that_of_one_node(make):
    x = make(2.0)
    with pytest.raises(GradientError, match=r"gradients\(loss\)\[w\]"):
        gradients(x * x, [x])


def test_gradients_stops_at_its_sources():
    x = Value(2.0)
    hidden = x * x
    found = gradients(hidden * 3, sources={hidden})
    assert found[hidden] == 3
    assert x not in found


def test_without_intermediates_only_the_nodes_that_keep_a_gradient_are_returned():
    x = leaf([1.0])
    y = (x * 2 + 1).sum()
    assert set(gradients(y, intermediates=False)) == {x}


def test_a_node_that_is_reached_through_a_constant_input_only_gets_none():
    x = Value(2.0)
    assert x not in gradients(tg.sign(x) * Value(3.0))


# Where backward starts


def test_only_a_scalar_has_a_gradient_by_itself():
    x = leaf([1.0, 2.0])
    x.label = "x"
    with pytest.raises(GradientError, match=r"scalar, not from Tensor of shape \(2,\) made by mul"):
        (x * 2).backward()
    assert x.grad is None


def test_one_entry_in_any_number_of_axes_is_a_scalar():
    x = leaf([[3.0]])
    (x * x).backward()
    assert x.grad.tolist() == [[6]]


@pytest.mark.parametrize("gradient", [[1.0, 10.0], np.array([1, 10]), Tensor([1.0, 10.0])])
def test_a_gradient_may_be_given_to_start_from(gradient):
    x = leaf([1.0, 2.0])
    (x * 3).backward(gradient=gradient)
    assert x.grad.tolist() == [3, 30]


@KINDS
def test_a_gradient_that_is_a_python_number_loses_no_digits(make):
    x = make(1.0)
    (x * 1.0).backward(gradient=0.1)
    assert x.grad == 0.1


@pytest.mark.parametrize("gradient", [1.0, np.ones(3), np.ones((1, 2))])
def test_a_gradient_of_another_shape_is_refused_by_name(gradient):
    x = leaf([1.0, 2.0])
    y = x * 3
    y.label = "logits"
    with pytest.raises(ShapeError, match=r"'logits' of shape \(2,\).* has shape .* must be \(2,\)"):
        y.backward(gradient=gradient)
    assert x.grad is None


@KINDS
def test_a_node_without_a_graph_cannot_run_backward(make):
    x = make(2.0)
    for root in (x.detach(), x.detach() * 2):
        with pytest.raises(GradientError, match="does not require a gradient"):
            root.backward()
    with no_grad(), pytest.raises(GradientError, match="made under no_grad"):
        (x * x).backward()


def test_a_gradient_that_is_not_required_cannot_be_retained():
    with pytest.raises(GradientError, match=r"'input' of shape .* requires no gradient"):
        Tensor([1.0], label="input").retain_grad()


# The grad mode


@KINDS
def test_under_no_grad_nothing_is_recorded(make):
    x = make(2.0)
    with no_grad():
        y = x * x
        assert not is_grad_enabled()
    assert is_grad_enabled()
    assert (y.data, y.requires_grad, y.inputs, y.op) == (4, False, (), None)


@KINDS
def test_grad_modes_nest_and_end_with_an_exception(make):
    x = make(2.0)
    with no_grad():
        with enable_grad():
            assert (x * x).requires_grad
            with no_grad():
                assert not (x * x).requires_grad
            assert is_grad_enabled()
        assert not is_grad_enabled()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_grad_modes_are_decorators_that_can_be_called_again():
    @no_grad()
    def plain(x):
        return recorded(x), x * x

    @enable_grad()
    def recorded(x):
        return x * x

    for _ in range(2):
        inner, outer = plain(Value(2.0))
        assert inner.requires_grad
        assert not outer.requires_grad


def test_the_grad_mode_is_each_threads_own():
    found = {}

    def other():
        found["elsewhere"] = is_grad_enabled()
        with no_grad():
            inside.set()
            left.wait(10)

    inside, left = threading.Event(), threading.Event()
    thread = threading.Thread(target=other)
    with no_grad():
        thread.start()
        inside.wait(10)
    found["here"] = is_grad_enabled()
    left.set()
    thread.join()
    assert found == {"elsewhere": True, "here": True}


def test_the_grad_mode_and_the_scope_are_each_tasks_own():
    async def task(module, context, own_turn, others_turn):
        seen = []
        with context(), module:
            for _ in range(3):  # the two take turns inside their blocks
                await own_turn.acquire()
                seen.append(((Value(1.0) * 2).requires_grad, (Value(1.0) * 2).scope))
                others_turn.release()
        return seen

    async def both():
        first, second = asyncio.Semaphore(1), asyncio.Semaphore(0)
        return await asyncio.gather(
            task(in_scope("encoder"), no_grad, first, second),
            task(in_scope("decoder"), enable_grad, second, first),
        )

    assert asyncio.run(both()) == [[(False, "encoder")] * 3, [(True, "decoder")] * 3]
    assert mode.get() == (True, "")


def test_the_grad_mode_is_each_contexts_own():
    with no_grad():
        context = contextvars.copy_context()
    assert not context.run(is_grad_enabled)
    assert is_grad_enabled()


@KINDS
def test_a_detached_node_is_a_constant_with_the_same_number(make):
    x = make(3.0)
    (x.detach() * x).backward()
    assert x.grad == 3


def test_a_node_carries_the_scope_it_was_made_in():
    x = Value(1.0)
    with in_scope("features.0"):
        y = x * 2
        with no_grad():
            z = x * 2
    assert (x.scope, y.scope, z.scope, (y * 2).scope) == ("", "features.0", "features.0", "")


# Gradients of gradients


@KINDS
def test_the_derivatives_of_a_cube_are_3x2_and_6x_and_6(make):
    x = make(5.0)
    y = x**3
    for expected in (75.0, 30.0, 6.0):
        y = gradients(y, create_graph=True)[x]
        assert y.data == expected


@KINDS
def test_the_derivatives_of_tanh_are_those_of_the_closed_form(make):
    x = make(0.3)
    t = np.tanh(0.3)
    # With t' = 1 - t²: t'' = -2 t (1 - t²), t''' = (6 t² - 2)(1 - t²)
    y = x.tanh()
    for expected in (1 - t**2, -2 * t * (1 - t**2), (6 * t**2 - 2) * (1 - t**2)):
        y = gradients(y, create_graph=True)[x]
        assert float(y.data) == pytest.approx(expected, rel=1e-14)


@KINDS
def test_backward_with_create_graph_makes_each_grad_a_node(make):
    x = make(2.0)
    (x**3).backward(create_graph=True)
    slope = x.grad
    assert isinstance(slope, Node)
    x.zero_grad()
    slope.backward()
    assert x.grad == 12


@KINDS
def test_a_gradient_is_recorded_under_no_grad_too_when_it_is_asked_for(make):
    x = make(2.0)
    y = x * x * x
    with no_grad():
        slope = gradients(y, create_graph=True)[x]
    assert gradients(slope)[x] == 12


@KINDS
def test_gradients_that_are_nodes_accumulate_with_their_graphs(make):
    x = make(2.0)
    y = x**3
    with no_grad():
        y.backward(create_graph=True)
        y.backward(create_graph=True)
    # 2 · 3x² = 24, of which the derivative is 12x
    assert x.grad.data == 24
    assert gradients(x.grad)[x] == 24


@KINDS
def test_a_gradient_to_start_from_that_is_a_node_is_differentiated_too(make):
    x, v = make(3.0), make(2.0)
    product = gradients(x * x, v, create_graph=True)[x]  # v 2x
    assert gradients(product)[v] == 6


@KINDS
def test_a_gradient_penalty_trains(make):
    # L = (∂(x² w)/∂x)² = 4 x² w², so ∂L/∂w = 8 x² w
    x, w = make(1.5), make(2.0)
    slope = gradients(x * x * w, create_graph=True)[x]
    (slope * slope).backward()
    assert w.grad == 8 * 1.5**2 * 2
