"""Taking entries out by every kind of index that NumPy has."""

import numpy as np
import pytest

from tinygrad_edu import IndexingError, Tensor, getitem


def leaf(data):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True)


TWICE_THE_FIRST = [
    np.array([0, 0]),
    [0, 0],
    ((0, 0),),
    (np.array([0, -3]),),
    Tensor(np.array([0, 0])),
    (Tensor(np.array([0, 0])),),
    np.array([[0], [0]], dtype=np.uint8),
]


@pytest.mark.parametrize("index", TWICE_THE_FIRST)
def test_an_entry_that_is_taken_twice_gets_its_gradient_twice(index):
    for take in (getitem, Tensor.__getitem__):
        x = leaf([5.0, 6.0, 7.0])
        take(x, index).sum().backward()
        assert x.grad.tolist() == [2, 0, 0]


@pytest.mark.parametrize(
    "index",
    [
        0,
        np.int64(-1),
        slice(None, None, -2),
        ...,
        None,
        (..., None, 1),
        [True, False, True],
        np.array([True, False, True]),
        (np.array([2, 0]), slice(1, None)),
        (slice(None), [1, 0]),
        np.zeros((3, 2), bool),
        (),
        range(2),
    ],
)
def test_indexing_is_numpys_and_its_gradient_counts_the_places(index):
    x = leaf(np.arange(6.0).reshape(3, 2))
    y = x[index]
    np.testing.assert_array_equal(y.data, x.data[index], strict=True)
    y.sum().backward()
    counts = np.zeros_like(x.data)
    np.add.at(counts, index, 1)
    np.testing.assert_array_equal(x.grad, counts)


def test_iteration_gives_the_rows_with_their_graph():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    first, second = x
    (first * 10 + second).sum().backward()
    assert x.grad.tolist() == [[10, 10], [1, 1]]


@pytest.mark.parametrize("index", [3, (0, 0), np.array([7]), 1.5, "a"])
def test_a_bad_index_names_the_op_the_index_and_the_shape(index):
    with pytest.raises(IndexingError, match=r"getitem cannot take shape \(3,\) with index=") as e:
        leaf([1.0, 2.0, 3.0])[index]
    assert repr(index) in str(e.value)
