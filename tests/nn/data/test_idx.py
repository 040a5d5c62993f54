"""IDX files and the data sets in them, from files that are written here."""

import gzip
import inspect
import re
import shutil
import struct
import tracemalloc
import zlib
from http.client import IncompleteRead
from types import SimpleNamespace
from urllib.error import URLError

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


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bytes([0, 0, 8, 65]) + struct.pack(">65I", *[1] * 65) + b"a", "dimension"),
        (bytes([0, 0, 8, 3]) + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1), "too big"),
        (bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + b"abc", "takes 2 bytes .* there are 3"),
        (b"", "nothing"),
    ],
)
def test_an_array_that_there_is_not_is_refused(content, reason, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(nn.DataError, match=f"file .*{reason}"):
        nn.data.read_idx(tmp_path / "file")
    with pytest.raises(nn.DataError, match="cannot read"):
        nn.data.read_idx(tmp_path)


def test_a_small_packed_file_that_unpacks_to_far_more_than_it_says_takes_no_memory(tmp_path):
    zeros = idx(np.zeros(3, np.uint8)) + bytes(100_000_000)
    (tmp_path / "bomb").write_bytes(gzip.compress(zeros, 1))
    del zeros
    tracemalloc.start()
    with pytest.raises(nn.DataError, match=r"takes 3 bytes .* there are 100,000,003"):
        nn.data.read_idx(tmp_path / "bomb")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_missing_file_is_named_with_its_folder(folder):
    (folder / "train-labels.idx1-ubyte").unlink()
    with pytest.raises(nn.DataError, match=r"no train-labels-idx1-ubyte in .*\.gz or not"):
        nn.data.mnist(folder)
    with pytest.raises(nn.DataError, match="nowhere, which is no folder"):
        nn.data.mnist(folder / "nowhere")


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (LABELS[:7], "has 7 labels: they do not belong"),
        (LABELS + np.uint8(3), "has a label 12, .* 0 to 9"),
        (LABELS.astype(np.int8), "a byte a label.* of int8"),
        (IMAGES, "a byte a label.* of uint8"),
        (LABELS[:0], "at least one"),
        (np.array(3, np.uint8), r"of shape \(\)"),
    ],
)
def test_labels_that_do_not_belong_to_the_images_are_refused(labels, reason, folder):
    (folder / "train-labels.idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(nn.DataError, match=rf"train-labels\.idx1-ubyte .*{reason}"):
        nn.data.mnist(folder)


def test_images_of_another_size_are_refused(folder):
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES[:, :, :27]))
    with pytest.raises(nn.DataError, match=r"images of 28x28 bytes.*\(12, 28, 27\)"):
        nn.data.mnist(folder)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty folder for caches, and no other."""
    monkeypatch.delenv("TINYGRAD_EDU_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_looked_into_if_no_folder_is_named(folder, cache, monkeypatch):
    shutil.copytree(folder, cache / "tinygrad-edu/mnist", ignore=shutil.ignore_patterns("cache"))
    assert len(nn.data.mnist(train=False)) == 5
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", lambda: folder)
    cache.rename(folder / ".cache")
    assert len(nn.data.mnist()) == 12


def test_a_cache_that_has_half_of_the_files_is_mended_by_no_fetching(folder, cache):
    (cache / "tinygrad-edu/mnist").mkdir(parents=True)
    shutil.copy(folder / "train-labels.idx1-ubyte", cache / "tinygrad-edu/mnist")
    with pytest.raises(nn.DataError, match="no train-images-idx3-ubyte"):
        nn.data.mnist()


class OpenML:
    """What stands for scikit-learn's fetch_openml, with 60,003 images; or it raises an error."""

    def __init__(self, monkeypatch, labels=60_003, error=None):
        self.pixels = np.zeros((60_003, 784))
        self.pixels[:, 0] = np.arange(60_003) % 251
        self.labels = np.array([str(i % 10) for i in range(labels)], object)
        self.error, self.asked = error, []
        monkeypatch.setattr(sklearn.datasets, "fetch_openml", self)

    def __call__(self, name, **options):
        self.asked.append((name, options))
        if self.error:
            raise self.error
        return SimpleNamespace(data=self.pixels, target=self.labels)


@pytest.mark.parametrize(
    ("name", "theirs"), [("mnist", "mnist_784"), ("fashion_mnist", "Fashion-MNIST")]
)
def test_without_files_scikit_learn_fetches_them_and_the_last_are_to_test(
    name, theirs, cache, monkeypatch
):
    openml = OpenML(monkeypatch)
    test = nn.data.load(name, train=False)
    options = {"version": 1, "as_frame": False, "parser": "liac-arff"}
    assert openml.asked == [(theirs, options)]
    assert test.inputs.shape == (3, 1, 28, 28)
    np.testing.assert_allclose(test.inputs[:, 0, 0, 0] * 255, np.arange(60_000, 60_003) % 251)
    np.testing.assert_array_equal(test.targets, [0, 1, 2])
    assert len(nn.data.load(name)) == 60_000


def test_scikit_learn_takes_the_options_that_are_passed_to_it():
    parameters = inspect.signature(sklearn.datasets.fetch_openml).parameters
    assert {"name", "version", "as_frame", "parser"} <= parameters.keys()


def test_data_sets_of_openml_that_are_not_whole_are_refused(cache, monkeypatch):
    OpenML(monkeypatch, labels=60_000)
    with pytest.raises(nn.DataError, match="60,003 images and 60,000 labels"):
        nn.data.mnist()


@pytest.mark.parametrize(
    "error",
    [
        URLError("no route to host"),
        IncompleteRead(b""),
        TimeoutError("timed out"),
        EOFError("the compressed file ended"),
        zlib.error("incorrect data check"),
        ValueError("x"),
    ],
)
def test_without_a_network_the_error_says_where_to_put_the_files(error, cache, monkeypatch):
    OpenML(monkeypatch, error=error)
    where = re.escape(str(cache / "tinygrad-edu" / "mnist"))
    with pytest.raises(
        nn.DataError, match=f"{where}.* openml.org.*Put train-images-idx3"
    ) as caught:
        nn.data.mnist()
    assert str(error) in str(caught.value)
