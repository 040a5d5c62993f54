"""The derivative of a function of one number by evaluating it, with an estimate of its own error.

Central differences over ever smaller steps, extrapolated to the step 0. Nothing here knows of
graphs or derivative rules, which is what makes it an oracle for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

EPSILON = 2.0**-52
FIRST_STEP = 2.0**-8
MOST_STEPS = 16  # the last is 2⁻²³, near √ε
FEWEST_STEPS = 3


class Estimate(NamedTuple):
    """A numerical derivative.

    Attributes:
        slope: the derivative; nan where the function is not finite around the point.
        error: what it may be wrong by: the last correction of the extrapolation, and rounding.
        rounding: the part of the error that no smaller step would take away.
        sides: the slopes to the left and to the right, where they differ: at a kink. At a jump
            one of them is infinite.
    """

    slope: float
    error: float
    rounding: float
    sides: tuple[float, float] | None


def derivative(
    f: Callable[[float], float], scale: float = 1.0, *, rtol: float = 1e-8, atol: float = 0.0
) -> Estimate:
    """f'(0) by Ridders' method.

    The central difference D(h) = (f(h) - f(-h)) / 2h is off by a series in h². Each new row of
    Neville's tableau halves h and eliminates one power more; the entry that differs least from
    its neighbours is the answer, and that difference the estimate of its error.

    Args:
        f: the function, of the distance from the point of interest.
        scale: what counts as a distance of 1: the first step is 1/256 of it.
        rtol: the error, relative to the slope, at which smaller steps are no longer tried; slopes
            that differ by less are taken as equal.
        atol: the same, absolutely.

    Source: C. J. F. Ridders, "Accurate computation of F'(x) and F'(x)F''(x)", 1982.

    >>> import math
    >>> estimate = derivative(lambda t: math.exp(1 + t))
    >>> abs(estimate.slope - math.e) <= estimate.error < 1e-10
    True
    >>> derivative(lambda t: max(t, 0.0)).sides
    (0.0, 1.0)
    """
    middle = f(0.0)
    best = Estimate(math.nan, math.inf, 0.0, None)
    previous: list[float] = []
    slopes: list[tuple[float, float, float]] = []  # left, right, and what rounding adds to them
    for k in range(MOST_STEPS):
        h = scale * FIRST_STEP / 2**k
        below, above = f(-h), f(h)
        row = [(above - below) / (2 * h)]
        if not math.isfinite(row[0]):  # outside of what f is defined on: nearer, then
            previous, slopes = [], []
            continue
        rounding = 4 * EPSILON * (max(abs(below), abs(above)) + scale * abs(row[0])) / h
        for j, older in enumerate(previous, start=1):
            row.append(row[-1] + (row[-1] - older) / (4**j - 1))
            error = max(abs(row[-1] - row[-2]), abs(row[-1] - older)) + rounding
            if error < best.error:
                best = Estimate(row[-1], error, rounding, None)
        previous = row
        slopes.append(((middle - below) / h, (above - middle) / h, rounding))
        negligible = atol + rtol * abs(best.slope)
        settled = best.error <= negligible + 2 * best.rounding
        if len(slopes) >= FEWEST_STEPS and settled and not _apart(slopes[-3:], negligible):
            return best
    return best._replace(sides=_sides(slopes[-4:], atol + rtol * abs(best.slope)))


def _apart(slopes: list[tuple[float, float, float]], negligible: float) -> bool:
    """Whether the slopes on both sides stay as far apart as they are while the step shrinks.

    Of a smooth function they come together at least as fast as the step.
    """
    gaps = [right - left for left, right, _ in slopes]
    return all(
        abs(later) > 10 * negligible + 4 * noise and 0.7 * abs(gap) < abs(later) and gap * later > 0
        for (gap, later), (_, _, noise) in zip(pairwise(gaps), slopes[1:], strict=True)
    )


def _sides(
    slopes: list[tuple[float, float, float]], negligible: float
) -> tuple[float, float] | None:
    """The slopes to the left and right at a kink or a jump; None where there is neither."""
    if len(slopes) < 4 or not _apart(slopes, negligible):
        return None
    limits = []
    for side, other in ((0, 1), (1, 0)):
        *_, before, last = (slope[side] for slope in slopes)
        # Rounding in f can grow like a jump, but not by exactly two with every step.
        grows = all(a[side] and 1.9 < b[side] / a[side] < 2.1 for a, b in pairwise(slopes))
        jumps = grows and abs(last) > abs(slopes[-1][other])
        limits.append(math.copysign(math.inf, last) if jumps else 2 * last - before)
    return limits[0], limits[1]
