"""Text as integers, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg


@given(text=st.text(min_size=1))
def test_decoding_gives_back_what_was_encoded(text):
    tokenizer = nn.data.CharTokenizer(text)
    indices = tokenizer.encode(text)
    assert tokenizer.decode(indices) == text
    assert set(indices) == set(range(len(tokenizer)))


def test_nothing_is_encoded_as_no_integers():
    tokenizer = nn.data.CharTokenizer("ab")
    assert tokenizer.encode("").dtype == np.int64
    assert tokenizer.decode(tokenizer.encode("")) == tokenizer.decode([]) == ""


def test_characters_that_are_unknown_are_named_with_those_that_are_not():
    with pytest.raises(tg.UnknownNameError, match=r"unknown characters 'ßé'.*'a', 'b'"):
        nn.data.CharTokenizer("ab\n").encode("aéßé")
    with pytest.raises(nn.ConfigurationError, match="from a text"):
        nn.data.CharTokenizer("")


@pytest.mark.parametrize("wrong", [[0, 2], [-1], [[0]], [0.5]])
def test_integers_of_no_character_are_refused(wrong):
    with pytest.raises(tg.IndexingError, match="decode"):
        nn.data.CharTokenizer("ab").decode(wrong)
