"""What weight decay does to the weights: how they are distributed before and after training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nn.containers import Sequential
from nn.errors import ConfigurationError
from nn.experiments.samples import Data, rows, split
from nn.experiments.training import Progress, StepProgress, fit
from nn.optim import AdamW
from nn.table import table
from nn.training import evaluate
from nn.zoo.feedforward import feedforward

Array = np.ndarray[Any, Any]


class WeightHistogram(NamedTuple):
    """The weights of a network, without its biases.

    Attributes:
        weight_decay: what it was trained with; None before training.
        counts: how many weights lie in each bin; a bin includes its lower edge.
        norm: ‖w‖, all weights as one vector.
        layer_norms: ‖W‖ of each linear layer, first to last.
        accuracy: on the held-out samples.
    """

    weight_decay: float | None
    counts: tuple[int, ...]
    norm: float
    layer_norms: tuple[float, ...]
    accuracy: float

    @property
    def name(self) -> str:
        """What it is called in a table."""
        return "before" if self.weight_decay is None else f"decay {self.weight_decay:g}"


@dataclass(frozen=True, repr=False)
class WeightDecay:
    """What ``weight_decay`` saw; printing it shows the histograms side by side.

    Attributes:
        edges: of the bins, one more than there are bins.
        histograms: before training, and after it with every weight decay.
    """

    edges: tuple[float, ...]
    histograms: tuple[WeightHistogram, ...]

    def __str__(self) -> str:
        names = [histogram.name for histogram in self.histograms]
        bins = [
            [f"{low:+.3f} to {high:+.3f}", *(f"{h.counts[i]:,}" for h in self.histograms)]
            for i, (low, high) in enumerate(zip(self.edges, self.edges[1:], strict=False))
        ]
        layers = range(len(self.histograms[0].layer_norms))
        numbers = [
            *(
                [f"‖W‖ of layer {i + 1}", *(f"{h.layer_norms[i]:.3f}" for h in self.histograms)]
                for i in layers
            ),
            ["‖w‖ of all", *(f"{h.norm:.3f}" for h in self.histograms)],
            ["held-out accuracy", *(f"{h.accuracy:.2%}" for h in self.histograms)],
        ]
        return f"{table(['weights', *names], bins)}\n\n{table(['', *names], numbers)}"

    __repr__ = __str__


def weight_decay(
    weight_decays: Sequence[float] = (0.0, 1.0),
    data: Data = "digits",
    epochs: int = 5,
    hidden: Sequence[int] = (64, 64),
    lr: float = 3e-3,
    samples: int | None = None,
    held_out: int = 360,
    batch_size: int = 32,
    bins: int = 20,
    seed: int = 0,
    progress: Progress | None = None,
) -> WeightDecay:
    """Train one network with every weight decay, from the same weights; histograms of the weights.

    The decay is AdamW's: each step makes a weight smaller by lr * weight_decay of itself.

    Args:
        weight_decays: what to train with.
        data: the samples, or their name.
        epochs: how often to go through them.
        hidden: the width of each hidden layer.
        lr: the learning rate.
        samples: how many to learn from; None for all that are not held out.
        held_out: how many to measure accuracy on.
        batch_size: how many at a time.
        bins: of the histograms, as wide as each other, from the smallest weight to the largest.
        seed: of the initial weights, the samples and their order.
        progress: told of every step.

    >>> import nn
    >>> found = nn.experiments.weight_decay((0.0, 5.0), samples=320, epochs=2)
    >>> before, free, decayed = (histogram.norm for histogram in found.histograms)
    >>> decayed < before < free
    True
    """
    if not weight_decays or bins < 1:
        raise ConfigurationError(
            "the experiment takes at least one weight decay and one bin, not"
            f" weight_decays={list(weight_decays)}, bins={bins}"
        )
    dataset = rows(data)
    train, measured = split(dataset, samples, held_out, seed)
    sizes = [dataset.inputs.shape[1], *hidden, len(dataset.classes)]
    decays: list[float | None] = [None, *weight_decays]
    weights: list[list[Array]] = []
    accuracies: list[float] = []
    for i, decay in enumerate(decays):
        model = feedforward(sizes, rng=np.random.default_rng(seed))
        if decay is not None:
            fit(
                model,
                AdamW(model.parameters(), lr=lr, weight_decay=decay),
                train,
                epochs=epochs,
                batch_size=batch_size,
                seed=seed,
                callbacks=[StepProgress(progress, f"decay {decay:g}", i - 1, len(weight_decays))],
            )
        weights.append(_weights(model))
        accuracies.append(evaluate(model, measured)["accuracy"])
    flat = [np.concatenate([w.ravel() for w in own]).astype(np.float64) for own in weights]
    edges = np.histogram_bin_edges(np.concatenate(flat), bins)
    return WeightDecay(
        tuple(edges.tolist()),
        tuple(
            WeightHistogram(
                decay,
                tuple(np.histogram(numbers, edges)[0].tolist()),
                float(np.linalg.norm(numbers)),
                tuple(float(np.linalg.norm(w)) for w in own),
                accuracy,
            )
            for decay, own, numbers, accuracy in zip(decays, weights, flat, accuracies, strict=True)
        ),
    )


def _weights(model: Sequential) -> list[Array]:
    return [p.data for path, p in model.named_parameters() if path.endswith("weight")]
