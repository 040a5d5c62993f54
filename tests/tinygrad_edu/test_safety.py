"""In-place changes, detect_anomaly, hooks, and the graph that an error carries."""

import gc
import sys

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value, changes


def leaf(data):
    return Tensor(np.array(data), requires_grad=True)


def test_a_backward_that_needs_changed_data_raises_and_names_the_op_and_module():
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    loss = model(Tensor(np.ones((1, 2)), requires_grad=True)).sum()
    loss.backward()
    before = model.state_dict()
    optimizer.step()
    with pytest.raises(tg.GradientError, match=r"linear in 0 needs Parameter 'weight'.*changed"):
        loss.backward()
    assert not np.array_equal(before["0.weight"], model[0].weight.data)


@pytest.mark.parametrize("kind", [nn.optim.SGD, nn.optim.AdamW])
def test_a_step_on_values_is_noticed_too(kind):
    w = Value(2.0, label="w")
    loss = w * w
    loss.backward()
    kind([w], lr=0.1).step()
    with pytest.raises(tg.GradientError, match="multiply needs Value 'w'"):
        loss.backward()


def test_a_change_that_no_rule_reads_is_no_error():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = (a + b).reshape(2, 1)
    with tg.no_grad():
        a[...] = 0
    y.backward(np.ones((2, 1)))
    assert a.grad.tolist() == [1, 1]


def test_a_change_through_a_view_or_of_the_base_is_noticed():
    for change_view in (True, False):
        x = leaf([1.0, 2.0])
        view = x.reshape(2, 1)
        y = (x * x).sum() if change_view else (view * view).sum()
        with tg.no_grad():
            (view if change_view else x)[0] = 5.0
        with pytest.raises(tg.GradientError, match="multiply needs"):
            y.backward()


def test_a_change_of_a_result_that_the_rule_reads_is_noticed():
    t = leaf([1.0]).tanh()  # its rule is g (1 - y²)
    y = t + 1.0
    with tg.no_grad():
        t[0] = 0.5
    with pytest.raises(tg.GradientError, match="tanh needs"):
        y.backward()


def test_a_change_of_constant_data_is_noticed():
    x, w = Tensor(np.ones(2), label="x"), leaf([1.0, 2.0])
    y = (x * w).sum()
    x[0] = 9.0
    with pytest.raises(tg.GradientError, match="'x'"):
        y.backward()
    assert w.grad is None


def test_a_forward_after_the_change_runs_backward():
    w = leaf([2.0])
    (w * w).backward()
    with tg.no_grad():
        w[...] = 3.0
    w.zero_grad()
    (w * w).backward()
    assert w.grad.tolist() == [6]


def test_loading_weights_is_a_change():
    linear = nn.Linear(1, 1)
    y = linear(leaf([[1.0]])).tanh()
    linear.load_state_dict({"weight": np.ones((1, 1)), "bias": np.ones(1)})
    with pytest.raises(tg.GradientError, match="'weight'"):
        y.backward()


def test_memory_of_changes_goes_with_the_data():
    gc.collect()
    before = len(changes._last_change)
    w = leaf([1.0])
    tg.mark_changed(w)
    assert len(changes._last_change) == before + 1
    del w
    assert len(changes._last_change) == before


def test_assignment_that_would_not_be_differentiated_is_refused():
    w, x = leaf([1.0, 2.0]), Tensor(np.zeros(2))
    with pytest.raises(tg.GradientError, match=r"no_grad\(\), or write index_set"):
        w[0] = 5.0
    with pytest.raises(tg.GradientError, match="index_set"):
        x[0] = w.sum()
    assert (w.data.tolist(), x.data.tolist()) == ([1, 2], [0, 0])


def line_of(f):
    return f"{f.__code__.co_filename}:{f.__code__.co_firstlineno + 1}"


def take_the_root(x):
    return x.sqrt()


def test_detect_anomaly_names_op_module_and_line_of_the_first_nan_forward():
    model = nn.Sequential({"first": nn.Linear(2, 2), "second": nn.Linear(2, 2)})
    model.first.weight.data[0, 0] = np.nan
    with (
        tg.detect_anomaly(),
        pytest.raises(
            tg.AnomalyError, match=rf"linear in first, called at {__file__}:\d+, gave nan"
        ),
    ):
        model(np.ones((1, 2), np.float32))


def test_detect_anomaly_names_op_and_line_of_the_first_inf_backward():
    x = Tensor([0.0, 1.0], requires_grad=True, label="x")
    with (
        np.errstate(divide="ignore"),
        tg.detect_anomaly(),
        pytest.raises(tg.AnomalyError) as failure,
    ):
        take_the_root(x).sum().backward()
    for words in ("backward of sqrt", line_of(take_the_root), "gave inf", "Tensor 'x'"):
        assert words in str(failure.value)
    assert x.grad is None


def test_detect_anomaly_watches_values_and_ends_with_its_block():
    with np.errstate(all="ignore"):
        with tg.detect_anomaly(), pytest.raises(tg.AnomalyError, match=r"log.* gave inf"):
            Value(0.0).log()
        assert Value(0.0).log().data == -np.inf


def test_a_hook_sees_the_whole_gradient_and_may_replace_it():
    x, seen = leaf([1.0, 2.0]), []
    h = x * 2
    h.register_hook(seen.append)
    remove = x.register_hook(lambda g: -g)
    (h.sum() + (h * h).sum()).backward()
    assert seen[0].tolist() == [5, 9]  # 1 + 2h
    assert x.grad.tolist() == [-10, -18]
    remove()
    x.zero_grad()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_a_hook_that_keeps_or_changes_its_gradient_changes_nothing_else():
    x, kept = leaf([1.0, 2.0]), []

    def vandal(g):
        kept.append(g)
        g[:] = 100

    y = x * 3
    y.register_hook(vandal)
    (y + y + y).sum().backward()
    assert x.grad.tolist() == [9, 9]


def test_a_hook_works_on_values_and_under_create_graph():
    x = Value(3.0)
    x.register_hook(lambda g: g * 10)
    (x * x).backward(create_graph=True)
    assert x.grad.data == 60
    with pytest.raises(tg.GradientError, match="hook gets none"):
        Value(1.0, requires_grad=False).register_hook(print)


def test_a_failed_op_carries_the_graph_up_to_the_failure():
    a, b = leaf(np.ones((2, 3))), leaf(np.ones((2, 3)))
    hidden = a.tanh()
    with pytest.raises(tg.ShapeError) as failure:
        hidden @ b
    graph = failure.value.graph
    assert (graph.name, graph.scope) == ("matmul", "")
    assert graph.inputs[0] is hidden
    assert tg.GradientError("").graph is None


def test_so_does_a_failed_function_that_is_put_together_from_ops():
    x = leaf(np.ones((2, 3)))

    class Norm(nn.Module):
        def forward(self, x):
            return tg.layer_norm(x, (4,))

    with pytest.raises(tg.ShapeError, match=r"normalized_shape \(4,\).* \(in 0\)$") as failure:
        nn.Sequential(Norm())(x)
    graph = failure.value.graph
    assert (graph.name, graph.scope, graph.attrs) == ("layer_norm", "0", {"normalized_shape": (4,)})
    assert graph.inputs == (x,)


def test_an_index_that_the_caller_changes_afterwards_changes_no_gradient():
    x, index = leaf([1.0, 2.0, 3.0]), np.array([0, 0])
    y = x[index].sum()
    index[:] = 2
    y.backward()
    assert x.grad.tolist() == [2, 0, 0]


def test_source_lines_names_the_line_that_called_an_operation_and_raises_on_no_nan():
    x = Tensor([0.0], requires_grad=True)
    with tg.source_lines(), np.errstate(divide="ignore", invalid="ignore"):
        y = x.log() * 0
        line = sys._getframe().f_lineno - 1
    assert y.line == y.inputs[0].line == f"{__file__}:{line}"
    assert np.isnan(y.item())


def test_source_lines_within_detect_anomaly_still_finds_one():
    x = Value(0.0)
    silent = np.errstate(divide="ignore")
    with silent, tg.detect_anomaly(), tg.source_lines(), pytest.raises(tg.AnomalyError):
        x.log()
