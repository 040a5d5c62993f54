"""The scalar tier on the command line: training an MLP of Values, and looking into its neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nn
from tinygrad_edu.errors import UnknownNameError
from tinygrad_edu.graph import no_grad
from tinygrad_edu.value import Value

# The two-class data sets in the plane.
PLANE_DATASETS: dict[str, dict[str, Any]] = {"moons": {}, "xor": {}, "blobs": {"classes": 2}}


def plane_dataset(name: str, seed: int) -> nn.data.Dataset:
    """A data set of two classes of points.

    Raises:
        UnknownNameError: there is none of that name; the message lists them.
    """
    if name not in PLANE_DATASETS:
        raise UnknownNameError("data set of two classes in the plane", name, PLANE_DATASETS)
    return nn.data.load(name, n=60, seed=seed, **PLANE_DATASETS[name])


def logistic_loss(scores: list[Value], labels: Any) -> Value:
    """The mean of log(1 + exp(-s)), with s the score for label 1, and its negative for label 0."""
    return nn.functional.soft_margin_loss(scores, [1 if label else -1 for label in labels])


def mean_loss(model: nn.MLP, samples: nn.data.Dataset) -> tuple[Value, float]:
    """The mean logistic loss over the samples, and the share of them that is classified right."""
    scores = [model(x) for x in samples.inputs.tolist()]
    right = [(s.data > 0) == bool(y) for s, y in zip(scores, samples.targets, strict=True)]
    return logistic_loss(scores, samples.targets), float(np.mean(right))


def train_scalar(
    model: nn.MLP,
    samples: nn.data.Dataset,
    steps: int,
    lr: float = 0.1,
    report: Callable[[int, float, float], None] | None = None,
) -> tuple[float, float]:
    """Adam on the whole of ``samples``; returns the loss and accuracy before the last step.

    Args:
        model: two inputs, one output.
        samples: points of two classes.
        steps: how many steps.
        lr: the learning rate.
        report: told of every step, with the loss and accuracy before it.
    """
    optimizer = nn.optim.Adam(model.parameters(), lr=lr)
    loss_value, accuracy = float("nan"), float("nan")
    for step in range(1, steps + 1):
        loss, accuracy = mean_loss(model, samples)
        loss_value = loss.data
        optimizer.zero_grad()
        loss.backward(retain_graph=False)
        optimizer.step()
        if report is not None:
            report(step, loss_value, accuracy)
    return loss_value, accuracy


def scores_of(model: nn.MLP, points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The model's score of every row of ``points``, without a graph."""
    with no_grad():
        return np.array([model(row).data for row in points.tolist()])
