"""Sequential: a model as a chain f_n(... f_2(f_1(x)))."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, overload

import tinygrad_edu as tg
from nn.errors import ConfigurationError
from nn.module import Module


class Sequential(Module):
    """Modules applied one after the other; backward runs through them in reverse.

    Args:
        modules: modules, named "0", "1", ... in order; or one mapping from name to module.

    A slice is a Sequential of the same modules, parameters shared: the way to run a smaller stack
    when looking for the module that misbehaves.

    >>> import numpy as np, nn
    >>> model = nn.Sequential(nn.Linear(4, 8, nonlinearity="relu"), nn.ReLU(), nn.Linear(8, 2))
    >>> model[:2](np.ones((5, 4), np.float32)).shape
    (5, 8)
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named: dict[str, Any] = dict(modules[0])
        else:
            named = {str(i): module for i, module in enumerate(modules)}
        for name, module in named.items():
            if not isinstance(module, Module):
                raise ConfigurationError(
                    f"Sequential takes modules; {name!r} is {type(module).__name__}. A function"
                    " goes in as a module of its own, such as nn.ReLU() for relu."
                )
            setattr(self, name, module)

    def forward(self, x: Any) -> Any:
        """Whatever the first module takes, to whatever the last one returns."""
        for module in self:
            x = module(x)
        return x

    def append(self, module: Module) -> Sequential:
        """Add a module at the end; returns the Sequential."""
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    @overload
    def __getitem__(self, index: int) -> Module: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index: int | slice) -> Module:
        if isinstance(index, slice):
            return Sequential(dict(list(self._modules.items())[index]))
        try:
            return list(self)[index]
        except IndexError as error:
            raise tg.IndexingError(
                f"this Sequential has {len(self)} modules, so no module {index}"
            ) from error
