"""SqueezeExcite: channels weighted by what is in the whole image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn.checks import check_integer
from nn.layers.linear import Linear
from nn.layers.pooling import GlobalAvgPool
from nn.module import Module


class SqueezeExcite(Module):
    """y = x * s, with a factor in (0, 1) for each channel: s = sigmoid(W₂ relu(W₁ mean(x))).

    Source: Hu, Shen and Sun, Squeeze-and-excitation networks, 2018, section 3.

    Args:
        channels: C of x ``(N, C, ...)``.
        reduction: C / reduction, at least 1, is the width of the layer between W₁ and W₂.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        squeeze: W₁ with its bias, a ``Linear``.
        excite: W₂ with its bias, a ``Linear``.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        channels = check_integer("SqueezeExcite's channels", channels)
        width = max(1, channels // check_integer("SqueezeExcite's reduction", reduction))
        self.pool = GlobalAvgPool()
        self.squeeze = Linear(channels, width, nonlinearity="relu", dtype=dtype, rng=rng)
        self.excite = Linear(width, channels, nonlinearity="sigmoid", dtype=dtype, rng=rng)

    def forward(self, x: Any) -> Any:
        """``(N, C, ...)``, kept."""
        factors = tg.sigmoid(self.excite(tg.relu(self.squeeze(self.pool(x)))))
        return x * tg.reshape(factors, (*factors.shape, *(1,) * len(x.shape[2:])))
