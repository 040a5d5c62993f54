"""The IDX file format, in which MNIST and data sets like it are published.

A file is two zero bytes, a byte for the type, one for the number of axes, the length of each axis
as a big-endian 32-bit integer, and then the numbers. Source: LeCun, Cortes and Burges, The MNIST
database, "The IDX file format".
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np

from nn.errors import DataError

# The types, which are stored with the highest byte first.
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

# What a gzip file begins with.
_GZIP = b"\x1f\x8b"

# How many bytes are read at a time: a header's word is not taken for how many there are.
_CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> np.ndarray[Any, Any]:
    """The array in an IDX file, whether it is packed by gzip or not.

    No more memory is taken than the file has numbers, whatever its header says, and than its
    header says, however much the file unpacks to.

    Raises:
        DataError: there is no such file, it is no IDX file, or it is not whole.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == _GZIP
            file.seek(0)
            return _array(path, gzip.GzipFile(fileobj=file) if packed else file)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is no whole gzip file: {error}; fetch it anew") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _array(path: Path, file: IO[bytes] | gzip.GzipFile) -> np.ndarray[Any, Any]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise DataError(
            f"{path} is no IDX file: those begin with 00 00, a type of"
            f" {', '.join(f'{code:02x}' for code in _TYPES)} and the number of axes, and this with"
            f" {magic.hex(' ') or 'nothing'}"
        )
    kind, axes = np.dtype(_TYPES[magic[2]]), magic[3]
    lengths = file.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise DataError(
            f"{path} is not whole: its header takes {4 + 4 * axes} bytes, and there are"
            f" {4 + len(lengths)}; fetch it anew"
        )
    shape = tuple(int(length) for length in np.frombuffer(lengths, ">u4"))
    expected = kind.itemsize * math.prod(shape)
    content, found = _content(file, expected)
    if found != expected:
        raise DataError(
            f"{path} is {'not whole' if found < expected else 'too long'}: an array of shape"
            f" {shape} takes {expected:,} bytes after the header, and there are {found:,};"
            " fetch it anew"
        )
    try:
        numbers = np.frombuffer(content, kind).reshape(shape)
    except ValueError as error:  # too many axes, or an empty array with axes beyond all bounds
        raise DataError(f"{path} holds an array of shape {shape}: {error}") from error
    return numbers.astype(kind.newbyteorder("="), copy=False)


def _content(file: IO[bytes] | gzip.GzipFile, limit: int) -> tuple[bytearray, int]:
    """What is left of a file, up to a bit more than ``limit`` bytes, and how many there were."""
    content, found = bytearray(), 0
    while chunk := file.read(_CHUNK):
        found += len(chunk)
        if len(content) < limit:
            content += chunk
    return content, found
