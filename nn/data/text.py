"""Text as integers, which is how a language model reads it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn.errors import ConfigurationError
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
