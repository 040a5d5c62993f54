"""Training that is killed without warning, at any moment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_a_run_that_is_killed_again_and_again_ends_as_one_that_never_stopped(tmp_path):
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed.py"), tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    kills, in_mid_write, left, resumed, whole = json.loads(done.stdout)
    assert kills >= 20
    assert in_mid_write >= 3
    assert left == []  # what the killed ones left is cleared away
    assert resumed == whole
