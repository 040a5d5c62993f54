"""summary: shapes, counts and bytes, against arithmetic by hand."""

import numpy as np

import nn
import tinygrad_edu as tg


def model():
    return nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 2), nn.Dropout()))


def test_it_counts_what_a_forward_pass_costs():
    summary = model().summary((5, 6))
    assert [row.path for row in summary.rows] == ["", "0", "1", "2", "2.0", "2.1"]
    assert [row.output_shapes for row in summary.rows[1:3]] == [((5, 4),), ((5, 4),)]
    assert [row.parameters for row in summary.rows] == [0, 28, 0, 0, 10, 0]
    assert summary.parameters == summary.trainable == 38
    assert summary.multiply_adds == 5 * (6 * 4 + 4 * 2)
    assert summary.memory == 4 * 5 * (4 + 4 + 2)  # in eval mode dropout makes nothing
    assert summary.parameter_memory == 4 * 38


def test_a_frozen_part_is_counted_apart():
    frozen = model()
    frozen[0].freeze()
    summary = frozen.summary((5, 6))
    assert (summary.parameters, summary.trainable) == (38, 10)
    assert summary.multiply_adds == 5 * (6 * 4 + 4 * 2)
    assert "28 parameters are frozen" in str(summary)


def test_nothing_of_the_model_changes():
    net = model()
    before = net.state_dict()
    with tg.no_grad():
        net.summary((5, 6))
    assert all(module.training for module in net.modules())
    assert all(module._hooks is None or not module._hooks.after for module in net.modules())
    assert all(np.array_equal(before[k], v) for k, v in net.state_dict().items())


def test_neurons_of_values_are_counted_too():
    summary = nn.MLP(2, [3, 1]).summary((2,))
    assert summary.parameters == 13
    assert summary.multiply_adds == 2 * 3 + 3


def test_the_printout_is_a_table_with_totals():
    *_, total, memory = str(model().summary((5, 6))).splitlines()
    assert total.split() == ["total", "38", "160", "200", "B"]
    assert memory == "152 B of parameters and buffers"


def test_a_view_takes_no_memory():
    summary = nn.Sequential(nn.ReLU(), nn.Flatten()).summary((2, 3, 4))
    assert [row.memory for row in summary.rows] == [0, 4 * 24, 0]
