"""The course runs from top to bottom, asserts what it claims, and is kept as it was run."""

import json
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(path.stem for path in FOLDER.glob("*.py"))
# Longer than any takes, on a machine as slow as one may be.
SECONDS = 600


def executed(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def sources(notebook):
    return [(cell.cell_type, cell.source.rstrip()) for cell in notebook.cells]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_runs(name, tmp_path, monkeypatch):
    # There is a process of tests on every core already; more threads would only wait.
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    notebook = jupytext.read(FOLDER / f"{name}.py")
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=SECONDS, resources=where).execute()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebook_is_its_source_with_outputs(name):
    kept = executed(name)
    assert sources(kept) == sources(jupytext.read(FOLDER / f"{name}.py"))
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_its_outputs_have_no_error_no_warning_and_no_place_on_a_machine(name):
    for cell in executed(name).cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            assert output.get("name") != "stderr"
            text = json.dumps(output)
            assert not [place for place in ("/tmp/", "/home/", "/root/") if place in text]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_it_ends_in_three_exercises_with_folded_solutions_that_assert(name):
    solutions = [
        cell for cell in executed(name).cells if "solution" in cell.metadata.get("tags", ())
    ]
    assert len(solutions) == 3
    for cell in solutions:
        assert cell.metadata["jupyter"]["source_hidden"]
        assert "assert" in cell.source


def test_every_notebook_is_in_the_table():
    table = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name in NOTEBOOKS:
        assert f"({name}.ipynb)" in table
