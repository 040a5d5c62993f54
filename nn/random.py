"""The random numbers of nn: one generator, so that one seed makes a run repeat."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_generator = np.random.default_rng()


def manual_seed(seed: int) -> None:
    """Start the shared generator anew: initial weights and dropout then repeat bit for bit.

    >>> import nn
    >>> nn.manual_seed(0)
    >>> a = nn.Linear(2, 1).weight.data
    >>> nn.manual_seed(0)
    >>> bool((nn.Linear(2, 1).weight.data == a).all())
    True
    """
    global _generator
    _generator = np.random.default_rng(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it the shared generator is a new one; afterwards the old one goes on where it was."""
    global _generator
    before = _generator
    manual_seed(seed)
    try:
        yield
    finally:
        _generator = before


def generator(rng: np.random.Generator | None = None) -> np.random.Generator:
    """``rng`` itself, or the shared generator if it is None."""
    return _generator if rng is None else rng
