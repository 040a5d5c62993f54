"""The state of optimizers and schedules as one flat mapping of names to arrays and plain numbers.

So it goes into a safetensors file (the arrays) and JSON (the numbers), and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nn.errors import StateDictError


def flatten(tree: Any, name: str = "") -> dict[str, Any]:
    """Every leaf of nested mappings and sequences under its dotted path; arrays are copied.

    >>> flatten({"lr": 0.1, "betas": (0.9, 0.99), "empty": []})
    {'lr': 0.1, 'betas.0': 0.9, 'betas.1': 0.99}
    """
    if isinstance(tree, list | tuple):
        tree = dict(enumerate(tree))
    if isinstance(tree, Mapping):
        flat: dict[str, Any] = {}
        for key, branch in tree.items():
            flat |= flatten(branch, f"{name}.{key}" if name else str(key))
        return flat
    return {name: np.array(tree) if isinstance(tree, np.ndarray | np.generic) else tree}


def unflatten(flat: Mapping[str, Any]) -> Any:
    """The nested dicts and lists that ``flatten`` would make ``flat`` from.

    >>> unflatten({"lr": 0.1, "betas.1": 0.99, "betas.0": 0.9})
    {'lr': 0.1, 'betas': [0.9, 0.99]}
    """
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *branches, name = path.split(".")
        place = tree
        for branch in branches:
            place = place.setdefault(branch, {})
        place[name] = leaf
    return _with_lists(tree)


def _with_lists(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    branches = {name: _with_lists(branch) for name, branch in tree.items()}
    numbers = [str(i) for i in range(len(branches))]
    if branches and branches.keys() == set(numbers):
        return [branches[i] for i in numbers]
    return branches


def check_names(of: str, own: Iterable[str], given: Iterable[str]) -> None:
    """Raise a StateDictError unless a state has the very names that ``of`` has itself."""
    own, given = list(own), list(given)
    missing = [name for name in own if name not in given]
    unexpected = [name for name in given if name not in own]
    if missing or unexpected:
        raise StateDictError(missing, unexpected, {}, of)
