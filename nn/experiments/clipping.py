"""The norm of the gradient of every step of a training, before and after it is clipped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn.experiments.samples import Data, rows, some
from nn.experiments.training import Progress, StepProgress, fit, shown_steps
from nn.optim import SGD, Clipping
from nn.table import table
from nn.zoo.feedforward import feedforward

# How many steps a printout shows.
_SHOWN = 20


@dataclass(frozen=True, repr=False)
class ClippedTraining:
    """What ``clipping`` saw; printing it shows steps from the first to the last.

    Attributes:
        max_norm: the largest norm that stays.
        losses: the loss of every step's batch.
        before: the norm of all gradients as one vector, before clipping.
        after: and after it.
        fired: how many steps were clipped.
    """

    max_norm: float
    losses: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]
    fired: int

    def __str__(self) -> str:
        columns = self.losses, self.before, self.after
        lines = [
            [f"{i + 1}", *(f"{column[i]:.4f}" for column in columns)]
            for i in shown_steps(len(self.before), _SHOWN)
        ]
        return (
            f"{table(['step', 'loss', '‖g‖ before', '‖g‖ after'], lines)}\n"
            f"clipped to {self.max_norm:g} in {self.fired} of {len(self.before)} steps"
        )

    __repr__ = __str__


def clipping(
    max_norm: float = 1.5,
    data: Data = "digits",
    epochs: int = 2,
    hidden: Sequence[int] = (64, 64),
    lr: float = 0.1,
    samples: int | None = None,
    batch_size: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> ClippedTraining:
    """Train a feed-forward network by SGD with its gradients clipped, and log their norms.

    Args:
        max_norm: the largest norm that stays; see ``nn.optim.clip_grad_norm_``.
        data: the samples, or their name.
        epochs: how often to go through them.
        hidden: the width of each hidden layer.
        lr: the learning rate.
        samples: how many to take; None for all.
        batch_size: how many at a time.
        seed: of the initial weights and the order of the samples.
        progress: told of every step.

    >>> import nn
    >>> log = nn.experiments.clipping(0.5, samples=128, epochs=1)
    >>> len(log.before), max(log.after) <= 0.5
    (4, True)
    """
    dataset = rows(data)
    sizes = [dataset.inputs.shape[1], *hidden, len(dataset.classes)]
    model = feedforward(sizes, rng=np.random.default_rng(seed))
    losses: list[float] = []

    def loss(output: Any, target: Any) -> Any:
        mean = tg.cross_entropy(output, target)
        losses.append(mean.item())
        return mean

    clip = Clipping(max_norm)
    fit(
        model,
        SGD(model.parameters(), lr=lr),
        some(dataset, samples, seed),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        callbacks=[StepProgress(progress)],
        loss=loss,
        clipping=clip,
    )
    return ClippedTraining(
        max_norm, tuple(losses), tuple(clip.before), tuple(clip.after), clip.fired
    )
