"""Tensor: an array in a graph, and a citizen of NumPy."""

import copy
import math
import pickle

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import (
    DTypeError,
    GradientError,
    GradientLostError,
    OperandError,
    ShapeError,
    Tensor,
    UnsupportedFunctionError,
    Value,
)
from tinygrad_edu.graph import mode


def leaf(data, **options):
    return Tensor(np.array(data, dtype=np.float64), requires_grad=True, **options)


# Making one


def test_python_numbers_get_the_default_dtype_and_arrays_keep_theirs():
    assert Tensor([1, 2.5]).dtype == Tensor(3).dtype == np.float32
    assert Tensor([True, False]).dtype == bool
    for dtype in (np.float16, np.float64, np.int8):
        assert Tensor(np.ones(2, dtype)).dtype == Tensor(dtype(1)).dtype == dtype
    assert Tensor(np.ones(2), dtype=np.float16).dtype == np.float16


def test_the_default_dtype_can_be_set():
    tg.set_default_dtype(np.float64)
    try:
        assert Tensor([0.1]).data[0] == 0.1
    finally:
        tg.set_default_dtype(np.float32)
    with pytest.raises(DTypeError, match="must be floating-point, not int64"):
        tg.set_default_dtype(np.int64)


def test_an_array_is_used_as_it_is():
    data = np.ones(3)
    assert Tensor(data).data is data


@pytest.mark.parametrize("data", ["text", 1j, np.array([1j]), [[1.0], [1.0, 2.0]], None, object()])
def test_a_tensor_holds_real_numbers(data):
    with pytest.raises(DTypeError, match="real numbers"):
        Tensor(data)


def test_integers_that_ask_for_a_gradient_are_refused_with_what_works():
    with pytest.raises(DTypeError, match=r"not int64; convert with dtype=np\.float32"):
        Tensor(np.arange(3), requires_grad=True)
    assert Tensor(np.arange(3), requires_grad=True, dtype=np.float32).requires_grad


@pytest.mark.parametrize("dtype", [None, np.float64])
def test_a_tensor_made_of_nodes_would_lose_their_gradients(dtype):
    with pytest.raises(DTypeError, match="already"):
        Tensor(leaf([1.0]), dtype=dtype)
    with pytest.raises(GradientLostError):
        Tensor([leaf(1.0), leaf(2.0)], dtype=dtype)
    with pytest.raises(DTypeError, match="real numbers, not object"):
        Tensor([Value(1.0), Value(2.0)], dtype=dtype)


# Operators

OPERANDS = [2, 2.5, np.float64(2.5), np.int32(2), [1, 2.5], (3.0, 0.5), np.array([[1.0], [2.0]])]


@pytest.mark.parametrize("other", OPERANDS, ids=lambda n: type(n).__name__)
def test_operands_of_every_kind_work_on_either_side(other):
    array = np.asarray(other)
    for symbol in ("add", "sub", "mul", "truediv", "pow"):
        for method, expected in (
            (f"__{symbol}__", getattr(np.array([1.5, 2.0]), f"__{symbol}__")(array)),
            (f"__r{symbol}__", getattr(np.array([1.5, 2.0]), f"__r{symbol}__")(array)),
        ):
            x = leaf([1.5, 2.0])
            y = getattr(x, method)(other)
            np.testing.assert_allclose(y.data, expected, rtol=1e-15)
            y.sum().backward()
            assert x.grad.shape == (2,)


@pytest.mark.parametrize(
    ("left", "rows"), [(np.array([5.0, 6.0]), 1), (np.array([[5.0], [6.0]]), 2), (np.float64(5), 1)]
)
def test_an_array_on_the_left_does_not_swallow_the_graph(left, rows):
    x = leaf([1.0, 2.0])
    y = left - x
    assert isinstance(y, Tensor)
    y.sum().backward()
    assert x.grad.tolist() == [-rows, -rows]  # each entry of x went into every row


def test_comparisons_are_arrays_of_bools_from_either_side():
    x, array = leaf([1.0, 2.0]), np.array([2.0, 2.0])
    for result in (x < array, array > x, x < Tensor(array), np.less(x, array)):
        assert isinstance(result, np.ndarray)
        assert result.tolist() == [True, False]
    assert (array == x).tolist() == (x == array).tolist() == [False, True]
    assert (array != x).tolist() == (x != 2).tolist() == [True, False]
    assert (array >= x).all()
    assert (x <= array).all()


@pytest.mark.parametrize("other", ["2", None, {}, object(), np.array([1j]), np.array([Value(1.0)])])
def test_other_operands_are_refused(other):
    with pytest.raises(TypeError):
        leaf([1.0]) * other


def test_an_array_of_complex_numbers_or_objects_is_refused_by_name():
    for array in (np.array([1j]), np.array([Value(1.0)])):
        with pytest.raises(DTypeError, match=f"multiply gave {array.dtype}"):
            array * leaf([1.0])


def test_the_array_on_the_left_cannot_be_changed_in_place():
    array = np.ones(2)
    with pytest.raises(UnsupportedFunctionError, match=r"np.add on a Tensor has no option 'out'"):
        array += leaf([1.0, 2.0])
    assert array.tolist() == [1, 1]


# NumPy's functions


@pytest.mark.parametrize(
    "f",
    [
        lambda t: np.tanh(t),
        lambda t: np.exp(t) / np.sqrt(t),
        lambda t: np.log(t) ** 2 - np.power(t, 3),
        lambda t: np.sum(t, axis=0),
        lambda t: np.mean(t, axis=-1, keepdims=True),
        lambda t: np.max(t, axis=(0, 1)),
        lambda t: np.reshape(t, (3, 2)) @ t,
        lambda t: np.transpose(t, (1, 0)),
        lambda t: np.broadcast_to(t, (2, 2, 3)),
        lambda t: np.maximum(t, 1.0) - np.minimum(1.0, t),
        lambda t: np.where(t > 1, t, 0.0),
        lambda t: np.abs(-t),
        lambda t: np.ones((4, 2)) @ t,
    ],
)
def test_numpys_functions_take_a_tensor_and_keep_its_graph(f):
    data = np.array([[0.5, 1.5, 2.0], [0.25, 1.0, 3.0]])
    x = leaf(data)
    y = f(x)
    np.testing.assert_allclose(y.data, f(data), rtol=1e-15)
    y.sum().backward()
    assert x.grad.shape == data.shape


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (
            lambda t: np.unwrap(t),
            r"np\.unwrap has no derivative rule here, .* np\.unwrap\(t\.detach\(\)\.numpy\(\)\)",
        ),
        (lambda t: np.nextafter(t, t), r"np\.nextafter has no derivative rule"),
        (lambda t: np.spacing(t), r"np\.spacing .* with a rule: .*sin"),
        (lambda t: np.put(t, 0, 1), r"np\.put does not take a Tensor: use index_set"),
        (lambda t: np.linalg.eig(t), r"np\.linalg\.eig does not take a Tensor: use"),
        (lambda t: np.add.reduceat(t, [0]), r"np\.add\.reduceat has no derivative rule"),
        (lambda t: np.tanh(t, where=[True]), r"np.tanh on a Tensor has no option 'where'"),
        (lambda t: np.tanh(t, dtype=np.float32), r"np.tanh .* no option 'dtype'.*astype"),
    ],
)
def test_a_function_without_a_rule_says_so_by_name(f, message):
    with pytest.raises(UnsupportedFunctionError, match=message):
        f(leaf([[1.0]]))


def test_an_option_of_numpys_that_an_op_lacks_is_refused():
    with pytest.raises(UnsupportedFunctionError, match=r"np\.std on a Tensor has no option 'mean'"):
        np.std(leaf([1.0, 2.0]), mean=np.ones(1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("view", "Tensor has no 'view': here it is reshape"),
        ("unsqueeze", "expand_dims"),
        ("sofmax", "did you mean 'softmax'"),
    ],
)
def test_a_name_of_another_library_is_told_as_it_is_here(name, message):
    with pytest.raises(AttributeError, match=message):
        getattr(leaf([1.0]), name)
    assert not hasattr(leaf([1.0]), name)


def test_a_function_of_another_library_is_told_as_it_is_here():
    with pytest.raises(AttributeError, match="tinygrad_edu has no 'cat': here it is concatenate"):
        tg.cat  # noqa: B018


def test_every_exported_name_is_there_and_star_leaves_pythons_own_alone():
    names: dict = {}
    exec("from tinygrad_edu import *", names)
    assert set(tg.__all__) <= set(names)
    assert not {"sum", "max", "min", "abs", "round", "any", "all"} & set(tg.__all__)
    assert tg.sum(leaf([1.0, 2.0])).item() == 3


def test_a_conversion_that_would_lose_the_gradient_raises():
    x = leaf([1.0], label="weight")
    for convert in (np.asarray, np.array, lambda t: t.numpy(), lambda t: np.ones(1).dot(t)):
        with pytest.raises(GradientLostError, match=r"'weight' of shape \(1,\).*\.detach\(\)"):
            convert(x)
    assert np.asarray(x.detach()) is x.data
    assert np.array(x.detach()) is not x.data


# The array in it


def test_a_tensor_has_the_attributes_of_its_array():
    x = Tensor(np.zeros((2, 3)))
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float64, 2)
    assert x.tolist() == [[0, 0, 0], [0, 0, 0]]
    assert x.numpy() is x.data


def test_one_entry_is_a_number():
    assert Tensor([[2.5]]).item() == float(Tensor(2.5)) == 2.5
    assert math.isclose(Tensor(2.5), 2.5)
    assert bool(Tensor([0.0])) is False


def test_several_entries_are_not():
    x = Tensor([1.0, 2.0], label="x")
    with pytest.raises(ShapeError, match=r"not Tensor 'x' of shape \(2,\): reduce it"):
        x.item()
    with pytest.raises(ShapeError, match="ambiguous"):
        bool(x)
    with pytest.raises(ShapeError, match="no length"):
        len(Tensor(1.0))


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_leaf_can_be_copied_and_pickled(duplicate):
    x = duplicate(leaf([1.0, 2.0], label="w"))
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]
    assert x.label == "w"


def test_detach_shares_the_array():
    x = leaf([1.0])
    assert x.detach().data is x.data
    assert not x.detach().requires_grad


def test_a_tensor_shows_its_numbers_and_where_they_come_from():
    assert repr(Tensor([1.0, 2.0])) == "Tensor([1., 2.])"
    x = leaf([1.0], label="w")
    assert repr(x) == "Tensor([1.], dtype=float64, requires_grad=True, label='w')"
    assert repr(x * 2) == "Tensor([2.], dtype=float64, op=multiply)"


# Errors


def test_shapes_that_do_not_broadcast_are_named_with_op_and_module():
    a, b = leaf(np.zeros((2, 3))), leaf(np.zeros(4))
    token = mode.set((True, "features.0"))
    try:
        with pytest.raises(ShapeError, match=r"add in features.0 cannot take shape \(2, 3\) and sha"
                           r"pe \(4,\): shapes broadcast if"):  # fmt: skip
            a + b
    finally:
        mode.reset(token)
    assert a.grad is b.grad is None


def test_the_module_of_a_node_is_named_when_backward_cannot_start():
    token = mode.set((True, "features.0"))
    try:
        y = leaf([1.0, 2.0]) * 2
    finally:
        mode.reset(token)
    with pytest.raises(GradientError, match=r"made by multiply in features\.0"):
        y.backward()


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: x.reshape(4), r"reshape cannot take shape \(2, 3\) with shape=\(4,\)"),
        (lambda x: x.broadcast_to(2, 4), r"broadcast_to cannot take shape \(2, 3\) with shape="),
        (lambda x: x.transpose(0, 0), r"transpose cannot take shape \(2, 3\) with axes=\(0, 0\)"),
        (lambda x: x[:, :0].max(), r"max cannot take shape \(2, 0\)"),
    ],
)
def test_an_option_that_does_not_fit_the_shape_is_named(f, message):
    with pytest.raises(ShapeError, match=message):
        f(leaf(np.zeros((2, 3))))


@pytest.mark.parametrize("op", [tg.sum, tg.mean, tg.max, tg.softmax, tg.log_softmax])
def test_an_axis_outside_the_array_is_an_index_error(op):
    with pytest.raises(tg.IndexingError, match=rf"{op.name} cannot take shape \(2,\) with axis=5"):
        op(leaf([1.0, 2.0]), 5)


def test_a_call_with_too_few_operands_is_refused_by_name():
    with pytest.raises(OperandError, match=r"matmul needs b; it is called as matmul\(a, b\)"):
        tg.matmul(leaf([1.0]))
    with pytest.raises(OperandError, match="getitem needs index="):
        tg.getitem(leaf([1.0]))


def test_subtracting_bools_is_numpys_type_error_by_the_ops_name():
    with pytest.raises(OperandError, match=r"subtract cannot take shape \(1,\) and shape \(1,\)"):
        Tensor([True]) - Tensor([False])


def test_a_failed_backward_changes_no_gradient():
    x, y = leaf([1.0, 2.0]), leaf([2.0, 3.0])
    broken = tg.elementwise("broken", "?", abs, np.positive, lambda g, y, x: np.ones(7))
    with pytest.raises(ShapeError, match="rule of broken"):
        (x * y + broken(x)).sum().backward()
    assert x.grad is y.grad is None
