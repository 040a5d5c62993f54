"""The workloads as a user of each library would write them: a module for each library.

A module has a function for each task that its library can do. It takes the workload's data and
returns a ``Task``. What is imported at its top is what a user has to import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Task(NamedTuple):
    """A workload, ready to run.

    Attributes:
        step: does it once.
        outputs: losses and gradients, or new parameters, by name, of a first step as arrays.
    """

    step: Callable[[], Any]
    outputs: Callable[[], dict[str, Any]]
