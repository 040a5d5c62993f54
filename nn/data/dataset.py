"""Data sets: samples that can be asked for by number, parts of them, and splits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from numbers import Integral, Real
from typing import Any

import numpy as np

from nn.errors import ConfigurationError
from tinygrad_edu import IndexingError, ShapeError, TargetError
from tinygrad_edu.graph import plain

Array = np.ndarray[Any, Any]

# Some inputs and their targets: of one sample, or stacked, of a batch.
Batch = tuple[Array, ...]

# How many samples at a time to go through a data set that may not fit into memory.
_CHUNK = 1024


class Dataset:
    """The base of all data sets; a subclass writes ``__len__`` and ``__getitem__``.

    A sample is a tuple of arrays or numbers: the model's inputs, and last the target.

    Attributes:
        name: what messages and reports call it.
        classes: the name of each class, if targets are the numbers of classes; else empty.

    >>> import nn
    >>> class Squares(nn.data.Dataset):
    ...     def __len__(self):
    ...         return 5
    ...     def __getitem__(self, i):
    ...         return float(i), float(i * i)
    >>> Squares().batch([1, 3])
    (array([1., 3.]), array([1., 9.]))
    """

    name: str = ""
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        raise TypeError(f"{type(self).__name__} has no __len__(): a Dataset's subclass defines it")

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        raise TypeError(
            f"{type(self).__name__} has no __getitem__(): a Dataset's subclass defines it"
        )

    def batch(self, indices: Sequence[int] | Array) -> Batch:
        """The samples at ``indices``, stacked: an array per part, ``(len(indices), ...)``."""
        return collate([self[int(i)] for i in indices])

    @property
    def inputs(self) -> Array:
        """The first part of every sample, stacked."""
        return self.batch(np.arange(len(self)))[0]

    @property
    def targets(self) -> Array:
        """The target of every sample, stacked."""
        return self.batch(np.arange(len(self)))[-1]

    def fingerprint(self) -> str:
        """A hash of every number in it: two data sets of the same one hold the same samples."""
        starts = range(0, len(self), _CHUNK)
        chunks = (range(i, min(i + _CHUNK, len(self))) for i in starts)
        return _hash(part for chunk in chunks for part in self._parts(chunk))

    def _parts(self, indices: Sequence[int]) -> Iterable[Array]:
        """The samples stacked, or those of several shapes one after the other."""
        try:
            return self.batch(indices)
        except ShapeError:
            return [np.asarray(plain(part)) for i in indices for part in self[i]]


class TensorDataset(Dataset):
    """Arrays whose first axis counts the samples.

    Args:
        arrays: the inputs ``(N, ...)``, and last the targets ``(N, ...)``; Tensors will do. They
            are not copied.
        name: what messages and reports call it.
        classes: the name of each class, if the targets are integers in ``[0, len(classes))``.

    Raises:
        ShapeError: there are no arrays, or they are of different lengths.
        TargetError: a target is nan, or no number of a class.

    >>> import nn, numpy as np
    >>> data = nn.data.TensorDataset(np.eye(3), np.array([0, 1, 1]), classes=("a", "b"))
    >>> data.batch([2, 0])
    (array([[0., 0., 1.],
           [1., 0., 0.]]), array([1, 0]))
    """

    def __init__(self, *arrays: Any, name: str = "data", classes: Sequence[str] = ()) -> None:
        self.name, self.classes = name, tuple(classes)
        self.arrays: Batch = tuple(np.asarray(plain(a)) for a in arrays)
        shapes = [a.shape for a in self.arrays]
        if not shapes or () in shapes or len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(
                f"data set {name!r} takes arrays with an entry per sample, not of shapes"
                f" {', '.join(map(str, shapes)) or '(none)'}"
            )
        self._check_targets(self.arrays[-1])

    def _check_targets(self, targets: Array) -> None:
        if targets.dtype.kind == "f" and not np.isfinite(targets).all():
            at = tuple(map(int, np.argwhere(~np.isfinite(targets))[0]))
            raise TargetError(f"target {at} of data set {self.name!r} is {targets[at]}")
        if self.classes:
            if targets.dtype.kind not in "biu":
                raise TargetError(
                    f"data set {self.name!r} has classes, so its targets are integers, not"
                    f" {targets.dtype}"
                )
            wrong = targets[(targets < 0) | (targets >= len(self.classes))]
            if wrong.size:
                raise TargetError(
                    f"data set {self.name!r} has a target {wrong[0]}, and its {len(self.classes)}"
                    f" classes are 0 to {len(self.classes) - 1}"
                )

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(a[index] for a in self.arrays)

    def batch(self, indices: Sequence[int] | Array) -> Batch:
        """The samples at ``indices``, copied."""
        chosen = np.asarray(indices, np.intp)
        return tuple(a[chosen] for a in self.arrays)

    @property
    def inputs(self) -> Array:
        """The first array, itself."""
        return self.arrays[0]

    @property
    def targets(self) -> Array:
        """The last array, itself."""
        return self.arrays[-1]

    def fingerprint(self) -> str:
        """A hash of every number in it: two data sets of the same one hold the same samples."""
        return _hash(self.arrays)

    def __repr__(self) -> str:
        shapes = ", ".join(str(a.shape) for a in self.arrays)
        return f"TensorDataset({shapes}, name={self.name!r})"


class Subset(Dataset):
    """Some samples of a data set, in an order of their own.

    Args:
        dataset: the whole.
        indices: which samples of it.

    Raises:
        IndexingError: there is no such sample.

    >>> import nn
    >>> nn.data.Subset(nn.data.xor(200), [5, 3])
    Subset(2 of the 200 samples of 'xor')
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int] | Array) -> None:
        self.dataset, self.indices = dataset, np.asarray(indices, np.intp)
        wrong = self.indices[(self.indices < -len(dataset)) | (self.indices >= len(dataset))]
        if self.indices.ndim != 1 or wrong.size:
            found = f"{wrong[0]}" if wrong.size else f"indices of shape {self.indices.shape}"
            raise IndexingError(
                f"a Subset takes a list of numbers of samples, 0 to {len(dataset) - 1}, not {found}"
            )
        self.name, self.classes = dataset.name, dataset.classes

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int | slice) -> tuple[Any, ...]:
        chosen = self.indices[index]
        return self.dataset.batch(chosen) if np.ndim(chosen) else self.dataset[int(chosen)]

    def batch(self, indices: Sequence[int] | Array) -> Batch:
        """The samples at ``indices`` of the subset, stacked."""
        return self.dataset.batch(self.indices[np.asarray(indices, np.intp)])

    def __repr__(self) -> str:
        return f"Subset({len(self)} of the {len(self.dataset)} samples of {self.dataset.name!r})"


def random_split(
    dataset: Dataset,
    lengths: Sequence[float],
    seed: int = 0,
    stratified: bool | None = None,
) -> list[Subset]:
    """Parts of a data set at random, which share no sample.

    Args:
        dataset: what to split.
        lengths: the share of each part, in (0, 1) and 1 together; or how many samples each gets.
        seed: the same seed splits the same way.
        stratified: whether each part gets about the same share of every class; by default where
            each sample has one.

    Raises:
        ConfigurationError: the lengths are no such shares or numbers, a part would be empty, or
            there are no classes to stratify by.

    >>> import nn
    >>> nn.data.random_split(nn.data.xor(200), [0.8, 0.2])
    [Subset(160 of the 200 samples of 'xor'), Subset(40 of the 200 samples of 'xor')]
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ConfigurationError(f"seed must be 0 or a positive integer, not {seed!r}")
    counts = _counts(dataset, lengths)
    labels: Array = np.zeros(len(dataset), int)
    one_class_each = bool(dataset.classes) and dataset.batch([0])[-1].ndim == 1
    if stratified or (stratified is None and one_class_each):
        labels = dataset.targets
        if labels.ndim != 1 or labels.dtype.kind not in "biu":
            raise ConfigurationError(
                f"data set {dataset.name!r} has no class per sample to stratify by: its targets"
                f" are {labels.dtype} of shape {labels.shape}; pass stratified=False"
            )
    rng = np.random.default_rng(seed)
    left = np.arange(len(dataset))
    parts: list[Subset] = []
    for count in counts[:0:-1]:
        left, part = _part(left, labels, count, rng)
        parts.append(Subset(dataset, part))
    return [Subset(dataset, rng.permutation(left)), *reversed(parts)]


def collate(samples: Sequence[tuple[Any, ...]]) -> Batch:
    """Stack samples: an array per part.

    Raises:
        ShapeError: a part is not of one shape in all of them.
    """
    parts = list(zip(*samples, strict=True))
    for i, part in enumerate(parts):
        shapes = {np.shape(plain(x)) for x in part}
        if len(shapes) > 1:
            raise ShapeError(
                f"part {i} of the samples has shapes {', '.join(map(str, sorted(shapes)))}, which"
                " no array holds: give the DataLoader a collate of your own, which pads, say"
            )
    return tuple(np.stack([np.asarray(plain(x)) for x in part]) for part in parts)


def _counts(dataset: Dataset, lengths: Sequence[float]) -> list[int]:
    """How many samples each part gets."""
    n = len(dataset)
    numbers = np.iterable(lengths) and all(isinstance(x, Real) for x in lengths)
    if numbers and sum(lengths) == n and all(isinstance(x, Integral) for x in lengths):
        counts = [int(x) for x in lengths]
    else:
        shares = numbers and all(0 < share < 1 for share in lengths)
        if not shares or not math.isclose(sum(lengths), 1):
            raise ConfigurationError(
                f"random_split takes shares in (0, 1) that sum to 1, such as [0.8, 0.2], or numbers"
                f" that sum to the {n} samples of {dataset.name!r}, not {lengths!r}"
            )
        bounds = [round(n * share) for share in np.cumsum(lengths)]
        counts = [int(count) for count in np.diff(bounds, prepend=0)]
    if min(counts, default=0) < 1:
        raise ConfigurationError(
            f"splitting the {n} samples of {dataset.name!r} by {lengths!r} leaves a part empty"
        )
    return counts


def _part(
    members: Array, labels: Array, count: int, rng: np.random.Generator
) -> tuple[Array, Array]:
    """What is left of ``members``, and ``count`` of them, the same share of every label."""
    share = count / len(members)
    left: list[Array] = []
    part: list[Array] = []
    seen = taken = 0
    for label in np.unique(labels[members]):
        own = rng.permutation(members[labels[members] == label])
        seen += len(own)
        # Rounding the running total, not each class, keeps the sum right as well.
        take = round(share * seen) - taken
        taken += take
        left.append(own[take:])
        part.append(own[:take])
    return np.concatenate(left), rng.permutation(np.concatenate(part))


def _hash(arrays: Iterable[Array]) -> str:
    digest = blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
