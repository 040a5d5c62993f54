"""What every optimizer is: groups of parameters with their options, and one update rule.

A rule is written once. It uses operators, augmented assignments and the library's own functions,
which work in place on an array and give a new number for a float; so it trains Tensors and Values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from nn.checks import check_number
from nn.errors import ConfigurationError, StateDictError
from nn.optim.state import flatten, unflatten
from tinygrad_edu import Node, ShapeError, UnknownNameError, enable_grad, mark_changed
from tinygrad_edu.graph import describe, plain
from tinygrad_edu.ops.loops import compiled_loops

Array = np.ndarray[Any, Any]

# Nodes, or groups of them: [{"params": [...], "lr": 0.1}, ...].
Params = Iterable[Node] | Iterable[dict[str, Any]]

Betas = tuple[float, float]

# What an update rule remembers of one parameter: numbers, and arrays of the parameter's shape.
State = dict[str, Any]

# The half-open interval an option is in, whichever optimizer has it.
_RANGES = {
    "lr": (0, math.inf),
    "momentum": (0, 1),
    "dampening": (0, 1),
    "weight_decay": (0, math.inf),
    "betas": (0, 1),
    "eps": (0, math.inf),
    "alpha": (0, 1),
    "rho": (0, 1),
    "momentum_decay": (0, math.inf),
    "lr_decay": (0, math.inf),
    "initial_accumulator_value": (0, math.inf),
    "max_iter": (1, math.inf),
    "max_eval": (1, math.inf),
    "history_size": (1, math.inf),
    "tolerance_grad": (0, math.inf),
    "tolerance_change": (0, math.inf),
}

_HALF = np.dtype(np.float16)

# How many entries to update at a time: what a rule reads and writes of them stays in the cache.
_BLOCK = 32_768


class Optimizer:
    """The base of the optimizers; a subclass writes ``update``.

    Args:
        params: the Values or Tensors to change, such as ``model.parameters()``; or groups of them,
            dicts of ``"params"`` and the options that differ from ``defaults``.
        defaults: the options of a group that sets none itself.

    Attributes:
        param_groups: a dict per group, of ``"params"`` and every option. Set an option there to
            change it; schedules do.
        defaults: as given.
        state: what the update rule remembers of each parameter, by name.
        elementwise: whether an entry's update depends on that entry alone, so that a large
            parameter can be updated in blocks.

    Raises:
        ConfigurationError: there are no parameters, all of them are frozen, one comes twice, is no
            leaf or is something else; or an option is out of its range.
        UnknownNameError: a group has an option that the optimizer does not know.

    >>> import nn
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    >>> nn.optim.SGD(
    ...     [
    ...         {"params": model[0].parameters()},
    ...         {"params": model[1].parameters(), "lr": 0.1},
    ...     ],
    ...     lr=0.01,
    ...     momentum=0.9,
    ... )
    SGD(lr=0.01, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False): 2 parameters
    SGD(lr=0.1, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False): 2 parameters
    """

    elementwise: ClassVar[bool] = False

    # update(x, g, state, **options) changes x by the gradient g and returns it: an array in place,
    # a float as a new one. It never changes g. ``state`` is the parameter's own, empty at first.
    update: Callable[..., Any]

    def update_by_loop(self, *args: Any, **options: Any) -> bool:
        """``update``, of vectors and in place, by a compiled loop: whether there is one for them.

        A subclass may have one, or one for some states and options; else nothing changes. One that
        has a rule of its own does not inherit that of another rule.
        """
        return False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "update" in vars(cls) and "update_by_loop" not in vars(cls):
            cls.update_by_loop = Optimizer.update_by_loop  # type: ignore[method-assign]

    def __init__(self, params: Params, **defaults: Any) -> None:
        if isinstance(params, Node):
            raise ConfigurationError(f"{self._name} takes a list of parameters: pass [p], not p")
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Node, State] = {}
        given: list[Any] = list(params)
        if given and not any(isinstance(group, dict) for group in given):
            given = [{"params": params if isinstance(params, set) else given}]
        for group in given:
            self.add_param_group(group)
        if not self.parameters:
            raise ConfigurationError(
                f"{self._name} got no parameters: pass model.parameters() of a model that has some"
            )
        if not any(p.requires_grad for p in self.parameters):
            raise ConfigurationError(
                f"all {len(self.parameters)} parameters are frozen, so {self._name} would change"
                " nothing: call model.unfreeze(), or unfreeze() on the layers that are to learn"
            )

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add a dict of ``"params"`` and options; what it leaves out is as in ``defaults``."""
        if not isinstance(group, dict) or "params" not in group:
            raise ConfigurationError(
                f"a parameter group is a dict with a list under 'params', not {group!r:.60}"
            )
        for name in group:
            if name != "params" and name not in self.defaults:
                raise UnknownNameError(f"option of {self._name}", name, self.defaults)
        nodes = group["params"]
        if isinstance(nodes, set):
            raise ConfigurationError("parameters need an order: pass a list, not a set")
        nodes = [nodes] if isinstance(nodes, Node) else list(nodes)
        seen = set(self.parameters)
        for p in nodes:
            if not isinstance(p, Node):
                raise ConfigurationError(
                    f"{self._name} changes Values and Tensors, not {type(p).__name__}"
                )
            if not p.is_leaf:
                raise ConfigurationError(
                    f"{describe(p)} is computed from other nodes: optimize those instead"
                )
            if p in seen:
                raise ConfigurationError(f"{describe(p)} comes twice: leave one of them out")
            seen.add(p)
        options = {name: group.get(name, default) for name, default in self.defaults.items()}
        self.check(options)
        self.param_groups.append({"params": nodes, **options})

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise a ConfigurationError if an option of a group is out of its range."""
        for name, value in options.items():
            if name == "betas" and (not isinstance(value, tuple | list) or len(value) != 2):
                raise ConfigurationError(
                    f"{self._name}'s betas are two numbers, such as (0.9, 0.999), not {value!r}"
                )
            if name in _RANGES:
                for number in value if name == "betas" else (value,):
                    check_number(f"{self._name}'s {name}", number, *_RANGES[name])

    @property
    def parameters(self) -> list[Any]:
        """Every parameter of every group."""
        return [p for group in self.param_groups for p in group["params"]]

    @property
    def lr(self) -> float:
        """The learning rate of the first group; setting it sets that of every group."""
        return self.param_groups[0]["lr"]

    @lr.setter
    def lr(self, lr: float) -> None:
        check_number("lr", lr, *_RANGES["lr"])
        for group in self.param_groups:
            group["lr"] = lr

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter by its gradient; one that has none, or is frozen, is left alone.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the
                loss; for optimizers that do so several times in a step.

        Returns:
            What ``closure`` returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            options = _plain_options(group)
            for p in group["params"]:
                if p.requires_grad and p.grad is not None:
                    self._change(p, options)
        return loss

    def zero_grad(self) -> None:
        """Clear the gradient of every parameter."""
        for p in self.parameters:
            p.zero_grad()

    def _change(self, p: Node, options: dict[str, Any]) -> None:
        state = self.state.setdefault(p, {})
        x, g = p.data, plain(p.grad)
        if isinstance(x, np.ndarray):
            # The squares of half-precision gradients underflow: such a step is taken in float32.
            working = x.astype(np.float32) if x.dtype == _HALF else x
            g = np.asarray(g, working.dtype)
            if g.shape != x.shape:
                raise ShapeError(f"the gradient of {describe(p)} has shape {g.shape}")
            if not x.flags.writeable:
                raise ConfigurationError(
                    f"the data of {describe(p)} are read-only: make it of a copy of the array"
                )
            if self.elementwise and x.size > _BLOCK and _contiguous(x, *state.values()):
                self._update_large(working, g, state, options)
            else:
                self.update(working, g, state, **options)
            if working is not x:
                x[...] = working
        else:
            p.data = self.update(x, g, state, **options)
        mark_changed(p)

    def _update_large(self, x: Array, g: Array, state: State, options: dict[str, Any]) -> None:
        """``update`` by a compiled loop; or on a block at a time, in half the time of the whole."""
        flat_x, flat_g = x.reshape(-1), g.reshape(-1)
        before = {k: v.reshape(-1) if isinstance(v, np.ndarray) else v for k, v in state.items()}
        loops = compiled_loops(x.size) if x.dtype in (np.float32, np.float64) else None
        if loops and self.update_by_loop(flat_x, flat_g, before, **options):
            state.update({k: v for k, v in before.items() if not isinstance(v, np.ndarray)})
            return
        for start in range(0, x.size, _BLOCK):
            part = slice(start, start + _BLOCK)
            parts = {k: v[part] if isinstance(v, np.ndarray) else v for k, v in before.items()}
            inner = dict(parts)
            self.update(flat_x[part], flat_g[part], inner, **options)
            for name, value in inner.items():
                if not isinstance(value, np.ndarray):
                    state[name] = value
                elif value is not parts.get(name):  # else it was changed in place
                    whole = state.setdefault(name, np.empty(x.shape, x.dtype))
                    whole.reshape(-1)[part] = value

    # In and out.

    def state_dict(self) -> dict[str, Any]:
        """The options of every group and the state of every parameter, copied, under flat names.

        ``"groups.0.lr"``, ``"groups.0.betas.1"``; ``"state.3.exp_avg"`` is of the fourth
        parameter. Each is an array or a number, so it can be written to any kind of file; a run
        that is resumed from it goes on bit for bit as it would have.
        """
        state = {i: self.state[p] for i, p in enumerate(self.parameters) if self.state.get(p)}
        return self._flat_groups() | flatten({"state": state})

    def _flat_groups(self) -> dict[str, Any]:
        groups = [{**group, "params": len(group["params"])} for group in self.param_groups]
        flat = flatten({"groups": groups})
        return {name: x.item() if isinstance(x, np.ndarray) else x for name, x in flat.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the options and the state that ``state_dict`` of such an optimizer returned.

        Raises:
            StateDictError: it is that of another kind of optimizer, or of other parameters.
            ConfigurationError: an option in it is out of its range. In both cases nothing changed.
        """
        own = self._flat_groups()
        given = {name: value for name, value in state.items() if name.startswith("groups.")}
        # Whether a schedule has noted the learning rate it found is of no concern here.
        missing = [n for n in own if n not in given and not n.endswith(".initial_lr")]
        unexpected = [n for n in given if n not in own and not n.endswith(".initial_lr")]
        mismatched: dict[str, Any] = {
            name: ((own[name],), (given[name],))
            for name in own
            if name in given and name.endswith(".params") and own[name] != given[name]
        }
        parameters = {f"state.{i}": p for i, p in enumerate(self.parameters)}
        loaded: dict[Node, State] = {}
        for name in [n for n in state if n not in given]:
            path, _, entry = name.rpartition(".")
            if path not in parameters:
                unexpected.append(name)
                continue
            p, value = parameters[path], state[name]
            if isinstance(value, np.ndarray) and value.shape != np.shape(p.data):
                mismatched[name] = (np.shape(p.data), value.shape)
            else:
                loaded.setdefault(p, {})[entry] = as_state(p, value)
        if missing or unexpected or mismatched:
            raise StateDictError(missing, sorted(unexpected), mismatched, self._name)
        options = [
            {k: tuple(v) if isinstance(v, list) else v for k, v in group.items()}
            for group in unflatten(given)["groups"]
        ]
        for new in options:
            del new["params"]
            self.check(new)
        for group, new in zip(self.param_groups, options, strict=True):
            group.update(new)
        self.state.clear()
        self.state.update(loaded)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return "\n".join(
            f"{self._name}({', '.join(f'{name}={group[name]!r}' for name in self.defaults)}):"
            f" {len(group['params'])} parameters"
            for group in self.param_groups
        )


def moving_average(state: State, name: str, beta: float, value: Any) -> Any:
    """state[name] ← beta state[name] + (1 - beta) value, from 0 at first; in place if an array."""
    mean = state.get(name, 0.0)
    mean *= beta
    mean += (1 - beta) * value
    state[name] = mean
    return mean


def as_state(p: Node, value: Any) -> Any:
    """A copy of an array in the dtype that the state of ``p`` is kept in; a number as it is."""
    if not isinstance(value, np.ndarray | np.generic):
        return value
    if not isinstance(p.data, np.ndarray):
        return float(value)
    return np.array(value, np.float32 if p.data.dtype == np.float16 else p.data.dtype)


def assign(p: Node, data: Any) -> None:
    """Set the data of a parameter: an array in place."""
    if isinstance(p.data, np.ndarray):
        p.data[...] = data
    else:
        p.data = float(data)
    mark_changed(p)


def _contiguous(*arrays: Any) -> bool:
    return all(a.flags.c_contiguous for a in arrays if isinstance(a, np.ndarray))


def _plain_options(group: dict[str, Any]) -> dict[str, Any]:
    # A NumPy float64 among float32 arrays would make float64 of them; a Python float does not.
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in group.items()
        if name not in ("params", "initial_lr")
    }
