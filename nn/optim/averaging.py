"""An average of the weights over training, which often does better than the last weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from nn.errors import ConfigurationError, StateDictError, TrainingError
from nn.module import Module
from nn.optim.optimizer import as_state, assign
from nn.optim.state import check_names


class EMA:
    """The exponential moving average of a model's parameters: φ ← decay φ + (1 - decay) θ.

    It starts as the weights there are. Buffers, such as a running mean, are the model's own: they
    are averages already. Source: Polyak and Juditsky, 1992; Tarvainen and Valpola, 2017.

    Args:
        model: whose parameters to average.
        decay: in [0, 1); about 1 / (1 - decay) steps count.

    Attributes:
        averages: φ by the path of the parameter.
        updates: how often ``update`` was called.

    >>> import nn
    >>> model = nn.Linear(2, 1)
    >>> ema = nn.optim.EMA(model, decay=0.99)
    >>> model.bias.data += 1  # training
    >>> ema.update()
    >>> with ema.applied():
    ...     print(model.bias.data)
    [0.01]
    >>> model.bias.data
    array([1.], dtype=float32)
    """

    def __init__(self, model: Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ConfigurationError(f"EMA's decay must be in [0, 1), not {decay!r}")
        self.model, self.decay = model, decay
        self.averages = {path: as_state(p, p.data) for path, p in model.named_parameters()}
        self.updates = 0
        self._applied = False

    def update(self) -> None:
        """Take the weights of now into the average: after every ``optimizer.step()``."""
        self._check_not_applied()
        for path, p in self.model.named_parameters():
            average = self.averages[path]
            average += (1 - self.decay) * (p.data - average)
            self.averages[path] = average
        self.updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within it the model has the averaged weights; after it, its own again."""
        self._check_not_applied()
        parameters = list(self.model.named_parameters())
        own = [np.copy(p.data) for _, p in parameters]
        try:
            self._applied = True
            for path, p in parameters:
                assign(p, self.averages[path])
            yield
        finally:
            for (_, p), data in zip(parameters, own, strict=True):
                assign(p, data)
            self._applied = False

    def _check_not_applied(self) -> None:
        if self._applied:
            raise TrainingError("the model has the averaged weights now: leave applied() first")

    def state_dict(self) -> dict[str, Any]:
        """The averages, copied, by the path of the parameter, and the number of updates."""
        averages = {f"averages.{path}": np.array(x) for path, x in self.averages.items()}
        return {"updates": self.updates, **averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned.

        Raises:
            StateDictError: it is that of another model. Nothing was loaded.
        """
        parameters = {f"averages.{path}": p for path, p in self.model.named_parameters()}
        check_names("EMA", ["updates", *parameters], state)
        mismatched: dict[str, Any] = {
            name: (np.shape(p.data), np.shape(state[name]))
            for name, p in parameters.items()
            if np.shape(state[name]) != np.shape(p.data)
        }
        if mismatched:
            raise StateDictError([], [], mismatched, "EMA")
        self.averages = {
            name.removeprefix("averages."): as_state(p, state[name])
            for name, p in parameters.items()
        }
        self.updates = state["updates"]
