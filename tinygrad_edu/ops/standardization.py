"""``(x - mean) / deviation * weight + bias``: what every normalization comes down to.

NumPy passes over an array a dozen times for it, which takes as long as memory takes: so it goes
over parts that stay in the cache. Where the extra ``fast`` is installed, loops compiled by Numba
(``compiled.py``) take the place of those passes, for large arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.ops.declare import primitive
from tinygrad_edu.ops.elementwise import sqrt
from tinygrad_edu.ops.loops import compiled_loops
from tinygrad_edu.ops.reduction import mean


def _definition(
    x: Any,
    weight: Any,
    bias: Any,
    axes: tuple[int, ...],
    eps: float,
    centered: bool,
    moments: Any = None,
) -> Any:
    centre = x - mean(x, axes, True) if centered else x
    y = centre / sqrt(mean(centre * centre, axes, True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def _by_x(
    g: Any, y: Any, x: Any, weight: Any, bias: Any, axes: Any, eps: Any, centered: bool,
    moments: Any, saved: Any,
) -> Any:  # fmt: skip
    # With z the standardized x: (g - mean(g) - z mean(g z)) / deviation
    loops = _Loops.over(axes, x, weight, None, g)
    if loops:
        return loops.derivatives(saved, centered)[0]
    _, reciprocals = saved
    by_x = np.empty(x.shape, np.result_type(g, reciprocals))
    for part in _parts(x.shape, axes):
        g_part, z = g[part], _standardized(x, saved, part)
        if weight is not None:
            g_part = g_part * _part_of(weight, part, x.ndim)
        z *= _mean_of_products(g_part, z, axes)
        d = np.subtract(g_part, z, out=by_x[part])
        if centered:
            d -= _mean(g_part, axes)
        d *= reciprocals[part]
    return by_x


def _by_weight(
    g: Any, y: Any, x: Any, weight: Any, bias: Any, axes: Any, eps: Any, centered: bool,
    moments: Any, saved: Any,
) -> Any:  # fmt: skip
    # g z, summed over the axes along which the weight was repeated
    by_weight = np.zeros(weight.shape, np.result_type(g, saved[1]))
    for part in _parts(x.shape, axes):
        of_part = _part_of(by_weight, part, x.ndim)
        of_part += _sum_of_products(g[part], _standardized(x, saved, part), of_part.shape)
    return by_weight


def _by_bias(g: Any, y: Any, *operands: Any, **options: Any) -> Any:
    return g


def _together(
    g: Any, y: Any, x: Any, weight: Any, bias: Any, axes: Any, eps: Any, centered: bool,
    moments: Any, saved: Any, needed: list[bool],
) -> list[Any]:  # fmt: skip
    loops = _Loops.over(axes, x, weight, bias, g) if needed[0] else None
    if loops:
        by_x, by_weight, by_bias = loops.derivatives(saved, centered)
        return [
            by_x,
            None if weight is None else by_weight.reshape(weight.shape),
            None if bias is None else by_bias.reshape(bias.shape),
        ]
    rest = (x, weight, bias, axes, eps, centered, moments, saved)
    rules = (_by_x, _by_weight, _by_bias)
    return [f(g, y, *rest) if need else None for f, need in zip(rules, needed, strict=True)]


@primitive(
    _by_x,
    _by_weight,
    _by_bias,
    together=_together,
    saves=True,
    definition=_definition,
)
def standardize(
    x: Any,
    weight: Any,
    bias: Any,
    axes: tuple[int, ...],
    eps: float,
    centered: bool = True,
    moments: tuple[Any, Any] | None = None,
) -> Any:
    """``(x - mean) / √(variance + eps) * weight + bias``, the moments taken over ``axes``.

    What ``layer_norm``, ``rms_norm``, ``group_norm`` and ``batch_norm`` have in common. If not
    ``centered``, 0 takes the place of the mean. ``weight`` and ``bias`` broadcast, or are None.
    ``moments`` are mean and variance, where they are known already.
    """
    loops = _Loops.over(axes, x, weight, bias)
    if loops:
        return loops.standardized(eps, centered, moments)
    dtype = _dtype_of_moments(x)
    kinds = [x.dtype if x.dtype == np.float16 else dtype]
    kinds += [p.dtype for p in (weight, bias) if p is not None]
    y = np.empty(x.shape, np.result_type(*kinds))
    means, reciprocals = (np.zeros(_kept(x.shape, axes), dtype) for _ in range(2))
    for part in _parts(x.shape, axes):
        x_part = x[part].astype(dtype, copy=False)
        if moments is None:
            means[part], variance, z = _moments_of_part(x_part, axes, centered)
        else:
            means[part], variance = moments[0][part], moments[1][part]
            z = x_part - means[part]
        reciprocals[part] = 1 / np.sqrt(variance + eps)
        z *= reciprocals[part]
        y_part = z if weight is None else z * _part_of(weight, part, x.ndim)
        np.add(y_part, 0 if bias is None else _part_of(bias, part, x.ndim), out=y[part],
               casting="same_kind")  # fmt: skip
    return y, (means, reciprocals)


def moments(x: Any, axes: tuple[int, ...]) -> tuple[Any, Any]:
    """Mean and variance over ``axes``, which stay with length 1; of halves in float32."""
    loops = _Loops.over(axes, x, None, None)
    if loops:
        return loops.moments()
    means, variances = (np.empty(_kept(x.shape, axes), _dtype_of_moments(x)) for _ in range(2))
    for part in _parts(x.shape, axes):
        x_part = x[part].astype(means.dtype, copy=False)
        means[part], variances[part], _ = _moments_of_part(x_part, axes, True)
    return means, variances


# With NumPy, part by part


# So many entries at a time, through all the passes over them, which then stay in the cache.
_PART = 2**16


def _parts(shape: tuple[int, ...], axes: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Indices of parts of an array, cut along an axis that nothing is summed over."""
    kept = [axis for axis, n in enumerate(_kept(shape, axes)) if n == shape[axis] > 1]
    if not kept or not math.prod(shape):
        yield ()
        return
    cut = max(kept, key=lambda axis: shape[axis])
    step = max(1, _PART * shape[cut] // math.prod(shape))
    for i in range(0, shape[cut], step):
        yield (*(slice(None),) * cut, slice(i, i + step))


def _kept(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what is summed over ``axes``, which stay with length 1."""
    summed = {axis % len(shape) for axis in axes}
    return tuple(1 if axis in summed else n for axis, n in enumerate(shape))


def _part_of(parameter: Any, part: tuple[slice, ...], ndim: int) -> Any:
    """The part of a parameter that broadcasts to that part of an array."""
    if not part:
        return parameter
    whole = parameter.reshape(_padded(parameter.shape, ndim))
    return whole if whole.shape[len(part) - 1] == 1 else whole[part]


def _padded(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    return (1,) * (ndim - len(shape)) + shape


def _dtype_of_moments(x: Any) -> np.dtype[Any]:
    half = x.dtype == np.float16  # whose squares overflow from 256 on
    return np.dtype(np.float32) if half else np.result_type(x, 0.0)


def _moments_of_part(x: Any, axes: tuple[int, ...], centered: bool) -> tuple[Any, Any, Any]:
    """Mean (0 if not ``centered``), variance about it, and what x is more than it."""
    centre = _mean(x, axes) if centered else 0.0
    z = x - centre
    return centre, _mean_of_products(z, z, axes), z


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    return np.add.reduce(x, axis=axes, keepdims=True) / math.prod(x.shape[axis] for axis in axes)


def _mean_of_products(a: Any, b: Any, axes: tuple[int, ...]) -> Any:
    """``_mean(a * b, axes)`` without the products as an array."""
    count = math.prod(a.shape[axis] for axis in axes)
    return _sum_of_products(a, b, _kept(a.shape, axes)) / count


def _sum_of_products(a: Any, b: Any, shape: tuple[int, ...]) -> Any:
    """The products of two arrays, summed to a shape that broadcasts to theirs."""
    added = a.ndim - len(shape)
    kept = [axis for axis in range(added, a.ndim) if shape[axis - added] != 1]
    last = max(kept, default=-1) + 1
    if last < a.ndim:  # the last axes are summed over, as of inner products
        a, b = (x.reshape(*x.shape[:last], math.prod(x.shape[last:])) for x in (a, b))
        rows = np.vecdot(a, b)
        rest = tuple(axis for axis in range(last) if axis not in kept)
        return np.add.reduce(rows, axis=rest).reshape(shape) if rest else rows.reshape(shape)
    every = list(range(a.ndim))
    return np.einsum(a, every, b, every, kept).reshape(shape)


def _standardized(x: Any, saved: Any, part: tuple[slice, ...]) -> Any:
    """A part of x, standardized once more: that takes less time than to keep it, and no memory."""
    means, reciprocals = saved
    z = x[part] - means[part]
    z *= reciprocals[part]
    return z


# With loops that are compiled


# In shorter rows, such as the single number of a channel without space, there is nothing to gain.
_SHORTEST_ROW = 16


class _Loops(NamedTuple):
    """The compiled loops with the arrays they go over, as they take them."""

    compiled: ModuleType
    shape: tuple[int, ...]  # of the arrays as they were given
    kept: tuple[int, ...]  # that of a number for each group
    x: Any  # (N, G, M)
    g: Any
    weight: Any  # (G, 1), a number for each group, or (1, M), one for each place
    bias: Any

    @staticmethod
    def over(axes: tuple[int, ...], x: Any, weight: Any, bias: Any, g: Any = None) -> _Loops | None:
        """None where these arrays, or these axes, are not what the loops are for."""
        dtypes = {a.dtype for a in (x, weight, bias, g) if a is not None}
        if len(dtypes) > 1 or x.dtype not in (np.float32, np.float64):
            return None
        kept = _kept(x.shape, axes)
        groups = sorted({*range(x.ndim)} - {axis % x.ndim for axis in axes})
        if not groups or groups[-1] - groups[0] >= len(groups):  # with summed axes among them
            return None
        before, after = x.shape[: groups[0]], x.shape[groups[-1] + 1 :]
        in_three = (math.prod(before), math.prod(kept), math.prod(after))
        parameters = [p for p in (weight, bias) if p is not None]
        shapes = {_padded(p.shape, x.ndim) for p in parameters} or {kept}
        if shapes == {kept}:
            in_two = (in_three[1], 1)
        elif shapes == {(1,) * (x.ndim - len(after)) + after} and in_three[0] == 1:
            in_two = (1, in_three[2])
        else:
            return None
        compiled = compiled_loops(x.size) if in_three[2] >= _SHORTEST_ROW else None
        if compiled is None:
            return None
        return _Loops(
            compiled,
            x.shape,
            kept,
            np.ascontiguousarray(x).reshape(in_three),
            None if g is None else np.ascontiguousarray(g).reshape(in_three),
            np.ones(in_two, x.dtype) if weight is None else weight.reshape(in_two),
            np.zeros(in_two, x.dtype) if bias is None else bias.reshape(in_two),
        )

    def moments(self) -> tuple[Any, Any]:
        means, variances = (np.empty(self.kept, self.x.dtype) for _ in range(2))
        self.compiled.moments(self.x, means.ravel(), variances.ravel())
        return means, variances

    def standardized(self, eps: float, centered: bool, moments: Any) -> tuple[Any, Any]:
        """The result, and what to save: means and reciprocals."""
        if moments is None:
            means, reciprocals = (np.empty(self.kept, self.x.dtype) for _ in range(2))
        else:
            means, reciprocals = moments[0], 1 / np.sqrt(moments[1] + eps)
        y = np.empty(self.shape, self.x.dtype)
        self.compiled.standardized(
            self.x, self.weight, self.bias, eps, centered, moments is not None,
            means.ravel(), reciprocals.ravel(), self._as_x(y),
        )  # fmt: skip
        return y, (means, reciprocals)

    def derivatives(self, saved: tuple[Any, Any], centered: bool) -> tuple[Any, Any, Any]:
        """By x in its shape, by weight and by bias in the shape that the loops take them in."""
        means, reciprocals = saved
        by_x = np.empty(self.shape, self.x.dtype)
        by_weight, by_bias = (np.zeros(self.weight.shape) for _ in range(2))
        self.compiled.derivatives(
            self.g, self.x, self.weight, centered, means.ravel(), reciprocals.ravel(),
            self._as_x(by_x), by_weight, by_bias,
        )  # fmt: skip
        return by_x, by_weight.astype(by_x.dtype), by_bias.astype(by_x.dtype)

    def _as_x(self, result: Any) -> Any:
        return result.reshape(self.x.shape)
