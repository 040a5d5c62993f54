"""Data sets of images: ``(N, C, H, W)``, each pixel in [0, 1]."""

from __future__ import annotations

import os
import zlib
from http.client import HTTPException
from pathlib import Path

import numpy as np

from nn.data.dataset import Array, TensorDataset
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

# The height and width of MNIST's images, and of those made after its pattern.
_SIZE = (28, 28)

# How many of the 70,000 images are to learn from; the rest are to test.
_TRAIN = 60_000


def digits() -> TensorDataset:
    """1,797 real handwritten digits of 8x8 pixels, ``(N, 1, 8, 8)``.

    Source: Alpaydin and Kaynak, 1998 (UCI machine learning repository), as in scikit-learn.
    """
    images, labels = sklearn_datasets("the digits data set").load_digits(return_X_y=True)
    inputs = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return TensorDataset(inputs, labels.astype(np.int64), name="digits", classes=_DIGITS)


def mnist(folder: str | os.PathLike[str] | None = None, train: bool = True) -> TensorDataset:
    """Real handwritten digits of 28x28 pixels: 60,000 to learn from, 10,000 to test on.

    They are read from the IDX files as published: ``train-images-idx3-ubyte`` and
    ``train-labels-idx1-ubyte``, or ``t10k-...``, also with a dot as in ``train-images.idx3-ubyte``,
    packed by gzip or not. If there are none, and no folder was named, scikit-learn fetches the
    images from openml.org and keeps them in a folder of its own.

    Source: LeCun, Bottou, Bengio and Haffner, 1998.

    Args:
        folder: where the files are. By default ``$TINYGRAD_EDU_DATA/mnist``, or else
            ``tinygrad-edu/mnist`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
        train: whether to return what is to learn from, or what is to test on.

    Raises:
        DataError: a file is missing, not whole or of something else; or nothing can be fetched.
    """
    return _mnist("mnist", "mnist_784", folder, train, _DIGITS)


def fashion_mnist(
    folder: str | os.PathLike[str] | None = None, train: bool = True
) -> TensorDataset:
    """Photographs of clothes, in the numbers, sizes and files of ``mnist``.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017.

    Args:
        folder: where the files are; as for ``mnist``, with ``fashion_mnist`` in its place.
        train: whether to return what is to learn from, or what is to test on.
    """
    return _mnist("fashion_mnist", "Fashion-MNIST", folder, train, _CLOTHES)


def _mnist(
    name: str,
    openml: str,
    folder: str | os.PathLike[str] | None,
    train: bool,
    classes: tuple[str, ...],
) -> TensorDataset:
    part = "train" if train else "t10k"
    names = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    where = _cache(name) if folder is None else Path(folder)
    files = [_find(where, n) for n in names]
    if folder is None and files == [None, None]:
        images, labels = _fetched(name, openml, names, where, train)
    else:
        images, labels = _read(where, names, files, len(classes))
    pixels = images.reshape(-1, 1, *_SIZE).astype(np.float32) / np.float32(255)
    return TensorDataset(pixels, labels.astype(np.int64), name=name, classes=classes)


def _cache(name: str) -> Path:
    """The folder that a data set is looked for in if none is named."""
    own = os.environ.get("TINYGRAD_EDU_DATA")
    if own:
        return Path(own) / name
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "tinygrad-edu" / name


def _find(folder: Path, name: str) -> Path | None:
    """The file of that name, in one of the ways in which it is written."""
    dotted = name.replace("-idx", ".idx")
    paths = (folder / (n + end) for n in (name, dotted) for end in ("", ".gz"))
    return next((path for path in paths if path.is_file()), None)


def _read(
    folder: Path, names: tuple[str, str], files: list[Path | None], classes: int
) -> tuple[Array, Array]:
    """The images and labels in two files."""
    first, second = files
    if first is None or second is None:
        missing = " and ".join(n for n, path in zip(names, files, strict=True) if path is None)
        raise DataError(
            f"there is no {missing} in {folder}"
            f"{'' if folder.is_dir() else ', which is no folder'}: put {' and '.join(names)} into"
            " it, as published, packed as .gz or not"
        )
    images, labels = read_idx(first), read_idx(second)
    _check(first, images, f"images of {_SIZE[0]}x{_SIZE[1]} bytes", _SIZE)
    _check(second, labels, "a byte a label", ())
    if len(images) != len(labels):
        raise DataError(
            f"{first} has {len(images):,} images and {second} has {len(labels):,} labels: they do"
            " not belong together"
        )
    if labels.max() >= classes:
        raise DataError(
            f"{second} has a label {labels.max()}, and those of its classes are 0 to {classes - 1}"
        )
    return images, labels


def _check(path: Path, found: Array, wanted: str, shape: tuple[int, ...]) -> None:
    fits = found.ndim == 1 + len(shape) and found.shape[1:] == shape
    if not fits or not found.size or found.dtype != np.uint8:
        raise DataError(
            f"{path} should hold {wanted}, at least one, and holds an array of shape {found.shape}"
            f" of {found.dtype}"
        )


def _fetched(
    name: str, openml: str, names: tuple[str, str], folder: Path, train: bool
) -> tuple[Array, Array]:
    """The images and labels as scikit-learn fetches them, which keeps what it has fetched."""
    fetch = sklearn_datasets(f"fetching {name}").fetch_openml
    try:
        # The other parser needs pandas.
        found = fetch(openml, version=1, as_frame=False, parser="liac-arff")
        images = np.asarray(found.data).reshape(-1, *_SIZE)
        labels = np.asarray(found.target).astype(np.int64)
    except (OSError, EOFError, zlib.error, HTTPException, ValueError) as error:
        raise DataError(
            f"{name} is not in {folder}, and cannot be fetched from openml.org: {error}. Put"
            f" {' and '.join(names)} into that folder, as published, or name the folder they are in"
        ) from error
    if len(images) <= _TRAIN or len(images) != len(labels):
        raise DataError(
            f"{name} of openml.org should have {_TRAIN:,} images and then those to test on, and"
            f" has {len(images):,} images and {len(labels):,} labels"
        )
    part = slice(None, _TRAIN) if train else slice(_TRAIN, None)
    return images[part], labels[part]
