"""The commands of ``tinygrad-edu lab``: the experiments of a course, each as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

import nn
import tinygrad_edu as tg
import viz
from nn import experiments
from nn.experiments.comparison import Comparison
from nn.experiments.samples import rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

app = typer.Typer(
    no_args_is_help=True,
    help="Experiments of a course on neural networks, each in one command that prints a table.",
)

Data = Annotated[str, typer.Option(help=f"One of {', '.join(nn.data.DATASETS)}.")]
Images = Annotated[str, typer.Option("--data", help="A data set of images, such as digits.")]
Hidden = Annotated[str, typer.Option(help="The width of each hidden layer.")]
Epochs = Annotated[int, typer.Option(min=1, help="How often to go through the samples.")]
Samples = Annotated[
    int | None,
    typer.Option(min=1, help="How many to learn from; by default all.", show_default=False),
]
Few = Annotated[int, typer.Option(min=1, help="How many samples to learn from.")]
HeldOut = Annotated[int, typer.Option(min=1, help="How many samples to measure on.")]
LearningRate = Annotated[float, typer.Option(help="The learning rate.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed repeats all but the times.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", help="Also draw it: a .svg, .png or .pdf file.", show_default=False
    ),
]


@app.command()
def neurons(
    data: Data = "digits",
    sample: Annotated[int, typer.Option(help="Which sample to look at.")] = 0,
    hidden: Hidden = "8,8",
    activation: Annotated[str, typer.Option(help=f"One of {', '.join(nn.ACTIVATIONS)}.")] = "tanh",
    seed: Seed = 0,
) -> None:
    """Every neuron's z, activation, ∂L/∂z and ∂L/∂a for one sample, in a network of Tensors.

    L is the cross-entropy of that sample.
    """
    dataset = rows(data)
    if not 0 <= sample < len(dataset):
        raise tg.IndexingError(f"{data} has samples 0 to {len(dataset) - 1}, so no sample {sample}")
    sizes = [dataset.inputs.shape[1], *_integers(hidden), len(dataset.classes)]
    model = nn.zoo.feedforward(sizes, activation, rng=np.random.default_rng(seed))
    x, y = dataset[sample]
    _print(experiments.neurons(model, x, y))


@app.command()
def activations(
    names: Annotated[str, typer.Option("--activations", help="Which to compare.")] = (
        "relu,tanh,sigmoid"
    ),
    hidden: Hidden = "32,32,32,32",
    seed: Seed = 0,
    out: Out = None,
) -> None:
    """The gradient of each layer with one activation after another, from the same weights."""
    found = experiments.swap_activations(_words(names), hidden=_integers(hidden), seed=seed)
    norms = {row.activation: row.gradient_norms for row in found.rows}
    _print(found, out, lambda: viz.plots.lines(norms, "layer", "norm of its gradient"))


@app.command()
def tiers(
    sizes: Annotated[str, typer.Option(help="The widths of the model, input first.")] = "2,16,16,1",
    samples: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed.")] = 3,
    seed: Seed = 0,
) -> None:
    """One model of Values and of Tensors: the same loss and gradients, and how long each takes."""
    _print(
        experiments.scalar_versus_vectorised(_integers(sizes), samples, rounds=rounds, seed=seed)
    )


@app.command("running-statistics")
def running_statistics(
    data: Images = "digits",
    epochs: Epochs = 1,
    samples: Samples = None,
    lr: LearningRate = 1e-3,
    seed: Seed = 0,
    out: Out = None,
) -> None:
    """What batch norms remember in training, next to the true statistics of what came in."""
    with progress_bar() as progress:
        found = experiments.running_statistics(
            None, data, epochs, samples, lr=lr, seed=seed, progress=progress
        )
    series = {
        f"{log.path}: {what}": np.mean(numbers, axis=1)
        for log in found.norms
        for what, numbers in (
            ("running mean", log.running_mean),
            ("of the batch", log.batch_mean),
            ("running variance", log.running_var),
            ("of the batch, variance", log.batch_var),
        )
    }
    _print(found, out, lambda: viz.plots.lines(series, "step", "mean over the channels"))


@app.command()
def clipping(
    max_norm: Annotated[float, typer.Option(help="The largest norm that stays.")] = 1.5,
    data: Data = "digits",
    epochs: Epochs = 2,
    hidden: Hidden = "64,64",
    lr: LearningRate = 0.1,
    samples: Samples = None,
    seed: Seed = 0,
    out: Out = None,
) -> None:
    """The norm of the gradient of every step, before and after clipping."""
    with progress_bar() as progress:
        found = experiments.clipping(
            max_norm, data, epochs, _integers(hidden), lr, samples, seed=seed, progress=progress
        )
    norms = {"before clipping": found.before, "after clipping": found.after}
    _print(found, out, lambda: viz.plots.lines(norms, "step", "norm of the gradient"))


@app.command("weight-decay")
def weight_decay(
    decays: Annotated[str, typer.Option(help="The weight decays to train with.")] = "0,1",
    data: Data = "digits",
    epochs: Epochs = 5,
    hidden: Hidden = "64,64",
    lr: LearningRate = 3e-3,
    samples: Samples = None,
    held_out: HeldOut = 360,
    seed: Seed = 0,
    out: Out = None,
) -> None:
    """How the weights are distributed before training, and after it with and without decay."""
    with progress_bar() as progress:
        found = experiments.weight_decay(
            _floats(decays),
            data,
            epochs,
            _integers(hidden),
            lr,
            samples,
            held_out,
            seed=seed,
            progress=progress,
        )
    groups = {h.name: (h.counts, found.edges) for h in found.histograms}
    _print(found, out, lambda: viz.plots.histograms(groups))


@app.command()
def skip(
    removed: Annotated[str, typer.Option(help="The block, layer1.0 to layer4.1.")] = "layer1.0",
    data: Images = "digits",
    epochs: Epochs = 3,
    samples: Few = 192,
    held_out: HeldOut = 100,
    lr: LearningRate = 1e-3,
    seed: Seed = 0,
    out: Out = None,
) -> None:
    """ResNet-18 with all skip connections and with one of them removed, epoch by epoch."""
    with progress_bar() as progress:
        found = experiments.without_skip(
            removed, data, epochs, samples, held_out, lr, seed=seed, progress=progress
        )
    _print(found, out, lambda: _curves(found))


@app.command("squeeze-excite")
def squeeze_excite(
    model: Annotated[
        str, typer.Option(help="baseline_cnn, or the slow efficientnet_lite0.")
    ] = "baseline_cnn",
    data: Images = "digits",
    epochs: Epochs = 5,
    samples: Samples = None,
    held_out: HeldOut = 360,
    lr: LearningRate = 1e-3,
    seed: Seed = 0,
    out: Out = None,
) -> None:
    """A convolutional network with squeeze and excitation and without, epoch by epoch."""
    with progress_bar() as progress:
        found = experiments.without_squeeze_excite(
            model, data, epochs, samples, held_out, lr, seed=seed, progress=progress
        )
    _print(found, out, lambda: _curves(found))


@app.command()
def zoo(
    models: Annotated[
        str | None,
        typer.Option(
            help=f"Some of {', '.join(nn.zoo.models())}; by default all for images.",
            show_default=False,
        ),
    ] = None,
    data: Images = "digits",
    epochs: Epochs = 1,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many to learn from; by default all, and fewer for the slow models.",
            show_default=False,
        ),
    ] = None,
    held_out: HeldOut = 100,
    lr: LearningRate = 1e-3,
    seed: Seed = 0,
) -> None:
    """Parameters, multiply-adds, accuracy and seconds per epoch of every model for images."""
    names = None if models is None else _words(models)
    with progress_bar() as progress:
        found = experiments.zoo_table(
            names, data, epochs, samples, held_out, lr, seed=seed, progress=progress
        )
    _print(found)


@app.command()
def optimizers(
    names: Annotated[str, typer.Option("--optimizers", help="Which to compare.")] = (
        "sgd,adam,adamw"
    ),
    lrs: Annotated[str, typer.Option(help="The learning rates.")] = "1e-4,1e-3,1e-2,1e-1,1",
    data: Data = "digits",
    epochs: Epochs = 5,
    hidden: Hidden = "64",
    samples: Samples = None,
    held_out: HeldOut = 360,
    seed: Seed = 0,
) -> None:
    """Every optimizer with every learning rate: accuracy, loss, and where training diverges."""
    with progress_bar() as progress:
        found = experiments.optimizers_by_learning_rate(
            _words(names),
            _floats(lrs),
            data,
            epochs,
            _integers(hidden),
            samples,
            held_out,
            seed=seed,
            progress=progress,
        )
    _print(found)


def _print(found: Any, out: Path | None = None, draw: Callable[[], Axes] | None = None) -> None:
    typer.echo(str(found))
    if out is not None and draw is not None:
        typer.echo(f"drawn in {viz.plots.save(draw(), out)}")


def _curves(found: Comparison) -> Axes:
    histories = {
        curve.name: [{"epoch": i, "loss": loss} for i, loss in enumerate(curve.validation_loss, 1)]
        for curve in (found.plain, found.without)
    }
    return viz.plots.overlaid_curves(histories, "loss")


@contextmanager
def progress_bar() -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error, if someone sees it, as what an experiment tells of its progress."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda doing, share: progress.update(task, description=doing, completed=share)


def _words(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _integers(text: str) -> list[int]:
    return _numbers(text, int, "positive integers such as 64,32", lambda n: n > 0)


def _floats(text: str) -> list[float]:
    return _numbers(text, float, "numbers such as 0.1,1e-3", lambda x: True)


def _numbers(
    text: str, kind: Callable[[str], Any], wanted: str, right: Callable[[Any], bool]
) -> Any:
    """The numbers in ``"64,32"``.

    Raises:
        ConfigurationError: one is not what is wanted.
    """
    try:
        found = [kind(part) for part in _words(text)]
    except ValueError:
        found = []
    if not found or not all(map(right, found)):
        raise nn.ConfigurationError(f"expected {wanted}, not {text!r}")
    return found
