"""Numbers over the epochs or steps of training: of one run, of several, of anything recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from tinygrad_edu import ShapeError, UnknownNameError
from viz.plots.style import (
    HistoryError,
    PlotError,
    axes_for,
    dress,
    in_percent,
    legend_above,
    legend_beside,
    legend_height,
    legend_of_panels,
    line_style,
    literal,
    log_if_wide,
    look,
    numbers,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# The halves of a history: the prefix of their columns, the name, colour and style of their curves.
_HALVES = {
    "train": ("training", 0, "-"),
    "validation": ("validation", 1, "--"),
}

# Up to how many points a line has a marker at each.
_FEW = 25
# From how many points on a line is thin.
_MANY = 200


def curves(history: Sequence[Mapping[str, Any]], *, ax: Axes | None = None) -> Axes:
    """Loss, metrics and learning rate over the epochs, for training and validation.

    Args:
        history: a row per epoch with ``epoch`` (by default counted from 1) and any of
            ``train_loss``, ``validation_loss`` and the same of any metric: ``train_accuracy``
            (between 0 and 1), ``validation_r2`` and so on; and ``learning_rate``. The epoch of the
            lowest validation loss is marked.
        ax: where to draw; by default in a new figure.

    Returns:
        Axes with a panel for the loss, one for each metric that was measured, and one for the
        learning rate if it changed.

    Raises:
        HistoryError: no row has a loss or a metric, or one is no number.
        MissingExtraError: matplotlib is not installed.
    """
    rows = _rows(history, "the history")
    keys = [
        key
        for key in dict.fromkeys(key for row in rows for key in row)
        if _half(key) in _HALVES and any(_measure(row, key) is not None for row in rows)
    ]
    quantities = sorted(dict.fromkeys(map(_quantity, keys)), key=lambda name: name != "loss")
    if not quantities:
        raise HistoryError(
            "a history needs rows with any of train_loss, validation_loss, train_accuracy,"
            " validation_accuracy, or train_ and validation_ with the name of another metric"
        )
    epochs = _epochs(rows)
    losses = [_measure(row, "validation_loss") for row in rows]
    best = min(
        (pair for pair in zip(losses, epochs, strict=True) if pair[0] is not None), default=None
    )
    rates = [_measure(row, "learning_rate") for row in rows]
    shown = [*quantities, "learning_rate"] if len({*rates} - {None}) > 1 else quantities
    # Three in a row fit into a report; one or two may be wider.
    columns = 2 if len(shown) == 4 else min(len(shown), 3)
    size = (4.0 if columns < 3 else 2.8), 2.7
    outer, places = panels(
        ax, len(shown), columns, size, left=0.6, right=0.05, bottom=0.55, top=0.35
    )
    named: dict[str, Line2D] = {}
    for quantity, axes in zip(shown, places, strict=True):
        dress(axes, literal(quantity.replace("_", " ")))
        count_along(axes, "epoch")
        for half, (name, colour, style) in _HALVES.items():
            key = f"{half}_{quantity}"
            if key in keys:
                values = [_measure(row, key) for row in rows]
                named[name] = _marked(
                    axes, epochs, values, color=look().colours[colour], linestyle=style, label=name
                )
        if quantity == "learning_rate":
            _marked(axes, epochs, rates, color=look().ink)
            log_if_wide(axes, [rate for rate in rates if rate is not None])
        if best is not None:
            name = f"best epoch: {best[1]}"
            named[name] = axes.axvline(
                best[1], color=look().muted, linewidth=1.2, linestyle=":", zorder=1
            )
        if _is_share(quantity):
            in_percent(axes.yaxis)
    legend_of_panels(outer, list(named.values()), list(named), ncols=3)
    return outer


def overlaid_curves(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    quantity: str = "validation_loss",
    *,
    ax: Axes | None = None,
) -> Axes:
    """One quantity of several runs over the epochs, a line for each run.

    Args:
        histories: by the name of the run, its history as ``curves`` takes it.
        quantity: the column of the histories. Its axis is logarithmic if it spans more than a
            factor of 100.
        ax: where to draw; by default in a new figure.

    Raises:
        HistoryError: there are no runs, one has no rows, or a value is no number.
        UnknownNameError: a run has no such quantity.
        MissingExtraError: matplotlib is not installed.
    """
    if not histories:
        raise HistoryError("overlaid_curves takes the history of one run or more, not of none")
    drawn: dict[str, tuple[list[Any], list[float | None]]] = {}
    for name, history in histories.items():
        rows = _rows(history, f"the history of run {name!r}")
        if not rows:
            raise HistoryError(f"the history of run {name!r} has no rows")
        known = dict.fromkeys(key for row in rows for key in row)
        if quantity not in known:
            raise UnknownNameError(f"quantity of run {name!r}", quantity, known)
        drawn[name] = _epochs(rows), [_measure(row, quantity) for row in rows]
    axes = overlaid(drawn, "epoch", quantity.replace("_", " "), ax)
    if _is_share(_quantity(quantity)):
        in_percent(axes.yaxis)
    return axes


def lines(
    series: Mapping[str, ArrayLike],
    xlabel: str,
    ylabel: str,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Numbers that were recorded one after another, a line for each series.

    Args:
        series: by name, the numbers ``(n,)`` from step 1 on; n may differ. Where one is nan or
            infinite, its line has a gap.
        xlabel: what the steps are.
        ylabel: what the numbers are. Their axis is logarithmic if they span more than a factor of
            100.
        ax: where to draw; by default in a new figure.

    Raises:
        PlotError: there are no series, or one holds no numbers.
        ShapeError: a series is no vector, or empty.
        MissingExtraError: matplotlib is not installed.
    """
    if not series:
        raise PlotError("lines takes one series of numbers or more, not none")
    drawn: dict[str, tuple[list[Any], list[float | None]]] = {}
    for name, given in series.items():
        values = numbers(f"series {name!r}", given)
        if values.ndim != 1 or not len(values):
            raise ShapeError(f"series {name!r} takes numbers (n,), n > 0, not {values.shape}")
        steps = list(range(1, len(values) + 1))
        drawn[name] = steps, [x if math.isfinite(x) else None for x in values.tolist()]
    return overlaid(drawn, xlabel, ylabel, ax)


def learning_rate_finder(found: Any, *, ax: Axes | None = None) -> Axes:
    """The loss over the learning rates of a range test, with the suggested one marked.

    Args:
        found: what ``nn.optim.find_learning_rate`` returned: anything with ``lrs``, the learning
            rates, ``losses``, the smoothed loss at each, and ``suggestion``, one of them or None.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: it is nothing of the kind, or a learning rate is not positive.
        ShapeError: there are not as many learning rates as losses, or none.
    """
    if not all(hasattr(found, name) for name in ("lrs", "losses", "suggestion")):
        raise PlotError(
            "learning_rate_finder takes what find_learning_rate returned, with lrs, losses and a"
            f" suggestion, not {type(found).__name__}"
        )
    rates, losses = numbers("learning rates", found.lrs), numbers("losses", found.losses)
    if rates.ndim != 1 or rates.shape != losses.shape or not len(rates):
        raise ShapeError(
            f"learning rates (n,) and losses (n,), n > 0, not {rates.shape} and {losses.shape}"
        )
    if not (rates > 0).all():
        raise PlotError("a learning rate on a logarithmic axis is positive")
    axes = axes_for(ax, 6.4, 3.6)
    dress(axes, "loss, smoothed")
    _line(axes, rates.tolist(), losses.tolist(), linewidth=1.6, color=look().colours[0])
    axes.set_xscale("log")
    axes.set_xlabel("learning rate", color=look().muted)
    log_if_wide(axes, [x for x in losses.tolist() if math.isfinite(x)])
    if found.suggestion is not None:
        name = f"the loss falls fastest: {found.suggestion:.2g}"
        marker = axes.axvline(
            found.suggestion, color=look().colours[1], linestyle="--", linewidth=1.2
        )
        legend_above(axes, [marker], [name])
    return axes


def overlaid(
    drawn: Mapping[str, tuple[Sequence[Any], Sequence[float | None]]],
    xlabel: str,
    ylabel: str,
    ax: Axes | None,
) -> Axes:
    """A line for each name, of places and values, and a legend of them all."""
    names = [
        name if any(x is not None for x in values) else f"{name} (nowhere finite)"
        for name, (_, values) in drawn.items()
    ]
    axes = axes_for(ax, 8.2, max(3.6, legend_height(names)))
    dress(axes, literal(ylabel))
    count_along(axes, literal(xlabel))
    handles = [
        _line(axes, places, values, linewidth=_width(len(values)), **line_style(i))
        for i, (places, values) in enumerate(drawn.values())
    ]
    log_if_wide(axes, [x for _, values in drawn.values() for x in values if x is not None])
    legend_beside(axes, handles, names)
    return axes


def _rows(history: Sequence[Mapping[str, Any]], what: str) -> list[Mapping[str, Any]]:
    rows = list(history)
    for row in rows:
        if not isinstance(row, Mapping):
            raise HistoryError(f"{what} takes a mapping per epoch, not {row!r}")
    return rows


def _epochs(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [row.get("epoch", i) for i, row in enumerate(rows, 1)]


def _half(key: str) -> str:
    return key.partition("_")[0]


def _quantity(key: str) -> str:
    return key.partition("_")[2]


def _measure(row: Mapping[str, Any], key: str) -> float | None:
    """A finite number from a row; ``None`` where it was not measured or has diverged."""
    value = row.get(key)
    try:
        return float(value) if value is not None and math.isfinite(value) else None
    except TypeError as error:
        raise HistoryError(f"the {key} of a history is {value!r}, which is no number") from error


def _line(
    axes: Axes, places: Sequence[Any], values: Sequence[float | None], **style: Any
) -> Line2D:
    gaps = [math.nan if value is None else value for value in values]
    # A point alone makes no line.
    style.setdefault("marker", "" if sum(value is not None for value in values) > 1 else "o")
    (line,) = axes.plot(places, gaps, markersize=3.5, **style)
    return line


def _marked(
    axes: Axes, places: Sequence[Any], values: Sequence[float | None], **style: Any
) -> Line2D:
    """A line with a marker at every point, as long as there are few."""
    return _line(axes, places, values, marker="o" if len(values) < _FEW else "", **style)


def _width(points: int) -> float:
    """Of a line, in points; noise over many steps is a thin one."""
    return 1.6 if points < _MANY else 0.8


def _is_share(quantity: str) -> bool:
    return quantity == "accuracy" or quantity.startswith("top_")


def count_along(axes: Axes, name: str) -> None:
    """An x axis of whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(name, color=look().muted)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
