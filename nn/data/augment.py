"""Augmentation: what changes images at random and leaves what they show as it was.

All of it works on a whole batch at once and makes new arrays: the caller's stay as they are. Every
sample draws its own numbers. ``DataLoader(augment=...)`` applies it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nn.checks import check_integer, check_number, check_probability
from nn.data.sampling import affine, rotations, shifted
from nn.errors import ConfigurationError
from tinygrad_edu import DTypeError, ShapeError, TargetError, UnknownNameError

Array = np.ndarray[Any, Any]
Generator = np.random.Generator


class Augmentation(ABC):
    """The base of augmentations: called with images ``(N, C, H, W)``, targets and a generator.

    Raises:
        ShapeError: the inputs have other axes, or there is not a target for each image.
        DTypeError: they are no array of floats: scale pixels to [0, 1].
    """

    @abstractmethod
    def __call__(self, x: Array, y: Array, rng: Generator) -> tuple[Array, Array]:
        """Images and targets, changed; both are new arrays."""

    def _check(self, x: Array, y: Array) -> None:
        if not isinstance(x, np.ndarray):
            raise DTypeError(f"{self!r} changes images in a NumPy array, not {type(x).__name__}")
        if x.ndim != 4:
            raise ShapeError(f"{self!r} changes images (N, C, H, W), not inputs of shape {x.shape}")
        if x.dtype.kind != "f":
            raise DTypeError(f"{self!r} changes images of floats, in [0, 1] say, not {x.dtype}")
        if np.shape(y)[:1] != (len(x),):
            raise ShapeError(
                f"{self!r} takes a target for each of {len(x)} images, not targets of shape"
                f" {np.shape(y)}"
            )

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({options})"


class ImageAugmentation(Augmentation):
    """The base of those that leave the targets alone; a subclass writes ``_change``."""

    def __call__(self, x: Array, y: Array, rng: Generator) -> tuple[Array, Array]:
        """Images, changed, and a copy of the targets."""
        self._check(x, y)
        return self._change(x, rng).astype(x.dtype, copy=False), np.array(y)

    @abstractmethod
    def _change(self, x: Array, rng: Generator) -> Array:
        """The images, changed, as a new array."""


class Shift(ImageAugmentation):
    """Move each image by up to ``pixels`` whole pixels along each axis; what comes in is 0.

    >>> import nn, numpy as np
    >>> x = np.ones((1, 1, 2, 2))
    >>> moved, _ = nn.data.Shift(2)(x, np.zeros(1, int), np.random.default_rng(0))
    >>> moved[0, 0]  # by (2, 1): nothing is left
    array([[0., 0.],
           [0., 0.]])
    """

    def __init__(self, pixels: int) -> None:
        self.pixels = check_integer("pixels of Shift", pixels)

    def _change(self, x: Array, rng: Generator) -> Array:
        moves = rng.integers(-self.pixels, self.pixels + 1, size=(2, len(x)))
        return shifted(x, *moves)


class Rotate(ImageAugmentation):
    """Turn each image about its centre by up to ``degrees``, either way, between pixels bilinear.

    What comes in at the corners is 0.
    """

    def __init__(self, degrees: float) -> None:
        self.degrees = check_number("degrees of Rotate", degrees)

    def _change(self, x: Array, rng: Generator) -> Array:
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees, len(x)))
        return affine(x, rotations(angle))


class HorizontalFlip(ImageAugmentation):
    """Mirror each image, left for right, with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_probability("p of HorizontalFlip", p)

    def _change(self, x: Array, rng: Generator) -> Array:
        return np.where(_chosen(len(x), self.p, rng), x[..., ::-1], x)


class VerticalFlip(ImageAugmentation):
    """Turn each image upside down with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = check_probability("p of VerticalFlip", p)

    def _change(self, x: Array, rng: Generator) -> Array:
        return np.where(_chosen(len(x), self.p, rng), x[..., ::-1, :], x)


class Noise(ImageAugmentation):
    """Add normally distributed noise of deviation ``std`` to every pixel; nothing is clipped."""

    def __init__(self, std: float) -> None:
        self.std = check_number("std of Noise", std)

    def _change(self, x: Array, rng: Generator) -> Array:
        return x + self.std * rng.standard_normal(x.shape)


class Cutout(ImageAugmentation):
    """Set a square to 0, whose centre is anywhere in the image: it may hang over the edge.

    Source: DeVries and Taylor, 2017.

    Args:
        size: the side of the square, in pixels.
    """

    def __init__(self, size: int) -> None:
        self.size = check_integer("size of Cutout", size)

    def _change(self, x: Array, rng: Generator) -> Array:
        sides = np.full(len(x), self.size)
        return np.where(_boxes(x, sides, sides, rng), x.dtype.type(0), x)


class _Mixing(Augmentation):
    """The base of those that mix each image, and its label, with another of the batch."""

    def __init__(self, alpha: float, classes: int) -> None:
        self.alpha = check_number(f"alpha of {type(self).__name__}", alpha)
        if not self.alpha:
            raise ConfigurationError(f"alpha of {type(self).__name__} must be above 0")
        self.classes = check_integer(f"classes of {type(self).__name__}", classes)


class Mixup(_Mixing):
    """Blend each image, and its label, with that of another sample of the batch.

    x' = λ x + (1 - λ) x_j and y' = λ y + (1 - λ) y_j, λ ~ Beta(alpha, alpha) for each sample, and j
    by a random permutation. Source: Zhang, Cisse, Dauphin and Lopez-Paz, 2018.

    Args:
        alpha: above 0; the smaller, the more often λ is near 0 or 1.
        classes: how many there are: labels become probabilities ``(N, classes)``.

    Raises:
        TargetError: a label is no class.
    """

    def __call__(self, x: Array, y: Array, rng: Generator) -> tuple[Array, Array]:
        """Images and probabilities, blended."""
        self._check(x, y)
        share = rng.beta(self.alpha, self.alpha, len(x)).astype(x.dtype)
        partner = rng.permutation(len(x))
        return _blend(x, x[partner], share), _mixed_labels(y, partner, share, self.classes)


class CutMix(_Mixing):
    """Paste a box of another image of the batch into each, and mix the labels by area.

    The box has the share 1 - λ of the image's area, λ ~ Beta(alpha, alpha), and its centre is
    anywhere; the label's share is that of the pixels really pasted. What is pasted is of the
    images as they came. Source: Yun et al., 2019.

    Args:
        alpha: above 0.
        classes: how many there are: labels become probabilities ``(N, classes)``.

    Raises:
        TargetError: a label is no class.
    """

    def __call__(self, x: Array, y: Array, rng: Generator) -> tuple[Array, Array]:
        """Images with what was pasted, and probabilities."""
        self._check(x, y)
        _, _, height, width = x.shape
        side = np.sqrt(1 - rng.beta(self.alpha, self.alpha, len(x)))
        heights, widths = (np.rint(length * side).astype(int) for length in (height, width))
        partner = rng.permutation(len(x))
        pasted = _boxes(x, heights, widths, rng)
        kept = 1 - pasted.mean(axis=(1, 2, 3)).astype(x.dtype)
        mixed = _mixed_labels(y, partner, kept, self.classes)
        return np.where(pasted, x[partner], x), mixed


class RandAugment(ImageAugmentation):
    """``n`` operations in a row on pixels in [0, 1], each sample's drawn at random.

    They are: nothing, shift and shear along either axis, rotation, brightness, contrast, sharpness,
    posterize, solarize and autocontrast. Source: Cubuk, Zoph, Shlens and Le, 2020, without the
    operations that take whole histograms.

    Args:
        n: how many operations.
        magnitude: how strong they are, in [0, 1]: at 1 a shift is of half the image, a shear of 45
            degrees as is a rotation, and brightness, contrast and sharpness go to 0 or double.

    Raises:
        ConfigurationError: a pixel is outside [0, 1].
    """

    def __init__(self, n: int = 2, magnitude: float = 0.3) -> None:
        self.n = check_integer("n of RandAugment", n)
        self.magnitude = check_probability("magnitude of RandAugment", magnitude)

    def _change(self, x: Array, rng: Generator) -> Array:
        rounding = 8 * np.finfo(x.dtype).eps  # what a rotation before this one may leave
        if not ((x >= -rounding) & (x <= 1 + rounding)).all():  # a nan is not either
            raise ConfigurationError(
                f"{self!r} changes pixels in [0, 1], and these are from {x.min():.4g} to"
                f" {x.max():.4g}: scale them, and add noise after it, not before"
            )
        out = np.array(x)
        for _ in range(self.n):
            drawn = rng.integers(len(_OPERATIONS), size=len(x))
            for i, operation in enumerate(_OPERATIONS):
                own = drawn == i
                if own.any():
                    signed = self.magnitude * rng.choice([-1.0, 1.0], size=int(own.sum()))
                    out[own] = np.clip(operation(out[own], signed.astype(x.dtype)), 0, 1)
        return out


class Compose(Augmentation):
    """One augmentation after the other.

    Args:
        augmentations: such as ``[Shift(2), Cutout(4)]``; none changes nothing.

    Raises:
        ConfigurationError: they are no list of augmentations.
    """

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        if not isinstance(augmentations, Sequence) or not all(map(callable, augmentations)):
            raise ConfigurationError(
                "Compose takes a list of augmentations, such as [Shift(2), Cutout(4)], not"
                f" {augmentations!r}"
            )
        self.augmentations = list(augmentations)

    def __call__(self, x: Array, y: Array, rng: Generator) -> tuple[Array, Array]:
        """What the last one makes of what the others made."""
        self._check(x, y)
        x, y = np.array(x), np.array(y)
        for each in self.augmentations:
            x, y = each(x, y, rng)
        return x, y


# From the number after the colon, or None, the side of the images and the number of classes.
AUGMENTATIONS: dict[str, Callable[[Any, int, int], Augmentation]] = {
    "cutmix": lambda number, side, classes: CutMix(_or(number, 1.0), classes),
    "cutout": lambda number, side, classes: Cutout(_whole(number, max(1, side // 4))),
    "hflip": lambda number, side, classes: HorizontalFlip(_or(number, 0.5)),
    "mixup": lambda number, side, classes: Mixup(_or(number, 0.2), classes),
    "noise": lambda number, side, classes: Noise(_or(number, 0.05)),
    "randaugment": lambda number, side, classes: RandAugment(_whole(number, 2)),
    "rotate": lambda number, side, classes: Rotate(_or(number, 15.0)),
    "shift": lambda number, side, classes: Shift(_whole(number, max(1, side // 8))),
    "vflip": lambda number, side, classes: VerticalFlip(_or(number, 0.5)),
}


def augmentation(names: Sequence[str], image_size: int, classes: int) -> Compose:
    """Augmentations by name, each perhaps with its one number after a colon.

    Args:
        names: such as ``["shift", "rotate:10"]``; the numbers are by default what suits the image.
        image_size: the height of the images.
        classes: how many there are, for the mixed labels of mixup and cutmix.

    Raises:
        UnknownNameError: there is no augmentation of that name.
        ConfigurationError: what follows the colon is no number, or out of range, or the names are
            no list.

    >>> augmentation(["shift", "rotate:10"], image_size=28, classes=10)
    Compose(augmentations=[Shift(pixels=3), Rotate(degrees=10.0)])
    """
    if isinstance(names, str):
        raise ConfigurationError(f"augmentation takes a list of names, [{names!r}] say, not a str")
    found = []
    for text in names:
        name, colon, number = text.partition(":")
        if name not in AUGMENTATIONS:
            raise UnknownNameError("augmentation", name, AUGMENTATIONS)
        try:
            value = float(number) if colon else None
        except ValueError as error:
            raise ConfigurationError(
                f"{name} takes a number after the colon, not {number!r}"
            ) from error
        found.append(AUGMENTATIONS[name](value, image_size, classes))
    return Compose(found)


# What RandAugment draws from: from images in [0, 1] and a strength in [-1, 1] for each.


def _each(strength: Array) -> Array:
    return strength[:, None, None, None]


def _moved(axis: int) -> Callable[[Array, Array], Array]:
    def operation(x: Array, strength: Array) -> Array:
        moves = np.zeros((2, len(x)), int)
        moves[axis] = np.rint(strength * 0.5 * x.shape[2 + axis]).astype(int)
        return shifted(x, *moves)

    return operation


def _sheared(axis: int) -> Callable[[Array, Array], Array]:
    def operation(x: Array, strength: Array) -> Array:
        matrices = np.tile(np.eye(2), (len(x), 1, 1))
        matrices[:, axis, 1 - axis] = strength
        return affine(x, matrices)

    return operation


def _rotated(x: Array, strength: Array) -> Array:
    return affine(x, rotations(strength * np.pi / 4))


def _brightened(x: Array, strength: Array) -> Array:
    return x * (1 + _each(strength))


def _contrasted(x: Array, strength: Array) -> Array:
    mean = x.mean(axis=(1, 2, 3), keepdims=True)
    return mean + (x - mean) * (1 + _each(strength))


def _sharpened(x: Array, strength: Array) -> Array:
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    # The mean of 3x3 pixels, of three rows and then of three columns.
    rows = (padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]) / 3
    blurred = (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 3
    return blurred + (x - blurred) * (1 + _each(strength))


def _posterized(x: Array, strength: Array) -> Array:
    levels = 2.0 ** np.rint(8 - 6 * abs(_each(strength)))
    return np.floor(x * (levels - 1) + 0.5) / (levels - 1)


def _solarized(x: Array, strength: Array) -> Array:
    return np.where(x > 1 - abs(_each(strength)), 1 - x, x)


def _autocontrasted(x: Array, strength: Array) -> Array:
    low, high = (f(x, axis=(2, 3), keepdims=True) for f in (np.min, np.max))
    return np.where(high > low, (x - low) / np.where(high > low, high - low, 1), x)


_OPERATIONS: tuple[Callable[[Array, Array], Array], ...] = (
    lambda x, strength: x,
    _moved(0),
    _moved(1),
    _sheared(0),
    _sheared(1),
    _rotated,
    _brightened,
    _contrasted,
    _sharpened,
    _posterized,
    _solarized,
    _autocontrasted,
)


def _chosen(n: int, p: float, rng: Generator) -> Array:
    return rng.uniform(size=(n, 1, 1, 1)) < p


def _boxes(x: Array, heights: Array, widths: Array, rng: Generator) -> Array:
    """Where a box of each sample's size is, ``(N, 1, H, W)``, around a centre in the image."""
    inside = []
    for length, sides in ((x.shape[2], heights), (x.shape[3], widths)):
        start = rng.integers(length, size=len(x)) - sides // 2
        place = np.arange(length)
        inside.append((place >= start[:, None]) & (place < (start + sides)[:, None]))
    return inside[0][:, None, :, None] & inside[1][:, None, None, :]


def _blend(a: Array, b: Array, share: Array) -> Array:
    share = share.reshape(-1, *(1,) * (a.ndim - 1))
    return share * a + (1 - share) * b


def _mixed_labels(y: Array, partner: Array, share: Array, classes: int) -> Array:
    """share y + (1 - share) y[partner], as probabilities."""
    labels = np.asarray(y)
    if labels.ndim == 1 and labels.dtype.kind in "biu":
        wrong = labels[(labels < 0) | (labels >= classes)]
        if wrong.size:
            raise TargetError(f"a label is {wrong[0]}, and there are {classes} classes to mix")
        labels = np.eye(classes, dtype=share.dtype)[labels.astype(np.intp)]
    elif labels.ndim != 2 or labels.shape[1] != classes or labels.dtype.kind != "f":
        raise TargetError(
            f"labels are mixed if they are integers (N,) or probabilities (N, {classes}), not"
            f" {labels.dtype} of shape {labels.shape}"
        )
    return _blend(labels, labels[partner], share.astype(labels.dtype))


def _or(number: float | None, default: float) -> float:
    return default if number is None else number


def _whole(number: float | None, default: int) -> Any:
    if number is None:
        return default
    return int(number) if number.is_integer() else number
