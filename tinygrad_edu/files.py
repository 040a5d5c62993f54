"""Writing a file whole or not at all: what failed halfway leaves the old file alone."""

from __future__ import annotations

import os
import re
import threading
from contextlib import suppress
from pathlib import Path

from tinygrad_edu.errors import MissingFolderError, OutputError


def write(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file under a temporary name next to its place, then rename it.

    At every moment, a loss of power included, the old file or the new one is there whole. A process
    that is killed leaves the temporary file; the next one to write the file removes it.

    Returns:
        The path of the file.

    Raises:
        MissingFolderError: the file's folder does not exist.
        OutputError: the system refuses, for lack of permission or space, say.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise MissingFolderError(target)
    writer = f"{os.getpid()}.{threading.get_ident()}"
    unfinished = target.with_name(f".{target.name}.{writer}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise OutputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
    _remove_abandoned(target)
    return target


def _remove_abandoned(target: Path) -> None:
    """Remove what processes that are no more have left unfinished of a file."""
    unfinished = re.compile(rf"\.{re.escape(target.name)}\.(\d+)\.\d+\.part")
    with suppress(OSError):  # the file itself is written: what cannot be removed may stay
        for name in os.listdir(target.parent):
            found = unfinished.fullmatch(name)
            if found and not _is_running(int(found[1])):
                (target.parent / name).unlink()


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return False  # Windows lets no one remove a file that a process has open
    try:
        os.kill(process, 0)  # asks only
    except PermissionError:
        return True  # as another user
    except (ProcessLookupError, OverflowError):
        return False
    return True


def _sync_folder(folder: Path) -> None:
    """Have the renaming itself on disk, where folders can be opened: not on Windows."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
