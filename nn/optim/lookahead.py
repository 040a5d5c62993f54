"""Lookahead: slow weights that follow the fast ones of another optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nn.errors import ConfigurationError, StateDictError
from nn.optim.optimizer import Optimizer, as_state, assign
from nn.optim.state import check_names, flatten
from tinygrad_edu import Node


class Lookahead(Optimizer):
    """Every k steps of ``optimizer``: φ ← φ + alpha (θ - φ), and θ goes on from φ.

    The groups and the state are those of ``optimizer``, so a schedule may be of either.
    Source: Zhang et al., 2019, algorithm 1.

    Args:
        optimizer: makes the steps of the fast weights θ.
        k: after how many of them the slow weights φ follow.
        alpha: how far, in (0, 1].

    >>> import nn
    >>> model = nn.Linear(3, 1)
    >>> optimizer = nn.optim.Lookahead(nn.optim.Adam(model.parameters()), k=5)
    >>> schedule = nn.optim.CosineAnnealingLR(optimizer, T_max=100)
    """

    def __init__(self, optimizer: Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ConfigurationError(
                f"Lookahead wraps an optimizer, not {type(optimizer).__name__}:"
                " Lookahead(SGD(model.parameters()))"
            )
        if not isinstance(k, int) or k < 1:
            raise ConfigurationError(f"Lookahead's k must be a positive integer, not {k!r}")
        if not 0 < alpha <= 1:
            raise ConfigurationError(f"Lookahead's alpha must be in (0, 1], not {alpha!r}")
        self.optimizer, self.k, self.alpha = optimizer, k, alpha
        self.defaults, self.state = optimizer.defaults, optimizer.state
        self.param_groups = optimizer.param_groups
        self._steps = 0
        self._slow: dict[Node, Any] = {}

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add a group to ``optimizer``."""
        self.optimizer.add_param_group(group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """A step of ``optimizer``, and every k-th time one of the slow weights."""
        for p in self.parameters:
            if p not in self._slow:
                self._slow[p] = as_state(p, p.data)
        loss = self.optimizer.step(closure)
        self._steps += 1
        if self._steps % self.k == 0:
            for p in self.parameters:
                if p.requires_grad:
                    slow = self._slow[p]
                    slow += self.alpha * (p.data - slow)
                    self._slow[p] = slow
                    assign(p, slow)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """What ``optimizer`` has, the slow weights, and the steps so far."""
        slow = {i: self._slow[p] for i, p in enumerate(self.parameters) if p in self._slow}
        own = {"steps": self._steps, "slow": slow}
        return self.optimizer.state_dict() | flatten({"lookahead": own})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` returned; see ``Optimizer.load_state_dict``."""
        own = {name: value for name, value in state.items() if name.startswith("lookahead.")}
        slow = {f"lookahead.slow.{i}": p for i, p in enumerate(self.parameters)}
        slow = {name: p for name, p in slow.items() if name in own}  # none before the first step
        check_names("Lookahead", ["lookahead.steps", *slow], own)
        mismatched: dict[str, Any] = {
            name: (np.shape(p.data), np.shape(own[name]))
            for name, p in slow.items()
            if np.shape(p.data) != np.shape(own[name])
        }
        if mismatched:
            raise StateDictError([], [], mismatched, "Lookahead")
        self.optimizer.load_state_dict({n: value for n, value in state.items() if n not in own})
        self._steps = own["lookahead.steps"]
        self._slow = {p: as_state(p, own[name]) for name, p in slow.items()}

    def __repr__(self) -> str:
        return f"Lookahead(k={self.k}, alpha={self.alpha}) of {self.optimizer!r}"
