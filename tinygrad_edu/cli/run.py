"""A training run from the command line: its folder, its pictures, and the page that shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Tensor
from tinygrad_edu.cli import scalar
from viz.dot import Direction
from viz.report import Section, report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

# The same samples are held out whatever a run's seed, so that runs can be compared.
SPLIT_SEED = 1

# How many samples the loss in a run's picture is of.
BATCH = 32

OPTIMIZERS: dict[str, Callable[..., nn.optim.Optimizer]] = {
    "sgd": nn.optim.SGD,
    "adam": nn.optim.Adam,
    "adamw": nn.optim.AdamW,
}


@dataclass(frozen=True)
class Settings:
    """What a run is made of; the defaults are those of ``tinygrad-edu train``."""

    hidden: Sequence[int] = (128, 64)
    activation: str = "relu"
    dropout: float = 0.2
    optimizer: str = "adamw"
    lr: float = 2e-3
    weight_decay: float = 0.01
    batch_size: int = 32
    epochs: int = 60
    patience: int = 15
    held_out: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    folder: Path
    dataset: nn.data.Dataset
    held_out: nn.data.Dataset
    model: nn.Sequential
    history: list[dict[str, float]]
    best_epoch: int
    accuracy: float
    loss: float
    seconds: float


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
            (folder / "metrics.csv").touch()
            return folder
    except OSError as error:
        raise tg.OutputError(f"cannot write to {parent}: {error.strerror}") from error
    raise tg.OutputError(f"there are a thousand runs of this second in {parent} already")


def train_classifier(name: str, settings: Settings, parent: Path, console: Console) -> Result:
    """Train a feed-forward network; its metrics and weights go into a new folder of ``parent``.

    A part of the data is held out and looked at once, at the end; early stopping watches another
    part. So the accuracy that is reported was not chosen for.
    """
    if settings.optimizer not in OPTIMIZERS:
        raise tg.UnknownNameError("optimizer", settings.optimizer, OPTIMIZERS)
    nn.manual_seed(settings.seed)
    dataset = nn.data.load(name)
    rest, held_out = nn.data.random_split(
        dataset, [1 - settings.held_out, settings.held_out], seed=SPLIT_SEED
    )
    train, validation = nn.data.random_split(rest, [0.875, 0.125], seed=SPLIT_SEED)
    sizes = [dataset.inputs.shape[1], *settings.hidden, len(dataset.classes)]
    model = nn.zoo.feedforward(sizes, settings.activation, settings.dropout)
    optimizer = OPTIMIZERS[settings.optimizer](
        model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay
    )
    batches = nn.data.DataLoader(train, settings.batch_size, shuffle=True, seed=settings.seed)
    stopping = nn.training.EarlyStopping(settings.patience)
    # Last before training, so that whatever is wrong with the settings leaves no folder behind.
    folder = run_folder(parent)
    trainer = nn.training.Trainer(
        model,
        optimizer,
        callbacks=[
            stopping,
            nn.training.CSVLogger(folder / "metrics.csv"),
            nn.training.ProgressBar(console),
        ],
    )
    start = time.perf_counter()
    history = trainer.fit(batches, nn.data.DataLoader(validation, 256), settings.epochs)
    seconds = time.perf_counter() - start
    found = nn.training.evaluate(model, held_out)
    nn.training.save_weights(model, folder / "model.safetensors")
    return Result(
        folder,
        dataset,
        held_out,
        model,
        history,
        stopping.best_epoch,
        found["accuracy"],
        found["loss"],
        seconds,
    )


def write_report(result: Result, title: str, extra: Sequence[Section] = ()) -> list[Path]:
    """Draw a run's curves, its model and its decision boundary, and a page that shows them all.

    Args:
        result: the run.
        title: the page's heading.
        extra: sections to add at the end, their pictures already written.

    Returns:
        The files of the run.
    """
    folder, dataset = result.folder, result.dataset
    sections = [
        figure_section(
            viz.plots.curves(result.history),
            folder / "curves.svg",
            "How it learned",
            "Loss and accuracy after each epoch, on the samples it trains on and on validation"
            f" samples it does not. The weights kept are those of epoch {result.best_epoch}, where"
            " the validation loss was lowest.",
        )
    ]
    if dataset.inputs.shape[1] == 2:
        sections.append(
            figure_section(
                viz.plots.decision_boundary(
                    predict(result.model), result.held_out.inputs, result.held_out.targets
                ),
                folder / "decision_boundary.svg",
                "What it learned",
                "The class it chooses at every place, and the held-out points.",
            )
        )
    loss = batch_loss(result)
    sections.append(
        drawing_section(
            loss,
            folder / "model.svg",
            "The graph that taught it",
            f"The loss of {BATCH} held-out samples, as a graph of Tensors, with the norm of its"
            " gradient by each. Forward runs along the arrows, backward against them.",
            direction="TB",
        )
    )
    sections += extra
    sections += [
        Section(
            "The weights",
            "In model.safetensors, by name.",
            table=[("parameter", "shape", "numbers"), *parameter_rows(result.model)],
        ),
        Section(
            "The metrics",
            "Of every epoch, as in metrics.csv.",
            table=[
                [name.replace("_", " ") for name in result.history[0]],
                *([f"{number:.4g}" for number in row.values()] for row in result.history),
            ],
        ),
    ]
    numbers = {
        "data set": dataset.name,
        "held-out accuracy": f"{result.accuracy:.2%}",
        "held-out loss": f"{result.loss:.4f}",
        "held-out samples": f"{len(result.held_out):,}",
        "epochs": f"{len(result.history)}",
        "training time": f"{result.seconds:.1f} s",
        "parameters": f"{sum(p.size for p in result.model.parameters()):,}",
    }
    report(title, sections, folder / "report.html", numbers=numbers)
    return sorted(folder.iterdir())


def scalar_sections(folder: Path, model: nn.MLP, samples: nn.data.Dataset) -> list[Section]:
    """Draw what a network of Values learned, and one of its neurons at work."""
    x = [tg.Value(number, label=f"x{i}") for i, number in enumerate(samples.inputs[0].tolist())]
    neuron = model.layers[0].neurons[0]
    return [
        figure_section(
            viz.plots.decision_boundary(
                lambda points: scalar.scores_of(model, points),
                samples.inputs,
                samples.targets,
                resolution=50,
            ),
            folder / "decision_boundary.svg",
            "One number at a time",
            f"A network of {len(model.parameters())} Values, trained on {len(samples)} points: its"
            " score at every place. The line is where it changes its mind.",
        ),
        drawing_section(
            neuron(x),
            folder / "neuron.svg",
            "Inside a neuron",
            "The first neuron of that network at its first sample: a = tanh(z), z = w·x + b. Along"
            " each arrow stands the local derivative; a gradient is the sum over the arrows that"
            " leave a box of that number times the gradient at its head.",
        ),
    ]


def figure_section(figure: Figure, path: Path, heading: str, text: str) -> Section:
    """A figure, written to ``path``, as a section of a report."""
    viz.plots.save(figure, path)
    return Section(heading, text, svg=path.read_text(encoding="utf-8"))


def drawing_section(
    node: tg.Node, path: Path, heading: str, text: str, direction: Direction = "LR"
) -> Section:
    """The drawing of a graph, written to ``path``, as a section of a report."""
    drawing = viz.draw(node, direction=direction).save(path)
    return Section(heading, text, svg=drawing.read_text(encoding="utf-8"))


def batch_loss(result: Result) -> Tensor:
    """The loss of the first held-out samples, with its graph."""
    result.model.eval()
    x = Tensor(result.held_out.inputs[:BATCH], label="x")
    loss: Tensor = tg.cross_entropy(result.model(x), result.held_out.targets[:BATCH])
    loss.label = "loss"
    return loss


def predict(model: nn.Module) -> Callable[[Array], Array]:
    """The model as a function from an array of inputs to an array of logits."""

    def logits(points: Array) -> Array:
        with tg.no_grad():
            return model(Tensor(points, dtype=np.float32)).numpy()

    return logits


def parameter_rows(model: nn.Module) -> list[tuple[str, str, str]]:
    """The path, shape and size of every parameter, for a table."""
    return [
        (name, " × ".join(map(str, np.shape(p.data))), f"{np.size(p.data):,}")
        for name, p in model.named_parameters()
    ]
