"""summary: what a model is made of and what one forward pass costs, read off its graph."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from nn.module import Module, evaluating
from nn.table import table
from tinygrad_edu import Node, Tensor, Value, enable_grad, topological_order
from tinygrad_edu.graph import plain
from tinygrad_edu.trees import leaves

Shape = tuple[int, ...]


class Row(NamedTuple):
    """One module of a summary.

    Attributes:
        path: where it is in the model.
        kind: its class.
        output_shapes: what it returned, one shape per array.
        parameters: how many numbers it learns itself, without the modules in it.
        multiply_adds: how many products its own ops add up.
        memory: the bytes of all that its own ops made.
    """

    path: str
    kind: str
    output_shapes: tuple[Shape, ...]
    parameters: int
    multiply_adds: int
    memory: int


@dataclass(frozen=True, repr=False)
class Summary:
    """A table of a model's modules; printing it shows the table.

    Attributes:
        rows: the modules, in the order of the model.
        parameters: how many numbers there are to learn or frozen.
        trainable: those that are not frozen.
        parameter_memory: the bytes of the parameters and buffers.
    """

    rows: tuple[Row, ...]
    parameters: int
    trainable: int
    parameter_memory: int

    @property
    def multiply_adds(self) -> int:
        """Of one forward pass."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def memory(self) -> int:
        """The bytes that one forward pass makes: what backward may need."""
        return sum(row.memory for row in self.rows)

    def __str__(self) -> str:
        header = ("module", "output", "parameters", "multiply-adds", "memory")
        rows = []
        for row in self.rows:
            depth = row.path.count(".") + 1 if row.path else 0
            name = "  " * depth + f"{row.path.rpartition('.')[2]} {row.kind}".strip()
            shapes = ", ".join(map(str, row.output_shapes))
            counts = row.parameters, row.multiply_adds
            cells = [f"{count:,}" if count else "" for count in counts]
            memory = _bytes(row.memory) if row.memory else ""
            rows.append((name, shapes, *cells, memory))
        counts = self.parameters, self.multiply_adds
        total = ("total", "", *(f"{count:,}" for count in counts), _bytes(self.memory))
        frozen = self.parameters - self.trainable
        return (
            f"{table(header, rows, total, words=2)}\n"
            f"{_bytes(self.parameter_memory)} of parameters and buffers"
            + (f"; {frozen:,} parameters are frozen" if frozen else "")
        )

    __repr__ = __str__


def summarize(model: Module, *input_shapes: Shape, dtype: DTypeLike = np.float32) -> Summary:
    """Run a model once, in eval mode, on zeros of these shapes, and count; see ``Module.summary``.

    Parameters, buffers and the training mode stay as they were, but lazy layers take their sizes.
    """
    known = [p for module in model.modules() for p in module._parameters.values()]
    scalar = any(isinstance(p, Value) for p in known)
    inputs = [_values(shape) if scalar else _tensor(shape, dtype) for shape in input_shapes]
    shapes: dict[Module, tuple[Shape, ...]] = {}

    def note(module: Module, _: Any, output: Any) -> None:
        shapes[module] = tuple(np.shape(plain(y)) for y in leaves(output))

    removals = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with evaluating(model), enable_grad():
            output = model(*inputs)
    finally:
        for remove in removals:
            remove()
    nodes = _made(output)
    multiply_adds: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    for node in nodes:
        multiply_adds[node.scope] += _multiply_adds(node)
        memory[node.scope] += _new_bytes(node)
    rows = [
        Row(
            path,
            type(module).__name__,
            shapes.get(module, ()),
            sum(np.size(p.data) for p in module._parameters.values()),
            multiply_adds.pop(path, 0),
            memory.pop(path, 0),
        )
        for path, module in model.named_modules()
    ]
    # What ran under a path of no registered module, such as one kept in a dict.
    rows += [Row(path, "", (), 0, multiply_adds[path], memory[path]) for path in memory]
    parameters = model.parameters()
    return Summary(
        tuple(rows),
        sum(np.size(p.data) for p in parameters),
        sum(np.size(p.data) for p in parameters if p.requires_grad),
        sum(np.asarray(p.data).nbytes for p in parameters)
        + sum(buffer.nbytes for _, buffer in model.named_buffers()),
    )


def _tensor(shape: Shape, dtype: DTypeLike) -> Tensor:
    x = Tensor(np.zeros(shape, dtype))
    x.requires_grad = x.dtype.kind == "f"  # so that a frozen model is recorded too
    return x


def _values(shape: Shape) -> Any:
    """Nested lists of Values, for models of the scalar tier."""
    return [_values(shape[1:]) for _ in range(shape[0])] if shape else Value(0.0)


def _made(output: Any) -> list[Node]:
    """Every node of the graphs of a model's results that an op made, once."""
    roots = [y for y in leaves(output) if isinstance(y, Node) and y.requires_grad]
    nodes = dict.fromkeys(node for root in roots for node in topological_order(root))
    return [node for node in nodes if node.op is not None]


def _new_bytes(node: Node) -> int:
    """The memory of a result, unless it is a view of what it was made of."""
    y = np.asarray(node.data)
    arrays = [x for x in map(plain, node.inputs) if isinstance(x, np.ndarray)]
    return 0 if any(np.may_share_memory(x, y) for x in arrays) else y.nbytes


def _multiply_adds(node: Node) -> int:
    count = _COUNTS.get(node.op.name) if node.op is not None else None
    return 0 if count is None else count(node, *(np.shape(plain(x)) for x in node.inputs))


def _of_einsum(node: Node, *shapes: Shape) -> int:
    assert node.attrs is not None
    terms = node.attrs["subscripts"].partition("->")[0].split(",")
    lengths = {
        letter: n
        for term, shape in zip(terms, shapes, strict=True)
        for letter, n in zip(term, shape, strict=False)
    }
    return math.prod(lengths.values())


# The products that an op adds up, from its result and the shapes of its inputs.
_COUNTS: dict[str, Callable[..., int]] = {
    "linear": lambda y, x, weight, *_: np.size(y.data) * weight[-1],
    "matmul": lambda y, a, b: np.size(y.data) * a[-1],
    "convolution": lambda y, x, weight, *_: np.size(y.data) * math.prod(weight[1:]),
    "transposed_convolution": lambda y, x, weight, *_: math.prod(x) * math.prod(weight[1:]),
    "contraction": _of_einsum,
    "multiply": lambda y, *_: 1 if isinstance(y.data, float) else 0,
}


def _bytes(n: int) -> str:
    size = float(n)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
