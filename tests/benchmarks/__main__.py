"""Measure tinygrad-edu against its peers: ``python -m tests.benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from tests.benchmarks import growth, processes, table
from tests.benchmarks.runner import Entry, measured
from tests.benchmarks.workloads import WORKLOADS

# Ourselves, then what we compare with, by the module that a user imports.
CONTENDERS = {
    "ours": "tinygrad_edu",
    "limit": "numpy",
    "numpy": "numpy",
    "micrograd": "micrograd",
    "mygrad": "mygrad",
    "autograd": "autograd",
    "torch": "torch",
    "jax": "jax",
}
FOLDER = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and save what was found."""
    options = _parser().parse_args(arguments)
    asked = [each for each in CONTENDERS if each == "ours" or each in options.against]
    present = [each for each in asked if find_spec(CONTENDERS[each])]
    if missing := sorted(set(asked) - set(present)):
        _say(f"not installed, so not measured: {', '.join(missing)}")
    wanted = [w for w in WORKLOADS if any(part in w.name for part in options.only)]
    start = time.perf_counter()

    def each_workload(threads: int, contenders: list[str]) -> list[Entry]:
        _with_threads(threads)
        entries: list[Entry] = []
        for workload in wanted:
            _say(f"{workload.name}: {workload.what}")
            entries.append(measured(workload, contenders, options.rounds, options.seconds))
            _say(table.line(entries[-1]))
        return entries

    found = {
        "machine": _machine(options.threads),
        "workloads": [e.as_dict() for e in each_workload(options.threads, present)],
    }
    if "one-thread" in options.also and options.threads > 1:
        _say("with one thread")
        threaded = [each for each in present if each in ("ours", "numpy", "torch", "jax")]
        for alone, entry in zip(each_workload(1, threaded), found["workloads"], strict=True):
            entry["ratios with one thread"] = alone.as_dict()["ratios"]
        _with_threads(options.threads)
    if "processes" in options.also:
        _say("whole processes")
        found["processes"] = processes.measured(present, options.rounds)
    if "growth" in options.also:
        _say("growth")
        found["growth"] = growth.measured()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    text = table.markdown(found)
    (options.out / "README.md").write_text(text)
    table.picture(found, options.out / "results.svg")
    print(text)
    _say(f"{time.perf_counter() - start:.0f} s; saved in {options.out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Times each workload in one process per library, in turn, round after round."
        " Losses and gradients are compared first.",
    )
    parser.add_argument(
        "only", nargs="*", default=[""], help="parts of the names of workloads; by default all"
    )
    peers = [each for each in CONTENDERS if each != "ours"]
    parser.add_argument(
        "--against",
        nargs="*",
        default=peers,
        choices=peers,
        metavar="PEER",
        help=f"of {', '.join(peers)}; by default all that are installed",
    )
    parser.add_argument("--rounds", type=int, default=7, help="how often each takes its turn")
    parser.add_argument("--seconds", type=float, default=0.3, help="how long a turn takes, about")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of every library")
    parser.add_argument(
        "--also",
        nargs="*",
        default=["one-thread", "processes", "growth"],
        choices=["one-thread", "processes", "growth"],
        metavar="PART",
        help="one-thread (the workloads once more, with one), processes (imports, training to an"
        " accuracy) and growth; all by default, and none if --also has nothing after it",
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="a folder for the results")
    return parser


def _with_threads(count: int) -> None:
    """Every process of a contender that starts from now on has so many threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(count > 1).lower()}"


def _machine(threads: int) -> dict[str, str | int]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    model = next((line.partition(": ")[2] for line in lines if "model name" in line), "")
    versions = {}
    for name in dict.fromkeys(["numpy", *CONTENDERS]):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": model or platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "threads": threads,
        "python": platform.python_version(),
        **versions,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
