"""The data sets that come with the library. All but xor are made or held by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn.data.dataset import TensorDataset


def digits() -> TensorDataset:
    """1,797 real handwritten digits, 8x8 pixels in [0, 1], as rows of 64.

    Source: Alpaydin and Kaynak, 1998 (UCI machine learning repository), as in scikit-learn.
    """
    images, labels = _sklearn_datasets("the digits data set").load_digits(return_X_y=True)
    inputs = (images / 16).astype(np.float32)
    return TensorDataset(
        inputs, labels.astype(np.int64), name="digits", classes=tuple("0123456789")
    )


def moons(n: int = 200, noise: float = 0.1, seed: int = 0) -> TensorDataset:
    """Two interleaved half circles in the plane.

    Args:
        n: how many points.
        noise: the standard deviation of what is added to each coordinate.
        seed: the same seed gives the same points.
    """
    make = _sklearn_datasets("the moons data set").make_moons
    return _plane("moons", *make(n, noise=noise, random_state=seed))


def blobs(n: int = 300, classes: int = 3, noise: float = 1.0, seed: int = 0) -> TensorDataset:
    """Clouds of points in the plane, one a class; arguments as for ``moons``."""
    make = _sklearn_datasets("the blobs data set").make_blobs
    return _plane("blobs", *make(n, centers=classes, cluster_std=noise, random_state=seed))


def xor(n: int = 200, noise: float = 0.15, seed: int = 0) -> TensorDataset:
    """Points around (±1, ±1), of class 1 where the signs differ; arguments as for ``moons``."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 2, size=(n, 2))
    points = 2 * corners - 1 + rng.normal(0, noise, size=(n, 2))
    return _plane("xor", points, corners[:, 0] ^ corners[:, 1])


DATASETS: dict[str, Callable[..., TensorDataset]] = {
    "digits": digits,
    "moons": moons,
    "blobs": blobs,
    "xor": xor,
}


def load(name: str, **options: Any) -> TensorDataset:
    """The data set of that name, made with its function's options.

    Raises:
        UnknownNameError: there is none; the message lists the known ones.
        MissingExtraError: it needs scikit-learn, which is not installed.
    """
    if name not in DATASETS:
        raise tg.UnknownNameError("data set", name, DATASETS)
    return DATASETS[name](**options)


def _plane(name: str, points: Any, labels: Any) -> TensorDataset:
    classes = tuple(str(label) for label in range(int(labels.max()) + 1))
    return TensorDataset(
        points.astype(np.float32), labels.astype(np.int64), name=name, classes=classes
    )


def _sklearn_datasets(what: str) -> Any:
    try:
        return import_module("sklearn.datasets")
    except ImportError as error:
        raise tg.MissingExtraError(what, "scikit-learn", "train") from error
