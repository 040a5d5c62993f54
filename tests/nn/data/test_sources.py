"""The data sets that come with the library."""

import sys
from itertools import pairwise

import numpy as np
import pytest
import sklearn.datasets

import nn
import tinygrad_edu as tg

MADE = ["blobs", "circles", "moons", "regression", "spirals", "xor"]
CLASSES = {"breast_cancer": 2, "iris": 3, "wine": 3, "digits": 10, "moons": 2, "spirals": 3}


@pytest.mark.parametrize("name", sorted(nn.data.DATASETS.keys() - {"mnist", "fashion_mnist"}))
def test_every_data_set_has_targets_that_its_kind_of_loss_takes(name, tmp_path):
    (tmp_path / "text").write_text("to be or not to be " * 20)
    data = nn.data.load(name, **({"path": tmp_path / "text"} if name == "tiny_text" else {}))
    if data.classes:
        assert data.targets.dtype == np.int64
        assert set(np.unique(data.targets)) == set(range(len(data.classes)))
    else:
        assert data.targets.shape == (len(data), 1)
        assert data.targets.dtype == np.float32
    assert data.inputs.dtype == (np.int64 if name == "tiny_text" else np.float32)
    assert np.isfinite(data.inputs).all()
    assert len(data.classes) == CLASSES.get(name, len(data.classes))


def test_digits_are_the_1797_of_the_repository():
    data = nn.data.digits()
    assert data.inputs.shape == (1797, 1, 8, 8)
    assert (data.inputs.min(), data.inputs.max()) == (0, 1)


def test_xor_is_of_class_one_where_the_signs_differ():
    data = nn.data.xor(500, noise=0.1)
    x, y = data.inputs.T
    np.testing.assert_array_equal(data.targets, (x * y < 0).astype(int))


def test_the_arm_of_a_spiral_is_at_the_angle_that_its_radius_says():
    data = nn.data.spirals(60, classes=4, noise=0)
    radius = np.hypot(*data.inputs.T)
    turned = 2 * np.pi * (data.targets / 4 + radius)
    np.testing.assert_allclose(data.inputs[:, 0], radius * np.cos(turned), atol=1e-5)
    np.testing.assert_allclose(data.inputs[:, 1], radius * np.sin(turned), atol=1e-5)


def test_the_inner_circle_is_half_the_outer():
    data = nn.data.circles(100, noise=0)
    radius = np.hypot(*data.inputs.T)
    np.testing.assert_allclose(radius, np.where(data.targets == 1, 0.5, 1), rtol=1e-6)


@pytest.mark.parametrize("name", MADE)
def test_made_data_repeat_with_their_seed(name):
    first, again, other = (nn.data.load(name, n=20, seed=s).inputs for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert len(first) == 20


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("n", [0, 1, 2.5, True]),
        ("noise", [-0.1, np.nan, np.inf, "1"]),
        ("seed", [-1, 2**32, 0.5]),
    ],
)
def test_options_of_made_data_that_make_no_sense_are_named(name, option, values):
    for value in values:
        with pytest.raises(nn.ConfigurationError, match=f"{option} of {name} must be"):
            nn.data.load(name, **{option: value})


@pytest.mark.parametrize("name", ["blobs", "spirals"])
@pytest.mark.parametrize("classes", [1, 2, 5])
def test_as_many_classes_are_made_as_are_wanted_of_nearly_one_size(name, classes):
    data = nn.data.load(name, n=13, classes=classes)
    sizes = np.bincount(data.targets, minlength=classes)
    assert len(data.classes) == len(sizes) == classes
    assert sizes.max() - sizes.min() <= 1
    with pytest.raises(nn.ConfigurationError, match=f"n of {name}.* at least 14"):
        nn.data.load(name, n=13, classes=14)
    with pytest.raises(nn.ConfigurationError, match=f"classes of {name}"):
        nn.data.load(name, classes=0)


def test_a_class_that_chance_left_out_is_still_one():
    absent = [s for s in range(20) if len(set(nn.data.xor(2, seed=s).targets)) == 1]
    assert absent
    assert all(nn.data.xor(2, seed=s).classes == ("0", "1") for s in absent)


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_classes_are_named_as_by_scikit_learn(name):
    theirs = getattr(sklearn.datasets, f"load_{name}")()
    data = nn.data.load(name, standardize=False)
    assert data.classes == tuple(theirs.target_names)
    np.testing.assert_array_equal(data.targets, theirs.target)
    np.testing.assert_array_equal(data.inputs, theirs.data.astype(np.float32))


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_measurements_are_standardized_unless_they_are_not_to_be(name):
    data, raw = nn.data.load(name), nn.data.load(name, standardize=False)
    np.testing.assert_allclose(data.inputs.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(data.inputs.std(axis=0), 1, rtol=1e-4)
    again = (raw.inputs - raw.inputs.mean(axis=0)) / raw.inputs.std(axis=0)
    np.testing.assert_allclose(again, data.inputs, atol=1e-3)


def test_a_regression_without_noise_is_linear_and_of_deviation_one():
    data = nn.data.regression(200, features=3, noise=0)
    _, residuals, *_ = np.linalg.lstsq(np.c_[data.inputs, np.ones(200)], data.targets)
    assert residuals[0] < 1e-6
    assert data.targets.std() == pytest.approx(1, rel=1e-5)


def test_an_unknown_data_set_lists_the_known_ones():
    with pytest.raises(tg.UnknownNameError, match=r"Did you mean 'digits'.* blobs, breast_cancer"):
        nn.data.load("digit")


def test_options_that_a_data_set_has_not_or_needs_are_named():
    with pytest.raises(tg.UnknownNameError, match=r"option of the data set moons 'size'.*n, noise"):
        nn.data.load("moons", size=3)
    with pytest.raises(nn.ConfigurationError, match="tiny_text needs path"):
        nn.data.load("tiny_text")
    with pytest.raises(nn.ConfigurationError, match="digits has no options"):
        nn.data.load("digits", n=3)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(tg.MissingExtraError, match=r"pip install 'tinygrad-edu\[train\]'"):
        nn.data.digits()


def test_the_windows_of_a_text_follow_one_another_and_their_targets_are_one_ahead(tmp_path):
    text = "".join(chr(97 + i % 26) for i in range(101))
    (tmp_path / "t.txt").write_text(text)
    data = nn.data.tiny_text(tmp_path / "t.txt", block_size=10)
    assert (len(data), data.name) == (10, "t.txt")
    decoded = [[data.tokenizer.decode(part) for part in data[i]] for i in range(10)]
    assert "".join(x for x, _ in decoded) == text[:100]
    assert all(x[1:] + later[0] == y for (x, y), (later, _) in pairwise(decoded))
    assert len(nn.data.tiny_text(tmp_path / "t.txt", block_size=10, stride=1)) == 91
    with pytest.raises(IndexError):
        data[10]


@pytest.mark.parametrize("stride", [1, 4, 7])
def test_the_samples_of_a_text_can_be_counted_from_its_end(stride):
    data = nn.data.TextDataset("the quick brown fox jumps over the lazy dog", 5, stride)
    forward, backward = np.arange(len(data)), np.arange(-len(data), 0)
    for a, b in zip(data.batch(forward), data.batch(backward), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(nn.data.Subset(data, [-1]).inputs, data.inputs[-1:])


def test_every_character_of_a_file_is_a_token_also_those_that_end_lines(tmp_path):
    (tmp_path / "t.txt").write_bytes("ä\r\nb\rc\n".encode())
    data = nn.data.tiny_text(tmp_path / "t.txt", block_size=6)
    assert data.tokenizer.decode(data[0][0]) == "ä\r\nb\rc"
    assert data.classes == ("\n", "\r", "b", "c", "ä")


@pytest.mark.parametrize("option", [{"block_size": 0}, {"stride": 0}, {"stride": 1.5}])
def test_windows_of_no_size_or_that_stand_still_are_refused(option):
    with pytest.raises(nn.ConfigurationError, match=f"{next(iter(option))} must be"):
        nn.data.TextDataset("abc" * 99, **option)


def test_a_gpt_learns_from_a_text(tmp_path):
    (tmp_path / "t.txt").write_text("abc" * 60)
    data = nn.data.tiny_text(tmp_path / "t.txt", block_size=8)
    train, _ = nn.data.random_split(data, [0.8, 0.2])
    nn.manual_seed(0)
    model = nn.zoo.GPT(len(data.classes), 8, n_layer=1, n_head=1, n_embd=8)
    trainer = nn.training.Trainer(
        model,
        nn.optim.AdamW(model.parameters(), lr=0.01),
        lambda logits, y: tg.cross_entropy(logits.swapaxes(1, 2), y),
        metrics=[],
    )
    history = trainer.fit(train, epochs=10)
    assert history[-1]["train_loss"] < 0.7 * history[0]["train_loss"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no file"), (b"", "too short"), (b"ab", "too short"), (b"\xff" * 99, "UTF-8")],
)
def test_what_is_no_text_is_named(content, message, tmp_path):
    if content is not None:
        (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(nn.DataError, match=rf"{message}") as caught:
        nn.data.tiny_text(tmp_path / "t.txt")
    assert "t.txt" in str(caught.value)
