"""HIPS autograd."""

from typing import Any

import autograd.numpy as np
from autograd import grad, value_and_grad

from tests.benchmarks.contenders import Task


def chain(data: dict[str, Any]) -> Task:
    def f(x: Any, w: Any, b: Any) -> Any:
        for _ in range(data["times"]):
            x = np.tanh(x * w + b)
        return np.sum(x)

    by_all = grad(f, argnum=(0, 1, 2))
    given = [data[name] for name in "xwb"]
    return Task(lambda: by_all(*given), lambda: {"x": by_all(*given)[0]})


def mlp(data: dict[str, Any]) -> Task:
    x, targets, rows = data["x"], data["targets"], np.arange(len(data["x"]))
    parameters = {name: p.copy() for name, p in data["parameters"].items()}

    def loss(parameters: dict[str, Any]) -> Any:
        y = x
        for i in range(0, len(parameters), 2):
            y = np.dot(y, parameters[f"{i}.weight"].T) + parameters[f"{i}.bias"]
            y = np.maximum(y, 0) if i + 2 < len(parameters) else y
        y = y - np.max(y, axis=1, keepdims=True)
        return np.mean(np.log(np.sum(np.exp(y), axis=1)) - y[rows, targets])

    backward = value_and_grad(loss)

    def step() -> None:
        for name, g in backward(parameters)[1].items():
            parameters[name] -= 1e-3 * g

    def outputs() -> dict[str, Any]:
        value, found = backward(parameters)
        return {"loss": value, **found}

    return Task(step, outputs)
