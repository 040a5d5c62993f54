"""DOT source holds the whole picture, whatever people named things, and the engine draws it."""

import math
import re
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import TinygradError, Value
from tinygrad_edu.graph import mode
from viz import dot
from viz.dot import LayoutError, engine, lay_out, shortened, to_dot
from viz.graph import picture

SVG = "{http://www.w3.org/2000/svg}"


def drawn(root):
    """The SVG of a graph, parsed."""
    return ElementTree.fromstring(lay_out(to_dot(picture(root)), "svg"))


def elements(svg, kind):
    return [g for g in svg.iter(f"{SVG}g") if g.get("class") == kind]


def texts(element):
    """The words in a picture; the engine writes each run of one font as a text of its own."""
    return " ".join("".join(t.text or "" for t in element.iter(f"{SVG}text")).split())


def make(label, path=""):
    token = mode.set((True, path))
    y = Value(2.0, label=label) * 3
    mode.reset(token)
    return y


def test_every_box_and_every_arrow_is_drawn_once():
    x = Value(2.0)
    y = (x * x + x / 3).tanh()
    svg, shown = drawn(y), picture(y)
    titles = [g.find(f"{SVG}title").text for g in elements(svg, "node")]
    assert sorted(titles) == sorted(box.name for box in shown.boxes)
    assert len(elements(svg, "edge")) == len(shown.arrows)


def test_a_box_shows_name_op_data_and_gradient_and_an_arrow_its_derivative():
    x = Value(-1.5, label="x")
    y = x * 4
    y.label = "y"
    svg = drawn(y)
    words = [texts(g) for g in elements(svg, "node")]
    assert "xdata -1.5grad 4" in words
    assert "y = × data -6grad 1" in words
    assert sorted(texts(g) for g in elements(svg, "edge")) == ["", "4"]


def test_modules_are_clusters_within_clusters():
    source = to_dot(picture(make("x", "features.0.conv")))
    lines = [line.strip() for line in source.splitlines()]
    opened = [i for i, line in enumerate(lines) if line.startswith("subgraph cluster_")]
    names = [re.search(r"<B>(.*)</B>", lines[i + 1])[1] for i in opened]
    assert names == ["features", "0", "conv"]
    assert lines[opened[0] :].count("}") == 4  # none closes before the last has opened
    assert "}" not in lines[: opened[-1]]


hostile = st.text(st.characters(exclude_categories=()), max_size=60)


@settings(max_examples=30)
@given(hostile, hostile.map(lambda text: text.replace(".", "")))
@example('<script>alert("x")</script>', "</B>>];}")
@example("\\N \\G \\", "\\l\\")
@example("&amp; &#60; ]]> <!--", "-->")
@example("🙂 ∂L/∂w 名前", "naïve")
@example("two\nlines\x00\ud800", "\ufffe")
@example("", " ")
@example("x" * 10_000, "y" * 10_000)
def test_hostile_names_stay_text(label, module):
    svg = drawn(make(label, module))
    kept = dot._NOT_XML.sub("", shortened(label))
    assert " ".join(kept.split()) in texts(svg)
    assert len(elements(svg, "node")) == 3
    assert len(elements(svg, "cluster")) == (1 if module else 0)
    assert not list(svg.iter(f"{SVG}script"))


def test_op_names_of_users_are_text_too():
    op = tg.elementwise("a<b>", '"<&\\N>"', lambda x: x, lambda x: x, lambda g, y, x: g)
    assert '"<&\\N>"' in texts(drawn(op(Value(1.0))))


def test_special_gradients_are_marked_by_more_than_colour():
    lost, unused, endless = Value(2.0, "lost"), Value(3.0, "unused"), Value(0.0, "endless")
    root = tg.sign(lost) + unused * 0 + tg.sqrt(endless) * 0
    node = {b.label: b.name for b in picture(root).boxes}
    source = to_dot(picture(root))
    line = {k: re.search(rf"^\s*{v} \[.*$", source, re.M)[0] for k, v in node.items() if k}
    assert "dashed" in line["lost"]
    assert ">no grad<" in line["lost"]
    assert "dotted" in line["unused"]
    assert "penwidth=3" in line["endless"]
    assert ">exploded<" in line["endless"]
    assert ">NaN<" in line["endless"]


def test_the_legend_gives_the_range_and_says_what_is_special():
    legend = texts(drawn(Value(0.0) * Value(-2.0)))
    assert "-2 0 2 gradient; a shade is a factor of 10" in legend
    assert "dotted border: vanished" in legend
    assert "dashed" not in legend


def test_the_legend_says_when_there_are_no_gradients():
    root = tg.Tensor([1.0, 2.0], requires_grad=True) * 2
    assert "without gradients: the last node is not a scalar" in texts(drawn(root))


def test_an_infinite_gradient_draws():
    assert "inf" in texts(drawn(tg.sqrt(Value(0.0))))
    assert math.isinf(picture(tg.sqrt(Value(0.0))).boxes[0].gradient)


def test_deep_graphs_have_source():
    y = Value(0.5)
    for _ in range(20_000):
        y = y.tanh()
    assert to_dot(picture(y)).count(" -> ") == 20_000


def test_the_engine_of_this_environment_comes_first(tmp_path, monkeypatch):
    own = tmp_path / "graphviz-pure"
    own.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert engine() == str(own)


def test_the_systems_dot_is_second_best(tmp_path, monkeypatch):
    hide_engines(tmp_path, monkeypatch)
    system = tmp_path / "dot"
    system.touch(mode=0o755)
    assert engine() == str(system)


def test_without_an_engine_the_error_says_how_to_install_one(tmp_path, monkeypatch):
    hide_engines(tmp_path, monkeypatch)
    with pytest.raises(LayoutError, match=r"^[^\n]*pip install graphviz-pure$") as caught:
        lay_out("digraph {}", "svg")
    assert isinstance(caught.value, TinygradError)
    assert isinstance(caught.value, RuntimeError)


def test_a_failing_engine_is_quoted():
    with pytest.raises(LayoutError, match="syntax error in line 1"):
        lay_out("digraph {", "svg")


def hide_engines(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setattr(dot.sysconfig, "get_path", lambda name: str(folder))
    monkeypatch.setenv("PATH", str(folder))
