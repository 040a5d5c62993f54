"""The README says nothing that is not so: its examples run, and print what it prints."""

import doctest
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_of_the_readme_print_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the drawing is saved there
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    # One after the other and in one namespace, as a reader would type them.
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "README", "README.md", 0)
    failures, examples = doctest.DocTestRunner().run(test)
    assert failures == 0
    assert examples > 20
    assert (tmp_path / "neuron.svg").exists()


@pytest.mark.parametrize("path", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_what_the_readme_links_to_is_there(path):
    assert (ROOT / path).exists()


def test_the_checks_run_the_very_test_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m1 -E '([^']+)' README\.md", script).group(1)
    found = subprocess.run(
        ["grep", "-E", pattern, ROOT / "README.md"], capture_output=True, text=True, check=True
    )
    assert found.stdout.count("\n") == 1
    assert found.stdout.endswith('".[test]" && .venv/bin/python -m pytest\n')
