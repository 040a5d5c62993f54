"""The gallery shows every kind of picture there is."""

import inspect
import re

import viz
from tests.tinygrad_edu.cli.command import tinygrad_edu


def test_the_gallery_shows_every_kind_of_picture_and_links_to_its_pages(tmp_path):
    run = tinygrad_edu("gallery", "-o", "shown", "--theme", "dark", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "shown" / "gallery.html").read_text(encoding="utf-8")
    headings = re.findall("<h2>(.*?)</h2>", page)
    plots = {name for name in viz.plots.__all__ if inspect.isfunction(getattr(viz.plots, name))}
    kinds = [
        *(f"viz.plots.{name}" for name in plots - {"save", "svg", "theme", "show_batch"}),
        *("viz.draw", "viz.draw_neurons", "viz.page", "viz.show_batch", "viz.text.tree"),
        *("viz.text.neuron_table", "viz.text.gradient_flow"),
    ]
    for kind in kinds:
        assert any(re.match(rf"{re.escape(kind)}\b", heading) for heading in headings), kind
    shown = page.count("data:image/svg+xml") + page.count("<pre>") + page.count("<a href=")
    assert shown == len(headings)
    for link in re.findall('href="(.*?)"', page):
        assert (tmp_path / "shown" / link).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_an_unknown_theme_is_refused_before_anything_is_trained(tmp_path):
    run = tinygrad_edu("gallery", "--theme", "blue", cwd=tmp_path)
    assert "unknown theme 'blue'. Known: dark, light" in run.stderr
    assert not list(tmp_path.iterdir())
