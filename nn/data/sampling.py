"""Images moved, turned and sheared: a whole batch in one gather."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def shifted(x: Array, down: Array, right: Array) -> Array:
    """Each image moved by whole pixels, ``(N,)`` down and to the right; what comes in is 0."""
    _, _, height, width = x.shape
    rows = np.clip(np.arange(height) - down[:, None], -1, height)
    columns = np.clip(np.arange(width) - right[:, None], -1, width)
    return _Framed(x).take(rows[:, :, None], columns[:, None, :])


def affine(x: Array, matrices: Array) -> Array:
    """Each image through a linear map about its centre; bilinear between pixels, 0 outside.

    Pixel p of the result is the image at M (p - c) + c, with p and c as (row, column).

    Args:
        x: ``(N, C, H, W)``.
        matrices: M of each image, ``(N, 2, 2)``.
    """
    _, _, height, width = x.shape
    rows = np.arange(height) - (height - 1) / 2
    columns = np.arange(width) - (width - 1) / 2
    a, b, c, d = (matrices[:, i, j, None, None] for i in (0, 1) for j in (0, 1))
    # What is a pixel but for rounding is that pixel, so that no turn at all changes nothing.
    across, along = rows[:, None], columns[None, :]
    row = np.round(a * across + b * along + (height - 1) / 2, 9)
    column = np.round(c * across + d * along + (width - 1) / 2, 9)
    # A pixel or more outside the image everything is 0, however far.
    row, column = np.clip(row, -1, height), np.clip(column, -1, width)
    top, left = np.floor(row).astype(np.intp), np.floor(column).astype(np.intp)
    below, beside = (row - top).astype(x.dtype), (column - left).astype(x.dtype)
    framed = _Framed(x)
    out = np.zeros_like(x)
    for i, weight_i in ((0, 1 - below), (1, below)):
        for j, weight_j in ((0, 1 - beside), (1, beside)):
            pixels = framed.take(top + i, left + j)
            pixels *= (weight_i * weight_j)[:, None]
            out += pixels
    return out


def rotations(angle: Array) -> Array:
    """The matrices ``(N, 2, 2)`` for ``affine`` that turn images by angles, clockwise."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)


class _Framed:
    """Images in a frame of zeros, so that a gather need not ask which pixels are inside.

    The frame is one pixel wide at the top and left, and two at the bottom and right: the lower
    right neighbour of any place from -1 to the height, or width, is in it too.
    """

    def __init__(self, x: Array) -> None:
        n, channels, _, _ = x.shape
        framed = np.pad(x, ((0, 0), (0, 0), (1, 2), (1, 2)))
        _, _, height, self._width = framed.shape
        self._pixels = framed.ravel()
        self._starts = np.arange(n * channels).reshape(n, channels, 1, 1) * height * self._width

    def take(self, rows: Array, columns: Array) -> Array:
        """The pixels ``(N, C, H, W)`` at rows and columns of which each makes up ``(N, H, W)``."""
        places = (rows + 1) * self._width + columns + 1
        return self._pixels.take(self._starts + places[:, None])
