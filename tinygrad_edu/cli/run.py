"""A training run from the command line: its folder, and what it came to."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rich.console import Console

import nn
import tinygrad_edu as tg
import viz
from nn.training import Checkpoint, CSVLogger, EarlyStopping, ProgressBar, Trainer
from tinygrad_edu.cli.settings import Parts, Prepared, Settings, build_model, load_parts
from tinygrad_edu.errors import TinygradError

# The files of a run.
CHECKPOINT, WEIGHTS, METRICS = "checkpoint.safetensors", "model.safetensors", "metrics.csv"

# About how many steps of a run to look into.
SNAPSHOTS = 30


class RunError(TinygradError, ValueError):
    """A folder that holds no run."""


@dataclass(frozen=True)
class Run:
    """A run with its model trained, and what that came to.

    Attributes:
        scores: the loss and the metrics on the held-out samples, with the weights that were kept.
        best_epoch: the epoch that the weights are of.
        recorder: what it saw inside the model at some of the steps; None if there was none.
    """

    folder: Path
    settings: Settings
    parts: Parts
    trainer: Trainer = field(repr=False)
    scores: dict[str, float]
    best_epoch: int
    recorder: viz.Recorder | None = None

    @property
    def history(self) -> nn.training.History:
        """A row per epoch."""
        return self.trainer.history

    @property
    def model(self) -> nn.Module:
        """With the weights that were kept."""
        return self.trainer.model

    @property
    def seconds(self) -> float:
        """How long the epochs took together."""
        return sum(row["seconds"] for row in self.history)

    @property
    def validation_loss(self) -> float:
        """That of the weights that were kept."""
        return self.history[self.best_epoch - 1]["validation_loss"]


def run_folder(parent: Path) -> Path:
    """A new folder under ``parent``, named by the time.

    Raises:
        OutputError: it cannot be made or written in.
    """
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            folder = parent / (stamp if attempt == 1 else f"{stamp}_{attempt}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    except OSError as error:
        raise tg.OutputError(f"cannot write to {parent}: {error.strerror}") from error
    raise tg.OutputError(f"there are a thousand runs of this second in {parent} already")


def train(
    prepared: Prepared,
    folder: Path,
    console: Console,
    checkpoint: Path | None = None,
    record: bool = False,
) -> Run:
    """Train in a folder, perhaps from a checkpoint on; with a progress bar.

    Of a run that is to ``record``, about 30 steps are looked into for the pictures of its report.

    A part of the data is held out and looked at once, at the end; early stopping watches another
    part. So the scores that are reported were not chosen for.
    """
    settings, parts, trainer = prepared.settings, prepared.parts, prepared.trainer
    # With a patience of all epochs it never stops, and still keeps the best weights.
    stopping = EarlyStopping(settings.patience or settings.epochs)
    recorder = None
    if record:
        steps = settings.epochs * math.ceil(len(prepared.batches) / settings.accumulate)
        recorder = viz.recorder(trainer.model, every=max(1, steps // SNAPSHOTS))
        trainer.callbacks.append(recorder)
    trainer.callbacks += [
        stopping,
        CSVLogger(folder / METRICS),
        Checkpoint(folder / CHECKPOINT, config=settings.as_dict()),
        ProgressBar(console),
    ]
    trainer.fit(prepared.batches, parts.validation, settings.epochs, resume=checkpoint)
    nn.training.save_weights(trainer.model, folder / WEIGHTS)
    scores = nn.training.evaluate(trainer.model, parts.held_out, trainer.loss, trainer.metrics)
    return Run(folder, settings, parts, trainer, scores, stopping.best_epoch, recorder)


def settings_of(folder: Path) -> Settings:
    """The settings of the run in a folder.

    Raises:
        RunError: there is no run.
        CheckpointError: its checkpoint is no whole one.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        runs = sorted(p.parent for p in folder.glob(f"*/{CHECKPOINT}")) if folder.is_dir() else []
        hint = f"; name a run in it, such as {runs[-1]}" if runs else ""
        raise RunError(f"{folder} is not the folder of a run: it has no {CHECKPOINT}{hint}")
    return Settings.from_dict(nn.training.read_checkpoint(path)["config"])


def finished(folder: Path) -> tuple[Settings, Parts, nn.Module]:
    """The model of the run in a folder, with the weights that were kept, and its data.

    Raises:
        RunError: it was never finished.
    """
    settings = settings_of(folder)
    if not (folder / WEIGHTS).is_file():
        raise RunError(
            f"the run in {folder} was not finished: go on with tinygrad-edu train --resume {folder}"
        )
    parts = load_parts(settings)
    model = build_model(settings, parts)
    nn.training.load_weights(model, folder / WEIGHTS)
    return settings, parts, model
