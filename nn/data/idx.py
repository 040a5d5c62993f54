"""The IDX file format, in which MNIST and data sets like it are published.

A file is two zero bytes, a byte for the type, one for the number of axes, the length of each axis
as a big-endian 32-bit integer, and then the numbers. Source: LeCun, Cortes and Burges, The MNIST
database, "The IDX file format".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nn.errors import DataError

# The types, which are stored with the highest byte first.
_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}

# What a gzip file begins with.
_GZIP = b"\x1f\x8b"


def read_idx(path: str | Path) -> np.ndarray[Any, Any]:
    """The array in an IDX file, whether it is packed by gzip or not.

    Raises:
        DataError: there is no such file, it is no IDX file, or it is not whole.
    """
    content = _content(Path(path))
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _TYPES:
        raise DataError(
            f"{path} is no IDX file: those begin with two zero bytes and a type, and this with"
            f" {content[:4].hex(' ') or 'nothing'}"
        )
    kind, axes = np.dtype(_TYPES[content[2]]), content[3]
    start = 4 + 4 * axes
    if len(content) < start:
        raise DataError(
            f"{path} is not whole: its header takes {start} bytes, and there are {len(content)}"
        )
    shape = tuple(int(length) for length in np.frombuffer(content, ">u4", axes, 4))
    expected = start + kind.itemsize * math.prod(shape)
    if len(content) != expected:
        raise DataError(
            f"{path} is not whole: an array of shape {shape} takes {expected:,} bytes with its"
            f" header, and there are {len(content):,}; fetch it anew"
        )
    numbers = np.frombuffer(content, kind, offset=start).reshape(shape)
    return numbers.astype(kind.newbyteorder("="))


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == _GZIP else content
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is no whole gzip file: {error}; fetch it anew") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
