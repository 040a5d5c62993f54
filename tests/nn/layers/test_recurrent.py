"""RNN, LSTM and GRU against their equations written out in Values, and against one another."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor, Value
from tinygrad_edu.testing import gradcheck

KINDS = ("RNN", "LSTM", "GRU")
REVERSE = "_reverse"


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape)


def made(kind, *sizes, **options):
    return getattr(nn, kind)(*sizes, dtype=np.float64, **options)


def parts_of(result):
    """The output and the last state, as a flat list of arrays."""
    output, state = result
    return [x.data for x in (output, *(state if isinstance(state, tuple) else (state,)))]


def initial(kind, *shape):
    h, c = Tensor(normal(*shape)), Tensor(normal(*shape) / 2)
    return (h, c) if kind == "LSTM" else h


# The equations, on arrays of Values.

values = np.vectorize(Value, otypes=[object])
tanh, sigmoid = (np.vectorize(f, otypes=[object]) for f in (tg.tanh, tg.sigmoid))
gradient = np.vectorize(lambda v: v.grad, otypes=[float])
data = np.vectorize(lambda v: v.data, otypes=[float])


def rnn_step(a, b, h, c):
    return tanh(a + b), c


def lstm_step(a, b, h, c):
    i, f, g, o = np.split(a + b, 4)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def gru_step(a, b, h, c):
    (ar, az, an), (br, bz, bn) = np.split(a, 3), np.split(b, 3)
    z = sigmoid(az + bz)
    return (1 - z) * tanh(an + sigmoid(ar + br) * bn) + z * h, c


@pytest.mark.parametrize(
    ("kind", "step"), [("RNN", rnn_step), ("LSTM", lstm_step), ("GRU", gru_step)]
)
def test_a_layer_and_its_gradients_are_those_of_its_equations_written_out(kind, step):
    layer, steps = made(kind, 3, 2), normal(4, 3)
    x, weights = Tensor(steps, requires_grad=True), normal(4, 2)
    output, _ = layer(x)
    (output * weights).sum().backward()

    xs, (w, u, b, d) = values(steps), [values(p.data) for p in layer.parameters()]
    h = c = np.zeros(2)
    outputs = []
    for row in xs:
        h, c = step(w @ row + b, u @ h + d, h, c)
        outputs.append(h)
    np.sum(np.array(outputs) * weights).backward()

    np.testing.assert_allclose(output.data, data(np.array(outputs)), rtol=0, atol=1e-12)
    np.testing.assert_allclose(x.grad, gradient(xs), rtol=0, atol=1e-12)
    for parameter, written in zip(layer.parameters(), (w, u, b, d), strict=True):
        np.testing.assert_allclose(parameter.grad, gradient(written), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_its_cell_applied_step_by_step(kind, bias):
    layer, x = made(kind, 3, 2, bias=bias), normal(4, 5, 3)
    cell = made(f"{kind}Cell", 3, 2, bias=bias)
    cell.load_state_dict({k.removesuffix("_l0"): p for k, p in layer.named_parameters()})
    state, outputs = None, []
    for row in x:
        state = cell(row, state)
        outputs.append(state[0] if kind == "LSTM" else state)
    np.testing.assert_allclose(layer(x)[0].data, np.array([h.data for h in outputs]), atol=1e-14)


def test_a_relu_rnn_puts_relu_in_the_place_of_tanh():
    layer, x = made("RNN", 3, 2, nonlinearity="relu"), normal(1, 5, 3)
    w, _, b, d = (p.data for p in layer.parameters())
    np.testing.assert_allclose(layer(x)[0].data[0], np.maximum(x[0] @ w.T + b + d, 0), atol=1e-14)
    cell = made("RNNCell", 3, 2, nonlinearity="relu")
    assert (cell(x[0]).data >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_two_directions_are_two_layers_of_which_one_reads_from_the_end(kind):
    both, x = made(kind, 3, 2, bidirectional=True), normal(4, 5, 3)
    forth, back = made(kind, 3, 2), made(kind, 3, 2)
    named = dict(both.named_parameters())
    forth.load_state_dict({k: p for k, p in named.items() if not k.endswith(REVERSE)})
    back.load_state_dict({k.removesuffix(REVERSE): p for k, p in named.items() if REVERSE in k})
    (y, *state), (y_1, *ends_1), (y_2, *ends_2) = map(parts_of, (both(x), forth(x), back(x[::-1])))
    np.testing.assert_allclose(y, np.concatenate([y_1, y_2[::-1]], axis=-1), atol=1e-14)
    for last, first, second in zip(state, ends_1, ends_2, strict=True):
        np.testing.assert_allclose(last, np.concatenate([first, second]), atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_several_layers_are_layers_that_read_the_one_before(kind):
    deep, x = made(kind, 3, 2, num_layers=2), normal(4, 5, 3)
    low, high = made(kind, 3, 2), made(kind, 2, 2)
    for i, layer in enumerate((low, high)):
        state = {k.replace(f"l{i}", "l0"): p for k, p in deep.named_parameters() if f"l{i}" in k}
        layer.load_state_dict(state)
    first = low(x)
    (y, *ends), (_, *ends_1), (y_2, *ends_2) = map(parts_of, (deep(x), first, high(first[0])))
    np.testing.assert_allclose(y, y_2, atol=1e-14)
    for last, one, two in zip(ends, ends_1, ends_2, strict=True):
        np.testing.assert_allclose(last, np.concatenate([one, two]), atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_in_two_halves_with_the_state_handed_on_is_the_sequence(kind):
    layer, x = made(kind, 3, 2, num_layers=2), normal(6, 5, 3)
    start = initial(kind, 2, 5, 2)
    whole, end = parts_of(layer(x, start))[:2]
    first, state = layer(x[:2], start)
    second, state = layer(x[2:], state)
    np.testing.assert_allclose(np.concatenate([first.data, second.data]), whole, atol=1e-14)
    np.testing.assert_allclose(parts_of((second, state))[1], end, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_the_initial_state(kind):
    start = initial(kind, 1, 2, 2)
    for array in start if kind == "LSTM" else (start,):
        array.requires_grad = True
    layer = made(kind, 3, 2)
    gradcheck(lambda _: layer(normal(3, 2, 3), start), start)


@pytest.mark.parametrize("kind", KINDS)
def test_batch_first_and_no_batch_change_where_the_axes_are_and_nothing_else(kind):
    layer, other = made(kind, 3, 2, num_layers=2), made(kind, 3, 2, num_layers=2, batch_first=True)
    other.load_state_dict(layer.state_dict())
    x, start = normal(4, 5, 3), initial(kind, 2, 5, 2)
    y, *ends = parts_of(layer(x, start))
    z, *others = parts_of(other(x.swapaxes(0, 1), start))
    np.testing.assert_array_equal(y, z.swapaxes(0, 1))
    np.testing.assert_array_equal(ends, others)
    one = tuple(s[:, 1] for s in start) if kind == "LSTM" else start[:, 1]
    for batch, single in zip([y, *ends], parts_of(layer(x[:, 1], one)), strict=True):
        np.testing.assert_allclose(single, batch[:, 1], atol=1e-14)


def test_dropout_acts_on_the_outputs_of_all_layers_but_the_last_in_training():
    layer, x = made("GRU", 3, 2, num_layers=2, dropout=1.0), normal(4, 5, 3)
    high = made("GRU", 2, 2)
    high.load_state_dict({k[:-1] + "0": p for k, p in layer.named_parameters() if "l1" in k})
    np.testing.assert_array_equal(layer(x)[0].data, high(np.zeros((4, 5, 2)))[0].data)
    assert not np.array_equal(layer.eval()(x)[0].data, high(np.zeros((4, 5, 2)))[0].data)


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("LSTM", 4), ("GRU", 3)])
def test_parameters_have_pytorchs_names_and_shapes_and_pytorchs_scale(kind, gates):
    layer = getattr(nn, kind)(5, 4, num_layers=2, bidirectional=True)
    assert layer.weight_ih_l0.shape == (gates * 4, 5)
    assert layer.weight_ih_l1_reverse.shape == (gates * 4, 2 * 4)
    assert layer.weight_hh_l1.shape == (gates * 4, 4)
    assert layer.bias_hh_l0_reverse.shape == (gates * 4,)
    assert len(layer.parameters()) == 2 * 2 * 4
    wide = getattr(nn, kind)(5, 100, rng=np.random.default_rng(0)).weight_hh_l0.data
    assert np.abs(wide).max() <= 1 / 10
    assert wide.var() == pytest.approx(0.1**2 / 3, rel=0.05)  # of a uniform distribution


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_built_says_what_can(kind):
    layer = getattr(nn, kind)
    with pytest.raises(nn.ConfigurationError, match=f"{kind}'s hidden_size must be a positive"):
        layer(3, 0)
    with pytest.raises(nn.ConfigurationError, match="probability"):
        layer(3, 2, num_layers=2, dropout=1.5)
    with pytest.raises(nn.ConfigurationError, match="between layers, and there is one"):
        layer(3, 2, dropout=0.5)


@pytest.mark.parametrize("kind", ["RNN", "RNNCell"])
def test_an_unknown_nonlinearity_is_answered_with_the_nearest(kind):
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'tanh'"):
        getattr(nn, kind)(3, 2, nonlinearity="tahn")


@pytest.mark.parametrize("kind", KINDS)
def test_inputs_that_do_not_fit_are_refused_by_the_layers_path(kind):
    model = nn.ModuleDict({"encoder": getattr(nn, kind)(3, 2)})
    model.forward = lambda *inputs: model["encoder"](*inputs)
    with pytest.raises(
        tg.ShapeError, match=r"in encoder takes \(L, N, 3\).* not shape \(4, 5, 7\)"
    ):
        model(normal(4, 5, 7))
    with pytest.raises(tg.ShapeError, match="in encoder takes a sequence of one step or more"):
        model(np.zeros((0, 5, 3)))
    with pytest.raises(tg.ShapeError, match=r"in encoder takes h_0.* of shape \(1, 5, 2\)"):
        model(normal(4, 5, 3), initial(kind, 2, 5, 2))


def test_an_lstm_and_its_cell_want_two_states():
    with pytest.raises(tg.ShapeError, match="h_0 and c_0 of shape"):
        nn.LSTM(3, 2)(normal(4, 5, 3), normal(1, 5, 2))
    with pytest.raises(tg.ShapeError, match="h and c of shape"):
        nn.LSTMCell(3, 2)(normal(5, 3), (normal(5, 2),))
    with pytest.raises(tg.ShapeError, match=r"takes one step, \(N, 3\)"):
        nn.LSTMCell(3, 2)(normal(4, 5, 3))
