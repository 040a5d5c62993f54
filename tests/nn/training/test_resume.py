"""A run that is resumed ends bit for bit as one that never stopped, whatever it is made of."""

from functools import partial

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from nn.optim import EMA, LBFGS, SGD, AdamW, Clipping, Lookahead
from nn.training import Checkpoint, EarlyStopping, Trainer
from tests.nn.training.runs import assert_same, everything, jitter, model_of_all_sorts

EPOCHS = 5

OPTIMIZERS = {
    "SGD with momentum": partial(SGD, lr=0.1, momentum=0.9, nesterov=True),
    "AdamW": partial(AdamW, lr=0.02, amsgrad=True),
    "Lookahead": lambda params: Lookahead(AdamW(params, lr=0.02), k=3),
    "L-BFGS": partial(LBFGS, lr=0.1, max_iter=3),
    "a NumPy number for a learning rate": partial(SGD, lr=np.float64(0.1)),
}

# What changes the learning rate, and what goes with it.
SCHEDULES = {
    "none": lambda optimizer: {},
    "every epoch": lambda optimizer: {"schedule": nn.optim.StepLR(optimizer, 2, 0.5)},
    "every step": lambda optimizer: {
        "schedule": nn.optim.CosineAnnealingWarmRestarts(optimizer, 4),
        "schedule_per": "step",
    },
    "plateau": lambda optimizer: {
        "schedule": nn.optim.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
    },
    "one cycle": lambda optimizer: {
        "schedule": nn.optim.OneCycleLR(optimizer, 0.1, epochs=EPOCHS, steps_per_epoch=6),
        "schedule_per": "step",
    },
}

# What else a run can have.
EXTRAS = {
    "nothing": lambda model: {},
    "an average of the weights": lambda model: {"ema": EMA(model, 0.9)},
    "clipping": lambda model: {"clipping": Clipping(max_norm=0.1)},
    "accumulated gradients": lambda model: {"accumulate": 2},
    "early stopping": lambda model: {"callbacks": [EarlyStopping(2, "train_loss", min_delta=0.05)]},
    "a loss with an option": lambda model: {"loss": partial(tg.cross_entropy, label_smoothing=0.1)},
    "all of it": lambda model: {
        "ema": EMA(model, 0.9),
        "clipping": 0.5,
        "accumulate": 3,
        "callbacks": [EarlyStopping(3)],
    },
}


def run(path, epochs, seed, optimizer, schedule, extras, resume=None, **loader):
    """A run of which nothing but the file outlives the call; and what it came to."""
    nn.manual_seed(seed)
    model = model_of_all_sorts(seed=seed)
    stepper = OPTIMIZERS[optimizer](model.parameters())
    options = {**SCHEDULES[schedule](stepper), **EXTRAS[extras](model)}
    options["callbacks"] = [*options.get("callbacks", []), Checkpoint(path)]
    trainer = Trainer(model, stepper, **options)
    batches = nn.data.DataLoader(
        nn.data.xor(60), 8, **{"shuffle": True, "augment": jitter, **loader}
    )
    trainer.fit(batches, 0.2, epochs, resume)
    return everything(trainer), nn.random.generator().random(4)


def assert_resumes(folder, stop, **kind):
    wanted, drawn_then = run(folder / "whole.safetensors", EPOCHS, 1, **kind)
    run(folder / "run.safetensors", stop, 1, **kind)
    # Another seed: what is not in the file would be other weights, masks and random numbers.
    resume = folder / "run.safetensors"
    found, drawn_now = run(resume, EPOCHS, 2, resume=resume, **kind)
    assert_same(found, wanted)
    np.testing.assert_array_equal(drawn_now, drawn_then)


@pytest.mark.parametrize("schedule", [name for name in SCHEDULES if name != "one cycle"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_of_any_optimizer_and_schedule_is_resumed(optimizer, schedule, tmp_path):
    assert_resumes(tmp_path, 2, optimizer=optimizer, schedule=schedule, extras="all of it")


@pytest.mark.parametrize("extras", EXTRAS)
@pytest.mark.parametrize("stop", [1, 4])
def test_a_run_with_any_option_is_resumed(extras, stop, tmp_path):
    assert_resumes(tmp_path, stop, optimizer="AdamW", schedule="one cycle", extras=extras)


@pytest.mark.parametrize("loader", [{"prefetch": 2}, {"drop_last": True}, {"shuffle": False}])
def test_a_run_with_any_loader_is_resumed(loader, tmp_path):
    kind = {"optimizer": "Lookahead", "schedule": "every step", "extras": "all of it"}
    assert_resumes(tmp_path, 3, **kind, **loader)


def test_a_validation_loader_that_shuffles_goes_on_in_the_same_order(tmp_path):
    def run(epochs, resume=None):
        nn.manual_seed(0)
        model = nn.zoo.feedforward([2, 4, 2])
        keep = Checkpoint(tmp_path / "run.safetensors")
        trainer = Trainer(model, AdamW(model.parameters()), callbacks=[keep])
        validation = nn.data.DataLoader(nn.data.moons(50), 7, shuffle=True, augment=jitter)
        history = trainer.fit(nn.data.xor(64), validation, epochs, resume)
        return [row["validation_loss"] for row in history]

    whole = run(4)
    run(2)
    assert run(4, resume=tmp_path / "run.safetensors") == whole


def test_a_run_that_was_stopped_early_stays_stopped(tmp_path):
    def run(epochs, resume=None):
        nn.manual_seed(0)
        model = nn.zoo.feedforward([2, 4, 2])
        callbacks = [EarlyStopping(1, "train_loss", 1.0), Checkpoint(tmp_path / "run.safetensors")]
        trainer = Trainer(model, SGD(model.parameters()), callbacks=callbacks)
        trainer.fit(nn.data.xor(64), epochs=epochs, resume=resume)
        return everything(trainer)

    stopped = run(9)
    assert len(stopped["history"]) == 2
    assert_same(run(9, tmp_path / "run.safetensors"), stopped)


def test_a_run_that_was_interrupted_in_mid_epoch_is_resumed(tmp_path):
    class Interrupt(nn.training.Callback):
        def on_step(self, trainer):
            if trainer.steps == at:
                raise KeyboardInterrupt

    path = tmp_path / "run.safetensors"

    def run(resume=None):
        nn.manual_seed(0)
        model = model_of_all_sorts()
        log = nn.training.CSVLogger(tmp_path / "log.csv")
        callbacks = [log, EarlyStopping(5), Interrupt(), Checkpoint(path)]
        trainer = Trainer(model, AdamW(model.parameters()), callbacks=callbacks)
        loader = nn.data.DataLoader(nn.data.xor(64), 8, shuffle=True, prefetch=2)
        trainer.fit(loader, 0.25, 4, resume)
        return everything(trainer)

    at = -1
    wanted, log = run(), (tmp_path / "log.csv").read_text()
    at = 15  # of 6 steps in each epoch
    with pytest.raises(KeyboardInterrupt):
        run()
    kept = (tmp_path / "log.csv").read_text().splitlines()
    assert len(kept) == 1 + 2
    at = -1
    assert_same(run(path), wanted)
    assert [line.split(",")[0] for line in (tmp_path / "log.csv").read_text().split()] == [
        line.split(",")[0] for line in log.split()
    ]


def test_the_same_trainer_goes_back_to_its_checkpoint(tmp_path):
    nn.manual_seed(0)
    model = model_of_all_sorts()
    path = tmp_path / "run.safetensors"
    trainer = Trainer(model, AdamW(model.parameters()), callbacks=[Checkpoint(path, every=2)])
    loader = nn.data.DataLoader(nn.data.xor(64), 8, shuffle=True)
    trainer.fit(loader, epochs=2)
    kept = path.read_bytes()
    trainer.fit(loader, epochs=1)
    further = everything(trainer)
    path.write_bytes(kept)
    trainer.fit(loader, epochs=3, resume=path)
    again = everything(trainer)
    # The second fit began at epoch 3; the resumed one is the first, gone on with.
    assert_same({**again, "first_epoch": 3}, further)


def test_a_resumed_run_goes_to_the_end_of_the_fit_that_was_interrupted(tmp_path):
    path = tmp_path / "run.safetensors"

    def trainer():
        nn.manual_seed(0)
        model = nn.zoo.feedforward([2, 4, 2])
        return Trainer(model, SGD(model.parameters()), callbacks=[Checkpoint(path)])

    first = trainer()
    first.fit(nn.data.xor(32), epochs=2)
    first.fit(nn.data.xor(32), epochs=1)  # of 3, had it not stopped
    assert len(trainer().fit(nn.data.xor(32), epochs=3, resume=path)) == 2 + 3
