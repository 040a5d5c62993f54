"""The functions that modules are made of, by PyTorch's names: activations, losses, distances.

What the engine has is the engine's, whose ``axis`` is PyTorch's ``dim``. The rest is put together
from its operations here, one formula each. Losses of numbers also take lists of Values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_edu as tg
from nn.errors import ConfigurationError
from tinygrad_edu import (
    Tensor,
    Value,
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    batch_norm,
    binary_cross_entropy_with_logits,
    composite,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cross_entropy,
    dropout,
    elu,
    embedding,
    fold,
    gelu,
    group_norm,
    hardswish,
    hardtanh,
    interpolate,
    layer_norm,
    leaky_relu,
    linear,
    log_softmax,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    mish,
    pad,
    relu,
    relu6,
    rms_norm,
    scaled_dot_product_attention,
    selu,
    sigmoid,
    silu,
    softmax,
    softsign,
    tanh,
    unfold,
)
from tinygrad_edu.graph import Node, plain
from tinygrad_edu.ops.fused import bernoulli_loss
from tinygrad_edu.ops.targets import (
    REDUCTIONS,
    at_labels,
    check_labels,
    check_reduction,
    check_shares,
    check_signs,
    check_target,
    class_weights,
    classes_last,
    entry_weights,
    reduce_labelled,
    refuse,
    times,
)

Array = np.ndarray[Any, Any]

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hinge_loss",
    "huber_loss",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "mish",
    "mse_loss",
    "multi_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "triplet_margin_loss",
    "unfold",
]

# Activations. At a kink the derivative is PyTorch's.


@composite()
def celu(x: Any, alpha: float = 1.0) -> Any:
    """x for x > 0, else ``alpha (exp(x / alpha) - 1)``. Source: Barron, 2017."""
    if alpha == 0:
        raise ConfigurationError("celu divides by its alpha, which cannot be 0")
    return alpha * elu(x / alpha)


@composite()
def softplus(x: Any, beta: float = 1.0) -> Any:
    """``log(1 + exp(beta x)) / beta``, without overflow. Source: Dugas et al., 2001."""
    if not beta > 0:
        raise ConfigurationError(f"softplus divides by its beta, which is above 0, not {beta!r}")
    return tg.softplus(x) if beta == 1 else tg.softplus(beta * x) / beta


@composite()
def logsigmoid(x: Any) -> Any:
    """``log(1 / (1 + exp(-x)))``, without overflow."""
    return -tg.softplus(-x)


@composite()
def hardsigmoid(x: Any) -> Any:
    """``min(max(x / 6 + 1/2, 0), 1)``; at -3 and 3 the slope is 0."""
    return relu6(x + 3.0) / 6.0


@composite()
def tanhshrink(x: Any) -> Any:
    """``x - tanh(x)``."""
    return x - tanh(x)


@composite()
def softshrink(x: Any, lambd: float = 0.5) -> Any:
    """x moved towards 0 by ``lambd``, and 0 where it would pass it; there the slope is 0."""
    if not lambd >= 0:
        raise ConfigurationError(f"softshrink takes a lambd of at least 0, not {lambd!r}")
    return x - tg.clip(x, -lambd, lambd)


@composite()
def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    """x, and 0 from ``-lambd`` to ``lambd``."""
    return tg.where((plain(x) > lambd) | (plain(x) < -lambd), x, 0.0)


@composite()
def threshold(x: Any, threshold: float, value: float) -> Any:
    """x where it is above ``threshold``, else ``value``."""
    return tg.where(plain(x) > threshold, x, value)


@composite()
def prelu(x: Any, weight: Any) -> Any:
    """x for x > 0, else ``weight x``. Source: He et al., 2015.

    Args:
        x: ``(N, C, ...)``.
        weight: ``(1,)``, or ``(C,)`` for a slope per channel.

    Raises:
        ShapeError: there are other than one or C slopes.
    """
    slopes = weight.shape[0] if len(weight.shape) == 1 else 0
    channels = x.shape[1] if len(x.shape) > 1 else 1
    if slopes not in (1, channels):
        raise tg.ShapeError(
            f"prelu takes a weight (1,) or, for x {tuple(x.shape)}, ({channels},), not of shape"
            f" {tuple(weight.shape)}"
        )
    if slopes > 1:
        weight = tg.reshape(weight, (slopes, *(1,) * (len(x.shape) - 2)))
    return tg.where(plain(x) > 0, x, weight * x)


@composite()
def glu(x: Any, axis: int = -1) -> Any:
    """``a sigmoid(b)``, with a and b the halves of x along ``axis``. Source: Dauphin et al., 2017.

    Raises:
        ShapeError: that axis is of odd length.
    """
    if x.shape[axis] % 2:
        raise tg.ShapeError(
            f"glu halves axis {axis} of x {tuple(x.shape)}, whose length must be even"
        )
    a, b = tg.split(x, 2, axis)
    return a * sigmoid(b)


@composite()
def softmin(x: Any, axis: int = -1) -> Any:
    """``exp(-x) / Σ exp(-x)`` over ``axis``."""
    return softmax(-x, axis)


# Losses of numbers, entry by entry


@composite()
def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of ``(input - target)²``.

    Args:
        input: any shape; or a list of Values.
        target: the same shape.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: the shapes differ, or there is no mean since there are no entries.

    >>> import nn
    >>> from tinygrad_edu import Value
    >>> nn.functional.mse_loss([Value(1.0), Value(5.0)], [1.0, 2.0]).data
    4.5
    """
    return _entrywise("mse_loss", lambda x, t: (x - t) ** 2, input, target, reduction)


@composite()
def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of ``|input - target|``; arguments as for ``mse_loss``."""
    return _entrywise("l1_loss", lambda x, t: abs(x - t), input, target, reduction)


@composite()
def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """The mean of ``½ d²`` where ``|d| < delta``, and ``delta (|d| - ½ delta)`` elsewhere.

    Here d is ``input - target``; arguments as for ``mse_loss``. Source: Huber, 1964.
    """
    if not delta > 0:
        raise ConfigurationError(f"huber_loss takes a delta above 0, not {delta!r}")

    def loss(x: Any, t: Any) -> Any:
        d = x - t
        c = tg.clip(d, -delta, delta)
        return c * (d - 0.5 * c)  # both of the formulas, and no square that overflows

    return _entrywise("huber_loss", loss, input, target, reduction)


@composite()
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """The mean of ``½ d² / beta`` where ``|d| < beta``, and ``|d| - ½ beta`` elsewhere.

    Here d is ``input - target``; arguments as for ``mse_loss``. Source: Girshick, 2015.
    """
    if not beta >= 0:
        raise ConfigurationError(f"smooth_l1_loss takes a beta of at least 0, not {beta!r}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    return huber_loss(input, target, reduction, beta) / beta


@composite()
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The mean of ``-t log p - (1 - t) log(1 - p)``, where no logarithm is below -100.

    ``binary_cross_entropy_with_logits`` is exact for every logit, also where p would round to 1.

    Args:
        input: p, of any shape, each in ``[0, 1]``; or a list of Values.
        target: t, of the same shape, each in ``[0, 1]``.
        weight: a factor for each entry, broadcasting; or None.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: the shapes differ, or there are no entries.
        TargetError: an entry is outside ``[0, 1]``, or nan.
    """
    name = "binary_cross_entropy"

    def check(p: Array, t: Array) -> None:
        check_shares(f"{name}, which takes what a sigmoid returns,", p, "input")
        check_shares(name, t)

    return _entrywise(name, bernoulli_loss, input, target, reduction, weight, check)


@composite()
def hinge_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """The mean of ``max(0, margin - target * input)``: the max-margin loss of two classes.

    Source: Cortes and Vapnik, 1995.

    Args:
        input: scores of any shape, positive for one class; or a list of Values.
        target: 1 or -1 for each, in the same shape.
        margin: how far on the right side of 0 a score has to be.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: the shapes differ, or there are no entries.
        TargetError: a target is neither 1 nor -1.

    >>> import nn
    >>> from tinygrad_edu import Value
    >>> nn.functional.hinge_loss([Value(0.5), Value(-3.0)], [1, -1]).data
    0.25
    """
    name = "hinge_loss"
    return _entrywise(
        name,
        lambda x, t: relu(margin - t * x),
        input,
        target,
        reduction,
        check=lambda x, t: check_signs(name, t),
    )


@composite()
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The mean of ``log(1 + exp(-target * input))``: the logistic loss, for targets 1 and -1.

    Arguments and errors as for ``hinge_loss``.
    """
    name = "soft_margin_loss"
    return _entrywise(
        name,
        lambda x, t: tg.softplus(-t * x),
        input,
        target,
        reduction,
        check=lambda x, t: check_signs(name, t),
    )


@composite()
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """The Kullback-Leibler divergence ``Σ target (log target - input)`` of the target from input.

    Args:
        input: the logarithms of the model's probabilities, of any shape.
        target: probabilities of the same shape, or their logarithms.
        reduction: ``"batchmean"``, the sum divided by the length of the first axis, is the
            divergence of the mathematicians; ``"mean"`` divides by the number of all entries;
            ``"sum"`` or ``"none"``.
        log_target: whether the target is given as logarithms.

    Raises:
        ShapeError: the shapes differ, or there are no entries.
        TargetError: a probability is outside ``[0, 1]``.
    """

    def loss(x: Any, t: Any) -> Any:
        if log_target:
            return tg.exp(t) * (t - x)
        return t * (tg.log(tg.where(plain(t) > 0, t, 1.0)) - x)  # 0 log 0 is 0

    def check(x: Array, t: Array) -> None:
        if not log_target:
            check_shares("kl_div", t)

    summed = "sum" if reduction == "batchmean" else reduction
    y = _entrywise("kl_div", loss, input, target, summed, check=check)
    return y / _length("kl_div", input) if reduction == "batchmean" else y


@composite()
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """The mean of ``exp(input) - target * input``: counts, with a rate whose logarithm is given.

    Args:
        input: the logarithm of the rate, of any shape; or a list of Values.
        target: how many were counted, in the same shape.
        log_input: whether input is a logarithm; if not, the loss is
            ``input - target * log(input + eps)``.
        full: add Stirling's ``t log t - t + ½ log(2πt)`` for ``log t!``, for targets t above 1.
        eps: what keeps the logarithm of 0 finite.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: the shapes differ, or there are no entries.
        TargetError: a target is negative.
    """

    def loss(x: Any, t: Any) -> Any:
        losses = tg.exp(x) - t * x if log_input else x - t * tg.log(x + eps)
        if full:
            many = tg.where(plain(t) > 1, t, 1.0)
            stirling = many * tg.log(many) - many + 0.5 * tg.log(2 * math.pi * many)
            losses = losses + tg.where(plain(t) > 1, stirling, 0.0)
        return losses

    def check(x: Array, t: Array) -> None:
        refuse("poisson_nll_loss", "target", t, ~(t >= 0), "and counts are at least 0")

    return _entrywise("poisson_nll_loss", loss, input, target, reduction, check=check)


@composite()
def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """The mean of ``½ (log var + (input - target)² / var)``: a normal distribution's likelihood.

    Source: Nix and Weigend, 1994.

    Args:
        input: the mean of the distribution, of any shape.
        target: what was seen, in the same shape.
        var: its variance, in the same shape, or with 1 as the last length, or without that axis.
        full: add ``½ log 2π``.
        eps: the least variance that counts.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: the shapes differ, or there are no entries.
        TargetError: a variance is negative.
    """
    name = "gaussian_nll_loss"
    input, target = _operands(name, input, target)
    var = var if isinstance(var, Node) else Tensor(var, dtype=input.dtype)
    if var.shape == input.shape[:-1]:
        var = tg.expand_dims(var, -1)
    if var.shape not in (input.shape, (*input.shape[:-1], 1)):
        raise tg.ShapeError(
            f"{name} takes a var of shape {input.shape}, {(*input.shape[:-1], 1)} or"
            f" {input.shape[:-1]}, not {var.shape}"
        )
    refuse(name, "var", var.data, ~(var.data >= 0), "and a variance is at least 0")

    def loss(x: Any, t: Any) -> Any:
        # What is added is a constant: a variance below eps still gets the gradient of eps.
        spread = var + np.maximum(eps - plain(var), 0)
        losses = 0.5 * (tg.log(spread) + (x - t) ** 2 / spread)
        return losses + 0.5 * math.log(2 * math.pi) if full else losses

    return _entrywise(name, loss, input, target, reduction)


# Losses of classes


@composite()
def nll_loss(
    input: Any, target: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """The mean of ``-input[target]``; of ``log_softmax(logits)`` that is their cross-entropy.

    Args:
        input: the logarithms of probabilities, ``(N, classes)``; ``(N, classes, ...)`` for a label
            at every place; ``(classes,)`` without a batch.
        target: integers in ``[0, classes)``, in the shape of the input without the classes.
        weight: ``(classes,)``, a factor for each class, or None.
        ignore_index: a label that does not count, in the mean either.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``. A mean is divided by the sum of the weights.

    Raises:
        ShapeError: ``target`` has another shape, or there is none.
        TargetError: ``target`` is not of integers, or one is out of range, or all are ignored.
    """
    check_reduction("nll_loss", reduction)
    input, labels = _labelled("nll_loss", "log-probabilities", input, target)
    weight = class_weights("nll_loss", weight, input, input.shape[-1])
    known = np.where(labels == ignore_index, 0, labels)
    check_labels("nll_loss", "log-probabilities", input.shape[-1], known)
    losses = times(-input[at_labels(known)], None if weight is None else weight[known])
    return reduce_labelled("nll_loss", losses, labels, weight, ignore_index, reduction)


@composite()
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    reduction: str = "mean",
) -> Any:
    """The mean of ``Σ max(0, margin - input[target] + input[c])ᵖ / classes`` over other classes c.

    Source: Crammer and Singer, 2001.

    Args:
        input: scores ``(N, classes)``, or ``(classes,)`` without a batch.
        target: ``(N,)`` integers in ``[0, classes)``.
        p: 1 or 2.
        margin: how far above the others the score of the right class has to be.
        weight: ``(classes,)``, a factor for each class, or None.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: ``target`` has another shape, or there is none.
        TargetError: ``target`` is not of integers, or one is out of range.
    """
    check_reduction("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise ConfigurationError(f"multi_margin_loss takes p=1 or p=2, not {p!r}")
    input, labels = _labelled("multi_margin_loss", "scores", input, target)
    classes = input.shape[-1]
    check_labels("multi_margin_loss", "scores", classes, labels)
    weight = class_weights("multi_margin_loss", weight, input, classes)
    short = relu(margin - tg.expand_dims(input[at_labels(labels)], -1) + input)
    others = tg.where(labels[..., None] == np.arange(classes), 0.0, short**p)
    losses = times(others.sum(-1) / classes, None if weight is None else weight[labels])
    return REDUCTIONS[reduction](losses)


# Losses of distances and orders


@composite()
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """The mean of ``1 - cos`` where the target is 1, and ``max(0, cos - margin)`` where it is -1.

    Args:
        input1: ``(N, features)``, or ``(features,)`` without a batch.
        input2: the same shape.
        target: ``(N,)``, 1 for a pair that belongs together and -1 for one that does not.
        margin: the cosine up to which a pair counts as apart.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: the shapes don't match.
        TargetError: a target is neither 1 nor -1.
    """
    name = "cosine_embedding_loss"
    input1, input2 = _operands(name, input1, input2)
    return _entrywise(
        name,
        lambda cosine, t: tg.where(plain(t) > 0, 1 - cosine, relu(cosine - margin)),
        cosine_similarity(input1, input2, -1),
        target,
        reduction,
        check=lambda cosine, t: check_signs(name, t),
    )


@composite()
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean"
) -> Any:
    """The mean of ``max(0, margin - target * (input1 - input2))``.

    Args:
        input1: scores of any shape.
        input2: scores of the same shape.
        target: 1 where input1 should be larger, -1 where input2 should, in the same shape.
        margin: by how much.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: the shapes differ, or there are no entries.
        TargetError: a target is neither 1 nor -1.
    """
    name = "margin_ranking_loss"
    input1, input2 = _operands(name, input1, input2)
    return _entrywise(
        name,
        lambda ahead, t: relu(margin - t * ahead),
        input1 - input2,
        target,
        reduction,
        check=lambda ahead, t: check_signs(name, t),
    )


@composite()
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """The mean of ``max(0, |anchor - positive| - |anchor - negative| + margin)``.

    Source: Schroff, Kalenichenko and Philbin, 2015.

    Args:
        anchor: ``(N, features)``, or ``(features,)`` without a batch.
        positive: of the same kind as the anchor, in the same shape.
        negative: of another kind, in the same shape.
        margin: how much farther the negative has to be.
        p: which norm the distances are.
        eps: what is added to each difference.
        swap: take the distance of the negative from the positive where that is smaller. Source:
            Balntas et al., 2016.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Raises:
        ShapeError: the shapes differ, or there are no entries.
    """
    name = "triplet_margin_loss"
    anchor, positive = _operands(name, anchor, positive)
    anchor, negative = _operands(name, anchor, negative)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = tg.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _entrywise(name, lambda x, t: relu(x - t + margin), near, far, reduction)


# Distances, and the like


@composite()
def cosine_similarity(x1: Any, x2: Any, axis: int = 1, eps: float = 1e-8) -> Any:
    """``x1·x2 / (|x1| |x2|)`` over ``axis``, where no norm counts as less than ``eps``."""
    return tg.sum(normalize(x1, axis=axis, eps=eps) * normalize(x2, axis=axis, eps=eps), axis)


@composite()
def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False
) -> Any:
    """The p-norm of ``x1 - x2 + eps`` over the last axis."""
    return tg.norm(x1 - x2 + eps, p, -1, keepdims)


@composite()
def normalize(x: Any, p: float = 2.0, axis: int = 1, eps: float = 1e-12) -> Any:
    """``x / |x|``, with the p-norm over ``axis``, which counts as at least ``eps``."""
    return x / tg.maximum(tg.norm(x, p, axis, True), eps)


def one_hot(labels: Any, num_classes: int = -1) -> Any:
    """A row of zeros for each label, with a 1 at the label: integers ``(*labels.shape, classes)``.

    Args:
        labels: integers of any shape, each in ``[0, num_classes)``.
        num_classes: the number of classes; -1 for one more than the largest label.

    Raises:
        TargetError: the labels are not integers, or one is out of range.

    >>> import nn
    >>> nn.functional.one_hot([2, 0])
    array([[0, 0, 1],
           [1, 0, 0]])
    """
    labels = np.asarray(plain(labels))
    if labels.dtype.kind not in "iu":
        raise tg.TargetError(f"one_hot takes integer labels, not {labels.dtype}")
    if num_classes == -1 and not labels.size:
        raise tg.TargetError("one_hot needs num_classes= where there are no labels")
    classes = int(labels.max()) + 1 if num_classes == -1 else num_classes
    check_labels("one_hot", "rows", classes, labels)
    return (labels[..., None] == np.arange(classes)).astype(np.int64)


# How losses take their inputs


def _entrywise(
    name: str,
    loss: Callable[[Any, Any], Any],
    input: Any,
    target: Any,
    reduction: str,
    weight: Any = None,
    check: Callable[[Array, Array], None] = lambda x, t: None,
) -> Any:
    """The losses of all entries as one number, for Tensors and for Values.

    Args:
        name: of the function, for messages.
        loss: the loss of an entry.
        input: a Tensor, what makes one, a Value, or a list of Values.
        target: the same.
        reduction: what to do with the losses.
        weight: a factor for each; or None.
        check: raises where the data make no sense.
    """
    check_reduction(name, reduction)
    if _is_of_values(input) or _is_of_values(target):
        return _of_values(name, loss, input, target, reduction, weight, check)
    input, target = _operands(name, input, target)
    if not math.prod(input.shape) and reduction == "mean":
        raise tg.ShapeError(f"{name} has no mean: there are no entries in shape {input.shape}")
    check(plain(input), plain(target))
    losses = loss(input, target)
    return REDUCTIONS[reduction](times(losses, entry_weights(name, "weight", weight, losses)))


def _operands(name: str, input: Any, target: Any) -> tuple[Any, Any]:
    """The input as a Tensor, and the target in its shape; numbers take the input's dtype."""
    input = input if isinstance(input, Node) else Tensor(input)
    if not hasattr(target, "dtype"):
        target = Tensor(target, dtype=input.dtype)
    if target.shape != input.shape:
        raise tg.ShapeError(
            f"{name} takes two arrays of one shape; it got {input.shape} and {target.shape}"
            + _accident(input.shape, target.shape)
        )
    if target.dtype.kind != "f":
        target = plain(target).astype(input.dtype if input.dtype.kind == "f" else np.float64)
    return input, target


def _accident(shape: tuple[int, ...], other: tuple[int, ...]) -> str:
    """What would come of two shapes that differ, and what was probably meant."""
    try:
        would = f", which would broadcast to {np.broadcast_shapes(shape, other)}"
    except ValueError:
        would = ""
    meant = f": reshape one, as in target.reshape{shape}"
    return would + (meant if math.prod(shape) == math.prod(other) else "")


def _is_of_values(x: Any) -> bool:
    return isinstance(x, Value) or (isinstance(x, list | tuple) and any(map(_is_of_values, x)))


def _of_values(
    name: str,
    loss: Callable[[Any, Any], Any],
    input: Any,
    target: Any,
    reduction: str,
    weight: Any,
    check: Callable[[Array, Array], None],
) -> Any:
    """The loss of Values: a Value and a number, or a list of them and as many numbers."""
    inputs, targets = _numbers(name, input), _numbers(name, target)
    if len(inputs) != len(targets) or not inputs:
        raise tg.ShapeError(
            f"{name} takes as many Values as targets; it got {len(inputs)} and {len(targets)}"
        )
    weights = [None] * len(inputs) if weight is None else _numbers(name, weight)
    if len(weights) != len(inputs):
        raise tg.ShapeError(f"{name} takes a weight for each of {len(inputs)}, not {len(weights)}")
    check(np.array(list(map(plain, inputs))), np.array(list(map(plain, targets))))
    losses = [times(loss(x, t), w) for x, t, w in zip(inputs, targets, weights, strict=True)]
    if reduction == "none":
        return losses
    total = sum(losses[1:], start=losses[0])
    return total / len(losses) if reduction == "mean" else total


def _numbers(name: str, x: Any) -> list[Any]:
    """One Value or number, or a row of them, as a list."""
    x = x.tolist() if isinstance(x, np.ndarray | np.generic) else x
    numbers = list(x) if isinstance(x, list | tuple) else [x]
    for i, number in enumerate(numbers):
        if isinstance(number, list | tuple):
            raise tg.ShapeError(
                f"{name} takes a row of Values; entry {i} is a {type(number).__name__} of them:"
                " take the losses of the rows, and add them up"
            )
    return numbers


def _labelled(name: str, scores: str, input: Any, target: Any) -> tuple[Any, Any]:
    """The input as a Tensor, classes last, and the labels as an array that matches it."""
    input = input if isinstance(input, Node) else Tensor(input)
    labels = np.asarray(plain(target))
    check_target(name, scores, input, labels)
    return classes_last(input), labels


def _length(name: str, x: Any) -> int:
    """The length of the first axis."""
    shape = np.shape(plain(x))
    if not shape or not shape[0]:
        raise tg.ShapeError(f'{name} has reduction="batchmean" for a batch, not for shape {shape}')
    return int(shape[0])
