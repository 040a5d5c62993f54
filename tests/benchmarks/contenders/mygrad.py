"""MyGrad."""

from typing import Any

import mygrad as mg
import mygrad.nnet as nnet
import numpy as np

from tests.benchmarks.contenders import Task


def chain(data: dict[str, Any]) -> Task:
    w, b = mg.tensor(data["w"]), mg.tensor(data["b"])

    def step() -> Any:
        x = mg.tensor(data["x"])
        y = x
        for _ in range(data["times"]):
            y = mg.tanh(y * w + b)
        y.sum().backward()
        return x

    return Task(step, lambda: {"x": step().grad})


def _classifier(forward: Any, data: dict[str, Any]) -> Task:
    parameters = {name: mg.tensor(p.copy()) for name, p in data["parameters"].items()}

    def backward() -> Any:
        loss = nnet.softmax_crossentropy(forward(data["x"], parameters), data["targets"])
        loss.backward()
        return loss

    def step() -> None:
        backward()
        for p in parameters.values():
            p.data -= np.float32(1e-3) * p.grad

    def outputs() -> dict[str, Any]:
        loss = backward()
        return {"loss": loss.data, **{name: p.grad for name, p in parameters.items()}}

    return Task(step, outputs)


def _linear(x: Any, parameters: dict[str, Any], name: str) -> Any:
    return mg.matmul(x, parameters[f"{name}.weight"].T) + parameters[f"{name}.bias"]


def mlp(data: dict[str, Any]) -> Task:
    def forward(x: Any, parameters: dict[str, Any]) -> Any:
        for i in range(0, len(parameters), 2):
            x = _linear(x, parameters, str(i))
            x = nnet.relu(x) if i + 2 < len(parameters) else x
        return x

    return _classifier(forward, data)


def lenet(data: dict[str, Any]) -> Task:
    def forward(x: Any, parameters: dict[str, Any]) -> Any:
        for name, padding in (("features.0", 2), ("features.3", 0)):
            bias = parameters[f"{name}.bias"].reshape(1, -1, 1, 1)
            y = nnet.conv_nd(x, parameters[f"{name}.weight"], stride=1, padding=padding) + bias
            n, c, h, w = y.shape
            # It has no average pooling.
            x = mg.tanh(y).reshape(n, c, h // 2, 2, w // 2, 2).mean(axis=(3, 5))
        x = x.reshape(len(x), -1)
        x = mg.tanh(_linear(x, parameters, "classifier.1"))
        x = mg.tanh(_linear(x, parameters, "classifier.3"))
        return _linear(x, parameters, "classifier.5")

    return _classifier(forward, data)


def convolution(data: dict[str, Any]) -> Task:
    def step() -> tuple[Any, Any]:
        x, weight = mg.tensor(data["x"]), mg.tensor(data["weight"])
        nnet.conv_nd(x, weight, stride=1, padding=1).backward(data["g"])
        return x, weight

    def outputs() -> dict[str, Any]:
        x, weight = step()
        return {"x": x.grad, "weight": weight.grad}

    return Task(step, outputs)
