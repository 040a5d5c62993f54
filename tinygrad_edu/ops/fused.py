"""Several steps as one op, where that is more stable or faster than the steps.

An op whose rule reads what its forward saved has a ``definition`` in terms of other ops: that is
what a second derivative goes through, and what the tests compare it with.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.errors import IndexingError, OperandError, ShapeError
from tinygrad_edu.graph import plain
from tinygrad_edu.ops.activation import sigmoid, softplus
from tinygrad_edu.ops.declare import Op, composite, elementwise, primitive
from tinygrad_edu.ops.einsum import matmul
from tinygrad_edu.ops.elementwise import exp, log, maximum, where
from tinygrad_edu.ops.exponentials import exponentials
from tinygrad_edu.ops.indexing import getitem
from tinygrad_edu.ops.reduction import mean, sum
from tinygrad_edu.ops.shape import reshape
from tinygrad_edu.ops.standardization import moments, standardize
from tinygrad_edu.ops.targets import (
    REDUCTIONS,
    at_labels,
    check_distributions,
    check_labels,
    check_reduction,
    check_shares,
    check_target,
    class_weights,
    classes_last,
    entry_weights,
    reduce_labelled,
    times,
)


def _rows(x: Any) -> Any:
    # One product of matrices: NumPy would multiply more axes one by one, and, where the last is not
    # contiguous, a thousand times slower.
    return x.reshape((math.prod(x.shape[:-1]), x.shape[-1]))


@primitive(
    lambda g, y, x, weight, bias: (_rows(g) @ weight).reshape(x.shape),
    lambda g, y, x, weight, bias: _rows(g).mT @ _rows(x),
    lambda g, y, x, weight, bias: g,
)
def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """``x @ weight.T + bias``.

    Args:
        x: ``(..., in_features)``.
        weight: ``(out_features, in_features)``.
        bias: ``(out_features,)``, or None.

    Returns:
        ``(..., out_features)``.
    """
    y = np.matmul(_rows(x), np.transpose(weight)).reshape((*x.shape[:-1], len(weight)))
    if bias is None:
        return y
    return np.add(y, bias, out=y) if y.dtype == np.result_type(y, bias) else y + bias


@primitive(lambda g, y, x, axis: y * (g - sum(g * y, axis, True)))
def softmax(x: Any, axis: int = -1) -> Any:
    """``exp(x) / Σ exp(x)`` over ``axis``, without overflow."""
    _, e, total = exponentials(x, axis)  # subtracting the maximum changes nothing
    return np.divide(e, total, out=e)


@primitive(lambda g, y, x, axis: g - exp(y) * sum(g, axis, True))
def log_softmax(x: Any, axis: int = -1) -> Any:
    """``x - log Σ exp(x)`` over ``axis``, without overflow."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


# Losses of classification


def _label_cross_entropy_definition(logits: Any, target: Any, averaged: bool) -> Any:
    rows = -getitem(log_softmax(logits), at_labels(np.asarray(plain(target))))
    return mean(rows) if averaged else rows


def _label_cross_entropy_rule(
    g: Any, y: Any, logits: Any, target: Any, averaged: bool, saved: Any
) -> Any:
    # For each row ∂y/∂logits = softmax(logits) - onehot(target); averaged, that by their number.
    # The forward kept e = exp(logits - largest) and Σ e, and left the division of all of e to here.
    e, total = saved
    if averaged:
        g = g / target.size
    d = e * (g / total)[..., None]
    d[at_labels(target)] -= g
    return d


@primitive(
    _label_cross_entropy_rule,
    None,
    symbol="cross_entropy",
    saves=True,
    definition=_label_cross_entropy_definition,
)
def label_cross_entropy(logits: Any, target: Any, averaged: bool = False) -> Any:
    """``-log softmax(logits)[target]`` of every row, or their mean.

    Args:
        logits: ``(..., classes)``.
        target: ``(...)`` labels.
    """
    check_labels("cross_entropy", "logits", logits.shape[-1], target)
    largest, e, total = exponentials(logits)
    largest, total = largest[..., 0], total[..., 0]
    rows = np.log(total) - (logits[at_labels(target)] - largest)
    return rows.mean() if averaged else rows, (e, total)


@composite()
def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The mean of ``-log softmax(logits)[target]`` over a batch.

    In general, of ``-Σ weight[c] p[c] log softmax(logits)[c]`` over the classes c, with the target
    as probabilities p: all of it on the label, and ``label_smoothing`` spread evenly.

    Args:
        logits: ``(N, classes)``, before any softmax; ``(N, classes, ...)`` for a label at every
            place, as of an image; ``(classes,)`` without a batch.
        target: integers, each in ``[0, classes)``, in the shape of the logits without the classes;
            or floats in ``[0, 1]``, in the shape of the logits, for p itself.
        weight: ``(classes,)``, a factor for each class, or None.
        ignore_index: a label that does not count, in the mean either.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``. A mean over labels is divided by the sum of
            their weights, as in PyTorch.
        label_smoothing: the part in ``[0, 1]`` that goes to all classes evenly. Source: Szegedy et
            al., Rethinking the inception architecture, 2015.

    Raises:
        ShapeError: ``target`` has another shape, or there is none.
        TargetError: ``target`` is not of integers or probabilities, or one is out of range, or
            the probabilities of a row don't sum to 1, or there is no mean since all are ignored.
    """
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise OperandError(
            f"cross_entropy takes label_smoothing= in [0, 1], not {label_smoothing!r}"
        )
    target = target if hasattr(target, "shape") else np.asarray(target)
    check_target("cross_entropy", "logits", logits, target, takes_shares=True)
    logits = classes_last(logits)
    weight = class_weights("cross_entropy", weight, logits, logits.shape[-1])
    if target.dtype.kind == "f":
        check_distributions("cross_entropy", target)
        shares = (1 - label_smoothing) * classes_last(target) + label_smoothing / logits.shape[-1]
        return REDUCTIONS[reduction](-sum(log_softmax(logits) * times(shares, weight), -1))
    return _cross_entropy_of_labels(
        logits, plain(target), weight, ignore_index, reduction, label_smoothing
    )


def _cross_entropy_of_labels(
    logits: Any, labels: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    ignored = labels == ignore_index
    ignores = bool(ignored.any())
    if reduction == "mean" and weight is None and not (ignores or label_smoothing):
        return label_cross_entropy(logits, labels, averaged=True)
    known = np.where(ignored, 0, labels) if ignores else labels
    losses = label_cross_entropy(logits, known)
    losses = times(losses, None if weight is None else getitem(weight, known))
    if label_smoothing:
        even = mean(times(-log_softmax(logits), weight), -1)
        losses = (1 - label_smoothing) * losses + label_smoothing * even
    return reduce_labelled("cross_entropy", losses, labels, weight, ignore_index, reduction)


def _as_float(target: Any, logits: Any) -> Any:
    """Whole labels in the dtype of the logits, which int64 would widen to float64."""
    return target if target.dtype.kind == "f" else target.astype(logits.dtype)


@primitive(
    lambda g, y, logits, target: g * (sigmoid(logits) - _as_float(target, logits)),
    lambda g, y, logits, target: -g * logits,
    symbol="binary_cross_entropy",
)
def logistic_loss(logits: Any, target: Any) -> Any:
    """``-t log sigmoid(z) - (1 - t) log(1 - sigmoid(z))`` of every entry, without overflow."""
    if logits.shape != target.shape or not target.size:
        raise ShapeError(
            "binary_cross_entropy_with_logits takes logits and targets of one shape that is not"
            f" empty; it got logits {logits.shape} and targets {target.shape}"
        )
    check_shares("binary_cross_entropy_with_logits", target)
    # max(z, 0) - z t + log(1 + exp(-|z|)): no exp exceeds 1.
    z, t = logits, _as_float(target, logits)
    return np.maximum(z, 0) - z * t + np.log1p(np.exp(-np.abs(z)))


@composite()
def binary_cross_entropy_with_logits(
    logits: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """The mean of ``-t log sigmoid(z) - (1 - t) log(1 - sigmoid(z))``, without overflow.

    Args:
        logits: z, of any shape, before any sigmoid.
        target: t, of the same shape, each in ``[0, 1]``.
        weight: a factor for each entry, broadcasting; or None.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: a factor for ``-t log sigmoid(z)``, broadcasting: above 1 it makes positives
            count more. Or None.

    Raises:
        ShapeError: the shapes differ, or there are no entries, or a weight does not broadcast.
        TargetError: a target is outside ``[0, 1]``, or nan.
    """
    check_reduction("binary_cross_entropy_with_logits", reduction)
    target = target if hasattr(target, "shape") else np.asarray(target)
    losses = logistic_loss(logits, target)
    name = "binary_cross_entropy_with_logits"
    weight = entry_weights(name, "weight", weight, losses)
    pos_weight = entry_weights(name, "pos_weight", pos_weight, losses)
    if pos_weight is not None:  # -log sigmoid(z) = softplus(-z)
        losses = losses + (pos_weight - 1) * _as_float(target, logits) * softplus(-logits)
    return REDUCTIONS[reduction](times(losses, weight))


def _bernoulli_of_float(p: float, t: float) -> float:
    return float(_bernoulli(np.float64(p), t))


def _bernoulli(p: Any, t: Any) -> Any:
    with np.errstate(divide="ignore"):
        yes, no = np.log(p), np.log1p(-p)
    return -t * np.maximum(yes, -100) - (1 - t) * np.maximum(no, -100)


def _smallest_slope(p: Any) -> float:
    # In halves 1e-12 would be 0.
    return max(1e-12, float(np.finfo(getattr(p, "dtype", float)).tiny))


def _log_at_least_minus_100(p: Any) -> Any:
    return where(p > 0, maximum(log(where(p > 0, p, 1.0)), -100.0), -100.0)


# The logarithms are at least -100, and the slope's denominator about 1e-12, as in PyTorch: so a
# probability of 0 for what is true has a finite loss, and still a gradient that pushes it away.
bernoulli_loss: Op = elementwise(
    "bernoulli_loss",
    "binary_cross_entropy",
    _bernoulli_of_float,
    _bernoulli,
    lambda g, y, p, t: g * ((p - t) / maximum(p * (1 - p), _smallest_slope(p))),
    lambda g, y, p, t: g * (_log_at_least_minus_100(1 - p) - _log_at_least_minus_100(p)),
    doc="-t log p - (1 - t) log(1 - p), where no logarithm is below -100.",
)


# Normalization


def _last_axes(name: str, x: Any, normalized_shape: Any, *parameters: Any) -> tuple[int, ...]:
    """The axes that ``normalized_shape`` names, which are the last of x."""
    single = isinstance(normalized_shape, int | np.integer)
    shape = (normalized_shape,) if single else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape or not math.prod(shape):
        raise ShapeError(
            f"{name}: x {x.shape} does not end in the normalized_shape {shape}, or that is empty"
        )
    for parameter in parameters:
        if parameter is not None and parameter.shape != shape:
            raise ShapeError(
                f"{name} takes a weight and a bias of the normalized_shape {shape}, not of"
                f" {parameter.shape}"
            )
    return tuple(range(-len(shape), 0))


@composite()
def layer_norm(
    x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """``(x - mean) / √(variance + eps) * weight + bias``, over the last axes of each sample.

    Source: Ba, Kiros and Hinton, Layer normalization, 2016.

    Args:
        x: ``(..., *normalized_shape)``.
        normalized_shape: the lengths of the axes to take mean and variance over, or of the last.
        weight: of the ``normalized_shape``, or None.
        bias: of the ``normalized_shape``, or None.
        eps: what keeps a constant sample from a division by 0.

    Raises:
        ShapeError: x does not end in ``normalized_shape``, or the parameters have another shape.
    """
    axes = _last_axes("layer_norm", x, normalized_shape, weight, bias)
    return standardize(x, weight, bias, axes, eps)


@composite()
def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """``x / √(mean(x²) + eps) * weight``, over the last axes of each sample.

    Source: Zhang and Sennrich, Root mean square layer normalization, 2019.

    Args:
        x: ``(..., *normalized_shape)``.
        normalized_shape: the lengths of the axes to take the mean over, or of the last.
        weight: of the ``normalized_shape``, or None.
        eps: what keeps a zero sample from a division by 0; by default what 1 and the next number
            of the dtype differ by.

    Raises:
        ShapeError: x does not end in ``normalized_shape``, or the weight has another shape.
    """
    axes = _last_axes("rms_norm", x, normalized_shape, weight)
    if eps is None:
        eps = float(np.finfo(x.dtype if x.dtype.kind == "f" else np.float64).eps)
    return standardize(x, weight, None, axes, eps, centered=False)


@composite()
def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """``(x - mean) / √(variance + eps) * weight + bias``, over a group of channels of each sample.

    Source: Wu and He, Group normalization, 2018. A group per channel is instance normalization.

    Args:
        x: ``(N, C, ...)``.
        num_groups: how many groups of channels there are.
        weight: ``(C,)``, or None.
        bias: ``(C,)``, or None.
        eps: what keeps a constant group from a division by 0.

    Raises:
        ShapeError: the groups don't divide C, or the parameters have another shape.
    """
    channels = _channels("group_norm", x, weight=weight, bias=bias)
    if not isinstance(num_groups, int | np.integer) or num_groups < 1 or channels % num_groups:
        raise ShapeError(f"group_norm: {num_groups!r} groups do not divide {channels} channels")
    each = channels // num_groups
    per_channel = (1, num_groups, each, *(1,) * (x.ndim - 2))
    y = standardize(
        reshape(x, (x.shape[0], num_groups, each, *x.shape[2:])),
        None if weight is None else reshape(weight, per_channel),
        None if bias is None else reshape(bias, per_channel),
        tuple(range(2, x.ndim + 1)),
        eps,
    )
    return reshape(y, x.shape)


@composite()
def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """``(x - mean) / √(variance + eps) * weight + bias``, for each channel.

    In training, mean and variance are those of the batch, and the running ones move towards them
    by ``momentum``, in place: ``running = (1 - momentum) * running + momentum * batch``, with the
    unbiased variance. Otherwise they are the running ones, which are constants.

    Source: Ioffe and Szegedy, Batch normalization, 2015.

    Args:
        x: ``(N, C, ...)``.
        running_mean: an ndarray ``(C,)``; None only in training, to keep none.
        running_var: an ndarray ``(C,)``, or None.
        weight: ``(C,)``, or None.
        bias: ``(C,)``, or None.
        training: whether to use the statistics of the batch.
        momentum: how far the running statistics move.
        eps: what keeps a constant channel from a division by 0.

    Raises:
        ShapeError: the parameters don't have C entries, or a batch to train on has one per channel.
        OperandError: there are no running statistics to use.
    """
    channels = _channels(
        "batch_norm",
        x,
        running_mean=running_mean,
        running_var=running_var,
        weight=weight,
        bias=bias,
    )
    per_channel = (1, channels, *(1,) * (x.ndim - 2))
    axes = (0, *range(2, x.ndim))
    weight = None if weight is None else reshape(weight, per_channel)
    bias = None if bias is None else reshape(bias, per_channel)
    if not training:
        if running_mean is None or running_var is None:
            raise OperandError("batch_norm needs running_mean and running_var unless training=True")
        scale = 1 / np.sqrt(plain(running_var) + eps)
        y = x - plain(running_mean).reshape(per_channel)
        y = y * (
            scale.reshape(per_channel) if weight is None else scale.reshape(per_channel) * weight
        )
        return y if bias is None else y + bias
    count = math.prod(x.shape[k] for k in axes)
    if count < 2:
        raise ShapeError(
            f"batch_norm in training needs more than one entry per channel, not x {x.shape}"
        )
    batch_mean, batch_variance = batch = moments(plain(x), axes)
    if running_mean is not None:
        _move(plain(running_mean), momentum, batch_mean.reshape(-1))
    if running_var is not None:
        _move(plain(running_var), momentum, batch_variance.reshape(-1) * (count / (count - 1)))
    return standardize(x, weight, bias, axes, eps, True, batch)


def _move(running: Any, momentum: float, towards: Any) -> None:
    running += momentum * (towards - running)


def _channels(name: str, x: Any, **parameters: Any) -> int:
    """How many channels x has, which is how many entries the parameters must have."""
    if x.ndim < 2:
        raise ShapeError(f"{name} takes x (N, C, ...), not of shape {x.shape}")
    channels = x.shape[1]
    for parameter, value in parameters.items():
        if value is not None and value.shape != (channels,):
            raise ShapeError(
                f"{name}: x {x.shape} has {channels} channels, so {parameter} has shape"
                f" ({channels},), not {value.shape}"
            )
    return int(channels)


# What networks are made of besides


@composite()
def embedding(indices: Any, weight: Any, padding_idx: int | None = None) -> Any:
    """The rows of a table that integers name: ``weight[indices]``.

    Args:
        indices: integers of any shape, each in ``[0, rows)``.
        weight: ``(rows, features)``.
        padding_idx: a row that gets no gradient, as of the index that fills up short sequences; a
            negative one counts from the end. None for no such row.

    Returns:
        ``(*indices.shape, features)``.

    Raises:
        OperandError: the indices are not of integers.
        IndexingError: one is out of range, as a negative one is; or ``padding_idx`` is.
    """
    rows = np.asarray(plain(indices))
    if rows.dtype.kind not in "iu":
        raise OperandError(f"embedding takes integer indices, not {rows.dtype}")
    wrong = np.argwhere((rows < 0) | (rows >= weight.shape[0]))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        raise IndexingError(
            f"embedding got {rows[place]} at index {place} ({len(wrong)} such), outside"
            f" [0, {weight.shape[0]}) for a weight of {weight.shape[0]} rows"
        )
    y = getitem(weight, rows)
    if padding_idx is None:
        return y
    if not -weight.shape[0] <= padding_idx < weight.shape[0]:
        raise IndexingError(
            f"embedding got padding_idx {padding_idx} for a weight of {weight.shape[0]} rows"
        )
    is_padding = (rows == padding_idx % weight.shape[0])[..., None]
    return where(is_padding, plain(weight)[padding_idx], y)


@composite()
def dropout(
    x: Any, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None
) -> Any:
    """x with each entry set to 0 with probability p, and the others divided by 1 - p.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, 2014.

    Args:
        p: the probability, in ``[0, 1]``.
        training: whether to drop anything at all.
        rng: where chance comes from; by default a generator that differs from call to call.
    """
    if not 0 <= p <= 1:
        raise OperandError(f"dropout takes a probability p in [0, 1], not {p!r}")
    if not training or p == 0:
        return x
    dtype = x.dtype if x.dtype.kind == "f" else np.dtype(np.float64)
    rng = np.random.default_rng() if rng is None else rng
    kept = rng.random(x.shape, dtype=np.float32) >= p
    return x * (kept * dtype.type(0 if p == 1 else 1 / (1 - p)))


@composite()
def scaled_dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    rng: np.random.Generator | None = None,
) -> Any:
    """``softmax(scale * query @ key.mT + mask) @ value``.

    A row of the mask that allows nothing gives 0. Source: Vaswani et al., Attention is all you
    need, 2017.

    Args:
        query: ``(..., L, E)``.
        key: ``(..., S, E)``.
        value: ``(..., S, Ev)``.
        attn_mask: what broadcasts to ``(..., L, S)``: booleans, True where attention is allowed,
            or numbers to add before the softmax.
        dropout_p: the probability with which each weight is dropped, always: pass 0 outside of
            training.
        is_causal: allow each place to attend to itself and to what is before it, only.
        scale: by default 1 / √E.
        rng: where the chance of ``dropout_p`` comes from, as for ``dropout``.

    Returns:
        ``(..., L, Ev)``.

    Raises:
        ShapeError: the shapes don't match.
    """
    _check_attention(query, key, value)
    weights = attention_weights(query, key, attn_mask, is_causal, scale)
    return matmul(dropout(weights, dropout_p, rng=rng), value)


def attention_weights(
    query: Any, key: Any, attn_mask: Any = None, is_causal: bool = False, scale: float | None = None
) -> Any:
    """What ``scaled_dot_product_attention`` multiplies the values by, ``(..., L, S)``."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = matmul(query * factor, key.mT)
    added, allowed = _masks(attn_mask, is_causal, scores.shape[-2:])
    if added is not None:
        scores = scores + added
    if allowed is not None:  # the lowest number, not -inf: a row of nothing but -inf would be nan
        scores = where(allowed, scores, float(np.finfo(scores.dtype).min))
    weights = softmax(scores)
    if allowed is not None and not np.all(np.any(allowed, axis=-1)):
        weights = where(allowed, weights, 0.0)
    return weights


def _check_attention(query: Any, key: Any, value: Any) -> None:
    for name, x in {"query": query, "key": key, "value": value}.items():
        if x.ndim < 2:
            raise ShapeError(
                f"scaled_dot_product_attention takes a {name} (..., length, features), not of"
                f" shape {x.shape}"
            )
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            "scaled_dot_product_attention takes a query (..., L, E), a key (..., S, E) and a value"
            f" (..., S, Ev); it got {query.shape}, {key.shape} and {value.shape}"
        )


def _masks(attn_mask: Any, is_causal: bool, lengths: tuple[int, int]) -> tuple[Any, Any]:
    """The numbers to add to the scores, and where attention is allowed; None for all 0, or all."""
    added = allowed = None
    if attn_mask is not None:
        given = np.asarray(plain(attn_mask))
        allowed = given if given.dtype == bool else given != -np.inf
        if allowed.all():
            allowed = None
        if given.dtype != bool:
            added = attn_mask if allowed is None else where(allowed, attn_mask, 0.0)
    if is_causal:
        causal = np.tri(*lengths, dtype=bool)
        allowed = causal if allowed is None else allowed & causal
    return added, allowed
