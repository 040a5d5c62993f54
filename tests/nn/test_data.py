"""Data sets, their splits, and batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg


def numbered(n, classes=2):
    labels = np.arange(n) % classes
    return nn.data.TensorDataset(
        np.arange(n)[:, None], labels, name="numbered", classes=("a",) * classes
    )


@given(n=st.integers(10, 80), share=st.floats(0.1, 0.9), classes=st.integers(1, 4))
def test_a_split_parts_every_class_by_the_share_and_loses_nothing(n, share, classes):
    kept, held_out = nn.data.random_split(numbered(n, classes), [1 - share, share])
    assert abs(len(held_out) - share * n) <= 0.5
    everything = np.concatenate([kept.inputs, held_out.inputs])[:, 0]
    assert sorted(everything) == list(range(n))
    for label in range(classes):
        size = (numbered(n, classes).targets == label).sum()
        assert abs((held_out.targets == label).sum() - share * size) < 2


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan"), 0.001])
def test_a_split_with_an_empty_part_is_refused(share):
    with pytest.raises(nn.ConfigurationError):
        nn.data.random_split(numbered(10), [1 - share, share])


@given(n=st.integers(1, 50), size=st.integers(1, 60), shuffle=st.booleans())
def test_an_epoch_goes_through_every_sample_once(n, size, shuffle):
    loader = nn.data.DataLoader(numbered(n), size, shuffle=shuffle)
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sorted(np.concatenate([x[:, 0] for x, _ in batches])) == list(range(n))
    assert all((x[:, 0] % 2 == y).all() for x, y in batches)


def test_shuffling_changes_with_the_epoch_and_repeats_with_the_seed():
    def epochs(seed):
        loader = nn.data.DataLoader(numbered(50), 50, shuffle=True, seed=seed)
        return [next(iter(loader))[1].tolist() for _ in range(2)]

    first, second = epochs(0)
    assert first != second
    assert epochs(0) == [first, second]


def test_drop_last_leaves_out_the_smaller_batch():
    loader = nn.data.DataLoader(numbered(10), 4, drop_last=True)
    assert [len(y) for _, y in loader] == [4, 4]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"batch_size": 20, "drop_last": True}])
def test_a_loader_without_batches_is_refused(options):
    with pytest.raises(nn.ConfigurationError):
        nn.data.DataLoader(numbered(10), **options)


def test_inputs_and_labels_of_different_number_are_refused():
    with pytest.raises(tg.ShapeError, match=r"'odd'.*\(3, 1\), \(2,\)"):
        nn.data.TensorDataset(np.zeros((3, 1)), np.zeros(2, int), name="odd")
