"""The rule by which architectures for large photographs fit small images."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn
from nn.zoo.small_images import fitted_strides

STRIDES = st.lists(st.sampled_from([1, 2, 4]), min_size=1, max_size=6)


@given(st.integers(8, 500), STRIDES)
def test_at_least_2x2_places_are_left_and_no_stride_is_halved_without_need(size, published):
    fitted = fitted_strides("model", size, *published)
    assert size // math.prod(fitted) >= 2
    assert fitted == tuple(published) or size // (2 * math.prod(fitted)) < 2


@given(st.integers(8, 500), STRIDES)
def test_it_is_the_first_strides_that_are_halved(size, published):
    fitted = fitted_strides("model", size, *published)
    changed = [i for i, (a, b) in enumerate(zip(fitted, published, strict=True)) if a < b]
    assert all(stride == 1 for stride in fitted[: max(changed, default=0)])


def test_images_of_less_than_8x8_are_refused():
    with pytest.raises(nn.ConfigurationError, match=r"VGG16 takes .* 8x8 pixels up.* image_size=7"):
        nn.zoo.VGG16(image_size=7)
    with pytest.raises(nn.ConfigurationError, match="LeNet5's image_size must be a positive int"):
        nn.zoo.LeNet5(image_size=(28, 28))
