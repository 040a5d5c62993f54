"""The pictures of a run, and the page that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Tensor
from tinygrad_edu.cli import scalar
from tinygrad_edu.cli.evaluation import answers, confusion_plot, mistakes_plot
from tinygrad_edu.cli.inside import (
    attention_sections,
    convolution_sections,
    plot_section,
    training_sections,
)
from tinygrad_edu.cli.run import Run
from tinygrad_edu.cli.settings import build_loader
from viz.dot import Direction
from viz.report import Section, report

# How many samples the loss in a run's picture is of.
BATCH = 32


def write_report(run: Run, title: str, extra: Sequence[Section] = ()) -> list[Path]:
    """Draw a run's curves, its model and what it learned, and a page that shows them all.

    Args:
        run: what to report on.
        title: the page's heading.
        extra: sections to add at the end, their pictures already written.

    Returns:
        The files of the run.
    """
    sections = [
        plot_section(
            viz.plots.curves(run.history),
            run.folder / "curves.svg",
            "How it learned",
            "After each epoch, on the samples it trains on and on validation samples it does not."
            f" The weights kept are those of epoch {run.best_epoch}, where the validation loss was"
            " lowest.",
        ),
        *_seen_sections(run),
        *_learned_sections(run),
        *convolution_sections(run),
        *attention_sections(run),
        *training_sections(run),
        *_model_sections(run),
        *extra,
        Section(
            "The metrics",
            "Of every epoch, as in metrics.csv.",
            table=[
                [name.replace("_", " ") for name in run.history[0]],
                *([f"{number:.4g}" for number in row.values()] for row in run.history),
            ],
        ),
        Section(
            "The settings",
            f"Kept in the checkpoint: tinygrad-edu train --resume {run.folder} goes on from it.",
            table=[
                ("setting", "value"),
                *((name, _value(x)) for name, x in run.settings.as_dict().items()),
            ],
        ),
    ]
    names = {name: f"held-out {name}" for name in run.scores}
    numbers = {
        "data set": run.parts.whole.name,
        **{names[name]: _score(name, x) for name, x in run.scores.items()},
        "held-out samples": f"{len(run.parts.held_out):,}",
        "epochs": f"{len(run.history)}",
        "training time": f"{run.seconds:.1f} s",
        "parameters": f"{sum(p.size for p in run.model.parameters()):,}",
    }
    report(title, sections, run.folder / "report.html", numbers=numbers)
    return sorted(path for path in run.folder.iterdir() if path.is_file())


def _seen_sections(run: Run) -> list[Section]:
    """The first images that it learned from, changed at random as they were."""
    if run.parts.kind != "images":
        return []
    batches = build_loader(run.settings, run.parts)
    return [
        plot_section(
            viz.show_batch(batches),
            run.folder / "batch.svg",
            "What it saw",
            "The first batch, as training saw it, with its labels.",
        )
    ]


def _learned_sections(run: Run) -> list[Section]:
    """What the model says of samples it never saw."""
    parts, folder = run.parts, run.folder
    if parts.kind == "text":
        return [Section("What it writes", sample_text(run))]
    if not parts.classifies:
        return []
    sections = []
    if parts.sample.shape == (2,):
        sections.append(
            plot_section(
                viz.plots.decision_boundary(
                    lambda points: nn.training.predict(run.model, points.astype(np.float32)),
                    parts.held_out.inputs,
                    parts.held_out.targets,
                ),
                folder / "decision_boundary.svg",
                "What it learned",
                "The class it chooses at every place, and the held-out points.",
            )
        )
    found = answers(run.model, parts.held_out, run.scores)
    sections.append(
        plot_section(
            confusion_plot(found),
            folder / "confusion.svg",
            "What it confuses",
            "How many of the held-out samples of each class (row) it takes for each (column).",
        )
    )
    if parts.kind == "images":
        mistakes = mistakes_plot(found)
        if mistakes is not None:
            sections.append(
                plot_section(
                    mistakes,
                    folder / "mistakes.svg",
                    "Where it is wrong",
                    "Held-out images that it takes for something else, and how sure it is of that.",
                )
            )
    return sections


def _model_sections(run: Run) -> list[Section]:
    """The graph that taught it, a page to step through it, and its modules in a table."""
    with tg.source_lines():
        loss = batch_loss(run)
    graph = drawing_section(
        loss,
        run.folder / "model.svg",
        "The graph that taught it",
        f"The loss of {BATCH} held-out samples, as a graph of Tensors, with the norm of its"
        " gradient by each. Forward runs along the arrows, backward against them.",
        direction="TB",
    )
    try:
        title = f"Backpropagation through {type(run.model).__name__}"
        page = viz.page(loss, recorder=run.recorder, title=title)
        page.save(run.folder / "backprop.html")
        link = "backprop.html", "Step through it, forward and backward, with the numbers put in"
        graph = replace(graph, link=link)
    except viz.LayoutError as error:
        graph = replace(graph, text=f"{graph.text}\n\nThere is no page to step through: {error}.")
    dtype = run.parts.sample.dtype
    summary = run.model.summary((1, *run.parts.sample.shape), dtype=dtype)
    rows = [
        (
            row.path or "model",
            row.kind,
            ", ".join(" × ".join(map(str, shape)) for shape in row.output_shapes),
            f"{row.parameters:,}" if row.parameters else "",
            f"{row.multiply_adds:,}" if row.multiply_adds else "",
        )
        for row in summary.rows
    ]
    return [
        graph,
        Section(
            "The model",
            f"{summary.parameters:,} parameters, in model.safetensors by name;"
            f" {summary.multiply_adds:,} multiply-adds for one sample.",
            table=[("module", "kind", "output", "parameters", "multiply-adds"), *rows],
        ),
    ]


def sample_text(run: Run, length: int = 300) -> str:
    """What a language model writes, from the first character of the held-out text on."""
    assert isinstance(run.model, nn.zoo.GPT)
    tokenizer = run.parts.tokenizer
    begin = run.parts.held_out.batch([0])[0][:, :8]
    with nn.random.seeded(run.settings.seed):
        tokens = run.model.generate(begin, length)
    return str(tokenizer.decode(tokens[0]))


def scalar_sections(folder: Path, model: nn.MLP, samples: nn.data.Dataset) -> list[Section]:
    """Draw what a network of Values learned, and one of its neurons at work."""
    x = [tg.Value(number, label=f"x{i}") for i, number in enumerate(samples.inputs[0].tolist())]
    neuron = model.layers[0].neurons[0]
    loss = scalar.logistic_loss([model(x)], [int(samples.targets[0])])
    circles = viz.draw_neurons(model, loss).save(folder / "neurons.svg")
    return [
        plot_section(
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
        Section(
            "All of its neurons",
            "At the first sample: each circle a neuron, each line a weight, coloured by the"
            " gradient of the loss of that sample.",
            svg=circles.read_text(encoding="utf-8"),
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


def drawing_section(
    node: tg.Node, path: Path, heading: str, text: str, direction: Direction = "LR"
) -> Section:
    """The drawing of a graph, written to ``path``, as a section of a report."""
    drawing = viz.draw(node, direction=direction).save(path)
    return Section(heading, text, svg=drawing.read_text(encoding="utf-8"))


def batch_loss(run: Run) -> Tensor:
    """The loss of the first held-out samples, with its graph."""
    run.model.eval()
    inputs, targets = run.parts.held_out.batch(range(min(BATCH, len(run.parts.held_out))))
    x = Tensor(inputs, label="x", requires_grad=inputs.dtype.kind == "f")
    loss: Tensor = run.trainer.loss(run.model(x), targets)
    loss.label = "loss"
    return loss


def _score(name: str, value: float) -> str:
    return f"{value:.2%}" if name == "accuracy" else f"{value:.4f}"


def _value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
