"""Derivatives of functions: grad, vjp, jvp, jacobian, hessian and the like, as in JAX.

A function takes and returns floats, arrays, Tensors, Values, or nested tuples, lists and dicts of
them; it may be plain NumPy. Results come back as the kind that went in. Transforms nest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, wraps
from numbers import Real
from typing import Any

import numpy as np

from tinygrad_edu import trees
from tinygrad_edu.errors import DTypeError, GradientError, OperandError, ShapeError
from tinygrad_edu.graph import Node, describe, enable_grad, gradients, plain, topological_order
from tinygrad_edu.ops.declare import Op, elementwise
from tinygrad_edu.ops.joining import concatenate
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.value import Value

Argnums = int | Sequence[int]

# What a transform differentiates by: the argument itself, as a node of its own. Without it, a
# transform inside another could not tell its own argument from the same node used directly.
argument = elementwise(
    "argument", "=", lambda x: x, lambda x: x, lambda g, y, x: g, doc="x itself, as another node."
)


def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The gradient of a function with one number as its result.

    Args:
        f: returns a scalar; with ``has_aux`` a pair of it and anything else.
        argnums: the position of the argument to differentiate by, or several.
        has_aux: whether ``f`` returns a pair.

    Returns:
        A function of the same arguments. It returns ∂f/∂argument, in the argument's own
        structure; a tuple of them if ``argnums`` is a sequence; a pair of that and what else
        ``f`` returned, with ``has_aux``.

    Raises:
        GradientError: ``f`` returns no scalar.
        DTypeError: an argument to differentiate by is of integers.

    >>> import numpy as np
    >>> grad(lambda x: np.tanh(x) ** 2)(0.0)
    0.0
    >>> grad(grad(lambda x: x**3))(2.0)
    12.0
    """
    both = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """The result of a function and its gradient, in one pass; arguments as for ``grad``.

    Returns:
        A function that returns ``(value, gradient)``, or ``((value, aux), gradient)``.

    >>> value_and_grad(lambda p: p["w"] * p["x"])({"w": 2.0, "x": 5.0})
    (10.0, {'w': 5.0, 'x': 2.0})
    """

    @wraps(f)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        chosen = _chosen(args, argnums)
        with enable_grad():
            primals = _Arguments(chosen)
            y = f(*_with(args, argnums, primals.trees), **kwargs)
        y, aux = _pair(y) if has_aux else (y, None)
        if isinstance(y, Node) and np.size(y.data) != 1:
            raise GradientError(
                f"grad takes a function with one number as its result, not {describe(y)};"
                " jacobian takes any"
            )
        if not isinstance(y, Node | Real) and not (isinstance(y, np.ndarray) and y.size == 1):
            raise GradientError(
                f"grad takes a function with one number as its result, not {y!r:.60}"
            )
        found = primals.pull_back([y], [None])
        value = primals.outside(y)
        return ((value, aux) if has_aux else value), _like(argnums, found)

    return value_and_gradient


def vjp(f: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The result of ``f(*primals)``, and the function that takes a gradient back through f.

    Returns:
        ``(out, pullback)``, or ``(out, pullback, aux)``. ``pullback(cotangent)``, with a cotangent
        in the structure of ``out``, returns a tuple: cotangentᵀ · ∂out/∂primal for each primal.

    >>> out, pullback = vjp(lambda a, b: a * b, 3.0, 4.0)
    >>> out, pullback(1.0)
    (12.0, (4.0, 3.0))
    """
    with enable_grad():
        arguments = _Arguments(primals)
        y = f(*arguments.trees)
    y, aux = _pair(y) if has_aux else (y, None)
    roots = trees.leaves(y)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        seeds = _matching(cotangent, y, "the cotangent", "the result of f")
        return tuple(arguments.pull_back(roots, seeds))

    out = trees.transform(arguments.outside, y)
    return (out, pullback, aux) if has_aux else (out, pullback)


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """The result of ``f(*primals)``, and how it changes as the primals move along the tangents.

    Computed backward, twice: uᵀ · ∂f/∂x is linear in u, so its own pullback of the tangent t is
    ∂f/∂x · t.

    Returns:
        ``(out, tangent)``, with the tangent ∂f/∂primals · tangents in the structure of ``out``.

    >>> jvp(lambda a, b: a * b, (3.0, 4.0), (1.0, 10.0))
    (12.0, 34.0)
    """
    primals, tangents = tuple(primals), tuple(tangents)
    directions = _matching(tangents, primals, "the tangents", "the primals")
    with enable_grad():
        arguments = _Arguments(primals)
        y = f(*arguments.trees)
        roots = trees.leaves(y)
        seeds = [_zeros_to_vary(root) for root in roots]
        pulled = arguments.pull_back_nodes(roots, seeds, create_graph=True)
        total: Any = None
        for x, direction in zip(arguments.nodes, directions, strict=True):
            if x in pulled:
                product = _sum_of(pulled[x] * direction)
                total = product if total is None else total + product
    found: dict[Node, Any] = {}
    if total is not None and total.requires_grad:
        found = gradients(
            total, sources=frozenset(seeds), create_graph=arguments.nested or _any_nodes(directions)
        )
    changes = [
        found[s] if s in found else np.zeros_like(plain(y))
        for s, y in zip(seeds, roots, strict=True)
    ]
    out = trees.transform(arguments.outside, y)
    return out, trees.rebuild(y, [arguments.outside(change) for change in changes])


def jacobian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that returns ∂f/∂argument: of shape ``out.shape + argument.shape``.

    Arguments as for ``grad``. Where ``f`` or the argument is nested, so is the result: the
    structure of the result of f, with the structure of the argument at each of its leaves.

    >>> import numpy as np
    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    @wraps(f)
    def jacobian_of_f(*args: Any, **kwargs: Any) -> Any:
        chosen = _chosen(args, argnums)
        with enable_grad():
            primals = _Arguments(chosen)
            y = f(*_with(args, argnums, primals.trees), **kwargs)
            return trees.transform(lambda root: _like(argnums, _rows(primals, root)), y)

    return jacobian_of_f


def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that returns ∂²f/∂argument², of shape ``argument.shape * 2``.

    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 3.0]))
    array([[6., 2.],
           [2., 0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times a vector, without the Hessian.

    ∂/∂x (∂f/∂x · t), at the cost of a few evaluations of f.

    Args:
        f: returns a scalar.
        primals: the arguments x.
        tangents: the vector t, in the structure of ``primals``.

    Returns:
        The product, in the structure of ``primals``; of the only primal if there is one.

    >>> hvp(lambda x: x**3, (2.0,), (10.0,))
    120.0
    """
    primals = tuple(primals)
    directions = _matching(tuple(tangents), primals, "the tangents", "the primals")
    positions = tuple(range(len(primals)))

    def slope(*args: Any) -> Any:
        found = trees.leaves(grad(f, positions)(*args))
        products = [_sum_of(g * t) for g, t in zip(found, directions, strict=True)]
        return sum(products[1:], start=products[0])

    found = grad(slope, positions)(*primals)
    return found[0] if len(primals) == 1 else found


def elementwise_grad(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The derivative of a function that acts on each entry on its own, at every entry.

    >>> import numpy as np
    >>> elementwise_grad(lambda x: x**2)(np.array([1.0, 2.0, 3.0]))
    array([2., 4., 6.])
    """

    def total(*args: Any, **kwargs: Any) -> Any:
        return _sum_of(f(*args, **kwargs))

    return wraps(f)(grad(total, argnums))


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the same result that keeps none of its intermediate results.

    Its part of the graph is one node. Backward runs ``f`` again to get the intermediate results
    back: half the memory of a deep model for a third more time.

    Args:
        f: takes Tensors, arrays and numbers, nested perhaps, and returns one Tensor. It may use
            parameters that are not among its arguments. It has to be deterministic.

    Raises:
        OperandError: ``f`` returns something else.
        GradientError: in backward, if ``f`` gave another result the second time, as with a random
            mask: its gradient would be of the other result.

    Source: Chen et al., 2016.

    >>> from tinygrad_edu import Tensor
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda t: (t * t).tanh())(x).sum().backward()
    """

    @wraps(f)
    def recomputed(*args: Any) -> Any:
        given = [x for x in trees.leaves(args) if isinstance(x, Tensor) and x.requires_grad]

        def run(*nodes: Any) -> Any:
            replaced = dict(zip(given, nodes, strict=False))
            return f(*trees.transform(lambda x: _in_place_of(x, replaced), args))

        fresh = [Tensor(x.data, requires_grad=True) for x in given]
        y = run(*fresh)
        if not isinstance(y, Tensor):
            raise OperandError(
                f"checkpoint takes a function that returns one Tensor, not {y!r:.60}"
            )
        if not y.requires_grad:
            return y
        # What f uses besides its arguments gets its gradient as a further input.
        closed = [x for x in topological_order(y) if x.is_leaf and x not in set(fresh)]
        recomputation = _Recomputation(run, closed)
        result = y.data
        op = Op(
            getattr(f, "__name__", "checkpoint"),
            "checkpoint",
            None,
            lambda *arrays: result,
            tuple(partial(recomputation, i=i) for i in range(len(given) + len(closed))),
            definition=run,
        )
        return Tensor.apply(op, (*given, *closed), None)

    return recomputed


class _Recomputation:
    """The derivative rules of a checkpoint: one run of the function serves all of its inputs."""

    def __init__(self, run: Callable[..., Any], closed: Sequence[Node]) -> None:
        self._run, self._closed = run, closed
        self._g: Any = None
        self._found: list[Any] = []

    def __call__(self, g: Any, y: Any, *arrays: Any, i: int) -> Any:
        if self._g is not g:
            self._g, self._found = g, self._gradients(g, y, arrays)
        d, self._found[i] = self._found[i], None
        if all(left is None for left in self._found):
            self._g = None
        return d

    def _gradients(self, g: Any, y: Any, arrays: Sequence[Any]) -> list[Any]:
        fresh = [Tensor(x, requires_grad=True) for x in arrays[: len(arrays) - len(self._closed)]]
        with enable_grad():
            again = self._run(*fresh)
        if not np.array_equal(again.data, y, equal_nan=True):
            raise GradientError(
                "a checkpointed function gave another result when it was run again for backward;"
                " it has to be deterministic"
            )
        nodes = [*fresh, *self._closed]
        found = gradients(again, g, sources=frozenset(nodes))
        return [found[x] if x in found else np.zeros_like(x.data) for x in nodes]


def _in_place_of(x: Any, replaced: dict[Any, Any]) -> Any:
    return replaced.get(x, x) if isinstance(x, Tensor) else x


class _Arguments:
    """The arguments to differentiate by, each leaf as a node of its own.

    Attributes:
        trees: the arguments, with nodes for leaves.
        nodes: those nodes.
        nested: whether a leaf is part of a graph already: then results must be, too.
    """

    def __init__(self, primals: Sequence[Any]) -> None:
        given = [trees.leaves(primal) for primal in primals]
        self._given = [leaf for part in given for leaf in part]
        self._primals = primals
        self.nodes = [_as_argument(leaf) for leaf in self._given]
        self.nested = any(isinstance(x, Node) and x.requires_grad for x in self._given)
        self.trees = self.in_structure(self.nodes)

    def pull_back(self, roots: list[Any], seeds: list[Any]) -> list[Any]:
        """Σ seedᵀ · ∂root/∂argument for each argument, in its structure and kind."""
        return self.in_structure(self.pull_back_leaves(roots, seeds))

    def pull_back_leaves(self, roots: list[Any], seeds: list[Any]) -> list[Any]:
        """Σ seedᵀ · ∂root/∂leaf for each leaf of the arguments, as the kind that it was."""
        found = self.pull_back_nodes(roots, seeds, self.nested or _any_nodes(seeds))
        return [
            _as_kind_of(x, found[node] if node in found else _zeros(node.data))
            for x, node in zip(self._given, self.nodes, strict=True)
        ]

    def pull_back_nodes(
        self, roots: list[Any], seeds: list[Any], create_graph: bool
    ) -> dict[Node, Any]:
        """Σ seedᵀ · ∂root/∂node for each node that the roots depend on."""
        pulled: dict[Node, Any] = {}
        sources = frozenset(self.nodes)
        for root, seed in zip(roots, seeds, strict=True):
            if not isinstance(root, Node) or not root.requires_grad:
                continue
            found = gradients(root, seed, sources=sources, create_graph=create_graph)
            for x in self.nodes:
                if x in found:
                    pulled[x] = pulled[x] + found[x] if x in pulled else found[x]
        return pulled

    def outside(self, y: Any) -> Any:
        """A result as the caller should see it: plain, unless an argument was a node."""
        if any(isinstance(x, Node) for x in self._given):
            return y if self.nested or not isinstance(y, Node) else y.detach()
        return _as_plain(y)

    def in_structure(self, values: Sequence[Any]) -> list[Any]:
        """A value for each leaf of the arguments, in their structure."""
        remaining = iter(values)
        return [trees.transform(lambda _: next(remaining), primal) for primal in self._primals]


def _rows(arguments: _Arguments, root: Any) -> list[Any]:
    """∂root/∂argument for each argument: a row of it for every entry of the root."""
    shape = np.shape(plain(root))
    rows = []
    for index in np.ndindex(shape):
        seed = np.zeros(shape)
        seed[index] = 1.0
        rows.append(arguments.pull_back_leaves([root], [seed if shape else None]))
    if not rows:
        rows_by_leaf = [np.zeros((*shape, *np.shape(x.data))) for x in arguments.nodes]
        return arguments.in_structure(rows_by_leaf)
    return arguments.in_structure([_stacked(e, shape) for e in zip(*rows, strict=True)])


def _stacked(entries: Sequence[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return entries[0]
    if not any(isinstance(entry, Node) for entry in entries):
        return np.stack(entries).reshape(*shape, *np.shape(entries[0]))
    inner = entries[0].shape
    return concatenate([entry.reshape(1, *inner) for entry in entries]).reshape(*shape, *inner)


def _as_argument(x: Any) -> Any:
    if isinstance(x, Value | Tensor) and x.requires_grad:
        return argument(x)
    if isinstance(x, Value):
        return Value(x.data, x.label)
    if isinstance(x, Real) and not isinstance(x, bool | np.generic):
        return Tensor(np.array(float(x)), requires_grad=True)
    if isinstance(x, Tensor | np.ndarray | np.generic):
        return Tensor(plain(x), requires_grad=True)
    kind = type(x).__name__
    raise DTypeError(
        f"a derivative is by floats, arrays, Tensors or Values, not by {kind}: {x!r:.60}"
    )


def _as_kind_of(x: Any, gradient: Any) -> Any:
    """A gradient as the kind of number that the argument x was."""
    if isinstance(x, Node):
        return x.constant(gradient)
    if isinstance(gradient, Node):  # an outer transform goes on from here
        return gradient
    return np.asarray(gradient) if isinstance(x, np.ndarray) else _as_plain(gradient)


def _as_plain(y: Any) -> Any:
    """The data of y; a 0-d array as a Python number."""
    data = plain(y)
    return data.item() if isinstance(data, np.ndarray | np.generic) and data.ndim == 0 else data


def _zeros(data: Any) -> Any:
    return np.zeros_like(data) if isinstance(data, np.ndarray) else 0.0


def _sum_of(y: Any) -> Any:
    return y if np.ndim(plain(y)) == 0 else y.sum()


def _any_nodes(values: Sequence[Any]) -> bool:
    return any(isinstance(x, Node) and x.requires_grad for x in values)


def _zeros_to_vary(y: Any) -> Any:
    if isinstance(y, Value):
        return Value(0.0)
    return Tensor(np.zeros_like(plain(y), dtype=np.result_type(plain(y), np.float16)), True)


def _pair(y: Any) -> tuple[Any, Any]:
    if not isinstance(y, tuple) or len(y) != 2:
        raise OperandError("with has_aux=True the function returns a pair: (result, anything else)")
    return y


def _matching(tree: Any, other: Any, what: str, of: str) -> list[Any]:
    """The leaves of a tree that has the structure and the shapes of another one."""
    given, wanted = trees.leaves(tree), trees.leaves(other)
    shapes = [np.shape(plain(x)) for x in given], [np.shape(plain(x)) for x in wanted]
    if trees.rebuild(tree, range(len(given))) != trees.rebuild(other, range(len(wanted))):
        raise OperandError(
            f"{what} must have the structure of {of}: {len(wanted)} leaves, not {len(given)}"
        )
    if shapes[0] != shapes[1]:
        raise ShapeError(f"{what} has shapes {shapes[0]}; {of} has {shapes[1]}")
    return given


def _chosen(args: Sequence[Any], argnums: Argnums) -> list[Any]:
    positions = [argnums] if isinstance(argnums, int) else list(argnums)
    try:
        return [args[i] for i in positions]
    except IndexError as error:
        raise OperandError(
            f"argnums={argnums} names an argument that a call with {len(args)} positional"
            " arguments does not have"
        ) from error


def _with(args: Sequence[Any], argnums: Argnums, values: Sequence[Any]) -> list[Any]:
    replaced = list(args)
    for i, value in zip([argnums] if isinstance(argnums, int) else argnums, values, strict=True):
        replaced[i] = value
    return replaced


def _like(argnums: Argnums, found: Sequence[Any]) -> Any:
    return found[0] if isinstance(argnums, int) else tuple(found)
