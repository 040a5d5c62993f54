"""Steps along the gradient itself: stochastic gradient descent, and the sign descent of Lion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nn.errors import ConfigurationError
from nn.optim.optimizer import Betas, Optimizer, Params, State, moving_average
from tinygrad_edu import sign


class SGD(Optimizer):
    """θ ← θ - lr d, where d is the gradient g, or with momentum μ the velocity v.

    g ← g + weight_decay θ;  v ← μ v + (1 - dampening) g, where v starts as g;  d = v, or g + μ v
    with ``nesterov``. Source: Sutskever et al., 2013.

    Args:
        params: what to change; see ``Optimizer``.
        lr: the learning rate.
        momentum: μ, in [0, 1).
        dampening: in [0, 1).
        weight_decay: the factor of an L2 penalty ½ weight_decay ‖θ‖².
        nesterov: look ahead along the velocity.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def check(self, options: Mapping[str, Any]) -> None:
        """Nesterov's look ahead is along a velocity that is not dampened."""
        super().check(options)
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            raise ConfigurationError(
                "Nesterov's SGD needs momentum > 0, such as momentum=0.9, and dampening=0"
            )

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
    ) -> Any:
        """θ - lr d."""
        if weight_decay:
            g = g + weight_decay * x
        if momentum:
            v = state.get("momentum_buffer")
            if v is None:
                v = 1.0 * g  # a copy
            else:
                v *= momentum
                v += (1 - dampening) * g if dampening else g
            state["momentum_buffer"] = v
            g = g + momentum * v if nesterov else v
        x -= lr * g
        return x

    def update_by_loop(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
    ) -> bool:
        """After the first step, when there is a velocity."""
        from nn.optim import compiled

        v = state.get("momentum_buffer")
        if momentum and v is None:
            return False
        if momentum:
            numbers = map(x.dtype.type, (lr, momentum, 1 - dampening, weight_decay))
            compiled.sgd_with_momentum(x, g, v, nesterov, tuple(numbers))
        else:
            compiled.sgd(x, g, tuple(map(x.dtype.type, (lr, weight_decay))))
        return True


class Lion(Optimizer):
    """θ ← θ - lr (sign(c) + weight_decay θ), with c = β₁ m + (1 - β₁) g.

    Then m ← β₂ m + (1 - β₂) g. Every entry moves by lr, whatever its gradient's size, so a good lr
    is a third to a tenth of Adam's, and a good weight_decay as many times larger.
    Source: Chen et al., 2023, algorithm 2.

    Args:
        params: what to change; see ``Optimizer``.
        lr: the learning rate.
        betas: β₁ and β₂, each in [0, 1).
        weight_decay: the share of θ that decays, per lr.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-4,
        betas: Betas = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        betas: Betas,
        weight_decay: float,
    ) -> Any:
        """θ - lr (sign(c) + weight_decay θ)."""
        beta1, beta2 = betas
        c = beta1 * state.get("exp_avg", 0.0) + (1 - beta1) * g
        x *= 1 - lr * weight_decay
        x -= lr * sign(c)
        moving_average(state, "exp_avg", beta2, g)
        return x
