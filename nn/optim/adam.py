"""The family of Adam: a step size per entry, from running moments of its gradient.

All keep m ← β₁ m + (1 - β₁) g and, but for Adamax, v ← β₂ v + (1 - β₂) g², both 0 at first, at
steps t = 1, 2, ... Dividing by 1 - βᵗ makes up for that start: m̂ = m / (1 - β₁ᵗ), likewise v̂.

Their ``weight_decay`` is the factor of an L2 penalty, which adds weight_decay θ to g; or, where
``decoupled_weight_decay`` is set, θ ← (1 - lr weight_decay) θ before the step.
"""

from __future__ import annotations

import math
from typing import Any

from nn.optim.optimizer import Betas, Optimizer, Params, State, moving_average
from tinygrad_edu import maximum, sqrt


class Adam(Optimizer):
    """θ ← θ - lr m̂ / (√v̂ + eps).

    Source: Kingma and Ba, 2015, algorithm 1.

    Args:
        params: what to change; see ``Optimizer``.
        lr: the learning rate.
        betas: β₁ and β₂, each in [0, 1).
        eps: keeps the division finite.
        weight_decay: how much the weights decay.
        amsgrad: have v̂ be of the largest v so far. Source: Reddi et al., 2018.
        decoupled_weight_decay: decay outside of the moments, as ``AdamW`` does.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        betas: Betas,
        eps: float,
        weight_decay: float,
        amsgrad: bool,
        decoupled_weight_decay: bool,
    ) -> Any:
        """θ - lr m̂ / (√v̂ + eps)."""
        beta1, beta2 = betas
        x, g = _decay(x, g, lr, weight_decay, decoupled_weight_decay)
        t = _next_step(state)
        m = moving_average(state, "exp_avg", beta1, g)
        v = moving_average(state, "exp_avg_sq", beta2, g * g)
        if amsgrad:
            v = state["max_exp_avg_sq"] = maximum(state.get("max_exp_avg_sq", v), v)
        # m̂ / (√v̂ + eps), with the two corrections taken out of the array: section 2 of the paper.
        correction = math.sqrt(1 - beta2**t)
        scale = sqrt(v)
        scale += eps * correction
        d = m / scale
        d *= lr * correction / (1 - beta1**t)
        x -= d
        return x

    def update_by_loop(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        betas: Betas,
        eps: float,
        weight_decay: float,
        amsgrad: bool,
        decoupled_weight_decay: bool,
    ) -> bool:
        """After the first step, when there are moments; without ``amsgrad``."""
        from nn.optim import compiled

        if amsgrad or "exp_avg" not in state:
            return False
        beta1, beta2 = betas
        t = _next_step(state)
        correction = math.sqrt(1 - beta2**t)
        rate = lr * correction / (1 - beta1**t)
        kept = 1 - lr * weight_decay if decoupled_weight_decay else 1
        penalty = 0 if decoupled_weight_decay else weight_decay
        numbers = (rate, eps * correction, beta1, 1 - beta1, beta2, 1 - beta2, kept, penalty)
        compiled.adam(
            x, g, state["exp_avg"], state["exp_avg_sq"], tuple(map(x.dtype.type, numbers))
        )
        return True


class AdamW(Adam):
    """θ ← (1 - lr weight_decay) θ - lr m̂ / (√v̂ + eps): Adam with a decay of its own.

    Source: Loshchilov and Hutter, 2019, algorithm 2. Arguments as for ``Adam``.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, decoupled_weight_decay=True)


class Adamax(Optimizer):
    """θ ← θ - lr m̂ / u, with u ← max(β₂ u, |g| + eps): the largest recent gradient for √v̂.

    Source: Kingma and Ba, 2015, algorithm 2. Arguments as for ``Adam``.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        betas: Betas,
        eps: float,
        weight_decay: float,
    ) -> Any:
        """θ - lr m̂ / u."""
        beta1, beta2 = betas
        x, g = _decay(x, g, lr, weight_decay, False)
        t = _next_step(state)
        m = moving_average(state, "exp_avg", beta1, g)
        u = state["exp_inf"] = maximum(beta2 * state.get("exp_inf", 0.0), abs(g) + eps)
        x -= lr / (1 - beta1**t) * m / u
        return x


class NAdam(Optimizer):
    """θ ← θ - lr (μₜ₊₁ m / (1 - μ₁⋯μₜ₊₁) + (1 - μₜ) g / (1 - μ₁⋯μₜ)) / (√v̂ + eps).

    Adam with Nesterov's momentum, which grows: μₜ = β₁ (1 - ½ 0.96^(t momentum_decay)).
    Source: Dozat, 2016. Arguments as for ``Adam``.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        betas: Betas,
        eps: float,
        weight_decay: float,
        momentum_decay: float,
        decoupled_weight_decay: bool,
    ) -> Any:
        """θ - lr (μₜ₊₁ m / (1 - μ₁⋯μₜ₊₁) + (1 - μₜ) g / (1 - μ₁⋯μₜ)) / (√v̂ + eps)."""
        beta1, beta2 = betas
        x, g = _decay(x, g, lr, weight_decay, decoupled_weight_decay)
        t = _next_step(state)
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
        product = state["mu_product"] = state.get("mu_product", 1.0) * mu
        m = moving_average(state, "exp_avg", beta1, g)
        v = moving_average(state, "exp_avg_sq", beta2, g * g)
        scale = sqrt(v)
        scale /= math.sqrt(1 - beta2**t)
        scale += eps
        step = (lr * following / (1 - product * following)) * m
        step += (lr * (1 - mu) / (1 - product)) * g
        x -= step / scale
        return x


class RAdam(Optimizer):
    """θ ← θ - lr r m̂ / (√v̂ + eps) once v is known well enough, and θ - lr m̂ before.

    How well is ρ = ρ∞ - 2 t β₂ᵗ / (1 - β₂ᵗ), with ρ∞ = 2 / (1 - β₂) - 1: enough is ρ > 5, and then
    r² = (ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ).
    Source: Liu et al., 2020, algorithm 2. Arguments as for ``Adam``.
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def update(
        self,
        x: Any,
        g: Any,
        state: State,
        *,
        lr: float,
        betas: Betas,
        eps: float,
        weight_decay: float,
        decoupled_weight_decay: bool,
    ) -> Any:
        """θ - lr r m̂ / (√v̂ + eps)."""
        beta1, beta2 = betas
        x, g = _decay(x, g, lr, weight_decay, decoupled_weight_decay)
        t = _next_step(state)
        m = moving_average(state, "exp_avg", beta1, g)
        v = moving_average(state, "exp_avg_sq", beta2, g * g)
        limit = 2 / (1 - beta2) - 1
        rho = limit - 2 * t * beta2**t / (1 - beta2**t)
        rate = lr / (1 - beta1**t)
        if rho > 5:
            rate *= math.sqrt(
                (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
            ) * math.sqrt(1 - beta2**t)
            # As in PyTorch, eps is beside √v here, where the paper has none at all.
            scale = sqrt(v)
            scale += eps
            x -= rate * m / scale
        else:
            x -= rate * m
        return x


def _next_step(state: State) -> int:
    """t, counted in the state."""
    t: int = state.get("step", 0) + 1
    state["step"] = t
    return t


def _decay(x: Any, g: Any, lr: float, weight_decay: float, decoupled: bool) -> tuple[Any, Any]:
    """θ and g with the weight decay in one of them."""
    if weight_decay and decoupled:
        x *= 1 - lr * weight_decay
    elif weight_decay:
        g = g + weight_decay * x
    return x, g
