"""Adam and AdamW: a step size per entry, from running moments of its gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nn.optim.optimizer import Optimizer, _check
from tinygrad_edu import Node


class Adam(Optimizer):
    """θ ← θ - lr m̂ / (√v̂ + eps).

    m ← β₁ m + (1 - β₁) g;  v ← β₂ v + (1 - β₂) g²;  m̂ = m / (1 - β₁ᵗ);  v̂ = v / (1 - β₂ᵗ),
    at step t = 1, 2, ...; ``weight_decay`` adds weight_decay θ to g first.
    Source: Kingma and Ba, 2015, algorithm 1.

    Args:
        parameters: what to change.
        lr: the learning rate.
        betas: β₁ and β₂, each in [0, 1).
        eps: keeps the division finite.
        weight_decay: the factor of an L2 penalty.
    """

    def __init__(
        self,
        parameters: Iterable[Node],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        _check("the first of betas", betas[0], 0, 1)
        _check("the second of betas", betas[1], 0, 1)
        _check("eps", eps, 0, float("inf"))
        _check("weight_decay", weight_decay, 0, float("inf"))
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay

    def update(self, p: Node, gradient: Any) -> Any:
        """lr m̂ / (√v̂ + eps)."""
        if self.weight_decay:
            gradient = gradient + self.weight_decay * p.data
        return self.lr * self.direction(p, gradient)

    def direction(self, p: Node, g: Any) -> Any:
        """m̂ / (√v̂ + eps), having taken g into the moments of ``p``."""
        beta1, beta2 = self.betas
        t, m, v = self.state.get(p, (0, 0.0, 0.0))
        t, m, v = t + 1, beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        self.state[p] = t, m, v
        return (m / (1 - beta1**t)) / ((v / (1 - beta2**t)) ** 0.5 + self.eps)


class AdamW(Adam):
    """θ ← θ - lr (m̂ / (√v̂ + eps) + weight_decay θ): Adam with the decay outside of the moments.

    Source: Loshchilov and Hutter, 2019, algorithm 2. Arguments as for ``Adam``, with a
    ``weight_decay`` of 0.01.
    """

    def __init__(
        self,
        parameters: Iterable[Node],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def update(self, p: Node, gradient: Any) -> Any:
        """lr (m̂ / (√v̂ + eps) + weight_decay θ)."""
        return self.lr * (self.direction(p, gradient) + self.weight_decay * p.data)
