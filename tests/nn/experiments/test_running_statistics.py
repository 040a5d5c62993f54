"""What batch norms remember, against the rule they follow."""

import numpy as np
import pytest

import nn
from nn.experiments.samples import rows


def model_of(momentum):
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Flatten(),
        nn.BatchNorm1d(64, momentum=momentum),
        nn.Linear(64, 10, rng=rng),
    )


@pytest.mark.parametrize("momentum", [0.1, 0.5])
def test_the_running_statistics_follow_the_recurrence(momentum):
    (log,) = nn.experiments.running_statistics(model_of(momentum), samples=96).norms
    mean, var = np.zeros(64), np.ones(64)
    assert len(log.batch_mean) == 3
    for step in range(3):
        mean = (1 - momentum) * mean + momentum * log.batch_mean[step]
        var = (1 - momentum) * var + momentum * log.batch_var[step]
        np.testing.assert_allclose(log.running_mean[step], mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(log.running_var[step], var, rtol=1e-4, atol=1e-6)


def test_without_momentum_they_are_the_mean_over_all_batches():
    (log,) = nn.experiments.running_statistics(model_of(None), samples=128).norms
    np.testing.assert_allclose(log.running_mean[-1], log.batch_mean.mean(0), atol=1e-6)
    np.testing.assert_allclose(log.running_var[-1], log.batch_var.mean(0), rtol=1e-4, atol=1e-6)


def test_the_true_statistics_are_those_of_the_samples_of_the_batch():
    data = rows("digits")
    few = nn.data.Subset(data, range(40))
    (log,) = nn.experiments.running_statistics(model_of(0.1), few, batch_size=40).norms
    np.testing.assert_allclose(log.batch_mean[0], few.inputs.mean(0), atol=1e-6)
    np.testing.assert_allclose(log.batch_var[0], few.inputs.var(0, ddof=1), atol=1e-6)


def test_every_batch_norm_of_the_default_model_is_logged_at_every_step_of_every_epoch():
    found = nn.experiments.running_statistics(samples=64, epochs=2, batch_size=16)
    assert [(log.path, log.running_var.shape) for log in found.norms] == [
        ("bn1", (8, 16)),
        ("bn2", (8, 32)),
    ]
    means = [log.running_mean[-1].mean() for log in found.norms]
    assert all(f"{mean:.5f}" in str(found) for mean in means)


def test_the_same_seed_logs_the_same_and_another_does_not():
    a, again, b = (
        str(nn.experiments.running_statistics(samples=32, seed=seed)) for seed in (1, 1, 2)
    )
    assert a == again != b


def test_a_model_without_batch_norms_is_refused():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, track_running_stats=False))
    with pytest.raises(nn.ConfigurationError, match="no batch norm"):
        nn.experiments.running_statistics(model)
