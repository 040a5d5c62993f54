"""A file is written whole or not at all, and nothing is left lying about."""

import os
import subprocess
import sys
import threading

import pytest

import tinygrad_edu as tg
from tinygrad_edu import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_holds_what_was_written_and_nothing_is_beside_it(tmp_path):
    for content in (b"first", b"", b"second" * 1000):
        assert files.write(tmp_path / "x.bin", content).read_bytes() == content
    assert names(tmp_path) == ["x.bin"]


@pytest.mark.parametrize("at", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(at, error, tmp_path, monkeypatch):
    def fail(*arguments):
        raise error

    path = files.write(tmp_path / "x.bin", b"old")
    monkeypatch.setattr(*((os, "fsync") if at == "fsync" else (type(path), "replace")), fail)
    with pytest.raises((tg.OutputError, KeyboardInterrupt), match=r"cannot write .*x\.bin|^$"):
        files.write(path, b"new")
    assert (path.read_bytes(), names(tmp_path)) == (b"old", ["x.bin"])


@pytest.mark.parametrize("name", ["x" * 254, "folder", "missing/x"])
def test_a_place_that_takes_no_file_is_told_of(name, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(tg.TinygradError, match="cannot write"):
        files.write(tmp_path / name, b"new")
    assert names(tmp_path) == ["folder"]


def test_what_a_process_that_was_killed_left_is_removed(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / f".x.bin.{ended.pid}.1.part").write_bytes(b"hal")
    files.write(tmp_path / "x.bin", b"whole")
    assert names(tmp_path) == ["x.bin"]


def test_what_others_are_writing_or_is_not_ours_stays(tmp_path):
    others = [
        f".x.bin.{os.getppid()}.1.part",  # of a process that is running
        ".y.bin.999999999.1.part",  # of another file, whose turn will come
        ".x.bin.999999999.part",
        ".x.bin.backup.1.part",
        "x.bin.999999999.1.part",
    ]
    for name in others:
        (tmp_path / name).touch()
    files.write(tmp_path / "x.bin", b"whole")
    assert names(tmp_path) == sorted([*others, "x.bin"])


def test_threads_that_write_the_same_file_leave_one_of_their_contents(tmp_path):
    contents = [bytes([i]) * 100_000 for i in range(8)]
    threads = [
        threading.Thread(target=files.write, args=(tmp_path / "x.bin", content))
        for content in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "x.bin").read_bytes() in contents
    assert names(tmp_path) == ["x.bin"]
