"""What is right is not accused: the gradient check on a thousand random expressions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_edu import Value
from tinygrad_edu.testing import expressions, gradcheck

HOW_MANY = 1000


def test_none_of_a_thousand_random_expressions_is_accused(capsys):
    checked = 0

    @settings(max_examples=HOW_MANY)
    @given(expressions(), st.sampled_from([Value, np.array]), st.sampled_from([1, 1, 1, 2]))
    def is_accepted(f, kind, order):
        nonlocal checked
        gradcheck(f, *map(kind, f.inputs), order=order)
        checked += 1

    is_accepted()
    assert checked >= HOW_MANY  # fewer if Hypothesis found no more
    with capsys.disabled():
        print(f"\nnone of {checked} accused")
