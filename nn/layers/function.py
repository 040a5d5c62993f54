"""Function: a function as a module, for Sequential and for printouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from nn.module import Module


@dataclass_transform(eq_default=False)
class Function(Module):
    """A module that is a function of its inputs, with the function's options as its attributes.

    A subclass names the function in ``of=`` and annotates its options, in PyTorch's order: they
    are the arguments of its constructor, as of a dataclass, and what its printout shows.

    Attributes:
        function: what ``forward`` calls, with the options by name.

    >>> import tinygrad_edu as tg
    >>> class Clip(Function, of=tg.hardtanh):
    ...     min_val: float = -1.0
    >>> Clip(-2.0), Clip(-2.0)([-3.0, 0.5]).tolist()
    (Clip(min_val=-2.0), [-2.0, 0.5])
    """

    function: ClassVar[Callable[..., Any]]
    _names: ClassVar[tuple[str, ...]]  # of the options

    def __init_subclass__(cls, of: Callable[..., Any] | None = None) -> None:
        if of is not None:
            cls.function = of
        dataclass(eq=False, repr=False)(cls)
        cls._names = tuple(option.name for option in fields(cls))  # type: ignore[arg-type]

    def forward(self, *inputs: Any) -> Any:
        """The inputs of the function, to what it returns."""
        return type(self).function(*inputs, **self._options())

    def is_like(self, other: Function) -> bool:
        """Whether the other is the same function with the same options."""
        return type(self) is type(other) and self._options() == other._options()

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}

    def _extra_repr(self) -> str:
        return ", ".join(f"{name}={_brief(x)}" for name, x in self._options().items())


def _brief(x: Any) -> str:
    shape = np.shape(x)
    return repr(x) if not shape else f"<{' × '.join(map(str, shape))}>"
