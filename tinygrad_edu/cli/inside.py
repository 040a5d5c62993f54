"""The sections of a report that look inside a model: while it trained, and at what it became."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from nn.layers.activation import Activation
from tinygrad_edu.cli.run import Run
from tinygrad_edu.graph import plain
from viz.report import Section

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The most rows, lines and panels of a picture that can still be read.
_ROWS, _LINES, _PANELS = 40, 12, 6
# How many tokens of a text to show the attention of.
_TOKENS = 24

# What may be wrong with the units of a layer: the file of its picture, its heading and text.
_UNITS = {
    "dead": (
        "dead_units.svg",
        "Which of its units were dead",
        "The share of a layer's units that were 0 for every sample of a step's batch.",
    ),
    "saturated": (
        "saturated_units.svg",
        "Which of its activations were saturated",
        "The share of a layer's activations within 0.01 of a limit of their function, where its"
        " slope is nearly 0.",
    ),
}


def plot_section(plot: Axes, path: Path, heading: str, text: str) -> Section:
    """A plot, written to ``path``, as a section of a report."""
    viz.plots.save(plot, path)
    return Section(heading, text, svg=path.read_text(encoding="utf-8"))


def training_sections(run: Run) -> list[Section]:
    """Gradients, updates and activations over the steps, as the run's recorder saw them."""
    recorder, folder = run.recorder, run.folder
    if recorder is None or not recorder.snapshots:
        return []
    last = recorder.snapshots[-1]
    weights = [path for path, p in run.model.named_parameters() if np.ndim(plain(p)) > 1]
    sections = [
        plot_section(
            viz.plots.gradient_flow_over_time(recorder, names=_some(list(last.gradients), _ROWS)),
            folder / "gradients.svg",
            "How its gradients flowed",
            f"At {len(recorder.snapshots)} of the steps, for each parameter. A row that fades from"
            " the last layer to the first has gradients that vanish on their way.",
        ),
        plot_section(
            viz.plots.update_ratio(recorder, _some(weights, _LINES)),
            folder / "updates.svg",
            "How far its steps went",
            "By how much a step changed a weight, relative to its size. About a thousandth is"
            " common; much more may diverge, much less learns slowly.",
        ),
    ]
    layers = [
        path
        for path, module in run.model.named_modules()
        if isinstance(module, Activation) and path in last.activations
    ]
    for share, (file, heading, text) in _UNITS.items():
        rows = [
            path
            for path in layers
            if any(getattr(each.activations[path], f"{share}_share") for each in recorder.snapshots)
        ]
        if rows:
            plot = viz.plots.dead_units_over_time(recorder, share, _some(rows, _ROWS))
            sections.append(plot_section(plot, folder / file, heading, text))
    if layers:
        sections.append(
            plot_section(
                viz.plots.histograms_over_time(recorder, names=_some(layers, _PANELS)),
                folder / "activations.svg",
                "What its activations were",
                "How they were distributed at each step that was recorded.",
            )
        )
    return sections


def convolution_sections(run: Run) -> list[Section]:
    """The filters of the first convolution, and what they find in a held-out image."""
    found = ((p, m) for p, m in run.model.named_modules() if isinstance(m, nn.Conv2d))
    path, convolution = next(found, ("", None))
    if convolution is None or run.parts.kind != "images":
        return []
    outputs: list[Any] = []
    remove = convolution.register_forward_hook(lambda module, x, y: outputs.append(y.data))
    try:
        nn.training.predict(run.model, run.parts.held_out.batch([0])[0])
    finally:
        remove()
    return [
        plot_section(
            viz.plots.filters(convolution.weight),
            run.folder / "filters.svg",
            "What it looks for",
            f"The filters of its first convolution, {path}: blue is negative, orange positive.",
        ),
        plot_section(
            viz.plots.feature_maps(outputs[0]),
            run.folder / "feature_maps.svg",
            "What it finds",
            f"What {path} makes of the first held-out image, a map for each filter.",
        ),
    ]


def attention_sections(run: Run) -> list[Section]:
    """Where the first block of a language model looks, in the beginning of the held-out text."""
    if run.parts.kind != "text":
        return []
    tokens = run.parts.held_out.batch([0])[0][:, :_TOKENS]
    run.model.eval()
    attentions = [p for p, m in run.model.named_modules() if isinstance(m, nn.MultiheadAttention)]
    weights = next(
        node
        for node in tg.topological_order(run.model(tokens))
        if node.op is not None and node.op.name == "softmax" and node.scope == attentions[0]
    )
    return [
        plot_section(
            viz.plots.attention_maps(
                plain(weights), [str(run.parts.tokenizer.decode([token])) for token in tokens[0]]
            ),
            run.folder / "attention.svg",
            "Where it looks",
            f"The heads of {attentions[0]}: from each character (row) of the held-out text's"
            " beginning to itself and those before it (columns).",
        )
    ]


def _some(names: Sequence[str], most: int) -> list[str]:
    """At most so many of the names, evenly apart, with the first and the last."""
    places = np.linspace(0, len(names) - 1, min(most, len(names)))
    return [names[int(place)] for place in np.round(places)]
