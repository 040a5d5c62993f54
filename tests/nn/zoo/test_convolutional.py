"""The convolutional models: the published sizes, images of every size, training, and the blocks."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from tinygrad_edu import Tensor
from tinygrad_edu.testing import gradcheck

# A learning rate for each, with which it learns two digits in a step or two of AdamW.
LEARNING_RATES = {
    "alexnet": 1e-4,
    "baseline_cnn": 1e-3,
    "convnext_tiny": 1e-4,
    "efficientnet_lite0": 3e-3,
    "lenet5": 1e-2,
    "resnet18": 1e-3,
    "vgg16": 1e-4,
}


class Zeros:
    """Draws zeros, so that a hundred million weights take no time."""

    def normal(self, mean, deviation, size):
        return np.zeros(size)

    uniform = normal


def two_digits():
    digits = nn.data.digits()
    return digits.inputs[:2], digits.targets[:2]


def make(name, **options):
    return nn.zoo.create(name, in_channels=1, num_classes=10, image_size=8, **options)


def halves_its_loss(model, lr):
    """Train until the loss is half of what it was at first, for twelve steps at most."""
    images, labels = two_digits()
    optimizer, losses = nn.optim.AdamW(model.parameters(), lr), []
    for _ in range(12):
        loss = tg.cross_entropy(model(images), labels)
        losses.append(loss.item())
        if losses[-1] < losses[0] / 2:
            return True
        optimizer.zero_grad()
        loss.backward(retain_graph=False)
        optimizer.step()
    return False


class Trained(NamedTuple):
    """A model, whether its loss has halved, and what it then makes of the two digits in use."""

    name: str
    model: nn.Module
    halved: bool
    logits: np.ndarray


@pytest.fixture(scope="module", params=LEARNING_RATES)
def trained(request):
    nn.manual_seed(0)
    model = make(request.param)
    halved = halves_its_loss(model, LEARNING_RATES[request.param])
    return Trained(request.param, model, halved, in_use(model, two_digits()[0]))


def in_use(model, images):
    with tg.no_grad():
        return model.eval()(images).data


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape)


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("alexnet", {}, 61_100_840),
        ("convnext_tiny", {}, 28_589_128),
        ("efficientnet_lite0", {}, 4_652_008),
        ("efficientnet_lite0", {"squeeze_excite": True}, 5_288_548),  # EfficientNet-B0's
        ("lenet5", {}, 61_706),
        ("resnet18", {}, 11_689_512),
        ("vgg16", {}, 138_357_544),
    ],
)
def test_it_has_as_many_parameters_as_published(name, options, published):
    model = nn.zoo.create(name, **options, dtype=np.float16, rng=Zeros())
    assert sum(p.size for p in model.parameters()) == published


@pytest.mark.parametrize("name", LEARNING_RATES)
@settings(max_examples=3)
@given(st.sampled_from([8, 12, 28, 32]), st.integers(1, 3))
def test_images_of_every_size_give_a_logit_for_each_class(name, size, channels):
    model = nn.zoo.create(name, in_channels=channels, num_classes=7, image_size=size, rng=Zeros())
    logits = in_use(model, np.ones((1, channels, size, size), np.float32))
    assert logits.shape == (1, 7)
    assert logits.dtype == np.float32


@pytest.mark.parametrize("name", ["alexnet", "baseline_cnn", "lenet5"])
@settings(max_examples=10)
@given(st.integers(8, 70))
def test_sizes_between_do_as_well(name, size):  # where edges are lost on the way
    model = nn.zoo.create(name, in_channels=1, image_size=size, num_classes=2, rng=Zeros())
    assert in_use(model, np.ones((1, 1, size, size), np.float32)).shape == (1, 2)


def test_a_model_with_a_global_pool_takes_images_that_are_no_squares():
    model = nn.zoo.ResNet18(num_classes=2, rng=Zeros())
    assert model(np.ones((2, 3, 40, 56), np.float32)).shape == (2, 2)


def test_training_halves_its_loss(trained):
    assert trained.halved


def test_in_use_it_depends_neither_on_chance_nor_on_the_rest_of_the_batch(trained):
    images, _ = two_digits()
    alone, again = (in_use(trained.model, images[1:]) for _ in range(2))
    np.testing.assert_array_equal(alone, again)
    np.testing.assert_allclose(alone, trained.logits[1:], rtol=1e-4, atol=1e-4)


def test_its_state_dict_makes_another_compute_the_same(trained):
    other = make(trained.name, rng=Zeros())
    other.load_state_dict(trained.model.state_dict())
    np.testing.assert_array_equal(in_use(other, two_digits()[0]), trained.logits)


def test_efficientnet_trains_with_squeeze_and_excitation_too():
    nn.manual_seed(0)
    model = make("efficientnet_lite0", squeeze_excite=True)
    excite = model.stages[3][1].squeeze_excite.excite
    before = excite.weight.data.copy()
    assert halves_its_loss(model, LEARNING_RATES["efficientnet_lite0"])
    assert not np.array_equal(excite.weight.data, before)


# Of four channels.
BLOCKS = {
    "basic": lambda: nn.zoo.BasicBlock(4, 4),
    "basic, smaller and wider": lambda: nn.zoo.BasicBlock(4, 5, stride=2),
    "inverted residual": lambda: nn.zoo.InvertedResidual(4, 4, expansion=2, drop_path=0.4),
    "inverted residual, smaller": lambda: nn.zoo.InvertedResidual(4, 3, 5, 2, expansion=1),
    "inverted residual with squeeze and excitation": lambda: nn.zoo.InvertedResidual(
        4, 4, expansion=2, squeeze_excite=True
    ),
    "convnext": lambda: nn.zoo.ConvNeXtBlock(4, drop_path=0.4),
}


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", BLOCKS)
def test_the_gradients_of_a_block_are_those_of_finite_differences(name, training):
    nn.manual_seed(0)
    block = BLOCKS[name]().to(np.float64)
    for parameter in block.parameters():  # away from the zeros and ones that they start from
        parameter.data += 0.1 * normal(*parameter.shape)
    x = Tensor(normal(3, 4, 4, 3), requires_grad=True)
    block(x)  # so that running statistics have run
    block.train(training)

    def output(*_):
        nn.manual_seed(1)
        return block(x)

    gradcheck(output, x, *block.parameters())


def test_without_its_skip_a_block_passes_on_what_its_branch_does_and_no_more():
    model = nn.zoo.ResNet18(image_size=8, rng=Zeros()).eval()  # of branches that give 0
    block, x = model.layer1[0], normal(2, 64, 4, 4)
    np.testing.assert_array_equal(block(x).data, np.maximum(x, 0))
    block.skip = False
    assert not block(x).data.any()
    assert "skip=False" in repr(model)


def test_a_new_convnext_block_changes_next_to_nothing():
    x = normal(2, 6, 4, 4)
    np.testing.assert_allclose(nn.zoo.ConvNeXtBlock(6)(x).data, x, atol=1e-4)


@pytest.mark.parametrize(("name", "most"), [("efficientnet_lite0", 0.3), ("convnext_tiny", 0.3)])
def test_branches_are_dropped_the_likelier_the_deeper_they_are(name, most):
    model = nn.zoo.create(name, drop_path=most, rng=Zeros())
    rates = [m.p for m in model.modules() if isinstance(m, nn.DropPath)]
    np.testing.assert_allclose(rates, np.linspace(0, most, len(rates)))


def test_weights_start_at_the_scale_of_the_papers():
    resnet = nn.zoo.ResNet18(image_size=8, rng=np.random.default_rng(0))
    convnext = nn.zoo.ConvNeXtTiny(image_size=8, rng=np.random.default_rng(0))
    # 300,000 draws and more: standard errors below 0.2 %.
    he = math.sqrt(2 / (3 * 3 * 512))
    assert resnet.layer4[1].conv1.weight.data.std() == pytest.approx(he, rel=0.01)
    assert convnext.stages[2][0].pwconv1.weight.data.std() == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("alexnet", {"features.10.weight", "classifier.6.bias"}),
        ("vgg16", {"features.28.weight", "classifier.3.weight"}),
        ("resnet18", {"layer1.0.conv1.weight", "layer2.0.downsample.1.running_mean", "fc.bias"}),
        ("convnext_tiny", {"downsample_layers.3.1.weight", "stages.2.8.gamma", "head.weight"}),
    ],
)
def test_parameters_have_the_paths_of_published_weights(name, paths):
    assert paths <= set(make(name, rng=Zeros()).state_dict())
