"""The plain feed-forward network, of rows and of images."""

import numpy as np
import pytest

import nn


@pytest.mark.parametrize("shape", [(1, 8, 8), [3, 4], (5,)])
def test_of_a_shape_it_flattens_first_and_is_else_the_network_of_that_width(shape):
    width = int(np.prod(shape))
    images = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    of_rows = nn.zoo.feedforward([width, 7, 3], dropout=0.5).eval()
    of_images = nn.zoo.feedforward([shape, 7, 3], dropout=0.5).eval()
    of_images.load_state_dict(of_rows.state_dict())
    names = [name for name, _ in of_images.named_children()]
    assert names == ["flatten", "linear1", "relu1", "dropout1", "linear2"]
    rows = of_rows(images.reshape(6, width))
    np.testing.assert_array_equal(of_images(images).data, rows.data)


def test_it_learns_the_digits_as_they_come():
    digits = nn.data.digits()
    nn.manual_seed(0)
    model = nn.zoo.feedforward([digits.inputs.shape[1:], 32, 10])
    trainer = nn.training.Trainer(model, nn.optim.AdamW(model.parameters(), lr=0.01))
    trainer.fit(digits, epochs=3)
    assert nn.training.evaluate(model, digits)["accuracy"] > 0.9


@pytest.mark.parametrize("sizes", [[], [4], [(0, 8), 2], [(1.5, 2), 2], [4, (2, 2), 3]])
def test_sizes_of_no_network_are_refused(sizes):
    with pytest.raises(nn.ConfigurationError):
        nn.zoo.feedforward(sizes)
