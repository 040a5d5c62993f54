"""What a model is worth, against NumPy."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.training import evaluate, predict


def cross_entropies(logits, targets):
    logits = logits.astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    return -log_p[np.arange(len(logits)), targets]


def model():
    return nn.zoo.feedforward([2, 6, 2], activation="tanh", dropout=0.5)


@pytest.mark.parametrize("batch_size", [1, 7, 40, 100])
def test_the_loss_is_the_mean_over_the_samples_however_uneven_the_batches(batch_size):
    data, net = nn.data.xor(40), model()
    found = evaluate(net, nn.data.DataLoader(data, batch_size))
    logits = net.eval()(data.inputs).data
    assert found["loss"] == pytest.approx(cross_entropies(logits, data.targets).mean(), rel=1e-5)
    assert found["accuracy"] == pytest.approx((logits.argmax(1) == data.targets).mean())


def test_evaluate_leaves_every_mode_every_gradient_and_the_random_numbers_as_they_were():
    net = model()
    net[1].eval()
    modes = [m.training for m in net.modules()]
    drawn = nn.random.state_dict(net)
    evaluate(net, nn.data.xor(40))
    assert [m.training for m in net.modules()] == modes
    assert all(p.grad is None for p in net.parameters())
    assert nn.random.state_dict(net) == drawn


def test_there_is_no_accuracy_of_numbers():
    data = nn.data.TensorDataset(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))
    found = evaluate(nn.Linear(2, 1), data, lambda out, y: ((out - y) ** 2).mean())
    assert list(found) == ["loss"]


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_predictions_are_the_outputs_whatever_the_batch(batch_size):
    net, x = model().eval(), nn.data.xor(10).inputs
    np.testing.assert_allclose(predict(net, x, batch_size=batch_size), net(x).data, rtol=1e-5)
    np.testing.assert_array_equal(predict(net, tg.Tensor(x)), predict(net, x))
    assert predict(net, x[:0]).shape == (0, 2)


@pytest.mark.parametrize("shapes", [[], [()], [(3, 2), (4, 2)]])
def test_inputs_that_are_not_of_one_length_are_refused(shapes):
    with pytest.raises(tg.ShapeError, match="predict takes inputs with an entry per sample"):
        predict(nn.Bilinear(2, 2, 1), *map(np.ones, shapes))


@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True])
def test_a_batch_size_that_is_none_is_refused(batch_size):
    with pytest.raises(nn.ConfigurationError, match="batch_size"):
        predict(model(), np.ones((3, 2), np.float32), batch_size=batch_size)


@pytest.mark.parametrize(
    ("loss", "what"),
    [
        (lambda out, y: out, r"a Tensor of shape \(40, 2\)"),
        (lambda out, y: tg.cross_entropy(out, y, reduction="none"), r"a Tensor of shape \(40,\)"),
        (lambda out, y: 0.5, "a float"),
        (lambda out, y: None, "a NoneType"),
    ],
)
def test_a_loss_that_is_no_scalar_is_refused(loss, what):
    net = model()
    before = net.state_dict()
    trainer = nn.training.Trainer(net, nn.optim.SGD(net.parameters()), loss)
    data = nn.data.DataLoader(nn.data.xor(40), 40)
    for run in (lambda: evaluate(net, data, loss), lambda: trainer.fit(data)):
        with pytest.raises(nn.ConfigurationError, match=f"mean of the batch, .* not a{what[1:]}"):
            run()
    for name, x in net.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
