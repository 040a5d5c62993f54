"""What the options of data sets that are made by chance may be."""

from __future__ import annotations

from typing import Any

from nn.checks import check_integer, check_number
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
    check_integer(f"n of {name}", n, least)
    check_number(f"noise of {name}", noise)
    if check_integer(f"seed of {name}", seed, 0) >= 2**32:
        raise ConfigurationError(f"seed of {name} must be below {2**32}, not {seed!r}")
