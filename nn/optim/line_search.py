"""How far to go along a direction: a step that meets the strong Wolfe conditions.

With φ(t) = f(θ + t d), those are φ(t) ≤ φ(0) + c₁ t φ'(0), a sufficient decrease, and
|φ'(t)| ≤ c₂ |φ'(0)|, a slope that has flattened.
Source: Nocedal and Wright, 2006, algorithms 3.5 and 3.6. The trial steps are kept off the ends of
an interval as in Schmidt's minFunc (2005), which PyTorch follows too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

_C1, _C2 = 1e-4, 0.9
_MAX_TRIALS = 25


class Point(NamedTuple):
    """Where a step of length t leads to: the loss there, its gradient, and its slope φ'(t)."""

    t: float
    loss: float
    gradient: Array
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, reach: float, tolerance: float
) -> tuple[Point, int]:
    """A point that meets the conditions, or the lowest that was found.

    Args:
        evaluate: the point of a step t.
        start: that of the step 0; its slope is negative.
        t: the first step to try.
        reach: the largest change of a parameter by a step of 1.
        tolerance: the change of a parameter that is not worth another trial.

    Returns:
        The point, and how many were evaluated.
    """

    def too_high(point: Point) -> bool:  # negated so that a nan is
        return not point.loss <= start.loss + _C1 * point.t * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -_C2 * start.slope

    # Go further until an interval between two points holds a step that meets the conditions.
    previous, point, trials = start, evaluate(t), 1
    while trials <= _MAX_TRIALS:
        if too_high(point) or (trials > 2 and point.loss >= previous.loss):
            break
        if flat(point):
            return point, trials
        if point.slope >= 0:
            break
        ahead = point.t + 0.01 * (point.t - previous.t), 10 * point.t
        previous, point = point, evaluate(cubic_minimum(previous, point, *ahead))
        trials += 1
    else:
        previous = start

    # Shrink the interval, of which ``low`` is the lower end.
    low, high = (point, previous) if point.loss < previous.loss else (previous, point)
    stuck = False
    while trials <= _MAX_TRIALS and abs(high.t - low.t) * reach >= tolerance:
        left, right = sorted((low.t, high.t))
        t = cubic_minimum(low, high, left, right)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) < margin:
            # Near an end: this once, unless it is the end itself.
            if stuck or t in (left, right):
                t = right - margin if right - t < t - left else left + margin
                stuck = False
            else:
                stuck = True
        else:
            stuck = False
        point = evaluate(t)
        trials += 1
        if too_high(point) or point.loss >= low.loss:
            high = point
            if high.loss < low.loss:
                low, high = high, low
            continue
        if flat(point):
            return point, trials
        if point.slope * (high.t - low.t) >= 0:
            high = low
        low = point
    return low, trials


def cubic_minimum(a: Point, b: Point, left: float, right: float) -> float:
    """Where in [left, right] the cubic with the losses and slopes of two points is least.

    The middle, if that cubic has no minimum. Source: Nocedal and Wright, 2006, equation 3.59.
    """
    if a.t > b.t:
        a, b = b, a
    if a.t == b.t:
        return (left + right) / 2
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not 0 <= square < math.inf:
        return (left + right) / 2
    d2 = math.sqrt(square)
    curvature = b.slope - a.slope + 2 * d2
    if not curvature:
        return (left + right) / 2
    t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / curvature)
    return min(max(t, left), right)
