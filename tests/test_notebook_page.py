"""The page in the first notebook works where people read it: in the HTML that it exports to."""

from itertools import pairwise
from math import tanh
from pathlib import Path

import pytest
from nbconvert import HTMLExporter

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "01_value_and_chain_rule.ipynb"

# Of every box that is shown: its name, its number, and its gradient where there is one yet.
BOXES = """() => Object.fromEntries([...document.querySelectorAll(".box")].map((box) => {
    const texts = [...box.querySelectorAll("text")].map((t) => t.textContent.replaceAll("−", "-"));
    const [name] = texts[0].split(" ");
    const grad = texts[texts.indexOf("grad") + 1];
    const known = grad !== "" && !Number.isNaN(Number(grad));
    return [name, [Number(texts[texts.indexOf("grad") - 1]), known ? Number(grad) : null]];
}))"""


@pytest.fixture(scope="module")
def frame(browser, tmp_path_factory):
    """The page of M = tanh(p q + r) · p, within the notebook's HTML, where there is no network."""
    html, _ = HTMLExporter().from_filename(str(NOTEBOOK))
    path = tmp_path_factory.mktemp("exported") / "notebook.html"
    path.write_text(html, encoding="utf-8")
    context = browser.new_context(viewport={"width": 1400, "height": 900}, offline=True)
    tab = context.new_page()
    tab.goto(path.as_uri())
    tab.locator("iframe").first.scroll_into_view_if_needed()
    frame = tab.locator("iframe").first.element_handle().content_frame()
    frame.wait_for_selector(".box")
    yield frame
    context.close()


def step_to(frame, end):
    """Step to an end; the headlines on the way."""
    said = []
    while frame.is_enabled(f"#{end}"):
        frame.click(f"#{end}")
        said.append(frame.inner_text("#rule h2"))
    return said


def test_stepping_back_takes_every_number_away_and_forth_brings_it_again(frame):
    backward = step_to(frame, "back")
    assert "Nothing is computed yet" in frame.inner_text("#rule")
    forward = step_to(frame, "forth")
    # Four operations (×, +, tanh, ×) forward, the seed, and each of the four backward.
    assert len(forward) == len(backward) == 2 * 4 + 1
    assert len(set(forward)) == len(forward)


def test_gradients_arrive_one_by_one_from_the_result_to_the_leaves(frame):
    step_to(frame, "back")
    arrived = []
    while frame.is_enabled("#forth"):
        frame.click("#forth")
        known = {name for name, (_, grad) in frame.evaluate(BOXES).items() if grad is not None}
        arrived.append(known)
    assert all(before <= after for before, after in pairwise(arrived))
    assert arrived[3] == set()  # forward, there are none
    assert "M" in arrived[4]
    assert arrived[-1] >= {"p", "q", "r", "s", "t", "h", "M"}


def test_at_the_end_it_shows_the_derivatives(frame):
    step_to(frame, "forth")
    shown = frame.evaluate(BOXES)
    p, q, r = (shown[name][0] for name in "pqr")
    h = tanh(p * q + r)
    derivatives = {"p": (1 - h * h) * q * p + h, "q": (1 - h * h) * p * p, "r": (1 - h * h) * p}
    assert shown["M"] == pytest.approx([h * p, 1], rel=1e-3)
    for name, derivative in derivatives.items():
        assert shown[name][1] == pytest.approx(derivative, rel=1e-3)
