"""Where attention looks: its weights, a map for each head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import ShapeError
from viz.plots.style import (
    PlotError,
    colour_bar,
    dress,
    literal,
    look,
    numbers,
    panels,
    tints,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches, the side of a place of a map that has a token's name, and of a map.
_PLACE, _LEAST, _MOST = 0.16, 1.6, 4.0
# In inches, how wide a row of maps may be.
_PAGE = 11.0
# In points, the size of a token's name; in inches, how wide a letter of it is about.
_TEXT, _LETTER = 7, 0.065


def attention_maps(
    weights: ArrayLike,
    queries: Sequence[str] = (),
    keys: Sequence[str] = (),
    *,
    ax: Axes | None = None,
) -> Axes:
    """The attention of each head: a row for each query, a column for each key it may look at.

    Args:
        weights: ``(heads, L, S)`` or ``(1, heads, L, S)``, such as ``nn.MultiheadAttention``
            returns with ``average_attn_weights=False``; or ``(L, S)``, of one head.
        queries: the tokens that look, L of them; by default their places.
        keys: the tokens that are looked at, S of them; by default the queries, if L is S.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: a weight is nan, negative or no number.
        ShapeError: the weights have another shape, or there are not as many tokens.
    """
    array = numbers("attention_maps", weights)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or not array.size:
        raise ShapeError(
            "attention_maps takes the weights of one sequence, (heads, L, S) or (1, heads, L, S),"
            f" not {array.shape}"
        )
    heads, length, width = array.shape
    if queries and not keys and length == width:
        keys = queries
    for what, tokens, count in (("queries", queries, length), ("keys", keys, width)):
        if len(tokens) not in (0, count):
            raise ShapeError(f"{count} {what} need as many tokens, not {len(tokens)}")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise PlotError("an attention weight is finite and not negative")
    across, up = (min(_MOST, max(_LEAST, _PLACE * count)) for count in (width, length))
    marks = [_Marks(queries, length, up, down=True), _Marks(keys, width, across)]
    columns = min(heads, max(1, int(_PAGE / (across + marks[0].inches))))
    outer, places = panels(
        ax,
        heads,
        columns,
        (across, up),
        left=0.3 + marks[0].inches,
        right=0.1,
        bottom=0.3 + marks[1].inches,
        top=0.3,
        beside=0.9,
    )
    image = None
    for head, axes in enumerate(places):
        dress(axes, "")
        axes.grid(visible=False)
        axes.set_title(f"head {head}", loc="left", fontsize=10, color=look().ink)
        image = axes.imshow(
            array[head],
            cmap=tints(),
            vmin=0,
            vmax=float(array.max()) or 1.0,
            interpolation="none",
        )
        axes.set_yticks(marks[0].places, marks[0].texts)
        axes.set_xticks(marks[1].places, marks[1].texts, rotation=90 if marks[1].upright else 0)
        axes.tick_params(labelsize=_TEXT, pad=2)
        if head % columns == 0:
            axes.set_ylabel("query", color=look().muted, fontsize=8)
        if head >= heads - columns:
            axes.set_xlabel("key", color=look().muted, fontsize=8)
    colour_bar(image, outer, "attention weight")
    return outer


class _Marks:
    """The names of some places along a side, as many as there is space for.

    Attributes:
        places: which.
        texts: their names.
        upright: whether they are turned, being too long to stand next to each other.
        inches: what they take away from the side.
    """

    def __init__(
        self, tokens: Sequence[str], count: int, inches: float, down: bool = False
    ) -> None:
        texts = [_shown(token) for token in tokens] or [str(i) for i in range(count)]
        longest = _LETTER * (1 + max(map(len, texts)))
        line = 1.3 * _TEXT / 72
        self.upright = not down and bool(tokens) and longest > inches / count
        needed = line if down or self.upright else longest
        self.places = range(0, count, max(1, math.ceil(needed * count / inches)))
        self.texts = [texts[i] for i in self.places]
        self.inches = longest if down or self.upright else line


def _shown(token: object) -> str:
    """A token as one can see it: white space has signs of its own."""
    text = str(token).replace(" ", "␣").replace("\n", "↵").replace("\t", "→")
    return literal("".join(c if c.isprintable() else "·" for c in text))
