"""Lazy layers: their size comes from the first batch."""

import copy
import pickle

import numpy as np
import pytest

import nn
import tinygrad_edu as tg

# A lazy layer, a batch, and the ordinary layer that it becomes.
KINDS = [
    (lambda: nn.LazyLinear(3), (2, 4), lambda: nn.Linear(4, 3)),
    (lambda: nn.LazyConv1d(3, 2), (2, 4, 5), lambda: nn.Conv1d(4, 3, 2)),
    (
        lambda: nn.LazyConv2d(4, 3, padding="same", groups=2, bias=False),
        (2, 4, 5, 5),
        lambda: nn.Conv2d(4, 4, 3, padding="same", groups=2, bias=False),
    ),
    (lambda: nn.LazyBatchNorm1d(momentum=0.5), (3, 4), lambda: nn.BatchNorm1d(4, momentum=0.5)),
    (
        lambda: nn.LazyBatchNorm2d(affine=False),
        (3, 4, 2, 2),
        lambda: nn.BatchNorm2d(4, affine=False),
    ),
]


def ones(shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(("make", "shape", "ordinary"), KINDS)
def test_after_one_batch_it_is_the_ordinary_layer(make, shape, ordinary):
    nn.manual_seed(0)
    lazy = make()
    y = lazy(ones(shape))
    nn.manual_seed(0)
    other = ordinary()
    np.testing.assert_array_equal(y.data, other(ones(shape)).data)
    assert (type(lazy), repr(lazy)) == (type(other), repr(other))
    assert list(lazy.state_dict()) == list(other.state_dict())


@pytest.mark.parametrize(("make", "shape", "ordinary"), KINDS)
@pytest.mark.parametrize(
    "ask",
    [
        lambda model: model.parameters(),
        lambda model: model.state_dict(),
        lambda model: model.load_state_dict({}),
        lambda model: nn.optim.SGD(model.parameters()),
    ],
)
def test_before_that_whoever_asks_for_parameters_is_told_to_run_one(ask, make, shape, ordinary):
    model = nn.Sequential(nn.Identity(), make())
    with pytest.raises(
        nn.ConfigurationError, match=r"Lazy\w+ at 1 has no parameters.*run one batch"
    ):
        ask(model)
    model(ones(shape))
    model.parameters()


@pytest.mark.parametrize(("make", "shape", "ordinary"), KINDS)
def test_a_summary_takes_the_size_and_the_printout_does_not(make, shape, ordinary):
    model = nn.Sequential(make())
    assert f"(0): {model[0]}" in repr(model)
    summary = model.summary(shape)
    assert summary.parameters == sum(p.data.size for p in ordinary().parameters())
    assert summary.rows[1].kind == type(ordinary()).__name__


def test_a_batch_that_is_refused_leaves_it_lazy():
    lazy = nn.LazyConv2d(3, 3)
    for shape in [(1, 2, 2, 2), (4,)]:
        with pytest.raises(tg.ShapeError):
            lazy(ones(shape))
        assert type(lazy) is nn.LazyConv2d
    assert lazy(ones((1, 2, 3, 3))).shape == (1, 3, 1, 1)


def test_the_mode_and_the_hooks_stay():
    seen, model = [], nn.Sequential(nn.LazyBatchNorm1d(), nn.LazyLinear(2)).eval()
    model[1].register_forward_hook(lambda module, x, y: seen.append(y.shape))
    model(ones((1, 3)))
    model(ones((4, 3)))
    assert seen == [(1, 2), (4, 2)]
    assert not model[0].training
    assert model[0].num_batches_tracked == 0


def test_nodes_of_the_first_batch_have_the_path_of_the_layer():
    y = nn.Sequential(nn.Identity(), nn.LazyLinear(2))(ones((1, 3)))
    assert y.scope == "1"


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_finds_out_a_size_of_its_own(duplicate):
    lazy = nn.LazyLinear(2)
    other = duplicate(lazy)
    lazy(ones((1, 3)))
    other(ones((1, 5)))
    assert (lazy.in_features, other.in_features) == (3, 5)


def test_options_are_checked_at_once():
    with pytest.raises(nn.ConfigurationError, match="out_features"):
        nn.LazyLinear(0)
    with pytest.raises(tg.UnknownNameError, match="relu"):
        nn.LazyConv2d(3, 3, nonlinearity="rellu")


def test_the_printout_shows_the_options_that_were_given():
    assert repr(nn.LazyConv2d(3, (2, 1), bias=False)) == (
        "LazyConv2d(out_channels=3, kernel_size=(2, 1), bias=False)"
    )
