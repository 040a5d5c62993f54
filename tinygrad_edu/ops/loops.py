"""Whether there are compiled loops: the extra ``fast`` is installed, and the work is worth it."""

from __future__ import annotations

from functools import cache
from types import ModuleType

# For fewer entries NumPy's passes take less time than loading the compiler would, once a process.
WORTH_LOADING = 2**16


def compiled_loops(entries: int) -> ModuleType | None:
    """The module of loops that Numba compiles, for arrays of so many entries; or None."""
    return _installed() if entries >= WORTH_LOADING else None


@cache
def _installed() -> ModuleType | None:
    try:
        from tinygrad_edu.ops import compiled
    except ImportError:  # no Numba, or none that goes with this NumPy
        return None
    return compiled
