"""micrograd."""

from typing import Any

from micrograd.engine import Value
from micrograd.nn import MLP

from tests.benchmarks.contenders import Task
from tests.benchmarks.contenders.scalars import moons_with, wide_graph_with


def moons(data: dict[str, Any]) -> Task:
    return moons_with(Value, MLP(2, [16, 16, 1]), data, "w", "b")


def wide_graph(data: dict[str, Any]) -> Task:
    return wide_graph_with(Value, data)
