"""What an op is, and the ways to declare one.

An op is a forward for floats, a forward for arrays, and one derivative rule per input. A rule
takes ``(g, y, *inputs, **attrs)``, where ``g`` is ∂L/∂y, and returns ∂L/∂input; it uses operators
and this library's functions only, so the one line serves floats, arrays and graph nodes alike.
What is put together from ops needs no rule: it is a plain function, declared ``composite``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

import numpy as np

from tinygrad_edu.errors import Failure, GradientLostError, OperandError, TinygradError
from tinygrad_edu.graph import Node, mode, plain
from tinygrad_edu.names_elsewhere import wrong_call

Rule = Callable[..., Any]
Function = TypeVar("Function", bound=Callable[..., Any])

# Every op that was declared, by name.
OPS: dict[str, Op] = {}

# Every function that is put together from ops, by name.
COMPOSITES: dict[str, Callable[..., Any]] = {}

# What NumPy's functions are on nodes: np.tanh(tensor) looks itself up here.
NUMPY_FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}


class _SignatureOfOp:
    """What ``inspect.signature`` reads of an op, made when first read: importing makes none."""

    def __get__(self, op: Any, owner: type) -> Any:
        if op is None:
            return None
        signature = op.__dict__["__signature__"] = _signature(op)
        return signature


class Op:
    """An operation with its derivative rules; call it on floats, arrays, Values or Tensors.

    Attributes:
        name: the name it has as a function of this library.
        symbol: what stands for it in a picture.
        on_floats: the forward for Python floats, ``None`` for an op on arrays only.
        on_arrays: the forward for ndarrays; returns ``(y, saved)`` if ``saves``.
        rules: a derivative rule per input; ``None`` where no gradient flows. A variadic op has
            one, which also takes ``i=``, the position of the input.
        variadic: whether the op takes a sequence of inputs, of any length, as one argument.
        saves: whether the forward keeps something for the rules, passed to them as ``saved``.
        definition: the same function in terms of other ops, for a fused op.
        together: all first derivatives at once, on plain numbers, where they share work.
        defaults: the attributes with their default values, in the order of the call.
    """

    __signature__ = _SignatureOfOp()

    def __init__(
        self,
        name: str,
        symbol: str,
        on_floats: Callable[..., float] | None,
        on_arrays: Callable[..., Any],
        rules: tuple[Rule | None, ...],
        *,
        saves: bool = False,
        variadic: bool = False,
        definition: Callable[..., Any] | None = None,
        together: Callable[..., Any] | None = None,
        doc: str | None = None,
    ) -> None:
        self.name, self.symbol = name, symbol
        self.on_floats, self.on_arrays = on_floats, on_arrays
        self.rules, self.saves, self.definition, self.together = rules, saves, definition, together
        self.variadic = variadic
        self.arity = len(rules)
        self.defaults = _defaults(on_arrays, self.arity)
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc
        if saves and definition is None:
            raise OperandError(
                f"{name} saves arrays, which are constants to a second derivative: declare it with"
                " a definition= in terms of other ops as well"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the op: to nodes, recording the result, or to plain numbers and arrays."""
        if len(args) == self.arity and not (kwargs or self.defaults or self.variadic):
            inputs, attrs = args, None
        else:
            inputs, attrs = self.bind(args, kwargs)
        for x in inputs:
            if isinstance(x, Node):
                result = x.apply(self, inputs, attrs)
                if result is NotImplemented:
                    raise OperandError(self.cannot_take(inputs))
                return result
        return self.on_plain(inputs, attrs)

    def rules_for(self, inputs: tuple[Any, ...]) -> tuple[Rule | None, ...]:
        """The derivative rule of each of these inputs."""
        if not self.variadic:
            return self.rules
        rule = self.rules[0]
        return tuple(None if rule is None else partial(rule, i=i) for i in range(len(inputs)))

    def bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
        """Split the arguments of a call into the op's inputs and its attributes."""
        if len(args) < self.arity:
            args, kwargs = self._with_operands_by_name(args, kwargs)
        names = list(self.defaults)
        given = dict(zip(names, args[self.arity :], strict=False))
        if len(args) > self.arity + len(names):
            raise OperandError(wrong_call(self, kwargs, f"{self.name} got {len(args)} arguments"))
        for name in kwargs:
            if name not in self.defaults or name in given:
                raise OperandError(wrong_call(self, kwargs, f"{self.name} got {name} twice"))
        attrs = {**self.defaults, **given, **kwargs}
        for option, value in attrs.items():
            if value is inspect.Parameter.empty:
                raise OperandError(wrong_call(self, kwargs, f"{self.name} needs {option}="))
            if isinstance(value, Node):
                attrs[option] = constant(value, self.name, option)
        return (tuple(args[0]) if self.variadic else args[: self.arity]), attrs or None

    def _with_operands_by_name(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments, with operands that were given by name, or have a default, in place."""
        kwargs = dict(kwargs)
        for operand in list(self.__signature__.parameters.values())[len(args) : self.arity]:
            value = kwargs.pop(operand.name, operand.default)
            if value is inspect.Parameter.empty:
                raise OperandError(wrong_call(self, kwargs, f"{self.name} needs {operand.name}"))
            args = (*args, value)
        return args, kwargs

    def on_plain(self, inputs: tuple[Any, ...], attrs: dict[str, Any] | None) -> Any:
        """The forward for numbers and arrays: nothing is recorded."""
        numbers = self.on_floats is not None and inputs[0].__class__ in PYTHON_NUMBERS
        if numbers and all(x.__class__ in PYTHON_NUMBERS for x in inputs):
            return self.on_python_floats(inputs, attrs)
        result = self.on_arrays(*inputs, **attrs) if attrs else self.on_arrays(*inputs)
        return result[0] if self.saves else result

    def on_python_floats(self, inputs: Any, attrs: dict[str, Any] | None) -> float:
        """The forward for Python floats, with IEEE results where Python raises (1 / 0 is inf)."""
        assert self.on_floats is not None
        try:
            return self.on_floats(*inputs, **attrs) if attrs else self.on_floats(*inputs)
        except (ArithmeticError, ValueError) as error:
            if isinstance(error, TinygradError):
                raise
            return float(self.on_arrays(*map(np.float64, inputs), **(attrs or {})))

    def cannot_take(self, inputs: tuple[Any, ...]) -> str:
        """The message for operands that the op does not take."""
        kinds = " and ".join(type(x).__name__ for x in inputs)
        hint = ""
        if len({type(x) for x in inputs if isinstance(x, Node)}) > 1:
            hint = (
                ": a graph is made of Values or of Tensors; Tensor(v.data) takes the number"
                " out of a Value v"
            )
        return f"{self.name} cannot take {kinds}{hint}"

    def __reduce__(self) -> Any:
        # For copy and pickle: there is one op of a name, in the table.
        return _op_named, (self.name,)

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def elementwise(
    name: str,
    symbol: str,
    on_floats: Callable[..., float],
    on_arrays: Callable[..., Any],
    *rules: Rule | None,
    doc: str | None = None,
) -> Op:
    """Declare an op that acts on each entry, for Values and (with broadcasting) Tensors.

    If ``on_arrays`` is a NumPy function, that function accepts Tensors from then on.

    >>> from tinygrad_edu import Value, elementwise
    >>> cube = elementwise(
    ...     "cube", "^3", lambda x: x**3, lambda x: x**3, lambda g, y, x: g * 3 * x * x
    ... )
    >>> x = Value(2.0)
    >>> cube(x).backward()
    >>> x.grad
    12.0
    """
    is_numpy = isinstance(on_arrays, np.ufunc) or on_arrays.__module__ == "numpy"
    op = Op(name, symbol, on_floats, on_arrays, rules, doc=doc)
    return _registered(op, on_arrays if is_numpy else None)


def primitive(
    *rules: Rule | None,
    symbol: str | None = None,
    saves: bool = False,
    variadic: bool = False,
    definition: Callable[..., Any] | None = None,
    together: Callable[..., Any] | None = None,
    numpy: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Op]:
    """Declare an op on Tensors by decorating its forward, a function of ndarrays.

    The function's first parameters are the op's inputs, one per rule; the others are its
    attributes, which the rules get by name.

    Args:
        rules: a derivative rule per input.
        symbol: what stands for the op in a picture; its name if not given.
        variadic: the op takes a sequence of inputs. The forward gets them as ``*inputs``, before
            attributes that are keyword-only, and the one rule also takes ``i=``.
        saves: the forward returns ``(y, saved)`` and the rules take ``saved``.
        definition: the same function in terms of other ops; required where ``saves``.
        together: ``together(g, y, *inputs, needed, **attrs)``, for arrays, returns what the rules
            do, for each input of which ``needed`` is true; None for another. It is called, for a
            first derivative, where more than one is needed, so that work they share is done once.
        numpy: the NumPy function that is to accept Tensors through this op.
    """

    def declare(forward: Callable[..., Any]) -> Op:
        name = forward.__name__
        op = Op(
            name,
            symbol or name,
            None,
            forward,
            rules,
            saves=saves,
            variadic=variadic,
            definition=definition,
            together=together,
            doc=forward.__doc__,
        )
        return _registered(op, numpy)

    return declare


def composite(
    numpy: Callable[..., Any] | None = None,
) -> Callable[[Function], Function]:
    """Declare a function that is put together from ops, so that NumPy's own accepts Tensors.

    Args:
        numpy: the NumPy function that is to accept Tensors through this one.
    """

    def declare(function: Function) -> Function:
        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except TinygradError as error:
                if error.graph is None:
                    error.graph = _failure(function, args, kwargs)
                    if error.graph.scope:
                        error.args = (f"{error} (in {error.graph.scope})",)
                raise
            except TypeError as error:
                here = error.__traceback__
                if here is None or here.tb_next is not None:
                    raise
                # The function was not even entered: the arguments are not the ones it takes.
                raise OperandError(wrong_call(function, kwargs, str(error))) from None

        COMPOSITES[function.__name__] = called
        if numpy is not None:
            NUMPY_FUNCTIONS[numpy] = called
        return cast(Function, called)

    return declare


def _failure(function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Failure:
    """What a function that is put together from ops was given when it failed."""
    given = inspect.signature(function).bind(*args, **kwargs).arguments
    arrays = {k: x for k, x in given.items() if isinstance(x, Node | np.ndarray)}
    options = {k: x for k, x in given.items() if k not in arrays}
    return Failure(function.__name__, tuple(arrays.values()), options, mode.get()[1])


def constant(value: Any, function: str, option: str) -> Any:
    """What was given for an option, as plain numbers.

    Raises:
        GradientLostError: it requires a gradient, and none flows to this option of ``function``.
    """
    if getattr(value, "requires_grad", False):
        raise GradientLostError(
            f"no gradient flows to the option {option} of {function}: call .detach() on the"
            f" {type(value).__name__} first, or write it with arithmetic"
        )
    return plain(value)


def _op_named(name: str) -> Op:
    return OPS[name]


def _registered(op: Op, numpy: Callable[..., Any] | None) -> Op:
    OPS[op.name] = op
    if numpy is not None:
        NUMPY_FUNCTIONS[numpy] = op
    return op


def _defaults(forward: Callable[..., Any], arity: int) -> dict[str, Any]:
    """The parameters of a forward that come after its inputs, with their default values."""
    if isinstance(forward, np.ufunc):
        return {}
    # A variadic forward's inputs are one parameter too, *inputs.
    parameters = list(_parameters(forward).items())[arity:]
    return dict(parameters)


def _parameters(forward: Callable[..., Any]) -> dict[str, Any]:
    """The names and defaults of a forward's parameters, in their order.

    A Python function is asked directly: ``inspect.signature`` of every op would be a tenth of the
    time that importing takes.
    """
    code = getattr(forward, "__code__", None)
    if code is None:
        return {p.name: p.default for p in inspect.signature(forward).parameters.values()}
    positional = code.co_varnames[: code.co_argcount]
    by_name = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    end = code.co_argcount + code.co_kwonlyargcount
    variadic = code.co_varnames[end : end + 1] if code.co_flags & inspect.CO_VARARGS else ()
    defaults = forward.__defaults__ or ()
    found = dict.fromkeys((*positional, *variadic, *by_name), inspect.Parameter.empty)
    found |= zip(positional[len(positional) - len(defaults) :], defaults, strict=True)
    return found | (forward.__kwdefaults__ or {})


def _signature(op: Op) -> inspect.Signature:
    """What ``help`` shows: the operands, named as in the derivative rules, and the options."""
    rule = next((rule for rule in op.rules if rule is not None), None)
    if op.variadic:
        operands = [next(iter(inspect.signature(op.on_arrays).parameters))]
    elif rule is None:  # and not every ufunc has a signature to ask
        operands = ["x"] if op.arity == 1 else list("abc"[: op.arity])
    else:
        operands = list(inspect.signature(rule).parameters)[2 : 2 + op.arity]
    defaults = dict.fromkeys(operands, inspect.Parameter.empty)
    if op.on_floats is None:  # an operand such as a bias may be left out
        forward = inspect.signature(op.on_arrays).parameters.values()
        defaults |= {name: p.default for name, p in zip(operands, forward, strict=False)}
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            inspect.Parameter(name, kind, default=default)
            for name, default in (*defaults.items(), *op.defaults.items())
        ]
    )


PYTHON_NUMBERS = frozenset({float, int, bool})
