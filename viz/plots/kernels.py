"""What a convolution looks for, and what it finds: its kernels, and the maps that come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import ShapeError
from viz.plots.style import (
    Array,
    PlotError,
    check_count,
    colour_bar,
    look,
    numbers,
    panels,
    sides,
    tints,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches: the side of a kernel, of a map, and what the captions above and between take.
_KERNEL, _MAP, _GAP, _CAPTION = 0.5, 1.05, 0.06, 0.2
# And what the colour bar beside all of them takes, and the title above them.
_BAR, _TITLE = 0.9, 0.3


def filters(weight: ArrayLike, most: int = 16, *, ax: Axes | None = None) -> Axes:
    """The kernels of a convolution: a row for each filter, a column for each channel it reads.

    Blue is negative, orange positive, and 0 has the colour of the paper, on one scale for all. Of
    filters that read one channel, there are several in a row.

    Args:
        weight: ``(out_channels, in_channels, kH, kW)``, such as that of an ``nn.Conv2d``.
        most: the most filters, and the most channels of each, to show.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: a weight is nan, infinite or no number, or ``most`` not a positive integer.
        ShapeError: the weight has another shape.
    """
    kernels = _finite("filters", numbers("filters", weight))
    check_count("most", most)
    if kernels.ndim != 4 or not kernels.size:
        raise ShapeError(
            "filters takes the weight of a convolution, (out_channels, in_channels, kH, kW), none"
            f" of them 0, not {kernels.shape}"
        )
    of, channels = kernels.shape[:2]
    reach = float(np.abs(kernels).max()) or 1.0
    shown = kernels[:most, :most]
    rows, columns = shown.shape[:2]
    single = columns == 1
    side = _MAP if single else _KERNEL
    size = side, side * kernels.shape[2] / kernels.shape[3]
    outer, places = panels(
        ax,
        rows * columns,
        min(rows, 8) if single else columns,
        size,
        left=_GAP / 2,
        right=_GAP / 2,
        top=_CAPTION if single else _GAP,
        beside=_BAR,
        above=_TITLE,
    )
    image = None
    for i, axes in enumerate(places):
        row, column = divmod(i, columns)
        image = axes.imshow(
            shown[row, column], cmap=sides(), vmin=-reach, vmax=reach, interpolation="none"
        )
        _frame(axes)
        if single:
            axes.set_title(f"{row}", fontsize=8, color=look().muted, pad=2)
        elif column == 0:
            axes.set_ylabel(
                f"{row}", fontsize=8, color=look().muted, rotation=0, ha="right", va="center"
            )
        if not single and row == 0:
            axes.set_title(f"{column}", fontsize=8, color=look().muted, pad=2)
    read = "" if single else f", {_first(columns, channels)} channels of each"
    outer.set_title(f"{_first(rows, of)} filters{read}", **_caption_style())
    colour_bar(image, outer, "weight")
    return outer


def feature_maps(maps: ArrayLike, most: int = 32, *, ax: Axes | None = None) -> Axes:
    """What a convolution finds in one image: its output, a map for each channel, on one scale.

    Args:
        maps: ``(C, H, W)`` or ``(1, C, H, W)``, such as a layer's output of one image.
        most: the most maps to show.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: an entry is nan, infinite or no number, or ``most`` not a positive integer.
        ShapeError: the maps have another shape.
    """
    array = _finite("feature_maps", numbers("feature_maps", maps))
    check_count("most", most)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim != 3 or not array.size:
        raise ShapeError(
            "feature_maps takes the maps of one image, (C, H, W) or (1, C, H, W), not"
            f" {array.shape}"
        )
    shown = array[:most]
    low, high = float(array.min()), float(array.max())
    if low < 0:  # 0 is paper, so that the sign can be seen
        high = max(-low, high)
        low = -high
    columns = min(len(shown), 8)
    size = _MAP, _MAP * array.shape[1] / array.shape[2]
    outer, places = panels(
        ax,
        len(shown),
        columns,
        size,
        left=_GAP / 2,
        right=_GAP / 2,
        top=_CAPTION,
        beside=_BAR,
        above=_TITLE,
    )
    image = None
    for i, axes in enumerate(places):
        image = axes.imshow(
            shown[i],
            cmap=sides() if low < 0 else tints(),
            vmin=low,
            vmax=high if high > low else low + 1,
            interpolation="none",
        )
        _frame(axes)
        axes.set_title(f"{i}", fontsize=8, color=look().muted, pad=2)
    outer.set_title(f"{_first(len(shown), len(array))} maps", **_caption_style())
    colour_bar(image, outer, "activation")
    return outer


def _caption_style() -> dict[str, Any]:
    return {"loc": "left", "fontsize": 10, "color": look().ink, "pad": 8}


def _first(shown: int, of: int) -> str:
    return f"{of}" if shown == of else f"the first {shown} of {of}"


def _frame(axes: Axes) -> None:
    """A thin border, and no ticks."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color(look().muted)
    axes.spines[:].set_linewidth(0.4)


def _finite(what: str, array: Array) -> Array:
    if not np.isfinite(array).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise PlotError(f"entry {at} of {what} is {array[at]}")
    return array.astype(float)
