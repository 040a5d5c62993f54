"""How tables are printed: words to the left, numbers to the right, a rule below the header."""

from __future__ import annotations

from collections.abc import Sequence


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    total: Sequence[str] = (),
    words: int = 1,
) -> str:
    """Lines of cells in columns.

    Args:
        header: the name of each column.
        rows: the cells of each line.
        total: the cells of a last line, below a rule of its own; or none.
        words: how many of the first columns hold words.

    >>> print(table(["layer", "size"], [["first", "8"], ["second", "16"]], ["total", "24"]))
    layer   size
    ────────────
    first      8
    second    16
    ────────────
    total     24
    """
    lines = [header, *rows, *([total] if total else [])]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = "─" * (sum(widths) + 2 * len(widths) - 2)
    printed = [
        "  ".join(
            cell.ljust(width) if i < words else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    printed.insert(1, rule)
    if total:
        printed.insert(-1, rule)
    return "\n".join(printed)
