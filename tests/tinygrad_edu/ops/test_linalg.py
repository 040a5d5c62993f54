"""Products of arrays, and linear algebra on matrices."""

from itertools import pairwise

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import ShapeError, Tensor, linalg
from tinygrad_edu.errors import LinearAlgebraError, OperandError, UnknownNameError
from tinygrad_edu.ops.einsum import einsum, matvec, vecmat
from tinygrad_edu.testing import gradcheck


def leaf(data, dtype=np.float64):
    return Tensor(np.array(data, dtype=dtype), requires_grad=True)


def arrays(shape):
    return hnp.arrays(np.float64, shape, elements=st.integers(-9, 9))


MATRICES = np.random.default_rng(0).standard_normal((2, 3, 3)) + 3 * np.eye(3)
SYMMETRIC = MATRICES @ MATRICES.mT
MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]
RECTANGLES = [MATRICES[..., :2], MATRICES[:, :2], MATRICES[0], MATRICES[0, :, :1]]


@given(data=st.data())
def test_matmul_is_numpys_from_either_side(data):
    drawn = data.draw(hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, min_side=0))
    a, b = (data.draw(hnp.arrays(np.float64, s, elements=st.floats(-9, 9)))
            for s in drawn.input_shapes)  # fmt: skip
    for y in (Tensor(a) @ Tensor(b), Tensor(a) @ b, a @ Tensor(b), np.matmul(Tensor(a), b)):
        np.testing.assert_array_equal(y.data, a @ b, strict=True)


def test_lists_are_matrices_on_either_side():
    x = Tensor(np.eye(2))
    assert (x @ [[1, 2], [3, 4]]).data.tolist() == [[1, 2], [3, 4]]
    assert ([1, 2] @ x).data.tolist() == [1, 2]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x @ x,
        lambda x: x @ x.T,
        lambda x: x.mT @ (x @ x),
        lambda x: x[0] @ x @ x[:, 0],
        lambda x: np.array([[1.0, -2.0]]) @ x,
        lambda x: np.einsum("ij,jk,ki", x, x, x),
        lambda x: np.kron(x, x),
        lambda x: np.tensordot(x, x, ([0, 1], [1, 0])),
        lambda x: np.linalg.multi_dot([x[0], x, x, x[1]]),
        lambda x: np.linalg.matrix_power(x, 5),
        lambda x: np.linalg.matrix_power(x, -2),
        lambda x: np.linalg.solve(x, x.mT),
    ],
)
def test_one_matrix_may_be_all_factors(f):
    gradcheck(f, np.array([[0.5, -1.0], [2.0, 1.5]]), order=2)


def test_factors_that_do_not_fit_are_named_with_what_would():
    message = (
        r"matmul cannot take shape \(2, 3\) and shape \(2, 3\):"
        " the 3 columns on the left must match the 2 rows on the right"
    )
    with pytest.raises(ShapeError, match=message):
        Tensor(np.ones((2, 3))) @ Tensor(np.ones((2, 3)))


def test_numbers_are_no_matrices():
    with pytest.raises(ShapeError, match=r"matmul cannot take shape \(\) and shape \(2,\)"):
        Tensor(1.0) @ Tensor([1.0, 2.0])


# Einstein summation and the other products


@st.composite
def einsums(draw):
    """Subscripts with an ellipsis or none, diagonals and sums, and operands that fit them."""
    lengths = {c: draw(st.integers(0, 3)) for c in "aBc"}
    hidden = draw(st.sampled_from([(), (2,), (1, 3)]))
    terms, operands = [], []
    for _ in range(draw(st.integers(1, 3))):
        term = "".join(draw(st.lists(st.sampled_from("aBc"), max_size=3)))
        shape = tuple(lengths[c] for c in term)
        if hidden and draw(st.booleans()):
            cut = draw(st.integers(0, len(term)))
            shape = shape[:cut] + hidden[draw(st.integers(0, 1)) :] + shape[cut:]
            term = f"{term[:cut]}...{term[cut:]}"
        terms.append(term)
        operands.append(draw(arrays(shape)))
    subscripts = ",".join(terms)
    if draw(st.booleans()):
        known = sorted(set(subscripts) & set("aBc"))
        kept = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
        subscripts += "->" + "".join(kept) + ("..." if "..." in subscripts else "")
    return subscripts, operands


@given(einsums(), st.sampled_from([False, True]))
def test_einsum_is_numpys(call, optimize):
    subscripts, operands = call
    y = np.einsum(subscripts, *map(leaf, operands), optimize=optimize)
    expected = np.einsum(subscripts, *operands, optimize=optimize)
    np.testing.assert_array_equal(y.data, np.asarray(expected), strict=True)


@given(einsums(), st.sampled_from([False, True]))
def test_the_gradient_of_an_einsum_is_the_linear_map_it_is_in_each_operand(call, optimize):
    # y is linear in each operand x, so that Σ g y = Σ x ∂(Σ g y)/∂x exactly, for whole numbers;
    # and the same for any other x, which leaves one gradient only.
    subscripts, operands = call
    leaves = [leaf(a) for a in operands]
    y = np.einsum(subscripts, *leaves, optimize=optimize)
    g = np.arange(1.0, y.size + 1).reshape(y.shape)
    y.backward(g)
    for i, x in enumerate(leaves):
        other = np.arange(x.size, dtype=float).reshape(x.shape) % 7
        changed = [*operands[:i], other, *operands[i + 1 :]]
        assert np.sum(g * np.einsum(subscripts, *changed)) == np.sum(x.grad * other)


def test_einsum_takes_lists_of_labels_and_a_path_that_was_found_before():
    a, b, c = leaf(np.ones((2, 3))), np.ones((3, 4)), np.ones((4, 2))
    path = np.einsum_path("ij,jk,kl", a.data, b, c, optimize="optimal")[0]
    y = np.einsum("ij,jk,kl", a, b, c, optimize=path)
    y.sum().backward()
    assert a.grad.tolist() == [[8.0] * 3] * 2
    assert np.all(np.einsum(a, [0, 5], b, [5, 1], [1, 0]).data == (a.data @ b).T)
    assert np.all(np.einsum(a, [Ellipsis, 30], b, [30, 2]).data == a.data @ b)


def test_a_number_in_an_einsum_does_not_widen_the_result():
    x = leaf([1.0, 2.0], np.float16)
    y = einsum(",i->i", 2.0, x)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == np.float16


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk", [(2, 3), (2, 3)], "'j' is the label of axes of lengths 3 and 2"),
        ("ij,jk", [(2, 3)], "the subscripts are of 2 operands, not 1"),
        ("i...j", [(2,)], r"'i...j' has 2 labels for the 1 axes of shape \(2,\)"),
        ("ij->k", [(2, 3)], "no operand has the label 'k' of the result"),
        ("i1", [(2, 3)], "invalid subscript '1'"),
    ],
)
def test_operands_that_an_einsum_cannot_take_are_named(subscripts, shapes, message):
    operands = [leaf(np.ones(shape)) for shape in shapes]
    with pytest.raises(ShapeError, match=f'einsum "{subscripts}" cannot take .*: {message}'):
        np.einsum(subscripts, *operands)


def test_labels_that_are_no_letters_are_named():
    with pytest.raises(OperandError, match="integers from 0 to 51"):
        np.einsum(leaf([1.0]), [52])


SHAPES = st.sampled_from([(), (2,), (3,), (2, 2), (3, 2), (2, 3), (2, 2, 2), (0, 2)])


@pytest.mark.parametrize("f", [np.dot, np.inner, np.outer, np.vdot, np.kron, np.vecdot])
@given(data=st.data())
def test_products_are_numpys(f, data):
    a, b = data.draw(SHAPES.flatmap(arrays)), data.draw(SHAPES.flatmap(arrays))
    try:
        expected = f(a, b)
    except ValueError:
        with pytest.raises(ShapeError):
            f(Tensor(a), b)
    else:
        for y in (f(Tensor(a), b), f(a, Tensor(b))):
            np.testing.assert_array_equal(y.data, np.asarray(expected), strict=True)


@pytest.mark.parametrize("axes", [0, 1, 2, (0, 1), (-1, 0), ([0, 1], [1, 0]), ([2, -3], [0, 1])])
def test_tensordot_is_numpys(axes):
    a, b = np.arange(8.0).reshape(2, 2, 2), np.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(np.tensordot(leaf(a), b, axes).data, np.tensordot(a, b, axes))
    gradcheck(lambda a, b: np.tensordot(a, b, axes), a, b)


def test_axes_that_tensordot_cannot_pair_are_named():
    with pytest.raises(ShapeError, match=r"axes \[1\] of shape \(2, 3\) with axes \[0\] of"):
        np.tensordot(leaf(np.ones((2, 3))), np.ones((2, 3)), 1)


@given(st.lists(st.integers(1, 4), min_size=3, max_size=6), st.data())
def test_multi_dot_is_the_product_in_any_order(lengths, data):
    arrays_ = [np.ones(shape) for shape in pairwise(lengths)]
    if data.draw(st.booleans()):
        arrays_[0] = arrays_[0][0]
    if data.draw(st.booleans()):
        arrays_[-1] = arrays_[-1][:, 0]
    y = np.linalg.multi_dot([leaf(a) for a in arrays_])
    np.testing.assert_array_equal(y.data, np.linalg.multi_dot(arrays_))


def test_multi_dot_of_a_stack_is_refused():
    with pytest.raises(ShapeError, match=r"two or more matrices.*\(2, 2, 2\), \(2,\)"):
        np.linalg.multi_dot([leaf(np.ones((2, 2, 2))), np.ones(2)])


def test_vecdot_takes_an_axis():
    a, b = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    np.testing.assert_array_equal(
        np.linalg.vecdot(leaf(a), b, axis=0).data, np.linalg.vecdot(a, b, axis=0)
    )


VECTORS = np.random.default_rng(1).standard_normal((2, 4, 3))


def test_a_cross_product_is_numpys_and_has_its_gradients():
    a, b = VECTORS
    for x, y, options in [(a, b, {}), (a, b[0], {}), (a.T, b.T, {"axis": 0})]:
        z = np.cross(leaf(x), y, **options)
        np.testing.assert_allclose(z.data, np.cross(x, y, **options))
    z = np.cross(leaf(a), leaf(b.T), axisb=0, axisc=0)
    np.testing.assert_allclose(z.data, np.cross(a, b.T, axisb=0, axisc=0))
    np.testing.assert_allclose(np.linalg.cross(leaf(a), b).data, np.linalg.cross(a, b))
    gradcheck(np.cross, a, b[0], order=2)
    with pytest.raises(ShapeError, match="vectors of 3 entries"):
        np.linalg.cross(leaf([1.0, 2.0]), [3.0, 4.0])


def test_a_matrix_times_a_stack_of_vectors():
    a, v = MATRICES[:, None], VECTORS  # (2, 1, 3, 3) and (2, 4, 3)
    np.testing.assert_allclose(matvec(leaf(a), v).data, np.einsum("...ij,...j->...i", a, v))
    np.testing.assert_allclose(vecmat(leaf(v), a).data, np.einsum("...i,...ij->...j", v, a))
    gradcheck(matvec, MATRICES[0], v[0])
    gradcheck(vecmat, v[0], MATRICES[0])


# Matrices


@pytest.mark.parametrize("f", [np.linalg.inv, np.linalg.det, np.linalg.pinv, np.linalg.svdvals])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_a_matrix_are_numpys_and_keep_the_dtype(f, dtype):
    x = leaf(MATRICES, dtype)
    y = f(x)
    (y * y).sum().backward()
    np.testing.assert_array_equal(y.data, f(x.data), strict=True)
    assert x.grad.dtype == dtype
    assert np.all(np.isfinite(x.grad))


@pytest.mark.parametrize("n", [-3, -1, 0, 1, 2, 7])
def test_a_power_of_a_matrix_is_numpys(n):
    np.testing.assert_allclose(
        np.linalg.matrix_power(leaf(MATRICES), n).data, np.linalg.matrix_power(MATRICES, n)
    )


@pytest.mark.parametrize("b", [np.ones(3), np.ones((3, 2)), np.ones((2, 3, 1)), [1.0, 2.0, 3.0]])
def test_solve_is_numpys(b):
    y = np.linalg.solve(leaf(MATRICES), b)
    np.testing.assert_array_equal(y.data, np.linalg.solve(MATRICES, b), strict=True)


def test_slogdet_keeps_the_names_of_its_results_and_does_not_overflow():
    x = leaf(np.diag([1e200, -1e200]))
    result = np.linalg.slogdet(x)
    result.logabsdet.backward()
    assert result.sign == -1
    assert result.logabsdet.item() == pytest.approx(2 * np.log(1e200))
    np.testing.assert_allclose(np.diag(x.grad) * np.diag(x.data), 1)


@pytest.mark.parametrize(
    "matrix", [np.zeros((2, 2)), np.diag([1.0, 2, 0]), [[1.0, 2], [2, 4]], [[0.0]]]
)
def test_a_determinant_has_a_gradient_at_singular_matrices(matrix):
    gradcheck(np.linalg.det, np.array(matrix), order=2)


def test_a_determinant_next_to_a_singular_one_is_right_too():
    x = leaf([np.eye(2), np.zeros((2, 2)), [[1, 1], [1, 1]]])
    np.linalg.det(x).sum().backward()
    assert x.grad.tolist() == [[[1, 0], [0, 1]], [[0, 0], [0, 0]], [[1, -1], [-1, 1]]]


def test_decompositions_multiply_back_and_have_numpys_names():
    x = leaf(SYMMETRIC)
    lower, upper = np.linalg.cholesky(x), np.linalg.cholesky(x, upper=True)
    e, s, q = np.linalg.eigh(x), np.linalg.svd(x), np.linalg.qr(x)
    for y in [
        lower @ lower.mT,
        upper.mT @ upper,
        (e.eigenvectors * e.eigenvalues[..., None, :]) @ e.eigenvectors.mT,
        (s.U * s.S[..., None, :]) @ s.Vh,
        q.Q @ q.R,
    ]:
        np.testing.assert_allclose(y.data, SYMMETRIC, rtol=1e-12)
        assert y.requires_grad


@pytest.mark.parametrize("a", RECTANGLES)
def test_svd_and_qr_of_any_shape_are_numpys(a):
    result, expected = np.linalg.svd(leaf(a), full_matrices=False), np.linalg.svd(a, False)
    for y, z in zip(result, expected, strict=True):
        np.testing.assert_array_equal(y.data, z)
    for y, z in zip(np.linalg.qr(leaf(a)), np.linalg.qr(a), strict=True):
        np.testing.assert_allclose(y.data, z, atol=1e-14)
    np.testing.assert_allclose(np.linalg.qr(leaf(a), "r").data, np.linalg.qr(a, "r"), atol=1e-14)
    np.testing.assert_array_equal(
        np.linalg.svd(leaf(a), compute_uv=False).data, np.linalg.svd(a, compute_uv=False)
    )


@pytest.mark.parametrize("a", RECTANGLES)
def test_each_result_of_svd_and_qr_has_its_gradient(a):
    for i in range(3):
        gradcheck(lambda x, i=i: np.linalg.svd(x, full_matrices=False)[i], a)
    for i in range(2):
        gradcheck(lambda x, i=i: np.linalg.qr(x)[i], a)


def test_singular_values_that_are_equal_still_have_a_gradient():
    x = leaf(np.eye(3))
    np.linalg.svd(x).S.sum().backward()  # the nuclear norm, whose gradient here is U Vᵀ
    np.testing.assert_allclose(x.grad, np.eye(3))
    y = leaf(np.eye(3))
    np.linalg.eigh(y).eigenvalues.sum().backward()  # the trace
    np.testing.assert_allclose(y.grad, np.eye(3))


@pytest.mark.parametrize("triangle", ["L", "U"])
def test_a_triangle_alone_is_read_and_both_get_the_gradient(triangle):
    a = np.array([[2.0, 0.5], [1.0, 3.0]])
    x = leaf(a)
    values = np.linalg.eigh(x, UPLO=triangle).eigenvalues
    np.testing.assert_array_equal(values.data, np.linalg.eigh(a, triangle).eigenvalues)
    values[0].backward()
    assert x.grad[0, 1] == x.grad[1, 0] != 0


@pytest.mark.parametrize("p", MATRIX_ORDERS)
def test_the_condition_number_is_numpys_and_has_its_gradient(p):
    np.testing.assert_allclose(np.linalg.cond(leaf(MATRICES), p).data, np.linalg.cond(MATRICES, p))
    gradcheck(lambda x: np.linalg.cond(x, p), MATRICES[0])


def test_a_singular_matrix_has_an_infinite_condition_number():
    singular = [np.zeros((2, 2)), np.diag([1, 0.0])]
    assert np.linalg.cond(leaf(singular)).data.tolist() == np.linalg.cond(singular).tolist()
    assert np.linalg.cond(leaf(np.diag([1, 0.0])), -2).item() == 0


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 3)])
@pytest.mark.parametrize("columns", [(), (2,)])
def test_least_squares_are_numpys_and_have_their_gradients(shape, columns):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape), rng.standard_normal((shape[0], *columns))
    y, expected = np.linalg.lstsq(leaf(a), leaf(b)), np.linalg.lstsq(a, b)
    for result, want in zip(y, expected, strict=True):
        np.testing.assert_allclose(result.data if isinstance(result, Tensor) else result, want)
    gradcheck(lambda a, b: np.linalg.lstsq(a, b)[0], a, b)
    gradcheck(lambda a, b: np.linalg.lstsq(a, b)[1].sum() + a.sum(), a, b)


def test_columns_that_depend_on_each_other_leave_no_residuals_as_in_numpy():
    a, b = np.array([[1.0, 1], [2, 2], [3, 3]]), np.array([1.0, 0, 1])
    y, expected = np.linalg.lstsq(leaf(a), b), np.linalg.lstsq(a, b)
    assert y.rank == expected[2] == np.linalg.matrix_rank(leaf(a)) == 1
    assert y.residuals.shape == (0,)
    np.testing.assert_allclose(y.solution.data, expected[0])


def test_tensor_equations_are_numpys_and_have_their_gradients():
    a = np.random.default_rng(0).standard_normal((2, 3, 6))
    b = np.arange(6.0).reshape(2, 3)
    moved = np.moveaxis(a, 2, 0)
    np.testing.assert_allclose(np.linalg.tensorsolve(leaf(a), b).data, np.linalg.tensorsolve(a, b))
    np.testing.assert_allclose(
        np.linalg.tensorsolve(leaf(moved), b, axes=(0,)).data, np.linalg.tensorsolve(a, b)
    )
    np.testing.assert_allclose(np.linalg.tensorinv(leaf(a)).data, np.linalg.tensorinv(a))
    gradcheck(np.linalg.tensorsolve, a, b)
    gradcheck(np.linalg.tensorinv, a)
    with pytest.raises(ShapeError, match="in the first ind=1 axes"):
        np.linalg.tensorinv(leaf(a), 1)
    with pytest.raises(ShapeError, match="as many entries"):
        np.linalg.tensorsolve(leaf(a), b[0])


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_the_diagonals_of_a_stack_are_those_of_its_matrices(offset):
    for f in (np.linalg.diagonal, np.linalg.trace):
        np.testing.assert_allclose(
            f(leaf(MATRICES), offset=offset).data, f(MATRICES, offset=offset)
        )
    turned = np.linalg.matrix_transpose(leaf(MATRICES))
    np.testing.assert_array_equal(turned.data, MATRICES.mT)


def test_the_module_has_numpys_names_and_says_what_is_not_there():
    not_there = {"LinAlgError", "eig", "eigvals", "linalg", "test"}
    assert {name for name in np.linalg.__all__ if name not in not_there} <= set(linalg.__all__)
    assert all(hasattr(linalg, name) for name in linalg.__all__)
    with pytest.raises(AttributeError, match="did you mean 'eigh'"):
        linalg.eig  # noqa: B018


@pytest.mark.parametrize("f", [np.linalg.inv, lambda x: np.linalg.solve(x, np.ones(2))])
def test_a_singular_matrix_is_named_by_its_place(f):
    x = leaf([np.eye(2), np.ones((2, 2))])
    with pytest.raises(LinearAlgebraError, match="2x2 matrix at index 1 of the stack is singular"):
        f(x)
    with pytest.raises(np.linalg.LinAlgError):
        f(x[1])


def test_what_cannot_be_decomposed_is_named():
    with pytest.raises(LinearAlgebraError, match="2x2 matrix is not positive definite"):
        np.linalg.cholesky(leaf(-np.eye(2)))
    with pytest.raises(LinearAlgebraError, match="holds a nan"):
        np.linalg.svd(leaf(np.full((2, 2), np.nan)))
    with pytest.raises(ShapeError, match=r"det takes square matrices.*\(2, 3\)"):
        np.linalg.det(leaf(np.ones((2, 3))))
    with pytest.raises(ShapeError, match="full_matrices=False"):
        np.linalg.svd(leaf(np.ones((2, 3))))
    with pytest.raises(UnknownNameError, match="complete"):
        np.linalg.qr(leaf(np.ones((2, 3))), mode="complete")


# Norms

VECTOR_ORDERS = [None, 1, 2, 3, 1.5, 0.5, -1, np.inf, -np.inf]
CUBE = np.array([3.0, -1, 4, -1.5, 5.2, -9, 2.7, 6.1]).reshape(2, 2, 2)  # no sums that tie


@pytest.mark.parametrize("keepdims", [False, True])
def test_norms_are_numpys_and_have_gradients(keepdims):
    calls = [(order, axis) for order in VECTOR_ORDERS for axis in (0, -1)]
    calls += [(order, axis) for order in MATRIX_ORDERS for axis in ((0, 1), (2, 0), (-1, -2))]
    for order, axis in [*calls, (None, None)]:
        y = np.linalg.norm(leaf(CUBE), order, axis, keepdims)
        expected = np.linalg.norm(CUBE, order, axis, keepdims)
        np.testing.assert_allclose(y.data, expected, rtol=1e-14, strict=False)
        assert y.shape == np.shape(expected)
        gradcheck(lambda x, o=order, a=axis: np.linalg.norm(x, o, a), CUBE)


def test_the_norm_of_a_zero_vector_has_the_gradient_zero():
    for order in (None, 2, 3, 1.5, "fro"):
        x = leaf([[0.0, 0.0], [0.0, 0.0]])
        np.linalg.norm(x, order, (0, 1) if order == "fro" else 1).sum().backward()
        assert x.grad.tolist() == [[0, 0], [0, 0]]


def test_entries_that_tie_for_the_largest_share_the_gradient():
    x = leaf([3.0, -3.0, 1.0])
    np.linalg.norm(x, np.inf).backward()
    assert x.grad.tolist() == [0.5, -0.5, 0]


def test_a_count_of_entries_is_a_plain_number():
    assert np.linalg.norm(leaf([0.0, 2.0]), 0) == 1


def test_the_norms_of_the_array_api_are_there():
    x = leaf(CUBE)
    assert np.linalg.vector_norm(x).item() == pytest.approx(np.linalg.vector_norm(CUBE))
    np.testing.assert_allclose(
        np.linalg.matrix_norm(x, ord="nuc").data, np.linalg.matrix_norm(CUBE, ord="nuc")
    )


def test_norms_that_do_not_exist_are_named():
    with pytest.raises(UnknownNameError, match="norm of a matrix 3"):
        np.linalg.norm(leaf(np.eye(2)), 3)
    with pytest.raises(UnknownNameError, match="norm of a vector 'fro'"):
        np.linalg.norm(leaf([1.0]), "fro")
    with pytest.raises(ShapeError, match=r"one axis for vectors or two for matrices"):
        np.linalg.norm(leaf(CUBE), 2)
