"""The computation graph: what a node is, its topological order, and the backward traversal.

A node is data, not a closure: it records the op that made it, the op's inputs and attributes.
Everything that reads a graph (gradients, pictures, error messages) reads these same fields.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from numpy import ndarray

from tinygrad_edu import anomaly, changes
from tinygrad_edu.errors import GradientError

if TYPE_CHECKING:
    from tinygrad_edu.ops.declare import Op


class Node:
    """One number or array of a computation, and how it was made.

    Attributes:
        data: the number (``Value``) or ndarray (``Tensor``).
        grad: the accumulated gradient, plain numbers like ``data``.
        op: the op that made it; ``None`` for a leaf.
        inputs: what the op was applied to: nodes, and plain numbers or arrays (constants).
        attrs: the op's keyword arguments, such as ``axis``; ``None`` where it has none.
        saved: what the op's forward kept for its derivative rule, if anything.
        scope: the path of the module that made it, such as ``"features.0"``; else ``""``.
        label: a name for people.
        born: the time it was made at, on the clock of in-place changes.
        line: ``file:number`` of the source that made it, where ``source_lines`` or
            ``detect_anomaly`` took it down.
        requires_grad: whether a gradient flows to it.
        keeps_grad: whether ``backward`` stores its gradient in ``grad``, as it does for leaves.
    """

    __slots__ = (
        "data",
        "grad",
        "op",
        "inputs",
        "attrs",
        "saved",
        "scope",
        "label",
        "requires_grad",
        "born",
        "line",
        "__weakref__",
    )

    data: Any
    grad: Any
    op: Op | None
    inputs: tuple[Any, ...]
    attrs: dict[str, Any] | None
    saved: Any
    scope: str
    label: str
    requires_grad: bool
    keeps_grad: bool
    born: int
    line: str

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded op made this node."""
        return self.op is None

    def __reduce_ex__(self, protocol: Any) -> Any:
        # For copy and pickle. A copy of a result would drag a copy of its whole graph along.
        if self.op is not None:
            raise GradientError(
                f"only leaves can be copied or pickled, and {describe(self)} is the result of an"
                " operation: call .detach() first, which leaves its graph behind"
            )
        return super().__reduce_ex__(protocol)

    # What a kind of node (Value, Tensor) tells the engine about itself.

    @staticmethod
    def apply(op: Op, inputs: tuple[Any, ...], attrs: dict[str, Any] | None) -> Any:
        """Run ``op`` forward on nodes of this kind and record the result."""
        raise TypeError("apply an op to a Value or a Tensor, not to a bare Node")

    def seed(self, gradient: Any) -> Any:
        """Check the gradient that ``backward`` starts from; ``None`` stands for one."""
        raise TypeError("backward starts from a Value or a Tensor, not from a bare Node")

    def constant(self, gradient: Any) -> Any:
        """A plain gradient as a node of this kind, for a gradient that is itself recorded."""
        raise TypeError("a bare Node has no gradient")

    def fit(self, gradient: Any, op: Op) -> Any:
        """What a rule of ``op`` returned in this node's shape and dtype: broadcasting undone."""
        return gradient

    def pass_back(self, g: Any, pending: dict[Node, Any], owned: set[Node]) -> None:
        """One step of the chain rule: add ∂L/∂x to ``pending[x]`` for each input x.

        Args:
            g: ∂L/∂self.
            pending: what has reached each node so far.
            owned: the nodes whose pending array is the traversal's own memory, to be added to in
                place.
        """
        raise TypeError("a bare Node has no gradient")

    def accumulate(self, gradient: Any) -> None:
        """Add to ``grad``."""
        raise TypeError("a bare Node has no gradient")

    def zero_grad(self) -> None:
        """Clear ``grad``."""
        raise TypeError("a bare Node has no gradient")

    def detach(self) -> Any:
        """The same data as a leaf that requires no gradient."""
        raise TypeError("a bare Node has no data")

    def register_hook(self, hook: Callable[[Any], Any]) -> Callable[[], None]:
        """Have ``hook`` called with this node's whole gradient whenever it is computed.

        Args:
            hook: gets the gradient; what it returns, unless None, takes the gradient's place.

        Returns:
            A function that removes the hook.

        >>> from tinygrad_edu import Value
        >>> x = Value(3.0)
        >>> remove = x.register_hook(lambda g: 10 * g)
        >>> (x * x).backward()
        >>> x.grad
        60.0
        """
        if not self.requires_grad:
            raise GradientError(f"{describe(self)} requires no gradient, so a hook gets none")
        key = id(self)
        if key not in _hooks:
            _hooks[key] = []
            weakref.finalize(self, _hooks.pop, key, None).atexit = False
        hooks = _hooks[key]
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def backward(
        self, gradient: Any = None, retain_graph: bool = True, create_graph: bool = False
    ) -> None:
        """Add ∂self/∂node to the ``grad`` of every node that keeps one.

        Those are the leaves that require a gradient, every Value, and each Tensor that
        ``retain_grad`` was called on. Called twice, it accumulates, until ``zero_grad``.

        Args:
            gradient: ∂L/∂self, in this node's shape; by default 1, for a scalar.
            retain_graph: keep the graph, to look at or to run backward again. A training loop
                passes False: every node then lets go of its inputs as soon as it has passed its
                gradient on, which frees activations early.
            create_graph: make each ``grad`` a node that can itself be differentiated.

        Raises:
            GradientError: this node requires no gradient, is not a scalar and no ``gradient`` was
                given, its graph was released, or data were changed in place since the forward.

        No ``grad`` has changed when this raises, or a derivative rule or a hook does. But under
        ``retain_graph=False`` the nodes passed through by then are released, as the error notes.
        """
        found = gradients(
            self,
            gradient,
            intermediates=False,
            create_graph=create_graph,
            release=not retain_graph,
        )
        with enable_grad():  # sums of gradients that are nodes are recorded
            for node, g in found.items():
                node.accumulate(g)


# The grad mode and the module path in force: (are operations recorded, scope).
# One variable rather than two, since every operation reads both.
mode: ContextVar[tuple[bool, str]] = ContextVar("tinygrad_edu.mode", default=(True, ""))


@contextmanager
def no_grad() -> Iterator[None]:
    """Within it nothing is recorded: results have no graph. Also a decorator.

    >>> from tinygrad_edu import Value, no_grad
    >>> x = Value(3.0)
    >>> with no_grad():
    ...     y = x * x
    >>> y.requires_grad
    False
    """
    token = mode.set((False, mode.get()[1]))
    try:
        yield
    finally:
        mode.reset(token)


@contextmanager
def enable_grad() -> Iterator[None]:
    """Within it operations are recorded again, inside a ``no_grad`` as well. Also a decorator."""
    token = mode.set((True, mode.get()[1]))
    try:
        yield
    finally:
        mode.reset(token)


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread or task."""
    return mode.get()[0]


def topological_order(root: Node, sources: Set[Node] = frozenset()) -> list[Node]:
    """Every node that a gradient of ``root`` flows through, each after all of its inputs.

    An iterative depth-first search: the depth of a graph is limited by memory, not by the stack.

    Args:
        root: where the search starts; the last node of the result.
        sources: nodes to take as leaves, whatever made them.

    Raises:
        GradientError: a part of the graph was released by an earlier backward pass.
    """
    order: list[Node] = []
    expanded: set[Node] = set()
    # A node goes onto the stack to be expanded; it then goes back, under its inputs, to be
    # listed once they are: None marks the node below it as one to be listed.
    stack: list[Any] = [root]
    push, pop = stack.append, stack.pop
    while stack:
        node = pop()
        if node is None:
            order.append(pop())
        elif node not in expanded:
            expanded.add(node)
            if node.op is None or node in sources:
                order.append(node)
                continue
            if node.op is RELEASED:
                raise GradientError(
                    f"{describe(node)} was released by an earlier backward(retain_graph=False): "
                    "run the forward pass again, or keep the graph with retain_graph=True."
                )
            push(node)
            push(None)
            for x in node.inputs:
                if isinstance(x, Node) and x.requires_grad and x not in expanded:
                    push(x)
    return order


def gradients(
    root: Node,
    gradient: Any = None,
    *,
    sources: Set[Node] = frozenset(),
    intermediates: bool = True,
    create_graph: bool = False,
    release: bool = False,
) -> dict[Node, Any]:
    """The gradient of ``root`` by the nodes it was made from; no ``grad`` is touched.

    Reverse topological traversal. Each node is visited once, when all the paths from the root to
    it have been added up; it hands its gradient ``g`` to the derivative rules of the op that made
    it, one rule per input, and drops it. This is the chain rule: ∂L/∂x = Σ rule(∂L/∂y) over
    every y that x went into.

    Args:
        root: the loss L, or any node if ``gradient`` is given.
        gradient: ∂L/∂root, in the shape of ``root``; by default 1, for a scalar root.
        sources: nodes to stop at, as if they were leaves.
        intermediates: return the gradient by every node, or only by leaves and by those whose
            ``keeps_grad`` is set (Values, and Tensors that were asked to retain theirs).
        create_graph: return nodes, recorded so that they can be differentiated in turn.
        release: let every node go of its inputs once it has passed its gradient on.

    Returns:
        A gradient per node; plain floats and arrays of the caller's own, or nodes under
        ``create_graph``. A node that no gradient reached is absent.

    Raises:
        GradientError: ``root`` needs no gradient, is not a scalar, its graph was released, or data
            that a derivative rule needs were changed in place since the forward pass.
    """
    if not root.requires_grad:
        raise GradientError(
            f"{describe(root)} does not require a gradient, so nothing can flow back from it: it "
            "was made under no_grad, detached, or from nothing that has requires_grad=True."
        )
    if isinstance(gradient, list | tuple) and any(isinstance(x, Node) for x in gradient):
        raise GradientError(
            "gradients(loss) returns ∂loss/∂node for every node, as gradients(loss)[w]: its second"
            " argument is ∂L/∂loss, and not the nodes that you want"
        )
    seed = root.seed(gradient)
    order = topological_order(root, sources)
    if create_graph:
        # A gradient that is a node stays one, so that what it was made from is differentiated too.
        seed = gradient if isinstance(gradient, Node) else root.constant(seed)
    pending = {root: seed}
    # Nodes whose pending array the traversal allocated itself, and so may add to in place.
    owned: set[Node] = set()
    result: dict[Node, Any] = {}
    try:
        while order:
            node = order.pop()
            g = pending.pop(node, None)
            if g is None:  # every path to it goes through an input that its op is constant in
                continue
            if _hooks:
                for hook in _hooks.get(id(node), ()):
                    g = _hooked(node, hook, g)
                    owned.discard(node)  # the hook may have kept it
            if intermediates or node.op is None or node.keeps_grad:
                shared = g.__class__ is ndarray and node not in owned
                result[node] = g.copy() if shared else g
            if owned:
                owned.discard(node)  # which would keep a released node's data alive
            if node.op is None or node in sources:
                continue
            if node.born != changes.clock:
                _check_unchanged(node)
            if create_graph:
                pass_back_nodes(node, g, pending)
            else:
                node.pass_back(g, pending, owned)
            if anomaly.watchers:
                anomaly.look_at_gradients(node, pending)
            if release:
                node.op, node.inputs, node.attrs, node.saved = RELEASED, (), None, None
    except Exception as error:
        if root.op is RELEASED:  # the first to be: others may be left
            error.add_note(
                "This was backward(retain_graph=False), and the nodes it had passed through are"
                " released: run the forward pass again before another backward."
            )
        raise
    return result


def pass_back_nodes(node: Node, g: Node, pending: dict[Node, Any]) -> None:
    """``Node.pass_back`` on nodes: every step, the sums too, is recorded to be differentiated."""
    op = cast("Op", node.op)
    token = mode.set((True, node.scope))
    try:
        found = rule_gradients(node, g) if op.definition is None else definition_gradients(node, g)
        for x, d in found:
            pending[x] = pending[x] + d if x in pending else d
    finally:
        mode.reset(token)


def rule_gradients(node: Node, g: Node) -> list[tuple[Node, Node]]:
    """∂L/∂x as a node, for each input x of ``node``, by the rules of its op."""
    op, attrs = cast("Op", node.op), node.attrs or {}
    return [
        (x, x.fit(x.constant(rule(g, node, *node.inputs, **attrs)), op))
        for x, rule in zip(node.inputs, op.rules_for(node.inputs), strict=True)
        if isinstance(x, Node) and x.requires_grad and rule is not None
    ]


def definition_gradients(node: Node, g: Node) -> list[tuple[Node, Node]]:
    """What ``rule_gradients`` returns, by differentiating the definition of a fused op.

    A fused op's own rule may read arrays that its forward saved, and those are constants to a
    second derivative. Its definition in terms of other ops has every derivative.
    """
    definition = cast("Op", node.op).definition
    assert definition is not None
    sources = {x for x in node.inputs if isinstance(x, Node) and x.requires_grad}
    y = definition(*node.inputs, **(node.attrs or {}))
    found = gradients(y, g, sources=sources, create_graph=True)
    return [(x, found[x]) for x in sources if x in found]


def _check_unchanged(node: Node) -> None:
    changed = changes.changed_operand(node)
    if changed is not None:
        raise GradientError(
            f"the backward of {cast('Op', node.op).name}{f' in {node.scope}' if node.scope else ''}"
            f" needs {describe(changed)} as it was in the forward pass, and it was changed in place"
            " since, as by optimizer.step() or t[...] = v: run the forward pass again first"
        )


def _hooked(node: Node, hook: Callable[[Any], Any], g: Any) -> Any:
    """The gradient that a hook leaves."""
    replaced = hook(g.copy() if isinstance(g, ndarray) else g)
    if replaced is None:
        return g
    if isinstance(g, Node):
        return g.constant(replaced)
    return node.seed(replaced)


# By the id of the node, while that is alive: too rare a thing for a field of every node.
_hooks: dict[int, list[Callable[[Any], Any]]] = {}


def plain(x: Any) -> Any:
    """The data of a node; anything else as it is."""
    return x.data if isinstance(x, Node) else x


def describe(node: Node) -> str:
    """A node in an error message: its kind, label, maker and module."""
    kind = type(node).__name__
    label = f" {node.label!r}" if node.label else ""
    shape = f" of shape {node.data.shape}" if isinstance(node.data, ndarray) else ""
    maker = f" made by {node.op.name}" if node.op is not None and node.op is not RELEASED else ""
    scope = f" in {node.scope}" if node.scope else ""
    return f"{kind}{label}{shape}{maker}{scope}"


# Takes the place of the op of a node whose graph was released.
RELEASED: Any = type("Released", (), {"name": "released", "__slots__": ()})()
