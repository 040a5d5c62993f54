"""Dropout: in training, a random part of the activations is set to zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn import random
from nn.checks import check_probability
from nn.module import Module


class _Dropout(Module):
    def __init__(self, p: float = 0.5, *, rng: np.random.Generator | None = None) -> None:
        check_probability(f"{type(self).__name__}'s p", p)
        self.p = p
        self.rng = rng

    def _dropped(self, x: Any, whole: int) -> Any:
        """x without a random part; what the axes from ``whole`` on hold is kept or dropped whole.

        The rest is divided by 1 - p.
        """
        if not self.training or self.p == 0:
            return x
        dtype = x.dtype if x.dtype.kind == "f" else np.float64
        ones = np.ones((*x.shape[:whole], *(1,) * len(x.shape[whole:])), dtype)
        return x * tg.dropout(ones, self.p, True, random.generator(self.rng))

    def _extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Dropout):
    """In training, y = x * mask / (1 - p), where each entry of the mask is 0 with probability p.

    Dividing keeps the expectation of y at x, so in ``eval`` mode y is x itself.
    Source: Srivastava et al., 2014.

    Args:
        p: the probability of an entry to be set to zero, in [0, 1].
        rng: where the masks come from; the shared generator by default.
    """

    def forward(self, x: Any) -> Any:
        """Any shape, kept; or a list of Values."""
        if isinstance(x, list | tuple):
            return self._dropped_values(x)
        return tg.dropout(x, self.p, self.training, random.generator(self.rng))

    def _dropped_values(self, x: Sequence[Any]) -> Sequence[Any]:
        if not self.training or self.p == 0:
            return x
        factors = tg.dropout(np.ones(len(x)), self.p, True, random.generator(self.rng))
        return [value * factor for value, factor in zip(x, factors.tolist(), strict=True)]


class Dropout2d(_Dropout):
    """``Dropout`` of whole channels: neighbours in an image say much the same.

    Source: Tompson et al., Efficient object localization using convolutional networks, 2015.

    Args:
        p: the probability of a channel of a sample to be set to zero, in [0, 1].
        rng: where the masks come from; the shared generator by default.
    """

    def forward(self, x: Any) -> Any:
        """``(N, C, H, W)``, kept."""
        if len(x.shape) != 4:
            raise tg.ShapeError(f"{self._in_place()} takes x (N, C, H, W), not {tuple(x.shape)}")
        return self._dropped(x, whole=2)


class DropPath(_Dropout):
    """``Dropout`` of whole samples: the branch of a ``Residual`` is left out, "stochastic depth".

    Source: Huang et al., Deep networks with stochastic depth, 2016.

    Args:
        p: the probability of a sample to be set to zero, in [0, 1].
        rng: where the masks come from; the shared generator by default.

    >>> import nn
    >>> branch = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.DropPath(0.1))
    >>> block = nn.Residual(branch)
    """

    def forward(self, x: Any) -> Any:
        """``(N, ...)``, kept."""
        return self._dropped(x, whole=1)
