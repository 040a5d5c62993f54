"""How much memory a training step holds at its peak, counted by tracemalloc."""

import tracemalloc

import numpy as np
import pytest

import nn
import tinygrad_edu as tg


def step(model, x, target):
    loss = tg.cross_entropy(model(x), target)
    loss.backward(retain_graph=False)


@pytest.mark.parametrize("sizes", [(32, 256, 256, 256, 10), (64, 128, 512, 16, 10)])
def test_a_step_needs_little_more_than_its_activations_and_live_gradients(sizes):
    batch = 2048
    model = nn.zoo.feedforward(sizes)
    x, target = np.ones((batch, sizes[0]), np.float32), np.zeros(batch, int)
    step(model, x, target)  # what is allocated once, is
    model.zero_grad()
    loss = tg.cross_entropy(model(x), target)
    made = [node for node in tg.topological_order(loss) if not node.is_leaf]
    kept = [*(node.data for node in made), *loss.saved]
    activations = sum(array.nbytes for array in kept)
    # Backward is at its peak when it has the gradients by two neighbours, of the widest layer.
    gradients = 2 * 4 * batch * max(sizes) + sum(p.data.nbytes for p in model.parameters())
    del loss, made
    tracemalloc.start()
    step(model, x, target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * (activations + gradients)
