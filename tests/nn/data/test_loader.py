"""Batches: their order, what changes them on the way, and the thread that makes them ahead."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn.data import DataLoader, Dataset, Subset, TensorDataset
from tinygrad_edu import ShapeError


def numbers(n):
    return TensorDataset(np.arange(n, dtype=np.float32), np.arange(n))


def noise(x, y, rng):
    return x + rng.normal(size=x.shape), y


loaders = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 12),
        "shuffle": st.booleans(),
        "seed": st.integers(0, 3),
        "augment": st.sampled_from([None, noise]),
    }
)


def assert_same_batches(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


@given(loaders, st.integers(1, 30), st.integers(1, 4))
def test_a_thread_makes_the_same_batches(options, n, prefetch):
    plain = DataLoader(numbers(n), **options)
    ahead = DataLoader(numbers(n), prefetch=prefetch, **options)
    for _ in range(2):
        assert_same_batches(list(ahead), list(plain))


@given(loaders, st.integers(1, 30), st.integers(0, 3))
def test_an_epoch_can_be_had_again(options, n, epoch):
    through, straight = (DataLoader(numbers(n), **options) for _ in range(2))
    for _ in range(epoch):
        list(through)
    straight.epoch = epoch
    assert_same_batches(list(straight), list(through))


@given(st.integers(1, 12), st.integers(1, 30), st.booleans())
def test_every_sample_comes_once(batch_size, n, shuffle):
    batches = list(DataLoader(numbers(n), batch_size, shuffle))
    assert sorted(np.concatenate([y for _, y in batches])) == list(range(n))
    assert all(len(y) == batch_size for _, y in batches[:-1])


@given(st.integers(1, 12), st.sampled_from([None, noise]), st.integers(0, 2), st.integers(0, 9))
def test_the_order_is_that_of_the_seed_and_the_epoch_whatever_else_is_asked(
    batch_size, augment, prefetch, epoch
):
    def order(*options, seed=1, **others):
        loader = DataLoader(numbers(30), *options, shuffle=True, seed=seed, **others)
        loader.epoch = epoch
        return [int(i) for _, y in loader for i in y]

    wanted = order(30)
    assert order(batch_size, augment=augment, prefetch=prefetch) == wanted
    assert order(30, seed=2) != wanted
    epoch += 1
    assert order(30) != wanted


def test_unshuffled_samples_come_in_order_and_drop_last_leaves_out_the_smaller_batch():
    loader = DataLoader(numbers(10), 4, drop_last=True)
    assert [y.tolist() for _, y in loader] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(loader) == 2


class Ragged(Dataset):
    """Sample i has i + 1 numbers, and the last cannot be read."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == 5:
            raise OSError("no such picture")
        return np.ones(i + 1), i


def padded(samples):
    inputs = np.zeros((len(samples), 6))
    for row, (x, _) in zip(inputs, samples, strict=True):
        row[: len(x)] = x
    return inputs, np.array([y for _, y in samples])


@pytest.mark.parametrize("prefetch", [0, 3])
def test_samples_of_several_shapes_are_collated_by_ones_own_function(prefetch):
    loader = DataLoader(Subset(Ragged(), range(5)), 2, collate=padded, prefetch=prefetch)
    for x, y in loader:
        np.testing.assert_array_equal(x.sum(axis=1), y + 1)
    with pytest.raises(ShapeError, match="a collate of your own"):
        next(iter(DataLoader(Ragged(), 2, prefetch=prefetch)))


@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_a_sample_that_cannot_be_read_ends_the_loop_that_asked_for_it(prefetch):
    before, seen = threading.active_count(), []

    def go_through():
        for _, y in DataLoader(Ragged(), 2, collate=padded, prefetch=prefetch):
            seen.extend(y.tolist())

    with pytest.raises(OSError, match="no such picture"):
        go_through()
    assert seen == [0, 1, 2, 3]
    assert threading.active_count() == before


def test_a_loop_that_is_broken_off_leaves_no_thread_behind():
    before = threading.active_count()
    loader = DataLoader(numbers(100), 1, prefetch=4)
    for _ in loader:
        break
    assert threading.active_count() == before
    assert len(list(loader)) == 100


def test_every_epoch_and_every_batch_is_augmented_in_its_own_way():
    loader = DataLoader(TensorDataset(np.zeros(8), np.zeros(8)), 4, augment=noise)
    drawn = [x for _ in range(2) for x, _ in loader]
    assert len({x.tobytes() for x in drawn}) == 4


def test_two_passes_at_once_do_not_disturb_each_other():
    loader = DataLoader(numbers(20), 3, shuffle=True, augment=noise, prefetch=2)
    both = list(zip(loader, loader, strict=True))
    loader.epoch = 0
    assert_same_batches([a for a, _ in both], list(loader))
    assert_same_batches([b for _, b in both], list(loader))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_what_goes_wrong_in_making_a_batch_comes_out_where_it_is_asked_for(prefetch):
    def fail(x, y, rng):
        if 9 in y:
            raise OSError("no such picture")
        return x, y

    batches = iter(DataLoader(numbers(12), 4, augment=fail, prefetch=prefetch))
    assert [len(next(batches)[0]) for _ in range(2)] == [4, 4]
    with pytest.raises(OSError, match="no such picture"):
        next(batches)


def test_a_pass_that_is_given_up_leaves_no_thread_behind():
    before = threading.active_count()
    batches = iter(DataLoader(numbers(100), 1, prefetch=2))
    next(batches)
    assert threading.active_count() == before + 1
    del batches
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("augment", "what"),
    [
        (lambda x, y, rng: x, r"a ndarray of shapes \(4,\)"),
        (lambda x, y, rng: (x[1:], y), r"a tuple of shapes \(3,\), \(4,\)"),
        (lambda x, y, rng: (x, y, y), "a tuple of shapes"),
        (lambda x, y, rng: None, "a NoneType"),
    ],
)
def test_an_augmentation_that_returns_something_else_is_refused(augment, what):
    with pytest.raises(nn.ConfigurationError, match=f"inputs and targets, 4 of each .* {what}"):
        list(DataLoader(numbers(4), 4, augment=augment))


@pytest.mark.parametrize("option", ["batch_size", "prefetch", "seed"])
@pytest.mark.parametrize("value", [-1, 1.5, "1", None, True])
def test_an_option_that_is_no_count_is_refused(option, value):
    with pytest.raises(nn.ConfigurationError, match=f"{option} must be"):
        DataLoader(numbers(4), **{option: value})


def test_a_batch_has_at_least_one_sample():
    with pytest.raises(nn.ConfigurationError, match="batch_size must be a positive integer, not 0"):
        DataLoader(numbers(4), 0)


@pytest.mark.parametrize("n", [0, 3])
def test_a_loader_without_a_batch_is_refused(n):
    with pytest.raises(nn.ConfigurationError, match=f"{n} samples gives no batch of 4"):
        DataLoader(numbers(n), 4, drop_last=True)
