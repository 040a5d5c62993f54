"""PyTorch, eager, on the CPU."""

import os
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.benchmarks.contenders import Task

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def chain(data: dict[str, Any]) -> Task:
    w, b = (torch.tensor(data[name], requires_grad=True) for name in "wb")

    def step() -> Any:
        x = torch.tensor(data["x"], requires_grad=True)
        y = x
        for _ in range(data["times"]):
            y = torch.tanh(y * w + b)
        y.sum().backward()
        return x

    return Task(step, lambda: {"x": step().grad.numpy()})


def _loaded(model: nn.Module, data: dict[str, Any]) -> nn.Module:
    arrays = {name: torch.from_numpy(array) for name, array in data["parameters"].items()}
    model.load_state_dict(arrays, strict=False)
    return model


def _gradients(model: nn.Module) -> dict[str, Any]:
    return {name: p.grad.numpy() for name, p in model.named_parameters()}


def _classifier(model: nn.Module, data: dict[str, Any]) -> Task:
    optimizer = torch.optim.SGD(_loaded(model, data).parameters(), lr=1e-3)
    x, targets = torch.from_numpy(data["x"]), torch.from_numpy(data["targets"])

    def backward() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), targets)
        loss.backward()
        return loss

    def step() -> None:
        backward()
        optimizer.step()

    return Task(step, lambda: {"loss": backward().item(), **_gradients(model)})


def mlp(data: dict[str, Any]) -> Task:
    layers: list[nn.Module] = []
    for a, b in zip(data["sizes"], data["sizes"][1:], strict=False):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return _classifier(nn.Sequential(*layers[:-1]), data)


class _LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(),
            nn.Linear(84, 10),
        )  # fmt: skip

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x))


def lenet(data: dict[str, Any]) -> Task:
    return _classifier(_LeNet(), data)


def _given_gradient(model: Any, data: dict[str, Any], prefix: str = "") -> Task:
    _loaded(model, data)
    g = torch.from_numpy(data["g"])

    def backward() -> Any:
        model.zero_grad()
        x = torch.from_numpy(data["x"]).requires_grad_()
        x.grad = None
        y = model(x)
        y.backward(g)
        return x

    def outputs() -> dict[str, Any]:
        x = backward()
        return {"x": x.grad.numpy(), **{prefix + k: v for k, v in _gradients(model).items()}}

    return Task(backward, outputs)


def _op(run: Any, data: dict[str, Any], names: tuple[str, ...]) -> Task:
    g = torch.from_numpy(data["g"]) if "g" in data else None

    def step() -> list[Any]:
        tensors = [torch.from_numpy(data[name]).detach().requires_grad_() for name in names]
        run(*tensors).backward(g)
        return tensors

    return Task(step, lambda: {n: t.grad.numpy() for n, t in zip(names, step(), strict=True)})


def convolution(data: dict[str, Any]) -> Task:
    return _op(lambda x, w: F.conv2d(x, w, padding=1), data, ("x", "weight"))


def cross_entropy(data: dict[str, Any]) -> Task:
    targets = torch.from_numpy(data["targets"])
    return _op(lambda x: F.cross_entropy(x, targets), data, ("x",))


def layer_norm(data: dict[str, Any]) -> Task:
    return _op(lambda x, w, b: F.layer_norm(x, w.shape, w, b), data, ("x", "weight", "bias"))


def batch_norm(data: dict[str, Any]) -> Task:
    parameters = {name: data[name] for name in ("weight", "bias")}
    return _given_gradient(nn.BatchNorm2d(len(data["weight"])), {**data, "parameters": parameters})


class _SelfAttention(nn.MultiheadAttention):
    def forward(self, x: Any) -> Any:
        return super().forward(x, x, x, need_weights=False)[0]


def attention(data: dict[str, Any]) -> Task:
    return _given_gradient(_SelfAttention(128, 4, batch_first=True), data, "attention.")


def block(data: dict[str, Any]) -> Task:
    model = nn.TransformerEncoderLayer(
        128, 4, 512, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return _given_gradient(model, data)


class _LSTM(nn.LSTM):
    def forward(self, x: Any) -> Any:
        return super().forward(x)[0]


def lstm(data: dict[str, Any]) -> Task:
    return _given_gradient(_LSTM(64, 64), data, "lstm.")


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + x)


def stage(data: dict[str, Any]) -> Task:
    return _given_gradient(nn.Sequential(_Block(), _Block()), data)


def _optimizer(make: Any, data: dict[str, Any]) -> Task:
    parameters = {
        name: nn.Parameter(torch.from_numpy(p).clone()) for name, p in data["parameters"].items()
    }
    for name, p in parameters.items():
        p.grad = torch.from_numpy(data["gradients"][name])
    optimizer = make(list(parameters.values()))

    def outputs() -> dict[str, Any]:
        optimizer.step()
        return {name: p.detach().numpy().copy() for name, p in parameters.items()}

    return Task(optimizer.step, outputs)


def sgd(data: dict[str, Any]) -> Task:
    return _optimizer(lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9, foreach=True), data)


def adam(data: dict[str, Any]) -> Task:
    return _optimizer(lambda p: torch.optim.Adam(p, foreach=True), data)


def adamw(data: dict[str, Any]) -> Task:
    return _optimizer(lambda p: torch.optim.AdamW(p, foreach=True), data)


def curvature(data: dict[str, Any]) -> Task:
    names = list(data["parameters"])
    x, targets = torch.from_numpy(data["x"]), torch.from_numpy(data["targets"])
    at = [torch.from_numpy(data["parameters"][name]).requires_grad_() for name in names]
    along = [torch.from_numpy(data["v"][name]) for name in names]

    def step() -> Any:
        y = x
        for i in range(0, len(at), 2):
            y = F.linear(y, at[i], at[i + 1])
            y = torch.relu(y) if i + 2 < len(at) else y
        found = torch.autograd.grad(F.cross_entropy(y, targets), at, create_graph=True)
        dot = sum((g * v).sum() for g, v in zip(found, along, strict=True))
        return torch.autograd.grad(dot, at)

    return Task(step, lambda: {n: g.numpy() for n, g in zip(names, step(), strict=True)})
