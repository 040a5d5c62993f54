"""What is measured: each workload's data, made from a seed, and who is to be beaten by how much.

Parameters have PyTorch's names and shapes, which are ours as well. What is done with the data is
in ``contenders``, once for each library, in a function of the workload's ``task`` name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Data = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """One thing to measure.

    Attributes:
        name: what it is called.
        task: the function of the contenders that does it.
        what: one step of it, in words.
        data: makes what it works on.
        targets: by contender, the largest ratio of our time to theirs that is aimed at.
        tolerance: how far losses and gradients may differ, relative to the largest.
        why: what keeps us from a target, where that is known.
    """

    name: str
    task: str
    what: str
    data: Callable[[], Data]
    targets: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 2e-4
    why: str = ""


def _normal(rng: np.random.Generator, *shape: int) -> Array:
    return rng.standard_normal(shape, np.float32)


def _linear(rng: np.random.Generator, name: str, inputs: int, outputs: int) -> dict[str, Array]:
    return {
        f"{name}.weight": _normal(rng, outputs, inputs) / np.float32(np.sqrt(inputs)),
        f"{name}.bias": 0.1 * _normal(rng, outputs),
    }


def _convolution(
    rng: np.random.Generator, name: str, inputs: int, outputs: int, size: int
) -> dict[str, Array]:
    scale = np.float32(np.sqrt(inputs * size * size))
    return {
        f"{name}.weight": _normal(rng, outputs, inputs, size, size) / scale,
        f"{name}.bias": 0.1 * _normal(rng, outputs),
    }


def _moons(fused: bool = False) -> Data:
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, 100)
    second = np.arange(100) % 2
    x = np.stack([np.cos(angles), np.sin(angles)], 1)
    x[second == 1] = [1, 0.5] - x[second == 1]
    sizes = [2, 16, 16, 1]
    layers = [
        [(rng.uniform(-1, 1, a).tolist(), 0.0) for _ in range(b)]
        for a, b in itertools.pairwise(sizes)
    ]
    return {"x": x.tolist(), "y": (2 * second - 1).tolist(), "layers": layers, "fused": fused}


def _chain() -> Data:
    rng = np.random.default_rng(0)
    return {"x": _normal(rng, 16), "w": _normal(rng, 16), "b": _normal(rng, 16), "times": 300}


def _mlp(batch: int) -> Data:
    # Of the first seeds, the one with no z nearer to relu's kink than 8e-6, where rounding could
    # decide on which side of it a sample is, and so whether two libraries agree.
    rng = np.random.default_rng(1)
    sizes = [784, 256, 128, 10]
    parameters: dict[str, Array] = {}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        parameters |= _linear(rng, str(2 * i), a, b)
    return {
        "x": _normal(rng, batch, 784),
        "targets": rng.integers(10, size=batch),
        "parameters": parameters,
        "sizes": sizes,
    }


def _lenet() -> Data:
    rng = np.random.default_rng(0)
    parameters = {
        **_convolution(rng, "features.0", 1, 6, 5),
        **_convolution(rng, "features.3", 6, 16, 5),
        **_linear(rng, "classifier.1", 400, 120),
        **_linear(rng, "classifier.3", 120, 84),
        **_linear(rng, "classifier.5", 84, 10),
    }
    return {
        "x": _normal(rng, 64, 1, 28, 28),
        "targets": rng.integers(10, size=64),
        "parameters": parameters,
    }


def _one_convolution() -> Data:
    rng = np.random.default_rng(0)
    return {
        "x": _normal(rng, 64, 32, 16, 16),
        "weight": _normal(rng, 32, 32, 3, 3) / 17,
        "g": _normal(rng, 64, 32, 16, 16),
    }


def _cross_entropy() -> Data:
    rng = np.random.default_rng(0)
    return {"x": 3 * _normal(rng, 256, 1000), "targets": rng.integers(1000, size=256)}


def _norm(*shape: int, features: int) -> Callable[[], Data]:
    def data() -> Data:
        rng = np.random.default_rng(0)
        return {
            "x": 2 * _normal(rng, *shape) + 1,
            "weight": 1 + 0.1 * _normal(rng, features),
            "bias": 0.1 * _normal(rng, features),
            "g": _normal(rng, *shape),
        }

    return data


def _attention() -> Data:
    rng = np.random.default_rng(0)
    parameters = {
        "in_proj_weight": _normal(rng, 384, 128) / 11,
        "in_proj_bias": 0.1 * _normal(rng, 384),
        **_linear(rng, "out_proj", 128, 128),
    }
    return {"x": _normal(rng, 8, 64, 128), "g": _normal(rng, 8, 64, 128), "parameters": parameters}


def _block() -> Data:
    rng = np.random.default_rng(0)
    inner = _attention()
    parameters = {f"self_attn.{name}": array for name, array in inner["parameters"].items()}
    parameters |= _linear(rng, "linear1", 128, 512) | _linear(rng, "linear2", 512, 128)
    for name in ("norm1", "norm2"):
        parameters[f"{name}.weight"] = 1 + 0.1 * _normal(rng, 128)
        parameters[f"{name}.bias"] = 0.1 * _normal(rng, 128)
    return {**inner, "parameters": parameters}


def _lstm() -> Data:
    rng = np.random.default_rng(0)
    parameters = {
        "weight_ih_l0": _normal(rng, 256, 64) / 8,
        "weight_hh_l0": _normal(rng, 256, 64) / 8,
        "bias_ih_l0": 0.1 * _normal(rng, 256),
        "bias_hh_l0": 0.1 * _normal(rng, 256),
    }
    return {"x": _normal(rng, 64, 16, 64), "g": _normal(rng, 64, 16, 64), "parameters": parameters}


def _stage() -> Data:
    rng = np.random.default_rng(0)
    parameters = {}
    for block in range(2):
        for i in (1, 2):
            weight = _convolution(rng, "", 64, 64, 3)[".weight"]
            parameters[f"{block}.conv{i}.weight"] = weight
            parameters[f"{block}.bn{i}.weight"] = 1 + 0.1 * _normal(rng, 64)
            parameters[f"{block}.bn{i}.bias"] = 0.1 * _normal(rng, 64)
    return {"x": _normal(rng, 4, 64, 32, 32), "g": _normal(rng, 4, 64, 32, 32),
            "parameters": parameters}  # fmt: skip


def _parameters(count: int, *shape: int) -> Callable[[], Data]:
    def data() -> Data:
        rng = np.random.default_rng(0)
        return {
            "parameters": {str(i): _normal(rng, *shape) for i in range(count)},
            "gradients": {str(i): _normal(rng, *shape) for i in range(count)},
        }

    return data


def _wide_graph() -> Data:
    rng = np.random.default_rng(0)
    return {"x": rng.uniform(-1, 1, 8192).tolist()}


def _long_chain() -> Data:
    return {**_chain(), "times": 3000}


def _curvature() -> Data:
    data = _mlp(128)
    rng = np.random.default_rng(1)
    data["v"] = {name: _normal(rng, *p.shape) for name, p in data["parameters"].items()}
    return data


# What keeps us from a target.
_PYTHON = (
    "NumPy's own calls are about a third of it; the rest is Python, which records a node and later"
    " calls its rule. PyTorch does both in C++."
)
_VALUES = (
    "65,600 Values, each recorded by one Python call and differentiated by two more. The garbage"
    " collector, which looks at every one of them, takes a third of the forward pass. Fewer calls"
    " would mean fewer nodes, and these are there to be seen. Fused neurons, below, have fewer."
)
_FUSED = "Half of it is Python's arithmetic for 33 operands per neuron, forward and backward."
_CORE = "NumPy and the compiled loops work on one core here, PyTorch on all."
_NARROW = (
    "OpenBLAS makes products 32 columns wide at less than half of the speed of wide ones, and the"
    " windows have to be copied out for them; PyTorch's oneDNN does without either."
)
_BLAS = "Half of it are OpenBLAS's products; the rest are passes over arrays, on one core."
_STEP = (
    "OpenBLAS's products are two thirds of the step of a large batch, and a third of a small one's."
    " The rest is Python around NumPy's calls, as much of it at any size, and slower while"
    " OpenBLAS's threads wait for more."
)

SMALL, LARGE = _parameters(200, 32, 32), _parameters(4, 1024, 1024)

WORKLOADS = [
    Workload("make-moons step, Values", "moons", "100 samples, MLP 2-16-16-1, SGD", _moons,
             {"micrograd": 1 / 15}, 1e-9, _VALUES),
    Workload("make-moons step, fused Values", "moons", "a node per w·x + b, not per product",
             lambda: _moons(fused=True), {"micrograd": 1 / 15}, 1e-9, _FUSED),
    Workload("wide graph of Values", "wide_graph", "built and backward, 24,575 nodes", _wide_graph,
             {}, 1e-9),
    Workload("tiny elementwise op", "chain", "900 ops on 16 floats, and backward", _chain,
             {"torch": 0.5, "mygrad": 0.35, "autograd": 0.2}, why=_PYTHON),
    Workload("long chain of tiny ops", "chain", "9,000 ops on 16 floats, and backward",
             _long_chain),
    *(
        Workload(f"MLP step, batch {n}", "mlp", "784-256-128-10, cross-entropy, SGD",
                 lambda n=n: _mlp(n), {"torch": 0.95, "numpy": 1.05}, why=_STEP)
        for n in (16, 128, 1024)
    ),
    Workload("LeNet-5 step", "lenet", "64 x 1 x 28 x 28, SGD", _lenet,
             {"torch": 1.3, "mygrad": 0.2}, why=_NARROW),
    Workload("3x3 convolution", "convolution", "64 x 32 x 16 x 16 to 32, and backward",
             _one_convolution, {"torch": 1.3, "mygrad": 0.2}, why=_NARROW),
    Workload("ResNet-18's first stage", "stage", "4 x 64 x 32 x 32, two blocks, and backward",
             _stage, tolerance=1e-3),
    Workload("softmax cross-entropy", "cross_entropy", "256 x 1000, and backward", _cross_entropy,
             {"torch": 1.0}, why=_CORE),
    Workload("layer norm", "layer_norm", "4096 x 256, and backward",
             _norm(4096, 256, features=256), {"torch": 1.0}, why=_CORE),
    Workload("batch norm", "batch_norm", "64 x 32 x 28 x 28, and backward",
             _norm(64, 32, 28, 28, features=32), {"torch": 1.0}, why=_CORE),
    Workload("attention", "attention", "8 x 64 x 128, 4 heads, and backward", _attention,
             {"torch": 1.2}, why=_BLAS),
    Workload("GPT block", "block", "8 x 64 x 128, 4 heads, and backward", _block, {"torch": 1.2},
             why=_BLAS),
    Workload("LSTM", "lstm", "64 steps of 16 x 64, and backward", _lstm),
    *(
        Workload(f"{name}, {size} parameters", name.lower(), "one step of the optimizer", data,
                 {"torch": 1.0}, why=_CORE)
        for name in ("SGD", "Adam", "AdamW")
        for size, data in (("200 small", SMALL), ("4 large", LARGE))
    ),
    Workload("Hessian-vector product", "curvature", "MLP 784-256-128-10, batch 128", _curvature,
             tolerance=1e-3),
]  # fmt: skip
