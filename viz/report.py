"""A report on a run as one HTML page that needs nothing else: no network, no scripts, no files.

Pictures are embedded as images, each a document of its own, so that the ids inside one cannot
clash with those of another and nothing in a picture can run.
"""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tinygrad_edu.files import write

# A header row, then rows of the same length.
Table = Sequence[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report.

    Attributes:
        heading: its title.
        text: paragraphs, with an empty line between them.
        svg: a picture, as an SVG document.
        table: a header row, then rows.
        alt: what the picture shows, for people who cannot see it; by default the heading.
        printout: text of a terminal, whose lines and spaces are kept.
        link: a file beside the report with more about it, and what to call that.
    """

    heading: str
    text: str = ""
    svg: str | None = None
    table: Table | None = None
    alt: str = ""
    printout: str = ""
    link: tuple[str, str] | None = None


def report(
    title: str,
    sections: Sequence[Section],
    path: str | os.PathLike[str],
    *,
    numbers: Mapping[str, str] | None = None,
) -> Path:
    """Write a report as one HTML file.

    Args:
        title: the heading of the page.
        sections: its parts, in order.
        path: the file to write.
        numbers: key numbers, shown at the top: what each is, and its value as it should read.

    Returns:
        The path.

    Raises:
        MissingFolderError: the file's folder does not exist.
    """
    page = _PAGE.format(
        title=_text(title),
        style=_STYLE,
        numbers=_numbers(numbers or {}),
        sections="\n".join(map(_section, sections)),
    )
    return write(path, page.encode())


def _text(text: object) -> str:
    # A lone surrogate, which no UTF-8 file can hold, becomes a question mark.
    return html.escape(str(text).encode(errors="replace").decode())


def _numbers(numbers: Mapping[str, str]) -> str:
    if not numbers:
        return ""
    items = "".join(
        f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"
        for name, value in numbers.items()
    )
    return f"<dl>{items}</dl>"


def _section(section: Section) -> str:
    parts = [f"<h2>{_text(section.heading)}</h2>"]
    paragraphs = (paragraph.strip() for paragraph in section.text.split("\n\n"))
    parts += [f"<p>{_text(paragraph)}</p>" for paragraph in paragraphs if paragraph]
    if section.link is not None:
        file, name = section.link
        parts.append(f'<p><a href="{_text(quote(file))}">{_text(name)}</a></p>')
    if section.svg is not None:
        code = base64.b64encode(section.svg.encode(errors="replace")).decode()
        alt = _text(section.alt or section.heading)
        image = f'<img alt="{alt}" src="data:image/svg+xml;base64,{code}">'
        parts.append(_scrolling("picture", alt, image))
    if section.printout:
        text = f"<pre>{_text(section.printout)}</pre>"
        parts.append(_scrolling("printout", _text(section.heading), text))
    if section.table is not None:
        parts.append(_scrolling("table", _text(section.heading), _table(section.table)))
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def _scrolling(kind: str, label: str, content: str) -> str:
    """A card that scrolls sideways, by the keyboard as well, if its content is wider."""
    return f'<div class="{kind}" role="group" aria-label="{label}" tabindex="0">{content}</div>'


def _table(table: Table) -> str:
    if not table:
        return "<table></table>"
    header, *rows = table
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>"


_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #f6f8fa; --card: #ffffff; --ink: #1f2328; --muted: #57606a; --line: #d8dee4;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0d1117; --card: #161b22; --ink: #e6edf3; --muted: #9da7b3; --line: #30363d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif;
}
main { max-width: 72rem; margin: 0 auto; padding: clamp(1rem, 4vw, 3rem); }
h1 { margin: 0 0 1.25rem; font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; }
h2 { margin: 0 0 .5rem; font-size: 1.2rem; }
a { color: inherit; }
h1, h2, p, dd { overflow-wrap: anywhere; }
p { margin: 0 0 1rem; max-width: 46rem; white-space: pre-line; }
dl {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem;
  margin: 0 0 2rem;
}
dl div, section {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
dl div { padding: .75rem 1rem; }
dt { color: var(--muted); font-size: .85rem; }
dd { margin: 0; font-size: 1.35rem; font-weight: 600; font-variant-numeric: tabular-nums; }
section { padding: 1.25rem; margin: 0 0 1.25rem; }
.picture, .printout, .table { overflow-x: auto; border-radius: 8px; }
.table { max-height: 24rem; overflow-y: auto; }
.picture, .printout { border: 1px solid var(--line); }
.picture img { display: block; margin: 0 auto; max-width: none; border-radius: 8px; }
.printout { padding: .75rem 1rem; font-size: .85rem; }
pre { margin: 0; font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.picture:focus-visible, .printout:focus-visible, .table:focus-visible {
  outline: 2px solid #2f81f7;
}
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .9rem .4rem 0; text-align: left; border-bottom: 1px solid var(--line); }
th { color: var(--muted); font-size: .85rem; white-space: nowrap; }
"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{numbers}
{sections}
</main>
</body>
</html>
"""
