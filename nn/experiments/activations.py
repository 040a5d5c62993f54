"""One network with one activation after another: how far the gradient reaches with each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

import tinygrad_edu as tg
from nn.containers import Sequential
from nn.errors import ConfigurationError
from nn.experiments.samples import rows, some
from nn.layers.activation import activation_function, activation_module
from nn.layers.linear import Linear
from nn.module import Module
from nn.optim.clipping import gradient_norm
from nn.table import table
from tinygrad_edu import Tensor

# The slope ∂a/∂z below which an activation counts as saturated: that of tanh at 0.99.
FLAT = 0.02

# How many digits the experiment looks at if it is given none.
_SAMPLES = 128


class ActivationRow(NamedTuple):
    """What one activation did.

    Attributes:
        activation: its name.
        loss: the mean cross-entropy.
        gradient_norms: ‖∂L/∂(W, b)‖ of each linear layer, first to last.
        zero: of each hidden layer, the share of activations that are exactly 0.
        saturated: of each hidden layer, the share of the others whose slope is below ``FLAT``.
    """

    activation: str
    loss: float
    gradient_norms: tuple[float, ...]
    zero: tuple[float, ...]
    saturated: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class SwappedActivations:
    """What ``swap_activations`` saw; printing it shows the activations side by side.

    Attributes:
        sizes: the widths of the network, input first.
        rows: a row for each activation.
    """

    sizes: tuple[int, ...]
    rows: tuple[ActivationRow, ...]

    def __str__(self) -> str:
        names = [row.activation for row in self.rows]
        norms = [
            [f"{i}: {n} -> {m}", *(f"{row.gradient_norms[i - 1]:.4g}" for row in self.rows)]
            for i, (n, m) in enumerate(pairwise(self.sizes), start=1)
        ]
        losses = ["loss", *(f"{row.loss:.4g}" for row in self.rows)]
        shares = [
            [f"{i + 1}", *(f"{row.zero[i]:.0%} / {row.saturated[i]:.0%}" for row in self.rows)]
            for i in range(len(self.sizes) - 2)
        ]
        return (
            "‖∂L/∂(W, b)‖ of each linear layer, from the same initial weights\n"
            f"{table(['layer', *names], norms, losses)}\n\n"
            "activations that are 0 / that are saturated\n"
            f"{table(['layer', *names], shares)}"
        )

    __repr__ = __str__


def swap_activations(
    activations: Sequence[str] = ("relu", "tanh", "sigmoid"),
    x: Any = None,
    y: Any = None,
    hidden: Sequence[int] = (32, 32, 32, 32),
    seed: int = 0,
) -> SwappedActivations:
    """One forward and backward pass of a network with each activation, from the same weights.

    The weights are Glorot's whatever the activation, so that nothing else differs.

    Args:
        activations: names of ``nn.ACTIVATIONS``.
        x: samples ``(N, ...)``, whose numbers go into the first layer; by default 128 digits.
        y: the class of each, ``(N,)``.
        hidden: the width of each hidden layer.
        seed: of the initial weights.

    Raises:
        UnknownNameError: there is no such activation.
        ConfigurationError: there are no activations or no hidden layer, or one of ``x`` and ``y``
            is missing.
        ShapeError: there are no samples, or not a class for each.
        TargetError: ``y`` are no numbers of classes.

    >>> import nn, numpy as np
    >>> x = np.random.default_rng(0).normal(size=(50, 4))
    >>> found = nn.experiments.swap_activations(x=x, y=x.argmax(1), hidden=[8] * 6)
    >>> relu, tanh, sigmoid = (row.gradient_norms[0] for row in found.rows)
    >>> sigmoid < 0.01 * tanh  # its slope is at most 1/4
    True
    """
    if not activations or not hidden:
        raise ConfigurationError("swap_activations takes at least one activation and hidden layer")
    for name in activations:
        activation_function(name)
    if (x is None) != (y is None):
        raise ConfigurationError("swap_activations takes x and y together, or neither")
    if x is None:
        few = some(rows("digits"), _SAMPLES, seed)
        x, y = few.inputs, few.targets
    inputs, labels = np.asarray(x, np.float32), np.asarray(y)
    if not inputs.ndim or not inputs.size or labels.shape != inputs.shape[:1]:
        raise tg.ShapeError(
            f"swap_activations takes samples x (N, ...) and classes y (N,), N > 0, not shapes"
            f" {inputs.shape} and {labels.shape}"
        )
    inputs = inputs.reshape(len(inputs), -1)
    sizes = (inputs.shape[1], *hidden, int(labels.max()) + 1)
    found = tuple(_look(name, sizes, inputs, labels, seed) for name in activations)
    return SwappedActivations(sizes, found)


def _look(name: str, sizes: Sequence[int], inputs: Any, labels: Any, seed: int) -> ActivationRow:
    rng = np.random.default_rng(seed)
    linears = [Linear(n, m, rng=rng) for n, m in pairwise(sizes)]
    modules: list[Module] = [linears[0]]
    for linear in linears[1:]:
        modules += [activation_module(name), linear]
    model = Sequential(*modules)
    before: list[Tensor] = []
    for linear in linears[:-1]:
        linear.register_forward_hook(lambda module, x, z: before.append(z))
    loss = tg.cross_entropy(model(Tensor(inputs)), labels)
    loss.backward()
    shares = [_shares(name, z.data) for z in before]
    return ActivationRow(
        name,
        loss.item(),
        tuple(gradient_norm(linear.parameters()) for linear in linears),
        tuple(zero for zero, _ in shares),
        tuple(saturated for _, saturated in shares),
    )


def _shares(name: str, z: Any) -> tuple[float, float]:
    """The shares of activations that are 0, and of others whose slope is next to nothing."""
    node = Tensor(z, requires_grad=True)
    a = activation_function(name)(node)
    slopes = tg.gradients(a, np.ones_like(z))[node]
    zero = a.data == 0
    return float(zero.mean()), float((~zero & (np.abs(slopes) < FLAT)).mean())
