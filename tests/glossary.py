"""The glossary's links to lines of code: where each leads, and where it should.

``python -m tests.glossary`` rewrites the numbers of the lines after code has moved.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[1] / "notebooks" / "README.md"

_LINK = re.compile(r"\[`(?P<name>[\w.]+)`\]\((?P<file>[\w./]+\.py)#L(?P<line>\d+)\)")


class Link(NamedTuple):
    """A name, the file that the link leads to, the line, and the line of the name's definition."""

    name: str
    file: str
    line: int
    defined: int | None


def links(text: str) -> list[Link]:
    """Every link from this Markdown to a definition in a file."""
    return [_followed(match) for match in _LINK.finditer(text)]


def refreshed(text: str) -> str:
    """The same Markdown with every link leading to the line where its name is defined."""

    def again(match: re.Match[str]) -> str:
        link = _followed(match)
        return f"[`{link.name}`]({link.file}#L{link.defined or link.line})"

    return _LINK.sub(again, text)


def _followed(match: re.Match[str]) -> Link:
    file = (PAGE.parent / match["file"]).resolve()
    lines = _definitions(file) if file.is_file() else {}
    return Link(match["name"], match["file"], int(match["line"]), lines.get(match["name"]))


@cache
def _definitions(file: Path) -> dict[str, int]:
    """The line of every function, class and name that a file defines; those of a class dotted."""
    return dict(_walk(ast.parse(file.read_text(encoding="utf-8")).body, ""))


def _walk(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, int]]:
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name):
                yield prefix + name, statement.lineno
            case ast.ClassDef(name=name):
                yield prefix + name, statement.lineno
                yield from _walk(statement.body, f"{prefix}{name}.")
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name, statement.lineno


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
