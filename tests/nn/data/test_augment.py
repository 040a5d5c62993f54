"""Augmentations, each against what its paper or its name says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn.data import AUGMENTATIONS, augmentation
from nn.data.sampling import affine, rotations

EVERY = sorted(AUGMENTATIONS)


def images(n, height, width=None, channels=1, dtype=np.float32):
    shape = (n, channels, height, width or height)
    return np.random.default_rng(1).uniform(0.1, 1, shape).astype(dtype)


def numbered(n, side):
    """Images whose every pixel is the image's number."""
    return np.broadcast_to(np.arange(n)[:, None, None, None], (n, 1, side, side)).astype(float)


def apply(augment, x, y=None, seed=0):
    return augment(x, np.arange(len(x)) % 3 if y is None else y, np.random.default_rng(seed))


@given(
    name=st.sampled_from(EVERY),
    n=st.integers(1, 5),
    channels=st.integers(1, 3),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_every_augmentation_keeps_shape_and_dtype_and_the_callers_array(
    name, n, channels, height, width, dtype
):
    x = images(n, height, width, channels, dtype)
    before = x.copy()
    x.flags.writeable = False
    augment = augmentation([name], height, 3)
    changed, labels = apply(augment, x)
    again, labels_again = apply(augment, x)
    assert (changed.shape, changed.dtype, len(labels)) == (x.shape, x.dtype, n)
    assert np.isfinite(changed).all()
    assert not np.shares_memory(changed, x)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(changed, again)
    np.testing.assert_array_equal(labels, labels_again)


@pytest.mark.parametrize("name", EVERY)
def test_another_seed_makes_other_images(name):
    x = images(16, 8)
    augment = augmentation([name], 8, 3)
    assert (apply(augment, x, seed=1)[0] != apply(augment, x, seed=2)[0]).any()


def test_a_shift_moves_every_image_by_its_own_whole_pixels():
    x = images(40, 6, 5)
    moves = set()
    for before, after in zip(x[:, 0], apply(nn.data.Shift(2), x)[0][:, 0], strict=True):
        padded = np.pad(before, 2)
        windows = {(i, j): padded[i : i + 6, j : j + 5] for i in range(5) for j in range(5)}
        found = [move for move, window in windows.items() if (window == after).all()]
        assert len(found) == 1
        moves.update(found)
    assert len(moves) > 10


@pytest.mark.parametrize("side", [4, 5])
@pytest.mark.parametrize("quarters", [-1, 0, 1, 2])
def test_quarter_turns_are_exact(side, quarters):
    x = images(3, side, channels=2, dtype=np.float64)
    angle = np.full(3, quarters * np.pi / 2)
    turned = affine(x, rotations(angle))
    np.testing.assert_allclose(turned, np.rot90(x, -quarters, axes=(2, 3)), atol=1e-7)


def test_a_rotation_leaves_the_middle_of_a_round_image_as_it_is():
    place = np.arange(21) - 10
    disc = (np.hypot(place[:, None], place) < 8).astype(float)[None, None]
    turned, _ = apply(nn.data.Rotate(180), np.repeat(disc, 5, axis=0))
    inner = np.hypot(place[:, None], place) < 6
    np.testing.assert_allclose(turned[:, 0, inner], 1)
    assert abs(turned.sum(axis=(1, 2, 3)) / disc.sum() - 1).max() < 0.02


@pytest.mark.parametrize(("kind", "axis"), [(nn.data.HorizontalFlip, 3), (nn.data.VerticalFlip, 2)])
def test_flips_mirror_some_images_and_leave_the_others(kind, axis):
    x = images(64, 4, 5)
    changed, _ = apply(kind(), x)
    mirrored = (changed == np.flip(x, axis)).all(axis=(1, 2, 3))
    same = (changed == x).all(axis=(1, 2, 3))
    assert (mirrored ^ same).all()
    assert 16 < mirrored.sum() < 48
    np.testing.assert_array_equal(apply(kind(1), x)[0], np.flip(x, axis))


def test_noise_has_the_deviation_that_was_asked_for():
    x = np.zeros((50, 1, 20, 20))
    changed, _ = apply(nn.data.Noise(0.3), x)
    assert changed.std() == pytest.approx(0.3, rel=0.03)
    assert abs(changed.mean()) < 0.01


@pytest.mark.parametrize("size", [1, 3, 4])
def test_cutout_sets_a_square_to_zero_that_may_hang_over_the_edge(size):
    x = images(60, 7, 9)
    changed, _ = apply(nn.data.Cutout(size), x)
    areas = set()
    for before, after in zip(x[:, 0], changed[:, 0], strict=True):
        rows, columns = np.nonzero(after == 0)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert max(height, width) <= size
        assert height * width == len(rows)  # a whole rectangle
        expected = before.copy()
        expected[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = 0
        np.testing.assert_array_equal(after, expected)
        areas.add(len(rows))
    assert max(areas) == size**2


def test_mixup_blends_images_in_the_shares_of_their_labels():
    n = 12
    x, y = images(n, 3, dtype=np.float64), np.arange(n)
    mixed, labels = apply(nn.data.Mixup(1.0, n), x, y)
    np.testing.assert_allclose(labels.sum(axis=1), 1)
    assert ((labels > 0).sum(axis=1) <= 2).all()
    np.testing.assert_allclose(mixed, np.einsum("ij,jchw->ichw", labels, x))


def test_cutmix_pastes_original_pixels_in_a_box_and_mixes_labels_by_its_area():
    n, side = 12, 7
    mixed, labels = apply(nn.data.CutMix(1.0, n), numbered(n, side), np.arange(n))
    assert set(np.unique(mixed)) <= set(range(n))
    for i, (image, label) in enumerate(zip(mixed[:, 0], labels, strict=True)):
        rows, columns = np.nonzero(image != i)
        if len(rows):
            box = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert len(set(box.ravel())) == 1  # one partner, and nothing that was pasted to it
            assert box.size == len(rows)
        shares = np.bincount(image.astype(int).ravel(), minlength=n) / side**2
        np.testing.assert_allclose(label, shares)


def test_labels_that_are_mixed_already_are_mixed_further():
    x, y = numbered(6, 5), np.arange(6)
    both = nn.data.Compose([nn.data.CutMix(1.0, 6), nn.data.Mixup(1.0, 6)])
    mixed, labels = apply(both, x, y)
    np.testing.assert_allclose(labels.sum(axis=1), 1)
    # The mean of an image of numbers is the mean number of what it is made of.
    np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), labels @ np.arange(6))


@given(n=st.integers(1, 4), magnitude=st.floats(0, 1), seed=st.integers(0, 99))
def test_randaugment_stays_within_the_range_of_pixels(n, magnitude, seed):
    x = images(24, 8, channels=3)
    changed, _ = apply(nn.data.RandAugment(n, magnitude), x, seed=seed)
    assert changed.min() >= 0
    assert changed.max() <= 1


def test_mixed_labels_are_what_the_loss_takes():
    x, y = images(8, 4), np.arange(8) % 3
    _, labels = apply(augmentation(["cutmix", "mixup"], 4, 3), x, y)
    assert labels.dtype == np.float32
    assert np.isfinite(tg.cross_entropy(tg.Tensor(np.zeros((8, 3), np.float32)), labels).item())


def test_a_loader_augments_every_epoch_anew_and_repeats_with_its_number():
    data = nn.data.TensorDataset(images(10, 4), np.arange(10) % 2, classes=("a", "b"))
    loader = nn.data.DataLoader(data, 5, augment=nn.data.Noise(0.1))
    first, second = ([x for x, _ in loader] for _ in range(2))
    assert (first[0] != second[0]).any()
    loader.epoch = 0
    np.testing.assert_array_equal(next(iter(loader))[0], first[0])


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("shift", "Shift(pixels=3)"),
        ("shift:1", "Shift(pixels=1)"),
        ("rotate:10", "Rotate(degrees=10.0)"),
        ("cutmix", "CutMix(alpha=1.0, classes=10)"),
        ("hflip", "HorizontalFlip(p=0.5)"),
    ],
)
def test_a_name_makes_what_is_printed(name, written):
    assert repr(augmentation([name], 28, 10)) == f"Compose(augmentations=[{written}])"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.data.Shift(0), "pixels of Shift"),
        (lambda: nn.data.Shift(1.5), "pixels of Shift"),
        (lambda: nn.data.Rotate(-1), "degrees of Rotate must be at least 0"),
        (lambda: nn.data.Noise(float("nan")), "std of Noise"),
        (lambda: nn.data.HorizontalFlip(2), r"p of HorizontalFlip must be in \[0, 1\]"),
        (lambda: nn.data.Mixup(0, 3), "alpha of Mixup must be above 0"),
        (lambda: augmentation(["shif"], 8, 3), "Did you mean 'shift'"),
        (lambda: augmentation(["shift:x"], 8, 3), "number after the colon, not 'x'"),
        (lambda: augmentation(["cutout:1.5"], 8, 3), "size of Cutout"),
        (lambda: apply(nn.data.Noise(1), np.zeros((3, 4))), r"\(N, C, H, W\).*\(3, 4\)"),
        (lambda: apply(nn.data.Noise(1), np.zeros((3, 1, 4, 4), int)), "images of floats"),
        (lambda: apply(nn.data.Mixup(1, 2), images(3, 4)), "a label is 2, and there are 2"),
    ],
)
def test_what_makes_no_sense_is_named(make, message):
    with pytest.raises(tg.TinygradError, match=message):
        make()
