"""Data sets of points in the plane, which can be looked at: made by chance, as many as wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from nn.data.dataset import TensorDataset
from nn.data.tables import sklearn_datasets
from nn.layers.sizes import check_size


def moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> TensorDataset:
    """Two interleaved half circles.

    Args:
        n: how many points.
        noise: the standard deviation of what is added to each coordinate.
        seed: the same seed gives the same points.
    """
    make = sklearn_datasets("the moons data set").make_moons
    return _plane("moons", *make(n, noise=noise, random_state=seed))


def circles(n: int = 200, noise: float = 0.1, seed: int = 0) -> TensorDataset:
    """A circle within another of twice its radius; arguments as for ``moons``."""
    make = sklearn_datasets("the circles data set").make_circles
    return _plane("circles", *make(n, noise=noise, factor=0.5, random_state=seed))


def blobs(n: int = 300, classes: int = 3, noise: float = 1.0, seed: int = 0) -> TensorDataset:
    """Clouds of points, one a class; arguments as for ``moons``."""
    make = sklearn_datasets("the blobs data set").make_blobs
    return _plane("blobs", *make(n, centers=classes, cluster_std=noise, random_state=seed))


def spirals(n: int = 300, classes: int = 3, noise: float = 0.05, seed: int = 0) -> TensorDataset:
    """Arms that wind once around the origin out to a radius of 1, one a class.

    A point of class c at the share t of its arm is at radius t and angle 2π (c / classes + t).

    Args:
        n: how many points, as evenly over the arms as can be.
        classes: how many arms.
        noise: the standard deviation of what is added to each coordinate.
        seed: the same seed gives the same points.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(check_size("n of spirals", n)) % check_size("classes of spirals", classes)
    share = rng.uniform(size=n)
    angle = 2 * np.pi * (labels / classes + share)
    points = share[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _plane("spirals", points + rng.normal(0, noise, size=(n, 2)), labels)


def xor(n: int = 200, noise: float = 0.15, seed: int = 0) -> TensorDataset:
    """Points around (±1, ±1), of class 1 where the signs differ; arguments as for ``moons``."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 2, size=(n, 2))
    points = 2 * corners - 1 + rng.normal(0, noise, size=(n, 2))
    return _plane("xor", points, corners[:, 0] ^ corners[:, 1])


def _plane(name: str, points: Any, labels: Any) -> TensorDataset:
    classes = tuple(str(label) for label in range(int(labels.max()) + 1))
    return TensorDataset(
        points.astype(np.float32), labels.astype(np.int64), name=name, classes=classes
    )
