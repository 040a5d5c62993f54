"""Images moved, turned and sheared: one gather for the whole batch."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def shifted(x: Array, down: Array, right: Array) -> Array:
    """Each image moved by whole pixels, ``(N,)`` down and to the right; what comes in is 0."""
    _, _, height, width = x.shape
    rows = np.arange(height) - down[:, None]
    columns = np.arange(width) - right[:, None]
    return _gathered(x, rows[:, :, None], columns[:, None, :])


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
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    below, beside = (row - top).astype(x.dtype), (column - left).astype(x.dtype)
    out = np.zeros_like(x)
    for i, weight_i in ((0, 1 - below), (1, below)):
        for j, weight_j in ((0, 1 - beside), (1, beside)):
            out += _gathered(x, top + i, left + j) * (weight_i * weight_j)[:, None]
    return out


def rotations(angle: Array) -> Array:
    """The matrices ``(N, 2, 2)`` for ``affine`` that turn images by angles, clockwise."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)


def _gathered(x: Array, rows: Array, columns: Array) -> Array:
    """The pixels at ``rows`` and ``columns``, each of the shape of ``(N, H, W)``; 0 outside."""
    n, _, height, width = x.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    sample = np.arange(n)[:, None, None]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    found = x.transpose(0, 2, 3, 1)[sample, rows, columns]
    return np.where(inside[..., None], found, x.dtype.type(0)).transpose(0, 3, 1, 2)
