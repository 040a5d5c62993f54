"""Clipping, weight decay and optimizers: short trainings of a feed-forward network."""

import math

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.experiments.samples import rows, some


def test_clipped_norms_are_the_smaller_of_the_norm_and_the_limit():
    log = nn.experiments.clipping(1.2, samples=320, epochs=2)
    before, after = np.array(log.before), np.array(log.after)
    np.testing.assert_allclose(after, np.minimum(before, 1.2), rtol=1e-5)
    assert (after <= 1.2).all()
    assert log.fired == (before > 1.2).sum()
    assert 0 < log.fired < len(before) == len(log.losses) == 20


def test_the_first_norm_before_clipping_is_that_of_the_first_batch():
    log = nn.experiments.clipping(0.1, hidden=[8], samples=32, epochs=1, seed=4)
    model = nn.zoo.feedforward([64, 8, 10], rng=np.random.default_rng(4))
    digits = rows("digits")
    few = some(digits, 32, seed=4)
    loss = tg.cross_entropy(model(tg.Tensor(few.inputs)), few.targets)
    loss.backward()
    norm = math.sqrt(sum((p.grad**2).sum() for p in model.parameters()))
    assert log.before[0] == pytest.approx(norm, rel=1e-5)
    assert log.losses[0] == pytest.approx(loss.item(), rel=1e-5)


def test_the_table_of_clipping_ends_with_the_last_step():
    log = nn.experiments.clipping(samples=1000, epochs=1)
    lines = str(log).splitlines()
    assert lines[-2].split() == [
        "32",
        *(f"{x[-1]:.4f}" for x in (log.losses, log.before, log.after)),
    ]
    assert lines[-1] == f"clipped to 1.5 in {log.fired} of 32 steps"


def test_the_histograms_count_every_weight_of_the_untrained_network_and_of_the_trained_ones():
    found = nn.experiments.weight_decay((0.0, 2.0), hidden=[16], samples=160, epochs=1, seed=3)
    model = nn.zoo.feedforward([64, 16, 10], rng=np.random.default_rng(3))
    weights = np.concatenate([model[i].weight.data.ravel() for i in (0, 2)])
    before, *after = found.histograms
    np.testing.assert_array_equal(before.counts, np.histogram(weights, found.edges)[0])
    assert before.norm == pytest.approx(np.linalg.norm(weights), rel=1e-6)
    assert [sum(h.counts) for h in after] == [weights.size] * 2  # no weight is outside the edges
    for h in found.histograms:
        assert h.norm == pytest.approx(math.hypot(*h.layer_norms))


def test_weight_decay_pulls_the_weights_towards_zero_and_without_it_they_grow():
    found = nn.experiments.weight_decay((0.0, 1.0, 10.0), samples=320, epochs=3)
    before, free, some, much = (h.norm for h in found.histograms)
    assert much < some < before < free


def test_where_nothing_is_learned_weight_decay_is_a_power():
    # With one class the gradient is 0, and AdamW multiplies by 1 - lr * weight_decay each step.
    data = nn.data.TensorDataset(np.ones((40, 3), np.float32), np.zeros(40, int), classes=("a",))
    found = nn.experiments.weight_decay(
        (0.5,), data, epochs=2, hidden=[4], lr=0.1, held_out=8, batch_size=8
    )
    before, after = (h.norm for h in found.histograms)
    assert after == pytest.approx(before * 0.95**8, rel=1e-5)


def test_each_cell_is_a_training_of_its_own():
    table = nn.experiments.optimizers_by_learning_rate(
        ["sgd", "adam"], [0.01, 0.1], epochs=2, samples=320, held_out=100
    )
    alone = nn.experiments.optimizers_by_learning_rate(
        ["adam"], [0.01], epochs=2, samples=320, held_out=100
    )
    assert table.cells[1][0] == alone.cells[0][0]
    assert [[(c.optimizer, c.lr) for c in row] for row in table.cells] == [
        [("sgd", 0.01), ("sgd", 0.1)],
        [("adam", 0.01), ("adam", 0.1)],
    ]


def test_a_cell_is_the_accuracy_and_loss_that_training_ends_with():
    (cell,) = nn.experiments.optimizers_by_learning_rate(
        ["adam"], [0.01], "xor", epochs=3, hidden=[8], held_out=40, seed=2
    ).cells[0]
    train, held_out = nn.data.random_split(nn.data.xor(), [160, 40], seed=2)
    model = nn.zoo.feedforward([2, 8, 2], rng=np.random.default_rng(2))
    trainer = nn.training.Trainer(model, nn.optim.Adam(model.parameters(), lr=0.01))
    batches = nn.data.DataLoader(train, 32, shuffle=True, seed=2)
    row = trainer.fit(batches, held_out, epochs=3)[-1]
    assert cell[2:4] == (row["validation_accuracy"], row["validation_loss"])


def test_a_diverged_cell_says_so_and_the_others_go_on():
    found = nn.experiments.optimizers_by_learning_rate(
        ["sgd"], [1e12, 0.1], epochs=2, samples=320, held_out=100
    )
    bad, good = found.cells[0]
    assert (bad.diverged, good.diverged) == (True, False)
    assert "diverged / nan" in str(found)
    assert f"{good.accuracy:.1%} / {good.loss:.3g}" in str(found)
    assert found.best == good


def test_a_loss_above_that_of_the_initial_weights_is_divergence_too():
    (cell,) = nn.experiments.optimizers_by_learning_rate(
        ["adam"], [100.0], epochs=1, samples=320, held_out=100
    ).cells[0]
    assert math.isfinite(cell.loss)
    assert cell.loss > math.log(10)
    assert cell.diverged


def test_progress_rises_to_one_over_all_trainings():
    told = []
    nn.experiments.optimizers_by_learning_rate(
        ["sgd"], [0.1, 0.01], "xor", 1, held_out=136, progress=lambda *facts: told.append(facts)
    )
    assert [share for _, share in told] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert [what for what, _ in told] == ["sgd, lr 0.1"] * 2 + ["sgd, lr 0.01"] * 2


@pytest.mark.parametrize("held_out", [0, 200])
def test_a_part_that_would_be_empty_is_refused(held_out):
    with pytest.raises(nn.ConfigurationError, match="from 1 to 199"):
        nn.experiments.optimizers_by_learning_rate(data="xor", held_out=held_out)


def test_more_samples_than_there_are_is_refused():
    with pytest.raises(nn.ConfigurationError, match="samples=161"):
        nn.experiments.weight_decay(data="xor", samples=161, held_out=40)


def test_wrong_options_are_found_before_anything_is_trained():
    def never(what, share):
        raise AssertionError(what)

    with pytest.raises(tg.UnknownNameError, match="unknown optimizer 'adamv'"):
        nn.experiments.optimizers_by_learning_rate(["sgd", "adamv"], progress=never)
    with pytest.raises(nn.ConfigurationError, match="lr"):
        nn.experiments.optimizers_by_learning_rate(["sgd"], [0.1, -1.0], progress=never)
    with pytest.raises(nn.ConfigurationError, match="at least one weight decay"):
        nn.experiments.weight_decay((), progress=never)


def test_targets_that_are_no_classes_are_refused():
    data = nn.data.TensorDataset(np.ones((4, 2)), np.ones(4), name="heights")
    with pytest.raises(nn.ConfigurationError, match="'heights' has no classes"):
        nn.experiments.clipping(data=data)
