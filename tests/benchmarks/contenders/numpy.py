"""NumPy by hand, well written: what is left when there is no engine at all."""

from typing import Any

import numpy as np

from tests.benchmarks.contenders import Task


def mlp(data: dict[str, Any]) -> Task:
    x, targets = data["x"], data["targets"]
    n = len(x)
    rows = np.arange(n)
    parameters = {name: p.copy() for name, p in data["parameters"].items()}
    count = len(parameters) // 2
    weights = [parameters[f"{2 * i}.weight"] for i in range(count)]
    biases = [parameters[f"{2 * i}.bias"] for i in range(count)]

    def backward() -> tuple[float, list[Any], list[Any]]:
        inputs, y = [x], x
        for i, (w, b) in enumerate(zip(weights, biases, strict=True)):
            y = y @ w.T
            y += b
            if i < count - 1:
                np.maximum(y, 0, out=y)
                inputs.append(y)
        y -= y.max(axis=1, keepdims=True)
        picked = y[rows, targets]
        np.exp(y, out=y)
        total = y.sum(axis=1, keepdims=True)
        loss = float(np.mean(np.log(total[:, 0]) - picked))
        y /= total
        y[rows, targets] -= 1
        y /= n
        g, by_weights, by_biases = y, [], []
        for i in range(count - 1, -1, -1):
            by_weights.append(g.T @ inputs[i])
            by_biases.append(g.sum(axis=0))
            if i:
                g = g @ weights[i]
                g *= inputs[i] > 0
        return loss, by_weights[::-1], by_biases[::-1]

    def step() -> None:
        _, by_weights, by_biases = backward()
        for p, g in zip([*weights, *biases], [*by_weights, *by_biases], strict=True):
            g *= 1e-3
            p -= g

    def outputs() -> dict[str, Any]:
        loss, by_weights, by_biases = backward()
        found: dict[str, Any] = {"loss": loss}
        for i in range(count):
            found[f"{2 * i}.weight"], found[f"{2 * i}.bias"] = by_weights[i], by_biases[i]
        return found

    return Task(step, outputs)
