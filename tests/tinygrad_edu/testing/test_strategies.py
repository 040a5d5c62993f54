"""The strategies: what they draw is what they promise, and they shrink towards the simplest."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import DTypeError, OperandError, Tensor, Value, testing
from tinygrad_edu.testing import (
    arrays,
    axes,
    broadcastable_shapes,
    gradcheck,
    indices,
    ops,
    registration,
    shapes,
    tensors,
    training_batches,
    values,
)

SPLIT = ((-2, -0.5), (0.5, 2))


def can_be_drawn(strategy, condition):
    find(strategy, condition, settings=settings(max_examples=5000, phases=[Phase.generate]))


def distances(x):
    """Between neighbours, once the entries are in order."""
    return np.diff(np.sort(x, axis=None).astype(np.float64))


# Shapes and axes


@given(st.data())
def test_shapes_keep_to_their_bounds(data):
    min_dims, min_side = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
    max_size = data.draw(st.none() | st.integers(4, 12))
    shape = data.draw(shapes(min_dims, 3, min_side, 4, max_size))
    assert min_dims <= len(shape) <= 3
    assert all(min_side <= n <= 4 for n in shape)
    assert max_size is None or math.prod(shape) <= max_size


@pytest.mark.parametrize("wanted", [(), (0,), (3, 2, 1), (4, 3), (2, 0, 4)])
def test_every_shape_of_up_to_so_many_entries_can_be_drawn(wanted):
    can_be_drawn(shapes(max_side=4, max_size=12), lambda shape: shape == wanted)


@given(st.integers(1, 4).flatmap(broadcastable_shapes))
def test_shapes_that_broadcast_do(drawn):
    np.broadcast_shapes(*drawn)


@given(st.data())
def test_axes_are_what_numpy_takes(data):
    x = np.ones(data.draw(shapes()))
    np.sum(x, axis=data.draw(axes(x.shape)))
    np.argmax(np.ones((1,) * x.ndim), axis=data.draw(axes(x.ndim, multiple=False)))


@pytest.mark.parametrize("wanted", [None, 1, -2, (), (0,), (1, -2)])
def test_every_kind_of_axis_is_drawn(wanted):
    can_be_drawn(axes((2, 3)), lambda axis: axis == wanted)


# Numbers


@given(st.data())
def test_entries_are_in_the_domain_and_of_the_dtype(data):
    dtype = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    domain = ((-0.3, -0.1), (0.1, 1.7))  # whose ends float16 does not have
    x = data.draw(arrays(dtype=dtype, domain=domain))
    assert x.dtype == dtype
    wide = x.astype(np.float64)
    assert np.all(((wide >= -0.3) & (wide <= -0.1)) | ((wide >= 0.1) & (wide <= 1.7)))


@given(arrays(min_gap=0.25, domain=SPLIT), arrays(6, min_gap=0.5, away_from=[-1, 1]))
def test_no_two_entries_are_nearer_than_the_gap_nor_nearer_to_a_kink(x, y):
    assert np.all(distances(x) >= 0.25 - 1e-12)
    assert np.all((np.abs(x) >= 0.5) & (np.abs(x) <= 2))
    assert np.all(distances(y) >= 0.5 - 1e-12)
    assert np.all(np.abs(np.abs(y) - 1) >= 0.5 - 1e-12)


def test_as_many_entries_as_there_is_room_for_can_be_drawn():
    x = find(arrays((3, 3), domain=(-2, 2), min_gap=0.5), lambda x: True)
    np.testing.assert_allclose(np.sort(x, axis=None), np.linspace(-2, 2, 9))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_entries_with_a_gap_come_in_any_order(order):
    can_be_drawn(arrays(3, min_gap=0.5), lambda x: np.argsort(x).tolist() == order)


@given(tensors(st.just((2,)), st.sampled_from([np.float32, np.float64]), requires_grad=False))
def test_shape_and_dtype_may_be_strategies(x):
    assert isinstance(x, Tensor)
    assert x.shape == (2,)
    assert x.dtype in (np.float32, np.float64)
    assert not x.requires_grad


@given(tensors(min_gap=0.01, away_from=[0.0]))
def test_a_function_with_ties_and_kinks_can_be_checked_on_such_tensors(x):
    gradcheck(lambda x: (x.relu() + (x.max() if x.size else 0.0)).sum(), x)


def test_what_is_drawn_shrinks_to_the_simplest():
    def simplest(strategy):
        return find(strategy, lambda x: True)

    assert simplest(shapes()) == ()
    assert simplest(broadcastable_shapes(2)) == ((), ())
    assert simplest(axes(3)) is None
    assert simplest(arrays((2, 2))).tolist() == [[0, 0], [0, 0]]
    assert simplest(tensors((), domain=SPLIT)).data == 1
    assert simplest(values()).data == 0


# Indices


@given(st.data())
def test_an_index_picks_from_a_tensor_what_it_picks_from_an_array(data):
    x = data.draw(arrays(shapes()))
    index = data.draw(indices(x.shape))
    np.testing.assert_array_equal(Tensor(x)[index].data, x[index])
    gradcheck(lambda t: t[index], x)


def parts(index):
    return index if isinstance(index, tuple) else (index,)


@pytest.mark.parametrize(
    "kind",
    [
        lambda i: isinstance(i, int) and i < 0,
        lambda i: isinstance(i, slice) and i.step is not None and i.step < 0,
        lambda i: i is ...,
        lambda i: i is None,
        lambda i: i is True,
        lambda i: isinstance(i, list),
        lambda i: isinstance(i, np.ndarray) and i.dtype == np.intp and i.ndim == 2,
        lambda i: isinstance(i, np.ndarray) and i.dtype == bool and i.ndim == 1,
        lambda i: isinstance(i, np.ndarray) and i.dtype == bool and i.ndim == 2,
    ],
)
def test_every_kind_of_index_is_drawn_alone_and_beside_others(kind):
    can_be_drawn(indices((2, 3)), lambda index: any(map(kind, parts(index))))
    can_be_drawn(
        indices((3, 2, 2)), lambda index: len(parts(index)) > 1 and any(map(kind, parts(index)))
    )


def test_masks_and_integers_come_in_one_index():
    def mixes(index):
        dtypes = {i.dtype for i in parts(index) if isinstance(i, np.ndarray)}
        return len(dtypes) == 2

    can_be_drawn(indices((2, 3)), mixes)


# Ops


@given(st.data())
def test_an_op_is_finite_and_smooth_on_its_domains(data):
    op, domains = data.draw(ops())
    drawn = [data.draw(values(domain)) for domain in domains]
    # The condition of where, which no gradient flows to, is held constant.
    operands = [x if rule else x.detach() for x, rule in zip(drawn, op.rules, strict=True)]
    gradcheck(op, *operands, order=2)  # a KinkWarning would be an error


def test_ops_can_be_chosen_by_the_number_of_inputs():
    can_be_drawn(ops(arity=2), lambda drawn: drawn[0] is tg.multiply)
    can_be_drawn(ops(arity=3), lambda drawn: drawn[0] is tg.where)
    can_be_drawn(ops(differentiable=False), lambda drawn: drawn[0] is tg.floor)


def test_an_op_of_ones_own_is_drawn_too():
    cube = tg.elementwise(
        "cube", "³", lambda x: x**3, lambda x: x**3, lambda g, y, x: 3 * g * x * x
    )
    can_be_drawn(ops(arity=1), lambda drawn: drawn[0] is cube)


# Batches


@given(training_batches((2, 3), classes=4, dtype=np.float32), training_batches(2, targets=(1,)))
def test_batches_are_samples_with_labels_or_with_numbers(classification, regression):
    x, target = classification
    assert (x.shape[1:], x.dtype, target.shape) == ((2, 3), np.float32, (len(x),))
    assert np.all((target >= 0) & (target < 4))
    x, target = regression
    assert 1 <= len(x) <= 8
    assert (x.shape, target.shape) == ((len(x), 2), (len(x), 1))


# Bad arguments


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: shapes(min_dims=3, max_dims=2), "shapes needs 0 <= min_dims <= max_dims, not 3"),
        (lambda: shapes(min_side=-1), "min_side <= max_side, not -1 and 3"),
        (lambda: shapes(2, 3, 2, 3, max_size=3), "max_size=3 with 2 axes of length 2 or more"),
        (lambda: broadcastable_shapes(0), "one shape or more, not n=0"),
        (lambda: axes(-1), "0 axes or more, not of -1"),
        (lambda: indices("ab"), r"indices takes a shape, such as \(2, 3\), not 'ab'"),
        (lambda: arrays((2, -1)), r"arrays takes a shape, .* not \(2, -1\)"),
        (lambda: arrays(domain=(1, 0)), r"an interval \(low, high\), or several .* not \(1, 0\)"),
        (lambda: values(domain=(0, math.inf)), r"not \(0, inf\)"),
        (lambda: values(domain=()), r"not \(\)"),
        (lambda: tensors(min_gap=-1), "not negative; it is -1"),
        (lambda: tensors(away_from=[0]), "min_gap must be above 0 to keep away from points"),
        (lambda: tensors(min_gap=3, away_from=[0]), r"nothing of the domain .* 3 away from \(0,\)"),
        (lambda: ops(arity=7), "no elementwise op with 7 inputs"),
        (lambda: training_batches(2), "classes= or targets=, and not both"),
        (lambda: training_batches(2, classes=0), "classes=0"),
    ],
)
def test_bad_arguments_are_refused_when_the_strategy_is_made(draw, message):
    with pytest.raises(OperandError, match=message):
        draw()


@pytest.mark.parametrize("dtype", [np.int64, bool, np.complex128])
def test_a_dtype_without_gradients_is_refused(dtype):
    with pytest.raises(DTypeError, match="float16, float32 or float64, not"):
        tensors(dtype=dtype)


def test_a_shape_that_the_domain_has_no_room_for_is_refused():
    with pytest.raises(OperandError, match=r"shape \(5,\) has 5 entries, of which 4 have room"):
        find(arrays(5, domain=SPLIT, min_gap=1), lambda x: True)


# What Hypothesis is told of by the entry point


def test_tensors_and_values_are_drawn_by_their_type():
    registration.register()

    @given(st.from_type(Tensor), st.from_type(Value))
    def of_their_types(x, v):
        assert isinstance(x, Tensor)
        assert isinstance(v, Value)

    of_their_types()


def test_the_profiles_are_registered_and_none_is_loaded():
    before = settings.get_current_profile_name()
    registration.register()
    assert settings.get_profile("quick").max_examples == 10
    thorough = settings.get_profile("thorough")
    assert (thorough.max_examples, thorough.deadline, thorough.print_blob) == (1000, None, True)
    assert not thorough.derandomize
    assert settings.get_current_profile_name() == before


# The package


def in_a_fresh_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_package_is_imported_without_hypothesis():
    code = "import sys, tinygrad_edu.testing; sys.exit('hypothesis' in sys.modules)"
    assert in_a_fresh_process(code).returncode == 0


def test_without_hypothesis_a_strategy_names_the_extra_that_brings_it():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from tinygrad_edu.testing import gradcheck\n"
        "from tinygrad_edu.testing import shapes"
    )
    error = in_a_fresh_process(code).stderr
    assert "MissingExtraError: tinygrad_edu.testing.shapes needs hypothesis" in error
    assert "pip install 'tinygrad-edu[test]'" in error


@pytest.mark.parametrize("name", testing.__all__)
def test_everything_that_is_promised_is_there(name):
    assert getattr(testing, name).__name__ == name


def test_a_name_that_is_not_there_gets_the_nearest():
    with pytest.raises(AttributeError, match="did you mean 'shapes'"):
        testing.shape  # noqa: B018
