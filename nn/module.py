"""Module: what every neuron, layer and model is. It knows its parameters and its submodules.

While a module runs, its path in the model ("features.0.conv") is the scope of the graph, so that
every node it makes can be told to be its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import DTypeLike

from nn.errors import ConfigurationError, StateDictError
from nn.hooks import Hooks, Remove
from tinygrad_edu import Node, Tensor, UnknownNameError, Value, mark_changed
from tinygrad_edu.graph import mode, plain

if TYPE_CHECKING:
    from nn.summary import Summary

Array = np.ndarray[Any, Any]


class Parameter(Tensor):
    """A Tensor that a model learns. It holds a copy of the data, and requires a gradient.

    Any leaf that requires a gradient is registered when it is set as a module's attribute; a
    Parameter is so even while it is frozen with ``requires_grad=False``.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True, label: str = "") -> None:
        super().__init__(data, requires_grad, label)
        self.data = self.data.copy()


# The path of every module of the model that is running, from the module that was called first.
_paths: ContextVar[dict[Module, str] | None] = ContextVar("nn.paths", default=None)


class Module:
    """The base of neurons, layers and models.

    Subclasses set parameters and submodules as attributes, and write ``forward``. A list or tuple
    of modules, or of parameters, is registered too, and kept as a tuple.

    >>> import nn
    >>> class Gate(nn.Module):
    ...     def __init__(self):
    ...         self.linear = nn.Linear(3, 1, nonlinearity="sigmoid")
    ...     def forward(self, x):
    ...         return self.linear(x).sigmoid()
    >>> [name for name, _ in Gate().named_parameters()]
    ['linear.weight', 'linear.bias']
    """

    training: bool
    _parameters: dict[str, Node]
    _modules: dict[str, Module]
    _buffers: list[str]
    _hooks: Hooks | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
        # Here rather than in __init__, so that a subclass that forgets super().__init__() works.
        module = super().__new__(cls)
        module.__dict__.update(training=True, _parameters={}, _modules={}, _buffers=[], _hooks=None)
        return module

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._buffers:
            value = np.asarray(value)
            object.__setattr__(self, name, value)
            return
        # One of the same kind takes the other's place: Sequential runs its modules in their order.
        if isinstance(value, Module):
            replaces = name in self._modules
        else:
            replaces = name in self._parameters and _is_parameter(value)
        if not replaces:
            self._forget(name)
        if isinstance(value, list | tuple) and value:
            registered = all(isinstance(v, Module) or _is_parameter(v) for v in value)
            if registered:
                for i, part in enumerate(value):
                    self._register(f"{name}.{i}", part)
                value = tuple(value)
        else:
            self._register(name, value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._forget(name)
        object.__delattr__(self, name)

    def register_buffer(self, name: str, value: Any) -> None:
        """Keep an array that is part of the model's state and is not learned: a running mean.

        It is an attribute like any other, and setting it again keeps it a buffer. ``state_dict``
        holds it and ``to`` casts it. The array is copied.
        """
        if hasattr(self, name):
            raise ConfigurationError(
                f"{type(self).__name__} has an attribute {name!r} already: a buffer needs a name of"
                " its own"
            )
        self._buffers.append(name)
        object.__setattr__(self, name, np.array(value))

    def _register(self, name: str, value: Any) -> None:
        if isinstance(value, Module):
            self._modules[name] = value
        elif _is_parameter(value):
            self._parameters[name] = value
            value.label = value.label or name

    def _forget(self, name: str) -> None:
        if name in self._buffers:
            self._buffers.remove(name)
        for registry in (self._parameters, self._modules):
            if name in registry or f"{name}.0" in registry:
                for key in [k for k in registry if k == name or k.startswith(f"{name}.")]:
                    del registry[key]

    def forward(self, *inputs: Any) -> Any:
        """What the module computes; each subclass writes its own."""
        raise TypeError(f"{type(self).__name__} has no forward(): a Module's subclass defines it")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run ``forward`` with this module's path as the scope of the graph."""
        run = self.forward if self._hooks is None else self._hooks.around(self)
        paths = _paths.get()
        records, outer = mode.get()
        if paths is None:  # this is the model itself
            token = _paths.set({module: path for path, module in self.named_modules()})
            try:
                return run(*inputs, **options)
            finally:
                _paths.reset(token)
        path = paths.get(self)
        if path is None:  # a module that no attribute of the model holds
            path = f"{outer}.{type(self).__name__}".lstrip(".")
        scope = mode.set((records, path))
        try:
            return run(*inputs, **options)
        finally:
            mode.reset(scope)

    def register_forward_pre_hook(self, hook: Callable[..., Any]) -> Remove:
        """Have ``hook(module, inputs)`` called before ``forward``.

        What it returns, unless None, takes the place of the inputs.

        Returns:
            A function that removes the hook.
        """
        return self._own_hooks().add(self._own_hooks().before, hook)

    def register_forward_hook(self, hook: Callable[..., Any]) -> Remove:
        """Have ``hook(module, inputs, output)`` called after ``forward``.

        What it returns, unless None, takes the place of the output.

        >>> import nn, numpy as np
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
        >>> remove = model[1].register_forward_hook(lambda module, x, y: print(y.shape))
        >>> _ = model(np.ones((2, 3), np.float32))
        (2, 4)
        >>> remove()
        """
        return self._own_hooks().add(self._own_hooks().after, hook)

    def register_full_backward_hook(self, hook: Callable[..., Any]) -> Remove:
        """Have ``hook(module, grad_inputs, grad_outputs)`` called in backward.

        It gets two tuples of ∂L/∂input and ∂L/∂output, with None where no gradient flows, once
        all of the module's inputs have their gradients.
        """
        return self._own_hooks().add(self._own_hooks().backward, hook)

    def _own_hooks(self) -> Hooks:
        if self._hooks is None:
            object.__setattr__(self, "_hooks", Hooks())
        assert self._hooks is not None
        return self._hooks

    # What is in it.

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """The path and module of this module and all below it; a shared module comes once."""
        seen: set[Module] = set()
        stack: list[tuple[str, Module]] = [("", self)]
        while stack:
            path, module = stack.pop()
            if module in seen:
                continue
            seen.add(module)
            yield path, module
            if module._modules:
                children = [(_join(path, name), child) for name, child in module._modules.items()]
                stack.extend(reversed(children))

    def named_parameters(self) -> Iterator[tuple[str, Node]]:
        """The path and node of every parameter; a shared parameter comes once."""
        seen: set[Node] = set()
        for path, module in self.named_modules():
            module._check_made(path)
            for name, parameter in module._parameters.items():
                if parameter not in seen:
                    seen.add(parameter)
                    yield _join(path, name), parameter

    def _check_made(self, path: str) -> None:
        """Raise if this module, at that path, has yet to make its parameters, as a lazy layer."""

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """The path and array of every buffer."""
        for path, module in self.named_modules():
            for name in module._buffers:
                yield _join(path, name), getattr(module, name)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The name and module of everything directly in this one."""
        return iter(self._modules.items())

    def children(self) -> Iterator[Module]:
        """What is directly in this module."""
        return iter(self._modules.values())

    def get_submodule(self, path: str) -> Module:
        """The module at a path such as ``"features.0"``.

        Raises:
            UnknownNameError: there is none.
        """
        found = dict(self.named_modules())
        if path not in found:
            raise UnknownNameError("module path", path, found)
        return found[path]

    def parameters(self) -> list[Any]:
        """Every parameter once: what an optimizer takes."""
        return [parameter for _, parameter in self.named_parameters()]

    def zero_grad(self) -> None:
        """Clear the gradient of every parameter."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def train(self, mode: bool = True) -> Self:
        """Have dropout and the like behave as in training; returns the module."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Have dropout and the like behave as in use; returns the module."""
        return self.train(False)

    def apply(self, f: Callable[[Module], Any]) -> Self:
        """Call ``f`` on every module below this one and then on it itself, inner ones first."""
        for module in reversed(list(self.modules())):
            f(module)
        return self

    def freeze(self) -> Self:
        """Have no parameter here learn: none requires a gradient any more."""
        return self._require_gradients(False)

    def unfreeze(self) -> Self:
        """Have every parameter here learn again."""
        return self._require_gradients(True)

    def _require_gradients(self, required: bool) -> Self:
        for parameter in self.parameters():
            parameter.requires_grad = required
        return self

    def to(self, dtype: DTypeLike) -> Self:
        """Cast every parameter and every buffer of floats; returns the module. Values stay."""
        for parameter in self.parameters():
            if isinstance(parameter, Tensor) and parameter.data.dtype.kind == "f":
                parameter.data = parameter.data.astype(dtype)
                parameter.zero_grad()
                mark_changed(parameter)
        for module in self.modules():
            for name in module._buffers:
                buffer = getattr(module, name)
                if buffer.dtype.kind == "f":
                    setattr(module, name, buffer.astype(dtype))
        return self

    # In and out.

    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter's data and of every buffer, by path."""
        parameters = {path: np.array(p.data) for path, p in self.named_parameters()}
        return parameters | {path: np.array(b) for path, b in self.named_buffers()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Set every parameter's data and every buffer from ``state``, keeping each one's dtype.

        Args:
            state: as ``state_dict`` returns it; Tensors will do for arrays.
            strict: whether names that are missing or unexpected are errors, or left alone.

        Raises:
            StateDictError: names are missing or unexpected, shapes differ, or data are no real
                numbers; all are listed, and nothing was loaded.
        """
        own: dict[str, Any] = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        given = {n: np.asarray(x.data if isinstance(x, Node) else x) for n, x in state.items()}
        missing = [name for name in own if name not in given] if strict else []
        unexpected = [name for name in given if name not in own] if strict else []
        mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...] | str]] = {}
        for name in [name for name in own if name in given]:
            want, got = np.shape(plain(own[name])), given[name]
            if got.dtype.kind not in "biuf":
                mismatched[name] = (want, str(got.dtype))
            elif got.shape != want:
                mismatched[name] = (want, got.shape)
        if missing or unexpected or mismatched:
            raise StateDictError(missing, unexpected, mismatched)
        for name, target in own.items():
            if name in given:
                _fill(target, given[name])

    def __getstate__(self) -> dict[str, Any]:
        # For copy and pickle. Hooks look at this very module.
        return {**self.__dict__, "_hooks": None}

    # On paper.

    def summary(self, *input_shapes: tuple[int, ...], dtype: DTypeLike = np.float32) -> Summary:
        """A table of all modules: output shapes, parameters, multiply-adds and memory.

        Args:
            input_shapes: the shape of each input, batch included.
            dtype: of the inputs.

        >>> import nn
        >>> nn.Sequential(nn.Linear(3, 4), nn.ReLU()).summary((1, 3)).parameters
        16
        """
        from nn.summary import summarize

        return summarize(self, *input_shapes, dtype=dtype)

    def _extra_repr(self) -> str:
        """What stands between the parentheses of the printout."""
        return ""

    def _in_place(self) -> str:
        """This module and its path in the model that is running: the subject of an error."""
        scope = mode.get()[1]
        return f"{type(self).__name__}({self._extra_repr()}){f' in {scope}' if scope else ''}"

    def __repr__(self) -> str:
        body = self._describe()
        if not self._modules:
            return body
        known = {p for module in self.modules() for p in module._parameters.values()}
        return f"{body}\n{_count(known):,} parameters"

    def _describe(self) -> str:
        head = f"{type(self).__name__}({self._extra_repr()}"
        shapes = ", ".join(
            f"{name} {tuple(np.shape(p.data))}" for name, p in self._parameters.items()
        )
        own = f"  {shapes}: {_count(self._parameters.values()):,}" if shapes else ""
        if not self._modules:
            return f"{head}){own}"
        lines = [
            f"  ({first if first == last else f'{first} to {last}'}): {text}".replace("\n", "\n  ")
            for first, last, text in _runs(self._modules)
        ]
        return "\n".join([f"{head}{own}", *lines, ")"])


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Within it every module is in ``eval`` mode; after it, in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _is_parameter(value: Any) -> bool:
    return isinstance(value, Parameter) or (
        isinstance(value, Node) and value.is_leaf and value.requires_grad
    )


def _fill(target: Any, data: Array) -> None:
    """Set a parameter or a buffer in place of what it holds."""
    if isinstance(target, Value):
        target.data = float(data)
    elif isinstance(target, Tensor):
        target.data = data.astype(target.data.dtype)
    else:
        target[...] = data
    if isinstance(target, Node):
        mark_changed(target)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _count(parameters: Any) -> int:
    return sum(int(np.size(p.data)) for p in parameters)


def _runs(modules: dict[str, Module]) -> list[tuple[str, str, str]]:
    """First name, last name and printout of each run of children that print alike."""
    runs: list[tuple[str, str, str]] = []
    for name, module in modules.items():
        text = module._describe()
        if (
            runs
            and runs[-1][2] == text
            and name.rpartition(".")[0] == runs[-1][1].rpartition(".")[0]
        ):
            runs[-1] = (runs[-1][0], name, text)
        else:
            runs.append((name, name, text))
    return runs
