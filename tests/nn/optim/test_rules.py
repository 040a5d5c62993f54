"""Every optimizer takes the steps that its paper says, for Values and for Tensors.

The rules stand here once more, each as one function of all gradients so far: moving averages are
written out as weighted sums over the whole history, so that nothing of ours is repeated.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn import optim
from tinygrad_edu import Value

# The gradient by each of two parameters, a row per step. None is so small that eps decides.
NUMBERS = st.floats(-2, 2).filter(lambda x: abs(x) > 1e-2)
GRADIENTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8).map(np.array)
START = np.array([1.5, -0.7])

LR = st.floats(1e-4, 0.5)
BETA = st.floats(0.0, 0.99)
BETAS = st.tuples(BETA, BETA)
DECAY = st.sampled_from([0.0, 0.1])
EPS = st.sampled_from([1e-8, 1e-3])


def mean(beta, history):
    """The moving average of a history, from 0 at first."""
    weights = (1 - beta) * beta ** np.arange(len(history))[::-1]
    return weights @ np.array(history)


def unbiased(beta, history):
    return mean(beta, history) / (1 - beta ** len(history))


def sgd(x, gs, lr, momentum, dampening, nesterov):
    t = len(gs)
    # The first gradient enters the velocity whole, the others dampened.
    weights = momentum ** np.arange(t)[::-1] * np.where(np.arange(t) == 0, 1, 1 - dampening)
    v = weights @ np.array(gs) if momentum else gs[-1]
    return x - lr * (gs[-1] + momentum * v if nesterov else v)


def lion(x, gs, lr, betas):
    past = mean(betas[1], gs[:-1]) if len(gs) > 1 else 0 * x
    return x - lr * np.sign(betas[0] * past + (1 - betas[0]) * gs[-1])


def adam(x, gs, lr, betas, eps, amsgrad=False):
    squares = np.square(gs)
    v = [mean(betas[1], squares[:t]) for t in range(1, len(gs) + 1)]
    largest = np.max(v, axis=0) if amsgrad else v[-1]
    v_hat = largest / (1 - betas[1] ** len(gs))
    return x - lr * unbiased(betas[0], gs) / (np.sqrt(v_hat) + eps)


def adamax(x, gs, lr, betas, eps):
    ages = np.arange(len(gs))[::-1]
    u = np.max([betas[1] ** age * (abs(g) + eps) for age, g in zip(ages, gs, strict=True)], axis=0)
    return x - lr * unbiased(betas[0], gs) / u


def nadam(x, gs, lr, betas, eps, momentum_decay):
    t = len(gs)
    mu = [betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in range(1, t + 2)]
    m_hat = mu[t] * mean(betas[0], gs) / (1 - np.prod(mu))
    g_hat = (1 - mu[t - 1]) * gs[-1] / (1 - np.prod(mu[:t]))
    return x - lr * (m_hat + g_hat) / (np.sqrt(unbiased(betas[1], np.square(gs))) + eps)


def radam(x, gs, lr, betas, eps):
    t, beta2 = len(gs), betas[1]
    limit = 2 / (1 - beta2) - 1
    rho = limit - 2 * t * beta2**t / (1 - beta2**t)
    if rho <= 5:
        return x - lr * unbiased(betas[0], gs)
    r = np.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
    scale = (np.sqrt(mean(beta2, np.square(gs))) + eps) / np.sqrt(1 - beta2**t)
    return x - lr * r * unbiased(betas[0], gs) / scale


def rmsprop(x, gs, lr, alpha, eps, momentum, centered):
    def scaled(gs):
        v = mean(alpha, np.square(gs)) - (mean(alpha, gs) ** 2 if centered else 0)
        return gs[-1] / (np.sqrt(np.maximum(v, 0)) + eps)

    t = len(gs)
    return x - lr * sum(momentum ** (t - i) * scaled(gs[:i]) for i in range(1, t + 1))


def adagrad(x, gs, lr, lr_decay, initial_accumulator_value, eps):
    total = initial_accumulator_value + np.square(gs).sum(0)
    return x - lr / (1 + (len(gs) - 1) * lr_decay) * gs[-1] / (np.sqrt(total) + eps)


def adadelta(x, gs, lr, rho, eps):
    steps = []
    for t in range(1, len(gs) + 1):
        u = mean(rho, np.square(steps)) if steps else 0 * x
        v = mean(rho, np.square(gs[:t]))
        steps.append(np.sqrt(u + eps) / np.sqrt(v + eps) * gs[t - 1])
    return x - lr * steps[-1]


RULES = {
    optim.SGD: (
        sgd,
        {"momentum": BETA, "dampening": st.floats(0, 0.9), "nesterov": st.just(False)},
    ),
    optim.Lion: (lion, {"betas": BETAS}),
    optim.Adam: (adam, {"betas": BETAS, "eps": EPS, "amsgrad": st.booleans()}),
    optim.AdamW: (adam, {"betas": BETAS, "eps": EPS, "amsgrad": st.booleans()}),
    optim.Adamax: (adamax, {"betas": BETAS, "eps": EPS}),
    optim.NAdam: (nadam, {"betas": BETAS, "eps": EPS, "momentum_decay": st.floats(0, 0.1)}),
    # β₂ so that the variance is known well enough after 1 step, after several, and never.
    optim.RAdam: (
        radam,
        {"betas": st.tuples(BETA, st.sampled_from([0.5, 0.9, 0.999])), "eps": EPS},
    ),
    optim.RMSprop: (
        rmsprop,
        # An eps that is not small beside √v, which cancels to 0 where g is constant.
        {"alpha": BETA, "eps": st.just(0.1), "momentum": BETA, "centered": st.booleans()},
    ),
    optim.Adagrad: (
        adagrad,
        {
            "lr_decay": st.floats(0, 1),
            "initial_accumulator_value": st.floats(0, 1),
            "eps": EPS,
        },
    ),
    optim.Adadelta: (adadelta, {"rho": BETA, "eps": EPS}),
}
DECOUPLED = (optim.AdamW, optim.Lion)
OPTIMIZERS = list(RULES)


def expected_path(rule, gradients, decay, decoupled, **options):
    x, history, path = START, [], []
    for g in gradients:
        history.append(g if decoupled else g + decay * x)
        x = rule((1 - options["lr"] * decay) * x if decoupled else x, history, **options)
        path.append(x)
    return np.array(path)


def path_of_values(make, gradients):
    values = [Value(x) for x in START]
    optimizer, path = make(values), []
    for row in gradients:
        for value, g in zip(values, row, strict=True):
            value.grad = float(g)
        optimizer.step()
        path.append([value.data for value in values])
    return np.array(path)


def path_of_tensor(make, gradients, dtype=np.float64):
    p = nn.Parameter(START.astype(dtype))
    optimizer, path = make([p]), []
    for g in gradients:
        p.grad = g.astype(dtype)
        optimizer.step()
        path.append(p.data.copy())
    return np.array(path)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@given(data=st.data(), gradients=GRADIENTS, lr=LR, decay=DECAY)
def test_every_step_is_that_of_the_published_rule(kind, data, gradients, lr, decay):
    rule, strategies = RULES[kind]
    options = {"lr": lr, **data.draw(st.fixed_dictionaries(strategies))}
    make = lambda params: kind(params, weight_decay=decay, **options)
    expected = expected_path(rule, gradients, decay, kind in DECOUPLED, **options)
    np.testing.assert_allclose(path_of_values(make, gradients), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(path_of_tensor(make, gradients), expected, rtol=1e-9, atol=1e-9)


@given(gradients=GRADIENTS, lr=LR, momentum=st.floats(0.1, 0.9))
def test_nesterovs_momentum_looks_ahead(gradients, lr, momentum):
    options = {"lr": lr, "momentum": momentum, "dampening": 0.0, "nesterov": True}
    expected = expected_path(sgd, gradients, 0.0, False, **options)
    path = path_of_tensor(lambda params: optim.SGD(params, **options), gradients)
    np.testing.assert_allclose(path, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("kind", "rule"), [(optim.NAdam, nadam), (optim.RAdam, radam)])
@given(gradients=GRADIENTS, lr=LR)
def test_weight_decay_can_be_decoupled(kind, rule, gradients, lr):
    options = {"lr": lr, "betas": (0.9, 0.99), "eps": 1e-3}
    options |= {"momentum_decay": 0.004} if kind is optim.NAdam else {}
    make = lambda params: kind(params, weight_decay=0.1, decoupled_weight_decay=True, **options)
    expected = expected_path(rule, gradients, 0.1, True, **options)
    np.testing.assert_allclose(path_of_tensor(make, gradients), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_every_optimizer_keeps_the_dtype(kind, dtype):
    gradients = np.random.default_rng(0).normal(size=(5, 2))
    make = lambda params: kind(params, lr=np.float64(0.01))
    path = path_of_tensor(make, gradients, dtype)
    assert path.dtype == dtype
    exact = path_of_tensor(make, gradients)
    np.testing.assert_allclose(path, exact, rtol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_state_of_float32_and_float16_parameters_is_float32(kind):
    for dtype in (np.float32, np.float16):
        p = nn.Parameter(np.ones(2, dtype))
        optimizer = kind([p])
        p.grad = np.ones(2, dtype)
        optimizer.step()
        arrays = [x for x in optimizer.state[p].values() if isinstance(x, np.ndarray)]
        assert all(x.dtype == np.float32 for x in arrays)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("momentum", [False, True])
def test_a_large_parameter_takes_the_steps_of_its_parts(kind, momentum):
    options = {"momentum": 0.9} if momentum and kind in (optim.SGD, optim.RMSprop) else {}
    options |= {"amsgrad": True} if momentum and kind is optim.Adam else {}
    rng = np.random.default_rng(0)
    # Of more than a block, and fewer entries than would go to a compiled loop.
    start, gradients = rng.normal(size=(250, 251)), rng.normal(size=(3, 250, 251))
    whole, parts = nn.Parameter(start), [nn.Parameter(row) for row in start]
    optimizers = kind([whole], **options), kind(parts, **options)
    for g in gradients:
        whole.grad = g
        for part, row in zip(parts, g, strict=True):
            part.grad = row
        for optimizer in optimizers:
            optimizer.step()
    np.testing.assert_array_equal(whole.data, [part.data for part in parts])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_changes_the_data_in_place_and_no_gradient(kind):
    for layout in ("C", "F"):
        p = nn.Parameter(0.0)
        p.data = data = np.ones((200, 200), np.float32, order=layout)
        p.grad = np.full((200, 200), 0.5, np.float32)
        kind([p], weight_decay=0.1).step()
        assert p.data is data
        assert (data != 1).all()
        assert (p.grad == 0.5).all()


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_scalar_parameter_learns(kind):
    p, q = nn.Parameter(1.0), nn.Parameter([1.0])
    optimizer = kind([p, q])
    for g in (0.5, -0.2, 0.3):
        p.grad, q.grad = np.array(g, np.float32), np.array([g], np.float32)
        optimizer.step()
    assert p.data == q.data[0] != 1


def quadratic(x):
    return ((x - 1) ** 2 * [1, 10]).sum()


def rosenbrock(x):
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


# A learning rate that suits the quadratic, and one for the narrow valley.
RATES = {
    optim.SGD: (0.05, 1e-3),
    optim.Lion: (0.02, 3e-3),
    optim.Adam: (0.1, 0.02),
    optim.AdamW: (0.1, 0.02),
    optim.Adamax: (0.1, 0.1),
    optim.NAdam: (0.1, 0.02),
    optim.RAdam: (0.1, 5e-3),
    optim.RMSprop: (0.02, 5e-3),
    optim.Adagrad: (0.5, 0.5),
    optim.Adadelta: (20.0, 20.0),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(("f", "steps", "share"), [(quadratic, 300, 1e-2), (rosenbrock, 1000, 0.2)])
def test_every_optimizer_finds_the_way_down(kind, f, steps, share):
    x = nn.Parameter(np.array([-1.2, 1.0]))
    options = {"weight_decay": 0.0} if kind is optim.AdamW else {}
    optimizer = kind([x], lr=RATES[kind][f is rosenbrock], **options)
    start = f(x.data)
    for _ in range(steps):
        optimizer.zero_grad()
        f(x).backward(retain_graph=False)
        optimizer.step()
    assert f(x.data) < share * start
