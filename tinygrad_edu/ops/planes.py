"""Convolution where a group has one channel, as the first layer on grey images or a depthwise one.

The matrices of windows would have one column or one row there, for which products of matrices are
slow. Loops compiled by Numba, where the extra ``fast`` is installed, take an image as it lies in
memory: in steps of 1, an entry of a window is the image moved by so many places. What goes past the
end of a row is computed along with the rest, and left out.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.ops.loops import compiled_loops
from tinygrad_edu.ops.windows import Lengths, Margins, inside, padded_size


def loops_for(
    x: Any, other: Any, out: int, kernel: Lengths, stride: Lengths, groups: int, output: Lengths
) -> ModuleType | None:
    """The compiled loops, if they are installed and for this convolution of x.

    ``other`` is its weight, or the gradient by its result; ``out`` how many channels that has.
    """
    single = 1 in (x.shape[1] // groups, out // groups) and set(stride) == {1}
    if not single or x.dtype != other.dtype or x.dtype not in (np.float32, np.float64):
        return None
    # In place of copying so many entries of windows.
    return compiled_loops(x.shape[0] * x.shape[1] * math.prod(output) * math.prod(kernel))


class Planes(NamedTuple):
    """An array (N, C, *spatial) with its padding, as the compiled loops take it."""

    compiled: ModuleType
    x: Any  # (N, groups, entries of all channels of a group)
    taps: Any  # by how many places to move it for each channel and position in the kernel
    length: Any  # from the first window to the last
    output: Lengths  # how many windows there are
    rows: Lengths  # the same, with what is past the ends of rows
    kernel: Lengths

    @staticmethod
    def over(
        x: Any, other: Any, out: int, kernel: Lengths, stride: Lengths, padding: Margins,
        dilation: Lengths, groups: int, output: Lengths,
    ) -> Planes | None:  # fmt: skip
        """None where ``loops_for`` finds none."""
        compiled = loops_for(x, other, out, kernel, stride, groups, output)
        if compiled is None:
            return None
        size, channels = x.shape[2:], x.shape[1] // groups
        whole = padded_size(size, padding)
        padded = np.zeros((*x.shape[:2], *whole), x.dtype)
        padded[(slice(None), slice(None), *inside(size, padding))] = x
        across = np.array([math.prod(whole[i + 1 :]) for i in range(len(whole))])
        places = np.indices(kernel).reshape(len(kernel), -1).T * dilation @ across
        taps = math.prod(whole) * np.arange(channels)[:, None] + places
        return Planes(
            compiled,
            padded.reshape((len(x), groups, channels * math.prod(whole))),
            taps.ravel().astype(np.uint64),
            np.uint64((np.array(output) - 1) @ across + 1),
            output,
            (output[0], *whole[1:]),
            kernel,
        )

    def convolved(self, weight: Any) -> Any:
        """``(N, O, *output)``, with a weight (O, C / groups, *kernel)."""
        images, groups, _ = self.x.shape
        y = np.empty((images, groups, len(weight) // groups, math.prod(self.rows)), weight.dtype)
        by_tap = np.ascontiguousarray(weight).reshape((*y.shape[1:3], len(self.taps)))
        self.compiled.correlate(self.x, self.taps, by_tap, self.length, y)
        y = y.reshape((images, len(weight), *self.rows))
        return np.ascontiguousarray(y[self._windows()])

    def correlated(self, h: Any) -> Any:
        """The gradient by the weight, given that by the result."""
        images, groups, _ = self.x.shape
        rows = np.zeros((*h.shape[:2], *self.rows), h.dtype)
        rows[self._windows()] = h
        rows = rows.reshape((images, groups, h.shape[1] // groups, math.prod(self.rows)))
        by_tap = np.zeros((groups, h.shape[1] // groups, len(self.taps)))
        self.compiled.correlate_by_weight(self.x, self.taps, rows, self.length, by_tap)
        return by_tap.astype(h.dtype).reshape((h.shape[1], -1, *self.kernel))

    def _windows(self) -> tuple[slice, ...]:
        return (slice(None), slice(None), *map(slice, self.output))
