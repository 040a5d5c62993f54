"""Trainer: the training loop, in one piece that can be read aloud."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import tinygrad_edu as tg
from nn import random
from nn.data import DataLoader, Dataset, random_split
from nn.data.dataset import Batch
from nn.errors import CheckpointError, ConfigurationError, StateDictError
from nn.module import Module
from nn.optim import EMA, Clipping, Optimizer, ReduceLROnPlateau, Schedule
from nn.training.callbacks import Callback
from nn.training.checkpoint import read_checkpoint
from nn.training.evaluation import Loss, Scores, evaluate, metrics_for
from nn.training.metrics import Metric
from nn.training.nonfinite import StepGuard
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
        ConfigurationError: an option is out of range, or the schedule is of another optimizer.

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
        if schedule is not None and schedule.optimizer is not optimizer:
            raise ConfigurationError("the schedule is of another optimizer than the Trainer's")
        if ema is not None and ema.model is not model:
            raise ConfigurationError("the ema averages another model than the Trainer's")
        if not isinstance(accumulate, int) or accumulate < 1:
            raise ConfigurationError(f"accumulate must be a positive integer, not {accumulate!r}")
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.schedule, self.schedule_per = schedule, schedule_per
        self.clipping = Clipping(clipping) if isinstance(clipping, float | int) else clipping
        self.accumulate, self.ema = accumulate, ema
        self.callbacks = list(callbacks)
        self.metrics: list[Metric] = []
        self.history: History = []
        self.steps = 0
        self.stop = False
        self._wanted_metrics = metrics
        self._scores = Scores([])
        self._first_epoch = 1
        self._batches: DataLoader | None = None
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
            ConfigurationError: ``epochs`` is not a positive integer, or the share no share.
            TrainingError: a loss or a gradient is nan or infinite. The weights are those before
                that step, or the best ones with ``EarlyStopping``.
            CheckpointError: ``resume`` is no whole checkpoint, or of another model, data set or
                setting. Nothing was changed.
        """
        if not isinstance(epochs, int) or epochs < 1:
            raise ConfigurationError(f"epochs must be a positive integer, not {epochs!r}")
        train, validation = _loaders(train, validation)
        self.metrics = metrics_for(train.dataset, self._wanted_metrics)
        self._scores = Scores(self.metrics)
        self._batches, self._setting = train, {}
        self.stop, self._first_epoch = False, len(self.history) + 1
        if resume is not None:
            self._resume(Path(resume))
        last = self._first_epoch + epochs - 1
        self._tell("on_fit_start", train, last - len(self.history))
        try:
            while len(self.history) < last and not self.stop:
                self._epoch(train, validation)
        finally:
            self._tell("on_fit_end")
        return self.history

    def _epoch(self, train: DataLoader, validation: DataLoader | None) -> None:
        start = time.perf_counter()
        epoch = len(self.history) + 1
        row: dict[str, float] = {"epoch": epoch, "learning_rate": self.optimizer.lr}
        self.model.train()
        self._scores.reset()
        guard = StepGuard(self)
        train.epoch = epoch - 1
        for batches in _groups(train, self.accumulate):
            self._step(batches, guard)
        row |= {f"train_{name}": x for name, x in self._scores.compute().items()}
        if validation is not None:
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
            self.optimizer.zero_grad()
            total = 0.0
            for *inputs, target in batches:
                output = self.model(*map(Tensor, inputs))
                loss = self.loss(output, target)
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
        self.optimizer.step(closure)
        self.steps += 1
        if self.ema is not None:
            self.ema.update()
        if self.schedule_per == "step" and isinstance(self.schedule, Schedule):
            self.schedule.step()
        self._tell("on_step")

    def scores(self) -> dict[str, float]:
        """The mean loss and the metrics of the epoch so far."""
        return self._scores.compute()

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
        missing = [name for name in before if name not in state]
        unexpected = [name for name in state if name not in before]
        own, given = (
            [each["type"] for each in which.get("callbacks", [])] for which in (before, state)
        )
        if missing or unexpected:
            raise StateDictError(missing, unexpected, {}, "Trainer")
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
        train = self._batches
        if not self._setting and train is not None:
            self._setting = {
                "data set": f"{train.dataset.name}, {len(train.dataset)} samples,"
                f" {train.dataset.fingerprint()}",
                "batch_size": train.batch_size,
                "shuffle": train.shuffle,
                "drop_last": train.drop_last,
                "seed": train.seed,
                "augment": None if train.augment is None else repr(train.augment),
                "loss": getattr(self.loss, "__name__", repr(self.loss)),
                "optimizer": type(self.optimizer).__name__,
                "schedule": None if self.schedule is None else type(self.schedule).__name__,
                "schedule_per": self.schedule_per,
                "accumulate": self.accumulate,
            }
        return self._setting

    def _resume(self, path: Path) -> None:
        state = read_checkpoint(path)
        state.pop("config", None)
        was = state.get("setting") or {}
        changed = [
            f"{name} is {now} and was {was.get(name)}"
            for name, now in self._settings().items()
            if was.get(name) != now
        ]
        if changed:
            raise CheckpointError(f"{path} is of another run: its {'; its '.join(changed)}")
        try:
            self.load_state_dict(state)
        except (StateDictError, KeyError) as error:
            raise CheckpointError(f"{path} is of another run: {error}") from error


def _loaders(
    train: DataLoader | Dataset, validation: DataLoader | Dataset | float | None
) -> tuple[DataLoader, DataLoader | None]:
    if not isinstance(train, DataLoader):
        train = DataLoader(train, shuffle=True)
    if isinstance(validation, float | int):
        if not 0 < validation < 1:
            raise ConfigurationError(
                f"the share kept for validation must be in (0, 1), not {validation!r}"
            )
        rest, kept = random_split(train.dataset, [1 - validation, validation], train.seed)
        return train.of(rest), DataLoader(kept, 256)
    if isinstance(validation, Dataset):
        validation = DataLoader(validation, 256)
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
