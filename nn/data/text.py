"""Text as integers, which is how a language model reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn.checks import check_integer
from nn.data.dataset import Batch, Dataset
from nn.errors import ConfigurationError, DataError
from tinygrad_edu.graph import plain


class CharTokenizer:
    """Each character as an integer: its place among the characters of a text, in Unicode's order.

    Args:
        text: holds each character at least once.

    Attributes:
        characters: what the integers 0, 1, 2, ... stand for.

    Raises:
        ConfigurationError: the text is empty.

    >>> from nn.data import CharTokenizer
    >>> tokenizer = CharTokenizer("hello")
    >>> tokenizer.encode("hole")
    array([1, 3, 2, 0])
    >>> tokenizer.decode([1, 3, 2, 0])
    'hole'
    """

    def __init__(self, text: str) -> None:
        if not text:
            raise ConfigurationError(
                "a CharTokenizer takes its characters from a text, not from ''"
            )
        self.characters = "".join(sorted(set(text)))
        self._places = {character: i for i, character in enumerate(self.characters)}

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> np.ndarray[Any, Any]:
        """The integer of each character of a text.

        Raises:
            UnknownNameError: the text has other characters; the message names them all.
        """
        unknown = "".join(sorted(set(text) - set(self.characters)))
        if unknown:
            kind = "character" if len(unknown) == 1 else "characters"
            raise tg.UnknownNameError(kind, unknown, map(repr, self.characters))
        return np.array([self._places[character] for character in text], np.int64)

    def decode(self, indices: Sequence[int] | Any) -> str:
        """The text of a vector of integers.

        Raises:
            IndexingError: one is no character's, or these are no integers in one row.
        """
        places = np.asarray(plain(indices))
        if places.ndim != 1 or (places.size and places.dtype.kind not in "iu"):
            raise tg.IndexingError(
                f"decode takes a vector of integers, not shape {places.shape} of {places.dtype}"
            )
        wrong = places[(places < 0) | (places >= len(self))]
        if wrong.size:
            raise tg.IndexingError(
                f"decode got {wrong[0]}, and the characters are 0 to {len(self) - 1}"
            )
        return "".join(self.characters[i] for i in places)

    def __repr__(self) -> str:
        return f"CharTokenizer({self.characters!r})"


class TextDataset(Dataset):
    """Windows of a text, each with the same one character later: what a language model learns.

    Sample i is the tokens from i stride on, ``block_size`` of them, and those from i stride + 1 on.

    Args:
        text: what to read.
        block_size: how many tokens a sample has.
        stride: how far apart samples begin; by default ``block_size``, so that they don't overlap.
        name: what messages call it.

    Attributes:
        tokenizer: makes characters integers, and back.
        classes: the characters.

    Raises:
        DataError: the text is too short for one sample.

    >>> from nn.data import TextDataset
    >>> data = TextDataset("hello world", block_size=5)
    >>> [data.tokenizer.decode(part) for part in data[0]], len(data)
    (['hello', 'ello '], 2)
    """

    def __init__(
        self, text: str, block_size: int = 64, stride: int | None = None, name: str = "text"
    ) -> None:
        self.name = name
        self.block_size = check_integer("block_size", block_size)
        self.stride = self.block_size if stride is None else check_integer("stride", stride)
        if len(text) <= self.block_size:
            raise DataError(
                f"{name} has {len(text)} characters, which is too short for a sample of"
                f" block_size={block_size} and the character after it"
            )
        self.tokenizer = CharTokenizer(text)
        self.classes = tuple(self.tokenizer.characters)
        self._tokens = self.tokenizer.encode(text)

    def __len__(self) -> int:
        return (len(self._tokens) - self.block_size - 1) // self.stride + 1

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(part[0] for part in self.batch([index]))

    def batch(self, indices: Sequence[int] | Any) -> Batch:
        """Tokens and those that follow them, each ``(len(indices), block_size)``."""
        starts = self.stride * np.arange(len(self))[np.asarray(indices, np.intp)]
        places = starts[:, None] + np.arange(self.block_size)
        return self._tokens[places], self._tokens[places + 1]


def tiny_text(path: str | Path, block_size: int = 64, stride: int | None = None) -> TextDataset:
    """The text of a file, for a language model; see ``TextDataset``.

    Args:
        path: any text file, in UTF-8.
        block_size: how many characters a sample has.
        stride: how far apart samples begin; by default ``block_size``.

    Raises:
        DataError: there is no such file, it is no text, or it is too short.
    """
    try:
        text = Path(path).read_bytes().decode()  # read_text would change the ends of lines
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no text in UTF-8: byte {error.start} is {error.object[error.start]:#x}"
        ) from error
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    return TextDataset(text, block_size, stride, name=Path(path).name)
