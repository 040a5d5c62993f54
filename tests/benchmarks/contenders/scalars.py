"""What micrograd's users write, which runs with our Values as it does with theirs."""

from typing import Any

from tests.benchmarks.contenders import Task


def moons_with(value: Any, model: Any, data: dict[str, Any], weights: str, bias: str) -> Task:
    """The step of micrograd's demo: max-margin loss, L2, SGD."""
    for layer, given in zip(model.layers, data["layers"], strict=True):
        for neuron, (ws, b) in zip(layer.neurons, given, strict=True):
            getattr(neuron, bias).data = b
            for w, number in zip(getattr(neuron, weights), ws, strict=True):
                w.data = number

    def backward() -> Any:
        inputs = [list(map(value, row)) for row in data["x"]]
        scores = list(map(model, inputs))
        losses = [(1 + -y * score).relu() for y, score in zip(data["y"], scores, strict=True)]
        loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        return loss

    def step() -> None:
        backward()
        for p in model.parameters():
            p.data -= 1e-3 * p.grad

    def outputs() -> dict[str, Any]:
        loss = backward()
        found: dict[str, Any] = {"loss": loss.data}
        for i, layer in enumerate(model.layers):
            for j, neuron in enumerate(layer.neurons):
                found[f"{i}.{j}.w"] = [w.grad for w in getattr(neuron, weights)]
                found[f"{i}.{j}.b"] = getattr(neuron, bias).grad
        return found

    return Task(step, outputs)


def wide_graph_with(value: Any, data: dict[str, Any]) -> Task:
    """A sum of squares as a tree, which is wide and not deep."""

    def step() -> list[Any]:
        leaves = [value(number) for number in data["x"]]
        row = [x * x for x in leaves]
        while len(row) > 1:
            row = [a + b for a, b in zip(row[::2], row[1::2], strict=True)]
        row[0].backward()
        return leaves

    return Task(step, lambda: {"x": [x.grad for x in step()]})
