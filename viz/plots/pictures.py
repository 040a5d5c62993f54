"""Images in rows: what a batch holds, or what a classifier was mistaken about."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_edu import ShapeError, TargetError
from viz.plots.style import (
    Array,
    PlotError,
    check_count,
    literal,
    look,
    numbers,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# In inches: how wide an image is, the space between images, the height of a line of a title.
_SIDE, _GAP, _LINE = 1.05, 0.1, 0.15
# How many characters of a title fit above an image.
_CHARACTERS = 16
# A class with a smaller share in a mixed label is not named.
_SMALL = 0.05


def images(
    images: ArrayLike,
    titles: Sequence[str] = (),
    columns: int = 8,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Images in rows, each under its title.

    Args:
        images: ``(N, C, H, W)`` with one channel, grey, or three, RGB; or ``(N, H, W)``. Bytes
            are shown from 0 to 255, other numbers from 0 to 1; if some lie outside, the smallest of
            them all is shown black and the largest white.
        titles: one for each image, of one or more lines; none by default.
        columns: how many images are in a row.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: a pixel is nan, infinite or no number, or ``columns`` not a positive integer.
        ShapeError: the images have other shapes, or there are not as many titles.
    """
    return _tiled(numbers("images", images), titles, columns, ax)


def show_batch(
    batch: tuple[Any, ...] | Iterable[Any],
    classes: Sequence[str] = (),
    rows: int = 4,
    columns: int = 8,
    *,
    ax: Axes | None = None,
) -> Axes:
    """The images of a batch, each under the name of its class.

    Args:
        batch: images as ``images`` takes them, and last their targets: numbers of classes ``(N,)``,
            numbers of any other kind ``(N,)``, or a probability per class ``(N, classes)``, as
            mixed or smoothed labels are, of which the two largest are shown. Or what yields such
            tuples, a DataLoader, say: then its first.
        classes: the name of each class; by default those of ``batch.dataset``, if it has any, else
            their numbers.
        rows: the most rows to show.
        columns: how many images are in a row.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: there is no batch, a pixel is no finite number, a target no number, or ``rows``
            or ``columns`` not a positive integer.
        ShapeError: images, targets and classes do not fit together.
        TargetError: a target is no number of a class, or no probability.
    """
    check_count("rows", rows)
    check_count("columns", columns)
    if not isinstance(batch, tuple):
        classes = classes or getattr(getattr(batch, "dataset", None), "classes", ())
        batch = _first(batch)
    if len(batch) < 2:
        raise PlotError(f"a batch takes images and targets, not {len(batch)} parts")
    x, y = numbers("images", batch[0]), numbers("their targets", batch[-1])
    single, mixed = y.ndim == 1, y.ndim == 2 and y.shape[1] > 1
    if not (single or mixed) or x.shape[:1] != y.shape[:1]:
        raise ShapeError(
            f"a batch takes images (N, ...) and targets (N,) or (N, classes), not {x.shape} and"
            f" {y.shape}"
        )
    count = rows * columns
    name = _probable if mixed else _single
    return images(x[:count], [name(target, classes) for target in y[:count]], columns, ax=ax)


def misclassified(
    images: ArrayLike,
    targets: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str] = (),
    count: int = 32,
    columns: int = 8,
    *,
    ax: Axes | None = None,
) -> Axes:
    """The images a classifier is wrong about, those it is surest of first.

    Each stands under the class it is taken for, with that class's probability, and its true class.

    Args:
        images: ``(N, C, H, W)`` or ``(N, H, W)``, as the function ``images`` takes them.
        targets: the true class of each, integers ``(N,)``.
        probabilities: of each class, ``(N, classes)``; the largest is the one predicted.
        classes: the name of each class; by default their numbers.
        count: the most images to show.
        columns: how many are in a row.
        ax: where to draw; by default in a new figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        PlotError: a number is none, or there is no mistake to show.
        ShapeError: images, targets, probabilities and classes do not fit together.
        TargetError: a target is no number of a class, or a probability is none.
    """
    check_count("count", count)
    pixels, y = numbers("images", images), numbers("their targets", targets)
    shares = numbers("probabilities", probabilities)
    if shares.ndim != 2 or not len(pixels) == len(y) == len(shares) or y.ndim != 1:
        raise ShapeError(
            "misclassified takes images (N, ...), targets (N,) and probabilities (N, classes), not"
            f" {pixels.shape}, {y.shape} and {shares.shape}"
        )
    if classes and len(classes) != shares.shape[1]:
        raise ShapeError(f"{shares.shape[1]} classes need as many names, not {len(classes)}")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise TargetError("a probability is a number from 0 to 1: take the softmax of logits")
    names = classes or [str(i) for i in range(shares.shape[1])]
    predicted = shares.argmax(axis=1)
    true = [_single(target, names) for target in y]
    wrong = np.flatnonzero(predicted != y)
    if not len(wrong):
        raise PlotError(f"all {len(y)} images are classified right: there is no mistake to show")
    certainty = shares.max(axis=1)
    wrong = wrong[np.argsort(-certainty[wrong], kind="stable")][:count]
    titles = [f"{names[predicted[i]]} ({certainty[i]:.0%})\nis {true[i]}" for i in wrong]
    return _tiled(pixels[wrong], titles, columns, ax)


def _tiled(array: Array, titles: Sequence[str], columns: int, ax: Axes | None) -> Axes:
    shown = _pixels(array)
    check_count("columns", columns)
    if len(titles) not in (0, len(shown)):
        raise ShapeError(f"{len(shown)} images need as many titles, not {len(titles)}")
    texts = [_wrapped(title) for title in titles] or [""] * len(shown)
    size = _SIDE, _SIDE * shown.shape[1] / shown.shape[2]
    top = _GAP + _LINE * max(text.count("\n") + 1 if text else 0 for text in texts)
    columns = min(columns, len(shown))
    outer, places = panels(ax, len(shown), columns, size, left=_GAP / 2, right=_GAP / 2, top=top)
    for axes, pixels, text in zip(places, shown, texts, strict=True):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="none")
        axes.set_axis_off()
        axes.set_title(text, fontsize=8, color=look().ink, pad=2.5, linespacing=1.1)
    return outer


def _first(batches: Iterable[Any]) -> tuple[Any, ...]:
    """The first batch, after which a DataLoader is where it was."""
    epoch = getattr(batches, "epoch", None)
    try:
        batch = next(iter(batches), None)
    except TypeError as error:
        raise PlotError(
            f"show_batch takes a tuple of images and targets or what yields such, not"
            f" {type(batches).__name__}"
        ) from error
    if epoch is not None:
        batches.epoch = epoch  # type: ignore[attr-defined]
    if not isinstance(batch, tuple | list):
        found = "none" if batch is None else type(batch).__name__
        raise PlotError(f"show_batch takes batches of images and targets, and got {found}")
    return tuple(batch)


def _single(target: Any, classes: Sequence[str]) -> str:
    if not classes:
        return f"{target:.4g}" if isinstance(target, np.floating) else str(target)
    if not isinstance(target, np.integer | np.bool) or not 0 <= target < len(classes):
        raise TargetError(
            f"a target of {len(classes)} classes is an integer from 0 to {len(classes) - 1}, not"
            f" {target}"
        )
    return str(classes[int(target)])


def _probable(shares: Array, classes: Sequence[str]) -> str:
    """The likeliest classes with their share, or a certain one alone."""
    if classes and len(classes) != len(shares):
        raise ShapeError(f"targets of {len(shares)} classes need as many names, not {len(classes)}")
    if not ((shares >= 0) & (shares <= 1)).all():
        raise TargetError(f"the share of a class is a number from 0 to 1, not {shares}")
    first, second = map(int, np.argsort(-shares.astype(float), kind="stable")[:2])
    likeliest = [first, second] if shares[second] >= _SMALL else [first]
    return ", ".join(
        _with_share(classes[i] if classes else i, round(100 * float(shares[i]))) for i in likeliest
    )


def _with_share(name: object, percent: int) -> str:
    # A space at which no line is broken.
    return str(name) if percent == 100 else f"{name}:\N{NO-BREAK SPACE}{percent}\N{NO-BREAK SPACE}%"


def _pixels(array: Array) -> Array:
    """Pixels in [0, 1], ``(N, H, W)`` or ``(N, H, W, 3)``."""
    channels = array.shape[1] if array.ndim == 4 else 1
    if array.ndim not in (3, 4) or channels not in (1, 3) or not array.size:
        side = math.isqrt(array.shape[1]) if array.ndim == 2 else 0
        square = side > 1 and side * side == array.shape[1]
        hint = f"; if these are square, reshape(-1, {side}, {side}) makes them so" if square else ""
        raise ShapeError(
            "images are (N, H, W), or (N, C, H, W) with 1 or 3 channels and N > 0, not"
            f" {array.shape}{hint}"
        )
    if not np.isfinite(array).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise PlotError(f"pixel {at} of the images is {array[at]}")
    if array.ndim == 4:
        array = array[:, 0] if channels == 1 else np.moveaxis(array, 1, -1)
    pixels = array / 255 if array.dtype == np.uint8 else array.astype(float)
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= 1:
        return pixels
    return (pixels - low) / (high - low if high > low else 1)


def _wrapped(title: str) -> str:
    wrapped = (textwrap.fill(line, _CHARACTERS) for line in str(title).splitlines())
    return literal("\n".join(wrapped))
