"""Random models: valid for their shape, simple where they can be, and all of them right."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import nn
from nn.testing import check_module, modules

MODELS = 500
SHAPES = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 4)),
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3)),
)


def depth(module):
    return 1 + max((depth(child) for child in module._modules.values()), default=-1)


@given(st.data(), SHAPES)
def test_a_random_model_takes_inputs_of_its_shape_and_keeps_the_batch(data, shape):
    model = data.draw(modules(shape, max_depth=3, max_length=2))
    y = model(np.ones(shape, np.float32))
    assert y.shape[0] == shape[0]
    assert all(module.training for _, module in model.named_modules())
    assert depth(model) <= 3


def test_a_model_shrinks_to_one_module_and_nests_where_it_has_to():
    assert len(find(modules((2, 3)), lambda model: True)) == 1
    learns = find(modules((2, 3, 4, 5)), lambda model: model.parameters())
    assert len(list(learns.named_modules())) == 2
    nested = find(modules((2, 3)), lambda model: depth(model) == 2)
    assert len(list(nested.named_modules())) == 3


@pytest.mark.parametrize(
    "kind",
    [
        *(nn.Linear, nn.ReLU, nn.GELU, nn.Dropout, nn.Flatten, nn.SiLU, nn.LayerNorm, nn.Residual),
        *(nn.Conv2d, nn.BatchNorm2d, nn.GroupNorm, nn.MaxPool2d, nn.AvgPool2d, nn.GlobalAvgPool),
    ],
)
def test_every_family_of_layers_is_drawn(kind):
    find(modules((2, 3, 4, 4)), lambda model: any(isinstance(m, kind) for m in model))


@pytest.mark.parametrize("options", [((3,),), ((0, 3),), ((2, 3), 0), ((2, 3), 1, 0)])
def test_shapes_and_limits_without_a_model_are_refused(options):
    with pytest.raises(nn.ConfigurationError):
        modules(*options)


def test_of_random_right_models_none_is_accused(capsys):
    tried = []

    @settings(max_examples=MODELS, database=None)
    @given(st.data(), SHAPES, st.integers(0, 2**16))
    def is_right(data, shape, seed):
        model = data.draw(modules(shape))
        x = np.random.default_rng(seed).normal(size=shape)
        check_module(model, x)
        tried.append(model)

    is_right()
    assert len(tried) >= MODELS
    with capsys.disabled():
        print(f"\nnone of {len(tried)} models accused")


def test_the_kit_loads_without_hypothesis_and_says_what_to_install():
    hidden = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import nn.testing\nnn.testing.isolate\nnn.testing.modules"
    )
    run = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True)
    assert "pip install 'tinygrad-edu[test]'" in run.stderr
    with pytest.raises(AttributeError, match=r"nn\.testing has no 'module'.* modules"):
        _ = nn.testing.module
