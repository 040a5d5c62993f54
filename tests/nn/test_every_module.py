"""What holds for every module that nn exports, each as its case in ``cases`` builds it."""

import inspect

import numpy as np
import pytest

import nn
from nn.testing import check_module
from tests.nn.cases import CASES
from tinygrad_edu import trees

EXPORTED = {
    name
    for name in nn.__all__
    if inspect.isclass(getattr(nn, name)) and issubclass(getattr(nn, name), nn.Module)
}


# Where the samples of a case do not lie along the first axis, or meet.
BATCH_AXIS = dict.fromkeys(
    ["GRU", "LSTM", "RNN", "TransformerEncoder", "TransformerEncoderLayer"], 1
)
BATCH_AXIS |= {"Softmax": None, "LogSoftmax": None}


def build(name):
    """The module of a case, trained for one batch: sizes are known, and statistics have run."""
    nn.manual_seed(0)
    make, inputs = CASES[name]
    module = make()
    module(*trees.transform(_in_float32, inputs))
    return module


def _in_float32(x):
    is_float = isinstance(x, np.ndarray) and x.dtype.kind == "f"
    return x.astype(np.float32) if is_float else x


def test_every_exported_module_has_a_case_and_no_case_is_of_anything_else():
    assert set(CASES) == EXPORTED - {"Module"}


@pytest.mark.parametrize("name", sorted(CASES))
class TestEveryModule:
    def test_it_keeps_the_laws_of_modules(self, name):
        check_module(build(name), *CASES[name][1], batch_axis=BATCH_AXIS.get(name, 0))

    def test_it_is_printed_by_the_name_of_its_class(self, name):
        assert name in repr(CASES[name][0]())

    def test_it_has_a_summary(self, name):
        make, inputs = CASES[name]
        dtypes = {getattr(x, "dtype", None) for x in trees.leaves(inputs)}
        if len(dtypes) > 1:
            pytest.skip("a summary's inputs are all of one dtype")
        shapes = [np.shape(x) for x in inputs]
        dtype = dtypes.pop()
        module = make()
        summary = module.summary(*shapes, dtype=dtype if dtype == np.int64 else np.float32)
        assert summary.rows[0].output_shapes
        assert summary.parameters == sum(np.size(p.data) for p in module.parameters())
