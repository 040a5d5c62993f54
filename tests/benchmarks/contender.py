"""The process of one contender: it imports one library, and times what it is told to.

It reads a request per line and answers with a line, both in JSON: ``prepare`` a workload, ``time``
it, ``profile`` it, or measure the ``memory`` of its first steps.
"""

from __future__ import annotations

import cProfile
import importlib
import json
import os
import pstats
import statistics
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.benchmarks.contenders import Task
from tests.benchmarks.workloads import WORKLOADS

# How often a step runs before it is timed: caches fill, and what compiles has compiled.
WARM = 3
# So many bytes are taken and given back first, as if data had been loaded. From then on malloc
# keeps what is freed. In a process that never had a large array it returns arrays of a few MB to
# the system and has them zeroed anew in every step, which takes longer than many a step.
LOADED = 2**24


class Contender:
    """What answers requests."""

    def __init__(self, library: ModuleType) -> None:
        self.library = library
        self.task: Task | None = None

    def prepare(self, workload: str, path: str) -> dict[str, Any]:
        """Make a workload's task; leave the losses and gradients of its first step in a file."""
        found = next(each for each in WORKLOADS if each.name == workload)
        np.empty(LOADED, np.uint8)
        self.task = getattr(self.library, found.task)(found.data())
        np.savez(path, **{name: np.asarray(x) for name, x in self.task.outputs().items()})
        for _ in range(WARM):
            self.task.step()
        return {}

    def time(self, seconds: float) -> dict[str, Any]:
        """The median time of a step, of as many as take about so many seconds, at least one.

        Not the mean: where the machine is shared, it is that of the few steps that had to wait for
        a core, and these are more, the more threads a library has.
        """
        assert self.task is not None
        step, now = self.task.step, time.perf_counter
        times: list[float] = []
        end = now() + seconds
        while not times or now() < end:
            start = now()
            step()
            times.append(now() - start)
        return {"seconds": statistics.median(times)}

    def profile(self, seconds: float) -> dict[str, Any]:
        """The share of a step's time that each function takes itself, the largest first."""
        assert self.task is not None
        profiler, end = cProfile.Profile(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            profiler.runcall(self.task.step)
        found: dict[Any, Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
        total = sum(own for _, _, own, _, _ in found.values())
        shares = {_place(place): own / total for place, (_, _, own, _, _) in found.items()}
        return {"shares": dict(sorted(shares.items(), key=lambda item: -item[1])[:6])}

    def memory(self, workload: str) -> dict[str, Any]:
        """By how much the first five steps raise the memory of this process, in bytes."""
        found = next(each for each in WORKLOADS if each.name == workload)
        task = getattr(self.library, found.task)(found.data())
        before = _forget_peak()
        for _ in range(5):
            task.step()
        return {"bytes": _peak() - before}


def _place(place: tuple[str, int, str]) -> str:
    """A function, as people would look for it."""
    file, line, name = place
    if not line:  # "<method 'reduce' of 'numpy.ufunc' objects>", which stands in no file
        return name.strip("<>").replace("built-in method ", "")
    file = "/".join(Path(file).parts[-2:])
    return f"a rule at {file}:{line}" if name == "<lambda>" else f"{name} in {file}"


def _forget_peak() -> int:
    """Have the kernel measure the peak anew; returns what is in use now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Answer until there are no more requests. What a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    contender = Contender(importlib.import_module(f"tests.benchmarks.contenders.{sys.argv[1]}"))
    print("{}", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(contender, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
