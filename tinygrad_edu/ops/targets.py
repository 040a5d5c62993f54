"""What losses have in common: what they check of their targets, and how they are reduced."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_edu.errors import ShapeError, TargetError, UnknownNameError
from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops.elementwise import where
from tinygrad_edu.ops.indexing import getitem
from tinygrad_edu.ops.reduction import mean, sum
from tinygrad_edu.ops.shape import moveaxis

REDUCTIONS: dict[str, Callable[[Any], Any]] = {"mean": mean, "sum": sum, "none": lambda x: x}

# How far from 1 probabilities that someone rounded may sum.
_ROUNDED = 0.01


def check_reduction(name: str, reduction: str) -> None:
    """Raise an UnknownNameError unless there is such a reduction."""
    if reduction not in REDUCTIONS:
        raise UnknownNameError(f"reduction of {name}", reduction, REDUCTIONS)


def refuse(name: str, what: str, data: Any, wrong: Any, reason: str) -> None:
    """Raise a TargetError that shows the first entry of ``data`` that is wrong, if one is."""
    if wrong.any():
        place = tuple(np.argwhere(wrong)[0].tolist())
        index = f"index {place}" if place else "the only one"
        raise TargetError(
            f"{name} got {what} {data[place]} at {index} ({wrong.sum()} such), {reason}"
        )


def check_shares(name: str, shares: Any, what: str = "target") -> None:
    """Raise a TargetError where one of what are to be probabilities is none."""
    refuse(name, what, shares, ~((shares >= 0) & (shares <= 1)), "outside [0, 1]")


def check_signs(name: str, signs: Any) -> None:
    """Raise a TargetError where a target is neither 1 nor -1."""
    refuse(name, "target", signs, (signs != 1) & (signs != -1), "and a target is 1 or -1")


def check_distributions(name: str, target: Any) -> None:
    """Raise a TargetError unless the target holds probabilities that sum to 1 over the classes.

    The sum is that of labels someone gave. What a model computed, and requires a gradient, may
    leave 1, or it could not be differentiated by one probability at a time.
    """
    shares = plain(target)
    check_shares(name, shares)
    if not getattr(target, "requires_grad", False):
        totals = np.asarray(np.sum(classes_last(shares), axis=-1, dtype=np.float64))
        wrong = np.abs(totals - 1) > _ROUNDED
        refuse(name, "probabilities that sum to", totals, wrong, "and not to 1 over the classes")


def check_labels(name: str, scores: str, classes: int, labels: Any) -> None:
    """Raise a TargetError where a label names none of the classes."""
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = (labels < 0) | (labels >= classes)
        place = tuple(np.argwhere(wrong)[0].tolist())
        index = f"index {', '.join(map(str, place))}" if place else "the only one"
        raise TargetError(
            f"{name} got label {labels[place]} at {index} ({wrong.sum()} such), outside"
            f" [0, {classes}) for {scores} of {classes} classes"
        )


def check_target(name: str, scores: str, x: Any, target: Any, takes_shares: bool = False) -> None:
    """Raise unless there is a label, or a distribution over the classes, for every row of x."""
    shape = np.shape(plain(x))
    rows = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    shares = takes_shares and target.dtype.kind == "f" and target.shape == shape
    if not shape or (target.shape != rows and not shares) or not math.prod(shape):
        raise ShapeError(
            f"{name} takes {scores} (N, classes) and N labels, N > 0, or (N, classes, ...) and"
            f" (N, ...); it got {scores} {shape} and labels {target.shape}"
        )
    if target.dtype.kind not in "iu" and not shares:
        or_shares = f"; or probabilities in the shape {shape} of the {scores}"
        raise TargetError(
            f"{name} takes integer labels, not {target.dtype}{or_shares if takes_shares else ''}"
        )


def class_weights(name: str, weight: Any, x: Any, classes: int) -> Any:
    """A factor for each class, or None; a constant one is in the dtype of x.

    Raises:
        ShapeError: there are more of them, or fewer.
    """
    if weight is None:
        return None
    weight = _constant_in(x.dtype, weight)
    if weight.shape != (classes,):
        raise ShapeError(
            f"{name} takes a weight {(classes,)}, a factor for each class, not of shape"
            f" {weight.shape}"
        )
    return weight


def entry_weights(name: str, option: str, weight: Any, x: Any) -> Any:
    """A factor for each entry of x, or None; a constant one is in the dtype of x.

    Raises:
        ShapeError: it does not broadcast to x.
    """
    if weight is None:
        return None
    weight = _constant_in(x.dtype, weight)
    extra = len(x.shape) - len(weight.shape)
    if extra < 0 or any(
        n not in (1, m) for n, m in zip(weight.shape, x.shape[extra:], strict=True)
    ):
        raise ShapeError(
            f"{name} takes a {option}= that broadcasts to the shape {x.shape} of the input, and not"
            f" one of shape {weight.shape}"
        )
    return weight


def _constant_in(dtype: Any, x: Any) -> Any:
    if isinstance(x, Node):
        return x
    return np.asarray(x, dtype if dtype.kind == "f" else None)


def classes_last(x: Any) -> Any:
    """``(N, classes, ...)`` as ``(N, ..., classes)``."""
    return moveaxis(x, 1, -1) if len(x.shape) > 2 else x


def at_labels(labels: Any) -> tuple[Any, ...]:
    """The index of each row's label, in an array whose last axis is the classes."""
    return (*np.indices(labels.shape, sparse=True), labels)


def times(x: Any, factor: Any) -> Any:
    """``x * factor``, or x if that is None."""
    return x if factor is None else x * factor


def reduce_labelled(
    name: str, losses: Any, labels: Any, weight: Any, ignore_index: int, reduction: str
) -> Any:
    """The losses of the rows that are not to be ignored, already weighted, as one number.

    Raises:
        TargetError: there is no mean since all are ignored.
    """
    ignored = labels == ignore_index
    if ignored.any():
        losses = where(ignored, 0.0, losses)
    if reduction != "mean":
        return REDUCTIONS[reduction](losses)
    if ignored.all():  # PyTorch has 0 / 0 = nan here
        raise TargetError(
            f"{name} has no mean: all {labels.size} labels are the ignore_index {ignore_index}"
        )
    factors = None if weight is None else getitem(weight, np.where(ignored, 0, labels))
    return sum(losses) / sum(times((~ignored).astype(losses.dtype), factors))
