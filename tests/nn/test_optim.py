"""The optimizers' published update rules, written out here once more on plain numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from tinygrad_edu import Tensor, Value

GRADIENTS = st.lists(st.floats(-2, 2), min_size=1, max_size=6)


def run(make, gradients, start):
    """The parameter after each step, as a Value and as a Tensor."""
    value, tensor = Value(start), Tensor(np.array([start]), requires_grad=True)
    optimizers = make([value]), make([tensor])
    path = []
    for g in gradients:
        value.grad, tensor.grad = g, np.array([g])
        for optimizer in optimizers:
            optimizer.step()
        path.append((value.data, tensor.data[0]))
    return path


def assert_follows(path, expected):
    for (value, entry), number in zip(path, expected, strict=True):
        assert value == pytest.approx(number, rel=1e-12, abs=1e-14)
        assert entry == pytest.approx(number, rel=1e-12, abs=1e-14)


@given(gradients=GRADIENTS, momentum=st.sampled_from([0.0, 0.9]), nesterov=st.booleans())
def test_sgd_follows_its_rule(gradients, momentum, nesterov):
    nesterov = nesterov and momentum > 0
    lr, decay, p, v, expected = 0.1, 0.01, 1.5, None, []
    for g in gradients:
        g = g + decay * p
        v = g if v is None else momentum * v + g
        p -= lr * (g + momentum * v if nesterov else v)
        expected.append(p)
    options = {"lr": lr, "momentum": momentum, "weight_decay": decay, "nesterov": nesterov}
    assert_follows(run(lambda ps: nn.optim.SGD(ps, **options), gradients, 1.5), expected)


@given(gradients=GRADIENTS, decoupled=st.booleans(), decay=st.sampled_from([0.0, 0.1]))
def test_adam_and_adamw_follow_their_rules(gradients, decoupled, decay):
    lr, b1, b2, eps, p, m, v, expected = 0.05, 0.8, 0.95, 1e-6, 1.5, 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        if decoupled:
            before = p
        else:
            g = g + decay * p
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        p -= lr * (m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps)
        if decoupled:
            p -= lr * decay * before
        expected.append(p)
    kind = nn.optim.AdamW if decoupled else nn.optim.Adam
    options = {"lr": lr, "betas": (b1, b2), "eps": eps, "weight_decay": decay}
    assert_follows(run(lambda ps: kind(ps, **options), gradients, 1.5), expected)


@pytest.mark.parametrize("make", [nn.optim.SGD, nn.optim.Adam, nn.optim.AdamW])
def test_every_optimizer_goes_downhill_and_keeps_float32(make):
    x = nn.Parameter([3.0, -2.0])
    optimizer = make([x], lr=0.1)
    start = float((x * x).sum())
    for _ in range(50):
        optimizer.zero_grad()
        (x * x).sum().backward()
        optimizer.step()
    assert float((x * x).sum()) < 0.2 * start
    assert x.dtype == np.float32


def test_a_parameter_without_gradient_is_left_alone():
    x, y = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = nn.optim.AdamW([x, y], lr=0.1)
    (x * 2).sum().backward()
    optimizer.step()
    assert y.data == 1
    assert x.data != 1


def test_options_out_of_range_are_refused():
    p = [Value(1.0)]
    for make in (
        lambda: nn.optim.SGD([], lr=0.1),
        lambda: nn.optim.SGD([1.0], lr=0.1),
        lambda: nn.optim.SGD(p, lr=-0.1),
        lambda: nn.optim.SGD(p, lr=float("nan")),
        lambda: nn.optim.SGD(p, momentum=1.0),
        lambda: nn.optim.SGD(p, nesterov=True),
        lambda: nn.optim.Adam(p, betas=(0.9, 1.0)),
        lambda: nn.optim.Adam(p, eps=-1),
        lambda: nn.optim.AdamW(p, weight_decay=-1),
    ):
        with pytest.raises(nn.ConfigurationError):
            make()
