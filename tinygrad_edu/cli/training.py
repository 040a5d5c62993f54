"""The commands that train models and look at them: train, sweep, eval and summary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import nn
import tinygrad_edu as tg
import viz
from nn.summary import Summary
from tinygrad_edu.cli import objects, run
from tinygrad_edu.cli import sweep as sweeping
from tinygrad_edu.cli.evaluation import confusion_plot, evaluate, mistakes_plot
from tinygrad_edu.cli.pages import write_report
from tinygrad_edu.cli.settings import SWEPT, Settings, loss_of, metrics_of, model_named, prepare

app = typer.Typer()

DEFAULTS = Settings("")
ACTIVATIONS = ", ".join(nn.ACTIVATIONS)

Out = Annotated[Path, typer.Option("--out", "-o", help="Where the run's own folder is made.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed repeats the run bit for bit.")]
DataFile = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="The folder of mnist's files, or the text file of tiny_text.",
        show_default=False,
    ),
]
DataPanel = "Data"
ModelPanel = "Model"
OptimizerPanel = "Optimization"


@app.command(no_args_is_help=True)
def train(
    context: typer.Context,
    dataset: Annotated[
        str | None,
        typer.Argument(help=f"One of {', '.join(nn.data.DATASETS)}.", show_default=False),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"One of {', '.join(nn.zoo.models())}; its beginning will do. By default"
            " feedforward, or gpt for text.",
            show_default=False,
            rich_help_panel=ModelPanel,
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(
            help="Of feedforward: the width of each hidden layer; '' for none. By default 128,64.",
            show_default=False,
            rich_help_panel=ModelPanel,
        ),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            "--activation",
            "-a",
            help=f"Of feedforward: one of {ACTIVATIONS}. By default relu.",
            show_default=False,
            rich_help_panel=ModelPanel,
        ),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            help="Of feedforward (by default 0.2) and gpt: in [0, 1].",
            show_default=False,
            rich_help_panel=ModelPanel,
        ),
    ] = None,
    optimizer: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(nn.optim.OPTIMIZERS)}.", rich_help_panel=OptimizerPanel
        ),
    ] = DEFAULTS.optimizer,
    lr: Annotated[
        float | None,
        typer.Option(
            help="The learning rate. By default 0.002, and 0.1 for sgd.",
            show_default=False,
            rich_help_panel=OptimizerPanel,
        ),
    ] = None,
    momentum: Annotated[
        float | None,
        typer.Option(help="Of sgd.", show_default=False, rich_help_panel=OptimizerPanel),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            help="Pulls the weights towards 0. By default the optimizer's own.",
            show_default=False,
            rich_help_panel=OptimizerPanel,
        ),
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(
            help=f"Of the learning rate: one of {', '.join(nn.optim.SCHEDULES)}.",
            rich_help_panel=OptimizerPanel,
        ),
    ] = DEFAULTS.schedule,
    label_smoothing: Annotated[
        float,
        typer.Option(
            help="The part of each label that goes to all classes.", rich_help_panel=OptimizerPanel
        ),
    ] = DEFAULTS.label_smoothing,
    clip: Annotated[
        float | None,
        typer.Option(
            help="The largest norm of the gradient.",
            show_default=False,
            rich_help_panel=OptimizerPanel,
        ),
    ] = None,
    accumulate: Annotated[
        int, typer.Option(help="Batches per step.", rich_help_panel=OptimizerPanel)
    ] = DEFAULTS.accumulate,
    ema: Annotated[
        float | None,
        typer.Option(
            help="Average the weights, with this decay, such as 0.99.",
            show_default=False,
            rich_help_panel=OptimizerPanel,
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(help="Samples per batch.", rich_help_panel=OptimizerPanel)
    ] = DEFAULTS.batch_size,
    epochs: Annotated[
        int, typer.Option(min=1, help="At most.", rich_help_panel=OptimizerPanel)
    ] = DEFAULTS.epochs,
    patience: Annotated[
        int,
        typer.Option(
            min=0,
            help="Epochs without a lower validation loss before it stops; 0 for never.",
            rich_help_panel=OptimizerPanel,
        ),
    ] = DEFAULTS.patience,
    data: DataFile = None,
    samples: Annotated[
        int | None,
        typer.Option(help="Take this many only.", show_default=False, rich_help_panel=DataPanel),
    ] = None,
    augment: Annotated[
        str,
        typer.Option(
            help=f"Of images, several with commas: {', '.join(nn.data.AUGMENTATIONS)}. A number"
            " after a colon sets its size, as in shift:1,rotate:10.",
            rich_help_panel=DataPanel,
        ),
    ] = "",
    held_out: Annotated[
        float,
        typer.Option(
            help="The share of samples kept for the final test.", rich_help_panel=DataPanel
        ),
    ] = DEFAULTS.held_out,
    seed: Seed = DEFAULTS.seed,
    out: Out = Path("runs"),
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Go on with the run in this folder, as it was set.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Train a model on a data set; write its curves, pictures, weights and a report.

    A run can be stopped or killed at any moment. With --resume it goes on,
    and ends with the very weights it would have had.

    For example:

      tinygrad-edu train moons --hidden 16,16 --activation tanh --epochs 100

      tinygrad-edu train digits --model lenet --augment noise:0.1,mixup

      tinygrad-edu train --resume runs/2026-01-31_12-00-00
    """
    console = Console()
    if resume is not None:
        given = sorted(n for n in context.params if n != "resume" and _is_given(context, n))
        if given:
            raise nn.ConfigurationError(
                f"--resume takes the settings of the run as they were: leave out {', '.join(given)}"
            )
        settings = run.settings_of(resume)
    elif dataset is None:
        raise nn.ConfigurationError("name a data set to train on, or a run to --resume")
    else:
        settings = Settings(
            dataset=dataset,
            data=data,
            samples=samples,
            model=model,
            hidden=None if hidden is None else tuple(widths(hidden)),
            activation=activation,
            dropout=dropout,
            optimizer=optimizer,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=schedule,
            augment=tuple(name for name in augment.split(",") if name),
            label_smoothing=label_smoothing,
            clip=clip,
            accumulate=accumulate,
            ema=ema,
            batch_size=batch_size,
            epochs=epochs,
            patience=patience,
            held_out=held_out,
            seed=seed,
        )
    prepared = prepare(settings)  # so that whatever is wrong with it leaves no folder behind
    folder = resume or run.run_folder(out)
    with resumable("train", folder):
        result = run.train(
            prepared, folder, console, resume and resume / run.CHECKPOINT, record=True
        )
    print_result(console, result)
    with console.status("drawing"):
        files = write_report(result, f"A network learns {settings.dataset}")
    print_files(console, files)


@app.command(no_args_is_help=True)
def sweep(
    dataset: Annotated[str | None, typer.Argument(help="As for train.", show_default=False)] = None,
    grid: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SETTING=VALUE,...", help=f"Of {', '.join(SWEPT)}.", show_default=False
        ),
    ] = None,
    data: DataFile = None,
    samples: Annotated[
        int | None, typer.Option(help="Take this many only.", show_default=False)
    ] = None,
    out: Out = Path("runs"),
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Go on with the sweep in this folder.", show_default=False
        ),
    ] = None,
) -> None:
    """Train once for every combination of settings, and compare: a table and overlaid curves.

    The settings are train's, with underscores. Those that are lists are
    written with a plus, as in hidden=64+32,128. What is compared is measured
    on validation samples; the held-out ones are not looked at.

    For example:

      tinygrad-edu sweep digits optimizer=sgd,adam,adamw lr=0.1,0.01 epochs=10

      tinygrad-edu sweep digits model=feedforward,lenet augment=none,rotate:5
    """
    console = Console(highlight=False)
    if resume is not None:
        folder, found = resume, sweeping.sweep_of(resume)
    elif dataset is None:
        raise nn.ConfigurationError("name a data set to train on, or a sweep to --resume")
    else:
        base = Settings(dataset, data=data, samples=samples)
        found = sweeping.Sweep(base, sweeping.parse_grid(grid or []))
        folder = sweeping.begin(found, out)
    with resumable("sweep", folder):
        results = sweeping.run_all(found, folder, console)
    rows = sweeping.table(found, results)
    print_table(console, rows, title=f"{sweeping.compared_by(results).replace('_', ' ')}")
    best = sweeping.ranked(results)[0]
    if best.best is not None:
        console.print(f"lowest validation loss: {best.name}")
    with console.status("drawing"):
        files = sweeping.write_page(found, results, folder)
    print_files(console, files)


@app.command("eval", no_args_is_help=True)
def evaluate_run(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)
    ],
    part: Annotated[
        str, typer.Option(help="Which samples: held-out, validation or train.")
    ] = "held-out",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Where the pictures go; by default to the run.", show_default=False
        ),
    ] = None,
) -> None:
    """Look at what a trained model gets right and wrong, class by class.

    Prints precision and recall of every class, and draws the confusion matrix
    and the images it mistakes.
    """
    console = Console(highlight=False)
    settings, parts, model = run.finished(folder)
    known = {"held-out": parts.held_out, "validation": parts.validation, "train": parts.train}
    if part not in known:
        raise tg.UnknownNameError("part of the data", part, known)
    found = evaluate(model, known[part], loss_of(settings, parts), metrics_of(parts))
    scores = ", ".join(f"{name} {x:.4f}" for name, x in found.scores.items())
    console.print(f"{len(found.samples):,} {part} samples of {settings.dataset}: {scores}")
    if found.probabilities is None:
        return
    print_table(console, found.rows())
    target = out or folder
    files = [viz.plots.save(confusion_plot(found), target / "confusion.svg")]
    if parts.kind == "images":
        mistakes = mistakes_plot(found)
        if mistakes is not None:
            files.append(viz.plots.save(mistakes, target / "mistakes.svg"))
    print_files(console, files)


@app.command(no_args_is_help=True)
def summary(
    model: Annotated[
        str,
        typer.Argument(
            help=f"One of {', '.join(nn.zoo.models())}; or MODULE:NAME, one of yours.",
            show_default=False,
        ),
    ],
    shape: Annotated[
        str | None,
        typer.Option(metavar="N,...", help="Of the input, batch included.", show_default=False),
    ] = None,
    classes: Annotated[int, typer.Option(min=1, help="How many logits come out.")] = 10,
) -> None:
    """Print a model as a table: output shapes, parameters, multiply-adds and memory.

    For example:

      tinygrad-edu summary resnet --shape 1,3,32,32

      tinygrad-edu summary models:net --shape 16,784
    """
    shapes = objects.shapes_of([shape] if shape is not None else [])
    if ":" in model:
        if not shapes:
            raise objects.ObjectError("a model of yours needs --shape, such as --shape 1,784")
        table = objects.module_named(model, seed=0).summary(*shapes)
    else:
        table = _zoo_summary(model_named(model), shapes, classes)
    Console(highlight=False).print(str(table), markup=False, soft_wrap=True)


def _zoo_summary(name: str, shapes: list[objects.Shape], classes: int) -> Summary:
    """Of a model of the zoo, made for the input's shape."""
    if name == "gpt":
        batch, length = shapes[0] if shapes else (1, 64)
        made = nn.zoo.create(name, vocab_size=classes, block_size=length)
        return made.summary((batch, length), dtype=np.int64)
    shape = shapes[0] if shapes else (1, 1, 28, 28)
    if name == "feedforward":
        sample = shape[1:]
        sizes = [sample if len(sample) > 1 else sample[0], 128, 64, classes]
        return nn.zoo.create(name, sizes=sizes).summary(shape)
    if len(shape) != 4 or shape[2] != shape[3]:
        raise objects.ObjectError(f"{name} takes images, --shape N,C,H,H, not {shape}")
    options = {"in_channels": shape[1], "num_classes": classes, "image_size": shape[2]}
    return nn.zoo.create(name, **options).summary(shape)


@contextmanager
def resumable(command: str, folder: Path) -> Iterator[None]:
    """Within it, somebody who stops the command is told how to go on."""
    try:
        yield
    except KeyboardInterrupt as error:
        typer.echo(f"\nstopped; go on with: tinygrad-edu {command} --resume {folder}", err=True)
        raise typer.Exit(130) from error


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def widths(text: str) -> list[int]:
    """The widths in ``"64,32"``.

    Raises:
        ConfigurationError: one is not a positive integer.
    """
    try:
        sizes = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        sizes = [0]
    if any(size < 1 for size in sizes):
        raise nn.ConfigurationError(
            f"hidden widths are positive integers such as 64,32, not {text!r}"
        )
    return sizes


def print_table(console: Console, rows: list[list[str]], title: str = "") -> None:
    """Rows under their header, the first column to the left, the others to the right."""
    table = Table(title=title or None, title_justify="left")
    for i, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)


def print_result(console: Console, result: run.Run) -> None:
    """What a run came to, in one line."""
    samples = f"{len(result.parts.held_out):,} held-out samples"
    if "accuracy" in result.scores:
        said = f"{result.scores['accuracy']:.2%} of {samples} right"
    else:
        said = f"R² {result.scores['r2']:.4f} on {samples}"
    console.print(
        f"{said}, with the weights of epoch {result.best_epoch}, after {result.seconds:.1f} s",
        highlight=False,
    )


def print_files(console: Console, files: list[Path]) -> None:
    """The files of a run, a line each."""
    for path in files:
        console.print(f"  {path}", markup=False, highlight=False, soft_wrap=True)
