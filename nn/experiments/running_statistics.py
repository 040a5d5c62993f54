"""What batch norms remember: their running mean and variance, next to what really came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.containers import Sequential
from nn.errors import ConfigurationError
from nn.experiments.samples import Data, images, labelled, some
from nn.experiments.training import Progress, StepProgress, fit, shown_steps
from nn.layers.activation import ReLU
from nn.layers.convolution import Conv2d
from nn.layers.linear import Linear
from nn.layers.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from nn.layers.pooling import GlobalAvgPool
from nn.module import Module
from nn.optim import AdamW
from nn.table import table
from nn.training import RunningStatistics
from tinygrad_edu.graph import plain

Array = np.ndarray[Any, Any]

# How many steps of each batch norm a printout shows.
_SHOWN = 12


@dataclass(frozen=True, eq=False)
class BatchNormLog:
    """What one batch norm saw, a row for every training step: arrays ``(steps, C)``.

    Attributes:
        path: where it is in the model.
        momentum: how far its running statistics move with a batch; None for their mean.
        running_mean: after the step's forward pass.
        running_var: likewise.
        batch_mean: the true mean of each channel of what came in.
        batch_var: the true variance, unbiased.
    """

    path: str
    momentum: float | None
    running_mean: Array
    running_var: Array
    batch_mean: Array
    batch_var: Array


@dataclass(frozen=True, repr=False, eq=False)
class BatchNormLogs:
    """What ``running_statistics`` logged; printing it shows the means over the channels.

    Attributes:
        norms: a log for each batch norm that ran.
    """

    norms: tuple[BatchNormLog, ...]

    def __str__(self) -> str:
        header = ("batch norm", "step", "running mean", "batch mean", "running var", "batch var")
        rows = []
        for log in self.norms:
            columns = log.running_mean, log.batch_mean, log.running_var, log.batch_var
            for step in shown_steps(len(log.batch_mean), _SHOWN):
                numbers = [f"{column[step].mean():.5f}" for column in columns]
                rows.append((log.path, f"{step + 1}", *numbers))
        return f"means over the channels\n{table(header, rows)}"

    __repr__ = __str__


def running_statistics(
    model: Module | None = None,
    data: Data = "digits",
    epochs: int = 1,
    samples: int | None = None,
    batch_size: int = 32,
    lr: float = 1e-3,
    seed: int = 0,
    progress: Progress | None = None,
) -> BatchNormLogs:
    """Train a model, and log what its batch norms remember and what came into them.

    A running mean follows the rule running ← (1 - momentum) running + momentum batch, from 0, and
    a running variance likewise, from 1.

    Args:
        model: takes the batches of ``data``; by default two convolutions with batch norms for
            images of it. It is trained by AdamW on cross-entropy.
        data: the samples, or their name.
        epochs: how often to go through them.
        samples: how many to take; None for all.
        batch_size: how many at a time.
        lr: the learning rate.
        seed: of the initial weights of the default model, and of the order of the samples.
        progress: told of every step.

    Raises:
        ConfigurationError: the model has no batch norm that keeps running statistics.

    >>> import nn, numpy as np
    >>> log = nn.experiments.running_statistics(samples=64).norms[0]
    >>> bool(np.allclose(log.running_mean[0], 0.1 * log.batch_mean[0]))
    True
    """
    dataset = labelled(data) if model is not None else images(data)
    if model is None:
        model = _default_model(dataset.inputs.shape[1], len(dataset.classes), seed)
    norms: dict[Any, str] = {
        module: path
        for path, module in model.named_modules()
        if isinstance(module, BatchNorm1d | BatchNorm2d | BatchNorm3d)
        and module.track_running_stats
    }
    if not norms:
        raise ConfigurationError(
            f"{type(model).__name__} has no batch norm that keeps running statistics"
        )
    train = some(dataset, samples, seed)
    came: dict[str, list[tuple[Array, Array]]] = {path: [] for path in norms.values()}

    def note(module: Module, inputs: tuple[Any, ...], output: Any) -> None:
        if module.training:
            x = np.moveaxis(plain(inputs[0]).astype(np.float64), 1, -1)
            x = x.reshape(-1, x.shape[-1])
            came[norms[module]].append((x.mean(0), x.var(0, ddof=1)))

    recorder = RunningStatistics(every=1)
    removals = [module.register_forward_hook(note) for module in norms]
    try:
        fit(
            model,
            AdamW(model.parameters(), lr=lr),
            train,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            callbacks=[StepProgress(progress), recorder],
        )
    finally:
        for remove in removals:
            remove()
    logs = []
    for module, path in norms.items():
        if not came[path]:
            continue
        # The recorder's first statistics are those before training.
        running = recorder.means[path][1:], recorder.variances[path][1:]
        batch = zip(*came[path], strict=True)
        logs.append(BatchNormLog(path, module.momentum, *map(np.array, (*running, *batch))))
    return BatchNormLogs(tuple(logs))


def _default_model(channels: int, classes: int, seed: int) -> Sequential:
    rng = np.random.default_rng(seed)
    new: dict[str, Any] = {"padding": 1, "bias": False, "nonlinearity": "relu", "rng": rng}
    return Sequential(
        {
            "conv1": Conv2d(channels, 16, 3, **new),
            "bn1": BatchNorm2d(16),
            "relu1": ReLU(),
            "conv2": Conv2d(16, 32, 3, stride=2, **new),
            "bn2": BatchNorm2d(32),
            "relu2": ReLU(),
            "pool": GlobalAvgPool(),
            "linear": Linear(32, classes, rng=rng),
        }
    )
