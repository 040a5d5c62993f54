"""The random numbers of nn: one generator, so that one seed makes a run repeat."""

from __future__ import annotations

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


def generator(rng: np.random.Generator | None = None) -> np.random.Generator:
    """``rng`` itself, or the shared generator if it is None."""
    return _generator if rng is None else rng
