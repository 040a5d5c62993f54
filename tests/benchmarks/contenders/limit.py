"""The least the machine needs: the matrix products alone, or the bytes at full bandwidth."""

import itertools
from typing import Any

import numpy as np

from tests.benchmarks.contenders import Task


def _products(*shapes: tuple[int, int, int]) -> Task:
    """The bare products (m, k) @ (k, n)."""
    rng = np.random.default_rng(0)
    pairs = [
        (rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32))
        for m, k, n in shapes
    ]
    outs = [np.empty((m, n), np.float32) for m, _, n in shapes]

    def step() -> None:
        for (a, b), out in zip(pairs, outs, strict=True):
            np.matmul(a, b, out=out)

    return Task(step, dict)


def _bytes_of(entries: int, passes: int) -> Task:
    """So many passes over arrays of float32, as copies, each of which reads and writes."""
    source, target = np.ones(entries, np.float32), np.empty(entries, np.float32)

    def step() -> None:
        for _ in range(passes):
            np.copyto(target, source)

    return Task(step, dict)


def mlp(data: dict[str, Any]) -> Task:
    n, sizes = len(data["x"]), data["sizes"]
    shapes = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        shapes += [(n, a, b), (b, n, a)]
        if i:
            shapes.append((n, b, a))
    return _products(*shapes)


def convolution(data: dict[str, Any]) -> Task:
    n, _, h, w = data["x"].shape
    out, window = len(data["weight"]), data["weight"][0].size
    return _products((n * h * w, window, out), (out, n * h * w, window), (n * h * w, out, window))


def layer_norm(data: dict[str, Any]) -> Task:
    # Forward reads x and writes y; backward reads g and x and writes the gradient by x.
    return _bytes_of(data["x"].size, 3)


def batch_norm(data: dict[str, Any]) -> Task:
    # The statistics of all samples, and their gradients, are known only after a pass of their own.
    return _bytes_of(data["x"].size, 4)


def cross_entropy(data: dict[str, Any]) -> Task:
    return _bytes_of(data["x"].size, 2)


def adam(data: dict[str, Any]) -> Task:
    # Reads parameter, gradient and both moments; writes all but the gradient.
    return _in_place(data, 4)


adamw = adam


def sgd(data: dict[str, Any]) -> Task:
    return _in_place(data, 3)


def _in_place(data: dict[str, Any], arrays: int) -> Task:
    """So many arrays of all the parameters' size read, and all but one written where they are."""
    entries = sum(p.size for p in data["parameters"].values())
    x, g, *state = (np.ones(entries, np.float32) for _ in range(arrays))

    def step() -> None:
        np.add(x, g, out=x)
        for each in state:
            np.negative(each, out=each)

    return Task(step, dict)
