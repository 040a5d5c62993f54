"""The command line as a person runs it: as a command, in a folder."""

import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("tinygrad-edu")


def tinygrad_edu(*arguments, cwd):
    return subprocess.run(
        [COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120
    )
