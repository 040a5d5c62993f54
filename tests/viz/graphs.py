"""Random graphs, and ways to walk them that are not the engine's own."""

from hypothesis import strategies as st

import tinygrad_edu as tg
from tinygrad_edu import Value
from tinygrad_edu.graph import mode

PATHS = ["", "a", "a.0", "a.1", "a.1.b", "c.0", "c.1", "c.2"]


@st.composite
def expressions(draw):
    """A Value made from others at random; each node's label is its own, nodes are shared."""
    nodes = [
        Value(draw(st.floats(-2, 2)), requires_grad=draw(st.booleans()))
        for _ in range(draw(st.integers(1, 3)))
    ]
    nodes.append(Value(0.5))
    for _ in range(draw(st.integers(0, 12))):
        x, y = (draw(st.sampled_from(nodes)) for _ in range(2))
        made = [x + y, x * y, x - 3, 2.0 * y, x.tanh(), x * x, tg.maximum(x, y), x + tg.sign(y)]
        nodes.append(draw(st.sampled_from(made)))
    root = nodes[-1] + nodes[-2] + Value(1.0)
    for i, node in enumerate(every_node(root)):
        node.label = f"v{i}"
    return root


def every_node(root):
    """All that the root was made from, by following inputs; not by the engine's own search."""
    seen, todo = {}, [root]  # a dict, since Values are hashed by identity but compared by value
    while todo:
        node = todo.pop()
        if node not in seen:
            seen[node] = True
            todo += [x for x in node.inputs if isinstance(x, Value)]
    return list(seen)


def within(path, make):
    """What ``make`` returns, made in the module of that path."""
    token = mode.set((True, path))
    try:
        return make()
    finally:
        mode.reset(token)


@st.composite
def modular(draw):
    """A Value made by modules in modules, called in any order and more than once."""
    nodes = [Value(draw(st.floats(-2, 2))), Value(0.5, requires_grad=draw(st.booleans()))]
    for _ in range(draw(st.integers(1, 12))):
        x, y = (draw(st.sampled_from(nodes)) for _ in range(2))
        make = draw(st.sampled_from([lambda x, y: x + y, lambda x, y: x * 3, lambda x, y: x * y]))
        nodes.append(within(draw(st.sampled_from(PATHS)), lambda x=x, y=y, make=make: make(x, y)))
    return nodes[-1] + nodes[0]


@st.composite
def stacks(draw):
    """A Value made by modules that repeat in a row: blocks.0, blocks.1, ...; and their number."""
    body = draw(
        st.lists(st.sampled_from(["scale", "shift", "skip", "tanh"]), min_size=1, max_size=4)
    )
    shared, count = Value(2.0), draw(st.integers(1, 6))
    y = x = Value(draw(st.floats(-2, 2)))

    def block(x):
        y = x
        for kind in body:
            y = {
                "scale": lambda y: y * Value(0.5),
                "shift": lambda y: y + 3,
                "skip": lambda y: y + x,
                "tanh": lambda y: (y * shared).tanh(),
            }[kind](y)
        return y

    for i in range(count):
        y = within(f"blocks.{i}", lambda y=y: block(y))
    return y * x, count


def reachable(picture):
    """Of each box, the boxes that a path of arrows leads to from it."""
    heads = {box.name: set() for box in picture.boxes}
    for arrow in picture.arrows:
        heads[arrow.tail].add(arrow.head)
    found = {}
    for name in heads:
        seen, todo = set(), [name]
        while todo:
            for head in heads[todo.pop()] - seen:
                seen.add(head)
                todo.append(head)
        found[name] = seen
    return found
