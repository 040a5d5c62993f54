"""What an option may be: integers, numbers in a range, probabilities; everything else is named."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from nn.errors import ConfigurationError


def check_integer(name: str, value: Any, low: int = 1) -> int:
    """An integer of at least ``low``, as an int.

    Raises:
        ConfigurationError: it is something else, a bool too; the message starts with ``name``.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        wanted = "a positive integer" if low == 1 else f"an integer of at least {low}"
        raise ConfigurationError(f"{name} must be {wanted}, not {value!r}")
    return int(value)


def check_number(name: str, value: Any, low: float = 0.0, high: float = math.inf) -> float:
    """A number in [low, high), as a float.

    Raises:
        ConfigurationError: it is something else; a nan is in no range.
    """
    if not isinstance(value, Real) or not low <= float(value) < high:
        bound = f"in [{low}, {high})" if high < math.inf else f"at least {low} and finite"
        raise ConfigurationError(f"{name} must be {bound}, not {value!r}")
    return float(value)


def check_probability(name: str, value: Any) -> float:
    """A number in [0, 1], as a float.

    Raises:
        ConfigurationError: it is something else.
    """
    if not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise ConfigurationError(f"{name} is a probability, in [0, 1], not {value!r}")
    return float(value)
