"""One model twice, of Values and of Tensors: the same numbers at another speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nn import functional as f
from nn.errors import ConfigurationError
from nn.neuron import MLP
from nn.table import table
from tinygrad_edu import Tensor, Value


class Tier(NamedTuple):
    """One of the two models.

    Attributes:
        loss: the mean squared error.
        forward_seconds: the median time of computing it.
        backward_seconds: the median time of its gradients.
    """

    loss: float
    forward_seconds: float
    backward_seconds: float


@dataclass(frozen=True, repr=False)
class Tiers:
    """What ``scalar_versus_vectorised`` measured; printing it shows both next to each other.

    Attributes:
        sizes: the widths of the model, input first.
        samples: how many samples the loss is of.
        parameters: how many numbers there are gradients by.
        scalar: the model of Values.
        vectorised: the same model of Tensors.
        largest_difference: the largest of |∂L/∂w of Values - ∂L/∂w of Tensors|.
    """

    sizes: tuple[int, ...]
    samples: int
    parameters: int
    scalar: Tier
    vectorised: Tier
    largest_difference: float

    @property
    def forward_ratio(self) -> float:
        """How many times as long the forward pass of Values takes."""
        return self.scalar.forward_seconds / self.vectorised.forward_seconds

    @property
    def backward_ratio(self) -> float:
        """How many times as long the backward pass of Values takes."""
        return self.scalar.backward_seconds / self.vectorised.backward_seconds

    def __str__(self) -> str:
        rows = [
            ("loss", f"{self.scalar.loss:.10f}", f"{self.vectorised.loss:.10f}", ""),
            (
                "forward",
                _milliseconds(self.scalar.forward_seconds),
                _milliseconds(self.vectorised.forward_seconds),
                f"{self.forward_ratio:,.0f}x",
            ),
            (
                "backward",
                _milliseconds(self.scalar.backward_seconds),
                _milliseconds(self.vectorised.backward_seconds),
                f"{self.backward_ratio:,.0f}x",
            ),
        ]
        return (
            f"MLP {'-'.join(map(str, self.sizes))}, {self.samples} samples\n"
            f"{table(['', 'Values', 'Tensors', 'ratio'], rows)}\n"
            f"the {self.parameters:,} gradients differ by at most {self.largest_difference:.1e}"
        )

    __repr__ = __str__


def scalar_versus_vectorised(
    sizes: Sequence[int] = (2, 16, 16, 1),
    samples: int = 100,
    activation: str = "tanh",
    rounds: int = 3,
    seed: int = 0,
) -> Tiers:
    """The loss, the gradients and the time of an ``nn.MLP`` of Values, and of its ``to_tensor()``.

    Both are of float64, and compute the mean squared error of random samples.

    Args:
        sizes: the widths of the model, input first.
        samples: how many.
        activation: of the hidden layers.
        rounds: how often each is timed, in turn; the medians count.
        seed: of the weights and the samples.

    Raises:
        ConfigurationError: a size or a count is not a positive integer.

    >>> import nn
    >>> found = nn.experiments.scalar_versus_vectorised((2, 4, 1), samples=10, rounds=1)
    >>> found.parameters, found.largest_difference < 1e-12
    (17, True)
    """
    if len(sizes) < 2 or samples < 1 or rounds < 1:
        raise ConfigurationError(
            "scalar_versus_vectorised takes an input and an output size, at least 1 sample and 1"
            f" round, not sizes={list(sizes)}, samples={samples}, rounds={rounds}"
        )
    rng = np.random.default_rng(seed)
    scalar = MLP(sizes[0], list(sizes[1:]), activation, rng=rng)
    vectorised = scalar.to_tensor()
    x, y = rng.normal(size=(samples, sizes[0])), rng.normal(size=(samples, sizes[-1]))
    points, targets = x.tolist(), y.ravel().tolist()

    def of_values() -> Value:
        outputs = [scalar(point) for point in points]
        flat = [v for out in outputs for v in ([out] if isinstance(out, Value) else out)]
        return f.mse_loss(flat, targets)

    def of_tensors() -> Tensor:
        return f.mse_loss(vectorised(Tensor(x)), y)

    times: list[tuple[float, ...]] = []
    for _ in range(rounds):
        scalar.zero_grad()
        vectorised.zero_grad()
        slow, *slow_times = _timed(of_values)
        fast, *fast_times = _timed(of_tensors)
        times.append((*slow_times, *fast_times))
    medians = np.median(times, axis=0).tolist()
    difference = max(
        float(np.abs(np.subtract(a, b)).max())
        for a, b in zip(
            _gradients_of_values(scalar), _gradients_of_tensors(vectorised), strict=True
        )
    )
    return Tiers(
        tuple(sizes),
        samples,
        len(scalar.parameters()),
        Tier(slow, *medians[:2]),
        Tier(fast, *medians[2:]),
        difference,
    )


def _timed(compute: Any) -> tuple[float, float, float]:
    """The loss, and the seconds that the forward and the backward pass took."""
    start = time.perf_counter()
    loss = compute()
    between = time.perf_counter()
    loss.backward(retain_graph=False)
    return loss.item(), between - start, time.perf_counter() - between


def _gradients_of_values(model: MLP) -> list[Any]:
    """∂L/∂W and ∂L/∂b of each layer."""
    found: list[Any] = []
    for layer in model.layers:
        found.append([[w.grad for w in neuron.weights] for neuron in layer.neurons])
        found.append([neuron.bias.grad for neuron in layer.neurons])
    return found


def _gradients_of_tensors(model: Any) -> list[Any]:
    return [p.grad for p in model.parameters()]  # a weight and a bias of each layer


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.2f} ms"
