"""Steps divided by the size of past gradients: Adagrad, and those that forget old ones."""

from __future__ import annotations

from typing import Any

from nn.optim.optimizer import Optimizer, Params, State, moving_average
from tinygrad_edu import maximum, sqrt


class Adagrad(Optimizer):
    """θ ← θ - lrₜ g / (√s + eps), with s ← s + g² and lrₜ = lr / (1 + (t - 1) lr_decay).

    Source: Duchi et al., 2011, figure 1.

    Args:
        params: what to change; see ``Optimizer``.
        lr: the learning rate.
        lr_decay: how it falls with the step t = 1, 2, ...
        weight_decay: the factor of an L2 penalty, which adds weight_decay θ to g.
        initial_accumulator_value: what s starts from.
        eps: keeps the division finite.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        lr_decay: float,
        weight_decay: float,
        initial_accumulator_value: float,
        eps: float,
    ) -> Any:
        """θ - lrₜ g / (√s + eps)."""
        if weight_decay:
            g = g + weight_decay * x
        t = state["step"] = state.get("step", 0) + 1
        s = state.get("sum", initial_accumulator_value)
        s += g * g
        state["sum"] = s
        scale = sqrt(s)
        scale += eps
        x -= lr / (1 + (t - 1) * lr_decay) * g / scale
        return x


class RMSprop(Optimizer):
    """θ ← θ - lr g / (√v + eps), with v ← alpha v + (1 - alpha) g².

    With ``centered``, v less the square of a like mean of g: its variance. With ``momentum`` μ, the
    step is lr b, with b ← μ b + g / (√v + eps). Source: Tieleman and Hinton, 2012, lecture 6.5;
    centered: Graves, 2013, section 4.

    Args:
        params: what to change; see ``Optimizer``.
        lr: the learning rate.
        alpha: how slowly v forgets, in [0, 1).
        eps: keeps the division finite.
        weight_decay: the factor of an L2 penalty, which adds weight_decay θ to g.
        momentum: μ, in [0, 1).
        centered: divide by the deviation of the gradient.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
    ) -> Any:
        """θ - lr g / (√v + eps), or θ - lr b."""
        if weight_decay:
            g = g + weight_decay * x
        v = moving_average(state, "square_avg", alpha, g * g)
        if centered:
            mean = moving_average(state, "grad_avg", alpha, g)
            v = maximum(v - mean * mean, 0.0)  # which rounding may take below 0
        scale = sqrt(v)
        scale += eps
        step = g / scale
        if momentum:
            b = state.get("momentum_buffer", 0.0)
            b *= momentum
            b += step
            state["momentum_buffer"] = b
            step = b
        x -= lr * step
        return x


class Adadelta(Optimizer):
    """θ ← θ - lr d, with d = √(u + eps) / √(v + eps) g.

    v ← rho v + (1 - rho) g² before, u ← rho u + (1 - rho) d² after: d has the unit of θ.
    Source: Zeiler, 2012, algorithm 1.

    Args:
        params: what to change; see ``Optimizer``.
        lr: the learning rate.
        rho: how slowly the means forget, in [0, 1).
        eps: starts the steps, and keeps the division finite.
        weight_decay: the factor of an L2 penalty, which adds weight_decay θ to g.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        rho: float,
        eps: float,
        weight_decay: float,
    ) -> Any:
        """θ - lr √(u + eps) / √(v + eps) g."""
        if weight_decay:
            g = g + weight_decay * x
        v = moving_average(state, "square_avg", rho, g * g)
        d = sqrt(state.get("acc_delta", 0.0) + eps) / sqrt(v + eps) * g
        moving_average(state, "acc_delta", rho, d * d)
        x -= lr * d
        return x
