"""DataLoader: a data set in batches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from nn.checks import check_integer
from nn.data.dataset import Batch, Dataset
from nn.errors import ConfigurationError

# From inputs, targets and a generator of random numbers to others, of as many samples.
Augment = Callable[[Any, Any, np.random.Generator], tuple[Any, Any]]


class DataLoader:
    """Goes through a data set in batches; every pass over it is an epoch.

    The order and the augmentation of an epoch depend on ``seed`` and ``epoch`` alone: a run that
    goes on from its tenth epoch sees what it would have seen.

    Args:
        dataset: the samples.
        batch_size: how many at a time.
        shuffle: take them in a new random order each epoch.
        drop_last: leave out a last batch that is smaller.
        seed: the same seed gives the same orders.
        augment: changes every batch at random, such as ``nn.data.Shift(2)``; by default nothing
            does.
        collate: makes a batch of a list of samples; by default their parts are stacked.
        prefetch: how many batches a second thread makes ahead; 0 for no such thread.

    Attributes:
        epoch: how many passes were begun; set it to repeat one.

    Raises:
        ConfigurationError: an option is out of range, or there is no batch.

    >>> import nn
    >>> loader = nn.data.DataLoader(nn.data.xor(), batch_size=32, shuffle=True)
    >>> [len(y) for x, y in loader]
    [32, 32, 32, 32, 32, 32, 8]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 32,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        augment: Augment | None = None,
        collate: Callable[[Sequence[Any]], Batch] | None = None,
        prefetch: int = 0,
    ) -> None:
        if not isinstance(dataset, Dataset):
            raise ConfigurationError(
                f"a DataLoader takes a Dataset, not {type(dataset).__name__}: arrays become one by"
                " nn.data.TensorDataset(inputs, targets)"
            )
        check_integer("batch_size", batch_size, 1)
        check_integer("prefetch", prefetch, 0)
        check_integer("seed", seed, 0)
        self.dataset, self.batch_size = dataset, int(batch_size)
        self.shuffle, self.drop_last, self.seed = shuffle, drop_last, int(seed)
        self.augment, self.collate, self.prefetch = augment, collate, int(prefetch)
        self.epoch = 0
        if not len(self):
            raise ConfigurationError(
                f"data set {dataset.name!r} of {len(dataset)} samples gives no batch of"
                f" {batch_size}"
            )

    def of(self, dataset: Dataset) -> DataLoader:
        """A loader of another data set, with the same options."""
        return DataLoader(
            dataset,
            self.batch_size,
            self.shuffle,
            self.drop_last,
            self.seed,
            self.augment,
            self.collate,
            self.prefetch,
        )

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        self.epoch += 1
        batches = self._batches(epoch)
        return _ahead(batches, self.prefetch) if self.prefetch else batches

    def _batches(self, epoch: int) -> Iterator[Batch]:
        n = len(self.dataset)
        order = self._generator(epoch).permutation(n) if self.shuffle else np.arange(n)
        for i in range(len(self)):
            indices = order[i * self.batch_size : (i + 1) * self.batch_size]
            if self.collate is None:
                batch = self.dataset.batch(indices)
            else:
                batch = self.collate([self.dataset[int(j)] for j in indices])
            yield batch if self.augment is None else self._augmented(batch, epoch, i)

    def _augmented(self, batch: Batch, epoch: int, i: int) -> Batch:
        assert self.augment is not None
        if len(batch) != 2:
            raise ConfigurationError(
                f"augment changes inputs and targets, and the samples of {self.dataset.name!r}"
                f" have {len(batch)} parts"
            )
        changed = self.augment(batch[0], batch[1], self._generator(epoch, i))
        n = len(batch[1])
        if not isinstance(changed, tuple) or [np.shape(x)[:1] for x in changed] != [(n,), (n,)]:
            given = changed if isinstance(changed, tuple) else [changed]
            raise ConfigurationError(
                f"augment returns a tuple of inputs and targets, {n} of each here, not a"
                f" {type(changed).__name__} of shapes {', '.join(str(np.shape(x)) for x in given)}"
            )
        return changed

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def _ahead(batches: Iterator[Batch], depth: int) -> Iterator[Batch]:
    """The same batches, made by a thread that is up to ``depth`` of them ahead."""
    ready: queue.Queue[tuple[Batch | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: tuple[Batch | None, BaseException | None]) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def make() -> None:
        try:
            for batch in batches:
                put((batch, None))
                if stopped.is_set():
                    return
            put((None, None))
        except BaseException as error:  # handed to the thread that asked for the batch
            put((None, error))

    thread = threading.Thread(target=make, name="DataLoader", daemon=True)
    thread.start()
    try:
        while True:
            batch, error = ready.get()
            if error is not None:
                raise error
            if batch is None:
                return
            yield batch
    finally:
        stopped.set()
        thread.join()
