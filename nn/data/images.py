"""Data sets of images: ``(N, C, H, W)``, each pixel in [0, 1]."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from nn.data.dataset import TensorDataset
from nn.data.idx import read_idx
from nn.data.tables import sklearn_datasets
from nn.errors import DataError

_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)

# How many of the 70,000 images are to learn from; the rest are to test.
_TRAIN = 60_000


def digits() -> TensorDataset:
    """1,797 real handwritten digits of 8x8 pixels, ``(N, 1, 8, 8)``.

    Source: Alpaydin and Kaynak, 1998 (UCI machine learning repository), as in scikit-learn.
    """
    images, labels = sklearn_datasets("the digits data set").load_digits(return_X_y=True)
    inputs = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return TensorDataset(inputs, labels.astype(np.int64), name="digits", classes=_DIGITS)


def mnist(folder: str | Path | None = None, train: bool = True) -> TensorDataset:
    """Real handwritten digits of 28x28 pixels: 60,000 to learn from, 10,000 to test on.

    They are read from the four IDX files as published, ``train-images-idx3-ubyte`` and so on,
    packed by gzip or not. Without a folder these are looked for in ``$TINYGRAD_EDU_DATA/mnist``;
    if that is not set either, scikit-learn fetches the images from openml.org, and keeps them.

    Source: LeCun, Bottou, Bengio and Haffner, 1998.

    Args:
        folder: where the files are.
        train: whether to return what is to learn from, or what is to test on.

    Raises:
        DataError: a file is missing, not whole or of something else; or nothing can be fetched.
    """
    return _mnist("mnist", "mnist_784", folder, train, _DIGITS)


def fashion_mnist(folder: str | Path | None = None, train: bool = True) -> TensorDataset:
    """Photographs of clothes, in the numbers, sizes and files of ``mnist``.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017.
    """
    return _mnist("fashion_mnist", "Fashion-MNIST", folder, train, _CLOTHES)


def _mnist(
    name: str, openml: str, folder: str | Path | None, train: bool, classes: tuple[str, ...]
) -> TensorDataset:
    kept = os.environ.get("TINYGRAD_EDU_DATA")
    if folder is None and kept:
        folder = Path(kept) / name
    images, labels = _fetched(name, openml, train) if folder is None else _read(Path(folder), train)
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(
            f"the files of {name} in {folder} do not belong together: images of shape"
            f" {images.shape} and labels of shape {labels.shape}"
        )
    if labels.size and labels.max() >= len(classes):
        raise DataError(f"{name} has the classes 0 to 9, and the labels in {folder} {labels.max()}")
    pixels = images[:, None].astype(np.float32) / 255
    return TensorDataset(pixels, labels.astype(np.int64), name=name, classes=classes)


def _read(folder: Path, train: bool) -> tuple[Any, Any]:
    part = "train" if train else "t10k"
    return _find(folder, f"{part}-images-idx3-ubyte"), _find(folder, f"{part}-labels-idx1-ubyte")


def _find(folder: Path, name: str) -> Any:
    """The array in the file of that name, in one of the ways in which it is written."""
    dotted = name.replace("-idx", ".idx")
    for path in (folder / (n + end) for n in (name, dotted) for end in ("", ".gz")):
        if path.is_file():
            return read_idx(path)
    raise DataError(f"there is no file {name} in {folder}, packed as {name}.gz or not")


def _fetched(name: str, openml: str, train: bool) -> tuple[Any, Any]:
    fetch = sklearn_datasets(f"fetching {name}").fetch_openml
    parser = "pandas" if find_spec("pandas") else "liac-arff"  # pandas is much faster
    try:
        found = fetch(openml, version=1, as_frame=False, parser=parser)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name} cannot be fetched from openml.org: {error}. Put its four files into a folder,"
            " train-images-idx3-ubyte and so on, and name the folder"
        ) from error
    part = slice(None, _TRAIN) if train else slice(_TRAIN, None)
    return found.data[part].reshape(-1, 28, 28), found.target[part].astype(np.int64)
