"""check_module: what it takes, what it leaves alone, and what it says of what it finds."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.testing import check_module
from tinygrad_edu import GradientMismatchError, Tensor, Value

X = np.random.default_rng(0).normal(size=(4, 3))


class Bilinear(nn.Module):
    """Two inputs, of which one may be of indices, and two results."""

    def __init__(self):
        self.table = nn.Parameter(np.random.default_rng(0).normal(size=(5, 3)))

    def forward(self, x, rows):
        chosen = self.table[rows]
        return {"product": x * chosen, "both": [x + chosen]}


class BatchNorm(nn.Module):
    """With its statistics in the state dict."""

    def __init__(self, features):
        self.mean = nn.Parameter(np.zeros(features, np.float32), requires_grad=False)
        self.scale = nn.Parameter(np.ones(features, np.float32))

    def forward(self, x):
        if not self.training:
            return (x - self.mean) * self.scale
        mean = x.mean(axis=0)
        self.mean.data = 0.9 * self.mean.data + 0.1 * mean.data.astype(self.mean.data.dtype)
        return (x - mean) * self.scale


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(3, 2),
        nn.Dropout(0.3),
        nn.Dropout(0.3, rng=np.random.default_rng(1)),
        nn.Flatten(),
        nn.zoo.feedforward([3, 4, 2], dropout=0.5),
        nn.Linear(3, 2, dtype=np.float64),
        BatchNorm(3),
        nn.Sequential(nn.Linear(3, 2), BatchNorm(2), nn.ReLU()),
    ],
)
def test_a_right_layer_passes(layer):
    report = check_module(layer, X, order=2)
    assert report.compared > 0
    assert len(report.laws) == 15


def test_a_network_of_values_passes():
    assert check_module(nn.MLP(2, [2, 1]), [0.3, -0.2]).compared == 9 + 2  # parameters and inputs


def test_inputs_may_be_several_and_indices_and_results_nested():
    assert check_module(Bilinear(), X, np.array([0, 4, 4, 1])).parameters == 15


def test_the_module_and_the_random_numbers_of_the_program_are_left_alone():
    model = nn.zoo.feedforward([3, 4, 2], dropout=0.5, rng=np.random.default_rng(0))
    model.eval()
    before = {**model.state_dict(), "label": model.linear1.weight.label}
    nn.manual_seed(3)
    np.random.seed(3)
    drawn = nn.random.generator().random(), np.random.random(), model.dropout1.rng.random()
    nn.manual_seed(3)
    np.random.seed(3)
    model.dropout1.rng = np.random.default_rng(0)
    for _ in range(4 * 3 + 2 * 4):  # the initial weights
        model.dropout1.rng.normal()
    check_module(model, X)
    after = nn.random.generator().random(), np.random.random(), model.dropout1.rng.random()
    assert drawn == after
    assert not any(module.training for _, module in model.named_modules())
    for name, data in {**model.state_dict(), "label": model.linear1.weight.label}.items():
        np.testing.assert_array_equal(data, before[name])


def test_a_wrong_gradient_is_shown_with_the_path_of_the_parameter_and_the_mode():
    class Shifted(nn.Module):
        def __init__(self):
            self.bias = nn.Parameter(np.zeros(3, np.float32))

        def forward(self, x):
            return x + (self.bias if self.training else self.bias.detach())

    message = r"(?s)Sequential in eval mode: .* 1\.bias +\(0,\) +0 +"
    with pytest.raises(GradientMismatchError, match=message):
        check_module(nn.Sequential(nn.Tanh(), Shifted()), X)


def test_a_wrong_op_in_a_module_can_be_drawn():
    wrong = tg.elementwise("wrong", "w", lambda x: x**3, lambda x: x**3, lambda g, y, x: g * x * x)

    class Cube(nn.Module):
        def forward(self, x):
            return wrong(x)

    with pytest.raises(
        GradientMismatchError, match="first op whose own rule disagrees is wrong"
    ) as e:
        check_module(nn.Sequential(nn.Linear(3, 3), Cube()), X)
    assert [x.op and x.op.name for x in e.value.graph.inputs] == ["wrong"]


def test_a_wrong_second_derivative_is_found_at_order_2():
    careless = tg.elementwise(
        "careless", "c", np.sin, np.sin, lambda g, y, x: g * np.cos(getattr(x, "data", x))
    )

    class Sine(nn.Module):
        def forward(self, x):
            return careless(x)

    check_module(Sine(), X)
    with pytest.raises(GradientMismatchError, match="second derivative"):
        check_module(Sine(), X, order=2)


def test_samples_may_be_allowed_to_meet():
    class Centred(nn.Module):
        def forward(self, x):
            return x - x.mean(axis=0)

    with pytest.raises(nn.ModuleLawError, match=r"separate samples: .* pass batch_axis=None"):
        check_module(Centred(), X)
    check_module(Centred(), X, batch_axis=None)
    check_module(Centred(), X, batch_axis=1)


def test_the_law_and_the_path_are_told():
    class Table(nn.Module):
        def __init__(self):
            self.rows = [{"w": nn.Parameter(np.ones(3, np.float32))}]

        def forward(self, x):
            return x * self.rows[0]["w"]

    with pytest.raises(nn.ModuleLawError, match=r"used in 1, but parameters\(\)") as caught:
        check_module(nn.Sequential(nn.Tanh(), Table()), X)
    assert (caught.value.law, caught.value.path) == ("registration", "1.rows.0.w")


def test_a_module_that_keeps_a_result_cannot_be_copied():
    class Keeps(nn.Module):
        def forward(self, x):
            self.last = x * 2
            return self.last

    with pytest.raises(nn.ModuleLawError, match=r"copying: .* keep y\.detach\(\)"):
        check_module(Keeps(), X)


def test_what_is_no_module_is_refused():
    with pytest.raises(tg.OperandError, match=r"not the class Linear: call the class"):
        check_module(nn.Linear, X)
    with pytest.raises(tg.OperandError, match="Functions are for gradcheck"):
        check_module(tg.relu, X)


def test_a_module_without_anything_to_differentiate_passes():
    class Rows(nn.Module):
        def forward(self, rows):
            return Tensor(np.eye(3))[rows]

    assert check_module(Rows(), np.array([0, 2])).compared == 0


def test_a_result_that_is_no_node_is_named():
    class Plain(nn.Module):
        def forward(self, x):
            return x.data

    with pytest.raises(tg.OperandError, match="Plain must return a Value or a Tensor, not ndarray"):
        check_module(Plain(), X)


def test_values_are_given_to_networks_of_values_only():
    class Scaled(nn.Module):
        def __init__(self, parameter):
            self.w = parameter

        def forward(self, x, by):
            self.kind = type(by)
            return x * self.w * by

    check_module(Scaled(nn.Parameter([2.0])), X, 3.0)
    assert check_module(Scaled(Value(2.0)), 0.5, 3.0).compared == 3
