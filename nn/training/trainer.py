"""Trainer: the training loop, in one piece that can be read aloud."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn import random
from nn.checks import check_integer
from nn.data import DataLoader, Dataset, random_split
from nn.data.dataset import Batch
from nn.errors import CheckpointError, ConfigurationError, StateDictError, TrainingError
from nn.module import Module
from nn.optim import EMA, Clipping, Optimizer, ReduceLROnPlateau, Schedule
from nn.optim.state import check_names
from nn.training.callbacks import Callback
from nn.training.checkpoint import read_checkpoint
from nn.training.evaluation import Loss, Scores, evaluate, mean_loss, metrics_for
from nn.training.metrics import Metric
from nn.training.nonfinite import StepGuard, not_finite
from tinygrad_edu import Tensor

# One row per epoch: its number, the losses and metrics, the seconds it took.
History = list[dict[str, float]]


class Trainer:
    """Trains a model of Tensors on batches of inputs and targets.

    Args:
        model: takes a batch of inputs.
        optimizer: changes the model's parameters.
        loss: takes the model's output and the target, returns their mean loss.
        metrics: what to measure besides, by name ("accuracy", "top_5", "precision", "recall", "f1",
            "mse", "r2") or as a ``Metric``; by default accuracy, where targets are integers.
        schedule: changes the learning rate; ``ReduceLROnPlateau`` goes by the validation loss.
        schedule_per: whether the schedule counts every ``"epoch"`` or every ``"step"``.
        clipping: clips the gradients of every step; a number is the largest norm.
        accumulate: how many batches go into a step. The gradient is that of one batch of them all,
            in the memory of one.
        ema: an average of the weights, which validation then looks at.
        callbacks: told of the start and end of training, every step and every epoch.

    Attributes:
        history: a row per epoch, of ``epoch``, ``learning_rate``, ``train_loss``, ``seconds`` and,
            with validation data, ``validation_loss``; and of every metric of both. Those of
            training are means over the epoch, while the weights changed.
        steps: how many steps were taken.
        stop: set it to end training after this epoch.

    Raises:
        ConfigurationError: an option is out of range, or the optimizer or the ema is of another
            model, or the schedule of another optimizer.

    >>> import nn
    >>> model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> trainer = nn.training.Trainer(model, nn.optim.AdamW(model.parameters(), lr=0.02))
    >>> history = trainer.fit(nn.data.moons(200), validation=0.2, epochs=5)
    >>> list(history[-1])  # doctest: +NORMALIZE_WHITESPACE
    ['epoch', 'learning_rate', 'train_loss', 'train_accuracy', 'validation_loss',
     'validation_accuracy', 'seconds']
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Loss = tg.cross_entropy,
        *,
        metrics: Sequence[str | Metric] | None = None,
        schedule: Schedule | ReduceLROnPlateau | None = None,
        schedule_per: str = "epoch",
        clipping: Clipping | float | None = None,
        accumulate: int = 1,
        ema: EMA | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        if schedule_per not in ("epoch", "step"):
            raise tg.UnknownNameError("schedule_per", schedule_per, ["epoch", "step"])
        if not {*model.parameters()} & {*optimizer.parameters}:
            raise ConfigurationError(
                "none of the optimizer's parameters is in the model: make it with"
                " model.parameters() of this very model"
            )
        # Lookahead's groups are those of the optimizer in it, which the schedule may be of.
        if schedule is not None and schedule.optimizer.param_groups is not optimizer.param_groups:
            raise ConfigurationError("the schedule is of another optimizer than the Trainer's")
        if schedule_per == "step" and isinstance(schedule, ReduceLROnPlateau):
            raise ConfigurationError(
                "ReduceLROnPlateau goes by the loss of an epoch: leave schedule_per at 'epoch'"
            )
        if ema is not None and ema.model is not model:
            raise ConfigurationError("the ema averages another model than the Trainer's")
        check_integer("accumulate", accumulate, 1)
        if isinstance(clipping, bool) or not isinstance(clipping, Clipping | Real | None):
            raise ConfigurationError(
                f"clipping is a Clipping or the largest norm, not {clipping!r}"
            )
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.schedule, self.schedule_per = schedule, schedule_per
        self.clipping = Clipping(float(clipping)) if isinstance(clipping, Real) else clipping
        self.accumulate, self.ema = accumulate, ema
        self.callbacks = list(callbacks)
        self.metrics: list[Metric] = []
        self.history: History = []
        self.steps = 0
        self.stop = False
        self._wanted_metrics = metrics
        self._scores = Scores([])
        self._first_epoch = 1
        self._data: tuple[DataLoader, DataLoader | None] | None = None
        self._setting: dict[str, Any] = {}

    def fit(
        self,
        train: DataLoader | Dataset,
        validation: DataLoader | Dataset | float | None = None,
        epochs: int = 10,
        resume: str | Path | None = None,
    ) -> History:
        """Go through ``train`` up to ``epochs`` times; returns ``history``.

        Args:
            train: batches to learn from; of a data set, 32 at a time in random order.
            validation: what to measure on after every epoch; or the share of ``train`` to keep for
                it, in (0, 1).
            epochs: how many; they are added to those of an earlier call.
            resume: a file of ``Checkpoint``. Everything is then as it was when it was written, and
                training goes on to the end of the ``epochs`` that were begun.

        Raises:
            ConfigurationError: ``epochs`` is not a positive integer, the share no share, or the
                loss no scalar.
            TrainingError: a loss or a gradient is nan or infinite. The weights are those before
                that step, or the best ones with ``EarlyStopping``. Or a weight is so after the last
                step of an epoch, which nothing but ``EarlyStopping`` or a checkpoint can undo.
            CheckpointError: ``resume`` is no whole checkpoint, or of another model, data set or
                setting. Nothing was changed.
        """
        check_integer("epochs", epochs, 1)
        train, validation = _loaders(train, validation)
        self.metrics = metrics_for(train.dataset, self._wanted_metrics)
        self._scores = Scores(self.metrics)
        self._data, self._setting = (train, validation), {}
        self.stop, self._first_epoch = False, len(self.history) + 1
        if resume is not None:
            self._resume(Path(resume))
        last = self._first_epoch + epochs - 1
        started: list[Callback] = []
        try:
            for callback in self.callbacks:
                callback.on_fit_start(self, train, max(0, last - len(self.history)))
                started.append(callback)
            while len(self.history) < last and not self.stop:
                self._epoch(train, validation)
        finally:
            for callback in started:
                callback.on_fit_end(self)
        return self.history

    def _epoch(self, train: DataLoader, validation: DataLoader | None) -> None:
        start = time.perf_counter()
        epoch = len(self.history) + 1
        row: dict[str, float] = {"epoch": epoch, "learning_rate": float(self.optimizer.lr)}
        self.model.train()
        self._scores.reset()
        guard = StepGuard(self)
        train.epoch = epoch - 1
        for batches in _groups(train, self.accumulate):
            self._step(batches, guard)
        if path := not_finite(self.model):
            raise TrainingError(
                f"{path} holds a number that is not finite after epoch {epoch}: its last step was"
                f" too large. Try a smaller learning rate than {self.optimizer.lr:g}, or clipping"
            )
        row |= {f"train_{name}": x for name, x in self._scores.compute().items()}
        if validation is not None:
            validation.epoch = epoch - 1
            with self._averaged():
                found = evaluate(self.model, validation, self.loss, self.metrics)
            row |= {f"validation_{name}": x for name, x in found.items()}
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(row.get("validation_loss", row["train_loss"]))
        elif self.schedule is not None and self.schedule_per == "epoch":
            self.schedule.step()
        row["seconds"] = time.perf_counter() - start
        self.history.append(row)
        self._tell("on_epoch_end", row)
        self._tell("on_epoch_over")

    def _step(self, batches: list[Batch], guard: StepGuard) -> None:
        """One step of the optimizer, down the gradient of the mean loss over the batches."""
        samples = sum(len(batch[-1]) for batch in batches)
        calls = 0

        def closure() -> float:
            nonlocal calls
            calls += 1
            self.model.zero_grad()  # and what is not the optimizer's: no gradient grows on
            self.optimizer.zero_grad()
            total = 0.0
            for *inputs, target in batches:
                output = self.model(*map(Tensor, inputs))
                loss = mean_loss(self.loss, output, target)
                number, share = loss.item(), len(target) / samples
                # An optimizer that searches along a line may look at places without a loss.
                if calls == 1:
                    guard.check_loss(number, batches)
                    self._scores.update(number, output, target)
                loss.backward(gradient=share, retain_graph=False)
                total += share * number
            if calls == 1:
                guard.check_gradients(batches)
            self._tell("on_backward")
            if self.clipping is not None:
                self.clipping(self.optimizer.parameters)
            return total

        guard.before_step()
        # What is not finite is an error of the guard's, and needs no warnings before.
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            self.optimizer.step(closure)
        self.steps += 1
        if self.ema is not None:
            self.ema.update()
        if self.schedule_per == "step" and isinstance(self.schedule, Schedule):
            self.schedule.step()
        self._tell("on_step")

    def scores(self) -> dict[str, float]:
        """The mean loss and the metrics of the epoch so far; none before its first batch."""
        return self._scores.compute() if self.samples else {}

    @property
    def samples(self) -> int:
        """How many samples of the epoch were seen."""
        return self._scores.samples

    def evaluated_weights(self) -> dict[str, Any]:
        """A copy of the weights that validation looks at: the averaged ones, if there are any."""
        with self._averaged():
            return self.model.state_dict()

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.ema is None else self.ema.applied()

    def _tell(self, event: str, *facts: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *facts)

    # In and out.

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, and the setting that it was made in."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {
            **parts,
            "callbacks": [
                {"type": type(each).__name__, "state": each.state_dict()} for each in self.callbacks
            ],
            "random": random.state_dict(self.model),
            "history": [dict(row) for row in self.history],
            "steps": self.steps,
            "first_epoch": self._first_epoch,
            "stop": self.stop,
            "setting": self._settings(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict`` was.

        Raises:
            StateDictError: it is of another model, optimizer, schedule or other callbacks. Nothing
                was changed.
        """
        before = self.state_dict()
        check_names("Trainer", before, state)
        rows = [x for row in state["history"] for x in row.values()]
        if not all(isinstance(x, Real) for x in [state["steps"], state["first_epoch"], *rows]):
            raise StateDictError([], [], {"history": ((), "no numbers")}, "Trainer")
        own, given = ([each["type"] for each in which["callbacks"]] for which in (before, state))
        if own != given:
            raise StateDictError([], [], {"callbacks": (tuple(own), tuple(given))}, "Trainer")
        try:
            self._load(state)
        except Exception:
            self._load(before)
            raise

    def _load(self, state: Mapping[str, Any]) -> None:
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        for callback, saved in zip(self.callbacks, state["callbacks"], strict=True):
            callback.load_state_dict(saved["state"])
        random.load_state_dict(self.model, state["random"])
        self.history = [dict(row) for row in state["history"]]
        self.steps, self._first_epoch = state["steps"], state["first_epoch"]
        self.stop = state["stop"]

    def _parts(self) -> dict[str, Any]:
        parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "ema": self.ema,
            "clipping": self.clipping,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _settings(self) -> dict[str, Any]:
        """What, besides the state, decides how training goes on."""
        if not self._setting and self._data is not None:
            train, validation = self._data
            self._setting = {
                "data set": _described(train.dataset),
                "validation data set": validation and _described(validation.dataset),
                "batch_size": train.batch_size,
                "shuffle": train.shuffle,
                "drop_last": train.drop_last,
                "seed": train.seed,
                "augment": _named(train.augment),
                "collate": _named(train.collate),
                "loss": _named(self.loss),
                "optimizer": type(self.optimizer).__name__,
                "schedule": self.schedule and type(self.schedule).__name__,
                "schedule_per": self.schedule_per,
                "accumulate": self.accumulate,
            }
        return self._setting

    def _resume(self, path: Path) -> None:
        state = read_checkpoint(path)
        state.pop("config", None)
        try:
            was = state["setting"]
            changed = [
                f"{name} is {now} and was {was.get(name)}"
                for name, now in self._settings().items()
                if was.get(name) != now
            ]
            if not changed:
                self.load_state_dict(state)
        except Exception as error:  # whatever the parts of the run find wrong with it
            raise CheckpointError(f"{path} is of another run: {error}") from error
        if changed:
            raise CheckpointError(f"{path} is of another run: its {'; its '.join(changed)}")


def _described(dataset: Dataset) -> str:
    return f"{dataset.name}, {len(dataset)} samples, {dataset.fingerprint()}"


def _named(function: Any) -> str | None:
    """What to know a function by in another process, where it has another address."""
    return None if function is None else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(function))


def _loaders(
    train: DataLoader | Dataset, validation: DataLoader | Dataset | float | None
) -> tuple[DataLoader, DataLoader | None]:
    if not isinstance(train, DataLoader):
        train = DataLoader(train, shuffle=True)
    if isinstance(validation, Real):
        if isinstance(validation, bool) or not 0 < validation < 1:
            raise ConfigurationError(
                f"the share kept for validation must be in (0, 1), not {validation!r}"
            )
        share = float(validation)
        rest, validation = random_split(train.dataset, [1 - share, share], train.seed)
        train = train.of(rest)
    if isinstance(validation, Dataset):
        validation = DataLoader(validation, 256, collate=train.collate)
    if not isinstance(validation, DataLoader | None):
        raise ConfigurationError(
            "validation is a DataLoader, a Dataset or the share of the training data to keep for"
            f" it, not a {type(validation).__name__}"
        )
    return train, validation


def _groups(batches: DataLoader, size: int) -> Iterator[list[Batch]]:
    """Lists of ``size`` batches; the last may be shorter."""
    group: list[Batch] = []
    for batch in batches:
        group.append(batch)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
