"""The command line: ``tinygrad-edu`` or ``python -m tinygrad_edu``."""

from __future__ import annotations

import sys

from tinygrad_edu.errors import MissingExtraError, TinygradError


def main() -> None:
    """Run the command line; an error that we raised on purpose is one line, not a traceback."""
    try:
        try:
            from tinygrad_edu.cli.app import app
        except ModuleNotFoundError as error:
            if error.name not in {"typer", "rich"}:
                raise
            raise MissingExtraError("the command line", str(error.name), "train") from error
        app()
    except TinygradError as error:
        sys.exit(f"tinygrad-edu: {error}")


if __name__ == "__main__":
    main()
