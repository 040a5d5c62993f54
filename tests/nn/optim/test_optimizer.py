"""What all optimizers share: groups, what is left alone, state in and out, and what is refused."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn import optim
from tinygrad_edu import Tensor, Value

ELEMENTWISE = [
    lambda ps: optim.SGD(ps, momentum=0.9, dampening=0.1),
    optim.Lion,
    lambda ps: optim.Adam(ps, amsgrad=True),
    optim.AdamW,
    optim.Adamax,
    optim.NAdam,
    optim.RAdam,
    lambda ps: optim.RMSprop(ps, momentum=0.5, centered=True),
    optim.Adagrad,
    optim.Adadelta,
]
EVERY = [
    *ELEMENTWISE,
    lambda ps: optim.Lookahead(optim.Adam(ps), k=2),
    lambda ps: optim.LBFGS(ps, lr=0.1, max_iter=2),
    lambda ps: optim.LBFGS(ps, max_iter=3, line_search_fn="strong_wolfe"),
]


def parameters():
    return [Value(0.5), nn.Parameter([[1.0, -2.0]]), nn.Parameter(3.0)]


def loss_of(ps):
    value, matrix, scalar = ps
    return (matrix**4).sum() + scalar * scalar, value * value


def advance(optimizer, ps, steps):
    def closure():
        optimizer.zero_grad()
        for loss in loss_of(ps):
            loss.backward()
        return sum(loss.item() for loss in loss_of(ps))

    for _ in range(steps):
        optimizer.step(closure)


def data_of(ps):
    return [np.array(p.data) for p in ps]


def through_files(state):
    """A state as it comes back from JSON, and from arrays on disk in the order of their names."""
    arrays = {name: x for name, x in sorted(state.items()) if isinstance(x, np.ndarray)}
    numbers = {name: x for name, x in state.items() if name not in arrays}
    return {**json.loads(json.dumps(numbers)), **arrays}


@pytest.mark.parametrize("make", EVERY)
@given(before=st.integers(0, 5), after=st.integers(1, 4))
def test_a_resumed_run_goes_on_bit_for_bit(make, before, after):
    ps = parameters()
    optimizer = make(ps)
    advance(optimizer, ps, before)
    others = parameters()
    for p, other in zip(ps, others, strict=True):
        other.data = p.data.copy() if isinstance(p, Tensor) else p.data
    resumed = make(others)
    resumed.load_state_dict(through_files(optimizer.state_dict()))
    advance(optimizer, ps, after)
    advance(resumed, others, after)
    for a, b in zip(data_of(ps), data_of(others), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", EVERY)
def test_a_state_is_a_copy(make):
    ps = parameters()
    optimizer = make(ps)
    advance(optimizer, ps, 2)
    state = optimizer.state_dict()
    before = {name: np.copy(x) for name, x in state.items()}
    advance(optimizer, ps, 2)
    for name, x in before.items():
        np.testing.assert_array_equal(state[name], x)


def test_the_options_of_a_state_are_taken_over():
    optimizer, other = optim.Adam(parameters(), lr=0.5, betas=(0.1, 0.2)), optim.Adam(parameters())
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 0.5
    assert other.param_groups[0]["betas"] == (0.1, 0.2)


def changed(state, **changes):
    return {**state, **{name.replace("__", "."): x for name, x in changes.items()}}


def test_a_state_that_does_not_fit_is_refused_and_nothing_is_loaded():
    ps = parameters()
    adam = optim.Adam(ps)
    advance(adam, ps, 2)
    state = adam.state_dict()
    for other, given_state, message in (
        (optim.SGD(parameters()), state, r"SGD.*missing: groups\.0\.momentum"),
        (optim.Adam(parameters()[:2]), state, r"groups\.0\.params"),
        (adam, {}, "missing"),
        (adam, changed(state, state__9__step=1), r"unexpected: state\.9\.step"),
        (adam, changed(state, state__1__exp_avg=np.ones(3)), r"state\.1\.exp_avg"),
        (adam, changed(state, groups__0__lr=-1.0), "lr"),
        (optim.LBFGS(parameters()), state, "LBFGS"),
        (optim.Lookahead(optim.Adam(ps)), state, "Lookahead"),
    ):
        before = other.state_dict()
        with pytest.raises(tg.TinygradError, match=message):
            other.load_state_dict(given_state)
        assert str(other.state_dict()) == str(before)


def test_groups_have_options_of_their_own():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    a.grad = b.grad = np.ones(1, np.float32)
    optimizer.step()
    np.testing.assert_allclose([a.data, b.data], [[0.9], [0.5]])
    optimizer.param_groups[0]["lr"] = 1.0
    optimizer.step()
    np.testing.assert_allclose([a.data, b.data], [[-0.1], [0.0]], atol=1e-7)


def test_a_group_added_later_learns_too():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = optim.SGD([a], lr=0.1)
    optimizer.add_param_group({"params": [b], "momentum": 0.9})
    assert optimizer.param_groups[1]["lr"] == 0.1
    b.grad = np.ones(1, np.float32)
    optimizer.step()
    assert (a.data, b.data) == (1, np.float32(0.9))


def test_the_learning_rate_of_all_groups_can_be_set():
    optimizer = optim.SGD([{"params": [p], "lr": 0.3} for p in parameters()])
    optimizer.lr = 0.2
    assert [group["lr"] for group in optimizer.param_groups] == [0.2] * 3
    with pytest.raises(nn.ConfigurationError, match="lr"):
        optimizer.lr = -1


@pytest.mark.parametrize("make", EVERY)
def test_a_parameter_that_is_frozen_or_has_no_gradient_is_left_alone(make):
    frozen, without, learns = Value(1.0), nn.Parameter([1.0]), nn.Parameter([1.0])
    frozen.requires_grad = False
    optimizer = make([frozen, without, learns])

    def closure():
        frozen.grad, without.grad, learns.grad = 1.0, None, 2 * learns.data
        return float(learns.data[0] ** 2)

    for _ in range(4):
        optimizer.step(closure)
    assert frozen.data == without.data == 1
    assert learns.data < 1


def test_a_gradient_that_is_a_node_will_do():
    x = nn.Parameter([3.0])
    (x * x).sum().backward(create_graph=True)
    optim.SGD([x], lr=0.5).step()
    assert x.data == 0


def test_a_graph_made_before_the_step_cannot_run_backward_after_it():
    x = nn.Parameter([3.0])
    y = (x * x).sum()
    y.backward()
    optim.SGD([x], lr=0.5).step()
    with pytest.raises(tg.GradientError, match="changed in place"):
        y.backward()


def test_a_gradient_of_another_shape_is_refused():
    x = nn.Parameter([3.0, 1.0])
    x.grad = np.ones((2, 2), np.float32)
    with pytest.raises(tg.ShapeError, match=r"\(2, 2\)"):
        optim.SGD([x]).step()


def test_data_that_cannot_be_written_to_are_refused():
    x = Tensor(np.broadcast_to(np.float32(1), 3), requires_grad=True)
    x.grad = np.ones(3, np.float32)
    with pytest.raises(nn.ConfigurationError, match="read-only"):
        optim.SGD([x]).step()


def test_a_rule_of_ones_own_takes_part():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, lr=lr)

        def update(self, x, g, state, *, lr):
            x -= lr * tg.sign(g)
            return x

    value, tensor = Value(1.0), nn.Parameter([1.0])
    value.grad, tensor.grad = 5.0, np.array([-5.0], np.float32)
    Signs([value, tensor]).step()
    assert (value.data, tensor.data) == (0.9, np.float32(1.1))


def test_options_out_of_range_are_refused():
    p = [Value(1.0)]
    for name, make in (
        ("lr", lambda: optim.SGD(p, lr=-0.1)),
        ("lr", lambda: optim.SGD(p, lr=math.nan)),
        ("lr", lambda: optim.SGD(p, lr="fast")),
        ("momentum", lambda: optim.SGD(p, momentum=1.0)),
        ("Nesterov", lambda: optim.SGD(p, nesterov=True)),
        ("Nesterov", lambda: optim.SGD(p, momentum=0.9, dampening=0.1, nesterov=True)),
        ("betas", lambda: optim.Adam(p, betas=(0.9, 1.0))),
        ("betas", lambda: optim.Lion(p, betas=0.9)),
        ("eps", lambda: optim.Adam(p, eps=-1)),
        ("weight_decay", lambda: optim.AdamW(p, weight_decay=-1)),
        ("alpha", lambda: optim.RMSprop(p, alpha=1.5)),
        ("rho", lambda: optim.Adadelta(p, rho=-1)),
        ("lr_decay", lambda: optim.Adagrad(p, lr_decay=-1)),
        ("max_iter", lambda: optim.LBFGS(p, max_iter=0)),
        ("betas", lambda: optim.Adam([{"params": p, "betas": (2, 0)}])),
        ("Lookahead's k", lambda: optim.Lookahead(optim.SGD(p), k=0)),
        ("alpha", lambda: optim.Lookahead(optim.SGD(p), alpha=0)),
        ("wraps an optimizer", lambda: optim.Lookahead(p)),
    ):
        with pytest.raises(nn.ConfigurationError, match=name):
            make()


def test_an_unknown_option_of_a_group_is_answered_with_the_nearest():
    with pytest.raises(tg.UnknownNameError, match=r"option of SGD.*Did you mean 'weight_decay'"):
        optim.SGD([{"params": parameters(), "weight_decy": 0.1}])
    with pytest.raises(tg.UnknownNameError, match="strong_wolfe"):
        optim.LBFGS(parameters(), line_search_fn="strong_wolf")


def test_parameters_that_cannot_be_optimized_are_refused():
    p = nn.Parameter([1.0])
    model = nn.Linear(2, 1).freeze()
    for message, params in (
        ("got no parameters", []),
        (r"pass \[p\]", p),
        ("not float", [1.0]),
        ("all 2 parameters are frozen.*unfreeze", model.parameters()),
        ("comes twice", [p, p]),
        ("comes twice", [{"params": [p]}, {"params": [p]}]),
        ("computed from other nodes", [p * 2]),
        ("under 'params'", [{"parameters": [p]}]),
        ("not a set", {p}),
        ("not a set", [{"params": {p}}]),
    ):
        with pytest.raises(nn.ConfigurationError, match=message):
            optim.SGD(params)


def test_a_group_that_is_refused_is_not_added():
    p = nn.Parameter([1.0])
    optimizer = optim.SGD([p])
    with pytest.raises(nn.ConfigurationError):
        optimizer.add_param_group({"params": [nn.Parameter([1.0])], "lr": -1})
    assert optimizer.parameters == [p]


def test_step_returns_the_loss_of_its_closure():
    x = nn.Parameter([3.0])
    for make in EVERY:
        optimizer = make([x])
        x.grad = np.ones(1, np.float32)
        with tg.no_grad():
            assert optimizer.step(lambda: tg.is_grad_enabled()) is True
