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
    # Before any process of a contender starts: they all inherit it.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(options.threads > 1).lower()}"
    asked = [each for each in CONTENDERS if each == "ours" or each in options.against]
    present = [each for each in asked if find_spec(CONTENDERS[each])]
    if missing := sorted(set(asked) - set(present)):
        _say(f"not installed, so not measured: {', '.join(missing)}")
    wanted = [w for w in WORKLOADS if any(part in w.name for part in options.only)]
    start = time.perf_counter()
    entries: list[Entry] = []
    for workload in wanted:
        _say(f"{workload.name}: {workload.what}")
        entries.append(measured(workload, present, options.rounds, options.seconds))
        _say(table.line(entries[-1]))
    found = {
        "machine": _machine(options.threads),
        "workloads": [entry.as_dict() for entry in entries],
    }
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
        default=["processes", "growth"],
        choices=["processes", "growth"],
        metavar="PART",
        help="processes (imports, training to an accuracy) and growth; both by default, and neither"
        " if --also has nothing after it",
    )
    parser.add_argument("--out", type=Path, default=FOLDER, help="a folder for the results")
    return parser


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
