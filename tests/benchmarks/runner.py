"""Running a workload: a process per contender, answers compared, then timed in turn."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.workloads import Workload

ROOT = Path(__file__).parents[2]


class DisagreementError(Exception):
    """Two contenders that do not compute the same: their times could not be compared."""


@dataclass
class Entry:
    """What was measured of a workload.

    Attributes:
        workload: what was done.
        seconds: by contender, the median time of a step in each round.
        memory: by contender, by how many bytes the first steps raised its memory.
        shares: of our step's time, by function, where a target was missed.
    """

    workload: Workload
    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)

    def median(self, contender: str) -> float:
        """The median time of a step."""
        return statistics.median(self.seconds[contender])

    def ratio(self, contender: str) -> float:
        """Our time to theirs: the median of the ratios of each round, in which both took turns."""
        pairs = zip(self.seconds["ours"], self.seconds[contender], strict=True)
        return statistics.median(ours / theirs for ours, theirs in pairs)

    def as_dict(self) -> dict[str, Any]:
        """What is saved."""
        return {
            "name": self.workload.name,
            "what": self.workload.what,
            "targets": dict(self.workload.targets),
            "seconds": self.seconds,
            "memory": self.memory,
            "ratios": {each: self.ratio(each) for each in self.seconds if each != "ours"},
            "shares": self.shares,
            "why": self.workload.why,
        }

    def misses(self) -> bool:
        """Whether a ratio is above its target."""
        targets = self.workload.targets.items()
        return any(each in self.seconds and self.ratio(each) > aim for each, aim in targets)


class Process:
    """A contender at work. Use it as a context, which ends it."""

    def __init__(self, contender: str) -> None:
        self.contender = contender
        command = [sys.executable, "-m", "tests.benchmarks.contender", contender]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._answer()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Have it do something; returns its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.contender} ended; its error stands above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.__exit__(None, None, None)  # ends its requests, and waits for it


def can(contender: str, workload: Workload) -> bool:
    """Whether a contender's module has the task, without importing its library."""
    source = (Path(__file__).parent / "contenders" / f"{contender}.py").read_text()
    return f"def {workload.task}(" in source or f"\n{workload.task} = " in source


def measured(workload: Workload, contenders: Sequence[str], rounds: int, seconds: float) -> Entry:
    """Compare what the contenders compute, then time them, each in turn, round after round.

    Raises:
        DisagreementError: losses or gradients differ.
    """
    able = [each for each in contenders if can(each, workload)]
    entry = Entry(workload, {each: [] for each in able})
    processes = {each: Process(each) for each in able}
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = {each: str(Path(folder) / f"{each}.npz") for each in able}
            for each, process in processes.items():
                process.ask("prepare", workload=workload.name, path=paths[each])
            for each in able:
                _check_agreement(workload, each, paths["ours"], paths[each])
        for _ in range(rounds):
            for each, process in processes.items():
                entry.seconds[each].append(process.ask("time", seconds=seconds)["seconds"])
        if entry.misses():
            entry.shares = processes["ours"].ask("profile", seconds=seconds)["shares"]
    finally:
        for process in processes.values():
            process.__exit__()
    for each in able:
        if each != "limit":
            with Process(each) as process:
                entry.memory[each] = process.ask("memory", workload=workload.name)["bytes"]
    return entry


def _check_agreement(workload: Workload, contender: str, ours: str, theirs: str) -> None:
    with np.load(ours) as mine, np.load(theirs) as other:
        for name in set(mine) & set(other):
            a, b = mine[name].astype(float), other[name].astype(float)
            largest = max(float(np.abs(b).max()), 1e-30)
            if a.shape != b.shape or float(np.abs(a - b).max()) > workload.tolerance * largest:
                raise DisagreementError(
                    f"{workload.name}: {name} of ours and of {contender} differ, shapes {a.shape}"
                    f" and {b.shape}: their times are not of the same work"
                )
        if contender != "limit" and not set(mine) & set(other):
            raise DisagreementError(f"{workload.name}: {contender} has none of our outputs")
