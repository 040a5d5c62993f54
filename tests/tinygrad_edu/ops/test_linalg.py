"""Matrix products."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import ShapeError, Tensor
from tinygrad_edu.testing import gradcheck


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
    ],
)
def test_one_matrix_may_be_both_factors(f):
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
