"""A Tensor in NumPy's own hands: methods of ufuncs, containers, and object arrays of Values."""

import inspect

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import OperandError, Tensor, UnsupportedFunctionError, Value
from tinygrad_edu.numpy_calls import LOOKS_AT_DATA
from tinygrad_edu.ops.declare import NUMPY_FUNCTIONS


def leaf(data):
    return Tensor(np.array(data, dtype=float), requires_grad=True)


@pytest.mark.parametrize("ufunc", [np.add, np.maximum])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"axis": None, "keepdims": True}])
def test_reduce_of_a_ufunc_is_the_reduction_with_its_own_default_axis(ufunc, options):
    x = leaf([[1, 5, 2], [4, 3, 6]])
    y = ufunc.reduce(x, **options)
    np.testing.assert_array_equal(y.data, ufunc.reduce(x.data, **options))
    assert y.requires_grad


@pytest.mark.parametrize("ufunc", [np.add, np.multiply])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"out": None}])
def test_accumulate_of_a_ufunc_runs_along_its_own_default_axis(ufunc, options):
    x = leaf([[1, 5, 2], [4, 3, 6]])
    y = ufunc.accumulate(x, **options)
    np.testing.assert_array_equal(y.data, ufunc.accumulate(x.data, **options))
    assert y.requires_grad


def test_out_none_is_no_option():
    x = leaf([1, 2])
    np.add(x, x, out=None).sum().backward()
    assert x.grad.tolist() == [2, 2]
    with pytest.raises(tg.UnsupportedFunctionError, match=r"np\.add .* 'out'"):
        np.add(x, x, out=np.zeros(2))


@pytest.mark.parametrize("method", ["outer", "reduceat", "at"])
def test_other_methods_of_ufuncs_are_refused_by_name(method):
    arguments = {"outer": ([1.0],), "reduceat": ([0],), "at": ([0], 1.0)}[method]
    with pytest.raises(tg.UnsupportedFunctionError, match=rf"np\.add\.{method}"):
        getattr(np.add, method)(leaf([1, 2]), *arguments)


def test_a_number_is_in_a_tensor_of_any_shape():
    assert 3.0 in leaf([[1, 2], [3, 4]])
    assert 5.0 not in leaf([[1, 2], [3, 4]])


def test_object_arrays_of_values_multiply_and_add_up():
    matrix = np.array([[Value(1.0), Value(2.0)], [Value(3.0), Value(4.0)]])
    vector = np.array([Value(5.0), Value(6.0)])
    product = matrix @ vector
    assert [v.data for v in product] == [17, 39]
    (product[0] + product.sum()).backward()
    assert [v.grad for v in vector] == [2 * 1 + 3, 2 * 2 + 4]
    assert [v.grad for v in matrix[0]] == [10, 12]


def has_signature(function):
    try:
        inspect.signature(function)
    except ValueError:  # compiled, before NumPy 2.4
        return False
    return not isinstance(function, np.ufunc)


# What suits the required parameters of NumPy's functions, by their names.
SQUARE = np.array([[2.0, 1.0], [0.0, 3.0]])
VECTOR = np.array([1.0, 2.0, 4.0])
VECTORS = {"interp", "polyval", "convolve", "vander", "outer", "cumulative_sum", "cumulative_prod"}
ARGUMENTS = {
    "arrays": [SQUARE, SQUARE],
    "tup": (SQUARE, SQUARE),
    "axis": 0,
    "axis1": 0,
    "axis2": 1,
    "choices": [SQUARE, SQUARE],
    "choicelist": [SQUARE],
    "condition": [True, False],
    "condlist": [SQUARE > 1],
    "destination": 1,
    "dtype": np.float64,
    "fill_value": 1.0,
    "func1d": np.sum,
    "indices": np.array([[0, 1]]),
    "indices_or_sections": 2,
    "kth": 1,
    "n": 2,
    "newshape": (2, 2),
    "obj": 0,
    "pad_width": 1,
    "q": 0.5,
    "repeats": 2,
    "reps": 2,
    "shape": (2, 2),
    "shift": 1,
    "source": 0,
    "start": 0.0,
    "stop": 1.0,
    "values": 1.0,
}
PLACED = {"einsum": ("ij->i", SQUARE), "choose": ([[0, 1], [1, 0]], [SQUARE, SQUARE])}
PLACED |= {"tensorsolve": (np.eye(4).reshape(2, 2, 2, 2), SQUARE)}
PLACED |= {"tensorinv": (np.eye(4).reshape(2, 2, 2, 2),), "cross": (VECTOR, VECTOR)}
PLACED |= {"bincount": (np.array([1, 2]),), "linspace": (VECTOR, VECTOR)}
PLACED |= {"apply_along_axis": (np.sum, 0, SQUARE), "gradient": (SQUARE,)}
PLACED |= {"dsplit": (np.ones((2, 2, 2)), 2)}
NAMED_FUNCTIONS = sorted(filter(has_signature, NUMPY_FUNCTIONS), key=lambda f: f.__name__)


def arguments_of(function):
    """Typical arguments for the required parameters of a NumPy function."""
    if function.__name__ in PLACED:
        return list(PLACED[function.__name__])
    array = VECTOR if function.__name__ in VECTORS else SQUARE @ SQUARE.T + np.eye(2)
    required = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    return [ARGUMENTS.get(p.name, array) for p in required if p.kind is not p.VAR_KEYWORD]


def on_tensors(x):
    if isinstance(x, list | tuple) and isinstance(x[0], np.ndarray):
        return [on_tensors(part) for part in x]
    return Tensor(x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x


def numbers(result):
    """The parts of what a function returned, as plain arrays."""
    parts = result if isinstance(result, list | tuple) else [result]
    return [part.data if isinstance(part, Tensor) else np.asarray(part) for part in parts]


@pytest.mark.parametrize("function", NAMED_FUNCTIONS, ids=lambda f: f.__name__)
def test_every_parameter_of_a_numpy_function_is_accepted_at_its_default(function):
    arguments = arguments_of(function)
    parameters = inspect.signature(function).parameters.values()
    options = {p.name: p.default for p in parameters if p.default is not p.empty}
    if function in (np.where, np.linspace):  # its x and y are not optional; retstep changes it
        options = {}
    ours = numbers(function(*map(on_tensors, arguments), **options))
    for part, expected in zip(ours, numbers(function(*arguments)), strict=True):
        if function is not np.empty_like:
            np.testing.assert_allclose(part, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("function", NAMED_FUNCTIONS, ids=lambda f: f.__name__)
def test_a_parameter_that_we_share_with_numpy_has_its_default(function):
    theirs = dict(inspect.signature(function).parameters)
    if function is np.linalg.cross:  # what its axis of -1 is to np.cross, which we follow
        theirs.pop("axis")
    for name, ours in inspect.signature(NUMPY_FUNCTIONS[function]).parameters.items():
        default = theirs[name].default if name in theirs else np._NoValue
        if default not in (np._NoValue, inspect.Parameter.empty):
            assert ours.default == default, name


def test_the_array_may_go_by_numpys_own_name():
    x = leaf([[1, 5], [4, 3]])
    assert np.sum(a=x, axis=0, dtype=None, out=None).tolist() == [5, 8]
    assert np.sum(x, 0, np.float32).dtype == np.float32
    assert np.flip(m=x).tolist() == [[3, 4], [5, 1]]
    assert np.vstack(tup=[x, x]).shape == (4, 2)
    assert np.compress([True, False], a=x, axis=0).tolist() == [[1, 5]]
    assert np.gradient(f=x, axis=0).shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.sum(x, out=np.zeros(())), "np.sum on a Tensor has no option 'out': use what"),
        (lambda x: np.stack([x], dtype=int), "np.stack on a Tensor .*'dtype': convert with astype"),
        (lambda x: np.copy(x, order="F"), "np.copy on a Tensor has no option 'order'"),
        (lambda x: np.add(x, 1, where=[True]), "np.add .*'where': use where"),
    ],
)
def test_another_value_than_the_default_is_refused_by_name(call, message):
    with pytest.raises(UnsupportedFunctionError, match=message):
        call(leaf([1, 2]))


LOOKS = {
    np.isclose: (VECTOR, VECTOR[::-1]),
    np.allclose: (VECTOR, VECTOR),
    np.array_equal: (VECTOR, VECTOR),
    np.searchsorted: (VECTOR, 1.5),
    np.digitize: (VECTOR, [1.5, 3.0]),
    np.lexsort: ((VECTOR, -VECTOR),),
    np.logical_and: (VECTOR, SQUARE[:1, :1]),
    np.signbit: (-VECTOR,),
    np.isin: (VECTOR, [2.0]),
    np.nanargmax: (VECTOR,),
    np.triu_indices_from: (SQUARE,),
    np.result_type: (VECTOR, np.float32),
}


@pytest.mark.parametrize("function", LOOKS, ids=lambda f: f.__name__)
def test_what_only_looks_at_the_data_is_numpys_own(function):
    assert function in LOOKS_AT_DATA
    arguments = LOOKS[function]
    result, expected = function(*map(on_tensors, arguments)), function(*arguments)
    assert type(result) is type(expected)
    np.testing.assert_array_equal(result, expected)


MISTAKES = {
    "a torch name of an option": (lambda x: x.sum(dim=0), "'dim': here it is axis"),
    "of a composite": (lambda x: tg.median(x, keepdim=True), "'keepdim': here it is keepdims"),
    "of a fused op": (lambda x: x.softmax(dim=1), "'dim': here it is axis"),
    "of swapaxes": (lambda x: x.swapaxes(dim0=0, dim1=1), "'dim0': here it is axis1"),
    "unbiased": (lambda x: x.var(unbiased=True), "'unbiased': here it is ddof"),
    "p for ord": (lambda x: x.norm(p=1), "'p': here it is ord"),
    "descending": (lambda x: tg.sort(x, descending=True), "'descending': flip what it returns"),
    "inplace": (lambda x: tg.relu(x, inplace=True), "'inplace': operations return new"),
    "a misspelt option": (lambda x: x.mean(axes_=0), r"did you mean 'axis'.*mean\(x, axis=None"),
    "no such option": (lambda x: tg.relu(x, dim=1), r"'dim'; it is called as relu\(x\)"),
    "too few operands": (lambda x: tg.add(x), r"add needs b; it is called as add\(a, b\)"),
    "too many": (lambda x: tg.exp(x, 2, 3), r"exp got 3 arguments; .*exp\(x\)"),
    "an option twice": (lambda x: tg.sum(x, 0, axis=1), "sum got axis twice"),
    "a list of arguments": (lambda x: tg.transpose(x, 0, 1), r"got 3 .*transpose\(x, axes=None\)"),
    "an axis that is none": (lambda x: x.sum("a"), "sum cannot take .* with axis='a': 'str'"),
    "two axes of three": (lambda x: x[None].transpose(0, 1), r"swapaxes\(0, 1\) swaps two"),
    "a list of Tensors": (lambda x: Tensor([x, x]), r"stack\(\[...\]\) makes one Tensor"),
    "an array of Tensors": (lambda x: np.array([x[0], x[1]]), r"call .detach\(\) first"),
    "a number of many": (float, r"only one entry is one number, .*reduce it with .sum\(\)"),
    "a format of many": (lambda x: f"{x:.2f}", "only one entry is one number"),
    "a function without a rule": (np.fft.fft, r"np\.fft\.fft\(t\.detach\(\)\.numpy\(\)\)"),
    "a change in place": (lambda x: np.fill_diagonal(x, 0), "use where"),
    "no method": (lambda x: x.logaddexp(x), r"logaddexp\(t, ...\) is a function"),
    "a change of itself": (lambda x: x.clip_(0, 1), "clip returns a new Tensor"),
    "a torch method": (lambda x: x.clamp(0, 1), "here it is clip"),
    "a constructor": (lambda x: tg.zeros(3), r"here it is Tensor\(np.zeros\(shape\)\)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_typical_mistake_is_answered_with_what_would_work(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises((tg.TinygradError, AttributeError), match=message):
        call(leaf([[1, 2], [3, 4]]))


def test_a_message_leaves_out_the_options_at_their_defaults():
    with pytest.raises(tg.IndexingError) as raised:
        leaf([1, 2]).sum(5)
    assert "with axis=5: " in str(raised.value)


def test_operands_may_go_by_name():
    x = leaf([1, 2])
    assert tg.add(a=x, b=1).tolist() == tg.add(x, b=1).tolist() == [2, 3]
    with pytest.raises(OperandError, match="subtract needs b"):
        tg.subtract(a=x)


def test_a_number_is_formatted_as_numbers_are():
    x = leaf(2.0)
    assert f"{x * 1.5:.2f} {Value(0.25):.0%}" == "3.00 25%"
    assert f"{x}" == str(x)
