"""isolate: the right module, wherever it is nested; the smallest stack; a script that shows it."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn.testing import isolate, modules

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


def linear(n_in=3, n_out=3):
    return nn.Linear(n_in, n_out, rng=np.random.default_rng(n_in * 10 + n_out))


class Detached(nn.Module):
    def forward(self, x):
        return x * x.detach()


class Logarithm(nn.Module):
    def forward(self, x):
        return tg.log(x - 100)


class Unregistered(nn.Module):
    def __init__(self):
        self.parts = {"w": nn.Parameter(np.ones(3, np.float32))}

    def forward(self, x):
        return x * self.parts["w"]


class Unused(nn.Module):
    def __init__(self):
        self.w = nn.Parameter(np.ones(3, np.float32))

    def forward(self, x):
        return x * 2


class Dead(nn.Module):
    def forward(self, x):
        return tg.relu(x - 100)


class Saturated(nn.Module):
    def forward(self, x):
        return tg.tanh(100 * x + 100)


class Huge(nn.Module):
    def forward(self, x):
        return 1e6 * (x + 1)


FAULTS = {
    Detached: "wrong gradient",
    Logarithm: "nan",
    Unregistered: "registration",
    Unused: "use of parameters",
    Dead: "dead units",
    Saturated: "saturated units",
    Huge: "exploding activations",
}


@st.composite
def models_with_a_fault(draw):
    """A model of nested Sequentials, the path of the faulty module in it, and its kind."""
    fault = draw(st.sampled_from(list(FAULTS)))
    model, path = fault(), []
    for _ in range(draw(st.integers(1, 3))):
        before = draw(st.lists(st.sampled_from([linear, nn.Tanh, nn.Identity]), max_size=2))
        after = draw(st.lists(st.sampled_from([linear, nn.Tanh, nn.Dropout]), max_size=2))
        path.insert(0, str(len(before)))
        model = nn.Sequential(*(kind() for kind in before), model, *(kind() for kind in after))
    return model, ".".join(path), FAULTS[fault]


@given(models_with_a_fault())
def test_a_fault_at_any_depth_is_found_and_the_stack_shows_it(case):
    model, path, kind = case
    diagnosis = isolate(model, X)
    assert (diagnosis.path, diagnosis.kind) == (path, kind)
    again = isolate(diagnosis.stack, *diagnosis.finding.inputs)
    assert (again.path, again.kind) == ("0", kind)


@given(modules((6, 3), max_depth=3), st.integers(0, 1000))
def test_nothing_in_a_right_model_is_called_an_error(model, seed):
    x = np.random.default_rng(seed).normal(size=(6, 3)).astype(np.float32)
    signs = {"dead units", "saturated units", "vanishing gradients", "exploding gradients"}
    assert {finding.kind for finding in isolate(model, x).findings} <= signs


def test_the_first_error_comes_before_signs_and_later_errors():
    model = nn.Sequential(Dead(), linear(), Detached(), linear(), Unused())
    findings = isolate(model, X).findings
    assert [(f.path, f.kind) for f in findings[:3]] == [
        ("2", "wrong gradient"),
        ("4", "use of parameters"),
        ("0", "dead units"),
    ]


def test_what_comes_after_a_nan_is_not_blamed():
    model = nn.Sequential(linear(), nn.Sequential(nn.Tanh(), Logarithm()), linear(), Detached())
    diagnosis = isolate(model, X)
    assert [(f.path, f.kind) for f in diagnosis.findings] == [("1.1", "nan")]
    assert "24 nan among 24 entries" in diagnosis.finding.evidence
    assert "test_isolate.py" in diagnosis.finding.evidence  # the line of source


def test_a_gradient_that_overflows_on_its_way_back_is_placed():
    class Root(nn.Module):
        def forward(self, x):
            return tg.sqrt(x)

    diagnosis = isolate(nn.Sequential(linear(), nn.ReLU(), Root(), linear()), X)
    assert (diagnosis.path, diagnosis.kind) == ("2", "inf gradient")
    assert "the backward of sqrt" in diagnosis.finding.evidence


def test_a_vanishing_gradient_is_shown_by_the_fewest_modules_in_a_row():
    parts = [part for _ in range(9) for part in (linear(), nn.Sigmoid())]
    finding = isolate(nn.Sequential(linear(), *parts), X).finding
    assert finding.kind == "vanishing gradients"
    length = int(finding.last) - int(finding.path) + 1
    assert len(finding.stack) == length < 18
    g = finding.gradient
    again = isolate(finding.stack, *finding.inputs, loss=lambda y: (y * g).sum())
    assert (again.path, again.finding.last) == ("0", str(length - 1))


def test_a_module_that_puts_right_parts_together_wrongly_is_named_itself():
    class Residual(nn.Module):
        def __init__(self):
            self.inner = linear()

        def forward(self, x):
            return x.detach() + self.inner(x)

    diagnosis = isolate(nn.Sequential(linear(), Residual(), linear()), X)
    assert (diagnosis.path, diagnosis.kind) == ("1", "wrong gradient")
    assert [row.path for row in diagnosis.rows] == ["0", "1.inner", "1", "2", ""]


def test_a_model_that_is_no_sequential_is_walked_in_the_order_it_runs():
    class Net(nn.Module):
        def __init__(self):
            self.last, self.first = linear(), linear()
            self.wrong = Detached()

        def forward(self, x):
            return self.last(self.wrong(self.first(x)))

    diagnosis = isolate(Net(), X)
    assert [row.path for row in diagnosis.rows] == ["first", "wrong", "last", ""]
    assert diagnosis.path == "wrong"


def test_modules_may_take_several_inputs():
    class Sum(nn.Module):
        def forward(self, x, y):
            return x + y.detach()

    diagnosis = isolate(Sum(), (X, X))
    assert (diagnosis.path, diagnosis.kind) == ("", "wrong gradient")
    assert isolate(diagnosis.stack, diagnosis.finding.inputs).kind == "wrong gradient"


def test_the_loss_and_the_input_can_be_at_fault():
    model = nn.Sequential(linear())
    wrong = isolate(model, X, X, lambda y, target: ((y.detach() - target) * y).sum())
    assert (wrong.path, wrong.kind) == ("(loss)", "wrong gradient")
    assert isolate(model, X, loss=lambda y: tg.log(y - 100).sum()).kind == "nan"
    assert isolate(model, X * np.nan).path == "(input)"
    assert isolate(model, X, X, lambda y, target: ((y - target) ** 2).mean()).path is None


def test_the_default_loss_fits_the_target():
    model = nn.Sequential(linear())
    labels = np.zeros(8, np.int64)
    assert isolate(model, X, labels).loss == pytest.approx(
        tg.cross_entropy(model(X), labels).item()
    )
    assert isolate(model, X, X).loss == pytest.approx(float(((model(X).data - X) ** 2).mean()))


def test_thresholds_can_be_set():
    model = nn.Sequential(linear(), nn.Tanh(), linear())
    assert isolate(model, X).findings == ()
    assert isolate(model, X, saturated=0.0).kind == "saturated units"
    assert isolate(model, X, dead=0.0).kind == "dead units"
    assert isolate(model, X, vanishing=1.0).kind == "vanishing gradients"
    assert isolate(model, X, exploding=0.1).kind == "exploding activations"


def test_the_model_is_left_as_it_is():
    model = nn.Sequential(linear(), nn.Dropout(0.5), Detached())
    state = model.state_dict()
    isolate(model, X)
    assert all("forward" not in vars(module) for _, module in model.named_modules())
    assert [p.grad for p in model.parameters()] == [None, None]
    assert all(module.training for _, module in model.named_modules())
    for name, data in model.state_dict().items():
        np.testing.assert_array_equal(data, state[name])


def test_a_network_of_values_is_walked_neuron_by_neuron():
    diagnosis = isolate(nn.MLP(2, [2, 1]), [0.3, -0.2])
    assert [row.path for row in diagnosis.rows][:3] == [
        "layers.0.neurons.0",
        "layers.0.neurons.1",
        "layers.0",
    ]
    assert diagnosis.findings == ()


def test_the_table_has_a_row_for_every_call_and_names_the_fault():
    model = nn.Sequential(linear(), nn.Sequential(nn.ReLU(), Detached()))
    text = str(isolate(model, X))
    rows = {line.split()[0]: line for line in text.splitlines()[3:8] if line.strip()}
    assert {"0", "1.0", "1.1", "1", "Sequential"} <= set(rows)
    assert rows["1.1"].endswith("wrong gradient")
    assert "First fault: 1.1: wrong gradient" in text
    assert isolate(model, X)._repr_html_().startswith('<pre style="font-family: monospace">')


def test_the_script_shows_the_fault_alone(tmp_path):
    (tmp_path / "layers.py").write_text(
        "import nn\n\nclass Detached(nn.Module):\n"
        "    def forward(self, x):\n        return x * x.detach()\n\n"
        "def model():\n    return nn.Sequential(nn.Linear(3, 3), nn.Sequential(Detached()))\n"
    )
    diagnose = (
        "import layers, numpy as np, nn.testing\n"
        "print(nn.testing.isolate(layers.model(), np.eye(3, dtype=np.float32)).script)"
    )
    for command in (["-c", diagnose], ["script.py"]):
        run = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        (tmp_path / "script.py").write_text(run.stdout)
    assert "First fault: 0: wrong gradient. Detached" in run.stdout


def test_there_is_no_script_of_what_cannot_be_imported():
    class Local(nn.Module):
        def forward(self, x):
            return x.detach() * x

    with pytest.raises(nn.ConfigurationError, match="define its class at the top of a module"):
        _ = isolate(Local(), X).script
    assert isolate(nn.Sequential(linear()), X).script is None
