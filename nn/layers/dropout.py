"""Dropout: in training, a random part of the activations is set to zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from nn import random
from nn.errors import ConfigurationError
from nn.module import Module


class Dropout(Module):
    """In training, y = x * mask / (1 - p), where each entry of the mask is 0 with probability p.

    Dividing keeps the expectation of y at x, so in ``eval`` mode y is x itself.
    Source: Srivastava et al., 2014.

    Args:
        p: the probability of an entry to be set to zero, in [0, 1].
        rng: where the masks come from; the shared generator by default.
    """

    def __init__(self, p: float = 0.5, rng: np.random.Generator | None = None) -> None:
        if not 0 <= p <= 1:
            raise ConfigurationError(f"Dropout's p is a probability, in [0, 1], not {p!r}")
        self.p = p
        self.rng = rng

    def forward(self, x: Any) -> Any:
        """Any shape, kept."""
        if not self.training or self.p == 0:
            return x
        kept = random.generator(self.rng).random(x.shape) >= self.p
        scale = 1 / (1 - self.p) if self.p < 1 else 0.0
        return x * (kept * scale).astype(x.dtype)

    def _extra_repr(self) -> str:
        return f"p={self.p}"
