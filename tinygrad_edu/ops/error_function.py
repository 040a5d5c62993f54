"""erf on arrays, which NumPy does not have: quotients of polynomials, in blocks that fit the cache.

Source: W. J. Cody, "Rational Chebyshev approximations for the error function", 1969, for float64;
for float32 a quotient for all x at once, with the coefficients that the Eigen library uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu.ops.loops import compiled_loops

Array = np.ndarray[Any, Any]

# So many entries of float64 are 64 kB: with the few arrays beside them they stay in the cache.
BLOCK = 8192

# Highest power first. erf x = x P(x²) / Q(x²) for |x| <= 4; beyond, it is 1 to the last bit.
_SINGLE = (
    (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
     -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02),
    (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
     -1.42647390514189e-02),
)  # fmt: skip
# erf x = x P(x²) / Q(x²) for |x| <= 0.46875.
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2,
     3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
     2.84423683343917062e3),
)  # fmt: skip
# 1 - erf x = exp(-x²) P(x) / Q(x) for 0.46875 <= x <= 4.
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3,
     1.23033935480374942e3),
)  # fmt: skip
# 1 - erf x = exp(-x²) / x (1/√π - 1/x² P(1/x²) / Q(1/x²)) for x >= 4.
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
     1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1,
     6.05183413124413191e-2, 2.33520497626869185e-3),
)  # fmt: skip


def erf(x: Any) -> Array:
    """2/√π ∫₀ˣ exp(-t²) dt for every entry.

    Args:
        x: numbers; integers are taken as float64.
    """
    return _scaled(x, 1.0, 1.0, -0.0)  # which leaves the sign of a zero as it is


def normal_cdf(x: Any) -> Array:
    """Φ(x) = ½ erf(x / √2) + ½, the standard normal distribution function, for every entry."""
    return _scaled(x, math.sqrt(0.5), 0.5, 0.5)


def compiled_gelu_slope(x: Any) -> Array | None:
    """Φ(x) + x φ(x) for every entry, in one pass; None where there is no compiled loop for x."""
    loops = compiled_loops(x.size) if x.dtype == np.float32 else None
    if loops is None:
        return None
    flat = np.ascontiguousarray(x).reshape(-1)
    out = np.empty_like(flat)
    loops.gelu_slopes_of_singles(flat, *_SINGLE, out)
    return out.reshape(x.shape)


def _scaled(x: Any, scale: float, factor: float, shift: float) -> Array:
    """factor * erf(scale * x) + shift."""
    x = np.asarray(x)
    x = x.astype(np.result_type(x, 0.0), copy=False)
    # float16 has too few digits for the polynomials.
    dtype = np.float32 if x.dtype.itemsize <= 4 else np.float64
    flat: Array = np.ascontiguousarray(x, dtype).reshape(-1)
    out = np.empty_like(flat)
    loops = compiled_loops(flat.size) if dtype is np.float32 else None
    if loops:
        numbers = map(np.float32, (scale, factor, shift))
        loops.erf_of_singles(flat, next(numbers), *_SINGLE, *numbers, out)
    else:
        on_block = _on_singles if dtype is np.float32 else _on_doubles
        for i in range(0, flat.size, BLOCK):
            y = out[i : i + BLOCK]
            on_block(flat[i : i + BLOCK] * scale, y)
            y *= factor
            y += shift
    return out.reshape(x.shape).astype(x.dtype, copy=False)


def _on_singles(x: Array, out: Array) -> None:
    x = np.clip(x, np.float32(-4), np.float32(4))
    np.multiply(x, _quotient(x * x, _SINGLE), out=out)
    np.clip(out, np.float32(-1), np.float32(1), out=out)  # which rounding may have passed


def _on_doubles(x: Array, out: Array) -> None:
    size = np.abs(x)
    out[...] = x  # keeps nan
    near = size <= 0.46875
    if near.any():
        z = x[near]
        out[near] = z * _quotient(z * z, _NEAR)
    middle = (size > 0.46875) & (size <= 4)
    if middle.any():
        z = size[middle]
        out[middle] = 1 - np.exp(-z * z) * _quotient(z, _MIDDLE)
    far = size > 4
    if far.any():
        z = np.minimum(size[far], 6)  # where it is 1 to the last bit
        w = 1 / (z * z)
        out[far] = 1 - np.exp(-z * z) / z * (1 / np.sqrt(np.pi) - w * _quotient(w, _FAR))
    np.copysign(out, x, out=out)


def _quotient(z: Array, coefficients: tuple[Sequence[float], Sequence[float]]) -> Array:
    """P(z) / Q(z), by Horner's rule in place."""
    above, below = (_polynomial(z, each) for each in coefficients)
    above /= below
    return above


def _polynomial(z: Array, coefficients: Sequence[float]) -> Array:
    y = z * z.dtype.type(coefficients[0])
    for c in coefficients[1:-1]:
        y += z.dtype.type(c)
        y *= z
    y += z.dtype.type(coefficients[-1])
    return y
