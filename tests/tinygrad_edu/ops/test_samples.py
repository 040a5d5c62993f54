"""Slopes, areas, convolutions, interpolation and polynomials: all as NumPy has them."""

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import ShapeError, Tensor, UnknownNameError
from tinygrad_edu.testing import gradcheck


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


X = np.arange(24.0).reshape(2, 3, 4)[:, ::-1] % 7


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((), {}),
        ((0.5,), {"axis": 1, "edge_order": 2}),
        ((2.0, [0.0, 1.0, 4.0, 5.0]), {"axis": (0, -1)}),
        (([0.0, 1.0, 4.0, 5.0],), {"axis": 2, "edge_order": 2}),
    ],
)
def test_slopes_of_samples_are_numpys(arguments, options):
    x = np.concatenate([X, X[:1] ** 2])
    t = leaf(x)
    ours, expected = (np.gradient(a, *arguments, **options) for a in (t, x))
    ours, expected = (a if isinstance(a, tuple) else (a,) for a in (ours, expected))
    for i, (y, slope) in enumerate(zip(ours, expected, strict=True)):
        np.testing.assert_allclose(y.data, slope, rtol=1e-14, atol=1e-14)
        t.zero_grad()
        y.sum().backward()
        d = np.cos(np.arange(x.size)).reshape(x.shape)  # any other samples: slopes are linear
        moved = np.gradient(d, *arguments, **options)
        moved = moved if isinstance(moved, tuple) else (moved,)
        np.testing.assert_allclose(np.sum(t.grad * d), np.sum(moved[i]))


AT = np.array([0.0, 0.5, 2.0, 3.5])
COLUMN = np.array([0.0, 0.5])


@pytest.mark.parametrize(
    "options",
    [{}, {"dx": 0.5}, {"x": AT}, {"axis": 0, "x": COLUMN}, {"axis": 1}, {"x": X**2, "axis": 1}],
)
def test_areas_are_numpys_and_differentiable_by_places_too(options):
    np.testing.assert_allclose(
        np.trapezoid(leaf(X), **options).data, np.trapezoid(X, **options), rtol=1e-14
    )
    gradcheck(lambda y: np.trapezoid(y, **options), X)
    if "x" in options:
        rest = {name: value for name, value in options.items() if name != "x"}
        gradcheck(lambda y, x: np.trapezoid(y, x, **rest), X, options["x"])


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("lengths", [(5, 3), (5, 2), (2, 5), (4, 4), (1, 1), (1, 3)])
def test_convolutions_are_numpys(mode, lengths):
    a, v = (np.cos(np.arange(n) + n) for n in lengths)
    y = np.convolve(leaf(a), leaf(v), mode)
    np.testing.assert_allclose(y.data, np.convolve(a, v, mode), rtol=1e-12, atol=1e-15)
    gradcheck(lambda a, v: np.convolve(a, v, mode) ** 2, a, v, order=2)


@pytest.mark.parametrize("ends", [{}, {"left": -5.0, "right": 5.0}])
def test_interpolation_is_numpys_and_differentiable_by_everything(ends):
    xp, fp = AT, np.array([1.0, -1.0, 4.0, 2.0])
    x = np.array([[-1.0, 0.25, 0.6], [1.9, 3.0, 4.0]])
    y = np.interp(leaf(x), leaf(xp), leaf(fp), **ends)
    np.testing.assert_allclose(y.data, np.interp(x, xp, fp, **ends), rtol=1e-14)
    assert np.interp(leaf(xp), xp, fp).tolist() == fp.tolist()
    assert np.interp(leaf([0.0, 2.0]), [1.0], [3.0]).tolist() == [3, 3]
    gradcheck(lambda *points: np.interp(*points, **ends), x, xp, fp, order=2)


def test_polynomials_are_numpys_and_differentiable_by_coefficients():
    p, x = np.array([2.0, -1.0, 0.5]), np.array([[0.0, 1.5], [-2.0, 3.0]])
    np.testing.assert_array_equal(np.polyval(leaf(p), leaf(x)).data, np.polyval(p, x))
    gradcheck(np.polyval, p, x, order=2)


@pytest.mark.parametrize("options", [{}, {"N": 2}, {"N": 4, "increasing": True}])
def test_a_matrix_of_powers_is_numpys(options):
    x = np.array([0.0, 1.5, -2.0])
    np.testing.assert_allclose(np.vander(leaf(x), **options).data, np.vander(x, **options))
    gradcheck(lambda x: np.vander(x, **options), x, order=2)


@pytest.mark.parametrize("ends", [{}, {"to_begin": 9.0}, {"to_begin": [1.0, 2.0], "to_end": X[0]}])
def test_differences_in_one_row_are_numpys(ends):
    y = np.ediff1d(leaf(X), **ends)
    np.testing.assert_array_equal(y.data, np.ediff1d(X, **ends), strict=True)
    assert np.sum(np.ediff1d(leaf(X[0, 0]), to_end=leaf(3.0)).data) == X[0, 0, -1] - X[0, 0, 0] + 3


@pytest.mark.parametrize("options", [{}, {"endpoint": False}, {"axis": -1}])
def test_even_distances_are_numpys_between_any_two_arrays(options):
    start, stop = X[0], X[1, 0]
    y = np.linspace(leaf(start), leaf(stop), 3, **options)
    np.testing.assert_allclose(y.data, np.linspace(start, stop, 3, **options), rtol=1e-15)
    gradcheck(lambda a, b: np.linspace(a, b, 3, **options), start, stop)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    "call",
    [
        lambda t: np.trapezoid(t, [0.0, 1.0, 3.0]),
        lambda t: np.convolve(t, [1.0, 2.0]),
        lambda t: np.interp(0.5, [0.0, 1.0, 3.0], t),
        lambda t: np.polyval(t, 2.0),
        lambda t: np.polyval([1, 2], t),
        np.vander,
        lambda t: np.ediff1d(t, 1.0),
        lambda t: np.linspace(t[0], 3.0, 4),
    ],
)
def test_python_numbers_beside_samples_leave_their_dtype_alone(call, dtype):
    t = Tensor(np.array([1, 2, 4], dtype), requires_grad=True)
    y = call(t)
    y.sum().backward()
    assert y.dtype == t.grad.dtype == dtype


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: np.convolve(t, t[0]), ShapeError, r"two vectors, not shapes \(2, 3, 4\)"),
        (lambda t: np.convolve(t[0, 0], t[0, 0], "some"), UnknownNameError, "mode of convolve"),
        (lambda t: np.interp(t, [1.0, 2.0], [1.0]), ShapeError, r"one length, not \(2,\) and"),
        (lambda t: np.interp(t, t[0, 0], t[0, 0], period=1.0), tg.TinygradError, "period"),
        (lambda t: np.polyval(t, 1.0), ShapeError, "a vector of coefficients"),
        (np.vander, ShapeError, r"vander takes a vector, not shape \(2, 3, 4\)"),
    ],
)
def test_what_is_no_sample_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(X))
