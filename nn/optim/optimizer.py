"""What every optimizer is: parameters, a learning rate, and one update rule.

An update rule is written once for floats and arrays alike, so it trains Values and Tensors.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nn.errors import ConfigurationError
from tinygrad_edu import Node, mark_changed


class Optimizer:
    """The base of the optimizers; a subclass writes ``update``.

    Args:
        parameters: the Values or Tensors to change: ``model.parameters()``.
        lr: the learning rate, positive.

    Attributes:
        parameters: the list of them.
        lr: the learning rate; set it to change it.
        state: what the update rule remembers of each parameter.

    Raises:
        ConfigurationError: there are no parameters, something else is among them, or ``lr`` is
            negative.
    """

    def __init__(self, parameters: Iterable[Node], lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ConfigurationError(
                f"{type(self).__name__} got no parameters: pass model.parameters() of a model that"
                " has some"
            )
        for p in self.parameters:
            if not isinstance(p, Node):
                raise ConfigurationError(
                    f"{type(self).__name__} changes Values and Tensors, not {type(p).__name__}"
                )
        _check("lr", lr, 0, float("inf"))
        self.lr = lr
        self.state: dict[Node, Any] = {}

    def step(self) -> None:
        """Change every parameter by its gradient; one that has none is left alone."""
        for p in self.parameters:
            if p.requires_grad and p.grad is not None:
                gradient = p.grad.data if isinstance(p.grad, Node) else p.grad
                p.data -= self.update(p, gradient)
                mark_changed(p)

    def update(self, p: Node, gradient: Any) -> Any:
        """What to subtract from ``p.data``: a float or an array of its shape."""
        raise TypeError(f"{type(self).__name__} has no update rule: a subclass defines it")

    def zero_grad(self) -> None:
        """Clear the gradient of every parameter."""
        for p in self.parameters:
            p.zero_grad()


def _check(name: str, value: float, low: float, high: float) -> None:
    """Whether an option is a number in [low, high); negated so that a nan fails."""
    if not low <= value < high:
        bound = f"in [{low}, {high})" if high < float("inf") else f"at least {low} and finite"
        raise ConfigurationError(f"{name} must be {bound}, not {value!r}")
