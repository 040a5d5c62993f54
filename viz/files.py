"""Writing a file whole or not at all: a picture that failed halfway leaves the old one alone."""

from __future__ import annotations

import os
from pathlib import Path

from tinygrad_edu import TinygradError


class MissingFolderError(TinygradError, FileNotFoundError):
    """The folder that a file was to be written to does not exist.

    Args:
        path: the file that could not be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"cannot write {path.name}: there is no folder {path.parent}")


def write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file under a temporary name next to its place, then rename it.

    Returns:
        The path of the file.

    Raises:
        MissingFolderError: the file's folder does not exist.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise MissingFolderError(target)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target
