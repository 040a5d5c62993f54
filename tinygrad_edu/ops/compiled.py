"""Loops that Numba compiles, for what NumPy computes in many passes, or by copying many times.

The extra ``fast`` brings Numba; without it the ops are whole, and slower on large arrays. Sums may
be taken in any order, so that they use the processor's vectors; a nan or an inf goes through them
as through NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as machine code, made for each dtype when first called, and kept on disk."""
    flags = {"contract", "reassoc", "nsz"}
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": flags}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder that may be written to: each process compiles anew
        compiled = numba.njit(**options)(function)
    return cast("Callable[..., Any]", compiled)


# Standardization. An array is (N, G, M): each of G groups is standardized over its N x M entries.
# Sums are taken in float64.


@kernel
def _moments_of(x: Any, g: int, centered: bool) -> tuple[float, float]:
    count = x.shape[0] * x.shape[2]
    total, squares = 0.0, 0.0
    if centered:
        for n in range(x.shape[0]):
            row = x[n, g]
            for m in range(len(row)):
                total += row[m]
    mean = total / count
    for n in range(x.shape[0]):
        row = x[n, g]
        for m in range(len(row)):
            squares += (row[m] - mean) ** 2
    return mean, squares / count


@kernel
def moments(x: Any, means: Any, variances: Any) -> None:
    """Write mean and variance of each group."""
    for g in range(x.shape[1]):
        means[g], variances[g] = _moments_of(x, g, True)


@kernel
def standardized(
    x: Any, weight: Any, bias: Any, eps: float, centered: bool, known: bool,
    means: Any, reciprocals: Any, y: Any,
) -> None:  # fmt: skip
    """Write ``(x - mean) * reciprocal * weight + bias``, and mean and 1 / deviation of each group.

    Args:
        weight: ``(G, 1)``, a number for each group, or ``(1, M)``, one for each place; so the bias.
        known: whether ``means`` and ``reciprocals`` are written already.
    """
    per_group = weight.shape[1] == 1
    for g in range(x.shape[1]):
        if not known:  # for one group at a time, which is in the cache then
            mean_of_g, variance = _moments_of(x, g, centered)
            means[g], reciprocals[g] = mean_of_g, 1 / np.sqrt(variance + eps)
        mean, reciprocal = means[g], reciprocals[g]
        for n in range(x.shape[0]):
            row, out = x[n, g], y[n, g]
            if per_group:
                scale, shift = reciprocal * weight[g, 0], bias[g, 0]
                for m in range(len(row)):
                    out[m] = (row[m] - mean) * scale + shift
            else:
                for m in range(len(row)):
                    out[m] = (row[m] - mean) * reciprocal * weight[0, m] + bias[0, m]


@kernel
def derivatives(
    g: Any, x: Any, weight: Any, centered: bool, means: Any, reciprocals: Any,
    by_x: Any, by_weight: Any, by_bias: Any,
) -> None:  # fmt: skip
    """Write what the gradient g of ``standardized`` comes to, by each of its operands.

    With z the standardized x: by x, ``(g w - mean(g w) - z mean(g w z)) * reciprocal``. By weight
    and bias, the sums of g z and g, are added to two arrays of float64 in their shape.
    """
    per_group = weight.shape[1] == 1
    count = x.shape[0] * x.shape[2]
    for k in range(x.shape[1]):
        mean, reciprocal = means[k], reciprocals[k]
        of_g, of_gz = 0.0, 0.0
        for n in range(x.shape[0]):
            row, slopes = x[n, k], g[n, k]
            if per_group:
                for m in range(len(row)):
                    of_g += slopes[m]
                    of_gz += slopes[m] * (row[m] - mean)
            else:
                for m in range(len(row)):
                    h = slopes[m] * weight[0, m]
                    of_g += h
                    of_gz += h * (row[m] - mean)
        of_gz *= reciprocal
        w = weight[k, 0] if per_group else x.dtype.type(1)
        if per_group:
            by_bias[k, 0] += of_g
            by_weight[k, 0] += of_gz
        # What does not depend on m, in the array's own dtype.
        scale = reciprocal * w
        slope = x.dtype.type(of_gz / count * reciprocal * scale)
        shift = x.dtype.type(of_g / count * scale) if centered else x.dtype.type(0)
        for n in range(x.shape[0]):
            row, slopes, out = x[n, k], g[n, k], by_x[n, k]
            if per_group:
                for m in range(len(row)):
                    out[m] = slopes[m] * scale - shift - (row[m] - mean) * slope
            else:
                for m in range(len(row)):
                    h, distance = slopes[m], row[m] - mean
                    out[m] = h * weight[0, m] * scale - shift - distance * slope
                    by_weight[0, m] += h * distance * reciprocal
                    by_bias[0, m] += h


# Exponentials and the error function, of float32.


@numba.njit(error_model="numpy", fastmath={"contract"})  # no "reassoc": rounding is the method
def _exp_below_0(x: Any) -> Any:
    """exp x of a float32 x <= 0, to one unit in the last place; 0 where it is below 2^-126.

    x = n log 2 + r, with a whole n and log 2 in two parts, so that r is exact to the last bit; then
    exp x = 2^n exp r, and |r| <= 0.35 takes eight terms of the series.
    """
    x = np.float32(-88) if x < np.float32(-88) else x  # and a nan stays one
    magic = np.float32(1.5 * 2**23)  # added, it leaves no room for digits after the point
    n = x * np.float32(1 / np.log(2)) + magic - magic
    r = x - n * np.float32(0.693359375) - n * np.float32(-2.12194440e-4)
    y = np.float32(1 / 5040)
    for coefficient in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2, 1.0, 1.0):
        y = y * r + np.float32(coefficient)
    return y * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@kernel
def _exponentials_of_part(row: Any, largest: Any, e: Any) -> Any:
    total = np.float32(0)  # which for few entries has lost little in the end
    for m in range(len(row)):
        e[m] = _exp_below_0(row[m] - largest)
        total += e[m]
    return total


@kernel
def exponentials_of_singles(x: Any, largest: Any, e: Any, totals: Any) -> None:
    """Write exp(x - largest) of each row of float32, and the sum of the row."""
    for i in range(len(x)):
        total = 0.0
        for start in range(0, x.shape[1], 256):
            part = slice(start, start + 256)
            total += _exponentials_of_part(x[i, part], largest[i], e[i, part])
        totals[i] = total


@kernel
def _erf_of_single(z: Any, above: Any, below: Any) -> Any:
    """erf z is ``z P(z²) / Q(z²)``, with z in [-4, 4] and the coefficients of P and Q as tuples."""
    z = np.float32(4) if z > 4 else z  # and a nan stays one
    z = np.float32(-4) if z < -4 else z
    square = z * z
    p, q = np.float32(above[0]), np.float32(below[0])
    for c in above[1:]:
        p = p * square + np.float32(c)
    for c in below[1:]:
        q = q * square + np.float32(c)
    y = z * p / q
    y = np.float32(1) if y > 1 else y
    return np.float32(-1) if y < -1 else y


@kernel
def erf_of_singles(
    x: Any, scale: Any, above: Any, below: Any, factor: Any, shift: Any, out: Any
) -> None:
    """Write ``factor * erf(scale * x) + shift`` of float32."""
    for i in range(len(x)):
        out[i] = _erf_of_single(x[i] * scale, above, below) * factor + shift


@kernel
def gelu_slopes_of_singles(x: Any, above: Any, below: Any, out: Any) -> None:
    """Write Φ(x) + x φ(x) of float32, with Φ and φ of the standard normal distribution."""
    half, peak = np.float32(0.5), np.float32(1 / np.sqrt(2 * np.pi))
    for i in range(len(x)):
        z = np.float32(20) if x[i] > 20 else x[i]  # beyond, φ is 0
        z = np.float32(-20) if z < -20 else z
        cdf = half * _erf_of_single(z * np.float32(np.sqrt(0.5)), above, below) + half
        out[i] = cdf + z * (peak * _exp_below_0(-half * z * z))


# Convolution where a group has one channel. The taps and the length are unsigned: of other indices
# Numba looks at each, whether it is negative.


@kernel
def correlate(x: Any, taps: Any, weight: Any, length: Any, y: Any) -> None:
    """Write ``Σ weight[g, o, t] x[n, g, taps[t] + j]`` over t to ``y[n, g, o, j]``, j < length."""
    last = len(taps) // 5 * 5
    for n in range(x.shape[0]):
        for g in range(x.shape[1]):
            row = x[n, g]
            for o in range(weight.shape[1]):
                w, out = weight[g, o], y[n, g, o]
                for j in range(length):
                    out[j] = 0
                for t in range(0, last, 5):  # out is read and written once for five of them
                    s0, s1, s2, s3, s4 = taps[t], taps[t + 1], taps[t + 2], taps[t + 3], taps[t + 4]
                    w0, w1, w2, w3, w4 = w[t], w[t + 1], w[t + 2], w[t + 3], w[t + 4]
                    for j in range(length):
                        out[j] += (
                            w0 * row[s0 + j]
                            + w1 * row[s1 + j]
                            + w2 * row[s2 + j]
                            + w3 * row[s3 + j]
                            + w4 * row[s4 + j]
                        )
                for t in range(last, len(taps)):
                    s0, w0 = taps[t], w[t]
                    for j in range(length):
                        out[j] += w0 * row[s0 + j]


@kernel
def correlate_by_weight(x: Any, taps: Any, h: Any, length: Any, by_weight: Any) -> None:
    """Add ``Σ h[n, g, o, j] x[n, g, taps[t] + j]`` over n and j to ``by_weight[g, o, t]``."""
    last = len(taps) // 5 * 5
    zero = x.dtype.type(0)
    for n in range(x.shape[0]):
        for g in range(x.shape[1]):
            row = x[n, g]
            for o in range(h.shape[2]):
                slopes, out = h[n, g, o], by_weight[g, o]
                for t in range(0, last, 5):
                    s0, s1, s2, s3, s4 = taps[t], taps[t + 1], taps[t + 2], taps[t + 3], taps[t + 4]
                    d0 = d1 = d2 = d3 = d4 = zero
                    for j in range(length):
                        slope = slopes[j]
                        d0 += slope * row[s0 + j]
                        d1 += slope * row[s1 + j]
                        d2 += slope * row[s2 + j]
                        d3 += slope * row[s3 + j]
                        d4 += slope * row[s4 + j]
                    out[t] += d0
                    out[t + 1] += d1
                    out[t + 2] += d2
                    out[t + 3] += d3
                    out[t + 4] += d4
                for t in range(last, len(taps)):
                    s0, d0 = taps[t], zero
                    for j in range(length):
                        d0 += slopes[j] * row[s0 + j]
                    out[t] += d0
