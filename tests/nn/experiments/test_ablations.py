"""A model with and without one thing; and the table of the zoo."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.experiments.samples import images, rows, some, split
from nn.experiments.without_squeeze_excite import PAIRS

TINY = {"epochs": 1, "samples": 16, "held_out": 10, "batch_size": 16}


@pytest.fixture(scope="module")
def skips():
    return nn.experiments.without_skip("layer3.1", **TINY, seed=1)


def trained_by_hand(model, epochs=1):
    """The row that training on the experiment's samples of seed 1 ends with."""
    data = images("digits")
    train, held_out = split(data, 16, 10, seed=1)
    trainer = nn.training.Trainer(model, nn.optim.AdamW(model.parameters(), lr=1e-3))
    batches = nn.data.DataLoader(train, 16, shuffle=True, seed=1)
    return trainer.fit(batches, held_out, epochs)[-1]


def test_one_curve_is_of_all_skips_and_one_lacks_the_one_that_is_named(skips):
    for curve, skip in ((skips.plain, True), (skips.without, False)):
        rng = np.random.default_rng(1)
        model = nn.zoo.ResNet18(in_channels=1, num_classes=10, image_size=8, rng=rng)
        model.layer3[1].skip = skip
        row = trained_by_hand(model)
        assert curve.train_loss == (row["train_loss"],)
        assert curve.validation_loss == (row["validation_loss"],)
        assert curve.validation_accuracy == (row["validation_accuracy"],)
    assert skips.plain.train_loss != skips.without.train_loss


def test_the_table_has_a_row_for_each_model_in_each_epoch(skips):
    lines = str(skips).splitlines()
    assert lines[0].split()[:2] == ["epoch", "model"]
    assert lines[2].startswith("1      all skips ")
    assert lines[3].startswith("1      without that of layer3.1 ")


def test_a_path_of_no_block_is_refused_with_those_there_are():
    with pytest.raises(tg.UnknownNameError, match=r"Known: layer1\.0, layer1\.1, layer2\.0"):
        nn.experiments.without_skip("layer1")


@pytest.mark.parametrize("model", ["baseline_cnn", "efficientnet_lite0"])
def test_squeeze_and_excitation_is_all_that_the_models_differ_in(model):
    weighted, plain = PAIRS[model]({"in_channels": 1, "num_classes": 10, "image_size": 8}, 0)
    blocks = [m for m in weighted.modules() if isinstance(m, nn.SqueezeExcite)]
    assert len(blocks) == {"baseline_cnn": 2, "efficientnet_lite0": 16}[model]
    own = {id(p) for block in blocks for p in block.parameters()}
    shared = [p for p in weighted.parameters() if id(p) not in own]
    for a, b in zip(shared, plain.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)
    for block in blocks:  # factors of 1
        block.excite.weight.data[...] = 0
        block.excite.bias.data[...] = 100
    x = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
    # In training mode: dropout is alike, too.
    np.testing.assert_allclose(weighted(x).data, plain(x).data, rtol=1e-4, atol=1e-5)


def test_the_baseline_learns_with_and_without_squeeze_and_excitation():
    found = nn.experiments.without_squeeze_excite(epochs=2, samples=480, held_out=100)
    for curve in (found.plain, found.without):
        assert curve.train_loss[1] < curve.train_loss[0]
        assert len(curve.validation_accuracy) == 2
    # Channels of 32 and 64, with W₁ of 1/16 of them and W₂: 2c²/16 weights, and biases.
    extra = sum(2 * c * c // 16 + c // 16 + c for c in (32, 64))
    assert found.plain.parameters - found.without.parameters == extra


def test_squeeze_and_excitation_is_only_of_models_that_are_known():
    with pytest.raises(tg.UnknownNameError, match="baseline_cnn, efficientnet_lite0"):
        nn.experiments.without_squeeze_excite("vgg16")


@pytest.fixture(scope="module")
def zoo():
    return nn.experiments.zoo_table(["lenet5", "feedforward", "baseline_cnn"], samples=320)


def test_the_zoos_sizes_are_those_of_the_layers_written_out(zoo):
    lenet, feedforward, baseline = zoo.rows
    assert feedforward.parameters == 65 * 128 + 129 * 10
    assert feedforward.multiply_adds == 64 * 128 + 128 * 10
    # 8x8 pixels for the first convolution, 4x4 for the second; 2x2 places of 64 channels are left.
    assert baseline.parameters == 32 * 10 + 64 * (32 * 9 + 1) + (4 * 64 + 1) * 128 + 129 * 10
    places = 8 * 8 * 32 * 9 + 4 * 4 * 64 * 32 * 9
    assert baseline.multiply_adds == places + 4 * 64 * 128 + 128 * 10
    assert lenet.parameters == sum(p.size for p in nn.zoo.LeNet5(image_size=8).parameters())


def test_the_zoos_accuracies_are_those_of_the_trained_models(zoo):
    data = images("digits")
    rest, held_out = split(data, None, 100, seed=0)
    train = some(rest, 320, seed=0)
    model = nn.zoo.LeNet5(image_size=8, rng=np.random.default_rng(0))
    trainer = nn.training.Trainer(model, nn.optim.AdamW(model.parameters(), lr=1e-3))
    trainer.fit(nn.data.DataLoader(train, 32, shuffle=True), epochs=1)
    assert zoo.rows[0].accuracy == nn.training.evaluate(model, held_out)["accuracy"]
    assert all(row.seconds_per_epoch > 0 and row.samples == 320 for row in zoo.rows)


def test_the_zoos_table_is_the_same_for_the_same_seed_but_for_the_time(zoo):
    again = nn.experiments.zoo_table(["lenet5"], samples=320)
    assert again.rows[0]._replace(seconds_per_epoch=0) == zoo.rows[0]._replace(seconds_per_epoch=0)


def test_samples_can_be_chosen_by_name():
    found = nn.experiments.zoo_table(["lenet5", "feedforward"], samples={"lenet5": 32}, epochs=1)
    assert [row.samples for row in found.rows] == [32, 1697]


def test_a_model_that_fails_is_named(monkeypatch):
    def no_memory(self, x):
        raise MemoryError

    monkeypatch.setattr(nn.zoo.LeNet5, "forward", no_memory)
    with pytest.raises(nn.TrainingError, match="lenet5, model 2 of 2, failed: there is not enough"):
        nn.experiments.zoo_table(["feedforward", "lenet5"], samples=32)


def test_what_cannot_be_in_the_zoos_table_is_said_before_anything_is_trained():
    def never(what, share):
        raise AssertionError(what)

    with pytest.raises(tg.UnknownNameError, match="Did you mean 'resnet18'"):
        nn.experiments.zoo_table(["lenet5", "resnet"], progress=never)
    with pytest.raises(nn.ConfigurationError, match="gpt reads tokens"):
        nn.experiments.zoo_table(["lenet5", "gpt"], progress=never)
    with pytest.raises(nn.ConfigurationError, match="at least one model"):
        nn.experiments.zoo_table([], progress=never)


def test_points_in_the_plane_are_no_images():
    with pytest.raises(nn.ConfigurationError, match=r"square images .* shape \(200, 2\)"):
        nn.experiments.zoo_table(["lenet5"], data="moons")


@pytest.mark.parametrize("shape", [(64,), (1, 8, 8)])
def test_rows_of_pixels_and_images_are_the_same_samples(shape):
    numbers = np.arange(3 * 64, dtype=np.float32)
    data = nn.data.TensorDataset(numbers.reshape(3, *shape), np.arange(3), classes="abc")
    np.testing.assert_array_equal(images(data).inputs, numbers.reshape(3, 1, 8, 8))
    np.testing.assert_array_equal(rows(data).inputs, numbers.reshape(3, 64))
