"""IDX files and the data sets in them, from files that are written here."""

import gzip
import struct
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import nn

CODES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx(array):
    """An array as an IDX file has it."""
    header = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim])
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    return header + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


IMAGES = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
LABELS = (np.arange(12) % 10).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(IMAGES)))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(LABELS))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES[:5]))
    (tmp_path / "t10k-labels.idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS[:5])))
    return tmp_path


@given(data=st.data(), code=st.sampled_from(sorted(CODES)), packed=st.booleans())
def test_every_array_comes_back_as_it_was_written(data, code, packed, tmp_path_factory):
    shapes = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    array = data.draw(arrays.arrays(np.dtype(code), shapes))
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    found = nn.data.read_idx(path)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_images_are_read_under_every_name_they_are_published_by(name, folder):
    train, test = nn.data.load(name, folder=folder), nn.data.load(name, folder=folder, train=False)
    assert (len(train), len(test)) == (12, 5)
    np.testing.assert_array_equal(train.inputs, IMAGES[:, None].astype(np.float32) / 255)
    np.testing.assert_array_equal(train.targets, LABELS)
    assert len(train.classes) == 10


def test_the_folder_of_the_environment_is_looked_into(folder, monkeypatch):
    (folder / "mnist").mkdir()
    for path in list(folder.glob("t*-*")):
        path.rename(folder / "mnist" / path.name)
    monkeypatch.setenv("TINYGRAD_EDU_DATA", str(folder))
    assert len(nn.data.mnist()) == 12


@given(keep=st.integers(0, 16 + 12 * 28 * 28 - 1))
def test_a_file_that_was_cut_off_is_named(keep, tmp_path_factory):
    path = tmp_path_factory.mktemp("idx") / "images"
    path.write_bytes(idx(IMAGES)[:keep])
    with pytest.raises(nn.DataError, match=r"images is (not whole|no IDX file)"):
        nn.data.read_idx(path)


def test_a_packed_file_that_was_cut_off_is_named(tmp_path):
    whole = gzip.compress(idx(IMAGES))
    for keep in (10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "images.gz").write_bytes(whole[:keep])
        with pytest.raises(nn.DataError, match=r"images\.gz is no whole gzip file"):
            nn.data.read_idx(tmp_path / "images.gz")


def test_a_header_that_promises_the_earth_is_not_believed(tmp_path):
    (tmp_path / "huge").write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 12)
    with pytest.raises(nn.DataError, match="not whole"):
        nn.data.read_idx(tmp_path / "huge")


@pytest.mark.parametrize("content", [b"\x89PNG\r\n", b"\0\0\x07\x01aaaa", b"hello world"])
def test_a_foreign_file_is_named(content, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(nn.DataError, match="file is no IDX file"):
        nn.data.read_idx(tmp_path / "file")


def test_a_missing_file_is_named_with_its_folder(folder):
    (folder / "train-labels.idx1-ubyte").unlink()
    with pytest.raises(nn.DataError, match=r"no file train-labels-idx1-ubyte in .*\.gz or not"):
        nn.data.mnist(folder)


def test_files_that_do_not_belong_together_are_refused(folder):
    (folder / "train-labels.idx1-ubyte").write_bytes(idx(LABELS[:7]))
    with pytest.raises(nn.DataError, match=r"\(12, 28, 28\) and labels of shape \(7,\)"):
        nn.data.mnist(folder)
    (folder / "train-labels.idx1-ubyte").write_bytes(idx(LABELS + 3))
    with pytest.raises(nn.DataError, match="0 to 9"):
        nn.data.mnist(folder)


def test_without_files_scikit_learn_fetches_them_and_the_last_10000_are_to_test(monkeypatch):
    pixels = np.zeros((60_003, 784), np.uint8)
    pixels[:, 0] = np.arange(60_003) % 251
    labels = np.array([str(i % 10) for i in range(60_003)])
    asked = []

    def fetch(name, **options):
        asked.append((name, options["as_frame"]))
        return SimpleNamespace(data=pixels, target=labels)

    monkeypatch.delenv("TINYGRAD_EDU_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    test = nn.data.fashion_mnist(train=False)
    assert asked == [("Fashion-MNIST", False)]
    assert len(test) == 3
    np.testing.assert_allclose(test.inputs[:, 0, 0, 0] * 255, np.arange(60_000, 60_003) % 251)
    np.testing.assert_array_equal(test.targets, [0, 1, 2])


def test_without_a_network_the_error_says_where_to_put_the_files(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no route to host")

    monkeypatch.delenv("TINYGRAD_EDU_DATA", raising=False)
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", refuse)
    with pytest.raises(nn.DataError, match=r"no route to host\. Put its four files into a folder"):
        nn.data.mnist()
