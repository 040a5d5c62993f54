"""Every neuron of a model, at work on one sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn import functional as f
from nn.errors import ConfigurationError
from nn.layers.activation import Activation, PReLU, activation_name
from nn.layers.linear import Linear
from nn.module import Module, evaluating
from nn.neuron import Neuron, NeuronRow, NeuronTable
from tinygrad_edu import Node, Tensor, Value
from tinygrad_edu.graph import plain

Loss = Callable[..., Any]


@dataclass(frozen=True, repr=False)
class Neurons:
    """What ``neurons`` saw; printing it shows a table.

    Attributes:
        rows: a row for each neuron: its path, activation, z, a, ∂L/∂z and ∂L/∂a.
        loss: L.
        left_out: the path and kind of every module that ran and has no neurons to show.
    """

    rows: NeuronTable
    loss: float
    left_out: tuple[str, ...]

    def __str__(self) -> str:
        lines = [repr(self.rows), f"L = {self.loss:.6g}"]
        if self.left_out:
            lines.append(f"left out: {', '.join(self.left_out)}")
        return "\n".join(lines)

    __repr__ = __str__


def neurons(model: Module, x: Any, y: Any = None, loss: Loss | None = None) -> Neurons:
    """Every neuron's z = w·x + b, activation a, ∂L/∂z and ∂L/∂a, for one sample.

    A neuron is one of a model of Values, or an output of a ``Linear`` in a model of Tensors; a is
    then what the activation module gives that takes the layer's output, or else z itself. The
    model runs in eval mode, and its gradients stay as they were.

    Args:
        model: of Values or of Tensors.
        x: a sample, without a batch axis.
        y: its target.
        loss: takes the model's output and, unless ``y`` is None, the target; of Tensors both with
            a batch axis of 1. By default ``cross_entropy`` if ``y`` is an integer and there are
            several Tensor outputs, else ``mse_loss``; without ``y``, L is the model's only output.

    Raises:
        ConfigurationError: there are no neurons, or it takes a ``y`` or a ``loss`` to have one L.

    >>> import nn, numpy as np
    >>> model = nn.MLP(1, [1], output_activation="tanh", rng=np.random.default_rng(0))
    >>> nn.experiments.neurons(model, [0.0], y=1.0)  # L = (a - 1)²
    neuron              activation         z         a     ∂L/∂z     ∂L/∂a
    ──────────────────────────────────────────────────────────────────────
    layers.0.neurons.0  tanh        +0.00000  +0.00000  -2.00000  -2.00000
    L = 1
    """
    of_values = any(isinstance(module, Neuron) for module in model.modules())
    look = _look_at_values if of_values else _look_at_tensors
    with evaluating(model), tg.enable_grad():
        output, found, left_out = look(model, x)
        total = _loss(output, y, loss)
    if not found:
        raise ConfigurationError(
            f"{type(model).__name__} has no neurons to show: neither a Neuron nor a Linear layer"
            " with outputs (N, out_features) ran"
        )
    # Not backward(), which would add to the gradients of the parameters.
    gradients = tg.gradients(total)
    rows = [row for path, name, z, a in found for row in _rows(path, name, z, a, gradients)]
    return Neurons(NeuronTable(rows), total.item(), tuple(left_out))


# Path, name of the activation, z and a.
_Found = tuple[str, str, Any, Any]


def _look_at_values(model: Module, x: Any) -> tuple[Any, list[_Found], list[str]]:
    output = model([Value(float(number)) for number in x])
    parts = [(path, m) for path, m in model.named_modules() if isinstance(m, Neuron)]
    return output, [(path, m.activation_name, m.z, m.activation) for path, m in parts], []


def _look_at_tensors(model: Module, x: Any) -> tuple[Any, list[_Found], list[str]]:
    paths = {module: path for path, module in model.named_modules()}
    calls: list[tuple[Module, Any, Any]] = []

    def note(module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append((module, plain(inputs[0]), output))

    leaves = [module for module in paths if not module._modules]
    removals = [module.register_forward_hook(note) for module in leaves]
    sample = Tensor(Tensor(x).data[np.newaxis])
    sample.requires_grad = sample.dtype.kind == "f"  # so that a frozen model is recorded too
    try:
        output = model(sample)
    finally:
        for remove in removals:
            remove()
    found: list[_Found] = []
    shown: set[Module] = set()
    for linear, _, z in calls:
        if not isinstance(linear, Linear) or z.ndim != 2:
            continue
        name, a = "linear", z
        follower, _, result = next((c for c in calls if c[1] is z.data), (None, None, None))
        if isinstance(follower, Activation | PReLU):
            name = activation_name(follower) or type(follower).__name__.lower()
            a = result
            shown.add(follower)
        shown.add(linear)
        found.append((paths[linear], name, z, a))
    rest = dict.fromkeys(module for module, _, _ in calls if module not in shown)
    left_out = [f"{paths[module]} {type(module).__name__}".strip() for module in rest]
    return output, found, left_out


def _loss(output: Any, y: Any, loss: Loss | None) -> Any:
    of_tensors = isinstance(output, Tensor)
    if y is None:
        total = output if loss is None else loss(output)
        if isinstance(total, Tensor) and total.size == 1:
            return total.reshape(())
        if isinstance(total, Value):
            return total
        raise ConfigurationError(
            "the model has several outputs, and L is one number: pass the sample's target y, or a"
            " loss that takes the output"
        )
    target = np.asarray(y)
    if loss is not None:
        return loss(output, target[np.newaxis] if of_tensors else y)
    if not of_tensors:
        return f.mse_loss(output, y)
    if target.ndim == 0 and target.dtype.kind in "iu" and output.shape[-1] > 1:
        return tg.cross_entropy(output, target[np.newaxis])
    return f.mse_loss(output, target.astype(output.dtype).reshape(1, *target.shape or (1,)))


def _rows(path: str, name: str, z: Node, a: Node, gradients: dict[Node, Any]) -> list[NeuronRow]:
    """A row for each neuron of a layer, or for the one neuron that z and a are of."""
    numbers = [np.ravel(x) for x in (z.data, a.data, gradients.get(z, 0.0), gradients.get(a, 0.0))]
    n = len(numbers[0])
    columns = [np.broadcast_to(x, n).astype(float).tolist() for x in numbers]
    paths = [path] if isinstance(z, Value) else [f"{path}.{i}".lstrip(".") for i in range(n)]
    return [NeuronRow(p, name, *row) for p, *row in zip(paths, *columns, strict=True)]
