"""The colours of pictures: themes, and the scale of gradients.

Gradients are coloured along a scale that is even to the eye: equal steps of the logarithm are equal
steps of the OKLab colour space. A signed gradient is blue if negative and orange if positive, which
colour-blind people can tell apart; both sides change their lightness alike, so that size can still
be read in shades of grey. A norm, which has no sign, is green.

Source: Björn Ottosson, "A perceptual color space for image processing", 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tinygrad_edu import UnknownNameError

# So many powers of ten below the largest gradient the colour is at its faintest.
DECADES = 4

# So far below the largest, or below 0 by rounding in float32, a gradient has as good as vanished.
VANISHED = 1e-7
# Beyond it a step of any usual learning rate would throw the parameters far off.
EXPLODED = 1e6

# Hues, in degrees of OKLab's plane.
NEGATIVE, POSITIVE, NORM = 250.0, 55.0, 165.0

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours of a picture, as ``#rrggbb``. Text on any fill has a contrast of 4.5 or more.

    Attributes:
        name: ``"light"`` or ``"dark"``.
        paper: the background.
        ink: text.
        muted: text on paper that matters less.
        line: arrows and borders.
        data: the fill of what needs no gradient.
        unusable: the fill of what is nan, infinite or failed.
        failed: the border of what failed.
        parameter: the border of a parameter.
        group: the fill of a module, nearly transparent: what is nested deeper stands out more.
        group_line: its border.
        faintest: lightness and chroma of the faintest fill, in OKLab.
        strongest: those of the strongest fill.
        border: those of a border.
        faintest_line: those of the faintest line that has a gradient.
        strongest_line: those of the strongest one.
    """

    name: ThemeName
    paper: str
    ink: str
    muted: str
    line: str
    data: str
    unusable: str
    failed: str
    parameter: str
    group: str
    group_line: str
    faintest: tuple[float, float]
    strongest: tuple[float, float]
    border: tuple[float, float]
    faintest_line: tuple[float, float]
    strongest_line: tuple[float, float]


LIGHT = Theme(
    name="light",
    paper="#ffffff",
    ink="#1f2328",
    muted="#57606a",
    line="#8c959f",
    data="#f0f1f3",
    unusable="#fff3bf",
    failed="#b3261e",
    parameter="#8a3a7b",
    group="#0b1f330a",
    group_line="#b6bec7",
    faintest=(0.975, 0.012),
    strongest=(0.72, 0.13),
    border=(0.46, 0.11),
    faintest_line=(0.88, 0.02),
    strongest_line=(0.50, 0.13),
)
DARK = Theme(
    name="dark",
    paper="#0d1117",
    ink="#e6edf3",
    muted="#9da7b3",
    line="#6e7681",
    data="#21262d",
    unusable="#4d3f00",
    failed="#ff7b72",
    parameter="#d79acb",
    group="#c9e1ff0c",
    group_line="#444c56",
    faintest=(0.25, 0.015),
    strongest=(0.50, 0.105),
    border=(0.72, 0.11),
    faintest_line=(0.36, 0.02),
    strongest_line=(0.78, 0.12),
)
THEMES = {"light": LIGHT, "dark": DARK}


def theme_named(name: str) -> Theme:
    """One of THEMES.

    Raises:
        UnknownNameError: there is no theme of that name.
    """
    if name not in THEMES:
        raise UnknownNameError("theme", name, THEMES)
    return THEMES[name]


@dataclass(frozen=True, slots=True)
class Scale:
    """The colour scale of one picture.

    Attributes:
        largest: the largest finite |gradient|, which has the strongest colour; 0 if there is none.
        signed: whether the sign of a gradient has a colour of its own.
        theme: the colours around it.
    """

    largest: float
    signed: bool
    theme: Theme = LIGHT

    @classmethod
    def of(cls, gradients: Iterable[float | None], signed: bool, theme: Theme = LIGHT) -> Scale:
        """The scale that spans all the finite gradients."""
        sizes = (abs(g) for g in gradients if g is not None and math.isfinite(g))
        return cls(max(sizes, default=0.0), signed, theme)

    def colours(self, gradient: float | None) -> tuple[str, str]:
        """The fill and the border of a box, as ``#rrggbb``."""
        theme = self.theme
        if gradient is None or gradient == 0 or not math.isfinite(gradient):
            return theme.paper, theme.muted
        hue = self._hue(gradient)
        fill = self._between(theme.faintest, theme.strongest, gradient)
        return _rgb(*fill, hue), _rgb(*theme.border, hue)

    def line(self, gradient: float | None) -> str:
        """The colour of a line, as ``#rrggbb``."""
        theme = self.theme
        if gradient is None or gradient == 0:
            return theme.group_line
        if not math.isfinite(gradient):
            return theme.failed
        stroke = self._between(theme.faintest_line, theme.strongest_line, gradient)
        return _rgb(*stroke, self._hue(gradient))

    def _hue(self, gradient: float) -> float:
        return NORM if not self.signed else NEGATIVE if gradient < 0 else POSITIVE

    def _between(
        self, faintest: tuple[float, float], strongest: tuple[float, float], gradient: float
    ) -> tuple[float, float]:
        """The lightness and chroma of a gradient that is finite and not 0."""
        # A difference of logarithms, since the quotient of the sizes could underflow.
        decades = math.log10(self.largest) - math.log10(abs(gradient))
        strength = min(1.0, max(0.0, 1 - decades / DECADES))
        (light, grey), (dark, vivid) = faintest, strongest
        return light + (dark - light) * strength, grey + (vivid - grey) * strength

    def is_vanished(self, gradient: float | None) -> bool:
        """Whether a gradient is 0, or too far below the largest to count in float32."""
        return gradient is not None and abs(gradient) <= VANISHED * self.largest

    def steps(self) -> list[float]:
        """The gradients whose colours a legend shows, a power of ten apart, in rising order."""
        sizes = [self.largest / 10**i for i in range(DECADES + 1)]
        rising = [0.0, *reversed(sizes)]
        return [-size for size in sizes] + rising if self.signed else rising


def is_exploded(gradient: float | None) -> bool:
    """Whether a gradient is nan, infinite or beyond all use."""
    return gradient is not None and not abs(gradient) < EXPLODED


def _rgb(lightness: float, chroma: float, hue: float) -> str:
    """A colour of OKLab, given in polar coordinates, as ``#rrggbb``."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    # To the responses of the eye's cones, whose cube roots OKLab mixes.
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(channel)):02x}" for channel in linear)


def _encoded(channel: float) -> float:
    """sRGB's encoding of a share of light, cut to what a screen has."""
    channel = min(1.0, max(0.0, channel))
    return 12.92 * channel if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
