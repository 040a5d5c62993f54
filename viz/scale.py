"""The colours of gradients: a scale that colour-blind people can read, too.

A signed gradient is blue if negative and orange if positive, a norm is green; the shade is
logarithmic, since gradients of one graph differ by powers of ten. Tints stay light under text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# The strongest tint and the border: after Okabe and Ito's colour-blind-safe palette.
NEGATIVE = ("#86bdea", "#0b5a94")
POSITIVE = ("#f5a877", "#a84800")
NORM = ("#7fd1b4", "#0f6e55")
PAPER = "#ffffff"

# So many powers of ten below the largest gradient the tint is at its faintest.
DECADES = 3
FAINTEST = 0.12


@dataclass(frozen=True, slots=True)
class Scale:
    """The colour scale of one picture.

    Attributes:
        largest: the largest finite |gradient|, which has the strongest tint; 0 if there is none.
        signed: whether the sign of a gradient has a colour of its own.
    """

    largest: float
    signed: bool

    @classmethod
    def of(cls, gradients: Iterable[float | None], signed: bool) -> Scale:
        """The scale that spans all the finite gradients."""
        sizes = (abs(g) for g in gradients if g is not None and math.isfinite(g))
        return cls(max(sizes, default=0.0), signed)

    def colours(self, gradient: float | None) -> tuple[str, str]:
        """The fill and the border of a box, as ``#rrggbb``."""
        if gradient is None or gradient == 0 or not math.isfinite(gradient):
            return PAPER, "#57606a"
        tint, border = (NEGATIVE if gradient < 0 else POSITIVE) if self.signed else NORM
        # A difference of logarithms, since the quotient of the sizes could underflow.
        decades = math.log10(self.largest) - math.log10(abs(gradient))
        return _mix(tint, max(FAINTEST, 1 - decades / DECADES)), border

    def steps(self) -> list[float]:
        """The gradients whose colours a legend shows, a power of ten apart, in rising order."""
        sizes = [self.largest / 10**i for i in range(DECADES)]
        rising = [0.0, *reversed(sizes)]
        return [-size for size in sizes] + rising if self.signed else rising


def _mix(colour: str, strength: float) -> str:
    """A colour on white paper: at strength 0 the paper, at 1 the colour."""
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (c - 255) * strength):02x}" for c in channels)
