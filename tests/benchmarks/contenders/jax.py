"""JAX, compiled by jit."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.benchmarks.contenders import Task


def chain(data: dict[str, Any]) -> Task:
    def f(x: Any, w: Any, b: Any) -> Any:
        # Unrolled, a long chain takes minutes to compile.
        y, _ = jax.lax.scan(lambda y, _: (jnp.tanh(y * w + b), None), x, None, data["times"])
        return y.sum()

    by_all = jax.jit(jax.grad(f, argnums=(0, 1, 2)))
    given = [jnp.array(data[name]) for name in "xwb"]
    return Task(
        lambda: jax.block_until_ready(by_all(*given)), lambda: {"x": np.asarray(by_all(*given)[0])}
    )


def _loss(parameters: dict[str, Any], x: Any, targets: Any) -> Any:
    for i in range(0, len(parameters), 2):
        x = x @ parameters[f"{i}.weight"].T + parameters[f"{i}.bias"]
        x = jax.nn.relu(x) if i + 2 < len(parameters) else x
    return -jnp.take_along_axis(jax.nn.log_softmax(x), targets[:, None], 1).mean()


def mlp(data: dict[str, Any]) -> Task:
    x, targets = jnp.array(data["x"]), jnp.array(data["targets"])
    state = {"parameters": {name: jnp.array(p) for name, p in data["parameters"].items()}}
    backward = jax.jit(jax.value_and_grad(_loss))

    @jax.jit
    def updated(parameters: dict[str, Any]) -> dict[str, Any]:
        found = jax.grad(_loss)(parameters, x, targets)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, parameters, found)

    def step() -> None:
        state["parameters"] = jax.block_until_ready(updated(state["parameters"]))

    def outputs() -> dict[str, Any]:
        value, found = backward(state["parameters"], x, targets)
        return {"loss": float(value), **{name: np.asarray(g) for name, g in found.items()}}

    return Task(step, outputs)


def convolution(data: dict[str, Any]) -> Task:
    x, weight, g = (jnp.array(data[name]) for name in ("x", "weight", "g"))

    @jax.jit
    def backward(x: Any, weight: Any, g: Any) -> Any:
        def f(x: Any, weight: Any) -> Any:
            return jax.lax.conv_general_dilated(x, weight, (1, 1), "SAME")

        return jax.vjp(f, x, weight)[1](g)

    def outputs() -> dict[str, Any]:
        by_x, by_weight = backward(x, weight, g)
        return {"x": np.asarray(by_x), "weight": np.asarray(by_weight)}

    return Task(lambda: jax.block_until_ready(backward(x, weight, g)), outputs)


def curvature(data: dict[str, Any]) -> Task:
    x, targets = jnp.array(data["x"]), jnp.array(data["targets"])
    at = {name: jnp.array(p) for name, p in data["parameters"].items()}
    along = {name: jnp.array(v) for name, v in data["v"].items()}

    @jax.jit
    def product(at: Any, along: Any) -> Any:
        return jax.jvp(lambda p: jax.grad(_loss)(p, x, targets), (at,), (along,))[1]

    return Task(
        lambda: jax.block_until_ready(product(at, along)),
        lambda: {name: np.asarray(g) for name, g in product(at, along).items()},
    )
