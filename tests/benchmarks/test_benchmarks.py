"""The benchmarks measure what they say; how long it takes is not tested."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.benchmarks.__main__ import main
from tests.benchmarks.runner import DisagreementError, _check_agreement
from tests.benchmarks.workloads import WORKLOADS


def test_a_run_compares_times_and_saves_a_table_a_picture_and_the_numbers(tmp_path, capsys):
    options = "--against numpy limit --rounds 2 --seconds 0.001 --also --out"
    main(["layer norm", "batch 16", *options.split(), str(tmp_path)])
    found = json.loads((tmp_path / "results.json").read_text())
    assert [each["name"] for each in found["workloads"]] == ["MLP step, batch 16", "layer norm"]
    mlp = found["workloads"][0]
    assert {name: len(times) for name, times in mlp["seconds"].items()} == {
        "ours": 2, "limit": 2, "numpy": 2
    }  # fmt: skip
    assert all(time > 0 for times in mlp["seconds"].values() for time in times)
    assert mlp["memory"]["ours"] >= 0
    assert "| MLP step, batch 16" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "results.svg").read_text().startswith("<?xml")
    assert "| MLP step, batch 16" in capsys.readouterr().out


def test_a_missed_target_is_profiled_and_a_second_pass_has_one_thread(tmp_path, monkeypatch):
    never = replace(next(w for w in WORKLOADS if w.name == "layer norm"), targets={"limit": 0.0})
    monkeypatch.setattr("tests.benchmarks.__main__.WORKLOADS", [never])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # to be as it was afterwards
    options = "--against limit --rounds 1 --seconds 0.01 --threads 2 --also one-thread --out"
    main([*options.split(), str(tmp_path)])
    (entry,) = json.loads((tmp_path / "results.json").read_text())["workloads"]
    assert entry["shares"]
    assert 0.3 < sum(entry["shares"].values()) <= 1
    assert any("standardiz" in place for place in entry["shares"])
    page = (tmp_path / "README.md").read_text()
    assert "## Where the remaining time is" in page


def test_times_of_different_results_are_not_compared(tmp_path):
    for name, number in (("ours", 1.0), ("theirs", 1.1)):
        np.savez(tmp_path / f"{name}.npz", loss=np.array(number))
    ours, theirs = tmp_path / "ours.npz", tmp_path / "theirs.npz"
    _check_agreement(WORKLOADS[0], "itself", ours, ours)
    with pytest.raises(DisagreementError, match="loss of ours and of peer differ"):
        _check_agreement(WORKLOADS[0], "peer", ours, theirs)
