"""The scalar tier: neurons, layers and networks of Values, one number at a time.

It is slow and shows everything: each weight, each product and each partial derivative is a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn import init, random
from nn.errors import ConfigurationError
from nn.layers.activation import activation_function
from nn.module import Module
from tinygrad_edu import Value
from tinygrad_edu.graph import mode


class Neuron(Module):
    """activation(z), with z = w·x + b.

    Args:
        in_features: the number of inputs.
        activation: "sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu" or "linear".
        fan_out: the number of neurons beside it, which Glorot's initial scale asks for.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        weights: w, a tuple of ``in_features`` Values.
        bias: b, a Value, 0 at first.
        z: w·x + b of the last call, a node: after ``backward``, ``z.grad`` is ∂L/∂z.
        activation: activation(z) of the last call, likewise.
        activation_name: which activation it is.

    >>> import nn
    >>> neuron = nn.Neuron(2, activation="tanh")
    >>> neuron([1.0, -2.0]).backward()
    >>> abs(neuron.z.grad - (1 - neuron.activation.data ** 2)) < 1e-15
    True
    """

    def __init__(
        self,
        in_features: int,
        activation: str = "tanh",
        *,
        fan_out: int = 1,
        rng: np.random.Generator | None = None,
    ) -> None:
        _check_size("Neuron's in_features", in_features)
        self._apply_activation = activation_function(activation)
        self.activation_name = activation
        start = init.for_activation(
            activation, in_features, fan_out, (in_features,), random.generator(rng)
        )
        self.weights = tuple(Value(w, label=f"w{i}") for i, w in enumerate(start))
        self.bias = Value(0.0, label="b")
        self.z: Value | None = None
        self.activation: Value | None = None

    def forward(self, x: Sequence[Any]) -> Value:
        """``in_features`` Values or numbers to one Value."""
        if len(x) != len(self.weights):
            scope = mode.get()[1]
            raise tg.ShapeError(
                f"a neuron with {len(self.weights)} weights{f' in {scope}' if scope else ''}"
                f" takes {len(self.weights)} inputs, not {len(x)}"
            )
        weighted = self.weights[0] * x[0]
        for w, xi in zip(self.weights[1:], x[1:], strict=True):
            weighted = weighted + w * xi
        self.z = weighted + self.bias
        self.z.label = "z"
        self.activation = self._apply_activation(self.z)
        if self.activation is not self.z:
            self.activation.label = "a"
        return self.activation

    def __getstate__(self) -> dict[str, Any]:
        # For copy and pickle: a copy of the neuron has not been called yet.
        return {**super().__getstate__(), "z": None, "activation": None}

    def _extra_repr(self) -> str:
        return f"{len(self.weights)} inputs, {self.activation_name}"

    def _describe(self) -> str:
        return f"Neuron({self._extra_repr()}): {len(self._parameters)}"


class Layer(Module):
    """Neurons side by side, all with the same inputs.

    Args:
        in_features: the number of inputs of each neuron.
        out_features: the number of neurons.
        activation: as for ``Neuron``.
        rng: where the initial weights come from.

    Attributes:
        neurons: the neurons.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activation: str = "tanh",
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        _check_size("Layer's out_features", out_features)
        self.neurons = tuple(
            Neuron(in_features, activation, fan_out=out_features, rng=rng)
            for _ in range(out_features)
        )

    def forward(self, x: Sequence[Any]) -> Any:
        """``in_features`` Values or numbers to a list of Values; to a Value if there is one."""
        outputs = [neuron(x) for neuron in self.neurons]
        return outputs[0] if len(outputs) == 1 else outputs


class MLP(Module):
    """Layers of neurons in a row: a multilayer perceptron, one number at a time.

    Args:
        in_features: the number of inputs.
        layer_sizes: the number of neurons of each layer; the last are the outputs.
        activation: of every layer but the last.
        output_activation: of the last layer.
        rng: where the initial weights come from.

    Attributes:
        layers: the layers.

    >>> import nn
    >>> len(nn.MLP(2, [16, 16, 1]).parameters())
    337
    """

    def __init__(
        self,
        in_features: int,
        layer_sizes: Sequence[int],
        activation: str = "relu",
        output_activation: str = "linear",
        *,
        rng: np.random.Generator | None = None,
    ) -> None:
        if not layer_sizes:
            raise ConfigurationError("an MLP needs at least one layer: MLP(2, [16, 1]), say")
        sizes = [in_features, *layer_sizes]
        activations = [activation] * (len(layer_sizes) - 1) + [output_activation]
        self.layers = tuple(
            Layer(n_in, n_out, name, rng=rng)
            for n_in, n_out, name in zip(sizes[:-1], layer_sizes, activations, strict=True)
        )

    def forward(self, x: Sequence[Any]) -> Any:
        """``in_features`` Values or numbers to a list of Values; to a Value if there is one."""
        outputs: Any = x.tolist() if isinstance(x, np.ndarray) else x
        for layer in self.layers:
            outputs = layer([outputs] if isinstance(outputs, Value) else outputs)
        return outputs


def _check_size(name: str, size: Any) -> None:
    if not isinstance(size, int | np.integer) or size < 1:
        raise ConfigurationError(f"{name} must be a positive integer, not {size!r}")
