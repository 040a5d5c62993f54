"""Attention: each place of a sequence looks at others and takes a mean of what it finds there."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import init, random
from nn.checks import check_integer, check_probability
from nn.errors import ConfigurationError
from nn.layers.linear import Linear
from nn.module import Module, Parameter
from tinygrad_edu.graph import plain
from tinygrad_edu.ops.fused import attention_weights
from tinygrad_edu.ops.shape import as_array

Shape = tuple[int, ...]


class MultiheadAttention(Module):
    """Several attentions side by side, each in a part of the features of its own.

    head_i = softmax(Q_i K_iᵀ / √d) V_i, with Q, K, V = x W_qᵀ + b_q, x W_kᵀ + b_k, x W_vᵀ + b_v,
    of which Q_i, K_i and V_i are the i-th ``d = embed_dim / num_heads`` features; and
    y = [head_1, ..., head_h] W_oᵀ + b_o.

    Source: Vaswani et al., Attention is all you need, 2017, section 3.2.

    Args:
        embed_dim: E, the features of query, key, value and output.
        num_heads: h, which divides ``embed_dim``.
        dropout: the probability of dropping an attention weight in training.
        bias: whether there are b_q, b_k, b_v and b_o.
        batch_first: whether batches are ``(N, L, E)`` rather than ``(L, N, E)``.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    Attributes:
        in_proj_weight: W_q, W_k and W_v, one below the other, ``(3 * embed_dim, embed_dim)``:
            Glorot's at first.
        in_proj_bias: b_q, b_k and b_v, ``(3 * embed_dim,)``, zeros at first; or None.
        out_proj: the Linear of W_o and b_o.

    Raises:
        ConfigurationError: ``num_heads`` does not divide ``embed_dim``, or ``dropout`` is no
            probability.

    >>> import nn, numpy as np
    >>> x = np.ones((2, 5, 8), np.float32)
    >>> y, weights = nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x, is_causal=True)
    >>> y.shape, weights.data[0, 0]
    ((2, 5, 8), array([1., 0., 0., 0., 0.], dtype=float32))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        batch_first: bool = False,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.embed_dim = check_integer("MultiheadAttention's embed_dim", embed_dim)
        self.num_heads = check_integer("MultiheadAttention's num_heads", num_heads)
        if embed_dim % num_heads:
            divisors = [n for n in range(1, self.embed_dim + 1) if not self.embed_dim % n]
            raise ConfigurationError(
                f"MultiheadAttention gives each head as many features: num_heads must divide"
                f" embed_dim={embed_dim}, as {', '.join(map(str, divisors))} do, and"
                f" {num_heads} does not"
            )
        check_probability("MultiheadAttention's dropout", dropout)
        self.dropout, self.batch_first, self.rng = dropout, batch_first, rng
        e = self.embed_dim
        weight = init.glorot_uniform(e, 3 * e, (3 * e, e), random.generator(rng))
        self.in_proj_weight = Parameter(weight.astype(dtype))
        self.in_proj_bias = Parameter(np.zeros(3 * e, dtype)) if bias else None
        self.out_proj = Linear(e, e, bias, dtype=dtype, rng=rng)

    def forward(
        self,
        query: Any,
        key: Any,
        value: Any,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Any, Any]:
        """Each place of the query attends to the places of the key, and takes of the value.

        A place that may attend to none gets zeros for a mean.

        Args:
            query: ``(L, N, E)``; ``(L, E)`` without a batch.
            key: ``(S, N, E)``; in self-attention the query itself.
            value: ``(S, N, E)``.
            key_padding_mask: ``(N, S)``; booleans, True where a key is not to be attended to, or
                numbers to add to the scores.
            need_weights: whether to return the weights.
            attn_mask: ``(L, S)``, or ``(N * num_heads, L, S)``; booleans, True where attention is
                not allowed, or numbers to add. ``tg.scaled_dot_product_attention``, as in PyTorch,
                has it the other way round.
            average_attn_weights: whether the weights are the mean of the heads'.
            is_causal: allow each place to attend to itself and to what is before it, only.

        Returns:
            The output, in the shape of the query, and the weights, ``(N, L, S)``, or
            ``(N, num_heads, L, S)`` if not averaged; or None.

        Raises:
            ShapeError: the shapes don't match, or there are no keys.
            DTypeError: a mask is neither of booleans nor of floats.
        """
        query, key, value = as_array(query), as_array(key), as_array(value)
        self._check_inputs(query, key, value)
        batched = query.ndim == 3
        if not batched:
            query, key, value = (tg.expand_dims(x, 0) for x in (query, key, value))
            key_padding_mask = (
                None if key_padding_mask is None else as_array(key_padding_mask)[None]
            )
        elif not self.batch_first:
            query, key, value = (tg.swapaxes(x, 0, 1) for x in (query, key, value))
        q, k, v = self._heads(query, key, value)
        mask = self._mask(attn_mask, key_padding_mask, (*q.shape[:-1], k.shape[-2]), q.dtype)
        weights = attention_weights(q, k, mask, is_causal)
        weights = tg.dropout(weights, self.dropout, self.training, random.generator(self.rng))
        y = self.out_proj(tg.reshape(tg.swapaxes(weights @ v, 1, 2), query.shape))
        if not need_weights:
            weights = None
        elif average_attn_weights:
            weights = tg.mean(weights, 1)
        if not batched:
            return y[0], None if weights is None else weights[0]
        return y if self.batch_first else tg.swapaxes(y, 0, 1), weights

    def _heads(self, *inputs: Any) -> Iterator[Any]:
        """Q, K and V, each ``(N, h, length, d)``, from arrays ``(N, length, E)``."""
        weights = tg.split(self.in_proj_weight, 3)
        biases = [None] * 3 if self.in_proj_bias is None else tg.split(self.in_proj_bias, 3)
        for x, weight, bias in zip(inputs, weights, biases, strict=True):
            heads = tg.reshape(tg.linear(x, weight, bias), (*x.shape[:2], self.num_heads, -1))
            yield tg.swapaxes(heads, 1, 2)

    def _mask(self, attn_mask: Any, key_padding_mask: Any, shape: Shape, dtype: Any) -> Any:
        """Both masks as one that broadcasts to ``shape``, in the meaning of the engine."""
        n, h, length, keys = shape
        masks = []
        if attn_mask is not None:
            shapes: dict[Shape, Shape] = {
                (length, keys): (length, keys),
                (n * h, length, keys): shape,
            }
            masks.append(self._shaped("attn_mask", as_array(attn_mask), shapes))
        if key_padding_mask is not None:
            shapes = {(n, keys): (n, 1, 1, keys)}
            masks.append(self._shaped("key_padding_mask", as_array(key_padding_mask), shapes))
        if not masks:
            return None
        if all(mask.dtype == bool for mask in masks):
            return ~reduce(np.logical_or, masks)
        return reduce(operator.add, [_as_numbers(mask, dtype) for mask in masks])

    def _shaped(self, name: str, mask: Any, shapes: dict[Shape, Shape]) -> Any:
        """A mask of one of these shapes, in the one that belongs to it."""
        if mask.dtype.kind not in "bf":
            raise tg.DTypeError(
                f"{self._in_place()} takes a {name} of booleans or floats, not {mask.dtype}"
            )
        if mask.shape not in shapes:
            raise tg.ShapeError(
                f"{self._in_place()} takes a {name} {' or '.join(map(str, shapes))}, not of shape"
                f" {mask.shape}"
            )
        return tg.reshape(mask if mask.dtype.kind == "f" else plain(mask), shapes[mask.shape])

    def _check_inputs(self, query: Any, key: Any, value: Any) -> None:
        shapes = [query.shape, key.shape, value.shape]
        if query.ndim not in (2, 3) or any(
            len(shape) != query.ndim or shape[-1] != self.embed_dim for shape in shapes
        ):
            axes = "N, L" if self.batch_first else "L, N"
            raise tg.ShapeError(
                f"{self._in_place()} takes query, key and value ({axes}, {self.embed_dim}), or"
                f" (L, {self.embed_dim}) without a batch, not {shapes[0]}, {shapes[1]} and"
                f" {shapes[2]}"
            )
        batch = 0 if self.batch_first else 1
        if key.shape != value.shape or (query.ndim == 3 and query.shape[batch] != key.shape[batch]):
            raise tg.ShapeError(
                f"{self._in_place()} takes a key and a value of one shape, and a query of as many"
                f" sequences, not query {shapes[0]}, key {shapes[1]} and value {shapes[2]}"
            )
        if not key.size:
            raise tg.ShapeError(
                f"{self._in_place()} has nothing to attend to in a key of shape {key.shape}"
            )

    def _extra_repr(self) -> str:
        dropout = f", dropout={self.dropout}" if self.dropout else ""
        return f"{self.embed_dim}, {self.num_heads} heads{dropout}"


def _as_numbers(mask: Any, dtype: Any) -> Any:
    """A mask as numbers to add to the scores."""
    return (np.where(mask, -np.inf, 0) if mask.dtype == bool else mask).astype(dtype)
