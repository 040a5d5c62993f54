"""tinygrad-edu."""

from typing import Any

import numpy as np

import nn
import tinygrad_edu as tg
from tests.benchmarks.contenders import Task
from tests.benchmarks.contenders.scalars import moons_with, wide_graph_with
from tinygrad_edu import Tensor, Value
from tinygrad_edu.ops.loops import WORTH_LOADING

# So that the compiler of the extra fast, which is loaded when it is first needed, is there before
# memory is measured, as all of a library is.
tg.gelu(np.zeros(WORTH_LOADING, np.float32))


def moons(data: dict[str, Any]) -> Task:
    model = nn.MLP(2, [16, 16, 1], "relu", fused=data["fused"])
    return moons_with(Value, model, data, "weights", "bias")


def wide_graph(data: dict[str, Any]) -> Task:
    return wide_graph_with(Value, data)


def chain(data: dict[str, Any]) -> Task:
    w, b = Tensor(data["w"], requires_grad=True), Tensor(data["b"], requires_grad=True)

    def step() -> Tensor:
        x = Tensor(data["x"], requires_grad=True)
        y = x
        for _ in range(data["times"]):
            y = tg.tanh(y * w + b)
        y.sum().backward(retain_graph=False)
        return x

    return Task(step, lambda: {"x": step().grad})


def _loaded(model: nn.Module, data: dict[str, Any]) -> nn.Module:
    model.load_state_dict(data["parameters"], strict=False)
    return model


def _gradients(model: nn.Module) -> dict[str, Any]:
    return {name: p.grad for name, p in model.named_parameters()}


def _classifier(model: nn.Module, data: dict[str, Any]) -> Task:
    optimizer = nn.optim.SGD(_loaded(model, data).parameters(), lr=1e-3)
    x, targets = Tensor(data["x"]), data["targets"]

    def backward() -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), targets)
        loss.backward(retain_graph=False)
        return loss

    def step() -> None:
        backward()
        optimizer.step()

    return Task(step, lambda: {"loss": backward().data, **_gradients(model)})


def mlp(data: dict[str, Any]) -> Task:
    layers: list[nn.Module] = []
    for a, b in zip(data["sizes"], data["sizes"][1:], strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return _classifier(nn.Sequential(*layers[:-1]), data)


def lenet(data: dict[str, Any]) -> Task:
    return _classifier(nn.zoo.LeNet5(), data)


def _given_gradient(model: Any, data: dict[str, Any]) -> Task:
    _loaded(model, data)

    def backward() -> Tensor:
        model.zero_grad()
        x = Tensor(data["x"], requires_grad=True)
        model(x).backward(data["g"], retain_graph=False)
        return x

    return Task(backward, lambda: {"x": backward().grad, **_gradients(model)})


def _op(run: Any, data: dict[str, Any], names: tuple[str, ...]) -> Task:
    def step() -> list[Tensor]:
        tensors = [Tensor(data[name], requires_grad=True) for name in names]
        run(*tensors).backward(data.get("g"), retain_graph=False)
        return tensors

    return Task(step, lambda: {name: t.grad for name, t in zip(names, step(), strict=True)})


def convolution(data: dict[str, Any]) -> Task:
    return _op(lambda x, w: nn.functional.conv2d(x, w, padding=1), data, ("x", "weight"))


def cross_entropy(data: dict[str, Any]) -> Task:
    return _op(lambda x: nn.functional.cross_entropy(x, data["targets"]), data, ("x",))


def layer_norm(data: dict[str, Any]) -> Task:
    return _op(
        lambda x, w, b: nn.functional.layer_norm(x, w.shape, w, b), data, ("x", "weight", "bias")
    )


def batch_norm(data: dict[str, Any]) -> Task:
    model = nn.BatchNorm2d(len(data["weight"]))
    parameters = {name: data[name] for name in ("weight", "bias")}
    return _given_gradient(model, {**data, "parameters": parameters})


class _SelfAttention(nn.Module):
    def __init__(self) -> None:
        self.attention = nn.MultiheadAttention(128, 4, batch_first=True)

    def forward(self, x: Any) -> Any:
        return self.attention(x, x, x)[0]


def attention(data: dict[str, Any]) -> Task:
    parameters = {f"attention.{name}": array for name, array in data["parameters"].items()}
    return _given_gradient(_SelfAttention(), {**data, "parameters": parameters})


def block(data: dict[str, Any]) -> Task:
    model = nn.TransformerEncoderLayer(
        128, 4, 512, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return _given_gradient(model, data)


class _LSTM(nn.Module):
    def __init__(self) -> None:
        self.lstm = nn.LSTM(64, 64)

    def forward(self, x: Any) -> Any:
        return self.lstm(x)[0]


def lstm(data: dict[str, Any]) -> Task:
    parameters = {f"lstm.{name}": array for name, array in data["parameters"].items()}
    return _given_gradient(_LSTM(), {**data, "parameters": parameters})


class _Block(nn.Module):
    def __init__(self) -> None:
        self.conv1 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)

    def forward(self, x: Any) -> Any:
        y = tg.relu(self.bn1(self.conv1(x)))
        return tg.relu(self.bn2(self.conv2(y)) + x)


def stage(data: dict[str, Any]) -> Task:
    return _given_gradient(nn.Sequential(_Block(), _Block()), data)


def _optimizer(make: Any, data: dict[str, Any]) -> Task:
    parameters = {name: nn.Parameter(p.copy()) for name, p in data["parameters"].items()}
    for name, p in parameters.items():
        p.grad = data["gradients"][name]
    optimizer = make(list(parameters.values()))

    def outputs() -> dict[str, Any]:
        optimizer.step()
        return {name: p.data.copy() for name, p in parameters.items()}

    return Task(optimizer.step, outputs)


def sgd(data: dict[str, Any]) -> Task:
    return _optimizer(lambda p: nn.optim.SGD(p, lr=1e-3, momentum=0.9), data)


def adam(data: dict[str, Any]) -> Task:
    return _optimizer(nn.optim.Adam, data)


def adamw(data: dict[str, Any]) -> Task:
    return _optimizer(nn.optim.AdamW, data)


def curvature(data: dict[str, Any]) -> Task:
    names = list(data["parameters"])
    x, targets = data["x"], data["targets"]

    def loss(*parameters: Any) -> Any:
        y = x
        for i in range(0, len(parameters), 2):
            y = nn.functional.linear(y, parameters[i], parameters[i + 1])
            y = tg.relu(y) if i + 2 < len(parameters) else y
        return nn.functional.cross_entropy(y, targets)

    at = tuple(data["parameters"][name] for name in names)
    along = tuple(data["v"][name] for name in names)

    def step() -> Any:
        return tg.hvp(loss, at, along)

    return Task(step, lambda: dict(zip(names, step(), strict=True)))
