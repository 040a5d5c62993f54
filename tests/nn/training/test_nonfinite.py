"""Training that meets a nan or an infinity: it stops before the step, and says whence it came."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
import viz
from nn.optim import LBFGS, SGD, AdamW
from nn.training import Checkpoint, EarlyStopping, Trainer
from tests.nn.training.runs import assert_same, everything, model_of_all_sorts

STEPS = 5  # in an epoch


class Spoil(nn.training.Callback):
    """Before the step after ``at``, do something bad; and keep what there was, but for that."""

    def __init__(self, at, spoil=None):
        self.at, self.spoil = at, spoil

    def on_step(self, trainer):
        if trainer.steps == self.at:
            if self.spoil is not None:
                self.spoil(trainer.model)
            self.kept = everything(trainer)


class Faulty(nn.Module):
    """The identity, until ``broken`` is set; then its forward or its backward is not finite."""

    broken = ""

    def forward(self, x):
        if self.broken == "forward":
            return x + tg.log(x.detach() * 0)
        if self.broken == "backward":
            return x + tg.sqrt(x * 0)  # √0 = 0, whose derivative is infinite
        return x


def model_with_a_fault():
    return nn.Sequential(model_of_all_sorts(), Faulty(), nn.Linear(2, 2))


def data(n=40):
    return nn.data.TensorDataset(
        *(a[:n].copy() for a in (nn.data.xor(n).inputs, nn.data.xor(n).targets))
    )


def fails(model, spoil=None, at=7, dataset=None, callbacks=(), optimizer=SGD, **options):
    """The error that training ends with, after it left all as it was before the step."""
    nn.manual_seed(0)
    watch = Spoil(at, spoil)
    trainer = Trainer(
        model, optimizer(model.parameters()), callbacks=[*callbacks, watch], **options
    )
    loader = nn.data.DataLoader(dataset or data(), 8)
    with np.errstate(all="ignore"), pytest.raises(nn.TrainingError) as caught:
        trainer.fit(loader, epochs=3)
    assert trainer.steps == at
    if not any(isinstance(each, EarlyStopping) for each in callbacks):
        assert_same(everything(trainer), watch.kept)
    return caught.value


def broken(how):
    def spoil(model):
        model[1].broken = how

    return spoil


def test_a_module_whose_output_is_not_finite_is_named():
    error = fails(model_with_a_fault(), broken("forward"))
    # 7 steps: an epoch of 5, and 2 of 8 samples each; the next batch has been looked at.
    assert str(error).startswith("the loss is nan after")
    assert "of epoch 2" in str(error)
    assert "log in 1" in str(error)
    assert "test_nonfinite.py" in str(error)
    viz.draw(error.graph)


def test_a_module_whose_gradient_is_not_finite_while_the_loss_is_is_named():
    error = fails(model_with_a_fault(), broken("backward"))
    assert "the gradient of" in str(error)
    assert "the backward of sqrt in 1" in str(error)
    viz.draw(error.graph)


@pytest.mark.parametrize("optimizer", [AdamW, LBFGS, lambda p: nn.optim.Lookahead(SGD(p), k=2)])
def test_whatever_the_optimizer_nothing_is_changed_by_the_step(optimizer):
    fails(model_with_a_fault(), broken("forward"), optimizer=optimizer)


@pytest.mark.parametrize("how", ["forward", "backward"])
def test_of_several_batches_in_a_step_none_leaves_a_trace(how):
    error = fails(model_with_a_fault(), broken(how), at=3, accumulate=3)
    assert f"{'log' if how == 'forward' else 'sqrt'} in 1" in str(error)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_not_finite_is_named(bad):
    dataset = data()
    dataset.arrays[0][8 * 3 + 5, 1] = bad
    error = fails(model_of_all_sorts(), at=3, dataset=dataset)
    assert f"the input of sample 5 of the batch holds {bad}" in str(error)


def test_a_sample_in_a_later_batch_of_a_step_is_named():
    dataset = data()
    dataset.arrays[0][8 * 3 + 5, 1] = np.nan
    error = fails(model_of_all_sorts(), at=1, dataset=dataset, accumulate=2)
    assert "the input of sample 5 of batch 1 of the step holds nan" in str(error)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_parameter_that_is_not_finite_is_named(bad):
    def spoil(model):
        model[4].weight.data[1, 2] = bad

    assert "4.weight holds a number that is not finite" in str(fails(model_of_all_sorts(), spoil))


def test_a_buffer_that_is_nan_is_named():
    class Scaled(nn.Module):
        def __init__(self):
            self.register_buffer("scale", np.ones(2, np.float32))
            self.register_buffer("mask", np.array([0, -np.inf], np.float32))  # which may be meant

        def forward(self, x):
            return x * self.scale

    def spoil(model):
        model[1].scale = np.array([1, np.nan], np.float32)

    model = nn.Sequential(nn.Linear(2, 2), Scaled())
    assert "1.scale holds nan" in str(fails(model, spoil))


def test_the_rates_that_could_help_are_told():
    assert "smaller learning rate than 0.001" in str(
        fails(model_with_a_fault(), broken("forward"), optimizer=SGD)
    )


def test_the_last_good_checkpoint_stays_byte_for_byte(tmp_path):
    path = tmp_path / "run.safetensors"

    class Keep(nn.training.Callback):
        def on_epoch_over(self, trainer):
            self.kept = path.read_bytes()

    keep = Keep()
    fails(model_with_a_fault(), broken("forward"), callbacks=[Checkpoint(path), keep])
    assert path.read_bytes() == keep.kept
    assert len(nn.training.read_checkpoint(path)["history"]) == 1


def test_a_step_that_makes_a_weight_infinite_is_found_before_it_is_saved(tmp_path):
    class Explode(nn.training.Callback):
        def on_step(self, trainer):
            if trainer.steps == 2 * STEPS:  # the last step of an epoch: no loss will tell
                trainer.model[0].weight.data[0, 0] = np.inf

    model, path = model_of_all_sorts(), tmp_path / "run.safetensors"
    callbacks = [Explode(), Checkpoint(path)]
    trainer = Trainer(model, SGD(model.parameters()), callbacks=callbacks)
    with pytest.raises(nn.TrainingError, match=r"0\.weight holds .* after epoch 2"):
        trainer.fit(nn.data.DataLoader(data(), 8), epochs=3)
    assert len(nn.training.read_checkpoint(path)["history"]) == len(trainer.history) == 1


def test_early_stopping_gives_the_best_weights_back_when_training_fails():
    class Best(nn.training.Callback):
        def on_epoch_end(self, trainer, row):
            row["train_loss"] = 1.0  # never better than the first
            self.first = getattr(self, "first", trainer.model.state_dict())

    best, model = Best(), model_with_a_fault()
    callbacks = [best, EarlyStopping(5, "train_loss")]
    fails(model, broken("forward"), at=12, callbacks=callbacks)
    assert_same(model.state_dict(), best.first)


def test_a_gradient_of_what_the_optimizer_does_not_change_does_not_grow():
    body, head = nn.Linear(2, 3), nn.Linear(3, 2)
    model = nn.Sequential(body, head)
    Trainer(model, SGD(head.parameters(), lr=0.0)).fit(nn.data.DataLoader(data(), 40), epochs=1)
    once = body.weight.grad.copy()
    Trainer(model, SGD(head.parameters(), lr=0.0)).fit(nn.data.DataLoader(data(), 40), epochs=3)
    np.testing.assert_array_equal(body.weight.grad, once)
