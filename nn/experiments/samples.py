"""The samples of an experiment: as images or as rows, some to learn from, others to measure on."""

from __future__ import annotations

import math

from nn import data as sources
from nn.data import Dataset, TensorDataset, random_split
from nn.errors import ConfigurationError

# A data set, or the name of one that ``nn.data.load`` knows.
Data = str | Dataset


def labelled(data: Data) -> Dataset:
    """The data set, which has to have classes.

    Raises:
        UnknownNameError: there is none of that name.
        ConfigurationError: its targets are no classes.
    """
    dataset = sources.load(data) if isinstance(data, str) else data
    if not dataset.classes:
        raise ConfigurationError(
            f"data set {dataset.name!r} has no classes, and the experiment is about telling them"
            " apart: nn.data.TensorDataset(x, y, classes=(...)) names them"
        )
    return dataset


def rows(data: Data) -> TensorDataset:
    """The samples with all numbers of each in a row: inputs ``(N, features)``."""
    dataset = labelled(data)
    inputs = dataset.inputs
    return _with_inputs(dataset, inputs.reshape(len(inputs), -1))


def images(data: Data) -> TensorDataset:
    """The samples as square images ``(N, C, H, H)``; rows of H² numbers are images of one channel.

    Raises:
        ConfigurationError: they are neither.
    """
    dataset = labelled(data)
    inputs = dataset.inputs
    side = math.isqrt(inputs.shape[-1])
    if inputs.ndim == 2 and side * side == inputs.shape[-1]:
        inputs = inputs.reshape(-1, 1, side, side)
    if inputs.ndim != 4 or inputs.shape[2] != inputs.shape[3]:
        raise ConfigurationError(
            f"the experiment takes square images (N, C, H, H), and the inputs of data set"
            f" {dataset.name!r} have shape {inputs.shape}"
        )
    return _with_inputs(dataset, inputs)


def some(dataset: Dataset, samples: int | None, seed: int) -> Dataset:
    """So many samples at random, the same share of every class; None for all of them.

    Raises:
        ConfigurationError: there are not that many.
    """
    n = len(dataset)
    if samples is None or samples == n:
        return dataset
    if not 0 < samples < n:
        raise ConfigurationError(
            f"data set {dataset.name!r} has {n} samples, of which samples={samples} cannot be taken"
        )
    return random_split(dataset, [samples, n - samples], seed)[0]


def split(
    dataset: Dataset, samples: int | None, held_out: int, seed: int
) -> tuple[Dataset, Dataset]:
    """Samples to learn from and, drawn before them, others to measure on.

    Args:
        dataset: all of them.
        samples: how many to learn from; None for all but the held-out ones.
        held_out: how many to measure on.
        seed: the same seed holds the same ones out, whatever ``samples`` is.

    Raises:
        ConfigurationError: there are not that many.
    """
    n = len(dataset)
    if not 0 < held_out < n:
        raise ConfigurationError(
            f"data set {dataset.name!r} has {n} samples, so held_out must be from 1 to {n - 1}, not"
            f" {held_out}"
        )
    rest, measured = random_split(dataset, [n - held_out, held_out], seed)
    return some(rest, samples, seed), measured


def _with_inputs(dataset: Dataset, inputs: sources.dataset.Array) -> TensorDataset:
    return TensorDataset(inputs, dataset.targets, name=dataset.name, classes=dataset.classes)
