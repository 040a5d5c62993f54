"""The commands: demo, train, draw and neurons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu.cli import expression as expressions
from tinygrad_edu.cli import run, scalar

app = typer.Typer(
    name="tinygrad-edu",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULTS = run.Settings()
ACTIVATIONS = ", ".join(nn.ACTIVATIONS)

Out = Annotated[Path, typer.Option("--out", "-o", help="Where the run's own folder is made.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed repeats the run bit for bit.")]
Activation = Annotated[str, typer.Option("--activation", "-a", help=f"One of {ACTIVATIONS}.")]


@app.callback(invoke_without_command=True)
def tinygrad_edu(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """An autograd engine in which backpropagation can be seen."""
    if version:
        typer.echo(tg.__version__)
        raise typer.Exit


@app.command()
def demo(
    out: Out = Path("runs"),
    seed: Seed = 0,
    epochs: Annotated[int, typer.Option(min=1, help="At most; on the digits.")] = DEFAULTS.epochs,
    steps: Annotated[int, typer.Option(min=1, help="Of the scalar network.")] = 30,
) -> None:
    """Learn real handwritten digits, draw the graph that taught it, and report in one page."""
    console = Console()
    console.print("[bold]1. A network of Tensors learns handwritten digits")
    result = run.train_classifier("digits", run.Settings(epochs=epochs, seed=seed), out, console)
    print_result(console, result)

    console.print("\n[bold]2. A network of Values, one number at a time, learns two moons")
    samples = nn.data.moons(60, seed=seed)
    model = nn.MLP(2, [8, 8, 1], activation="tanh", rng=np.random.default_rng(seed))
    train_values(console, model, samples, steps)

    console.print("\n[bold]3. Pictures of what happened")
    with console.status("drawing"):
        files = run.write_report(
            result,
            "Learning to read digits, and how",
            run.scalar_sections(result.folder, model, samples),
        )
    print_files(console, files)
    console.print(
        f"\nOpen [bold]{result.folder / 'report.html'}[/]. Then try\n"
        '  tinygrad-edu draw "tanh(w*x + b)" w=0.5 x=2 b=-1 -o neuron.svg\n'
        "  tinygrad-edu neurons --activation sigmoid\n"
        "  tinygrad-edu train moons --hidden 16,16 --activation tanh",
        highlight=False,
    )


@app.command()
def train(
    dataset: Annotated[
        str, typer.Argument(help=f"One of {', '.join(nn.data.DATASETS)}.", show_default=False)
    ],
    hidden: Annotated[
        str, typer.Option(help="The width of each hidden layer; '' for none.")
    ] = ",".join(map(str, DEFAULTS.hidden)),
    activation: Activation = DEFAULTS.activation,
    dropout: Annotated[float, typer.Option(help="In [0, 1].")] = DEFAULTS.dropout,
    optimizer: Annotated[
        str, typer.Option(help=f"One of {', '.join(run.OPTIMIZERS)}.")
    ] = DEFAULTS.optimizer,
    lr: Annotated[float, typer.Option(help="The learning rate.")] = DEFAULTS.lr,
    weight_decay: Annotated[
        float, typer.Option(help="Pulls the weights towards 0.")
    ] = DEFAULTS.weight_decay,
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = DEFAULTS.batch_size,
    epochs: Annotated[int, typer.Option(min=1, help="At most.")] = DEFAULTS.epochs,
    patience: Annotated[
        int, typer.Option(help="Epochs without a lower validation loss before it stops.")
    ] = DEFAULTS.patience,
    held_out: Annotated[
        float, typer.Option(help="The share of samples kept for the final test.")
    ] = DEFAULTS.held_out,
    seed: Seed = DEFAULTS.seed,
    out: Out = Path("runs"),
) -> None:
    """Train a network on a data set, and write its curves, pictures, weights and a report.

    For example: tinygrad-edu train moons --hidden 16,16 --activation tanh --epochs 100
    """
    console = Console()
    settings = run.Settings(
        hidden=widths(hidden),
        activation=activation,
        dropout=dropout,
        optimizer=optimizer,
        lr=lr,
        weight_decay=weight_decay,
        batch_size=batch_size,
        epochs=epochs,
        patience=patience,
        held_out=held_out,
        seed=seed,
    )
    result = run.train_classifier(dataset, settings, out, console)
    print_result(console, result)
    with console.status("drawing"):
        files = run.write_report(result, f"A network learns {dataset}")
    print_files(console, files)


@app.command(no_args_is_help=True)
def draw(
    expression: Annotated[
        str, typer.Argument(help="Arithmetic and functions of variables.", show_default=False)
    ],
    variables: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=NUMBER...", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="A .svg, .png or .dot file.")] = Path(
        "graph.svg"
    ),
) -> None:
    """Draw the graph of an expression, with every gradient.

    For example: tinygrad-edu draw "tanh(w*x + b)" w=0.5 x=2 b=-1 -o neuron.svg

    A negative number of a variable needs no quotes; an expression that starts with a minus goes
    after "--".
    """
    root, leaves = expressions.evaluate(expression, expressions.assignments(variables or []))
    try:
        path = viz.draw(root).save(out)
    except PermissionError as error:
        raise run.OutputError(f"cannot write {out}: {error.strerror}") from error
    console = Console(highlight=False)
    root.backward()
    console.print(f"{expression} = {root.data:.6g}", markup=False)
    for name, leaf in leaves.items():
        console.print(f"  ∂/∂{name} = {leaf.grad:.6g}", markup=False)
    console.print(f"drawn in {path}", markup=False)


@app.command()
def neurons(
    dataset: Annotated[
        str, typer.Argument(help=f"One of {', '.join(scalar.PLANE_DATASETS)}.")
    ] = "moons",
    sample: Annotated[int, typer.Option(help="Which sample to look at.")] = 0,
    hidden: Annotated[str, typer.Option(help="The width of each hidden layer.")] = "4,4",
    activation: Activation = "tanh",
    steps: Annotated[int, typer.Option(min=0, help="Training steps before the look.")] = 0,
    seed: Seed = 0,
) -> None:
    """Print every neuron's z, activation and gradients, for one sample.

    L is the logistic loss of that sample. Compare --activation tanh, sigmoid and relu, and see
    how far gradients reach.
    """
    console = Console(highlight=False)
    samples = scalar.plane_dataset(dataset, seed)
    if not 0 <= sample < len(samples):
        raise tg.IndexingError(
            f"{dataset} has samples 0 to {len(samples) - 1}, so no sample {sample}"
        )
    model = nn.MLP(2, [*widths(hidden), 1], activation=activation, rng=np.random.default_rng(seed))
    if steps:
        train_values(console, model, samples, steps)
    x, label = samples.inputs[sample].tolist(), int(samples.targets[sample])
    loss = scalar.logistic_loss(model(x), label)
    model.zero_grad()
    loss.backward()
    console.print(
        neuron_table(model, f"{dataset}[{sample}]: x = ({x[0]:.4f}, {x[1]:.4f}), class {label}")
    )
    console.print(f"L = {loss.data:.6f}")


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


def train_values(console: Console, model: nn.MLP, samples: nn.data.Dataset, steps: int) -> None:
    """Train the scalar tier under a progress bar."""
    columns = (
        TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[status]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=steps, status="")

        def show(step: int, loss: float, accuracy: float) -> None:
            status = f"loss {loss:.4f}  accuracy {accuracy:6.2%}"
            progress.update(task, completed=step, status=status)

        scalar.train_scalar(model, samples, steps, report=show)


def neuron_table(model: nn.MLP, title: str) -> Table:
    """z, activation and their gradients, a row per neuron of a model that has run backward."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading in ("neuron", "activation"):
        table.add_column(heading, no_wrap=True)
    for heading in ("z", "a", "∂L/∂z", "∂L/∂a"):
        table.add_column(heading, justify="right")
    for path, neuron in scalar.neurons_of(model):
        nodes = (neuron.z, neuron.activation)
        numbers = [node.data for node in nodes if node] + [node.grad for node in nodes if node]
        table.add_row(path, neuron.activation_name, *(f"{number:+.5f}" for number in numbers))
    return table


def print_result(console: Console, result: run.Result) -> None:
    """What a run came to, in one line."""
    console.print(
        f"{result.accuracy:.2%} of {len(result.held_out):,} held-out samples right, with the"
        f" weights of epoch {result.best_epoch}, after {result.seconds:.1f} s",
        highlight=False,
    )


def print_files(console: Console, files: list[Path]) -> None:
    """The files of a run, a line each."""
    for path in files:
        console.print(f"  {path}", markup=False, highlight=False, soft_wrap=True)
