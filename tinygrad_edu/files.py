"""Writing a file whole or not at all: what failed halfway leaves the old file alone."""

from __future__ import annotations

import os
from pathlib import Path

from tinygrad_edu.errors import MissingFolderError, OutputError


def write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file under a temporary name next to its place, then rename it.

    At every moment, a loss of power included, the old file or the new one is there whole.

    Returns:
        The path of the file.

    Raises:
        MissingFolderError: the file's folder does not exist.
        OutputError: the system refuses, for lack of permission or space, say.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise MissingFolderError(target)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _sync_folder(folder: Path) -> None:
    """Have the renaming itself on disk, where folders can be opened: not on Windows."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
