"""What the options of data sets that are made by chance may be."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from nn.errors import ConfigurationError


def check_options(name: str, n: Any, least: int, noise: Any, seed: Any) -> None:
    """Raise a ConfigurationError unless a data set can be made of these.

    Args:
        name: the data set, for the message.
        n: how many samples; an integer.
        least: how many it takes.
        noise: a standard deviation, finite and not negative.
        seed: an integer of 32 bits, which is what scikit-learn takes.
    """
    if not _is_integer(n) or n < least:
        raise ConfigurationError(f"n of {name} must be an integer of {least} or more, not {n!r}")
    if not isinstance(noise, Real) or not 0 <= float(noise) < math.inf:
        raise ConfigurationError(f"noise of {name} must be a number of 0 or more, not {noise!r}")
    if not _is_integer(seed) or not 0 <= seed < 2**32:
        raise ConfigurationError(
            f"seed of {name} must be an integer from 0 to {2**32 - 1}, not {seed!r}"
        )


def _is_integer(x: Any) -> bool:
    return isinstance(x, Integral) and not isinstance(x, bool)
