"""DataLoader: a data set in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nn.data.dataset import Dataset
from nn.errors import ConfigurationError

Array = np.ndarray[Any, Any]


class DataLoader:
    """Goes through a data set in batches; every pass over it is an epoch.

    Args:
        dataset: the samples.
        batch_size: how many at a time.
        shuffle: take them in a new random order each epoch.
        drop_last: leave out a last batch that is smaller.
        seed: the same seed gives the same orders.

    Raises:
        ConfigurationError: ``batch_size`` is not a positive integer, or there is no batch.

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
    ) -> None:
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ConfigurationError(f"batch_size must be a positive integer, not {batch_size!r}")
        self.dataset, self.batch_size = dataset, int(batch_size)
        self.shuffle, self.drop_last = shuffle, drop_last
        self._rng = np.random.default_rng(seed)
        if not len(self):
            raise ConfigurationError(
                f"data set {dataset.name!r} of {len(dataset)} samples gives no batch of"
                f" {batch_size}"
            )

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        n = len(self.dataset)
        order = self._rng.permutation(n) if self.shuffle else np.arange(n)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            batch = order[start : start + self.batch_size]
            yield self.dataset.inputs[batch], self.dataset.targets[batch]
