"""The two tiers side by side."""

import numpy as np
import pytest

import nn


def test_both_tiers_have_the_loss_of_the_formula_and_the_same_gradients():
    found = nn.experiments.scalar_versus_vectorised((3, 4, 2), samples=8, rounds=1, seed=5)
    rng = np.random.default_rng(5)
    model = nn.MLP(3, [4, 2], "tanh", rng=rng).to_tensor()
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(8, 2))
    hidden = np.tanh(x @ model[0].weight.data.T + model[0].bias.data)
    loss = ((hidden @ model[2].weight.data.T + model[2].bias.data - y) ** 2).mean()
    assert found.scalar.loss == pytest.approx(loss, rel=1e-12)
    assert found.vectorised.loss == pytest.approx(loss, rel=1e-12)
    assert found.largest_difference < 1e-12
    assert found.parameters == 3 * 4 + 4 + 4 * 2 + 2


def test_the_difference_is_seen_where_there_is_one(monkeypatch):
    to_tensor = nn.MLP.to_tensor

    def another_model(self):
        model = to_tensor(self)
        model[-1].bias.data += 1.0
        return model

    monkeypatch.setattr(nn.MLP, "to_tensor", another_model)
    found = nn.experiments.scalar_versus_vectorised((2, 2, 1), samples=4, rounds=1)
    # ∂L/∂b of the last layer is the mean of 2 (output - y), and the output is larger by 1.
    assert found.largest_difference >= 2 - 1e-9


def test_the_ratios_are_those_of_the_times_and_stand_in_the_table():
    found = nn.experiments.scalar_versus_vectorised((2, 8, 1), samples=30, rounds=3)
    assert found.forward_ratio == found.scalar.forward_seconds / found.vectorised.forward_seconds
    assert found.forward_ratio > 1
    assert found.backward_ratio > 1
    assert f"{found.forward_ratio:,.0f}x" in str(found)


@pytest.mark.parametrize("options", [{"sizes": (2,)}, {"samples": 0}, {"rounds": 0}])
def test_what_cannot_be_measured_is_refused(options):
    with pytest.raises(nn.ConfigurationError, match="at least 1 sample"):
        nn.experiments.scalar_versus_vectorised(**options)
