"""The commands: demo, draw, gallery, neurons, check and isolate; and those of other files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu.cli import check as checking
from tinygrad_edu.cli import expression as expressions
from tinygrad_edu.cli import isolate as isolating
from tinygrad_edu.cli import lab, objects, run, scalar, training
from tinygrad_edu.cli.gallery import write_gallery
from tinygrad_edu.cli.pages import scalar_sections, write_report
from tinygrad_edu.cli.settings import Settings, prepare
from tinygrad_edu.cli.training import ACTIVATIONS, Out, Seed, print_files, print_result, widths
from tinygrad_edu.files import write
from viz.scale import theme_named

app = typer.Typer(
    name="tinygrad-edu",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lab.app, name="lab")

app.add_typer(training.app)

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
    epochs: Annotated[int, typer.Option(min=1, help="At most; on the digits.")] = 60,
    steps: Annotated[int, typer.Option(min=1, help="Of the scalar network.")] = 30,
) -> None:
    """Learn real handwritten digits, draw the graph that taught it, and report in one page."""
    console = Console()
    console.print("[bold]1. A network of Tensors learns handwritten digits")
    prepared = prepare(Settings("digits", epochs=epochs, seed=seed))
    result = run.train(prepared, run.run_folder(out), console, record=True)
    print_result(console, result)

    console.print("\n[bold]2. A network of Values, one number at a time, learns two moons")
    samples = nn.data.moons(60, seed=seed)
    model = nn.MLP(2, [8, 8, 1], activation="tanh", rng=np.random.default_rng(seed))
    train_values(console, model, samples, steps)

    console.print("\n[bold]3. Pictures of what happened")
    with console.status("drawing"):
        files = write_report(
            result,
            "Learning to read digits, and how",
            scalar_sections(result.folder, model, samples),
        )
    print_files(console, files)
    console.print(
        f"\nOpen [bold]{result.folder / 'report.html'}[/]. Then try\n"
        '  tinygrad-edu draw "tanh(w*x + b)" w=0.5 x=2 b=-1 -o neuron.svg\n'
        "  tinygrad-edu neurons --activation sigmoid\n"
        "  tinygrad-edu train moons --hidden 16,16 --activation tanh",
        highlight=False,
    )


@app.command(no_args_is_help=True)
def draw(
    expression: Annotated[
        str, typer.Argument(help="Arithmetic and functions of variables.", show_default=False)
    ],
    variables: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=NUMBER...", show_default=False)
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="A .svg, .png or .dot file; .html for a page of steps."),
    ] = Path("graph.svg"),
    formulas: Annotated[
        bool, typer.Option("--formulas", help="Write local derivatives as formulas, too.")
    ] = False,
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    text: Annotated[
        bool, typer.Option("--text", help="Print the graph as a tree; write no file.")
    ] = False,
) -> None:
    """Draw the graph of an expression, with every gradient, or a page to step through it.

    A page takes its theme from the browser, and always shows the formulas.

    For example: tinygrad-edu draw "tanh(w*x + b)" w=0.5 x=2 b=-1 -o neuron.html

    A negative number of a variable needs no quotes; an expression that starts with a minus goes
    after "--".
    """
    root, leaves = expressions.evaluate(expression, expressions.assignments(variables or []))
    console = Console(highlight=False)
    if text:
        console.print(viz.text.tree(root))
        return
    picture: viz.Page | viz.Drawing
    if out.suffix.lower() == ".html":
        picture = viz.page(root, title=expression)
    else:
        picture = viz.draw(root, formulas=formulas, theme=theme_named(theme).name)
    path = picture.save(out)
    root.backward()
    console.print(f"{expression} = {root.data:.6g}", markup=False)
    for name, leaf in leaves.items():
        console.print(f"  ∂/∂{name} = {leaf.grad:.6g}", markup=False)
    console.print(f"drawn in {path}", markup=False)


@app.command()
def gallery(
    out: Annotated[Path, typer.Option("--out", "-o", help="A folder.")] = Path("gallery"),
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
) -> None:
    """Show every kind of picture there is, on one page, of small models trained for it."""
    named = theme_named(theme).name
    out.mkdir(parents=True, exist_ok=True)
    with lab.progress_bar() as progress:
        files = write_gallery(out, named, progress)
    print_files(Console(), files)


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
    picture: Annotated[
        Path | None,
        typer.Option("--draw", help="Draw them as circles and lines: a .svg, .png or .dot file."),
    ] = None,
) -> None:
    """Print every neuron's z, activation and gradients, for one sample; perhaps draw them.

    L is the logistic loss of that sample. Compare --activation tanh, sigmoid and relu, and see
    how far gradients reach.
    """
    console = Console(highlight=False)
    samples = scalar.plane_dataset(dataset, seed)
    if not 0 <= sample < len(samples):
        raise tg.IndexingError(
            f"{dataset} has samples 0 to {len(samples) - 1}, so no sample {sample}"
        )
    rng = np.random.default_rng(seed)
    model = nn.MLP(2, [*widths(hidden), 1], activation=activation, fused=True, rng=rng)
    if steps:
        train_values(console, model, samples, steps)
    x, label = samples.inputs[sample].tolist(), int(samples.targets[sample])
    loss = scalar.logistic_loss([model(x)], [label])
    model.zero_grad()
    loss.backward()
    for line in (
        f"{dataset}[{sample}]: x = ({x[0]:.4f}, {x[1]:.4f}), class {label}",
        f"{model.table()}",
        f"L = {loss.data:.6f}",
    ):
        console.print(line, markup=False, soft_wrap=True)
    if picture is not None:
        console.print(f"drawn in {viz.draw_neurons(model).save(picture)}", markup=False)


Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", help="Of an input to draw, such as 4,3; repeatable.", metavar="N,..."),
]


@app.command(no_args_is_help=True)
def check(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:NAME", help="What to check.", show_default=False)
    ],
    shape: Shapes = None,
    order: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2,
            help="2 for second derivatives too. By default 2 of an op, else 1.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of inputs and initial weights.")] = 0,
    rtol: Annotated[float, typer.Option(help="What gradients may differ by, relatively.")] = 1e-6,
    atol: Annotated[float, typer.Option(help="What they may differ by besides.")] = 1e-8,
    batch_axis: Annotated[
        int, typer.Option(help="The axis of a module's samples; -1 if samples are to meet.", min=-1)
    ] = 0,
    picture: Annotated[
        Path | None,
        typer.Option("--draw", help="Draw what is wrong: a .svg, .png or .dot file."),
    ] = None,
) -> None:
    """Check an op, a function or a layer of your own: gradients, and what else all keep to.

    NAME is an op, a function of Values or Tensors, a Module, or a class or
    function that makes one of these without arguments. MODULE is imported
    from the current folder, or from what is installed. A function gets a
    number for each parameter, or arrays with --shape.

    For example:

      tinygrad-edu check layers:Gate --shape 4,3

      tinygrad-edu check ops:swish --draw swish.svg

      tinygrad-edu check losses:huber --shape 8 --shape 8 --order 2

    The exit code is 1 if something is wrong.
    """
    console = Console(highlight=False)
    axis = None if batch_axis < 0 else batch_axis
    try:
        told = checking.check(target, objects.shapes_of(shape or []), order, seed, rtol, atol, axis)
    except AssertionError as error:
        if not isinstance(error, tg.TinygradError):
            raise
        console.print(str(error), markup=False, soft_wrap=True)
        if picture is not None and error.graph is not None:
            console.print(f"drawn in {viz.draw(error.graph).save(picture)}", markup=False)
        elif picture is not None:
            console.print("There is no single op to draw.")
        raise typer.Exit(1) from error
    console.print(told, markup=False, soft_wrap=True)


@app.command(no_args_is_help=True)
def isolate(
    target: Annotated[
        str, typer.Argument(metavar="MODULE:NAME", help="The model.", show_default=False)
    ],
    shape: Shapes = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="MODULE:NAME", help="Returns inputs, or inputs and targets."),
    ] = None,
    loss: Annotated[str | None, typer.Option(help="mse or cross_entropy.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of inputs and initial weights.")] = 0,
    script: Annotated[
        Path | None, typer.Option(help="Where to write a script that shows the fault alone.")
    ] = None,
) -> None:
    """Find the module of a model that is at fault: wrong gradients, nan, dead units, and so on.

    NAME is a Module, or a class or function that makes one without
    arguments. Inputs are drawn with --shape, or returned by the function
    that --data names.

    For example:

      tinygrad-edu isolate models:classifier --shape 32,784 --loss cross_entropy

      tinygrad-edu isolate models:net --data models:batch --script fault.py

    The exit code is 1 if a fault was found.
    """
    console = Console(highlight=False)
    found = isolating.diagnose(target, objects.shapes_of(shape or []), data, loss, seed)
    console.print(str(found), markup=False, soft_wrap=True)
    if found.finding is None:
        return
    if script is not None:
        write(script, found.finding.script.encode())
        console.print(f"\nrun python {script} to see it alone", markup=False)
    raise typer.Exit(1)


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
