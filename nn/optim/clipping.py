"""Clipping: gradients that are too large are made smaller, between backward and the step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nn.errors import ConfigurationError, TrainingError
from nn.optim.state import check_names
from tinygrad_edu import Node, clip
from tinygrad_edu.graph import describe, plain


def clip_grad_norm_(
    parameters: Node | Iterable[Node],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients by min(1, max_norm / (‖g‖ + 10⁻⁶)), where g is all of them as one vector.

    Source: Pascanu et al., 2013, algorithm 1.

    Args:
        parameters: whose gradients to scale, in place; one that has none is left out.
        max_norm: the largest norm that stays.
        norm_type: p of the p-norm; ``math.inf`` for the largest entry.
        error_if_nonfinite: raise if a gradient is nan or infinite. If not, the gradients are left
            as they are, since no factor mends them, and the norm tells.

    Returns:
        The norm before.

    Raises:
        TrainingError: a gradient is nan or infinite, with ``error_if_nonfinite``.
    """
    _check_limit("max_norm", max_norm)
    parameters = _with_gradients(parameters)
    norm = gradient_norm(parameters, norm_type)
    if not math.isfinite(norm):
        if error_if_nonfinite:
            raise TrainingError(
                f"the norm of the gradients is {norm}: {_culprit(parameters)}. Look for a division"
                " by 0 or an overflow with detect_anomaly(), or try a smaller learning rate"
            )
        return norm
    factor = max_norm / (norm + 1e-6)
    if factor < 1:
        for p in parameters:
            p.grad *= factor
    return norm


def clip_grad_value_(parameters: Node | Iterable[Node], clip_value: float) -> None:
    """Bring every entry of every gradient into [-clip_value, clip_value]; a nan stays."""
    _check_limit("clip_value", clip_value)
    for p in _with_gradients(parameters):
        if isinstance(p.grad, np.ndarray):
            np.clip(p.grad, -clip_value, clip_value, out=p.grad)
        else:
            p.grad = clip(p.grad, -clip_value, clip_value)


def gradient_norm(parameters: Node | Iterable[Node], norm_type: float = 2.0) -> float:
    """‖g‖, where g is all gradients as one vector."""
    if not norm_type > 0:
        raise ConfigurationError(f"norm_type is p of a p-norm, above 0, not {norm_type!r}")
    norms = [_norm(plain(p.grad), norm_type) for p in _with_gradients(parameters)]
    return _norm(np.array(norms), norm_type) if norms else 0.0


class Clipping:
    """Clips by norm or by value, and keeps count of it.

    Args:
        max_norm: clip with ``clip_grad_norm_``; or
        max_value: clip with ``clip_grad_value_``.
        norm_type: p of the norm that is clipped, or reported.
        error_if_nonfinite: raise if a gradient is nan or infinite.

    Attributes:
        before: the norm of every call, before clipping.
        after: and after it.
        fired: how many of the calls changed something.
        nonfinite: how many found a nan or an infinity.

    >>> import nn, numpy as np
    >>> p = nn.Parameter([0.0, 0.0])
    >>> clipping = nn.optim.Clipping(max_norm=1.0)
    >>> for g in ([3.0, 4.0], [0.3, 0.4]):
    ...     p.grad = np.array(g)
    ...     clipping([p])
    >>> clipping
    Clipping(max_norm=1.0): fired in 1 of 2 calls
    >>> [round(norm, 3) for norm in clipping.before], [round(norm, 3) for norm in clipping.after]
    ([5.0, 0.5], [1.0, 0.5])
    """

    def __init__(
        self,
        max_norm: float | None = None,
        max_value: float | None = None,
        norm_type: float = 2.0,
        error_if_nonfinite: bool = False,
    ) -> None:
        if (max_norm is None) == (max_value is None):
            raise ConfigurationError("Clipping takes either max_norm or max_value")
        for name, limit in ("max_norm", max_norm), ("max_value", max_value):
            if limit is not None:
                _check_limit(name, limit)
        self.max_norm, self.max_value = max_norm, max_value
        self.norm_type, self.error_if_nonfinite = norm_type, error_if_nonfinite
        self.before: list[float] = []
        self.after: list[float] = []
        self.fired = self.nonfinite = 0

    def __call__(self, parameters: Node | Iterable[Node]) -> None:
        """Clip the gradients of ``parameters``, in place."""
        parameters = _with_gradients(parameters)
        limit = math.inf if self.max_norm is None else self.max_norm
        before = clip_grad_norm_(parameters, limit, self.norm_type, self.error_if_nonfinite)
        if self.max_value is not None:
            clip_grad_value_(parameters, self.max_value)
        after = gradient_norm(parameters, self.norm_type)
        self.before.append(before)
        self.after.append(after)
        self.nonfinite += not math.isfinite(before)
        self.fired += after < before

    def state_dict(self) -> dict[str, Any]:
        """What was counted, as arrays and numbers."""
        return {
            "before": np.array(self.before),
            "after": np.array(self.after),
            "fired": self.fired,
            "nonfinite": self.nonfinite,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting from ``state_dict``."""
        check_names("Clipping", self.state_dict(), state)
        self.before, self.after = state["before"].tolist(), state["after"].tolist()
        self.fired, self.nonfinite = state["fired"], state["nonfinite"]

    def __repr__(self) -> str:
        limits = {"max_norm": self.max_norm, "max_value": self.max_value}
        shown = ", ".join(f"{name}={x}" for name, x in limits.items() if x is not None)
        return f"Clipping({shown}): fired in {self.fired} of {len(self.before)} calls"


def _check_limit(name: str, limit: float) -> None:
    if not limit >= 0:  # a nan is neither
        raise ConfigurationError(f"{name} must be at least 0, not {limit!r}")


def _with_gradients(parameters: Node | Iterable[Node]) -> list[Node]:
    parameters = [parameters] if isinstance(parameters, Node) else parameters
    return [p for p in parameters if p.grad is not None]


def _norm(x: Any, p: float) -> float:
    flat = np.ravel(x)
    if flat.dtype == np.float16:
        flat = flat.astype(np.float32)  # whose squares do not overflow
    return float(np.linalg.norm(flat, p))


def _culprit(parameters: list[Node]) -> str:
    bad = [i for i, p in enumerate(parameters) if not np.isfinite(plain(p.grad)).all()]
    if not bad:
        return "each is finite, and their sum is not"
    return f"that of parameter {bad[0]}, {describe(parameters[bad[0]])}, is not finite"
