"""A drawing shows itself in notebooks, and is written whole or not at all."""

import base64
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
import viz
from tests.viz.graphs import modular, stacks, within
from tinygrad_edu import OperandError, Tensor, TinygradError, UnknownNameError, Value
from viz import MissingFolderError, TooLargeError, draw, drawing
from viz.graph import number
from viz.scale import DARK, LIGHT

SVG = "{http://www.w3.org/2000/svg}"


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


def test_notebooks_show_svg_and_have_a_png_of_that_size_for_where_they_do_not(neuron):
    shown, about = neuron._repr_mimebundle_()
    svg = ElementTree.fromstring(shown["image/svg+xml"])
    assert svg.tag.endswith("svg")
    assert base64.b64decode(shown["image/png"]) == neuron.png()
    points = float(svg.get("width").removesuffix("pt"))
    assert about["image/png"]["width"] == pytest.approx(points / 72 * 96, abs=2)


def test_a_large_picture_is_shown_without_a_png():
    x = Value(1.0)
    for _ in range(drawing._MOST_AS_PNG):
        x = x + 1.0
    shown, about = viz.draw(x)._repr_mimebundle_()
    assert (shown.keys(), about) == ({"image/svg+xml", "text/plain"}, {})


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


@settings(max_examples=40)
@given(
    modular() | stacks().map(lambda stack: stack[0]),
    st.none() | st.integers(0, 3),
    *[st.booleans()] * 4,
    st.sampled_from(["LR", "TB"]),
)
def test_every_graph_draws_with_every_box_and_every_arrow_once(
    root, depth, fold, constants, only_parameters, formulas, direction
):
    drawing = draw(
        root,
        depth=depth,
        fold=fold,
        constants=constants,
        only_parameters=only_parameters,
        formulas=formulas,
        direction=direction,
    )
    titles = {"node": [], "edge": []}
    for group in ElementTree.fromstring(drawing.svg()).iter(f"{SVG}g"):
        if (kind := group.get("class")) in titles:
            titles[kind].append(group.find(f"{SVG}title").text)
    arrows = [re.match(r"(\w+)(?::\w)?->(\w+)", title).groups() for title in titles["edge"]]
    assert sorted(titles["node"]) == sorted(box.name for box in drawing.picture.boxes)
    assert sorted(arrows) == sorted((a.tail, a.head) for a in drawing.picture.arrows)


def chain(length, path="{i}"):
    x = Value(1.0)
    for i in range(length):
        x = within(path.format(i=i), lambda x=x: x * 2)
    return x


def test_a_large_graph_is_closed_as_far_as_it_takes_to_read_it_and_says_so():
    root = chain(100, "part.{i}")
    drawing = draw(root, fold=False)
    assert [box.label for box in drawing.picture.boxes] == ["part"]
    assert "modules nested deeper than 0 are closed: depth=1 opens more" in drawing.source
    # A box, and one for each number 2.
    assert len(draw(root, fold=False, depth=1).picture.boxes) == 100
    assert "closed" not in draw(chain(10, "part.{i}")).source


def test_what_is_too_large_is_said_before_it_is_tried_with_what_helps():
    with pytest.raises(TooLargeError, match=r"2,401 boxes.*focus=.*constants=False.*limit=2401"):
        draw(chain(1200, ""))
    with pytest.raises(TooLargeError, match=r"depth=0 closes modules"):
        draw(chain(1200, "part.{i}.inner"), depth=1, fold=False, limit=100)
    assert len(draw(chain(10, ""), limit=21).picture.boxes) == 21


def test_focus_shows_what_is_near_some_nodes_of_this_graph():
    x = Value(1.0, label="x")
    first = x * 2
    root = first.tanh().exp()
    shown = {box.label or box.op for box in draw(root, focus=x, radius=1).picture.boxes}
    assert shown == {"x", "×", "… 1 more"}  # the number 2, and tanh
    assert len(draw(root, focus=[x, root], radius=0).picture.boxes) == 4  # and two of "more"
    with pytest.raises(OperandError, match="focus is not in this graph"):
        draw(root, focus=Value(3.0))


def test_names_are_given_to_what_has_no_label():
    x, y = Value(2.0), Value(3.0, label="labelled")
    drawing = draw(x * y, names={"x": x, "y": y, "other": 3})
    assert [box.label for box in drawing.picture.boxes] == ["labelled", "x", ""]


def test_formulas_are_the_rules_of_the_ops_in_the_names_of_the_picture():
    x, w = Value(0.5, label="x"), Value(-2.0, label="w")
    y = (w * x).tanh()
    y.label = "a"
    formulas = {arrow.formula for arrow in draw(y, formulas=True).picture.arrows}
    assert formulas == {"w", "x", "1 - a²"}
    assert f"1 - a² = {number(1 - math.tanh(1.0) ** 2)}" in draw(y, formulas=True).source


def test_options_that_are_not_defaults_are_drawn():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    rows = [dict(box.rows) for box in draw(x.sum(axis=1).sum()).picture.boxes]
    assert [row.get("axis") for row in rows] == [None, "1", None]


def test_a_convolution_shows_its_padding_and_stride_only_if_it_has_any():
    x, weight = Tensor(np.ones((1, 1, 4, 4)), requires_grad=True), np.ones((1, 1, 2, 2))
    plain = dict(draw(tg.conv2d(x, weight)).picture.boxes[-1].rows)
    assert not plain.keys() & {"padding", "stride", "dilation", "groups"}
    padded = dict(draw(tg.conv2d(x, weight, padding=1, stride=2)).picture.boxes[-1].rows)
    assert (padded["padding"], padded["stride"]) == ("((1, 1), (1, 1))", "(2, 2)")


@pytest.mark.parametrize(
    ("options", "message"),
    [({"depth": -1}, "depth .* not -1"), ({"radius": 1.5}, r"radius .* not 1\.5")],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(OperandError, match=message):
        draw(Value(1.0), **options)


def test_the_theme_colours_paper_and_text():
    drawing = draw(Value(1.0), theme="dark")
    assert DARK.paper in drawing.source
    assert LIGHT.ink not in drawing.source
    with pytest.raises(UnknownNameError, match="dark, light"):
        draw(Value(1.0), theme="blue")


def test_a_part_of_a_graph_has_the_scale_of_the_whole():
    x, y = Value(1.0, label="small"), Value(1.0, label="large")
    root = x * 1e-9 + y * 1.0
    whole, part = draw(root), draw(root, focus=x, radius=0)
    assert "vanished" in whole.source
    assert "vanished" in part.source


def test_options_that_are_arrays_are_drawn_by_their_shapes():
    x = Tensor(np.ones((4, 6, 2)), requires_grad=True)
    y = tg.batch_norm(x, None, None, training=True)
    assert "array (1, 6, 1), array (1, 6, 1)" in draw(y.sum()).source
    assert len(viz.page(y.sum()).html()) > 0
