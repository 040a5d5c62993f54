"""A sweep: one run for every combination of settings, compared in a table and in a picture.

A sweep that is stopped goes on where it was: a finished run left its result, one that was cut short
its checkpoint.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

import nn
import viz
from tinygrad_edu.cli import run
from tinygrad_edu.cli.inside import plot_section
from tinygrad_edu.cli.settings import Settings, parse, prepare
from tinygrad_edu.files import write
from viz.report import Section, report

# The files of a sweep, and of each of its runs.
SWEEP, RESULT = "sweep.json", "result.json"

_LOSS = "validation_loss"

Grid = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Result:
    """One run of a sweep.

    Attributes:
        varied: the settings that differ from run to run, as they were written.
        history: a row per epoch.
        best: the row of the best epoch, and None if training failed before there was one.
        parameters: how many the model has.
        failure: why training failed, or empty.
    """

    varied: dict[str, str]
    history: list[dict[str, float]]
    best: dict[str, float] | None
    parameters: int
    failure: str = ""

    @property
    def name(self) -> str:
        """The settings that differ."""
        return ", ".join(f"{name}={value}" for name, value in self.varied.items()) or "defaults"


@dataclass(frozen=True)
class Sweep:
    """A base of settings, and the values of some of them to combine."""

    base: Settings
    grid: Grid

    @property
    def varied(self) -> list[str]:
        """The settings that have more than one value."""
        return [name for name, values in self.grid.items() if len(values) > 1]

    def runs(self) -> Iterator[tuple[dict[str, str], Settings]]:
        """The varied settings and all settings of every run."""
        for values in itertools.product(*self.grid.values()):
            chosen = dict(zip(self.grid, values, strict=True))
            settings = replace(self.base, **{n: parse(n, text) for n, text in chosen.items()})
            yield {name: chosen[name] for name in self.varied}, settings


def parse_grid(assignments: Sequence[str]) -> dict[str, list[str]]:
    """The values of each setting in texts such as ``"lr=0.1,0.01"``.

    Raises:
        ConfigurationError: one is written in another way, or comes twice.
        UnknownNameError: there is no such setting.

    >>> parse_grid(["optimizer=sgd,adam", "lr=0.1"])
    {'optimizer': ['sgd', 'adam'], 'lr': ['0.1']}
    """
    grid: dict[str, list[str]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.lstrip("-").replace("-", "_")
        values = text.split(",")
        if not equals or not all(values):
            raise nn.ConfigurationError(
                f"a sweep takes settings and their values, such as lr=0.1,0.01, not {assignment!r}"
            )
        for value in values:
            parse(name, value)
        if name in grid or len(set(values)) < len(values):
            raise nn.ConfigurationError(f"the sweep's {name} has a value twice")
        grid[name] = values
    return grid


def begin(sweep: Sweep, parent: Path) -> Path:
    """Try the settings of all runs, and make the sweep's folder."""
    for _, settings in sweep.runs():
        prepare(settings)
    folder = run.run_folder(parent)
    kept = {"base": sweep.base.as_dict(), "grid": dict(sweep.grid)}
    write(folder / SWEEP, json.dumps(kept, indent=2).encode())
    return folder


def sweep_of(folder: Path) -> Sweep:
    """The sweep that was begun in a folder.

    Raises:
        RunError: there is none.
    """
    path = folder / SWEEP
    if not path.is_file():
        raise run.RunError(f"{folder} is not the folder of a sweep: it has no {SWEEP}")
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Sweep(Settings.from_dict(kept["base"]), kept["grid"])


def run_all(sweep: Sweep, folder: Path, console: Console) -> list[Result]:
    """Run every combination that has no result yet."""
    runs = list(sweep.runs())
    results = []
    for i, (varied, settings) in enumerate(runs, 1):
        own = folder / f"{i:0{len(str(len(runs)))}}"
        own.mkdir(exist_ok=True)
        if not (own / RESULT).is_file():
            named = ", ".join(f"{name}={value}" for name, value in varied.items())
            console.print(f"[bold]run {i} of {len(runs)}[/]  {named}", highlight=False)
            result = _run(varied, settings, own, console)
            write(own / RESULT, json.dumps(vars(result)).encode())
        results.append(Result(**json.loads((own / RESULT).read_text(encoding="utf-8"))))
    return results


def _run(varied: dict[str, str], settings: Settings, folder: Path, console: Console) -> Result:
    prepared = prepare(settings)
    trainer = prepared.trainer
    checkpoint = folder / run.CHECKPOINT
    failure, best = "", None
    try:
        done = run.train(prepared, folder, console, checkpoint if checkpoint.is_file() else None)
        best = done.history[done.best_epoch - 1]
    except nn.TrainingError as error:
        failure = str(error)
    parameters = sum(p.size for p in trainer.model.parameters())
    return Result(varied, trainer.history, best, parameters, failure)


def table(sweep: Sweep, results: Sequence[Result]) -> list[list[str]]:
    """The results: of two settings, the values of one in rows and of the other in columns.

    Of any other number of settings a row each, the best first.
    """
    metric = compared_by(results)
    if len(sweep.varied) == 2:
        first, second = sweep.varied
        cells = {tuple(r.varied.values()): _cell(r, metric) for r in results}
        columns = sweep.grid[second]
        return [
            [f"{first} \\ {second}", *columns],
            *([row, *(cells[row, column] for column in columns)] for row in sweep.grid[first]),
        ]
    rows = [
        [
            *r.varied.values(),
            _cell(r, metric),
            f"{r.best[_LOSS]:.4f}" if r.best else "",
            f"{int(r.best['epoch'])}" if r.best else "",
            f"{r.parameters:,}",
            f"{sum(row['seconds'] for row in r.history):.1f}",
        ]
        for r in ranked(results)
    ]
    header = [*sweep.varied, _title(metric), "validation loss", "epoch", "parameters", "seconds"]
    return [header, *rows]


def compared_by(results: Sequence[Result]) -> str:
    """What is measured on validation samples besides the loss."""
    names = [name for r in results for row in r.history for name in row]
    return next((n for n in names if n.startswith("validation_") and n != _LOSS), _LOSS)


def ranked(results: Sequence[Result]) -> list[Result]:
    """Those with the lowest validation loss first, those that failed last."""
    return sorted(results, key=lambda r: r.best[_LOSS] if r.best else float("inf"))


def write_page(sweep: Sweep, results: Sequence[Result], folder: Path) -> list[Path]:
    """The table, the curves of all runs, and a page that shows them; returns the files."""
    metric, rows = compared_by(results), table(sweep, results)
    lines = [",".join(f'"{cell}"' for cell in row) for row in rows]
    write(folder / "results.csv", ("\n".join(lines) + "\n").encode())
    histories = {r.name: r.history for r in results if r.history}
    sections = [
        Section(
            "The results",
            f"The {_title(metric)} of the epoch with the lowest validation loss.",
            table=rows,
        )
    ]
    for quantity in dict.fromkeys((_LOSS, metric)):
        if histories:
            sections.append(
                plot_section(
                    viz.plots.overlaid_curves(histories, quantity),
                    folder / f"{quantity}.svg",
                    _title(quantity).capitalize(),
                    "After each epoch, of every run.",
                )
            )
    failures = [f"{r.name}: {r.failure}" for r in results if r.failure]
    if failures:
        sections.append(Section("What failed", "\n\n".join(failures)))
    report(f"A sweep on {sweep.base.dataset}", sections, folder / "report.html")
    return sorted(path for path in folder.iterdir() if path.is_file())


def _title(metric: str) -> str:
    return metric.replace("_", " ").replace("r2", "R²")


def _cell(result: Result, metric: str) -> str:
    if result.best is None:
        return "diverged"
    value = result.best[metric]
    return f"{value:.2%}" if metric.endswith("accuracy") else f"{value:.4f}"
