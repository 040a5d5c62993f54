"""The loss around the parameters that training found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import ShapeError, mark_changed, no_grad
from tinygrad_edu.graph import plain
from viz.plots.gradients import named_parameters
from viz.plots.style import (
    Array,
    PlotError,
    axes_for,
    check_count,
    colour_bar,
    dress,
    legend_above,
    look,
)
from viz.scale import LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The loss is shown on a logarithmic scale where it spans more than this.
_WIDE = 30


def loss_landscape(
    loss: Callable[[], Any],
    model: Any,
    *,
    directions: tuple[Sequence[ArrayLike], Sequence[ArrayLike]] | None = None,
    span: float = 1.0,
    resolution: int = 21,
    seed: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """The loss in a plane through the parameters: L(θ + a δ + b η), with a and b along the sides.

    δ and η are random and normalised filter by filter: each filter, which is a row of a weight,
    has the norm of the model's own. So the planes of models whose weights differ in scale can be
    compared. Biases, and other parameters of one axis, stay as they are. The parameters are
    afterwards what they were, whatever happens.

    Source: Li et al., 2018, "Visualizing the Loss Landscape of Neural Nets", section 4
    (arXiv:1712.09913).

    Args:
        loss: computes the loss of the parameters as they are; it should do so alike every time,
            so without dropout: put the model into ``eval()`` first.
        model: anything with ``named_parameters()``, or pairs of a name and a node.
        directions: δ and η, an array for each parameter, in its shape; taken as they are. By
            default random.
        span: how far to go along each, to both sides.
        resolution: how many losses to compute along each side.
        seed: of the random directions.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: the loss is no number, or finite nowhere; ``span`` or ``resolution`` is out of
            range; or the parameters have no weight to move along.
        ShapeError: the directions do not have the parameters' shapes.
    """
    check_count("resolution", resolution)
    if resolution < 2 or not 0 < span < np.inf:
        raise PlotError(
            f"resolution must be at least 2 and span above 0, not {resolution} and {span}"
        )
    parameters = list(dict(named_parameters(model)).items())
    if directions is None:
        rng = np.random.default_rng(seed)
        steps = [_random(parameters, rng) for _ in range(2)]
    else:
        steps = [_given(parameters, direction) for direction in directions]
        if len(steps) != 2:
            raise ShapeError(f"a landscape has 2 directions, not {len(steps)}")
    places = np.linspace(-span, span, resolution)
    axes = axes_for(ax, 5.8, 4.6)
    losses = _losses(loss, [node for _, node in parameters], steps, places)
    if not np.isfinite(losses).any():
        raise PlotError("the loss is finite nowhere in this plane: take a smaller span")
    _draw(axes, places, losses)
    return axes


def _losses(
    loss: Callable[[], Any], nodes: Sequence[Any], steps: Sequence[Sequence[Array]], places: Array
) -> Array:
    """The loss at every place, ``(b, a)``; the parameters are put back."""
    before = [np.copy(node.data) for node in nodes]
    losses = np.empty((len(places), len(places)))
    try:
        # Far out a loss may overflow, which is what the picture then shows.
        with no_grad(), np.errstate(all="ignore"):
            for row, b in enumerate(places):
                for column, a in enumerate(places):
                    for node, start, delta, eta in zip(nodes, before, *steps, strict=True):
                        _assign(node, start + a * delta + b * eta)
                    found = plain(loss())
                    if np.size(found) != 1:
                        raise PlotError(f"the loss is one number, not of shape {np.shape(found)}")
                    losses[row, column] = np.asarray(found, float).item()
    finally:
        for node, start in zip(nodes, before, strict=True):
            _assign(node, start)
    return losses


def _assign(node: Any, data: Any) -> None:
    """Set a parameter's data: an array in place, for an optimizer may hold a view of it."""
    if isinstance(node.data, np.ndarray):
        node.data[...] = data
    else:
        node.data = float(data)
    mark_changed(node)


def _random(parameters: Sequence[tuple[str, Any]], rng: np.random.Generator) -> list[Array]:
    """A direction in which each filter has the norm that it has in the model."""
    found: list[Array] = [np.zeros(np.shape(node.data)) for _, node in parameters]
    filters: dict[str, list[int]] = {}
    for i, (name, node) in enumerate(parameters):
        if np.ndim(node.data) > 1:
            found[i] = rng.normal(size=node.data.shape)
            flat = found[i].reshape(len(found[i]), -1)  # a view
            norms = np.linalg.norm(np.reshape(node.data, flat.shape).astype(float), axis=1)
            flat *= (norms / np.linalg.norm(flat, axis=1))[:, None]
        elif not isinstance(node.data, np.ndarray) and name.rpartition(".")[2].isdigit():
            # One weight of a neuron of Values, whose filter is all of them.
            filters.setdefault(name.rpartition(".")[0], []).append(i)
    for members in filters.values():
        drawn = rng.normal(size=len(members))
        norm = np.linalg.norm([parameters[i][1].data for i in members])
        for i, number in zip(members, drawn * norm / np.linalg.norm(drawn), strict=True):
            found[i] = np.asarray(number)
    if not any(direction.any() for direction in found):
        raise PlotError(
            "random directions move weights of two axes or more, and there are none that are not 0:"
            " pass directions"
        )
    return found


def _given(parameters: Sequence[tuple[str, Any]], direction: Sequence[ArrayLike]) -> list[Array]:
    arrays = [np.asarray(plain(array), float) for array in direction]
    wanted = [np.shape(node.data) for _, node in parameters]
    if [array.shape for array in arrays] != wanted:
        raise ShapeError(
            f"a direction takes arrays {', '.join(map(str, wanted))}, one for each parameter, not"
            f" {', '.join(str(array.shape) for array in arrays)}"
        )
    return arrays


def _draw(axes: Axes, places: Array, losses: Array) -> None:
    from matplotlib.colors import LogNorm, Normalize

    shown = np.ma.masked_invalid(losses)
    low, high = float(shown.min()), float(shown.max())
    wide = low > 0 and high > _WIDE * low
    high = high if high > low else low + 1
    levels = np.geomspace(low, high, 21) if wide else np.linspace(low, high, 21)
    norm = LogNorm(low, high) if wide else Normalize(low, high)
    dress(axes, "")
    axes.grid(visible=False)
    filled = axes.contourf(places, places, shown, levels, cmap="viridis", norm=norm)
    lines = axes.contour(places, places, shown, levels[2:-1:3], colors="white", linewidths=0.7)
    axes.clabel(lines, fontsize=7, fmt="%.3g")
    axes.plot(0, 0, "X", color="white", markeredgecolor=LIGHT.ink, markersize=9, label="the model")
    axes.set_xlabel("a, along δ", color=look().muted)
    axes.set_ylabel("b, along η", color=look().muted)
    axes.set_facecolor(look().nothing)  # where the loss is not finite
    legend_above(axes)
    bar = colour_bar(filled, axes, "loss")
    bar.set_ticks(levels[::4], labels=[f"{level:.3g}" for level in levels[::4]])
    bar.minorticks_off()
