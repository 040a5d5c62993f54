"""Initial weights, scaled so that signals neither vanish nor explode at the start.

Which scale is right depends on the activation that follows: He's for the relu family, Glorot's
for the others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

RELU_FAMILY = frozenset({"relu", "leaky_relu", "gelu", "silu"})


def he_normal(fan_in: int, size: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal with standard deviation √(2 / fan_in), for the relu family.

    A relu zeroes half of its inputs; the 2 makes up for it. Source: He et al., 2015, section 2.2.
    """
    return rng.normal(0.0, math.sqrt(2.0 / fan_in), size)


def glorot_uniform(
    fan_in: int, fan_out: int, size: tuple[int, ...], rng: np.random.Generator
) -> Array:
    """Uniform in ±√(6 / (fan_in + fan_out)), for tanh, sigmoid and linear outputs.

    Source: Glorot and Bengio, 2010, equation 16.
    """
    bound = math.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, size)


def for_activation(
    activation: str, fan_in: int, fan_out: int, size: tuple[int, ...], rng: np.random.Generator
) -> Array:
    """Weights for a layer that feeds ``activation``: He's or Glorot's."""
    if activation in RELU_FAMILY:
        return he_normal(fan_in, size, rng)
    return glorot_uniform(fan_in, fan_out, size, rng)
