"""The glossary of the course leads to the code that it speaks of."""

import re

import pytest

from tests.glossary import PAGE, links, refreshed

TEXT = PAGE.read_text(encoding="utf-8")
TERMS = re.findall(r"^- \*\*(.+?)\*\*: .*", TEXT, flags=re.M)


@pytest.mark.parametrize("link", links(TEXT), ids=lambda link: link.name)
def test_a_link_leads_to_the_line_of_the_definition(link):
    assert link.defined is not None, f"{link.file} defines no {link.name}"
    assert link.line == link.defined, "after code has moved, run python -m tests.glossary"


def test_every_term_is_there_once_and_has_a_link():
    entries = re.findall(r"^- \*\*.+", TEXT, flags=re.M)
    assert len(set(TERMS)) == len(TERMS) == len(entries)
    assert all(links(entry) for entry in entries)


def test_a_link_whose_line_has_moved_is_mended():
    wrong = "[`links`](../tests/glossary.py#L1)"
    (link,) = links(wrong)
    assert links(refreshed(wrong)) == [link._replace(line=link.defined)]
    assert link.defined > 1
