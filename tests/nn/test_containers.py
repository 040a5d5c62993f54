"""Containers: rows that can be changed, dicts, shortcuts and branches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg


def ones(*shape):
    return np.ones(shape, np.float32)


def names(model):
    return [name for name, _ in model.named_children()]


def test_sequential_applies_in_order_and_slices_share_parameters():
    model = nn.zoo.feedforward([4, 8, 8, 2])
    x = step = ones(3, 4)
    for module in model:
        step = module(step)
    np.testing.assert_array_equal(model(x).data, step.data)
    assert model[:2].parameters()[0] is model.parameters()[0]
    assert len(model[1:]) == len(model) - 1


def test_sequential_takes_names_and_grows():
    model = nn.Sequential({"hidden": nn.Linear(2, 3), "out": nn.Linear(3, 1)})
    assert model.hidden is model[0]
    assert names(model.append(nn.ReLU())) == ["hidden", "out", "2"]


# What can be done to a list of modules and to a row of them alike.
CHANGES = {
    "append": lambda row, i, module: row.append(module),
    "extend": lambda row, i, module: row.extend([module, module]),
    "insert": lambda row, i, module: row.insert(i, module),
    "set": lambda row, i, module: row.__setitem__(i, module),
    "delete": lambda row, i, module: row.__delitem__(i),
    "pop": lambda row, i, module: row.pop(i),
    "cut": lambda row, i, module: row.__delitem__(slice(i, None, 2)),
}


@pytest.mark.parametrize("make", [nn.Sequential, nn.ModuleList, nn.Parallel])
@given(changes=st.lists(st.sampled_from(sorted(CHANGES)), max_size=8), data=st.data())
def test_a_row_changes_as_a_list_does(make, changes, data):
    row, expected = make(), []
    for change in changes:
        i = data.draw(st.integers(-len(expected), len(expected) - 1)) if expected else 0
        if expected or change in ("append", "extend", "insert"):
            module = nn.Identity()
            CHANGES[change](row, i, module)
            CHANGES[change](expected, i, module)
    assert list(row) == expected == [row[i] for i in range(len(row))]
    assert list(row[1:]) == expected[1:]
    assert names(row) == [str(i) for i in range(len(expected))]


def test_modules_with_names_keep_them_when_others_come_and_go():
    model = nn.Sequential({"a": nn.ReLU(), "b": nn.Tanh(), "c": nn.SiLU()})
    model.insert(1, nn.GELU())
    del model[0]
    assert names(model) == ["0", "b", "c"]


def test_a_module_set_by_its_name_keeps_its_place():
    model = nn.Sequential({"a": nn.Linear(2, 3), "b": nn.Linear(3, 1)})
    model.a = nn.Linear(4, 3)
    model[1] = nn.Linear(3, 5)
    assert names(model) == ["a", "b"]
    assert model(ones(2, 4)).shape == (2, 5)


def test_a_slice_goes_by_the_names_of_the_whole_until_it_is_changed():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    part = model[1:]
    assert names(part) == ["1", "2"]
    assert set(part.state_dict()) <= set(model.state_dict())
    assert names(part.append(nn.Tanh())) == ["0", "1", "2"]
    assert len(model) == 3


def test_a_sequential_of_nothing_is_the_identity_and_cannot_be_trained():
    x = ones(2, 3)
    assert nn.Sequential()(x) is x
    with pytest.raises(nn.ConfigurationError, match="no parameters"):
        nn.optim.SGD(nn.Sequential().parameters())


@pytest.mark.parametrize("make", [nn.Sequential, nn.Parallel, lambda *m: nn.ModuleList(m)])
def test_a_row_refuses_functions_and_indices_out_of_range_and_stays_as_it_was(make):
    row = make(nn.ReLU(), nn.ReLU())
    before = list(row)
    for change in (lambda: row.append(tg.relu), lambda: row.extend([nn.ReLU(), tg.relu])):
        with pytest.raises(nn.ConfigurationError, match=r"nn\.ReLU\(\)"):
            change()
    with pytest.raises(nn.ConfigurationError, match=r"nn\.ReLU\(\)"):
        row[0] = tg.relu
    for change in (lambda: row[5], lambda: row.insert(3, nn.ReLU()), lambda: row.__delitem__(2)):
        with pytest.raises(tg.IndexingError, match="2 modules"):
            change()
    assert list(row) == before


@pytest.mark.parametrize("name", ["forward", "training", "", "a.b", 3])
def test_names_that_would_hide_something_are_refused(name):
    with pytest.raises(nn.ConfigurationError, match="name"):
        nn.Sequential({name: nn.ReLU()})
    with pytest.raises(nn.ConfigurationError, match="name"):
        nn.ModuleDict({name: nn.ReLU()})


def test_a_module_that_is_used_twice_has_its_parameters_once():
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(model.parameters()) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    other = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    other.append(other[0]).load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other(ones(2, 3)).data, model(ones(2, 3)).data)


# Modules that keep the shape of (N, 4, H, W).
PIECES = {
    "conv": lambda: nn.Conv2d(4, 4, 3, padding=1),
    "batch": lambda: nn.BatchNorm2d(4),
    "instance": lambda: nn.InstanceNorm2d(4, track_running_stats=True),
    "group": lambda: nn.GroupNorm(2, 4),
    "residual": lambda: nn.Residual(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)),
    "parallel": lambda: nn.Parallel(nn.SqueezeExcite(4, 2), nn.ReLU(), combine="mean"),
}


@given(st.lists(st.sampled_from(sorted(PIECES)), max_size=5), st.integers(0, 3))
def test_a_state_dict_makes_another_stack_compute_the_same(pieces, batches):
    model, other = (nn.Sequential(*(PIECES[piece]() for piece in pieces)) for _ in range(2))
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 3)).astype(np.float32)
    for _ in range(batches):
        model(x)
    other.load_state_dict(model.state_dict())
    for name, array in other.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[name], strict=True)
    with tg.no_grad():
        results = [np.asarray(m.eval()(x)) for m in (model, other)]
    np.testing.assert_array_equal(*results)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6), st.data())
def test_a_module_dict_changes_as_a_dict_does(keys, data):
    modules, expected = nn.ModuleDict(), {}
    for key in keys:
        if key in expected and data.draw(st.booleans()):
            assert modules.pop(key) is expected.pop(key)
        else:
            modules[key] = expected[key] = nn.Identity()
    assert dict(modules.items()) == expected
    assert list(modules) == list(modules.keys()) == list(expected)
    assert list(modules.values()) == list(expected.values())
    assert len(modules) == len(expected)


def test_a_module_dict_knows_its_names():
    modules = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
    assert "relu" in modules
    assert "gelu" not in modules
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'tanh'"):
        modules["tan"]
    del modules["tanh"]
    assert names(modules) == ["relu"]


def test_a_residual_adds_what_it_learns_to_its_input():
    linear, shortcut = nn.Linear(3, 2), nn.Linear(3, 2)
    x = ones(4, 3)
    both = nn.Residual(linear, shortcut)(x).data
    np.testing.assert_array_equal(both, shortcut(x).data + linear(x).data)
    zero = nn.Linear(3, 3)
    zero.load_state_dict({k: 0 * p for k, p in zero.state_dict().items()})
    np.testing.assert_array_equal(nn.Residual(zero)(x).data, x)


def test_a_residual_does_not_broadcast():
    with pytest.raises(tg.ShapeError, match=r"in 0 cannot add .*\(4, 1\) to \(4, 3\); a shortcut="):
        nn.Sequential(nn.Residual(nn.Linear(3, 1)))(ones(4, 3))
    with pytest.raises(nn.ConfigurationError, match="module must be a module, not function"):
        nn.Residual(lambda x: x)


@pytest.mark.parametrize(
    ("combine", "by_hand"),
    [
        ("sum", sum),
        ("mean", lambda results: sum(results) / len(results)),
        ("concatenate", lambda results: np.concatenate(results, 1)),
    ],
)
def test_parallel_combines_what_its_modules_return(combine, by_hand):
    branches, x = [nn.Linear(3, 2) for _ in range(3)], ones(4, 3)
    y = nn.Parallel(*branches, combine=combine)(x).data
    np.testing.assert_allclose(y, by_hand([branch(x).data for branch in branches]), rtol=1e-6)


def test_parallel_concatenates_along_any_axis_and_its_slices_do():
    model = nn.Parallel(nn.ReLU(), nn.Tanh(), nn.SiLU(), combine="concatenate", axis=-1)
    assert model(ones(2, 3, 4)).shape == (2, 3, 12)
    assert model[:2](ones(2, 3, 4)).shape == (2, 3, 8)


def test_parallel_does_not_broadcast_and_knows_its_ways_to_combine():
    with pytest.raises(tg.ShapeError, match=r"in 0 takes results of one shape, not \(2, 1\) and"):
        nn.Sequential(nn.Parallel(nn.Linear(3, 1), nn.ReLU()))(ones(2, 3))
    with pytest.raises(tg.UnknownNameError, match="Did you mean 'concatenate'"):
        nn.Parallel(combine="concat")
    with pytest.raises(nn.ConfigurationError, match="nothing to combine"):
        nn.Parallel()(ones(2, 3))
