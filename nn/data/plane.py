"""Data sets of points in the plane, which can be looked at: made by chance, as many as wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from nn.checks import check_integer
from nn.data.dataset import TensorDataset
from nn.data.options import check_options
from nn.data.tables import sklearn_datasets


def moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> TensorDataset:
    """Two interleaved half circles.

    Args:
        n: how many points, at least one a class.
        noise: the standard deviation of what is added to each coordinate.
        seed: the same seed gives the same points.

    Raises:
        ConfigurationError: an option is out of range.
        MissingExtraError: scikit-learn, which makes them, is not installed.
    """
    check_options("moons", n, 2, noise, seed)
    make = sklearn_datasets("the moons data set").make_moons
    return _plane("moons", 2, *make(n, noise=noise, random_state=seed))


def circles(n: int = 200, noise: float = 0.1, seed: int = 0) -> TensorDataset:
    """A circle of radius 1 and, of class 1, one of radius 1/2 in it; arguments as for ``moons``."""
    check_options("circles", n, 2, noise, seed)
    make = sklearn_datasets("the circles data set").make_circles
    return _plane("circles", 2, *make(n, noise=noise, factor=0.5, random_state=seed))


def blobs(n: int = 300, classes: int = 3, noise: float = 1.0, seed: int = 0) -> TensorDataset:
    """Clouds of points around centers in [-10, 10]², one a class; arguments as for ``spirals``."""
    check_options("blobs", n, check_integer("classes of blobs", classes), noise, seed)
    make = sklearn_datasets("the blobs data set").make_blobs
    points, labels = make(n, centers=int(classes), cluster_std=noise, random_state=seed)
    return _plane("blobs", classes, points, labels)


def spirals(n: int = 300, classes: int = 3, noise: float = 0.05, seed: int = 0) -> TensorDataset:
    """Arms that wind once around the origin out to a radius of 1, one a class.

    A point of class c at the share t of its arm is at radius t and angle 2π (c / classes + t).

    Args:
        n: how many points, as evenly over the classes as can be and at least one each.
        classes: how many arms.
        noise: the standard deviation of what is added to each coordinate.
        seed: the same seed gives the same points.

    Raises:
        ConfigurationError: an option is out of range.
    """
    check_options("spirals", n, check_integer("classes of spirals", classes), noise, seed)
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    share = rng.uniform(size=n)
    angle = 2 * np.pi * (labels / classes + share)
    points = share[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return _plane("spirals", classes, points + rng.normal(0, noise, size=(n, 2)), labels)


def xor(n: int = 200, noise: float = 0.15, seed: int = 0) -> TensorDataset:
    """Points around (±1, ±1), of class 1 where the signs differ; arguments as for ``moons``.

    Each corner is drawn with probability 1/4, by NumPy alone.
    """
    check_options("xor", n, 2, noise, seed)
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 2, size=(n, 2))
    points = 2 * corners - 1 + rng.normal(0, noise, size=(n, 2))
    return _plane("xor", 2, points, corners[:, 0] ^ corners[:, 1])


def _plane(name: str, classes: int, points: Any, labels: Any) -> TensorDataset:
    return TensorDataset(
        points.astype(np.float32),
        labels.astype(np.int64),
        name=name,
        classes=[str(label) for label in range(classes)],
    )
