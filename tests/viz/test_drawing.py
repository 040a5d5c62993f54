"""A drawing shows itself in notebooks, and is written whole or not at all."""

from xml.etree import ElementTree

import pytest

from tinygrad_edu import TinygradError, UnknownNameError, Value
from viz import MissingFolderError, draw, drawing


@pytest.fixture
def neuron():
    x, w = Value(2.0, label="x"), Value(-0.5, label="w")
    return draw((x * w).tanh())


@pytest.mark.parametrize(
    ("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".dot", b"digraph")]
)
def test_the_suffix_says_the_format(neuron, tmp_path, suffix, start):
    path = neuron.save(tmp_path / f"graph{suffix}")
    assert path == tmp_path / f"graph{suffix}"
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_may_be_a_string_and_a_suffix_upper_case(neuron, tmp_path):
    assert neuron.save(str(tmp_path / "graph.DOT")).read_text() == neuron.source


@pytest.mark.parametrize("name", ["graph.pdf", "graph"])
def test_another_suffix_is_an_error_that_lists_the_formats(neuron, tmp_path, name):
    with pytest.raises(UnknownNameError, match=r"Known: \.dot, \.png, \.svg"):
        neuron.save(tmp_path / name)


def test_a_missing_folder_is_named(neuron, tmp_path):
    with pytest.raises(MissingFolderError, match=r"no folder .*nowhere") as caught:
        neuron.save(tmp_path / "nowhere" / "graph.svg")
    assert isinstance(caught.value, TinygradError)
    assert isinstance(caught.value, FileNotFoundError)


def test_a_failure_leaves_the_old_file_as_it_was(neuron, tmp_path, monkeypatch):
    path = tmp_path / "graph.dot"
    path.write_text("old")
    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        neuron.save(path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("graph.dot", "old")]


def test_notebooks_show_svg(neuron):
    assert ElementTree.fromstring(neuron._repr_svg_()).tag.endswith("svg")


def test_a_png_is_large_enough_to_read(neuron):
    width = int.from_bytes(neuron.png()[16:20], "big")  # from the PNG's header chunk
    points = ElementTree.fromstring(neuron.svg()).get("width").removesuffix("pt")
    assert width == pytest.approx(float(points) / 72 * drawing.PNG_DPI, abs=2)


def test_a_drawing_shows_the_moment_it_was_drawn():
    x = Value(2.0)
    picture = draw(x * 3)
    before = picture.svg()
    x.data = 5.0
    assert picture.svg() == before


def test_drawing_changes_no_grad():
    x = Value(2.0)
    y = x * 3
    y.backward()
    draw(y).svg()
    assert (x.grad, y.grad) == (3.0, 1.0)


def test_the_direction_is_checked():
    assert "rankdir=TB" in draw(Value(1.0), direction="TB").source
    with pytest.raises(UnknownNameError, match="LR, TB"):
        draw(Value(1.0), direction="up")


def fail(*args):
    raise OSError("disk full")
