"""The results as a Markdown page and as a picture."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks import processes
from tests.benchmarks.runner import Entry

Found = Mapping[str, Any]


def line(entry: Entry) -> str:
    """A workload's times, for people who wait."""
    times = [f"{each} {duration(entry.median(each))}" for each in entry.seconds]
    ratios = [f"{entry.ratio(each):.2f} of {each}" for each in entry.seconds if each != "ours"]
    return f"  {', '.join(times)}" + (f": ours is {', '.join(ratios)}" if ratios else "")


def duration(seconds: float) -> str:
    """A time in a unit that suits it.

    >>> duration(0.00125), duration(2.5)
    ('1.25 ms', '2.5 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def markdown(found: Found) -> str:
    """The page that is kept beside the benchmarks."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Found) -> Iterator[str]:
    machine = found["machine"]
    yield "# How fast it is"
    yield ""
    yield "The last table measured. To repeat it, in a checkout:"
    yield ""
    yield "```"
    yield 'pip install -e ".[bench]" && python -m tests.benchmarks'
    yield "```"
    yield ""
    yield (
        "Every library works in a process of its own, all with as many threads; losses and"
        " gradients are compared before anything is timed; then they take turns, for several"
        " rounds. The time of a round is that of its median step. Shown are the median of the"
        " rounds, the least and the greatest; and as ratio the median of each round's, our time to"
        " theirs, so that below 1 we are faster. Where times spread widely, threads had to wait for"
        " a core of a shared machine: there the ratio with one thread says more. The limit is what"
        " the bare matrix products, or the fewest passes over the bytes, take. **Bold** is a"
        " target that was missed. Every process first takes 16 MB and gives them back, as if it had"
        " loaded data, so that malloc keeps what is freed later. Memory is by how much the first"
        " steps raise the peak, once the library is loaded. The extra `fast` was installed, whose"
        " compiler counts as loaded as well: with it ours is 170 MB, and PyTorch is 230 MB."
    )
    yield ""
    known = [f"{name} {value}" for name, value in machine.items() if name not in ("date", "cpu")]
    yield f"{machine['date']}, {machine['cpu']}: {', '.join(known)}."
    yield ""
    yield from _workload_table(found["workloads"])
    yield from _remaining(found["workloads"])
    if "processes" in found:
        yield from _process_tables(found["processes"])
    if "growth" in found:
        yield from _growth_table(found["growth"])


def _workload_table(workloads: list[Any]) -> Iterator[str]:
    yield (
        "| workload | ours | limit | peer | its time | ratio | with one thread | target |"
        " memory, ours / theirs |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for each in workloads:
        seconds, memory = each["seconds"], each["memory"]
        ours = _spread(seconds["ours"])
        limit = duration(statistics.median(seconds["limit"])) if "limit" in seconds else ""
        peers = [name for name in seconds if name not in ("ours", "limit")]
        alone = each.get("ratios with one thread", {})
        name = f"{each['name']}: {each['what']}"
        for peer in peers or [""]:
            cells = [name, ours, limit, peer, "", "", "", "", _megabytes(memory.get("ours"))]
            if peer:
                ratio, target = each["ratios"][peer], each["targets"].get(peer)
                cells[4:] = [
                    _spread(seconds[peer]),
                    _ratio(ratio, target),
                    f"{alone[peer]:.3g}" if peer in alone else "",
                    "" if target is None else f"{target:.3g}",
                    f"{_megabytes(memory.get('ours'))} / {_megabytes(memory.get(peer))}",
                ]
            yield f"| {' | '.join(cells)} |"
            name = ours = limit = ""
    yield ""


def _remaining(workloads: list[Any]) -> Iterator[str]:
    missed = [each for each in workloads if each["shares"]]
    if not missed:
        return
    yield "## Where the remaining time is"
    yield ""
    yield (
        "Of the workloads that missed a target: what the functions take of our step themselves,"
        " with what NumPy does for them, as `cProfile` sees it. It adds to functions that are"
        " called often."
    )
    yield ""
    yield "| workload | shares of our step | what keeps it |"
    yield "|---|---|---|"
    for each in missed:
        shares = [f"{share:.0%} {name}" for name, share in each["shares"].items() if share > 0.03]
        yield f"| {each['name']} | {'; '.join(shares)} | {each['why']} |"
    yield ""


def _ratio(ratio: float, target: float | None) -> str:
    missed = target is not None and ratio > target
    return f"**{ratio:.3g}**" if missed else f"{ratio:.3g}"


def _spread(seconds: list[float]) -> str:
    middle, low, high = statistics.median(seconds), min(seconds), max(seconds)
    return f"{duration(middle)} ({duration(low)} to {duration(high)})"


def _megabytes(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:.1f} MB"


def _process_tables(found: Found) -> Iterator[str]:
    seconds = found["import"]
    yield "## Importing"
    yield ""
    yield "A whole process that does nothing else."
    yield ""
    yield "| import | time | to bare NumPy | target |"
    yield "|---|---|---|---|"
    for name in seconds:
        ratio = processes.ratio(seconds, name, "bare NumPy")
        target = 1.2 if name == "ours" else None
        yield (f"| {name} | {_spread(seconds[name])} | {_ratio(ratio, target)} | {target or ''} |")
    yield ""
    digits = found["digits to 97 %"]
    yield "## From the start of a process to 97 % of unseen digits"
    yield ""
    yield "| library | time | epochs |"
    yield "|---|---|---|"
    for name, times in digits["seconds"].items():
        yield f"| {name} | {_spread(times)} | {digits['epochs'][name]} |"
    yield ""


def _growth_table(found: Found) -> Iterator[str]:
    yield "## How time grows"
    yield ""
    yield (
        "Forward and backward, or drawn with all gradients as SVG; the slope of log time over log"
        " size in the larger half of sizes."
    )
    yield ""
    yield "| of | smallest | largest | slope |"
    yield "|---|---|---|---|"
    for name, series in found.items():
        ends = [
            f"{size:,}: {duration(seconds)}"
            for size, seconds in zip(series["sizes"], series["seconds"], strict=True)
        ]
        yield f"| {name} | {ends[0]} | {ends[-1]} | {series['slope']:.2f} |"
    yield ""


def picture(found: Found, path: Path) -> None:
    """Our time to each peer's, a dot for each workload on a logarithmic axis, with the targets."""
    from matplotlib.figure import Figure

    rows = [
        (each["name"], peer, ratio, each["targets"].get(peer))
        for each in found["workloads"]
        for peer, ratio in each["ratios"].items()
        if peer != "limit"
    ]
    if not rows:
        return
    peers = list(dict.fromkeys(peer for _, peer, _, _ in rows))
    names = list(dict.fromkeys(name for name, *_ in rows))
    colours = dict(zip(peers, ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"),
                       strict=False))  # fmt: skip
    markers = dict(zip(peers, "oDsv^P", strict=False))
    figure = Figure(figsize=(9, 1.2 + 0.27 * len(names)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.axvline(1, color="#57606a", linewidth=1)
    for peer in peers:
        own = [(names.index(name), ratio) for name, other, ratio, _ in rows if other == peer]
        axes.plot([r for _, r in own], [i for i, _ in own], markers[peer], color=colours[peer],
                  markersize=6, label=peer, zorder=3)  # fmt: skip
        aims = [(names.index(n), t) for n, other, _, t in rows if other == peer and t is not None]
        axes.plot([t for _, t in aims], [i for i, _ in aims], "|", color=colours[peer],
                  markersize=13, markeredgewidth=1.6)  # fmt: skip
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("our time / theirs (left of 1: faster); a bar is the target", color="#57606a")
    axes.grid(color="#e3e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", length=0, colors="#57606a")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(peers), frameon=False)
    figure.savefig(path)
