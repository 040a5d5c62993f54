"""Module: what every neuron, layer and model is. It knows its parameters and its submodules.

While a module runs, its path in the model ("features.0.conv") is the scope of the graph, so that
every node it makes can be told to be its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Self

import numpy as np

from nn.errors import StateDictError
from tinygrad_edu import Node, Tensor, Value, mark_changed
from tinygrad_edu.graph import mode

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

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
        # Here rather than in __init__, so that a subclass that forgets super().__init__() works.
        module = super().__new__(cls)
        module.__dict__.update(training=True, _parameters={}, _modules={})
        return module

    def __setattr__(self, name: str, value: Any) -> None:
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

    def _register(self, name: str, value: Any) -> None:
        if isinstance(value, Module):
            self._modules[name] = value
        elif _is_parameter(value):
            self._parameters[name] = value
            value.label = value.label or name

    def _forget(self, name: str) -> None:
        for registry in (self._parameters, self._modules):
            if name in registry or f"{name}.0" in registry:
                for key in [k for k in registry if k == name or k.startswith(f"{name}.")]:
                    del registry[key]

    def forward(self, *inputs: Any) -> Any:
        """What the module computes; each subclass writes its own."""
        raise TypeError(f"{type(self).__name__} has no forward(): a Module's subclass defines it")

    def __call__(self, *inputs: Any) -> Any:
        """Run ``forward`` with this module's path as the scope of the graph."""
        paths, records, outer = _paths.get(), *mode.get()
        if paths is None:  # this is the model itself
            token = _paths.set({module: path for path, module in self.named_modules()})
            try:
                return self.forward(*inputs)
            finally:
                _paths.reset(token)
        path = paths.get(self)
        if path is None:  # a module that no attribute of the model holds
            path = f"{outer}.{type(self).__name__}".lstrip(".")
        scope = mode.set((records, path))
        try:
            return self.forward(*inputs)
        finally:
            mode.reset(scope)

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
            children = [(_join(path, name), child) for name, child in module._modules.items()]
            stack.extend(reversed(children))

    def named_parameters(self) -> Iterator[tuple[str, Node]]:
        """The path and node of every parameter; a shared parameter comes once."""
        seen: set[Node] = set()
        for path, module in self.named_modules():
            for name, parameter in module._parameters.items():
                if parameter not in seen:
                    seen.add(parameter)
                    yield _join(path, name), parameter

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

    # In and out.

    def state_dict(self) -> dict[str, Array]:
        """A copy of every parameter's data, by path."""
        return {path: np.array(parameter.data) for path, parameter in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set every parameter's data from ``state``, keeping each parameter's dtype.

        Raises:
            StateDictError: names are missing or unexpected, shapes differ, or data are no real
                numbers; all are listed, and nothing was loaded.
        """
        own = dict(self.named_parameters())
        given = {n: np.asarray(x.data if isinstance(x, Node) else x) for n, x in state.items()}
        missing = [name for name in own if name not in given]
        unexpected = [name for name in given if name not in own]
        mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...] | str]] = {}
        for name in own.keys() & given.keys():
            want, got = np.shape(own[name].data), given[name]
            if got.dtype.kind not in "biuf":
                mismatched[name] = (want, str(got.dtype))
            elif got.shape != want:
                mismatched[name] = (want, got.shape)
        if missing or unexpected or mismatched:
            raise StateDictError(missing, unexpected, mismatched)
        for name, parameter in own.items():
            if isinstance(parameter, Value):
                parameter.data = float(given[name])
            else:
                parameter.data = given[name].astype(parameter.data.dtype)
            mark_changed(parameter)

    # On paper.

    def _extra_repr(self) -> str:
        """What stands between the parentheses of the printout."""
        return ""

    def __repr__(self) -> str:
        body = self._describe()
        if not self._modules:
            return body
        return f"{body}\n{_count(self.parameters()):,} parameters"

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


def _is_parameter(value: Any) -> bool:
    return isinstance(value, Parameter) or (
        isinstance(value, Node) and value.is_leaf and value.requires_grad
    )


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
