"""Linear algebra on matrices, and on stacks of them along leading axes, as ``np.linalg`` has it.

The last two axes are the matrix. A rule that needs a matrix to be invertible, or singular values
to be distinct, says so; what cannot be decomposed at all raises ``LinearAlgebraError``.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.errors import LinearAlgebraError, OperandError, ShapeError, UnknownNameError
from tinygrad_edu.graph import plain
from tinygrad_edu.names_elsewhere import unknown_attribute
from tinygrad_edu.ops import shape as shape_ops
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS, composite, primitive
from tinygrad_edu.ops.einsum import (
    as_array,
    cross,
    matmul,
    multi_dot,
    outer,
    tensordot,
    vecdot,
)
from tinygrad_edu.ops.elementwise import abs, power, sign, where
from tinygrad_edu.ops.joining import concatenate
from tinygrad_edu.ops.reduction import max, sum
from tinygrad_edu.ops.shape import matrix_transpose, reshape, transpose

__all__ = [
    "EighResult",
    "LstsqResult",
    "QRResult",
    "SVDResult",
    "SlogdetResult",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]


def __getattr__(name: str) -> Any:
    raise AttributeError(unknown_attribute("tinygrad_edu.linalg", name, __all__))


# What LAPACK cannot do


def _check_matrices(name: str, a: Any, square: bool = True) -> None:
    shape = a.shape if hasattr(a, "shape") else np.shape(a)
    if len(shape) < 2 or (square and shape[-2] != shape[-1]):
        kind = "square matrices (..., M, M)" if square else "matrices (..., M, N)"
        raise ShapeError(f"{name} takes {kind}, not an array of shape {shape}")


def _decomposed(name: str, why: str, function: Callable[..., Any], a: Any, *rest: Any) -> Any:
    """``function(a, *rest)``; where it fails, an error that says for which matrix of a stack."""
    try:
        return function(a, *rest)
    except np.linalg.LinAlgError as error:
        raise LinearAlgebraError(f"{name}: {_culprit(function, a, *rest)} {why}") from error


def _culprit(function: Callable[..., Any], a: Any, *rest: Any) -> str:
    a = np.asarray(a)
    for index in np.ndindex(a.shape[:-2]):
        try:
            function(a[index], *(np.eye(a.shape[-1]) for _ in rest))
        except np.linalg.LinAlgError:
            place = f" at index {', '.join(map(str, index))} of the stack" if index else ""
            return f"the {a.shape[-2]}x{a.shape[-1]} matrix{place}"
    return "a matrix"


# Inverses and determinants


@primitive(lambda g, y, a: -(y.mT @ g @ y.mT), numpy=np.linalg.inv)
def inv(a: Any) -> Any:
    """The inverse of square matrices ``(..., M, M)``.

    Raises:
        LinearAlgebraError: a matrix is singular.
    """
    _check_matrices("inv", a)
    return _decomposed("inv", "is singular, so it has no inverse", np.linalg.inv, a)


def _solve_by_b(g: Any, y: Any, a: Any, b: Any) -> Any:
    return solve(a.mT, g[..., None])[..., 0] if b.ndim == 1 else solve(a.mT, g)


def _solve_by_a(g: Any, y: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:
        return -(solve(a.mT, g[..., None]) @ y[..., None, :])
    return -(solve(a.mT, g) @ y.mT)


@primitive(_solve_by_a, _solve_by_b, numpy=np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    """The x for which ``a @ x = b``.

    Args:
        a: square matrices ``(..., M, M)``.
        b: one vector ``(M,)``, or matrices ``(..., M, K)``; the leading axes broadcast.

    Raises:
        LinearAlgebraError: a matrix of ``a`` is singular.
    """
    _check_matrices("solve", a)
    return _decomposed("solve", "is singular: not one x for every b", np.linalg.solve, a, b)


def _adjugate(a: Any) -> Any:
    """The transposed cofactors, by Faddeev and LeVerrier: products and sums alone."""
    size = a.shape[-1]
    m = eye = np.eye(size, dtype=a.dtype)
    for k in range(1, size):
        product = a @ m
        trace = sum(product * eye, (-2, -1), True)
        m = product - trace * (1 / k) * eye
    return m if size % 2 else -m


def _det_rule(g: Any, y: Any, a: Any) -> Any:
    # Jacobi: ∂det/∂a = adj(a)ᵀ, which is det(a) a⁻ᵀ where a is invertible. The adjugate itself
    # takes M products of matrices, but is there for a singular a too; and where a is nearly so,
    # det(a) and a⁻¹ are both rounding.
    matrix = plain(a)
    if not matrix.size or np.all(np.linalg.cond(matrix) < np.finfo(matrix.dtype).eps ** -0.5):
        return (g * y)[..., None, None] * inv(a).mT
    return g[..., None, None] * _adjugate(a).mT


@primitive(_det_rule, numpy=np.linalg.det)
def det(a: Any) -> Any:
    """The determinant of square matrices ``(..., M, M)``.

    Its gradient holds for singular matrices too, where it takes M products of matrices; there its
    accuracy falls as M grows.
    """
    _check_matrices("det", a)
    return np.linalg.det(a)


class SlogdetResult(NamedTuple):
    """What ``slogdet`` returns.

    Attributes:
        sign: -1, 0 or 1 for each matrix, a plain array: it is constant almost everywhere.
        logabsdet: the natural logarithm of the determinant's absolute value.
    """

    sign: Any
    logabsdet: Any


@primitive(lambda g, y, a: g[..., 1, None, None] * inv(a).mT, symbol="slogdet")
def packed_slogdet(a: Any) -> Any:
    """The sign and the logarithm of ``slogdet`` along a last axis of length 2."""
    _check_matrices("slogdet", a)
    return np.stack(np.linalg.slogdet(a), axis=-1)


@composite(numpy=np.linalg.slogdet)
def slogdet(a: Any) -> SlogdetResult:
    """The sign of the determinant, and ``log |det a|``, which does not overflow.

    Shapes: ``(..., M, M)`` gives ``(...)`` twice. Of a singular matrix the logarithm is -inf, and
    its gradient raises ``LinearAlgebraError``.
    """
    packed = packed_slogdet(a)
    return SlogdetResult(plain(packed)[..., 0], packed[..., 1])


@composite(numpy=np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """``a @ a @ ... @ a``, n times, by squaring; of the inverse for a negative n.

    Raises:
        LinearAlgebraError: ``n`` is negative and a matrix is singular.
    """
    a = as_array(a)
    _check_matrices("matrix_power", a)
    if not isinstance(n, int | np.integer):
        raise OperandError(f"matrix_power takes a whole number of times, not {n!r}")
    if n == 0:  # constant, and still of the graph
        return where(np.zeros(a.shape, bool), a, np.eye(a.shape[-1], dtype=a.dtype))
    square, result, n = (inv(a) if n < 0 else a), None, builtins.abs(int(n))
    while True:
        if n % 2:
            result = square if result is None else matmul(result, square)
        n //= 2
        if not n:
            return result
        square = matmul(square, square)


# Decompositions. One with several results computes them as one packed array.


def _lower(x: Any, diagonal: float) -> Any:
    """The lower triangle of x, with its diagonal times a number."""
    mask = np.tril(np.ones(x.shape[-2:], x.dtype), -1)
    np.fill_diagonal(mask, diagonal)
    return x * mask


def _cholesky_rule(g: Any, y: Any, a: Any, upper: bool) -> Any:
    # With Φ the lower triangle with half the diagonal, S = L⁻ᵀ Φ(Lᵀ g) L⁻¹. Source: Murray,
    # Differentiation of the Cholesky decomposition, 2016.
    lower, g = (y.mT, g.mT) if upper else (y, g)
    s = solve(lower.mT, _lower(lower.mT @ g, 0.5))
    return _symmetric(solve(lower.mT, s.mT))


def _symmetric(x: Any) -> Any:
    # Only one triangle of the input is read, and the other taken to equal it: the gradient is
    # spread over both.
    return 0.5 * (x + x.mT)


@primitive(_cholesky_rule, numpy=np.linalg.cholesky)
def cholesky(a: Any, upper: bool = False) -> Any:
    """The lower triangular L with ``L @ L.mT = a``; L transposed if ``upper``.

    Args:
        a: symmetric positive definite ``(..., M, M)``. Only its lower triangle is read, or the
            upper one if ``upper``; the gradient is that of a symmetric matrix, in both.

    Raises:
        LinearAlgebraError: a matrix is not positive definite.
    """
    _check_matrices("cholesky", a)

    def factor(a: Any) -> Any:
        return np.linalg.cholesky(a, upper=upper)

    return _decomposed("cholesky", "is not positive definite", factor, a)


class EighResult(NamedTuple):
    """What ``eigh`` returns.

    Attributes:
        eigenvalues: ``(..., M)``, ascending.
        eigenvectors: ``(..., M, M)``, one in each column.
    """

    eigenvalues: Any
    eigenvectors: Any


def _reciprocal(x: Any) -> Any:
    """1 / x, and 0 where x is 0."""
    return (x != 0) / (x + (x == 0))


def _diagonal(x: Any) -> Any:
    """Vectors ``(..., M)`` as diagonal matrices ``(..., M, M)``."""
    return x[..., None] * np.eye(x.shape[-1], dtype=x.dtype)


def _eigh_rule(g: Any, y: Any, a: Any, UPLO: str) -> Any:  # noqa: N803
    # V (diag(gλ) + Vᵀ gV ∘ F) Vᵀ with Fᵢⱼ = 1 / (λⱼ - λᵢ). Where two eigenvalues are equal, their
    # eigenvectors are any basis, and F is taken as 0: right for all that doesn't depend on which.
    values, vectors = y[..., 0, :], y[..., 1:, :]
    f = _reciprocal(values[..., None, :] - values[..., :, None])
    inner = _diagonal(g[..., 0, :]) + (vectors.mT @ g[..., 1:, :]) * f
    return _symmetric(vectors @ inner @ vectors.mT)


@primitive(_eigh_rule, symbol="eigh")
def packed_eigh(a: Any, UPLO: Any = "L") -> Any:  # noqa: N803
    """The eigenvalues of ``eigh`` as a first row above the eigenvectors."""
    _check_matrices("eigh", a)
    values, vectors = _decomposed("eigh", _STUCK, lambda a: np.linalg.eigh(a, UPLO), a)
    return np.concatenate([values[..., None, :], vectors], axis=-2)


_STUCK = "holds a nan or an inf, or its decomposition did not converge"


@composite(numpy=np.linalg.eigh)
def eigh(a: Any, UPLO: Any = "L") -> EighResult:  # noqa: N803
    """The eigenvalues and eigenvectors of symmetric matrices ``(..., M, M)``.

    Only the triangle ``UPLO``, ``"L"`` or ``"U"``, is read; the gradient is that of a symmetric
    matrix, in both. The gradient by eigenvectors needs their eigenvalues to be distinct.
    """
    packed = packed_eigh(a, UPLO)
    return EighResult(packed[..., 0, :], packed[..., 1:, :])


def _eigvalsh_rule(g: Any, y: Any, a: Any, UPLO: str) -> Any:  # noqa: N803
    vectors = eigh(a, UPLO).eigenvectors
    return _symmetric((vectors * g[..., None, :]) @ vectors.mT)


@primitive(_eigvalsh_rule, numpy=np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: Any = "L") -> Any:  # noqa: N803
    """The eigenvalues ``(..., M)`` of symmetric matrices ``(..., M, M)``, ascending."""
    _check_matrices("eigvalsh", a)
    return _decomposed("eigvalsh", _STUCK, lambda a: np.linalg.eigvalsh(a, UPLO), a)


class SVDResult(NamedTuple):
    """What ``svd`` returns.

    Attributes:
        U: ``(..., M, K)``, left singular vectors in columns, with K = min(M, N).
        S: ``(..., K)``, singular values, descending.
        Vh: ``(..., K, N)``, right singular vectors in rows.
    """

    U: Any
    S: Any
    Vh: Any


def _svd_rule(g: Any, y: Any, a: Any) -> Any:
    # Source: Townsend, Differentiating the singular value decomposition, 2016. With E the
    # differences of squares sⱼ² - sᵢ² and skew(x) = x - xᵀ, the gradient is
    #     U (skew(Uᵀ gU) / E S + S skew(Vᵀ gV) / E + diag(gS)) Vᵀ,
    # and what gU and gV have outside of the spaces that U and V span. As for eigh, equal singular
    # values contribute 0.
    rows = a.shape[-2]
    s, u, v = y[..., 0, :], y[..., 1 : 1 + rows, :], y[..., 1 + rows :, :]
    gs, gu, gv = g[..., 0, :], g[..., 1 : 1 + rows, :], g[..., 1 + rows :, :]
    across, down = s[..., None, :], s[..., :, None]
    f = _reciprocal((across - down) * (across + down))
    by_u, by_v = u.mT @ gu, v.mT @ gv
    inner = (by_u - by_u.mT) * f * across + down * (by_v - by_v.mT) * f + _diagonal(gs)
    d = u @ inner @ v.mT
    if rows > a.shape[-1]:
        d = d + ((gu - u @ by_u) * _reciprocal(across)) @ v.mT
    if rows < a.shape[-1]:
        d = d + u @ ((gv - v @ by_v) * _reciprocal(across)).mT
    return d


@primitive(_svd_rule, symbol="svd")
def packed_svd(a: Any) -> Any:
    """S as a first row above U, and that above V, K columns each: the results of ``svd``."""
    _check_matrices("svd", a, square=False)
    u, s, vh = _decomposed("svd", _STUCK, lambda a: np.linalg.svd(a, full_matrices=False), a)
    return np.concatenate([s[..., None, :], u, vh.mT], axis=-2)


@composite(numpy=np.linalg.svd)
def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """The singular value decomposition ``a = U @ diag(S) @ Vh`` of matrices ``(..., M, N)``.

    The gradient by singular vectors needs singular values that are distinct, and none that is 0
    unless the matrix is square.

    Args:
        full_matrices: must be False unless the matrices are square: the further columns of a full
            U are arbitrary, and have no derivative.
        compute_uv: False for S alone.
        hermitian: whether to take a shortcut for symmetric matrices; there is none here.

    Returns:
        An ``SVDResult``, or S.

    Raises:
        ShapeError: ``full_matrices`` of matrices that are not square.
    """
    if not compute_uv:
        return svdvals(a)
    a = as_array(a)
    _check_matrices("svd", a, square=False)
    rows, columns = a.shape[-2:]
    if full_matrices and rows != columns:
        raise ShapeError(
            f"svd of matrices {rows}x{columns}: pass full_matrices=False. The singular vectors"
            " beyond the smaller side are any basis of what is left, and have no derivative"
        )
    packed = packed_svd(a)
    u, v = packed[..., 1 : 1 + rows, :], packed[..., 1 + rows :, :]
    return SVDResult(u, packed[..., 0, :], v.mT)


def _svdvals_rule(g: Any, y: Any, a: Any) -> Any:
    u, _, vh = svd(a, full_matrices=False)
    return (u * g[..., None, :]) @ vh


@primitive(_svdvals_rule, numpy=np.linalg.svdvals)
def svdvals(a: Any) -> Any:
    """The singular values ``(..., K)`` of matrices ``(..., M, N)``, descending."""
    _check_matrices("svdvals", a, square=False)
    return _decomposed("svdvals", _STUCK, np.linalg.svdvals, a)


class QRResult(NamedTuple):
    """What ``qr`` returns.

    Attributes:
        Q: ``(..., M, K)``, orthonormal columns, with K = min(M, N).
        R: ``(..., K, N)``, upper triangular.
    """

    Q: Any
    R: Any


def _qr_rule(g: Any, y: Any, a: Any) -> Any:
    # With M = R gRᵀ - gQᵀ Q, the gradient is (gQ + Q (tril(M) + tril(M, -1)ᵀ)) R⁻ᵀ. Source: Liao,
    # Liu, Wang and Xiang, Differentiable programming tensor networks, 2019.
    rows = a.shape[-2]
    q, r, gq, gr = y[..., :rows, :], y[..., rows:, :], g[..., :rows, :], g[..., rows:, :]
    m = r @ gr.mT - gq.mT @ q
    d = gq + q @ (_lower(m, 1.0) + _lower(m, 0.0).mT)
    return solve(r, d.mT).mT


@primitive(_qr_rule, symbol="qr")
def packed_qr(a: Any) -> Any:
    """Q above R, N columns each: the results of ``qr`` for at least as many rows as columns."""
    q, r = np.linalg.qr(a)
    return np.concatenate([q, r], axis=-2)


@composite(numpy=np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """The decomposition ``a = Q @ R`` of matrices ``(..., M, N)``.

    The gradient needs the first min(M, N) columns to be linearly independent, and otherwise raises
    ``LinearAlgebraError``.

    Args:
        mode: ``"reduced"``, or ``"r"`` for R alone.

    Returns:
        A ``QRResult``, or R.
    """
    if mode not in ("reduced", "r"):
        raise UnknownNameError("mode of a qr with a derivative", mode, ["reduced", "r"])
    a = as_array(a)
    _check_matrices("qr", a, square=False)
    rows, columns = a.shape[-2:]
    packed = packed_qr(a[..., :rows] if rows < columns else a)
    q, r = packed[..., :rows, :], packed[..., rows:, :]
    if rows < columns:  # the columns beyond are what Q makes of them
        r = concatenate([r, q.mT @ a[..., rows:]], axis=-1)
    return r if mode == "r" else QRResult(q, r)


def _pinv_rule(g: Any, y: Any, a: Any, rcond: Any, hermitian: bool, rtol: Any) -> Any:
    # Where the rank does not change. Source: Golub and Pereyra, 1973.
    gt, yt = g.mT, y.mT
    d = -(yt @ g @ yt)
    inner, outer = gt @ y, y @ gt
    d = d + (inner - a @ (y @ inner)) @ yt
    return d + yt @ (outer - (outer @ y) @ a)


@primitive(_pinv_rule, numpy=np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """The Moore-Penrose inverse ``(..., N, M)`` of matrices ``(..., M, N)``.

    The gradient is that of changes which keep the rank.

    Args:
        rcond: singular values below ``rcond`` times the largest count as 0; by default 1e-15.
        hermitian: whether the matrices are symmetric.
        rtol: another name of ``rcond``.
    """
    _check_matrices("pinv", a, square=False)
    cutoff = {"rcond": rcond} if rtol is None else {"rtol": rtol}

    def inverse(a: Any) -> Any:
        return np.linalg.pinv(a, hermitian=hermitian, **cutoff)

    return _decomposed("pinv", _STUCK, inverse, a)


class LstsqResult(NamedTuple):
    """What ``lstsq`` returns.

    Attributes:
        solution: x, ``(N,)`` or ``(N, K)``.
        residuals: for each column of b the sum of ``(b - a @ x)²``, ``(K,)`` or ``(1,)``; empty
            unless there are more rows than columns and these are independent.
        rank: how many singular values of ``a`` count, an int.
        singular_values: all of them, descending, a plain array.
    """

    solution: Any
    residuals: Any
    rank: int
    singular_values: Any


@composite(numpy=np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: float | None = None) -> LstsqResult:
    """The x with the least ``|a @ x - b|²``, and of those the shortest: ``pinv(a) @ b``.

    Args:
        a: ``(M, N)``; the gradient is that of changes which keep the rank.
        b: ``(M,)`` or ``(M, K)``.
        rcond: singular values below ``rcond`` times the largest count as 0; by default the
            precision of the dtype times the longer side of ``a``.

    Raises:
        ShapeError: ``a`` is no matrix, or ``b`` has another number of rows.
    """
    a, b = as_array(a), as_array(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise ShapeError(
            f"lstsq takes a matrix (M, N) and b (M,) or (M, K), not {a.shape} and {b.shape}; for"
            " stacks of matrices there is pinv(a) @ b"
        )
    rows, columns = a.shape
    values = svdvals(plain(a))
    if rcond is None:
        rcond = float(np.finfo(values.dtype).eps) * builtins.max(rows, columns)
    rank = int(np.sum(values > rcond * values[0]))
    x = matmul(pinv(a, rcond), b)
    off = b - matmul(a, x)
    squares = reshape(sum(off * off, 0), (-1,))
    return LstsqResult(x, squares if rank == columns < rows else squares[:0], rank, values)


@composite(numpy=np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:  # noqa: N803
    """How many singular values are above ``tol``: plain integers, which have no derivative."""
    return np.linalg.matrix_rank(plain(A), tol, hermitian, rtol=rtol)


@composite(numpy=np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """The inverse with respect to ``tensordot(a, b, ind)``, which takes b to its first axes.

    Args:
        a: whose first ``ind`` axes have as many entries as the others.

    Raises:
        ShapeError: they have not.
        LinearAlgebraError: there is no inverse.
    """
    a = as_array(a)
    left, right = a.shape[:ind], a.shape[ind:]
    if ind < 1 or math.prod(left) != math.prod(right):
        raise ShapeError(
            f"tensorinv needs as many entries in the first ind={ind} axes of shape {a.shape} as in"
            " the others"
        )
    return reshape(inv(reshape(a, (math.prod(left), math.prod(right)))), (*right, *left))


@composite(numpy=np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """The x for which ``tensordot(a, x, x.ndim) = b``.

    Args:
        a: ``(*b.shape, *x.shape)``, with as many entries in x as in b.
        b: an array of any shape.
        axes: axes of ``a`` to move to its end first, in this order.

    Raises:
        ShapeError: x and b have not as many entries.
        LinearAlgebraError: there is not one x for every b.
    """
    a, b = as_array(a), as_array(b)
    if axes is not None:
        moved = [k % a.ndim for k in axes]
        a = transpose(a, (*(k for k in range(a.ndim) if k not in moved), *moved))
    shape = a.shape[b.ndim :]
    count = math.prod(b.shape)
    if math.prod(shape) != count or a.size != count * count:
        raise ShapeError(
            f"tensorsolve of a {a.shape} and b {b.shape} needs as many entries in the first"
            f" {b.ndim} axes of a, as in b, and in the others"
        )
    return reshape(solve(reshape(a, (count, count)), reshape(b, (count,))), shape)


# Norms


def _kept(x: Any, axis: Any) -> tuple[int, ...]:
    """The shape that a norm of x over these axes has with keepdims=True."""
    axes = range(x.ndim) if axis is None else [k % x.ndim for k in np.atleast_1d(axis)]
    return tuple(1 if k in axes else n for k, n in enumerate(x.shape))


def _euclidean_rule(g: Any, y: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    # The gradient at 0 is 0, where x / y would be 0 / 0.
    kept = _kept(x, axis)
    return g.reshape(kept) * (x / (y + (y == 0)).reshape(kept))


@primitive(_euclidean_rule, symbol="norm")
def euclidean_norm(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """``√Σ x²`` over ``axis``; the gradient at 0 is 0."""
    axis = None if axis is None or len(np.atleast_1d(axis)) == np.ndim(x) else axis
    if axis is None or np.ndim(axis) == 0 or len(axis) <= 2:
        return np.linalg.norm(x, axis=axis, keepdims=keepdims)
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _p_norm_rule(g: Any, y: Any, x: Any, ord: float, axis: Any, keepdims: bool) -> Any:
    # sign(x) (|x| / y)^(p - 1), and 0 where x is 0: there is |x| + 1 in the place of |x|, so that a
    # p below 1 gives no inf.
    kept = _kept(x, axis)
    ratio = (abs(x) + (x == 0)) / (y + (y == 0)).reshape(kept)
    return g.reshape(kept) * sign(x) * power(ratio, ord - 1)


@primitive(_p_norm_rule, symbol="norm")
def p_norm(x: Any, ord: float, axis: Any = None, keepdims: bool = False) -> Any:
    """``(Σ |x|ᵖ)^(1/p)`` over ``axis``, with p = ``ord``; the gradient at 0 is 0."""
    return np.linalg.vector_norm(x, ord=ord, axis=axis, keepdims=keepdims)


def _smallest(x: Any, axis: Any, keepdims: bool) -> Any:
    return -max(-x, axis, keepdims)


def _vector_norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    if ord is None or ord == 2:
        return euclidean_norm(x, axis, keepdims)
    if isinstance(ord, str):
        raise UnknownNameError("norm of a vector", ord, ["-inf", "0", "1", "2", "inf", "p"])
    if ord == 0:  # a count, which has no derivative
        return np.linalg.vector_norm(plain(x), ord=0, axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum(abs(x), axis, keepdims)
    if math.isinf(ord):
        return (max if ord > 0 else _smallest)(abs(x), axis, keepdims)
    return p_norm(x, ord, axis, keepdims)


_MATRIX_NORMS = [None, "fro", "nuc", math.inf, -math.inf, 1, -1, 2, -2]


def _matrix_norm(x: Any, ord: Any, axis: tuple[int, int], keepdims: bool) -> Any:
    row, column = (k % x.ndim for k in axis)
    if row == column:
        raise ShapeError(f"the norm of a matrix is over two axes, not over {axis}")
    if ord not in _MATRIX_NORMS:
        raise UnknownNameError("norm of a matrix", ord, map(str, _MATRIX_NORMS))
    if ord in (None, "fro"):
        return euclidean_norm(x, (row, column), keepdims)
    if ord in ("nuc", 2, -2):
        others = [k for k in range(x.ndim) if k not in (row, column)]
        values = svdvals(transpose(x, (*others, row, column)))
        pick = sum if ord == "nuc" else max if ord == 2 else _smallest
        y = pick(values, -1, False)
    else:  # the largest or smallest sum down the columns (±1) or along the rows (±inf)
        add, choose = (row, column) if builtins.abs(ord) == 1 else (column, row)
        y = (max if ord > 0 else _smallest)(sum(abs(x), add, True), choose, True)
    return reshape(y, _kept(x, (row, column)) if keepdims else _without(x, (row, column)))


def _without(x: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for k, n in enumerate(x.shape) if k not in axes)


@composite(numpy=np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors or matrices.

    At a kink: the gradient of ``√Σx²`` and of every p-norm is 0 at the vector 0, and entries that
    tie for a largest or smallest share the gradient evenly.

    Args:
        ord: of vectors, p for ``(Σ |x|ᵖ)^(1/p)``, inf and -inf for the largest and smallest
            ``|x|``, 0 for the count of entries that are not 0 (a plain number), None for 2. Of
            matrices, ``"fro"`` or None for ``√Σx²``, ``"nuc"`` for the sum of the singular values,
            2 and -2 for the largest and smallest of them, 1 and -1 for the largest and smallest
            sum of ``|x|`` in a column, inf and -inf in a row.
        axis: one axis for vectors, two for matrices; None for all of x, whose norm is that of a
            matrix if ``ord`` is given and x is 2-D.
        keepdims: keep the axes, with length 1.

    Raises:
        ShapeError: there are other than one or two axes.
        UnknownNameError: there is no such norm.
    """
    x = as_array(x)
    if axis is None:
        if ord is None:
            return euclidean_norm(x, None, keepdims)
        axis = tuple(range(x.ndim))
    axes = tuple(int(k) for k in np.atleast_1d(axis))
    if len(axes) not in (1, 2) or any(not -x.ndim <= k < x.ndim for k in axes):
        raise ShapeError(
            f"norm takes one axis for vectors or two for matrices, of an array of shape {x.shape};"
            f" it got axis={axis}"
        )
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    return _matrix_norm(x, ord, (axes[0], axes[1]), keepdims)


@composite(numpy=np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """``norm`` of vectors that lie along any number of axes."""
    x = as_array(x)
    return _vector_norm(x, ord, axis, keepdims)


@composite(numpy=np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """``norm`` of the matrices in the last two axes."""
    x = as_array(x)
    return norm(x, ord, (-2, -1), keepdims)


@composite(numpy=np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """The condition number of matrices ``(..., M, N)``: ``norm(x) * norm(inv(x))``.

    How much an error in b may grow in ``solve(x, b)``.

    Args:
        p: which ``norm`` of a matrix. None or 2 is the largest singular value by the smallest, -2
            the smallest by the largest; these need no square matrix. A division by 0 gives inf, and
            the gradient 0.

    Raises:
        LinearAlgebraError: a matrix is singular, and ``p`` is another.
    """
    x = as_array(x)
    _check_matrices("cond", x, square=p not in (None, 2, -2))
    if p not in (None, 2, -2):
        return norm(x, p, (-2, -1)) * norm(inv(x), p, (-2, -1))
    values = svdvals(x)
    above, below = values[..., 0], values[..., -1]
    if p == -2:
        above, below = below, above
    regular = plain(below) > 0
    return where(regular, above / where(regular, below, 1.0), math.inf)


# What NumPy has for the matrices in the last two axes here, and for the first two elsewhere


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """The diagonals of matrices ``(..., M, N)``, as a last axis."""
    return shape_ops.diagonal(x, offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0) -> Any:
    """The sums of the diagonals of matrices ``(..., M, N)``."""
    return shape_ops.trace(x, offset, -2, -1)


NUMPY_FUNCTIONS[np.linalg.diagonal] = diagonal
NUMPY_FUNCTIONS[np.linalg.trace] = trace
NUMPY_FUNCTIONS[np.linalg.matrix_transpose] = matrix_transpose
