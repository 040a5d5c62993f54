"""Models by name."""

import pytest

import nn
import tinygrad_edu as tg


def test_every_model_that_the_zoo_exports_has_a_name():
    blocks = {"BasicBlock", "ConvNeXtBlock", "InvertedResidual"}
    exported = {name.lower() for name in set(nn.zoo.__all__) - blocks - {"create", "models"}}
    assert {name.replace("_", "") for name in nn.zoo.models()} == exported


def test_a_name_and_options_make_a_model():
    assert isinstance(nn.zoo.create("lenet5", num_classes=3), nn.zoo.LeNet5)
    assert nn.zoo.create("lenet5", num_classes=3).classifier[-1].out_features == 3
    assert len(nn.zoo.create("feedforward", sizes=[4, 2])) == 1
    assert nn.zoo.create("gpt", vocab_size=5, block_size=2).block_size == 2


def test_a_misspelt_name_is_answered_with_the_nearest():
    with pytest.raises(tg.UnknownNameError, match=r"model 'resnet81'. Did you mean 'resnet18'"):
        nn.zoo.create("resnet81")
