"""The command line as a person runs it: as a command, in a folder."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("tinygrad-edu")

# The tests run on every core already: more threads in each would only wait for one another.
ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


def tinygrad_edu(*arguments, cwd):
    return subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=600,
        env=ENVIRONMENT,
    )
