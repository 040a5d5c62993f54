"""What is timed as a whole process: importing, and learning the digits from nothing."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.runner import ROOT

IMPORTS = {
    "bare NumPy": "import numpy",
    "ours": "import tinygrad_edu",
    "ours, with nn": "import tinygrad_edu, nn",
    "micrograd": "import micrograd.engine",
    "mygrad": "import mygrad",
    "autograd": "import autograd.numpy",
    "torch": "import torch",
    "jax": "import jax, jax.numpy",
}

# Each learns the same 1,437 digits in batches of 32, with the same network and optimizer, until it
# knows 97 % of the other 360, and prints how many epochs that took.
_DIGITS = """
import numpy as np
from sklearn.datasets import load_digits
digits = load_digits()
rng = np.random.default_rng(0)
order = rng.permutation(len(digits.target))
x = (digits.data / 16).astype(np.float32)[order]
y = digits.target[order]
"""
_OURS = """
import nn
from tinygrad_edu import Tensor, no_grad
nn.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = nn.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(1, 101):
    order = rng.permutation(1437)
    for i in range(0, 1437, 32):
        batch = order[i : i + 32]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward(retain_graph=False)
        optimizer.step()
    with no_grad():
        accuracy = (model(x[1437:]).data.argmax(1) == y[1437:]).mean()
    if accuracy >= 0.97:
        break
print(epoch)
"""
_TORCH = """
import os, torch
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
x, y = torch.from_numpy(x), torch.from_numpy(y)
for epoch in range(1, 101):
    order = torch.from_numpy(rng.permutation(1437))
    for i in range(0, 1437, 32):
        batch = order[i : i + 32]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (model(x[1437:]).argmax(1) == y[1437:]).float().mean().item()
    if accuracy >= 0.97:
        break
print(epoch)
"""
DIGITS = {"ours": _DIGITS + _OURS, "torch": _DIGITS + _TORCH}


def measured(contenders: Sequence[str], rounds: int) -> dict[str, Any]:
    """Seconds of every round, by what was done and by contender; and the digits' epochs."""
    always = {"bare NumPy", "ours, with nn"}
    imports = {name: code for name, code in IMPORTS.items() if name in {*contenders, *always}}
    digits = {name: code for name, code in DIGITS.items() if name in contenders}
    seconds, epochs = _in_turn(digits, rounds)
    return {
        "import": _in_turn(imports, rounds)[0],
        "digits to 97 %": {"seconds": seconds, "epochs": epochs},
    }


def _in_turn(codes: dict[str, str], rounds: int) -> tuple[dict[str, list[float]], dict[str, str]]:
    seconds: dict[str, list[float]] = {name: [] for name in codes}
    said = {}
    for _ in range(rounds + 1):
        for name, code in codes.items():
            start = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                # As users have it: what was compiled once is kept.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
                check=True,
                capture_output=True,
                text=True,
            )
            seconds[name].append(time.perf_counter() - start)
            said[name] = done.stdout.strip()
    return {name: times[1:] for name, times in seconds.items()}, said  # the first filled the caches


def ratio(seconds: dict[str, list[float]], one: str, other: str) -> float:
    """The median over the rounds of the ratio of two times."""
    return statistics.median(a / b for a, b in zip(seconds[one], seconds[other], strict=True))
