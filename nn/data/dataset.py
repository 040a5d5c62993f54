"""Dataset: inputs and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nn.errors import ConfigurationError

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Dataset:
    """Inputs with a class label each.

    Attributes:
        name: what it is called.
        inputs: ``(N, features)``, float32.
        targets: ``(N,)``, integers in ``[0, len(classes))``.
        classes: the name of each class.
    """

    name: str
    inputs: Array
    targets: Array
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ConfigurationError(
                f"data set {self.name!r} has {len(self.inputs)} inputs and"
                f" {len(self.targets)} labels"
            )

    def __len__(self) -> int:
        return len(self.inputs)

    def subset(self, indices: Array) -> Dataset:
        """The samples at ``indices``, in that order."""
        return Dataset(self.name, self.inputs[indices], self.targets[indices], self.classes)

    def split(self, held_out: float = 0.2, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Two parts at random, each with about the same share of every class.

        Args:
            held_out: the share of the second part, in (0, 1).
            seed: the same seed splits the same way.

        Raises:
            ConfigurationError: ``held_out`` is no such share, or leaves a part empty.
        """
        if not 0 < held_out < 1:
            raise ConfigurationError(f"the held-out share must be in (0, 1), not {held_out!r}")
        rng = np.random.default_rng(seed)
        parts: tuple[list[Array], list[Array]] = ([], [])
        seen = taken = 0
        for label in np.unique(self.targets):
            members = rng.permutation(np.flatnonzero(self.targets == label))
            seen += len(members)
            # Rounding the running total, not each class, keeps the sum right as well.
            take = round(held_out * seen) - taken
            taken += take
            parts[0].append(members[take:])
            parts[1].append(members[:take])
        first, second = (rng.permutation(np.concatenate(part)) for part in parts)
        if not len(first) or not len(second):
            raise ConfigurationError(
                f"holding out {held_out} of the {len(self)} samples of {self.name!r} leaves a part"
                " empty"
            )
        return self.subset(first), self.subset(second)
