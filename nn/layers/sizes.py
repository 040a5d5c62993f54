"""Layers that learn their input size from the first batch."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import tinygrad_edu as tg
from nn.errors import ConfigurationError
from nn.module import Module


class Lazy(Module):
    """A layer without its input size, which it takes from the first batch that it is called on.

    It then becomes one of the ordinary class. Before that it has no parameters to ask for.
    """

    _make: partial[Any]
    _axis: int

    def _wait(self, make: partial[Any], axis: int) -> None:
        """Become ``make(size)`` at the first call, with the length of that axis of its input."""
        self._make, self._axis = make, axis

    def forward(self, x: Any) -> Any:
        """As the ordinary class, which this module is from now on."""
        if not -len(x.shape) <= self._axis < len(x.shape):
            raise tg.ShapeError(
                f"{self._in_place()} takes its size from axis {self._axis} of x, and x has shape"
                f" {tuple(x.shape)}"
            )
        ordinary = self._make(x.shape[self._axis]).train(self.training)
        y = ordinary.forward(x)  # or an error, and this module stays as it is
        hooks = self._hooks
        self.__dict__.clear()
        self.__dict__.update(vars(ordinary), _hooks=hooks)
        self.__class__ = type(ordinary)
        return y

    def _check_made(self, path: str) -> None:
        raise ConfigurationError(
            f"{type(self).__name__}{f' at {path}' if path else ''} has no parameters until it has"
            " seen the size of its input: run one batch through the model first, or model.summary"
        )

    def _extra_repr(self) -> str:
        defaults = inspect.signature(self._make.func).parameters
        options = self._make.keywords.items()
        return ", ".join(f"{k}={v!r}" for k, v in options if v != defaults[k].default)
