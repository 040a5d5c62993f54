"""How gradients and updates differ from layer to layer, now and over the steps of training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu import UnknownNameError
from tinygrad_edu.graph import plain
from viz.plots.recorded import heat_map, over_steps
from viz.plots.style import (
    Array,
    PlotError,
    axes_for,
    dress,
    legend_above,
    literal,
    look,
)
from viz.plots.training import overlaid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches, the height of a row of a table of layers.
ROW = 0.24

# What a recorder's summaries know of gradients.
_STATISTICS = {"mean": "mean_abs", "max": "max_abs"}

# An update that changes about a thousandth of a weight's size is a common one.
_USUAL_RATIO = 1e-3


def gradient_flow(model: Any, *, ax: Axes | None = None) -> Axes:
    """The mean and the largest |∂L/∂w| of every parameter after ``backward``, first layer on top.

    A layer through which no gradient flows stands out: its points are far to the left, or it has
    none where all of its gradient is 0.

    Args:
        model: anything with ``named_parameters()``, or pairs of a name and a node. The Values of a
            layer of neurons are taken together.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: there are no parameters, or none has a gradient yet.
    """
    found = _gradients(model)
    if all(gradient is None for gradient in found.values()):
        raise PlotError(
            f"none of the {len(found)} parameters has a gradient: call backward() on a loss first"
        )
    names, sizes = [], []
    for name, gradient in found.items():
        finite = gradient is not None and bool(np.isfinite(gradient).all())
        size = np.abs(gradient) if finite and gradient is not None else np.zeros(1)
        why = "no gradient" if gradient is None else "not finite" if not finite else ""
        why = why or ("" if size.any() else "all 0")
        names.append(f"{name} ({why})" if why else name)
        sizes.append((float(size.mean()), float(size.max())))
    mean, largest = np.ma.masked_equal(np.array(sizes), 0).T
    axes = axes_for(ax, 7.4, 1.1 + ROW * len(names))
    dress(axes, "size of the gradient")
    rows = np.arange(len(names))
    axes.hlines(rows, mean, largest, color=look().muted, linewidth=1, zorder=2)
    axes.plot(mean, rows, "o", color=look().colours[0], markersize=5, label="mean |∂L/∂w|")
    axes.plot(largest, rows, "D", color=look().colours[1], markersize=5, label="max |∂L/∂w|")
    if mean.count():
        axes.set_xscale("log")
        # Whole decades: within one, matplotlib would number what is between, on top of each other.
        low, high = np.log10(mean.min()) - 0.05, np.log10(largest.max()) + 0.05
        axes.set_xlim(10.0 ** max(np.floor(low), -307), 10.0 ** min(np.ceil(high), 308))
    axes.set_yticks(rows, [literal(name) for name in names], fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    legend_above(axes, ncols=2)
    return axes


def gradient_flow_over_time(
    recorder: Any, statistic: str = "mean", names: Sequence[str] = (), *, ax: Axes | None = None
) -> Axes:
    """The size of every parameter's gradient over the steps of training, first layer on top.

    Args:
        recorder: as ``viz.recorder`` returns it.
        statistic: ``"mean"`` or ``"max"``, of |∂L/∂w|.
        names: which parameters; by default all.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: nothing was recorded.
        UnknownNameError: there is no such statistic or parameter.
    """
    if statistic not in _STATISTICS:
        raise UnknownNameError("statistic of gradients", statistic, _STATISTICS)
    steps, rows = over_steps(recorder, "gradients", _STATISTICS[statistic], names)
    return heat_map(steps, rows, f"{statistic} |∂L/∂w|", "gradient over the steps", ax)


def update_ratio(recorder: Any, names: Sequence[str] = (), *, ax: Axes | None = None) -> Axes:
    """How much of a parameter a step changes, |Δw| / |w|, over the steps of training.

    The guide is at 10⁻³: much more may diverge, much less learns slowly. Source of that rule of
    thumb: Karpathy, Stanford's CS231n, "Learning".

    Args:
        recorder: as ``viz.recorder`` returns it.
        names: which parameters; by default all.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: nothing was recorded.
        UnknownNameError: there is no such parameter.
    """
    steps, rows = over_steps(recorder, "updates", None, names)
    # On a logarithmic axis a step that changed nothing is a gap.
    drawn = {
        name: (steps, [float(x) if np.isfinite(x) and x > 0 else None for x in row])
        for name, row in rows.items()
    }
    axes = overlaid(drawn, "step", "|Δw| / |w|", ax)
    axes.set_yscale("log")
    axes.axhline(_USUAL_RATIO, color=look().ink, linewidth=1, linestyle=":", zorder=1)
    axes.annotate(
        "10⁻³",
        (1, _USUAL_RATIO),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3),
        textcoords="offset points",
        ha="right",
        color=look().ink,
        fontsize=9,
    )
    return axes


def named_parameters(model: Any) -> list[tuple[str, Any]]:
    """The name and node of every parameter of a model, or of the pairs that were given.

    Raises:
        PlotError: it is neither, or has none.
    """
    given = getattr(model, "named_parameters", None)
    try:
        pairs = list(given() if given is not None else model)
        found = [(str(name), node) for name, node in pairs]
    except (TypeError, ValueError) as error:
        raise PlotError(
            "a model with named_parameters(), or pairs of a name and a parameter, are needed, not"
            f" {type(model).__name__}"
        ) from error
    if not found or not all(hasattr(node, "grad") for _, node in found):
        raise PlotError("there are no parameters" if not found else "a parameter has a grad")
    return found


def _gradients(model: Any) -> dict[str, Array | None]:
    """The gradient of every Tensor, and of the Values of each layer together."""
    groups: dict[str, list[Any]] = {}
    for name, node in named_parameters(model):
        alone = isinstance(node.data, np.ndarray)
        groups.setdefault(name if alone else name.partition(".neurons.")[0], []).append(node)
    return {name: _joined(nodes) for name, nodes in groups.items()}


def _joined(nodes: Iterable[Any]) -> Array | None:
    given = [node.grad for node in nodes if node.grad is not None]
    if not given:
        return None
    return np.concatenate([np.ravel(np.asarray(plain(grad), float)) for grad in given])
