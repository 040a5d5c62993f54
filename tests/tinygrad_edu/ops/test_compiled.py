"""What compiles the loops of the extra fast."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra fast is not installed")


def test_where_nothing_can_be_kept_on_disk_a_loop_is_compiled_all_the_same():
    from tinygrad_edu.ops.compiled import kernel

    # A function of no file is one that Numba finds no folder for, as if none could be written to.
    names = {}
    exec("def total(x):\n    s = 0.0\n    for each in x:\n        s += each\n    return s", names)
    assert kernel(names["total"])(np.arange(5.0)) == 10
