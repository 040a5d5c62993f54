"""Data sets of one's own and of arrays, parts of them, and splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn.data import Dataset, Subset, TensorDataset, collate, random_split


class Squares(Dataset):
    """Each number with its square, as the two methods that a data set needs say."""

    name = "squares"

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return np.full((2, 3), i), i * i


class Padded(Dataset):
    """Sample i has i numbers, which no array holds with those of another."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return np.ones(i), i


def numbered(n, classes=2):
    """Samples that are their own numbers, with the classes in turn."""
    labels = np.arange(n) % classes
    return TensorDataset(np.arange(n)[:, None], labels, name="numbered", classes="abcd"[:classes])


def numbers_of(part):
    return part.inputs[:, 0].tolist()


def test_a_data_set_of_ones_own_has_batches_inputs_and_targets():
    data = Squares(5)
    inputs, targets = data.batch([3, 1])
    np.testing.assert_array_equal(inputs, np.broadcast_to([[[3]], [[1]]], (2, 2, 3)))
    np.testing.assert_array_equal(targets, [9, 1])
    np.testing.assert_array_equal(data.targets, np.arange(5) ** 2)
    assert data.inputs.shape == (5, 2, 3)


@pytest.mark.parametrize("use", [len, lambda data: data[0]])
def test_a_data_set_of_ones_own_that_lacks_a_method_says_which(use):
    class Nothing(Dataset):
        pass

    with pytest.raises(TypeError, match=r"Nothing has no __(len|getitem)__\(\)"):
        use(Nothing())


def test_samples_of_several_shapes_are_no_batch():
    with pytest.raises(tg.ShapeError, match=r"part 0 .* \(1,\), \(3,\).* a collate of your own"):
        Padded().batch([1, 3])


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 1)), min_size=1, max_size=5))
def test_collating_stacks_each_part_of_the_samples(samples):
    stacked = collate([(np.full(2, a), tg.Tensor(b)) for a, b in samples])
    np.testing.assert_array_equal(stacked[0], np.array([[a, a] for a, _ in samples]))
    np.testing.assert_array_equal(stacked[1], np.float32([b for _, b in samples]))


def test_the_same_samples_have_the_same_fingerprint_and_others_another():
    data, again = Squares(2000), Squares(2000)
    assert data.fingerprint() == again.fingerprint()
    assert data.fingerprint() != Squares(1999).fingerprint()
    assert numbered(8).fingerprint() != Subset(numbered(8), range(7, -1, -1)).fingerprint()
    changed = numbered(8)
    changed.inputs[5] += 1
    assert changed.fingerprint() != numbered(8).fingerprint()


def test_arrays_give_samples_and_batches_of_any_number_of_parts():
    a, b, y = np.arange(6).reshape(3, 2), tg.Tensor([1.0, 2.0, 3.0]), np.array([0, 1, 0])
    data = TensorDataset(a, b, y, classes=("no", "yes"))
    assert (len(data), data.classes) == (3, ("no", "yes"))
    assert [part.tolist() for part in data.batch([2, 0])] == [[[4, 5], [0, 1]], [3, 1], [0, 0]]
    assert [np.asarray(part).tolist() for part in data[-1]] == [[4, 5], 3, 0]


def test_a_batch_is_a_copy_that_can_be_changed():
    data = numbered(4)
    data.batch([0, 1])[0][:] = 99
    assert numbers_of(data) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "arrays", [(), (np.zeros((3, 1)), np.zeros(2, int)), (np.zeros(3), np.float32(0))]
)
def test_arrays_without_one_entry_per_sample_are_refused(arrays):
    with pytest.raises(tg.ShapeError, match="'odd' takes arrays with an entry per sample"):
        TensorDataset(*arrays, name="odd")


@pytest.mark.parametrize(
    ("targets", "classes", "message"),
    [
        ([[0.0], [np.nan]], (), r"target \(1, 0\) .* is nan"),
        ([0.0, -np.inf], (), r"target \(1,\) .* is -inf"),
        ([0, 2], "ab", "a target 2, and its 2 classes are 0 to 1"),
        ([0, -1], "ab", "a target -1, and its 2 classes"),
        ([0.0, 1.0], "ab", "targets are integers, not float64"),
    ],
)
def test_targets_that_are_no_numbers_or_no_classes_are_refused(targets, classes, message):
    with pytest.raises(tg.TargetError, match=message):
        TensorDataset(np.zeros((2, 1)), np.array(targets), classes=classes)


@given(data=st.data(), n=st.integers(1, 20))
def test_a_part_of_a_part_has_the_samples_of_the_whole(data, n):
    outer = data.draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=12))
    inner = data.draw(st.lists(st.integers(-len(outer), len(outer) - 1), max_size=12))
    part = Subset(Subset(numbered(n), outer), inner)
    wanted = np.arange(n)[outer][inner].tolist()
    assert len(part) == len(inner)
    assert [int(part[i][0][0]) for i in range(len(part))] == numbers_of(part) == wanted
    assert part[::2][0].ravel().tolist() == wanted[::2]
    assert (part.name, part.classes) == ("numbered", ("a", "b"))


@pytest.mark.parametrize("indices", [[0, 4], [-5], [[0]], 2])
def test_a_part_of_samples_that_there_are_not_is_refused(indices):
    with pytest.raises(tg.IndexingError, match="0 to 3"):
        Subset(numbered(4), indices)


@st.composite
def splits(draw):
    """How many samples there are, of how many classes, and the shares or sizes of 2 to 4 parts."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=2, max_size=4))
    n = sum(sizes)
    lengths = sizes if draw(st.booleans()) else [size / n for size in sizes]
    return n, draw(st.integers(1, 4)), sizes, lengths


@given(split=splits(), seed=st.integers(0, 2**40))
def test_the_parts_of_a_split_are_of_the_sizes_asked_for_and_share_no_sample(split, seed):
    n, classes, sizes, lengths = split
    parts = random_split(numbered(n, classes), lengths, seed)
    assert [len(part) for part in parts] == sizes
    assert sorted(i for part in parts for i in numbers_of(part)) == list(range(n))
    again = random_split(numbered(n, classes), lengths, seed)
    assert [numbers_of(part) for part in again] == [numbers_of(part) for part in parts]


@given(split=splits(), seed=st.integers(0, 99))
def test_every_part_of_a_split_has_its_share_of_every_class(split, seed):
    n, classes, sizes, lengths = split
    whole = np.bincount(numbered(n, classes).targets, minlength=classes)
    for part in random_split(numbered(n, classes), lengths, seed):
        shares = np.bincount(part.targets, minlength=classes)
        # Taking a part off rounds by less than one sample, and there are as many such steps.
        assert (np.abs(shares - whole * len(part) / n) < len(sizes) - 1 + 1e-9).all()


def test_other_seeds_split_in_other_ways():
    kept = {tuple(numbers_of(random_split(numbered(30), [0.5, 0.5], s)[0])) for s in range(20)}
    assert len(kept) == 20


def test_without_stratification_chance_alone_parts_the_classes():
    def shares(stratified):
        parts = [random_split(numbered(40), [20, 20], s, stratified)[0] for s in range(20)]
        return {int(part.targets.sum()) for part in parts}

    assert shares(None) == shares(True) == {10}
    assert len(shares(False)) > 1


def test_what_has_not_one_class_per_sample_is_split_by_chance_or_not_by_class():
    places = TensorDataset(np.zeros((10, 3)), np.zeros((10, 3), int), classes="ab")
    for data in (places, Squares(10), nn.data.regression(10)):
        assert [len(part) for part in random_split(data, [7, 3])] == [7, 3]
    for data in (places, nn.data.regression(10)):
        with pytest.raises(nn.ConfigurationError, match=r"no class per sample.*stratified=False"):
            random_split(data, [7, 3], stratified=True)


@pytest.mark.parametrize(
    "lengths",
    [
        *([0.5, 0.6], [1.0], [0, 1], [-0.5, 1.5], [np.nan, 0.5], [0.999, 0.001], [3.0, 7.0]),
        *([5, 4], [-1, 11], [0, 10], [], 0.8, None, "ab", ["a", "b"]),
    ],
)
def test_a_split_by_what_are_no_shares_or_sizes_is_refused(lengths):
    with pytest.raises(nn.ConfigurationError, match="'numbered'"):
        random_split(numbered(10), lengths)


@pytest.mark.parametrize("seed", [-1, 0.5, None, "0"])
def test_a_split_by_what_is_no_seed_is_refused(seed):
    with pytest.raises(nn.ConfigurationError, match="seed must be"):
        random_split(numbered(10), [5, 5], seed)
