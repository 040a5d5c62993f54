"""The data sets that come with the library, by name, for a command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import tinygrad_edu as tg
from nn.data.dataset import Dataset
from nn.data.images import digits, fashion_mnist, mnist
from nn.data.plane import blobs, circles, moons, spirals, xor
from nn.data.tables import breast_cancer, iris, regression, wine
from nn.data.text import tiny_text
from nn.errors import ConfigurationError

DATASETS: dict[str, Callable[..., Dataset]] = {
    "blobs": blobs,
    "breast_cancer": breast_cancer,
    "circles": circles,
    "digits": digits,
    "fashion_mnist": fashion_mnist,
    "iris": iris,
    "mnist": mnist,
    "moons": moons,
    "regression": regression,
    "spirals": spirals,
    "tiny_text": tiny_text,
    "wine": wine,
    "xor": xor,
}


def load(name: str, **options: Any) -> Dataset:
    """The data set of that name, made with its function's options.

    Raises:
        UnknownNameError: there is none, or it has no such option; the message lists the known ones.
        ConfigurationError: an option that it needs is missing.
        MissingExtraError: it needs scikit-learn, which is not installed.

    >>> load("moons", n=50)
    TensorDataset((50, 2), (50,), name='moons')
    """
    if name not in DATASETS:
        raise tg.UnknownNameError("data set", name, DATASETS)
    known = inspect.signature(DATASETS[name]).parameters
    for option in options:
        if not known:
            raise ConfigurationError(f"the data set {name} has no options, and was given {option}")
        if option not in known:
            raise tg.UnknownNameError(f"option of the data set {name}", option, known)
    needed = [n for n, p in known.items() if p.default is p.empty and n not in options]
    if needed:
        raise ConfigurationError(f"the data set {name} needs {', '.join(needed)}")
    return DATASETS[name](**options)
