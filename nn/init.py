"""Initial weights, scaled so that signals neither vanish nor explode at the start.

Which scale is right depends on the activation that follows: He's for the relu family, LeCun's for
selu, Glorot's for the others. The functions whose names end in ``_`` are PyTorch's: they fill a
parameter in place, and return it.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

import tinygrad_edu as tg
from nn import random
from nn.errors import ConfigurationError
from tinygrad_edu import Tensor, mark_changed

Array = np.ndarray[Any, Any]
Rng = np.random.Generator | None

RELU_FAMILY = frozenset(
    {
        "relu",
        "leaky_relu",
        "relu6",
        "elu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "softplus",
    }
)

# The scales: a weight's standard deviation, as gain / √(how many numbers are added up).


def he_normal(fan_in: int, size: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal with standard deviation √(2 / fan_in), for the relu family.

    A relu zeroes half of its inputs; the 2 makes up for it. Source: He et al., 2015, section 2.2.
    """
    return rng.normal(0.0, _he(fan_in, calculate_gain("relu")), size)


def glorot_uniform(
    fan_in: int, fan_out: int, size: tuple[int, ...], rng: np.random.Generator
) -> Array:
    """Uniform in ±√(6 / (fan_in + fan_out)), for tanh, sigmoid and linear outputs.

    Source: Glorot and Bengio, 2010, equation 16.
    """
    return _uniform(_glorot(fan_in, fan_out), size, rng)


def lecun_normal(fan_in: int, size: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Normal with standard deviation √(1 / fan_in), for selu.

    Source: LeCun et al., Efficient backprop, 1998, section 4.6; Klambauer et al., 2017.
    """
    return rng.normal(0.0, _he(fan_in), size)


def for_activation(
    activation: str, fan_in: int, fan_out: int, size: tuple[int, ...], rng: np.random.Generator
) -> Array:
    """Weights for a layer that feeds ``activation``: He's, LeCun's or Glorot's."""
    if activation in RELU_FAMILY:
        return he_normal(fan_in, size, rng)
    if activation == "selu":
        return lecun_normal(fan_in, size, rng)
    return glorot_uniform(fan_in, fan_out, size, rng)


def _he(fan: int, gain: float = 1.0) -> float:
    return gain / math.sqrt(max(fan, 1))


def _glorot(fan_in: int, fan_out: int, gain: float = 1.0) -> float:
    return gain * math.sqrt(2.0 / max(fan_in + fan_out, 1))


def _uniform(std: float, size: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Uniform around 0: in ±b, the standard deviation is b / √3."""
    bound = math.sqrt(3.0) * std
    return rng.uniform(-bound, bound, size)


_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2),
    "selu": 3 / 4,
}
_GAINS |= {f"conv{n}d": 1.0 for n in (1, 2, 3)} | {f"conv_transpose{n}d": 1.0 for n in (1, 2, 3)}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much weights should be larger to make up for an activation, as PyTorch has it.

    Args:
        nonlinearity: ``"relu"``, ``"leaky_relu"``, ``"tanh"``, ``"sigmoid"``, ``"selu"``,
            ``"linear"``, or a convolution, which is linear.
        param: the negative slope of ``"leaky_relu"``, 0.01 if None.

    Raises:
        UnknownNameError: there is no gain for it; the message lists the known ones.
    """
    if nonlinearity not in _GAINS:
        raise tg.UnknownNameError("nonlinearity with a gain", nonlinearity, _GAINS)
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    return _GAINS[nonlinearity]


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many numbers an output of a layer adds up, and how many outputs an input goes to.

    Args:
        shape: of a weight: ``(out, in)``, or ``(out, in / groups, *kernel)`` of a convolution.

    Raises:
        ShapeError: it has fewer than two axes.

    >>> fans((16, 3, 5, 5))
    (75, 400)
    """
    if len(shape) < 2:
        raise tg.ShapeError(
            f"there is no fan_in and fan_out for shape {shape}: a weight is (out, in) or"
            " (out, in / groups, *kernel); fill a bias with zeros_"
        )
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


# In place, by PyTorch's names


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Rng = None,
) -> Tensor:
    """Uniform with the standard deviation gain / √fan. Source: He et al., 2015.

    Args:
        tensor: the weight to fill.
        a: the negative slope, for ``"leaky_relu"``.
        mode: ``"fan_in"`` keeps the variance of signals, ``"fan_out"`` that of gradients.
        nonlinearity: the activation that follows, whose gain to take.
        rng: where chance comes from; the shared generator by default.
    """
    std = _he(_fan(tensor, mode), calculate_gain(nonlinearity, a))
    return _fill(tensor, _uniform(std, tensor.shape, random.generator(rng)))


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: Literal["fan_in", "fan_out"] = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    rng: Rng = None,
) -> Tensor:
    """Normal with the standard deviation gain / √fan; arguments as for ``kaiming_uniform_``."""
    std = _he(_fan(tensor, mode), calculate_gain(nonlinearity, a))
    return _fill(tensor, random.generator(rng).normal(0.0, std, tensor.shape))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Uniform with the standard deviation gain √(2 / (fan_in + fan_out)), as Glorot's."""
    std = _glorot(*fans(tensor.shape), gain)
    return _fill(tensor, _uniform(std, tensor.shape, random.generator(rng)))


def xavier_normal_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Normal with the standard deviation gain √(2 / (fan_in + fan_out)), as Glorot's."""
    std = _glorot(*fans(tensor.shape), gain)
    return _fill(tensor, random.generator(rng).normal(0.0, std, tensor.shape))


def lecun_uniform_(tensor: Tensor, *, rng: Rng = None) -> Tensor:
    """Uniform with the standard deviation √(1 / fan_in)."""
    return kaiming_uniform_(tensor, nonlinearity="linear", rng=rng)


def lecun_normal_(tensor: Tensor, *, rng: Rng = None) -> Tensor:
    """Normal with the standard deviation √(1 / fan_in)."""
    return kaiming_normal_(tensor, nonlinearity="linear", rng=rng)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Normal with this mean and standard deviation."""
    _check_std(std)
    return _fill(tensor, random.generator(rng).normal(mean, std, tensor.shape))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Uniform in ``[a, b)``."""
    _check_bounds(a, b)
    return _fill(tensor, random.generator(rng).uniform(a, b, tensor.shape))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    rng: Rng = None,
) -> Tensor:
    """Normal, where what falls outside ``[a, b]`` is drawn again.

    Raises:
        ConfigurationError: the bounds hold less than a thousandth of the distribution.
    """
    _check_bounds(a, b)
    if not std > 0:
        raise ConfigurationError(f"trunc_normal_ takes a std above 0, not {std!r}")
    below = [0.5 * math.erfc((mean - x) / (math.sqrt(2) * std)) for x in (a, b)]
    if not below[1] - below[0] >= 1e-3:
        raise ConfigurationError(
            "trunc_normal_ would draw nearly forever: less than a thousandth of a normal"
            f" distribution with mean {mean} and standard deviation {std} is in [{a}, {b}]"
        )
    generator = random.generator(rng)
    data = generator.normal(mean, std, tensor.shape)
    while np.any(outside := (data < a) | (data > b)):
        data[outside] = generator.normal(mean, std, np.count_nonzero(outside))
    return _fill(tensor, data)


def orthogonal_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """gain times a matrix of orthonormal rows, or columns where there are more rows.

    The axes from the second on count as one. Source: Saxe, McClelland and Ganguli, 2014.
    """
    fans(tensor.shape)
    shape = (tensor.shape[0], math.prod(tensor.shape[1:]))
    tall = random.generator(rng).normal(size=(max(shape), min(shape)))
    q, r = np.linalg.qr(tall)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)  # or the signs would not be left to chance
    return _fill(tensor, gain * (q if q.shape == shape else q.T).reshape(tensor.shape))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """The number ``val`` everywhere."""
    return _fill(tensor, np.full(tensor.shape, val))


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """1 on the diagonal of a matrix, and 0 elsewhere: a linear layer that passes its input on."""
    if tensor.ndim != 2:
        raise tg.ShapeError(f"eye_ fills matrices, not a Tensor of shape {tensor.shape}")
    rows, columns = tensor.shape
    return _fill(tensor, np.eye(rows, columns))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution that passes its input on: 1 in the middle of the kernel from channel to same.

    Args:
        tensor: a weight ``(out, in / groups, *kernel)``.
        groups: the groups of the convolution; each passes its channels on.
    """
    if tensor.ndim < 3 or groups < 1 or tensor.shape[0] % groups:
        raise tg.ShapeError(
            f"dirac_ fills (out, in / groups, *kernel) with groups={groups} that divide out, not a"
            f" Tensor of shape {tensor.shape}"
        )
    data = np.zeros(tensor.shape)
    index: tuple[Any, ...] = (..., *(length // 2 for length in tensor.shape[2:]))
    middle = data[index]
    each = tensor.shape[0] // groups
    for channel in range(min(each, tensor.shape[1])):
        middle[channel::each, channel] = 1.0
    return _fill(tensor, data)


def _fan(tensor: Tensor, mode: str) -> int:
    found = dict(zip(("fan_in", "fan_out"), fans(tensor.shape), strict=True))
    if mode not in found:
        raise tg.UnknownNameError("mode of kaiming", mode, found)
    return found[mode]


def _check_std(std: float) -> None:
    if not std >= 0:
        raise ConfigurationError(f"a standard deviation is at least 0, not {std!r}")


def _check_bounds(a: float, b: float) -> None:
    if not a <= b:
        raise ConfigurationError(f"the lower bound {a!r} must not be above the upper one {b!r}")


def _fill(tensor: Tensor, data: Array) -> Tensor:
    """Set the data of a Tensor in place."""
    tensor.data[...] = data
    mark_changed(tensor)
    return tensor
