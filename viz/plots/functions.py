"""Activation functions, and how steep they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu import UnknownNameError
from tinygrad_edu.graph import plain
from viz.plots.style import (
    PlotError,
    dress,
    legend_of_panels,
    literal,
    look,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The activations of the engine.
_NAMES = (
    "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "mish", "softplus", "sigmoid", "tanh",
    "softsign", "hardtanh", "relu6", "hardswish",
)  # fmt: skip

# How many places to compute along the x axis.
_PLACES = 401


def activations(
    functions: Sequence[str | Callable[[Any], Any]] = (
        "relu",
        "leaky_relu",
        "gelu",
        "silu",
        "sigmoid",
        "tanh",
    ),
    low: float = -4.0,
    high: float = 4.0,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Activation functions, a panel for each, with the derivative that the engine finds.

    Args:
        functions: names of the engine's, such as ``"gelu"``, or functions of Tensors of your own,
            which act on every entry.
        low: where the x axis begins.
        high: where it ends.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: there are no functions, or ``high`` is not above ``low``.
        UnknownNameError: the engine has no activation of this name.

    >>> import viz
    >>> [panel.get_title("left") for panel in viz.plots.activations(["relu", "gelu"]).child_axes]
    ['relu', 'gelu']
    """
    if not functions or isinstance(functions, str):
        raise PlotError(f"activations takes one function or more in a list, not {functions!r}")
    if not -np.inf < low < high < np.inf:
        raise PlotError(f"the x axis goes from a lower to a higher number, not {low} to {high}")
    chosen = [_function(function) for function in functions]
    x = np.linspace(low, high, _PLACES)
    drawn = [(name, plain(f(x)), tg.elementwise_grad(f)(x)) for name, f in chosen]
    columns = 2 if len(drawn) == 4 else min(len(drawn), 3)
    outer, places = panels(
        ax, len(drawn), columns, (2.8, 1.9), left=0.4, right=0.1, bottom=0.4, top=0.35
    )
    handles: list[Any] = []
    for axes, (name, y, slope) in zip(places, drawn, strict=True):
        dress(axes, literal(name))
        axes.axhline(0, color=look().muted, linewidth=0.6, zorder=1)
        axes.axvline(0, color=look().muted, linewidth=0.6, zorder=1)
        handles = [
            *axes.plot(x, y, color=look().colours[0], linewidth=1.8),
            *axes.plot(x, slope, color=look().colours[1], linewidth=1.4, linestyle="--"),
        ]
    legend_of_panels(outer, handles, ["f(x)", "f′(x)"], ncols=2)
    return outer


def _function(function: str | Callable[[Any], Any]) -> tuple[str, Callable[[Any], Any]]:
    """A name and what it names."""
    if not isinstance(function, str):
        return getattr(function, "__name__", type(function).__name__), function
    if function not in _NAMES:
        raise UnknownNameError("activation", function, _NAMES)
    found: Callable[[Any], Any] = getattr(tg, function)
    return function, found
