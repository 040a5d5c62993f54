"""Update rules as loops that Numba compiles agree with the rules as they are written."""

import numpy as np
import pytest

import nn
from nn.optim import optimizer
from tinygrad_edu.ops.loops import WORTH_LOADING

pytest.importorskip("numba", reason="the extra fast is not installed")

CASES = {
    "plain": (nn.optim.SGD, {"lr": 0.1}),
    "momentum": (nn.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "dampened": (nn.optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    "nesterov": (nn.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "decay": (nn.optim.SGD, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1}),
    "adam": (nn.optim.Adam, {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}),
    "penalty": (nn.optim.Adam, {"lr": 0.1, "weight_decay": 0.1}),
    "adamw": (nn.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}),
}


def trained(make, options, dtype, steps=4):
    """A parameter that is large enough for the loops, and its optimizer, after some steps."""
    rng = np.random.default_rng(0)
    p = nn.Parameter(rng.normal(size=(2, WORTH_LOADING // 2 + 1)).astype(dtype))
    learner = make([p], **options)
    for _ in range(steps):
        p.grad = rng.normal(size=p.shape).astype(dtype)
        before = p.grad.copy()
        learner.step()
        np.testing.assert_array_equal(p.grad, before)
    return p, learner


@pytest.fixture
def calls(monkeypatch):
    """The loops that were called, by name."""
    from nn.optim import compiled

    called = []

    def noting(name, loop):
        return lambda *args: (called.append(name), loop(*args))

    for name in ("sgd", "sgd_with_momentum", "adam"):
        monkeypatch.setattr(compiled, name, noting(name, getattr(compiled, name)))
    return called


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_a_loop_takes_the_steps_of_its_rule(case, dtype, calls, monkeypatch):
    p, learner = trained(*CASES[case], dtype)
    assert len(calls) >= 3  # all but the first, which makes the state
    monkeypatch.setattr(optimizer, "compiled_loops", lambda entries: None)
    q, expected = trained(*CASES[case], dtype)
    assert len(calls) <= 4
    assert p.data.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(p.data, q.data, rtol=16 * eps, atol=16 * eps)
    state, wanted = learner.state_dict(), expected.state_dict()
    assert list(state) == list(wanted)
    for name, value in state.items():
        assert np.shape(value) == np.shape(wanted[name])
        np.testing.assert_allclose(value, wanted[name], rtol=16 * eps, atol=16 * eps)


@pytest.mark.parametrize(
    ("make", "options", "dtype"),
    [
        (nn.optim.Adam, {"amsgrad": True}, np.float32),
        (nn.optim.Adamax, {}, np.float32),
        (nn.optim.SGD, {}, np.longdouble),
    ],
)
def test_what_has_no_loop_is_updated_without_one(make, options, dtype, calls):
    p, _ = trained(make, options, dtype)
    assert not calls
    assert p.data.dtype == dtype
    assert np.isfinite(p.data).all()


def test_a_rule_that_takes_the_place_of_another_does_not_inherit_its_loop(calls):
    class Halving(nn.optim.SGD):
        def update(self, x, g, state, **options):
            x *= 0.5
            return x

    p, _ = trained(Halving, {"lr": 0.1}, np.float32, steps=1)
    assert not calls
    start = np.random.default_rng(0).normal(size=p.shape).astype(np.float32)
    np.testing.assert_array_equal(p.data, start / 2)


def test_momentum_that_is_switched_on_later_starts_as_it_does_without_loops(monkeypatch):
    def after(steps):
        p, learner = trained(nn.optim.SGD, {"lr": 0.1}, np.float64)
        learner.param_groups[0]["momentum"] = 0.9
        for _ in range(steps):
            p.grad = np.ones(p.shape)
            learner.step()
        return p.data

    found = after(3)
    monkeypatch.setattr(optimizer, "compiled_loops", lambda entries: None)
    np.testing.assert_allclose(found, after(3), rtol=1e-13, atol=1e-13)
