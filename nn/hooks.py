"""Functions that are called as a module runs forward and backward, to look at what goes through it.

A module without hooks pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_edu import Node
from tinygrad_edu.transforms import argument
from tinygrad_edu.trees import leaves

if TYPE_CHECKING:
    from nn.module import Module

Hook = Callable[..., Any]
Remove = Callable[[], None]


class Hooks:
    """The hooks of one module.

    Attributes:
        before: called with (module, inputs).
        after: called with (module, inputs, output).
        backward: called with (module, grad_inputs, grad_outputs).
    """

    def __init__(self) -> None:
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        self.backward: list[Hook] = []

    def add(self, hooks: list[Hook], hook: Hook) -> Remove:
        """Add to one of the lists; returns a function that takes it out again."""
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def around(self, module: Module) -> Callable[..., Any]:
        """``module.forward`` with the hooks called where they belong."""

        def run(*inputs: Any, **options: Any) -> Any:
            for hook in list(self.before):
                replaced = hook(module, inputs)
                if replaced is not None:
                    inputs = replaced if isinstance(replaced, tuple) else (replaced,)
            watch = _Watch(module, list(self.backward)) if self.backward else None
            if watch is not None:
                inputs = watch.enter(inputs)
            output = module.forward(*inputs, **options)
            if watch is not None:
                watch.leave(output)
            for hook in list(self.after):
                replaced = hook(module, inputs, output)
                if replaced is not None:
                    output = replaced
            return output

        return run


class _Watch:
    """The gradients of one run of a module, collected until its backward hooks can be called."""

    def __init__(self, module: Module, hooks: Sequence[Hook]) -> None:
        self.module, self.hooks = module, hooks
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        self.awaited = self.arrived = 0

    def enter(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs as nodes of this run: what else they go into does not count here."""
        own = tuple(argument(x) if isinstance(x, Node) and x.requires_grad else x for x in inputs)
        self.inputs = [None] * len(own)
        self.awaited = self._watch(own, self.inputs)
        return own

    def leave(self, output: Any) -> None:
        """Wait for the outputs' gradients; and with them, if no input has any."""
        results = leaves(output)
        self.outputs = [None] * len(results)
        awaited = self._watch(results, self.outputs, count=not self.awaited)
        self.awaited = self.awaited or awaited

    def _watch(self, nodes: Sequence[Any], gradients: list[Any], count: bool = True) -> int:
        watched = [(i, x) for i, x in enumerate(nodes) if isinstance(x, Node) and x.requires_grad]
        for i, x in watched:
            x.register_hook(self._collector(gradients, i, count))
        return len(watched)

    def _collector(self, gradients: list[Any], i: int, count: bool) -> Callable[[Any], None]:
        def collect(gradient: Any) -> None:
            gradients[i] = gradient
            if count:
                self.arrived += 1
                if self.arrived == self.awaited:
                    self.arrived = 0  # for another backward pass through the same graph
                    for hook in self.hooks:
                        hook(self.module, tuple(self.inputs), tuple(self.outputs))

        return collect
