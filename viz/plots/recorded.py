"""What a recorder saw, as rows of numbers by layer: over the steps, or at the last of them.

A recorder is anything with ``snapshots``, in the order of their ``step``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu import UnknownNameError
from viz.plots.style import (
    Array,
    PlotError,
    axes_for,
    colour_bar,
    dress,
    in_percent,
    legend_beside,
    line_style,
    literal,
    look,
    panels,
    tints,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh

# What a snapshot has histograms of.
_KINDS = ("activations", "parameters", "gradients", "activation_gradients")

# What can be wrong with a unit: the field of a summary, and its name.
_SHARES = {
    "dead": ("dead_share", "dead units: 0 for every sample"),
    "zero": ("zero_share", "activations that are 0"),
    "saturated": ("saturated_share", "saturated activations"),
}

# The most that the largest number of a logarithmic scale may be of the smallest.
_SPAN = 1e12

# In inches, the height of a row of a layer.
_ROW = 0.24


def histograms_over_time(
    recorder: Any, of: str = "activations", names: Sequence[str] = (), *, ax: Axes | None = None
) -> Axes:
    """How numbers are distributed at each step of training, a panel for each layer.

    The colour is the density, as a share of the highest of its step.

    Args:
        recorder: as ``viz.recorder`` returns it.
        of: ``"activations"``, ``"parameters"``, ``"gradients"`` or ``"activation_gradients"``.
        names: which layers or parameters; by default all.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: nothing was recorded.
        UnknownNameError: there are no such numbers, or no such layer.
    """
    if of not in _KINDS:
        raise UnknownNameError("histograms over time", of, _KINDS)
    names = _known(recorder, of, names)
    columns = min(len(names), 3)
    outer, places = panels(
        ax, len(names), columns, (2.5, 1.8), left=0.55, right=0.1, bottom=0.5, top=0.35, beside=0.9
    )
    mesh = None
    for name, axes in zip(names, places, strict=True):
        dress(axes, "")
        axes.set_title(literal(name), loc="left", fontsize=10, color=look().ink)
        axes.set_xlabel("step", color=look().muted, fontsize=9)
        axes.grid(visible=False)
        mesh = _draw_histograms(axes, recorder, of, name) or mesh
    if mesh is not None:
        bar = colour_bar(mesh, outer, "density, of its step's highest")
        in_percent(bar.ax.yaxis)
    return outer


def dead_units(recorder: Any, names: Sequence[str] = (), *, ax: Axes | None = None) -> Axes:
    """Which share of each layer was dead or saturated at the last step that was recorded.

    Args:
        recorder: as ``viz.recorder`` returns it.
        names: which layers; by default all.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: nothing was recorded.
        UnknownNameError: there is no such layer.
    """
    found = {
        label: over_steps(recorder, "activations", field, names)[1]
        for field, label in _SHARES.values()
    }
    layers = list(next(iter(found.values())))
    axes = axes_for(ax, 8.2, max(1.6, 0.9 + 2 * _ROW * len(layers)))
    dress(axes, "at the last step")
    height = 0.8 / len(found)
    handles = []
    for i, rows in enumerate(found.values()):
        shares = [rows[layer][-1] for layer in layers]
        places = np.arange(len(layers)) + (i - 1) * height
        handles.append(
            axes.barh(places, np.nan_to_num(shares), 0.9 * height, color=line_style(i)["color"])
        )
        for place, share in zip(places, shares, strict=True):
            # A share that nobody can define, of a function that does not saturate, is not 0 %.
            text = "–" if np.isnan(share) else f"{100 * share:.3g} %"
            axes.annotate(
                text,
                (0 if np.isnan(share) else share, place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color=look().muted,
            )
    axes.set_yticks(range(len(layers)), [literal(layer) for layer in layers])
    axes.set_ylim(len(layers) - 0.5, -0.5)
    axes.set_xlim(0, 1.1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    in_percent(axes.xaxis)
    legend_beside(axes, handles, list(found))
    return axes


def dead_units_over_time(
    recorder: Any, share: str = "dead", names: Sequence[str] = (), *, ax: Axes | None = None
) -> Axes:
    """Which share of each layer is dead or saturated over the steps of training.

    Args:
        recorder: as ``viz.recorder`` returns it.
        share: of what: ``"dead"``, units that are 0 for every sample of the batch; ``"zero"``,
            activations that are 0; or ``"saturated"``, those near a limit of their function.
        names: which layers; by default all that have such a share.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: nothing was recorded, or no layer has such a share.
        UnknownNameError: there is no such share or layer.
    """
    if share not in _SHARES:
        raise UnknownNameError("share of units", share, _SHARES)
    field, label = _SHARES[share]
    steps, rows = over_steps(recorder, "activations", field, names)
    rows = {name: row for name, row in rows.items() if not np.isnan(row).all()}
    if not rows:
        raise PlotError(f"no layer that was recorded has {label}")
    return heat_map(steps, rows, "share", label, ax, share=True)


def over_steps(
    recorder: Any, kind: str, field: str | None, names: Sequence[str] = ()
) -> tuple[list[int], dict[str, Array]]:
    """The steps, and by name a number at each, nan where there was none.

    Args:
        recorder: anything with ``snapshots``.
        kind: which dictionary of theirs.
        field: the number to take of each entry; by default the entry is the number.
        names: which entries; by default all that any snapshot has.
    """
    names = _known(recorder, kind, names)
    rows = {name: np.full(len(recorder.snapshots), np.nan) for name in names}
    for i, snapshot in enumerate(recorder.snapshots):
        entries = getattr(snapshot, kind)
        for name in names:
            entry = entries.get(name)
            value = entry if field is None or entry is None else getattr(entry, field)
            if value is not None:
                rows[name][i] = value
    return [snapshot.step for snapshot in recorder.snapshots], rows


def heat_map(
    steps: Sequence[int],
    rows: Mapping[str, Array],
    label: str,
    title: str,
    ax: Axes | None,
    share: bool = False,
) -> Axes:
    """A row for each layer, a column for each step; on a logarithmic scale unless it is a share."""
    numbers = np.ma.masked_invalid(np.array(list(rows.values())))
    axes = axes_for(ax, 8.2, max(2.4, 1.2 + _ROW * len(rows)))
    dress(axes, title)
    axes.grid(visible=False)
    from matplotlib.colors import LogNorm, Normalize

    norm: Normalize = Normalize(0, 1)
    if not share:
        numbers = np.ma.masked_less_equal(numbers, 0)
        if numbers.count():
            high = float(numbers.max())
            low = max(float(numbers.min()), high / _SPAN)  # what is less has the colour of low
            norm = LogNorm(low, high if high > low else 2 * low)
    mesh = axes.pcolormesh(
        _sides(steps),
        np.arange(len(rows) + 1) - 0.5,
        numbers,
        cmap=tints(),
        norm=norm,
        rasterized=True,
    )
    axes.set_facecolor(look().nothing)
    axes.set_yticks(range(len(rows)), [literal(name) for name in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("step", color=look().muted)
    bar = colour_bar(mesh, axes, label)
    if share:
        in_percent(bar.ax.yaxis)
    return axes


def _known(recorder: Any, kind: str, names: Sequence[str]) -> list[str]:
    """The names that were asked for, or all; each in one of the snapshots."""
    snapshots = getattr(recorder, "snapshots", None)
    if snapshots is None:
        raise PlotError(
            f"a recorder has snapshots, as viz.recorder's has; {type(recorder).__name__} has none"
        )
    known = list(dict.fromkeys(name for s in snapshots for name in getattr(s, kind)))
    if not known:
        raise PlotError(
            f"there are no {kind.replace('_', ' ')} in the {len(snapshots)} snapshots of the"
            " recorder: train with it among the callbacks first"
        )
    for name in names:
        if name not in known:
            raise UnknownNameError(f"name among the recorded {kind}", name, known)
    return list(names) or known


def _draw_histograms(axes: Axes, recorder: Any, of: str, name: str) -> QuadMesh | None:
    """A column for each snapshot, in its own bins."""
    sides = _sides([snapshot.step for snapshot in recorder.snapshots])
    mesh = None
    for i, snapshot in enumerate(recorder.snapshots):
        summary = getattr(snapshot, of).get(name)
        if summary is None or not np.sum(summary.counts):
            continue
        density = summary.counts / np.diff(summary.edges)
        column = (density / density.max())[:, None]
        mesh = axes.pcolormesh(
            sides[i : i + 2], summary.edges, column, cmap=tints(), vmin=0, vmax=1, rasterized=True
        )
    axes.set_xlim(sides[0], sides[-1])
    return mesh


def _sides(steps: Sequence[int]) -> Array:
    """Where the columns of a heat map begin and end: halfway between the steps."""
    places = np.asarray(steps, float)
    between = (places[1:] + places[:-1]) / 2
    first = places[0] - (between[0] - places[0] if len(between) else 0.5)
    last = places[-1] + (places[-1] - between[-1] if len(between) else 0.5)
    return np.array([first, *between, last])
