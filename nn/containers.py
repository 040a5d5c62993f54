"""Containers: modules in a row, side by side, around a shortcut, or kept in a list or a dict."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

import tinygrad_edu as tg
from nn.errors import ConfigurationError
from nn.module import Module


class _Container(Module):
    """Modules by name, in order."""

    def __len__(self) -> int:
        return len(self._modules)

    def _arrange(self, modules: Mapping[str, Module]) -> None:
        """Hold these modules, in this order, instead of those it had."""
        for name, module in modules.items():
            self._check(name, module)
        for name in list(self._modules):
            delattr(self, name)
        for name, module in modules.items():
            setattr(self, name, module)

    def _check(self, name: Any, module: Any) -> None:
        kind = type(self).__name__
        if not isinstance(module, Module):
            raise ConfigurationError(
                f"{kind} takes modules; {name!r} is {type(module).__name__}. A function goes in as"
                " a module of its own, such as nn.ReLU() for relu."
            )
        if not isinstance(name, str) or not name or "." in name:
            raise ConfigurationError(
                f"{kind} takes names that are text without dots, which part paths; not {name!r}"
            )
        if hasattr(self, name) and name not in self._modules:
            raise ConfigurationError(
                f"{kind} has an attribute {name!r} of its own: a module needs another name"
            )


class _Row(_Container):
    """Modules by position. One that was given no name goes by its position.

    A subclass says what a slice of it is.
    """

    _of: Callable[[dict[str, Module]], Module]

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns the container."""
        return self.insert(len(self), module)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; returns the container."""
        new = [(None, module) for module in modules]
        return self._number([*self._modules.items(), *new])

    def insert(self, index: int, module: Module) -> Self:
        """Add a module before the one at ``index``; returns the container."""
        if not -len(self) <= index <= len(self):
            raise tg.IndexingError(
                f"this {type(self).__name__} has {len(self)} modules, so none goes in at {index}"
            )
        named: list[tuple[str | None, Module]] = list(self._modules.items())
        named.insert(index, (None, module))
        return self._number(named)

    def pop(self, index: int = -1) -> Module:
        """Take a module out."""
        module = self[index]
        del self[index]
        return module

    def _number(self, modules: Iterable[tuple[str | None, Module]]) -> Self:
        named: dict[str, Module] = {}
        for i, (name, module) in enumerate(modules):
            named[str(i) if name is None or name.isdecimal() else name] = module
        self._arrange(named)
        return self

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> Any: ...

    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return self._of(dict(list(self._modules.items())[index]))
        return self._modules[self._name(index)]

    def __setitem__(self, index: int, module: Module) -> None:
        self._arrange({**self._modules, self._name(index): module})

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        gone = names[index] if isinstance(index, slice) else [self._name(index)]
        self._number([(name, m) for name, m in self._modules.items() if name not in gone])

    def _name(self, index: int) -> str:
        try:
            return list(self._modules)[index]
        except IndexError as error:
            raise tg.IndexingError(
                f"this {type(self).__name__} has {len(self)} modules, so no module {index}"
            ) from error

    def _take(self, modules: tuple[Any, ...]) -> None:
        """Hold the modules of a constructor's arguments, or of the one mapping among them."""
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            self._arrange(modules[0])
        else:
            self._arrange({str(i): module for i, module in enumerate(modules)})


class Sequential(_Row):
    """Modules applied one after the other; backward runs through them in reverse.

    Args:
        modules: modules, named "0", "1", ... in order; or one mapping from name to module. Of no
            modules it is the identity.

    It is a list to be changed: ``model[1] = module``, ``del model[-1]``, ``model.insert(0, ...)``.
    A slice is a Sequential of the same modules, parameters shared: the way to run a smaller stack
    when looking for the module that misbehaves.

    >>> import numpy as np, nn
    >>> model = nn.Sequential(nn.Linear(4, 8, nonlinearity="relu"), nn.ReLU(), nn.Linear(8, 2))
    >>> model[:2](np.ones((5, 4), np.float32)).shape
    (5, 8)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        self._take(modules)

    def forward(self, x: Any) -> Any:
        """Whatever the first module takes, to whatever the last one returns."""
        for module in self:
            x = module(x)
        return x

    def _of(self, modules: dict[str, Module]) -> Sequential:
        return Sequential(modules)


class ModuleList(_Row):
    """A list of modules, for a ``forward`` that goes through them in a way of its own.

    Unlike a plain list, which is kept as a tuple, it can be changed.

    >>> import nn
    >>> heads = nn.ModuleList(nn.Linear(8, n) for n in (2, 3))
    >>> heads.append(nn.Linear(8, 5))[-1].out_features
    5
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        self._take(tuple(modules))

    def _of(self, modules: dict[str, Module]) -> ModuleList:
        return ModuleList(modules.values())


class ModuleDict(_Container):
    """A dict of modules, for a ``forward`` that picks among them by name.

    >>> import nn
    >>> heads = nn.ModuleDict({"cat": nn.Linear(8, 2), "dog": nn.Linear(8, 2)})
    >>> heads["fox"] = nn.Linear(8, 2)
    >>> list(heads)
    ['cat', 'dog', 'fox']
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add modules; one of a name that is known takes the other's place."""
        self._arrange({**self._modules, **modules})

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return self._modules.values()

    def items(self) -> ItemsView[str, Module]:
        """The names with their modules."""
        return self._modules.items()

    def pop(self, name: str) -> Module:
        """Take a module out."""
        module = self[name]
        delattr(self, name)
        return module

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: object) -> bool:
        return name in self._modules

    def __getitem__(self, name: str) -> Module:
        if name not in self._modules:
            raise tg.UnknownNameError("module of this ModuleDict", name, self._modules)
        return self._modules[name]

    def __setitem__(self, name: str, module: Module) -> None:
        self.update({name: module})

    def __delitem__(self, name: str) -> None:
        self.pop(name)


class Residual(Module):
    """y = shortcut(x) + module(x): the module learns what to change.

    Source: He et al., Deep residual learning for image recognition, 2016.

    Args:
        module: the branch.
        shortcut: what makes x fit where the module changes its shape, such as a 1x1 convolution;
            None for x itself.

    Raises:
        ShapeError: the two results differ in shape.

    >>> import nn, numpy as np
    >>> block = nn.Residual(nn.Linear(3, 3))
    >>> block(np.ones((2, 3), np.float32)).shape
    (2, 3)
    """

    def __init__(self, module: Module, shortcut: Module | None = None) -> None:
        for name, part in (("module", module), ("shortcut", shortcut)):
            if not isinstance(part, Module) and (part is not None or name == "module"):
                raise ConfigurationError(
                    f"Residual's {name} must be a module, not {type(part).__name__}"
                )
        self.module, self.shortcut = module, shortcut

    def forward(self, x: Any) -> Any:
        """Whatever both take, to the sum of what they return."""
        straight, changed = x if self.shortcut is None else self.shortcut(x), self.module(x)
        if straight.shape != changed.shape:  # where + might broadcast
            hint = "; a shortcut= can change it" if self.shortcut is None else ""
            raise tg.ShapeError(
                f"{self._in_place()} cannot add its module's {tuple(changed.shape)} to"
                f" {tuple(straight.shape)}{hint}"
            )
        return straight + changed


class Parallel(_Row):
    """Modules side by side, all with the same input; their results become one.

    Source: of concatenated branches, Szegedy et al., Going deeper with convolutions, 2015.

    Args:
        modules: as for ``Sequential``.
        combine: ``"sum"``, ``"mean"`` or ``"concatenate"``.
        axis: along which to concatenate; by default the channels or features.

    Raises:
        ShapeError: the results don't fit together.

    >>> import nn, numpy as np
    >>> branches = nn.Parallel(nn.Linear(3, 2), nn.Linear(3, 5), combine="concatenate")
    >>> branches(np.ones((4, 3), np.float32)).shape
    (4, 7)
    """

    def __init__(
        self, *modules: Module | Mapping[str, Module], combine: str = "sum", axis: int = 1
    ) -> None:
        if combine not in _COMBINATIONS:
            raise tg.UnknownNameError("way to combine in Parallel", combine, _COMBINATIONS)
        self.combine, self.axis = combine, axis
        self._take(modules)

    def forward(self, x: Any) -> Any:
        """Whatever the modules take, to what they return, combined."""
        if not len(self):
            raise ConfigurationError("Parallel has no modules, and so nothing to combine")
        results = [module(x) for module in self]
        shapes = {tuple(y.shape) for y in results}
        if self.combine != "concatenate" and len(shapes) > 1:  # where + might broadcast
            raise tg.ShapeError(
                f"{self._in_place()} takes results of one shape, not"
                f" {' and '.join(map(str, sorted(shapes)))}"
            )
        return _COMBINATIONS[self.combine](results, self.axis)

    def _of(self, modules: dict[str, Module]) -> Parallel:
        return Parallel(modules, combine=self.combine, axis=self.axis)

    def _extra_repr(self) -> str:
        return f"combine={self.combine!r}" + (
            f", axis={self.axis}" if self.combine == "concatenate" else ""
        )


def _sum(results: list[Any], axis: int) -> Any:
    total = results[0]
    for y in results[1:]:
        total = total + y
    return total


_COMBINATIONS: dict[str, Callable[[list[Any], int], Any]] = {
    "sum": _sum,
    "mean": lambda results, axis: _sum(results, axis) / len(results),
    "concatenate": tg.concatenate,
}
