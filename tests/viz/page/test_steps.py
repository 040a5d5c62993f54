"""The steps of the backward pass are the engine's own: same order, same sums."""

import numpy as np
import pytest
from hypothesis import given

import tinygrad_edu as tg
from tests.viz.graphs import expressions
from tinygrad_edu import Tensor, Value
from viz.page.steps import backward_steps


@given(expressions())
def test_the_shares_of_a_node_add_up_to_its_gradient_to_the_last_bit(root):
    found = tg.gradients(root)
    totals = {root: 1.0}
    for node, g, shares in backward_steps(root, found):
        assert g == totals[node]
        for each in shares:
            assert each.x is node.inputs[each.position]
            totals[each.x] = each.total
    assert totals == found


@given(expressions())
def test_they_come_in_reverse_topological_order_where_a_gradient_arrives(root):
    found = tg.gradients(root)
    order = [node for node in tg.topological_order(root) if node in found and not node.is_leaf]
    steps = [node for node, _, _ in backward_steps(root, found)]
    assert list(map(id, steps)) == list(map(id, order[::-1]))  # Values compare by their data


def test_an_operand_that_stands_at_two_positions_gets_two_shares():
    x = Value(3.0)
    y = x * x
    [(_, _, shares)] = backward_steps(y, tg.gradients(y))
    found = [(each.position, each.share, each.total) for each in shares]
    assert found == [(0, 3.0, 3.0), (1, 3.0, 6.0)]


def test_a_share_of_a_tensor_has_its_shape_where_it_was_broadcast():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    b = Tensor(np.ones(3), requires_grad=True)
    loss = (x * b).sum()
    found = tg.gradients(loss)
    shares = [each for _, _, step in backward_steps(loss, found) for each in step]
    [of_b] = [each for each in shares if each.x is b]
    np.testing.assert_array_equal(of_b.share, found[b])
    assert of_b.share.shape == (3,)


def test_fused_ops_are_stepped_through_with_what_their_forward_saved():
    x = Tensor(np.random.default_rng(0).normal(size=(4, 3)), requires_grad=True)
    loss = tg.cross_entropy(tg.layer_norm(x, 3), np.array([0, 1, 2, 0]))
    found = tg.gradients(loss)
    last = {each.x: each.total for _, _, step in backward_steps(loss, found) for each in step}
    np.testing.assert_allclose(last[x], found[x], rtol=1e-12)


def test_nothing_of_the_graph_is_changed():
    x = Value(0.5)
    y = (x * x).tanh()
    list(backward_steps(y, tg.gradients(y)))
    assert x.grad == y.grad == 0
    y.backward()
    assert x.grad == pytest.approx(2 * 0.5 * (1 - y.data**2))
