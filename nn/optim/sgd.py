"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nn.errors import ConfigurationError
from nn.optim.optimizer import Optimizer, _check
from tinygrad_edu import Node


class SGD(Optimizer):
    """θ ← θ - lr d, where d is the gradient g, or with momentum μ the velocity v.

    g ← g + weight_decay θ;  v ← μ v + g (v starts as g);  d = v, or g + μ v with ``nesterov``.

    Args:
        parameters: what to change.
        lr: the learning rate.
        momentum: μ, in [0, 1).
        weight_decay: the factor of an L2 penalty ½ weight_decay ‖θ‖².
        nesterov: look ahead along the velocity. Source: Sutskever et al., 2013.
    """

    def __init__(
        self,
        parameters: Iterable[Node],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        _check("momentum", momentum, 0, 1)
        _check("weight_decay", weight_decay, 0, float("inf"))
        if nesterov and not momentum:
            raise ConfigurationError("Nesterov's SGD needs momentum > 0, such as momentum=0.9")
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov

    def update(self, p: Node, gradient: Any) -> Any:
        """lr d."""
        g = gradient + self.weight_decay * p.data if self.weight_decay else gradient
        if not self.momentum:
            return self.lr * g
        velocity = self.momentum * self.state[p] + g if p in self.state else g
        self.state[p] = velocity
        return self.lr * (g + self.momentum * velocity if self.nesterov else velocity)
