"""draw_neurons: a network of Values the way textbooks draw it, neurons as circles.

What it shows is read from the neurons: their weights, bias and activation of the last call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import graphviz

from tinygrad_edu import GradientError, Node, OperandError, Value, gradients, topological_order
from viz.dot import FONT, border_notes, escape, legend, shortened, style_of, table
from viz.drawing import Drawing, TooLargeError
from viz.graph import Arrow, Box, Kind, Picture, number
from viz.scale import Scale, Theme, ThemeName, is_exploded, theme_named

# More lines than this cannot be told apart.
MOST_WEIGHTS = 5000
# Up to so many neurons side by side there is room for a number on every line.
FEW = 4

# In points: a circle, from one to the next in a layer, and from layer to layer, without and with
# numbers on the lines.
DIAMETER, BETWEEN, APART, FARTHER = 46, 76, 170, 320
WIDEST_LINE, NARROWEST_LINE = 4.0, 0.5


@dataclass(frozen=True, slots=True)
class Weight:
    """A line: one weight of a neuron, from the circle it multiplies to that of the neuron."""

    tail: str
    head: str
    value: float
    gradient: float | None


def draw_neurons(model: Any, loss: Value | None = None, *, theme: ThemeName = "light") -> Drawing:
    """Draw a network of neurons as circles in layers, coloured by gradient.

    In a circle stands the activation a and below it ∂L/∂a; under it the bias. A line is a weight:
    the larger it is, the wider; dashed if negative; and coloured by ∂L/∂w.

    Args:
        model: an ``nn.MLP``, ``nn.Layer`` or ``nn.Neuron`` that was called.
        loss: what the gradients are of, and then no ``grad`` is read or changed; by default those
            in ``grad``, as ``backward`` leaves them.
        theme: ``"light"`` or ``"dark"``.

    Returns:
        A Drawing: a notebook shows it, ``save`` writes it to a file.

    Raises:
        GradientError: the graph of ``loss`` was released, or the model was not called yet.
        OperandError: ``model`` is not made of neurons.
        TooLargeError: there are more weights than can be told apart.
        UnknownNameError: an unknown theme.

    >>> import nn
    >>> model = nn.MLP(2, [3, 1], "tanh")
    >>> loss = (model([1.0, -2.0]) - 1) ** 2
    >>> draw_neurons(model, loss)
    <Drawing of 6 nodes and 9 arrows>
    """
    colours = theme_named(theme)
    layers = _layers(model)
    count = sum(len(neuron.weights) for layer in layers for neuron in layer)
    if count > MOST_WEIGHTS:
        raise TooLargeError(
            f"{count:,} weights are more lines than can be told apart ({MOST_WEIGHTS:,}): draw one"
            " layer, as in draw_neurons(model.layers[0]), or viz.draw(loss, depth=1)"
        )
    found = None if loss is None else gradients(loss)
    # Before any backward every grad of a Value is 0.
    known = found is not None or any(each.activation.grad for layer in layers for each in layer)

    def gradient(node: Any) -> float | None:
        if not known or not isinstance(node, Value) or not node.requires_grad:
            return None
        return node.grad if found is None else found.get(node)

    columns = [[_input_box(i, x, gradient) for i, x in enumerate(_inputs(layers[0][0]))]]
    weights = []
    for i, layer in enumerate(layers, 1):
        columns.append(
            [_neuron_box(f"neuron{i}_{j}", each, gradient) for j, each in enumerate(layer)]
        )
        for neuron, head in zip(layer, columns[i], strict=True):
            weights += [
                Weight(tail.name, head.name, w.data, gradient(w))
                for w, tail in zip(neuron.weights, columns[i - 1], strict=True)
            ]
    boxes = tuple(box for column in columns for box in column)
    picture = Picture(
        boxes,
        tuple(Arrow(weight.tail, weight.head, None) for weight in weights),
        groups=(),
        signed=True,
        has_gradients=known,
    )
    titles = ["inputs"]
    titles += [", ".join(dict.fromkeys(each.activation_name for each in layer)) for layer in layers]
    return Drawing(picture, _to_dot(picture, columns, weights, titles, colours))


def _layers(model: Any) -> list[Sequence[Any]]:
    """The neurons of a model, layer by layer."""
    layers: list[Sequence[Any]]
    if hasattr(model, "weights") and hasattr(model, "activation_name"):
        layers = [[model]]
    elif hasattr(model, "neurons"):
        layers = [model.neurons]
    elif all(hasattr(layer, "neurons") for layer in getattr(model, "layers", [None])):
        layers = [layer.neurons for layer in model.layers]
    else:
        raise OperandError(
            f"draw_neurons takes an nn.MLP, nn.Layer or nn.Neuron, not {type(model).__name__}:"
            " viz.draw(loss) draws any graph"
        )
    if any(neuron.activation is None for layer in layers for neuron in layer):
        raise GradientError("the model was not called yet: call model(x), then draw_neurons(model)")
    return layers


def _inputs(neuron: Any) -> list[Any]:
    """What a neuron was called with: the factors of its weights. None where that was not kept."""
    place = {weight: i for i, weight in enumerate(neuron.weights)}
    factors: list[Any] = [None] * len(place)
    if neuron.fused:
        n = len(factors)
        return list(neuron.z.inputs[n : 2 * n])
    for node in topological_order(neuron.z):
        if len(node.inputs) == 2:
            for weight, factor in (node.inputs, node.inputs[::-1]):
                if isinstance(weight, Node) and weight in place:
                    factors[place[weight]] = factor
    return factors


def _input_box(i: int, x: Any, gradient: Callable[[Any], float | None]) -> Box:
    takes_gradient = isinstance(x, Value) and x.requires_grad
    label = getattr(x, "label", "") or f"x{i}"
    data = "" if x is None else number(getattr(x, "data", x))
    kind: Kind = "leaf" if takes_gradient else "data"
    return Box(f"input{i}", kind, label, "", (("data", data), ("", label)), gradient(x), "")


def _neuron_box(name: str, neuron: Any, gradient: Callable[[Any], float | None]) -> Box:
    below = f"b {_with_gradient(neuron.bias.data, gradient(neuron.bias))}"
    rows = (("data", number(neuron.activation.data)), ("", below))
    return Box(name, "result", "", "", rows, gradient(neuron.activation), "")


def _gradients(boxes: Iterable[Box], weights: Iterable[Weight]) -> Iterable[float | None]:
    yield from (box.gradient for box in boxes)
    yield from (weight.gradient for weight in weights)


def _with_gradient(value: float, gradient: float | None) -> str:
    return number(value) if gradient is None else f"{number(value)} ({number(gradient)})"


def _to_dot(
    picture: Picture,
    columns: Sequence[Sequence[Box]],
    weights: Sequence[Weight],
    titles: Iterable[str],
    theme: Theme,
) -> str:
    """DOT source in which every circle has its place."""
    scale = Scale.of(_gradients(picture.boxes, weights), True, theme)
    few = all(len(column) <= FEW for column in columns[:-1])
    tallest = max(map(len, columns))
    apart = FARTHER if few else max(APART, 0.28 * tallest * BETWEEN)  # so lines are not too steep
    whole = graphviz.Digraph("neurons")
    whole.attr(
        "graph",
        layout="neato",
        inputscale="72",
        splines="line",
        outputorder="edgesfirst",
        bgcolor=theme.paper,
        pad="0.2",
        fontname=FONT,
        fontsize="9",
        fontcolor=theme.muted,
        labelloc="b",
        labeljust="l",
        label=legend(scale, True, _notes(picture, weights, scale, few), lines=True),
    )
    whole.attr(
        "node", shape="plaintext", fontname=FONT, fontsize="9", width="0", height="0", margin="0"
    )
    whole.attr("edge", arrowhead="none", color=theme.line)

    def write(name: str, text: str, x: float, y: float, colour: str, size: int = 9) -> None:
        """Text that hides the lines behind it."""
        cell = f'<TR><TD BGCOLOR="{theme.paper}">{escape(shortened(text))}</TD></TR>'
        whole.node(name, table([cell]), pos=_at(x, y), fontcolor=colour, fontsize=str(size))

    places = {}
    for i, (column, title) in enumerate(zip(columns, titles, strict=True)):
        x, middle = i * apart, (len(column) - 1) / 2
        write(f"title{i}", title, x, (tallest / 2 + 0.15) * BETWEEN, theme.muted)
        for j, box in enumerate(column):
            places[box.name] = x, y = x, (middle - j) * BETWEEN
            write(f"below_{box.name}", box.rows[1][1], x, y - DIAMETER / 2 - 9, theme.muted)
            style = _circle_style(box, picture, scale)
            whole.node(box.name, _circle_label(box, picture), pos=_at(x, y), **style)
    largest = max((abs(weight.value) for weight in weights), default=0) or 1.0
    for i, weight in enumerate(weights):
        whole.edge(weight.tail, weight.head, **_line_style(weight, picture, scale, largest))
        if few:
            (x0, y0), (x1, y1) = places[weight.tail], places[weight.head]
            n = len(columns[round(x0 / apart)])
            along = n / (n + 1) if n > 1 else 0.6  # so far along no two numbers meet
            text = _with_gradient(weight.value, weight.gradient)
            write(f"weight{i}", text, x0 + along * (x1 - x0), y0 + along * (y1 - y0), theme.ink, 8)
    return str(whole.source)


def _at(x: float, y: float) -> str:
    """A place that layout leaves as it is."""
    return f"{x:g},{y:g}!"


def _circle_label(box: Box, picture: Picture) -> str:
    data = box.rows[0][1]
    size = 10 if len(data) <= 7 else 8
    lines = [f'<TR><TD><FONT POINT-SIZE="{size}"><B>{escape(data)}</B></FONT></TD></TR>']
    if picture.has_gradients and box.kind != "data":
        text = "no grad" if box.gradient is None else number(box.gradient)
        lines.append(f'<TR><TD><FONT POINT-SIZE="8">{text}</FONT></TD></TR>')
    return table(lines)


def _circle_style(box: Box, picture: Picture, scale: Scale) -> dict[str, str]:
    style = {"style": "filled", "color": scale.theme.line, **style_of(box, picture, scale)}
    size = f"{DIAMETER / 72:.3f}"
    return {
        **style,
        "style": style["style"].replace("rounded,", ""),
        "shape": "circle",
        "fixedsize": "true",
        "width": size,
        "height": size,
        "fontsize": "10",
        "fontcolor": scale.theme.ink,
    }


def _line_style(weight: Weight, picture: Picture, scale: Scale, largest: float) -> dict[str, str]:
    width = WIDEST_LINE * abs(weight.value) / largest
    style = {"penwidth": f"{max(NARROWEST_LINE, width):.2f}"}
    if weight.value < 0:
        style["style"] = "dashed"
    if picture.has_gradients:
        style["color"] = scale.line(weight.gradient)
        if mark := _mark(weight.gradient, scale):
            style |= {"arrowhead": mark, "arrowsize": f"{0.6 + 0.15 * width:.2f}"}
    return style


def _mark(gradient: float | None, scale: Scale) -> str | None:
    """The end of a line whose gradient is none to learn from."""
    if gradient is None:
        return "tee"
    if is_exploded(gradient):
        return "diamond"
    return "odot" if scale.is_vanished(gradient) else None


def _notes(picture: Picture, weights: Sequence[Weight], scale: Scale, few: bool) -> Iterable[str]:
    yield "circle: activation a, below it ∂L/∂a; b: bias (∂L/∂b)"
    yield f"line: weight w{' (∂L/∂w)' if few else ''}; width: |w|; dashed: w < 0; colour: ∂L/∂w"
    if not picture.has_gradients:
        yield "every grad is 0: call loss.backward() first, or give draw_neurons the loss"
        return
    marks = {_mark(weight.gradient, scale) for weight in weights}
    ends = {"odot": "○ vanished", "tee": "| no gradient", "diamond": "◆ exploded"}
    if seen := [text for mark, text in ends.items() if mark in marks]:
        yield f"at the end of a line: {', '.join(seen)}"
    yield from border_notes(picture, scale)
