"""Nested tuples, lists and dicts of numbers: what functions take and return."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def leaves(tree: Any) -> list[Any]:
    """Everything in a tree that is no tuple, list or dict, from left to right."""
    if isinstance(tree, tuple | list):
        return [leaf for part in tree for leaf in leaves(part)]
    if isinstance(tree, dict):
        return [leaf for part in tree.values() for leaf in leaves(part)]
    return [tree]


def rebuild(tree: Any, values: Sequence[Any]) -> Any:
    """The tree with its leaves, from left to right, replaced by ``values``.

    >>> rebuild({"w": [1, 2], "b": 3}, "xyz")
    {'w': ['x', 'y'], 'b': 'z'}
    """
    remaining = iter(values)
    return transform(lambda _: next(remaining), tree)


def transform(f: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with every leaf x replaced by f(x)."""
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):  # a namedtuple
        return type(tree)(*(transform(f, part) for part in tree))
    if isinstance(tree, tuple | list):
        return type(tree)([transform(f, part) for part in tree])
    if isinstance(tree, dict):
        return {name: transform(f, part) for name, part in tree.items()}
    return f(tree)
