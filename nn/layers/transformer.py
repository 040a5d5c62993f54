"""The transformer: attention between places and a small network at each place, layer upon layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from nn.checks import check_integer
from nn.layers.activation import activation_function
from nn.layers.attention import MultiheadAttention
from nn.layers.dropout import Dropout
from nn.layers.linear import Linear
from nn.layers.normalization import LayerNorm
from nn.module import Module


class _Layer(Module):
    """What an encoder's and a decoder's layer share: all but which attentions there are."""

    _attentions: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        if isinstance(activation, str):
            self.activation, nonlinearity = activation_function(activation), activation
        else:
            self.activation, nonlinearity = activation, "relu"
        self.norm_first = norm_first
        for name in self._attentions:
            attention = MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, rng=rng
            )
            setattr(self, name, attention)
        self.linear1 = Linear(
            d_model, dim_feedforward, bias, nonlinearity=nonlinearity, dtype=dtype, rng=rng
        )
        self.dropout = Dropout(dropout, rng=rng)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype, rng=rng)
        for i in range(1, len(self._attentions) + 2):
            setattr(self, f"norm{i}", LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype))
            setattr(self, f"dropout{i}", Dropout(dropout, rng=rng))

    def _add(self, i: int, x: Any, part: Callable[[Any], Any]) -> Any:
        """x + part(x), with the i-th LayerNorm before the part or after the sum."""
        norm, dropout = getattr(self, f"norm{i}"), getattr(self, f"dropout{i}")
        if self.norm_first:
            return x + dropout(part(norm(x)))
        return norm(x + dropout(part(x)))

    def _feed_forward(self, x: Any) -> Any:
        return self.linear2(self.dropout(self.activation(self.linear1(x))))

    def _extra_repr(self) -> str:
        return "norm_first=True" if self.norm_first else ""


class TransformerEncoderLayer(_Layer):
    """x' = norm1(x + A(x)), y = norm2(x' + F(x')), with self-attention A and a network F.

    F(x) = W_2 activation(W_1 x + b_1) + b_2. With ``norm_first``, x' = x + A(norm1(x)) and
    y = x' + F(norm2(x')), which trains without a warm-up. With ``is_causal`` in a call it is the
    layer of a decoder that has no encoder to attend to.

    Source: Vaswani et al., Attention is all you need, 2017, section 3; ``norm_first`` is of Xiong
    et al., On layer normalization in the transformer architecture, 2020.

    Args:
        d_model: E, the features of x and y.
        nhead: the heads of the attention.
        dim_feedforward: the width of F.
        dropout: the probability of dropping, in training, an attention weight, an activation in F,
            or a feature of what A and F return.
        activation: the one in F, by name, or a function or module.
        layer_norm_eps: the eps of the LayerNorms.
        batch_first: whether batches are ``(N, L, E)`` rather than ``(L, N, E)``.
        norm_first: whether to normalize what goes into A and F rather than the sums.
        bias: whether Linear and LayerNorm layers have biases.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    Attributes:
        self_attn: the ``MultiheadAttention`` A.
        linear1: W_1 and b_1.
        linear2: W_2 and b_2.

    >>> import nn, numpy as np
    >>> layer = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", norm_first=True)
    >>> layer(np.ones((5, 3, 8), np.float32)).shape
    (5, 3, 8)
    """

    _attentions = ("self_attn",)
    self_attn: Module

    def forward(
        self,
        src: Any,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """``(L, N, E)``, or ``(L, E)`` without a batch; the masks are ``MultiheadAttention``'s."""

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )[0]

        x = self._add(1, src, attend)
        return self._add(2, x, self._feed_forward)


class TransformerDecoderLayer(_Layer):
    """Like an encoder's layer, with attention to the encoder's result between A and F.

    x' = norm1(x + A(x)), x'' = norm2(x' + C(x', memory)), y = norm3(x'' + F(x'')); or, with
    ``norm_first``, with each norm where the part reads x.

    Source: Vaswani et al., Attention is all you need, 2017, section 3.

    Args:
        d_model: E, the features of x, of the memory and of y.
        nhead: the heads of each attention.
        dim_feedforward: the width of F.
        dropout: the probability of dropping, in training, an attention weight, an activation in F,
            or a feature of what A, C and F return.
        activation: the one in F, by name, or a function or module.
        layer_norm_eps: the eps of the LayerNorms.
        batch_first: whether batches are ``(N, L, E)`` rather than ``(L, N, E)``.
        norm_first: whether to normalize what goes into A, C and F rather than the sums.
        bias: whether Linear and LayerNorm layers have biases.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    Attributes:
        self_attn: the ``MultiheadAttention`` A.
        multihead_attn: the ``MultiheadAttention`` C, whose queries are x and whose keys and values
            are the memory.
        linear1: the first layer of F.
        linear2: the second.
    """

    _attentions = ("self_attn", "multihead_attn")
    self_attn: Module
    multihead_attn: Module

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """``(L, N, E)`` and a memory ``(S, N, E)`` to ``(L, N, E)``.

        The masks are those of ``MultiheadAttention``: ``tgt_is_causal=True`` is what a decoder
        takes in training.
        """

        def attend(x: Any) -> Any:
            return self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )[0]

        def look_up(x: Any) -> Any:
            return self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                False,
                memory_mask,
                is_causal=memory_is_causal,
            )[0]

        x = self._add(1, tgt, attend)
        x = self._add(2, x, look_up)
        return self._add(3, x, self._feed_forward)


class TransformerEncoder(Module):
    """Layers one after the other.

    Args:
        encoder_layer: the layer that each is a copy of, so that all start with the same weights,
            as in PyTorch.
        num_layers: how many.
        norm: what comes after the last, such as a ``LayerNorm`` where the layers are
            ``norm_first``; or None.

    Attributes:
        layers: the layers.

    >>> import nn
    >>> layer = nn.TransformerEncoderLayer(8, 2, 16)
    >>> len(nn.TransformerEncoder(layer, 3).layers)
    3
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies(
            encoder_layer, check_integer("TransformerEncoder's num_layers", num_layers)
        )
        self.norm = norm

    def forward(
        self,
        src: Any,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Any:
        """``(L, N, E)``, kept; the arguments are those of the layers."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Layers one after the other, which all attend to the same memory.

    Args:
        decoder_layer: the layer that each is a copy of, so that all start with the same weights,
            as in PyTorch.
        num_layers: how many.
        norm: what comes after the last; or None.

    Attributes:
        layers: the layers.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        self.layers = _copies(
            decoder_layer, check_integer("TransformerDecoder's num_layers", num_layers)
        )
        self.norm = norm

    def forward(
        self,
        tgt: Any,
        memory: Any,
        tgt_mask: Any = None,
        memory_mask: Any = None,
        tgt_key_padding_mask: Any = None,
        memory_key_padding_mask: Any = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """``(L, N, E)`` and a memory ``(S, N, E)`` to ``(L, N, E)``, as in the layers."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask,
                memory_mask,
                tgt_key_padding_mask,
                memory_key_padding_mask,
                tgt_is_causal,
                memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


def _copies(layer: Module, count: int) -> list[Module]:
    """Copies that draw from the same generator: with one each, all would drop the same entries."""
    generators = {id(m.rng): m.rng for m in layer.modules() if hasattr(m, "rng")}
    return [copy.deepcopy(layer, dict(generators)) for _ in range(count)]
