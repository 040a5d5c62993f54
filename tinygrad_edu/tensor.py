"""Tensor: a NumPy array that remembers how it was computed.

NumPy's own functions accept it (``np.tanh(t)``, ``array @ t``) and return Tensors with a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
from numpy import ndarray
from numpy.typing import DTypeLike

from tinygrad_edu import anomaly, changes
from tinygrad_edu.errors import (
    DTypeError,
    Failure,
    GradientError,
    GradientLostError,
    ShapeError,
    TinygradError,
    UnsupportedFunctionError,
    kind_of,
)
from tinygrad_edu.graph import Node, describe, is_grad_enabled, mode, plain
from tinygrad_edu.names_elsewhere import unknown_attribute, unknown_option
from tinygrad_edu.numpy_calls import LOOKS_AT_DATA, call_ours, unsupported
from tinygrad_edu.operators import Operators, method
from tinygrad_edu.ops import (
    einsum,
    elementwise,
    fused,
    indexing,
    joining,
    linalg,
    reduction,
    samples,
    statistics,
)
from tinygrad_edu.ops import shape as shape_ops
from tinygrad_edu.ops.declare import COMPOSITES, NUMPY_FUNCTIONS, OPS, Op

# The dtype of what starts as Python numbers.
default_dtype: np.dtype[Any] = np.dtype(np.float32)


def _operator(op: Op, reflected: bool = False) -> Any:
    """``Tensor.apply`` for an operator between Tensors, arrays and numbers, without its loops.

    What it does not expect it leaves to ``apply``.
    """
    compute, current, make = op.on_arrays, mode.get, object.__new__

    def operate(self: Tensor, other: Any) -> Any:
        if isinstance(other, Tensor):
            array, requires_grad = other.data, self.requires_grad or other.requires_grad
        else:
            array, requires_grad = other, self.requires_grad
        inputs = (other, self) if reflected else (self, other)
        records, scope = current()
        if not (requires_grad and records and array.__class__ in _REAL) or anomaly.watchers:
            return Tensor.apply(op, inputs, None)
        try:
            y = compute(array, self.data) if reflected else compute(self.data, array)
        except (ValueError, TypeError):
            return Tensor.apply(op, inputs, None)
        if y.__class__ is not ndarray:
            y = np.asarray(y)
        if y.dtype.kind != "f":
            return Tensor.apply(op, inputs, None)
        out: Tensor = make(Tensor)
        out.data = y
        out.grad = out.attrs = out.saved = None
        out.op, out.inputs = op, inputs
        out.scope = scope
        out.label = ""
        out.requires_grad = True
        out.keeps_grad = False
        out.born = changes.clock
        return out

    operate.__name__ = op.name
    return operate


class Tensor(Operators):
    """An array in a computation graph.

    Args:
        data: an array, which keeps its dtype, or (nested lists of) Python numbers, which get
            float32. An ndarray is used as it is, not copied.
        requires_grad: whether gradients flow to it; only for floating dtypes.
        label: a name for printouts and pictures.
        dtype: convert to this dtype.

    Raises:
        DTypeError: the data are not real numbers, or integers that ask for a gradient.

    >>> w = Tensor([[1.0, -2.0], [0.5, 3.0]], requires_grad=True)
    >>> loss = (w @ np.array([1.0, 1.0], dtype=np.float32)).relu().sum()
    >>> loss.backward()
    >>> w.grad
    array([[0., 0.],
           [1., 1.]], dtype=float32)
    """

    __slots__ = ("keeps_grad",)

    def __init__(
        self,
        data: Any,
        requires_grad: bool = False,
        label: str = "",
        dtype: DTypeLike | None = None,
    ) -> None:
        self.data: np.ndarray[Any, Any] = _as_array(data, dtype)
        if requires_grad and self.data.dtype.kind != "f":
            raise DTypeError(
                f"only floating-point Tensors can require a gradient, not {self.data.dtype};"
                " convert with dtype=np.float32"
            )
        self.grad: Any = None
        self.op = None
        self.inputs = ()
        self.attrs = self.saved = None
        self.scope = ""
        self.label = label
        self.requires_grad = requires_grad
        self.keeps_grad = False

    @staticmethod
    def apply(op: Op, inputs: tuple[Any, ...], attrs: dict[str, Any] | None) -> Any:
        """Run ``op`` on Tensors, arrays and numbers and record the result; see ``Node.apply``."""
        operands: list[Any] = []
        requires_grad = False
        for x in inputs:
            if isinstance(x, Tensor):
                operands.append(x.data)
                if x.requires_grad:
                    requires_grad = True
            elif x.__class__ in _CONSTANTS:
                operands.append(x)
            elif isinstance(x, list | tuple | np.generic):
                return Tensor.apply(op, _with_arrays(inputs), attrs)
            else:
                return NotImplemented
        saved = None
        try:
            y = op.on_arrays(*operands, **attrs) if attrs else op.on_arrays(*operands)
        except TinygradError as error:
            error.graph = Failure(op.name, inputs, attrs, mode.get()[1])
            raise
        except (ValueError, TypeError, IndexError) as error:
            explained = _explained(op, operands, attrs, error)
            explained.graph = Failure(op.name, inputs, attrs, mode.get()[1])
            raise explained from error
        if op.saves:
            y, saved = y
        if y.__class__ is not np.ndarray:
            y = np.asarray(y)
        if y.dtype.kind != "f":
            if y.dtype.kind not in "biu":
                raise DTypeError(f"{op.name} gave {y.dtype}, and a Tensor holds real numbers")
            requires_grad = False  # integers do not change by a little
        records, scope = mode.get()
        out = Tensor.__new__(Tensor)
        out.data = y
        out.grad = None
        out.scope = scope
        out.label = ""
        out.keeps_grad = False
        if requires_grad and records:
            out.op, out.inputs, out.attrs, out.saved = op, inputs, attrs, saved
            out.requires_grad, out.born = True, changes.clock
        else:
            out.op, out.inputs, out.attrs, out.saved = None, (), None, None
            out.requires_grad = False
        if anomaly.watchers:
            anomaly.look_at_result(out, op.name)
        return out

    __add__ = _operator(elementwise.add)
    __radd__ = _operator(elementwise.add, reflected=True)
    __sub__ = _operator(elementwise.subtract)
    __rsub__ = _operator(elementwise.subtract, reflected=True)
    __mul__ = _operator(elementwise.multiply)
    __rmul__ = _operator(elementwise.multiply, reflected=True)
    __truediv__ = _operator(elementwise.divide)
    __rtruediv__ = _operator(elementwise.divide, reflected=True)
    __matmul__ = _operator(linalg.matmul)
    __rmatmul__ = _operator(linalg.matmul, reflected=True)

    # What the traversal asks of a node.

    def seed(self, gradient: Any) -> np.ndarray[Any, Any]:
        """The gradient that ``backward`` starts from: the given array, or 1 for a scalar."""
        if gradient is None:
            if self.data.size != 1:
                raise GradientError(
                    f"backward starts from a scalar, not from {describe(self)}: reduce it with"
                    " .sum() or .mean(), or pass backward(gradient=) of that shape"
                )
            return np.ones_like(self.data)
        array = _as_array(plain(gradient), self.data.dtype)
        if array.shape != self.data.shape:
            raise ShapeError(
                f"the gradient for {describe(self)} has shape {array.shape}; it must be"
                f" {self.data.shape}"
            )
        return array

    def constant(self, gradient: Any) -> Tensor:
        """A plain gradient as a Tensor that requires none."""
        return gradient if isinstance(gradient, Tensor) else Tensor(gradient)

    def fit(self, gradient: Any, op: Op) -> Any:
        """What a rule of ``op`` returned in this Tensor's shape and dtype: broadcasting undone.

        Where the forward repeated an entry, its gradient is the sum over the repetitions.
        """
        want, data = self.data.shape, plain(gradient)
        if data.__class__ is not np.ndarray:
            gradient = data = np.asarray(data)
        if data.shape != want:
            extra = data.ndim - len(want)
            if data is gradient and extra > 0 and data.shape[extra:] == want:  # as of a bias
                return np.asarray(data.sum(tuple(range(extra))), self.data.dtype)
            lengths = list(zip(want, data.shape[max(extra, 0) :], strict=False))
            if extra < 0 or any(n not in (1, m) for n, m in lengths):
                raise ShapeError(
                    f"a derivative rule of {op.name} returned shape {data.shape} for"
                    f" {describe(self)}, which does not broadcast to it"
                )
            added = tuple(range(extra))
            repeated = tuple(extra + i for i, (n, m) in enumerate(lengths) if n != m)
            gradient = reduction.sum(gradient, added + repeated, True).reshape(want)
        if data.dtype != self.data.dtype:
            gradient = gradient.astype(self.data.dtype)
        return gradient

    def pass_back(self, g: Any, pending: dict[Node, Any], owned: set[Node]) -> None:
        """One step of the chain rule, on arrays; see ``Node.pass_back``."""
        op, inputs, y = self.op, self.inputs, self.data
        assert op is not None
        operands = [x.data if isinstance(x, Tensor) else x for x in inputs]
        options = self.attrs
        if op.saves:
            options = {**(options or {}), "saved": self.saved}
        rules = op.rules_for(inputs) if op.variadic else op.rules
        found: Any = ()
        if op.together is not None:
            needed = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
            if needed.count(True) > 1:
                found = op.together(g, y, *operands, needed=needed, **(options or {}))
        for i, x in enumerate(inputs):
            rule = rules[i]
            if rule is None or not isinstance(x, Tensor) or not x.requires_grad:
                continue
            if found:
                d = found[i]
            else:
                d = rule(g, y, *operands, **options) if options else rule(g, y, *operands)
            data = x.data
            if d.__class__ is not ndarray or d.dtype is not data.dtype or d.shape != data.shape:
                d = x.fit(d, op)
            if x not in pending:
                pending[x] = d
                if d is not g and d.base is None:  # fresh memory, that nothing else refers to
                    owned.add(x)
            elif x in owned:
                pending[x] += d
            else:
                pending[x] = np.asarray(pending[x] + d)  # the sum of 0-d arrays is none itself
                owned.add(x)

    def accumulate(self, gradient: Any) -> None:
        """Add to ``grad``."""
        previous = self.grad
        if previous is None and isinstance(gradient, Tensor):
            previous = 0  # to be added, since the gradient itself may be another node's too
        total = gradient if previous is None else previous + gradient
        self.grad = np.asarray(total) if isinstance(total, np.generic) else total

    def zero_grad(self) -> None:
        """Forget ``grad``: it is None until the next backward pass."""
        self.grad = None

    def retain_grad(self) -> None:
        """Have ``backward`` store the gradient of this intermediate result in ``grad`` too."""
        if not self.requires_grad:
            raise GradientError(f"{describe(self)} requires no gradient, so has none to retain")
        self.keeps_grad = True

    def detach(self) -> Tensor:
        """The same data, shared, as a leaf that requires no gradient."""
        return Tensor(self.data, label=self.label)

    # The array in it.

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.data.size

    @property
    def nbytes(self) -> int:
        """The bytes that the entries take."""
        return self.data.nbytes

    @property
    def dtype(self) -> np.dtype[Any]:
        """The data type of the entries."""
        return self.data.dtype

    def numpy(self) -> np.ndarray[Any, Any]:
        """The data, shared; for a Tensor that requires a gradient call ``detach`` first."""
        return self.__array__()

    def item(self) -> float:
        """The only entry, as a Python number."""
        if self.data.size != 1:
            raise ShapeError(
                f"only one entry is one number, not {describe(self)}: reduce it with .sum() or"
                " .mean(), or use .tolist()"
            )
        return self.data.item()

    def tolist(self) -> Any:
        """The entries as nested lists of Python numbers."""
        return self.data.tolist()

    def __len__(self) -> int:
        if not self.data.ndim:
            raise ShapeError("a 0-d Tensor has no length")
        return len(self.data)

    def __contains__(self, x: Any) -> bool:
        return plain(x) in self.data

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ShapeError(
                f"whether {describe(self)} is true is ambiguous: compare, then use .any() or .all()"
            )
        return bool(self.data)

    # Operations that only arrays have.

    def __getitem__(self, index: Any) -> Tensor:
        return cast(Tensor, indexing.getitem(self, indexing.frozen(index)))

    def __setitem__(self, index: Any, value: Any) -> None:
        differentiated = self.requires_grad or getattr(value, "requires_grad", False)
        if differentiated and is_grad_enabled():
            raise GradientError(
                f"assigning to a part of {describe(self)} would not be differentiated: do it under"
                " no_grad(), or write index_set(t, index, value), which returns a new Tensor"
            )
        self.data[indexing.frozen(index)] = plain(value)
        changes.mark_changed(self)

    def reshape(self, *lengths: Any, order: str = "C") -> Tensor:
        """The same entries in another shape: ``t.reshape(2, -1)`` or ``t.reshape((2, -1))``."""
        return cast(Tensor, shape_ops.reshape(self, _sequence(lengths), order))

    def transpose(self, *axes: Any) -> Tensor:
        """The axes permuted, or reversed if none are given."""
        return cast(Tensor, shape_ops.transpose(self, _sequence(axes) if axes else None))

    def broadcast_to(self, *lengths: Any) -> Tensor:
        """Repeated along new axes and axes of length 1."""
        return cast(Tensor, shape_ops.broadcast_to(self, _sequence(lengths)))

    @property
    def T(self) -> Tensor:  # noqa: N802
        """The axes reversed."""
        return self.transpose()

    @property
    def mT(self) -> Tensor:  # noqa: N802
        """The last two axes swapped: a matrix, or a stack of them, transposed."""
        if self.data.ndim < 2:
            raise ShapeError(f"mT transposes matrices; {describe(self)} has fewer than two axes")
        *stack, rows, columns = range(self.data.ndim)
        return self.transpose(*stack, columns, rows)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """The entries converted to another dtype."""
        return cast(Tensor, shape_ops.astype(self, np.dtype(dtype)))

    # Functions of arrays as methods; each is documented where it is declared.

    sum: Callable[..., Tensor] = method(reduction.sum)
    mean: Callable[..., Tensor] = method(reduction.mean)
    max: Callable[..., Tensor] = method(reduction.max)
    min: Callable[..., Tensor] = method(reduction.min)
    softmax: Callable[..., Tensor] = method(fused.softmax)
    log_softmax: Callable[..., Tensor] = method(fused.log_softmax)
    prod = method(reduction.prod)
    var = method(reduction.var)
    std = method(reduction.std)
    ptp = method(reduction.ptp)
    median = method(statistics.median)
    quantile = method(statistics.quantile)
    cumsum = method(reduction.cumsum)
    cumprod = method(reduction.cumprod)
    logsumexp = method(reduction.logsumexp)
    argmax = method(reduction.argmax)
    argmin = method(reduction.argmin)
    argsort = method(reduction.argsort)
    argpartition = method(reduction.argpartition)
    any = method(reduction.any)
    all = method(reduction.all)
    norm = method(linalg.norm)
    dot = method(einsum.dot)
    ravel = flatten = method(shape_ops.ravel)
    squeeze = method(shape_ops.squeeze)
    expand_dims = method(shape_ops.expand_dims)
    swapaxes = method(shape_ops.swapaxes)
    moveaxis = method(shape_ops.moveaxis)
    repeat = method(shape_ops.repeat)
    tile = method(shape_ops.tile)
    flip = method(shape_ops.flip)
    roll = method(shape_ops.roll)
    sort = method(shape_ops.sort)
    partition = method(shape_ops.partition)
    split = method(joining.split)
    diagonal = method(shape_ops.diagonal)
    trace = method(shape_ops.trace)
    tril = method(shape_ops.tril)
    triu = method(shape_ops.triu)
    diff = method(samples.diff)
    copy = method(shape_ops.copy)
    take = method(indexing.take)
    gather = method(indexing.gather)
    index_add = method(indexing.index_add)
    index_set = method(indexing.index_set)
    nonzero = method(indexing.nonzero)

    def __getattr__(self, name: str) -> Any:
        # copy and NumPy ask for protocols, and for slots that are not set: nobody misspelled those.
        if name.startswith("__") or hasattr(type(self), name):
            raise AttributeError(name)
        known = [known for known in dir(type(self)) if not known.startswith("_")]
        if name in OPS or name in COMPOSITES:
            raise AttributeError(f"Tensor has no method {name!r}: {name}(t, ...) is a function")
        raise AttributeError(unknown_attribute("Tensor", name, known))

    # NumPy's protocols.

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc in LOOKS_AT_DATA and method == "__call__":
            return ufunc(*map(plain, inputs), **kwargs)
        kwargs = {name: x for name, x in kwargs.items() if x is not None or name == "axis"}
        if method in ("reduce", "accumulate"):
            function = NUMPY_FUNCTIONS.get(_FOLDS.get((ufunc, method), ufunc))
            kwargs = {"axis": 0, **kwargs}  # the default of a ufunc's methods
            allowed = {"axis", "keepdims"}
        else:
            function, allowed = NUMPY_FUNCTIONS.get(ufunc), set()
            if method != "__call__":
                function = None
        if function is None:
            raise UnsupportedFunctionError(unsupported(ufunc, method))
        for option in kwargs.keys() - allowed:
            refused = unknown_option(f"np.{ufunc.__name__} on a Tensor", option, allowed)
            raise UnsupportedFunctionError(refused)
        return function(*inputs, **kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return call_ours(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if self.requires_grad:
            raise GradientLostError(
                f"turning {describe(self)} into an ndarray would lose its gradient:"
                " call .detach() first, or read .data; stack([...]) makes one Tensor of several"
            )
        return np.array(self.data, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        body = np.array2string(self.data, separator=", ", prefix="Tensor(", threshold=50)
        dtype = "" if self.dtype == default_dtype else f", dtype={self.dtype}"
        if self.op is not None:
            extra = f", op={self.op.name}"
        else:
            extra = ", requires_grad=True" if self.requires_grad else ""
        label = f", label={self.label!r}" if self.label else ""
        return f"Tensor({body}{dtype}{extra}{label})"


def set_default_dtype(dtype: DTypeLike) -> None:
    """Set the dtype that Tensors made from Python numbers get; float32 to begin with."""
    global default_dtype
    chosen = np.dtype(dtype)
    if chosen.kind != "f":
        raise DTypeError(f"the default dtype must be floating-point, not {chosen}")
    default_dtype = chosen


# What an op takes as a constant without conversion. None is an absent operand (a bias).
_REAL = frozenset({float, int, bool, ndarray})
_CONSTANTS = _REAL | {type(None)}

# The function that a ufunc's method is.
_FOLDS: dict[tuple[np.ufunc, str], Any] = {
    (np.add, "reduce"): np.sum,
    (np.multiply, "reduce"): np.prod,
    (np.maximum, "reduce"): np.max,
    (np.minimum, "reduce"): np.min,
    (np.add, "accumulate"): np.cumsum,
    (np.multiply, "accumulate"): np.cumprod,
}


def _sequence(lengths: tuple[Any, ...]) -> tuple[int, ...]:
    """The arguments of ``t.reshape(2, 3)`` and of ``t.reshape((2, 3))`` alike."""
    one = len(lengths) == 1 and isinstance(lengths[0], list | tuple)
    return tuple(lengths[0] if one else lengths)


def _as_array(data: Any, dtype: DTypeLike | None = None) -> np.ndarray[Any, Any]:
    if isinstance(data, Node):
        raise DTypeError(f"this is a {type(data).__name__} already; use detach() for a new leaf")
    parts = data if isinstance(data, list | tuple) else (data,)
    given = any(isinstance(part, np.ndarray | np.generic) for part in parts)
    try:
        array = np.asarray(data)
    except TinygradError:
        raise
    except (ValueError, TypeError) as error:
        raise DTypeError(f"a Tensor holds an array of real numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DTypeError(f"a Tensor holds real numbers, not {array.dtype}: {data!r:.60}")
    if dtype is None:
        dtype = array.dtype if given or array.dtype.kind == "b" else default_dtype
    return array.astype(dtype, copy=False)


def _with_arrays(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs with NumPy scalars and lists as arrays; the Python numbers in a list are weak."""
    floats = [x.dtype for x in inputs if isinstance(x, Tensor) and x.dtype.kind == "f"]
    weak = np.result_type(*floats) if floats else None
    return tuple(
        _as_array(x, weak)
        if isinstance(x, list | tuple)
        else np.asarray(x)
        if isinstance(x, np.generic)
        else x
        for x in inputs
    )


def _explained(
    op: Op, operands: list[Any], attrs: dict[str, Any] | None, error: Exception
) -> TinygradError:
    """NumPy's complaint about an op's operands, as ours: which op, which shapes, which module."""
    shapes = " and ".join(
        f"shape {x.shape}" if isinstance(x, np.ndarray) else repr(x) for x in operands
    )
    given = {k: v for k, v in (attrs or {}).items() if v is not op.defaults[k]}
    options = f" with {', '.join(f'{k}={v!r:.40}' for k, v in given.items())}" if given else ""
    scope = mode.get()[1]
    where = f" in {scope}" if scope else ""
    kind = kind_of(error)
    reason = _reason(op, operands, given, error)
    return kind(f"{op.name}{where} cannot take {shapes}{options}: {reason}")


def _reason(op: Op, operands: list[Any], options: dict[str, Any], error: Exception) -> str:
    shapes = [x.shape for x in operands if isinstance(x, np.ndarray)]
    if op.name in {"matmul", "linear"} and len(shapes) >= 2 and all(shapes[:2]):
        left, right = shapes[0], shapes[1]
        inner = right[-1] if op.name == "linear" else right[-2] if len(right) > 1 else right[0]
        if left[-1] != inner:
            return f"the {left[-1]} columns on the left must match the {inner} " + (
                "in_features of the weight" if op.name == "linear" else "rows on the right"
            )
    if op.on_floats is not None and len(shapes) > 1:
        return "shapes broadcast if, from the right, lengths are equal or one of them is 1"
    if op.name == "transpose" and np.size(options["axes"]) == 2:
        first, second = options["axes"]
        return f"it puts all the axes in order; swapaxes({first}, {second}) swaps two"
    return str(error)
