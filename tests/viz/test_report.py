"""A report is one file that loads nothing, and shows what people wrote as text."""

import base64
from html.parser import HTMLParser

import pytest

from tinygrad_edu import Value
from viz import MissingFolderError, draw
from viz.report import Section, report


class Page(HTMLParser):
    """The tags of a page, their attributes, and its text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(path.read_text())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def attributes(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def page(tmp_path):
    svg = draw(Value(2.0) * 3).svg()
    sections = [
        Section("The graph", "Forward.\n\nBackward.", svg=svg, alt="a product"),
        Section("Again", svg=svg),
        Section("Numbers", table=[["class", "share"], ["cat & dog", 0.5]]),
    ]
    return Page(report("A run", sections, tmp_path / "r.html", numbers={"epochs": "3"}))


def test_nothing_is_loaded_from_anywhere(page):
    loads = [a[key] for _, a in page.tags for key in ("src", "href", "action") if key in a]
    assert loads
    assert all(load.startswith("data:image/svg+xml;base64,") for load in loads)
    assert not page.attributes("script")
    assert not page.attributes("link")
    assert "@import" not in page.text
    assert "url(" not in page.text


def test_the_page_forbids_the_network_itself(page):
    policy = next(a["content"] for a in page.attributes("meta") if "http-equiv" in a)
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_the_page_is_accessible(page):
    assert page.attributes("html") == [{"lang": "en"}]
    assert [image["alt"] for image in page.attributes("img")] == ["a product", "Again"]
    assert all(th["scope"] == "col" for th in page.attributes("th"))
    assert [name for name, _ in page.tags if name in {"h1", "h2"}] == ["h1", "h2", "h2", "h2"]


def test_the_page_shows_texts_tables_and_numbers(page):
    for text in ("A run", "epochs", "Forward.", "Backward.", "cat & dog", "0.5"):
        assert text in page.text


def test_pictures_are_embedded_whole(tmp_path):
    svg = draw(Value(2.0) * 3).svg()
    page = Page(report("A run", [Section("The graph", svg=svg)], tmp_path / "r.html"))
    code = page.attributes("img")[0]["src"].partition(",")[2]
    assert base64.b64decode(code).decode() == svg


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x>', "{x} 🙂 \\"])
def test_hostile_text_stays_text(tmp_path, text):
    section = Section(text, text, svg="<svg/>", table=[[text], [text]])
    page = Page(report(text, [section], tmp_path / "r.html", numbers={text: text}))
    assert page.text.count(text) == 8  # title, h1, number's name and value, h2, p, th, td
    assert page.attributes("img")[0]["alt"] == text
    assert not page.attributes("script")


def test_a_lone_surrogate_does_not_break_the_file(tmp_path):
    assert "a?b" in report("a\ud800b", [], tmp_path / "r.html").read_text()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(MissingFolderError, match="nowhere"):
        report("A run", [], tmp_path / "nowhere" / "r.html")


def test_a_link_to_a_file_beside_the_report_cannot_be_mistaken_for_a_script(tmp_path):
    sections = [Section("More", link=('a"b:c.html', "<Look>"))]
    page = report("Run", sections, tmp_path / "report.html").read_text()
    assert '<a href="a%22b%3Ac.html">&lt;Look&gt;</a>' in page
