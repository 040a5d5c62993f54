"""Faulty modules, one mistake each: every one is caught, and the same module without it passes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.testing import check_module, isolate
from tinygrad_edu import GradientMismatchError, Tensor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 3)).astype(np.float32)


def ones(*shape):
    return nn.Parameter(np.linspace(0.5, 1.5, int(np.prod(shape))).reshape(shape).astype("f4"))


class Part(nn.Module):
    """x * weight + bias, and what the mutants make of it."""

    def __init__(self, right=False):
        self.right = right
        self.weight, self.bias = ones(3), ones(3)
        self.set_up()

    def set_up(self):
        pass

    def forward(self, x):
        return (x * self.weight + self.bias).tanh() if self.right else self.wrong(x)


class DetachedBranch(Part):
    def wrong(self, x):
        return x * self.weight + self.bias + (x * x).detach()


class ForgottenBiasGradient(Part):
    def wrong(self, x):
        return x * self.weight + self.bias.data


class DataOfInput(Part):
    def wrong(self, x):
        return Tensor(x.data**2) * self.weight + self.bias


class NeverUsed(Part):
    def wrong(self, x):
        return x * self.weight


class CutBySign(Part):
    def wrong(self, x):
        return x * self.weight + tg.sign(self.bias)


class WrongScale(Part):
    def set_up(self):
        self.double = tg.elementwise(
            "double", "2", lambda x: 2 * x, lambda x: 2 * x, lambda g, y, x: g
        )

    def wrong(self, x):
        return self.double(x * self.weight) + self.bias


class WrongSign(Part):
    def set_up(self):
        self.minus = tg.elementwise("minus", "-", lambda x: -x, lambda x: -x, lambda g, y, x: g)

    def wrong(self, x):
        return self.minus(x * self.weight) + self.bias


class InListOfDicts(Part):
    def set_up(self):
        self.blocks = [{"scale": ones(3)}] if not self.right else [ones(3)]

    def forward(self, x):
        scale = self.blocks[0] if self.right else self.blocks[0]["scale"]
        return x * scale * self.weight + self.bias


class ClassLevelParameter(Part):
    shared = ones(3)

    def set_up(self):
        if self.right:
            self.shared = ones(3)

    def forward(self, x):
        return x * self.shared * self.weight + self.bias


class DropoutInADict(Part):
    def set_up(self):
        self.dropout = nn.Dropout(0.5) if self.right else {"p": nn.Dropout(0.5)}

    def forward(self, x):
        dropout = self.dropout if self.right else self.dropout["p"]
        return dropout(x * self.weight + self.bias)


class DropsInEval(Part):
    def forward(self, x):
        if self.training or not self.right:
            x = x * (nn.random.generator().random(x.shape) > 0.5).astype(x.dtype) * 2
        return x * self.weight + self.bias


class DropsWithoutRescaling(Part):
    def forward(self, x):
        if self.training:
            kept = (nn.random.generator().random(x.shape) > 0.5).astype(x.dtype)
            x = x * kept * (2 if self.right else 1)
        return x * self.weight + self.bias


class OneMaskForEver(Part):
    mask = None

    def forward(self, x):
        if self.training:
            if self.mask is None or self.right:
                self.mask = (nn.random.generator().random(x.shape) > 0.5).astype(x.dtype) * 2
            x = x * self.mask
        return x * self.weight + self.bias


class Statistics(Part):
    """Centres by a running mean; the base of the mutants of that."""

    in_state_dict = True

    def set_up(self):
        self.mean: Any = np.zeros(3, np.float32)
        if self.in_state_dict or self.right:
            self.mean = nn.Parameter(self.mean, requires_grad=False)

    def update(self, mean):
        if isinstance(self.mean, Tensor):
            self.mean.data = (0.9 * self.mean.data + 0.1 * mean.data).astype(self.mean.data.dtype)
        else:
            self.mean = (0.9 * self.mean + 0.1 * mean.data).astype(self.mean.dtype)

    def forward(self, x):
        mean = x.mean(axis=0)
        if self.training or (not self.right and self.always_updates):
            self.update(mean)
        uses_batch = self.training or (not self.right and self.always_of_the_batch)
        return (x - (mean if uses_batch else self.mean)) * self.weight + self.bias

    always_updates = always_of_the_batch = False


class UpdatedInEval(Statistics):
    always_updates = True


class UpdatedInEvalUnregistered(Statistics):
    always_updates, in_state_dict = True, False


class BatchStatisticsInEval(Statistics):
    always_of_the_batch = True


class NotInTheStateDict(Statistics):
    in_state_dict = False


class StaleResult(Part):
    cache = None

    def wrong(self, x):
        if self.cache is None:
            self.cache = (x.data * 0.5).astype(x.dtype)
        return x * self.weight + self.bias + self.cache


class StaleWeight(Part):
    squared = None

    def wrong(self, x):
        if self.squared is None:
            self.squared = self.weight.data**2
        return x * self.squared + x * self.weight + self.bias


class TiedByCopy(Part):
    def set_up(self):
        self.tied = self.weight.data.copy()

    def wrong(self, x):
        return (x * self.weight + self.bias) * self.tied


class SharedByInstances(Part):
    seen = np.zeros(1)

    def wrong(self, x):
        if self.training:
            SharedByInstances.seen += np.abs(x.data).sum()
            return x * self.weight + self.bias
        return x * self.weight + self.bias + self.seen


class StateDictForgets(Part):
    def state_dict(self):
        state = super().state_dict()
        return state if self.right else {**state, "bias": np.zeros(3, np.float32)}

    def wrong(self, x):
        return x * self.weight + self.bias


class Float32Leak(Part):
    def wrong(self, x):
        return (x * self.weight + self.bias).astype(np.float32)


class Float32Inside(Part):
    def wrong(self, x):
        return (x * self.weight).astype(np.float32).astype(x.dtype) + self.bias


class Float64Leak(Part):
    def wrong(self, x):
        return x * self.weight + self.bias + np.full(3, 0.1)


class CounterInEval(Part):
    calls = 0

    def wrong(self, x):
        self.calls += 1
        return x * self.weight * self.calls + self.bias


class OpenFile:
    def __deepcopy__(self, memo):
        return self

    def __reduce__(self):
        raise TypeError("a file is open")


class CannotBePickled(Part):
    def set_up(self):
        self.file = None if self.right else OpenFile()

    def wrong(self, x):
        return x * self.weight + self.bias


class LogOfNegatives(Part):
    def wrong(self, x):
        return tg.log(x * self.weight) + self.bias


class OverflowingExp(Part):
    def wrong(self, x):
        return tg.exp(1000 * x * self.weight) + self.bias


class RootAtZero(Part):
    def forward(self, x):
        return tg.sqrt(x * self.weight + (1.0 if self.right else 0.0)) + self.bias


LAWS = {
    DetachedBranch: "gradient",
    ForgottenBiasGradient: "gradient",
    DataOfInput: "gradient",
    NeverUsed: "use of parameters",
    CutBySign: "use of parameters",
    WrongScale: "gradient",
    WrongSign: "gradient",
    InListOfDicts: "registration",
    ClassLevelParameter: "registration",
    DropoutInADict: "registration",
    DropsInEval: "determinism",
    DropsWithoutRescaling: "expectation",
    OneMaskForEver: "complete state",
    UpdatedInEval: "use without traces",
    UpdatedInEvalUnregistered: "use without traces",
    BatchStatisticsInEval: "separate samples",
    NotInTheStateDict: "complete state",
    StaleResult: "use without traces",
    StaleWeight: "complete state",
    TiedByCopy: "tied parameters",
    SharedByInstances: "separate instances",
    StateDictForgets: "the state dict",
    Float32Leak: "dtype",
    Float32Inside: "gradient",
    Float64Leak: "dtype",
    CounterInEval: "use without traces",
    CannotBePickled: "pickling",
    LogOfNegatives: "finite results",
    OverflowingExp: "finite results",
}


def law_broken(module):
    """The law that check_module names, or None."""
    try:
        check_module(module, X.astype(np.float64))
    except GradientMismatchError:
        return "gradient"
    except nn.ModuleLawError as error:
        return error.law
    return None


@dataclass
class Sick:
    """A model whose fault only shows in its activations and gradients."""

    parts: list
    path: str
    kind: str


def linear(n_in, n_out, scale=1.0, bias=0.0):
    layer = nn.Linear(n_in, n_out, rng=np.random.default_rng(n_in * 10 + n_out))
    layer.weight.data *= np.float32(scale)
    layer.bias.data += np.float32(bias)
    return layer


SICK = {
    "a relu that a bias of -100 has killed": Sick(
        [linear(3, 5, bias=-100), nn.ReLU(), linear(5, 2)], "1", "dead units"
    ),
    "initial weights that make activations explode": Sick(
        [linear(3, 5), nn.ReLU(), linear(5, 4, 1e5), nn.ReLU(), linear(4, 2)],
        "2",
        "exploding activations",
    ),
    "a tanh that is saturated": Sick(
        [linear(3, 5, 100), nn.Tanh(), linear(5, 2)], "1", "saturated units"
    ),
    "a sigmoid that is saturated": Sick(
        [linear(3, 5, bias=50), nn.Sigmoid(), linear(5, 2)], "1", "saturated units"
    ),
    # Each sigmoid passes a quarter of the gradient on, at most: 0.05 * 0.25 * 0.05 < 1e-3.
    "sigmoids between small weights, in which the gradient vanishes": Sick(
        [
            *(linear(3, 3), nn.Tanh(), nn.Sigmoid(), linear(3, 3, 0.05), nn.Sigmoid()),
            *(linear(3, 3, 0.05), nn.Sigmoid(), linear(3, 2)),
        ],
        "3",
        "vanishing gradients",
    ),
    "a square root at zero": Sick(
        [linear(3, 3), nn.ReLU(), RootAtZero(), linear(3, 2)], "2", "nan gradient"
    ),
    "an overflowing exp": Sick([linear(3, 3), OverflowingExp()], "1", "inf"),
    "a parameter that is nan": Sick([linear(3, 3), linear(3, 3, np.nan)], "1", "nan"),
}


@pytest.mark.parametrize("mutant", LAWS, ids=lambda mutant: mutant.__name__)
def test_the_module_without_the_fault_passes(mutant):
    check_module(mutant(right=True), X.astype(np.float64))


def test_every_mutant_is_caught_by_the_law_it_breaks(capsys):
    found = {mutant.__name__: law_broken(mutant()) for mutant in LAWS}
    assert found == {mutant.__name__: law for mutant, law in LAWS.items()}
    sick = {name: isolate(nn.Sequential(*model.parts), X) for name, model in SICK.items()}
    where = {name: (diagnosis.path, diagnosis.kind) for name, diagnosis in sick.items()}
    assert where == {name: (model.path, model.kind) for name, model in SICK.items()}
    with capsys.disabled():
        n = len(LAWS) + len(SICK)
        print(f"\n{n} of {n} module mutants caught")


# Whether samples may meet is not for a part of a model to say.
@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in LAWS if mutant is not BatchStatisticsInEval],
    ids=lambda mutant: mutant.__name__,
)
def test_a_mutant_is_isolated_in_a_model(mutant):
    model = nn.Sequential(linear(3, 3), nn.Sequential(nn.Tanh(), mutant()), linear(3, 2))
    assert isolate(model, X).path == "1.1"


def test_nothing_is_found_in_models_of_the_same_parts_without_a_fault():
    for mutant in LAWS:
        model = nn.Sequential(nn.Sequential(mutant(right=True)))
        assert isolate(model, X).findings == ()
    root = nn.Sequential(linear(3, 3), nn.ReLU(), RootAtZero(right=True), linear(3, 2))
    assert isolate(root, X).findings == ()
