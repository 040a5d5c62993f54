"""Neurons are drawn as circles, weights as lines, with the numbers and gradients of the engine."""

import itertools
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
from tinygrad_edu import GradientError, OperandError, UnknownNameError, Value, gradients
from viz import TooLargeError, draw_neurons
from viz.graph import number

SVG = "{http://www.w3.org/2000/svg}"


def named(drawing, kind):
    """The nodes or edges of the laid out picture: their title and their words."""
    svg = ElementTree.fromstring(drawing.svg())
    return {
        g.find(f"{SVG}title").text: " ".join("".join(t.itertext()) for t in g.iter(f"{SVG}text"))
        for g in svg.iter(f"{SVG}g")
        if g.get("class") == kind
    }


def styles(drawing, head):
    """The DOT lines of the edges into a circle."""
    return re.findall(rf"-> {head} \[(.*)\]", drawing.source)


def squared_error(model, x):
    outputs = model(x)
    return sum((y - 1) ** 2 for y in (outputs if isinstance(outputs, list) else [outputs]))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 5),
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.sampled_from(["tanh", "relu", "sigmoid"]),
)
def test_every_neuron_and_every_weight_is_drawn_once_with_its_gradient(inputs, widths, activation):
    model = nn.MLP(inputs, widths, activation)
    loss = squared_error(model, [0.5 * (i + 1) for i in range(inputs)])
    drawing, found = draw_neurons(model, loss), gradients(loss)
    circles = {name: text for name, text in named(drawing, "node").items() if "neuron" in name}
    for i, layer in enumerate(model.layers, 1):
        for j, neuron in enumerate(layer.neurons):
            a, b = neuron.activation, neuron.bias
            assert circles.pop(f"neuron{i}_{j}") == f"{number(a.data)} {number(found[a])}"
            assert circles.pop(f"below_neuron{i}_{j}") == f"b {number(b.data)} ({number(found[b])})"
    assert not circles
    sizes = [inputs, *widths]
    assert len(named(drawing, "edge")) == sum(a * b for a, b in itertools.pairwise(sizes))


def test_fused_neurons_are_drawn_alike():
    plain = nn.MLP(2, [3, 1], "tanh")
    fused = nn.MLP.from_tensor(plain.to_tensor(), fused=True)
    x = [0.5, Value(-2.0, label="a")]
    pictures = [draw_neurons(model, squared_error(model, x)).source for model in (plain, fused)]
    assert pictures[0] == pictures[1]
    assert ">a<" in pictures[0]


def test_gradients_come_from_the_loss_or_from_backward_and_nothing_is_changed():
    model = nn.MLP(2, [2, 1])
    loss = squared_error(model, [1.0, -2.0])
    by_loss = draw_neurons(model, loss).source
    assert not any(p.grad for p in model.parameters())
    unknown = draw_neurons(model).source
    assert "every grad is 0" in unknown
    assert "(0)" not in unknown
    loss.backward()
    assert draw_neurons(model).source == by_loss


def test_lines_tell_the_size_and_the_sign_of_a_weight_and_its_gradient():
    neuron = nn.Neuron(2, "linear")
    neuron.weights[0].data, neuron.weights[1].data = -1.0, 0.25
    (wide, narrow) = styles(draw_neurons(neuron, neuron([3.0, -3.0])), "neuron1_0")
    width = [float(re.search(r"penwidth=([\d.]+)", line).group(1)) for line in (wide, narrow)]
    assert width[0] == 4 * width[1]
    assert "dashed" in wide
    assert "dashed" not in narrow
    colours = [re.search(r'color="(.*?)"', line).group(1) for line in (wide, narrow)]
    assert colours[0] != colours[1]  # ∂z/∂w is 3 and -3


@pytest.mark.parametrize(
    ("x", "mark", "words"),
    [(0.0, "odot", "○ vanished"), (1e9, "diamond", "◆ exploded"), (float("nan"), "diamond", "◆")],
)
def test_gradients_that_teach_nothing_are_marked_by_shape(x, mark, words):
    neuron = nn.Neuron(1, "linear")
    drawing = draw_neurons(neuron, neuron([x]))
    assert f"arrowhead={mark}" in styles(drawing, "neuron1_0")[0]
    assert words in drawing.source


def test_a_missing_gradient_is_marked():
    model = nn.MLP(1, [1, 1])
    model([1.0])
    drawing = draw_neurons(model, model.layers[0].neurons[0].z * 1)
    assert "arrowhead=tee" in styles(drawing, "neuron2_0")[0]
    assert named(drawing, "node")["neuron2_0"].endswith("no grad")


def test_inputs_have_their_names_and_numbers():
    neuron = nn.Neuron(2)
    words = named(draw_neurons(neuron, neuron([Value(7.0, label="<b>"), 8.0])), "node")
    assert words["input0"].split()[0] == "7"
    assert words["below_input0"] == "<b>"
    assert words["input1"] == "8"
    assert words["below_input1"] == "x1"


def test_what_is_not_made_of_neurons_or_was_not_called_is_refused():
    with pytest.raises(OperandError, match="not Linear"):
        draw_neurons(nn.Linear(2, 1))
    with pytest.raises(OperandError, match="not int"):
        draw_neurons(3)
    with pytest.raises(GradientError, match="call model"):
        draw_neurons(nn.MLP(2, [1]))
    with pytest.raises(UnknownNameError, match="dark, light"):
        draw_neurons(nn.MLP(2, [1]), theme="blue")
    wide = nn.Layer(5001, 1)
    wide([0.0] * 5001)
    with pytest.raises(TooLargeError, match="5,001 weights"):
        draw_neurons(wide)
