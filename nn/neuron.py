"""The scalar tier: neurons, layers and networks of Values, one number at a time.

It is slow and shows everything: each weight, each product and each partial derivative is a node.
Fused neurons leave the products out of the graph, which is several times faster.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import init, random
from nn.checks import check_integer
from nn.containers import Sequential
from nn.errors import ConfigurationError
from nn.layers.activation import (
    Identity,
    activation_function,
    activation_module,
    activation_name,
)
from nn.layers.dropout import Dropout
from nn.layers.linear import Linear
from nn.module import Module
from nn.table import table
from tinygrad_edu import Value
from tinygrad_edu.graph import mode


class OfNeurons(Module):
    """What is made of neurons: a network, a layer, or one neuron by itself."""

    def table(self) -> NeuronTable:
        """Every neuron's z, activation and gradients, of the last call and backward pass.

        Raises:
            GradientError: the model has not been called yet.

        >>> import nn, numpy as np
        >>> model = nn.MLP(1, [1], output_activation="tanh", rng=np.random.default_rng(0))
        >>> model([0.0]).backward()
        >>> model.table()
        neuron              activation         z         a     ∂L/∂z     ∂L/∂a
        ──────────────────────────────────────────────────────────────────────
        layers.0.neurons.0  tanh        +0.00000  +0.00000  +1.00000  +1.00000
        """
        neurons = [(path, m) for path, m in self.named_modules() if isinstance(m, Neuron)]
        return NeuronTable(_row(path, neuron) for path, neuron in neurons)


class Neuron(OfNeurons):
    """activation(z), with z = w·x + b.

    Args:
        in_features: the number of inputs.
        activation: the name of an activation, one of ``nn.ACTIVATIONS``.
        fan_out: the number of neurons beside it, which Glorot's initial scale asks for.
        fused: make z one node, by ``tg.weighted_sum``, and not one of each product and sum. All
            numbers and gradients are the same.
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
        fused: bool = False,
        rng: np.random.Generator | None = None,
    ) -> None:
        in_features = check_integer("Neuron's in_features", in_features)
        self._apply_activation = activation_function(activation)
        self.activation_name = activation
        self.fused = fused
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
        z = self._fused_sum(x) if self.fused else self._sum(x)
        z.label = "z"
        a = self._apply_activation(z)
        if a is not z:
            a.label = "a"
        # Results of this call, neither parameters nor modules: there is nothing to register.
        self.__dict__.update(z=z, activation=a)
        return a

    def _sum(self, x: Sequence[Any]) -> Value:
        weighted = self.weights[0] * x[0]
        for w, xi in zip(self.weights[1:], x[1:], strict=True):
            weighted = weighted + w * xi
        return weighted + self.bias

    def _fused_sum(self, x: Sequence[Any]) -> Value:
        z: Value = tg.weighted_sum(self.weights, x, self.bias)
        return z

    def __getstate__(self) -> dict[str, Any]:
        # For copy and pickle: a copy of the neuron has not been called yet.
        return {**super().__getstate__(), "z": None, "activation": None}

    def _extra_repr(self) -> str:
        fused = ", fused" if self.fused else ""
        return f"{len(self.weights)} inputs, {self.activation_name}{fused}"

    def _describe(self) -> str:
        return f"Neuron({self._extra_repr()}): {len(self._parameters)}"


class Layer(OfNeurons):
    """Neurons side by side, all with the same inputs.

    Args:
        in_features: the number of inputs of each neuron.
        out_features: the number of neurons.
        activation: as for ``Neuron``.
        fused: as for ``Neuron``.
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
        fused: bool = False,
        rng: np.random.Generator | None = None,
    ) -> None:
        out_features = check_integer("Layer's out_features", out_features)
        self.neurons = tuple(
            Neuron(in_features, activation, fan_out=out_features, fused=fused, rng=rng)
            for _ in range(out_features)
        )

    def forward(self, x: Sequence[Any]) -> Any:
        """``in_features`` Values or numbers to a list of Values; to a Value if there is one."""
        outputs = [neuron(x) for neuron in self.neurons]
        return outputs[0] if len(outputs) == 1 else outputs


class NeuronRow(NamedTuple):
    """What a neuron computed last, and what backward said of it.

    Attributes:
        path: where the neuron is in the model.
        activation_name: which activation it has.
        z: w·x + b.
        activation: a = activation(z).
        z_grad: ∂L/∂z.
        activation_grad: ∂L/∂a.
    """

    path: str
    activation_name: str
    z: float
    activation: float
    z_grad: float
    activation_grad: float


class NeuronTable(tuple[NeuronRow, ...]):
    """The rows of a model's ``table``; printing it shows the table."""

    __slots__ = ()

    def __repr__(self) -> str:
        header = ("neuron", "activation", "z", "a", "∂L/∂z", "∂L/∂a")
        rows = [
            (path or "(model)", name, *(f"{x:+.5f}" for x in numbers))
            for path, name, *numbers in self
        ]
        return table(header, rows, words=2)


class MLP(OfNeurons):
    """Layers of neurons in a row: a multilayer perceptron, one number at a time.

    Args:
        in_features: the number of inputs.
        layer_sizes: the number of neurons of each layer; the last are the outputs.
        activation: of the layers but the last: a name for all, or a list of one for each.
        output_activation: of the last layer.
        dropout: the probability of dropping the output of a neuron but the last ones, in training.
        fused: make z of each neuron one node, as for ``Neuron``: a step takes about a quarter of
            the time, and pictures have no products.
        rng: where the initial weights and the chance of dropout come from.

    Attributes:
        layers: the layers.
        dropout: the ``Dropout`` between them, or None.

    >>> import nn
    >>> len(nn.MLP(2, [16, 16, 1]).parameters())
    337
    """

    def __init__(
        self,
        in_features: int,
        layer_sizes: Sequence[int],
        activation: str | Sequence[str] = "relu",
        output_activation: str = "linear",
        *,
        dropout: float = 0.0,
        fused: bool = False,
        rng: np.random.Generator | None = None,
    ) -> None:
        if not layer_sizes:
            raise ConfigurationError("an MLP needs at least one layer: MLP(2, [16, 1]), say")
        hidden = len(layer_sizes) - 1
        names = [activation] * hidden if isinstance(activation, str) else list(activation)
        if len(names) != hidden:
            raise ConfigurationError(
                f"an MLP of layers {list(layer_sizes)} takes an activation for each but the last,"
                f" {hidden} and not {len(names)}; that of the last is output_activation"
            )
        self.layers = tuple(
            Layer(n_in, n_out, name, fused=fused, rng=rng)
            for (n_in, n_out), name in zip(
                pairwise([in_features, *layer_sizes]), [*names, output_activation], strict=True
            )
        )
        self.dropout = Dropout(dropout, rng=rng) if dropout else None

    def forward(self, x: Sequence[Any]) -> Any:
        """``in_features`` Values or numbers to a list of Values; to a Value if there is one."""
        outputs: Any = x.tolist() if isinstance(x, np.ndarray) else x
        *hidden, last = self.layers
        for layer in hidden:
            outputs = layer(outputs)
            outputs = [outputs] if isinstance(outputs, Value) else outputs
            outputs = outputs if self.dropout is None else self.dropout(outputs)
        return last(outputs)

    def to_tensor(self, dtype: DTypeLike = np.float64) -> Sequential:
        """The same model of Tensors, for batches ``(N, in_features)``: the weights are copied.

        >>> import nn, numpy as np
        >>> nn.MLP(2, [3, 1], "tanh").to_tensor()
        Sequential(
          (0): Linear(2 -> 3)  weight (3, 2), bias (3,): 9
          (1): Tanh()
          (2): Linear(3 -> 1)  weight (1, 3), bias (1,): 4
        )
        13 parameters
        """
        modules: list[Module] = []
        for layer in self.layers:
            weights = [[w.data for w in neuron.weights] for neuron in layer.neurons]
            biases = [neuron.bias.data for neuron in layer.neurons]
            linear = Linear(len(weights[0]), len(weights), dtype=dtype, rng=_unused())
            linear.load_state_dict({"weight": np.array(weights), "bias": np.array(biases)})
            function = activation_module(layer.neurons[0].activation_name)
            modules += [linear] if isinstance(function, Identity) else [linear, function]
            if self.dropout is not None and layer is not self.layers[-1]:
                modules.append(Dropout(self.dropout.p, rng=self.dropout.rng))
        return Sequential(*modules).train(self.training)

    @classmethod
    def from_tensor(cls, model: Iterable[Module], *, fused: bool = False) -> MLP:
        """The model of Values for a Sequential of Linear layers and activations between them.

        Args:
            model: Linear layers, each perhaps followed by an activation that has a name in
                ``nn.ACTIVATIONS``, with its default options. The weights are copied.
            fused: as for ``MLP``.

        Raises:
            ConfigurationError: there is something else in it.

        >>> import nn, numpy as np
        >>> model, x = nn.zoo.feedforward([2, 3, 1]), [1.0, 2.0]
        >>> abs(nn.MLP.from_tensor(model)(x).data - model(np.array([x])).item()) < 1e-6
        True
        """
        linears: list[Linear] = []
        names: list[str] = []
        for module in model:
            name = activation_name(module)
            if isinstance(module, Linear):
                linears.append(module)
                names.append("linear")
            elif name is not None and names and names[-1] == "linear":
                names[-1] = name
            else:
                raise ConfigurationError(
                    "MLP.from_tensor takes Linear layers, each with one activation of"
                    f" nn.ACTIVATIONS after it or none, and not {module!r} here"
                )
        if not linears:
            raise ConfigurationError("MLP.from_tensor takes at least one Linear layer")
        sizes = [linear.out_features for linear in linears]
        mlp = cls(linears[0].in_features, sizes, names[:-1], names[-1], fused=fused, rng=_unused())
        state: dict[str, Any] = {}
        for i, linear in enumerate(linears):
            for j, weights in enumerate(linear.weight.data):
                path = f"layers.{i}.neurons.{j}"
                state |= {f"{path}.weights.{k}": w for k, w in enumerate(weights)}
                state[f"{path}.bias"] = 0.0 if linear.bias is None else linear.bias.data[j]
        mlp.load_state_dict(state)
        return mlp


def _unused() -> np.random.Generator:
    """Where weights come from that are set anew at once: nobody else's chance is used up."""
    return np.random.default_rng(0)


def _row(path: str, neuron: Neuron) -> NeuronRow:
    z, a = neuron.z, neuron.activation
    if z is None or a is None:
        raise tg.GradientError(
            f"{path or 'this neuron'} has no z and no gradients yet: call the model, and"
            " backward on its loss"
        )
    return NeuronRow(path, neuron.activation_name, z.data, a.data, z.grad, a.grad)
