"""Augmentations, each against what its paper or its name says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats

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


def through(image, matrix):
    """What scipy makes of an image ``(C, H, W)`` and a linear map about its centre, 0 outside."""
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
    middle = (np.array(padded.shape[1:]) - 1) / 2
    offset = middle - matrix @ middle
    mapped = [ndimage.affine_transform(x, matrix, offset, order=1) for x in padded]
    return np.array(mapped)[:, 2:-2, 2:-2]


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
    y = np.arange(n) % 3
    y.flags.writeable = False
    (augment,) = augmentation([name], height, 3).augmentations
    changed, labels = apply(augment, x, y)
    again, labels_again = apply(augment, x, y)
    assert (changed.shape, changed.dtype, len(labels)) == (x.shape, x.dtype, n)
    assert np.isfinite(changed).all()
    assert not np.shares_memory(changed, x)
    assert not np.shares_memory(labels, y)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(changed, again)
    np.testing.assert_array_equal(labels, labels_again)


def test_no_augmentation_changes_nothing_and_copies_all_the_same():
    x, y = images(3, 4), np.arange(3)
    copies = apply(augmentation([], 4, 3), x, y)
    for copy, original in zip(copies, (x, y), strict=True):
        np.testing.assert_array_equal(copy, original)
        assert not np.shares_memory(copy, original)


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


@given(shape=st.tuples(*[st.integers(1, 3)] * 2, *[st.integers(1, 8)] * 2), seed=st.integers(0, 99))
def test_an_affine_map_is_scipys(shape, seed):
    rng = np.random.default_rng(seed)
    x, matrices = rng.uniform(size=shape), rng.normal(size=(shape[0], 2, 2))
    expected = [through(image, matrix) for image, matrix in zip(x, matrices, strict=True)]
    np.testing.assert_allclose(affine(x, matrices), expected, atol=1e-8)


def test_every_image_is_turned_by_an_angle_of_its_own_uniformly_either_way():
    ramp = np.tile(np.arange(9.0), (300, 1, 9, 1))  # bilinear sampling of a plane is exact
    turned = apply(nn.data.Rotate(20), ramp)[0][:, 0]
    down, right = turned[:, 5, 4] - turned[:, 4, 4], turned[:, 4, 5] - turned[:, 4, 4]
    np.testing.assert_allclose(np.hypot(down, right), 1)
    angles = np.rad2deg(np.arctan2(down, right))
    assert stats.kstest(angles, stats.uniform(-20, 40).cdf).pvalue > 0.01


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


def test_the_centre_of_a_cutout_is_anywhere_in_the_image():
    changed, _ = apply(nn.data.Cutout(3), np.ones((4000, 1, 5, 7)))
    # Of 5 or 7 centres along a side, a pixel is cut out from 3, and from 2 if it is at the edge.
    rows, columns = np.array([2, 3, 3, 3, 2]) / 5, np.array([2, 3, 3, 3, 3, 3, 2]) / 7
    np.testing.assert_allclose(1 - changed.mean(axis=(0, 1)), np.outer(rows, columns), atol=0.025)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_mixup_draws_a_share_for_every_sample_from_a_beta_distribution(alpha):
    labels = apply(nn.data.Mixup(alpha, 600), numbered(600, 1), np.arange(600))[1]
    shares = np.diag(labels)
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


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


def test_cutmix_keeps_as_much_of_an_image_as_the_paper_says():
    n, side, rng = 600, 16, np.random.default_rng(3)
    kept = []
    for share in rng.beta(1, 1, n):
        cut = np.rint(side * np.sqrt(1 - share))
        start = rng.integers(side, size=2) - cut // 2
        sides = np.clip(start + cut, 0, side) - np.clip(start, 0, side)
        kept.append(1 - sides.prod() / side**2)
    labels = apply(nn.data.CutMix(1.0, n), numbered(n, side), np.arange(n))[1]
    assert stats.ks_2samp(np.diag(labels), kept).pvalue > 0.01


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


def operations(image, strength):
    """What RandAugment may make of an image ``(C, H, W)``."""
    s, (_, height, width) = strength, image.shape
    angle = s * np.pi / 4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    blurred = ndimage.uniform_filter(image, (1, 3, 3), mode="nearest")
    levels = 2 ** round(8 - 6 * abs(s)) - 1
    low, high = (f(image, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    made = {
        "identity": image,
        "shift y": ndimage.shift(image, (0, round(s * height / 2), 0), order=0),
        "shift x": ndimage.shift(image, (0, 0, round(s * width / 2)), order=0),
        "shear y": through(image, np.array([[1, s], [0, 1]])),
        "shear x": through(image, np.array([[1, 0], [s, 1]])),
        "rotate": through(image, turn),
        "brightness": (1 + s) * image,
        "contrast": (1 + s) * image - s * image.mean(),
        "sharpness": (1 + s) * image - s * blurred,
        "posterize": np.round(image * levels) / levels,
        "solarize": np.where(image > 1 - abs(s), 1 - image, image),
        "autocontrast": (image - low) / (high - low),
    }
    return {name: np.clip(x, 0, 1) for name, x in made.items()}


def found_in(changed, candidates):
    """The name of the first candidate that an image is, or None."""
    return next((k for k, x in candidates.items() if np.allclose(changed, x, atol=1e-8)), None)


@pytest.mark.parametrize("magnitude", [0.3, 0.7])
def test_randaugment_changes_every_image_by_an_operation_of_its_own(magnitude):
    image = images(1, 10, 8, channels=2, dtype=np.float64)[0]
    candidates = {
        (name, sign): x
        for sign in (-1, 1)
        for name, x in operations(image, sign * magnitude).items()
    }
    changed, _ = apply(nn.data.RandAugment(1, magnitude), np.repeat(image[None], 400, axis=0))
    found = {found_in(x, candidates) for x in changed}
    one_way = ("identity", "posterize", "solarize", "autocontrast")
    assert found == {(name, sign) for name, sign in candidates if sign < 0 or name not in one_way}


def test_randaugment_applies_as_many_operations_as_asked_for():
    image = images(1, 6, dtype=np.float64)[0]
    either = [
        lambda x, s=s, name=name: operations(x, s)[name]
        for s in (-0.5, 0.5)
        for name in operations(image, s)
    ]
    pairs = {(i, j): g(f(image)) for i, f in enumerate(either) for j, g in enumerate(either)}
    changed, _ = apply(nn.data.RandAugment(2, 0.5), np.repeat(image[None], 60, axis=0))
    found = [found_in(x, pairs) for x in changed]
    assert None not in found
    assert sum(0 not in pair for pair in found) > 30  # 0 is the identity


def test_randaugment_takes_what_a_rotation_left_of_pixels_in_range():
    both = nn.data.Compose([nn.data.Rotate(30), nn.data.RandAugment()])
    assert apply(both, np.ones((50, 1, 9, 9), np.float32))[0].max() <= 1


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
        (lambda: nn.data.HorizontalFlip(2), r"p of HorizontalFlip is a probability, in \[0, 1\]"),
        (lambda: nn.data.Mixup(0, 3), "alpha of Mixup must be above 0"),
        (lambda: augmentation(["shif"], 8, 3), "Did you mean 'shift'"),
        (lambda: augmentation(["shift:x"], 8, 3), "number after the colon, not 'x'"),
        (lambda: augmentation(["cutout:1.5"], 8, 3), "size of Cutout"),
        (lambda: apply(nn.data.Noise(1), np.zeros((3, 4))), r"\(N, C, H, W\).*\(3, 4\)"),
        (lambda: apply(nn.data.Noise(1), np.zeros((3, 1, 4, 4), int)), "images of floats"),
        (lambda: apply(nn.data.Mixup(1, 2), images(3, 4)), "a label is 2, and there are 2"),
        (lambda: apply(nn.data.Mixup(1, 2), images(3, 4), [0, 1]), r"each of 3 images.* \(2,\)"),
        (lambda: apply(nn.data.Shift(1), images(3, 4), [0, 1]), r"each of 3 images.* \(2,\)"),
        (lambda: apply(nn.data.Shift(1), [[0.0]]), "NumPy array, not list"),
        (
            lambda: apply(nn.data.RandAugment(), images(3, 4) - 1),
            r"pixels in \[0, 1\].* -0\.\d+ to -0",
        ),
        (lambda: nn.data.Compose(nn.data.Shift(1)), "takes a list of augmentations"),
        (lambda: nn.data.Compose(["shift"]), r"list of augmentations.*\['shift'\]"),
        (lambda: augmentation("shift", 8, 3), r"a list of names, \['shift'\] say"),
    ],
)
def test_what_makes_no_sense_is_named(make, message):
    with pytest.raises(tg.TinygradError, match=message):
        make()


def test_randaugment_refuses_an_image_with_a_nan():
    x = images(3, 4)
    x[1, 0, 2, 2] = np.nan
    with pytest.raises(nn.ConfigurationError, match="from nan to nan"):
        apply(nn.data.RandAugment(), x)
