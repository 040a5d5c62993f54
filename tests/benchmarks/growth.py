"""How time grows with the size of the work, for us alone: a slope of 1 is proportional."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import nn
import viz
from tinygrad_edu import Tensor, Value

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)


def _deep(n: int, x: Any) -> Callable[[], None]:
    def run() -> None:
        y = x
        for _ in range(n):
            y = y + 1.0
        y.backward(retain_graph=False)

    return run


def _wide(n: int, x: Any) -> Callable[[], None]:
    return lambda: _tree(n, x).backward(retain_graph=False)


def _tree(n: int, x: Any) -> Any:
    row = [x + 1.0 for _ in range(n // 2)]
    while len(row) > 1:
        row = [a + b for a, b in zip(row[::2], row[1::2], strict=False)]
    return row[0]


def _drawn(n: int) -> Callable[[], None]:
    root = _tree(n, Value(0.0))

    def run() -> None:
        viz.draw(root).svg()

    return run


def _network(batch: int, width: int, depth: int) -> Callable[[], None]:
    layers: list[nn.Module] = []
    for _ in range(depth):
        # With another scale, what reaches the last layers is so small that products take longer.
        layers += [nn.Linear(width, width, nonlinearity="relu"), nn.ReLU()]
    model = nn.Sequential(*layers)
    x = Tensor(np.ones((batch, width), np.float32))

    def run() -> None:
        model.zero_grad()
        model(x).sum().backward(retain_graph=False)

    return run


SERIES: dict[str, tuple[tuple[int, ...], Callable[[int], Callable[[], None]]]] = {
    "nodes, a chain of Values": (SIZES, lambda n: _deep(n, Value(0.0))),
    "nodes, a tree of Values": (SIZES, lambda n: _wide(n, Value(0.0))),
    "nodes, a chain of Tensors": (SIZES, lambda n: _deep(n, Tensor(0.0, requires_grad=True))),
    "nodes, a tree of Tensors": (SIZES, lambda n: _wide(n, Tensor(0.0, requires_grad=True))),
    "nodes drawn, a tree of Values": ((16, 32, 64, 128, 256, 512, 1024), _drawn),
    "batch, 4 layers of 128": (
        tuple(2**k for k in range(0, 13, 2)),
        lambda n: _network(n, 128, 4),
    ),
    "depth, layers of 128, batch 64": (
        tuple(2**k for k in range(0, 9, 2)),
        lambda n: _network(64, 128, n),
    ),
    "width squared, 4 layers, batch 64": (
        tuple(4**k for k in range(4, 12)),
        lambda n: _network(64, round(n**0.5), 4),
    ),
}


def measured() -> dict[str, Any]:
    """By series: sizes, seconds, and the slope of their logarithms over the larger half."""
    return {name: _series(sizes, make) for name, (sizes, make) in SERIES.items()}


def _series(sizes: tuple[int, ...], make: Callable[[int], Callable[[], None]]) -> dict[str, Any]:
    seconds = []
    for n in sizes:
        run = make(n)
        run()
        gc.collect()
        once = _time(run)
        repeats = max(1, min(20, int(0.5 / max(once, 1e-9))))
        seconds.append(float(np.median([once, *(_time(run) for _ in range(repeats))])))
    half = len(sizes) // 2
    slope = np.polyfit(np.log(sizes[half:]), np.log(seconds[half:]), 1)[0]
    return {"sizes": sizes, "seconds": seconds, "slope": float(slope)}


def _time(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
