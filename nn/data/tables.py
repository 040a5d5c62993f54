"""Data sets of measurements, a row of numbers each. scikit-learn has or makes them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn.checks import check_integer
from nn.data.dataset import TensorDataset
from nn.data.options import check_options


def iris(standardize: bool = True) -> TensorDataset:
    """150 iris flowers of three species, by the length and width of sepals and petals.

    Source: Fisher, 1936, as in scikit-learn.

    Args:
        standardize: bring every feature to mean 0 and deviation 1, over all samples: also those
            that are held out later, which an honest account of a model would leave out of it.

    Raises:
        MissingExtraError: scikit-learn, which has them, is not installed.
    """
    return _classes("iris", standardize)


def wine(standardize: bool = True) -> TensorDataset:
    """178 wines of three growers, by 13 chemical measurements; ``standardize`` as for ``iris``.

    Source: Forina et al., 1991 (UCI machine learning repository), as in scikit-learn.
    """
    return _classes("wine", standardize)


def breast_cancer(standardize: bool = True) -> TensorDataset:
    """569 tumours, malignant or benign, by 30 measurements; ``standardize`` as for ``iris``.

    Source: Wolberg, Street and Mangasarian, 1995 (UCI machine learning repository), as in
    scikit-learn.
    """
    return _classes("breast_cancer", standardize)


def regression(n: int = 400, features: int = 8, noise: float = 0.1, seed: int = 0) -> TensorDataset:
    """A number to predict, linear in normally distributed features up to noise.

    Args:
        n: how many samples, at least two.
        features: how many features; all of them count.
        noise: the standard deviation of the noise, in that of the targets without it.
        seed: the same seed gives the same samples.

    Returns:
        Inputs ``(n, features)``, and targets ``(n, 1)`` that are scaled to mean 0 and deviation 1.

    Raises:
        ConfigurationError: an option is out of range.
        MissingExtraError: scikit-learn, which makes them, is not installed.
    """
    check_options("regression", n, 2, noise, seed)
    check_integer("features of regression", features)
    make = sklearn_datasets("the regression data set").make_regression
    inputs, targets = make(n, features, n_informative=features, random_state=seed)
    rng = np.random.default_rng(seed)
    targets = _standardized(_standardized(targets) + noise * rng.normal(size=n))
    return TensorDataset(
        inputs.astype(np.float32), targets[:, None].astype(np.float32), name="regression"
    )


def sklearn_datasets(what: str) -> Any:
    """scikit-learn's module of data sets.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("sklearn.datasets")
    except ImportError as error:
        raise tg.MissingExtraError(what, "scikit-learn", "train") from error


def _classes(name: str, standardize: bool) -> TensorDataset:
    found = getattr(sklearn_datasets(f"the data set {name}"), f"load_{name}")()
    inputs = _standardized(found.data) if standardize else found.data
    return TensorDataset(
        inputs.astype(np.float32),
        found.target.astype(np.int64),
        name=name,
        classes=[str(c) for c in found.target_names],
    )


def _standardized(x: Any) -> Any:
    return (x - x.mean(axis=0)) / x.std(axis=0)
