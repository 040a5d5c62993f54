"""GPT: a transformer that reads a text and predicts, at each place, what comes next."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import random
from nn.checks import check_integer
from nn.errors import ConfigurationError
from nn.layers.activation import GELU
from nn.layers.dropout import Dropout
from nn.layers.embedding import Embedding, LearnedPositionalEncoding
from nn.layers.linear import Linear
from nn.layers.normalization import LayerNorm
from nn.layers.transformer import TransformerEncoder, TransformerEncoderLayer
from nn.module import Module, evaluating
from tinygrad_edu.graph import plain


class GPT(Module):
    """logits = head(norm(blocks(tokens[indices] + positions))), causal: no place sees a later one.

    A block is x' = x + attention(norm1(x)), y = x' + F(norm2(x')), with F one hidden layer of
    4 n_embd units. It is the encoder's layer of the transformer, looking back only, with GPT-2's
    activation: gelu by tanh.

    With V = vocab_size, B = block_size and E = n_embd there are
    V E + B E + n_layer (12 E² + 13 E) + 2 E parameters, and V E more unless tied.

    Source: Radford et al., Language models are unsupervised multitask learners, 2019 (GPT-2); the
    scale of the initial weights is that of its section 2.3 and of its code.

    Args:
        vocab_size: how many different tokens there are.
        block_size: how many tokens it can read at once.
        n_layer: how many blocks there are.
        n_head: the heads of each attention.
        n_embd: the features at each place, which ``n_head`` divides.
        dropout: the probability of dropping features and attention weights in training.
        tied: whether the head's weight is the tokens' table, as in GPT-2.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    >>> import nn
    >>> model = nn.zoo.GPT(vocab_size=65, block_size=32, n_layer=2, n_head=2, n_embd=16)
    >>> model([[1, 2, 3]]).shape
    (1, 3, 65)
    >>> model.generate([[1, 2, 3]], max_new_tokens=4).shape
    (1, 7)
    """

    def __init__(
        self,
        vocab_size: int,
        block_size: int,
        n_layer: int = 4,
        n_head: int = 4,
        n_embd: int = 64,
        dropout: float = 0.0,
        tied: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.block_size = check_integer("GPT's block_size", block_size)
        self.tokens = Embedding(vocab_size, n_embd, dtype=dtype, rng=rng)
        self.positions = LearnedPositionalEncoding(
            block_size, n_embd, batch_first=True, dtype=dtype, rng=rng
        )
        self.dropout = Dropout(dropout, rng=rng)
        block = TransformerEncoderLayer(
            n_embd,
            n_head,
            4 * n_embd,
            dropout,
            GELU("tanh"),
            batch_first=True,
            norm_first=True,
            dtype=dtype,
            rng=rng,
        )
        self.blocks = TransformerEncoder(block, n_layer, LayerNorm(n_embd, dtype=dtype))
        self.head = Linear(n_embd, vocab_size, bias=False, dtype=dtype, rng=rng)
        if tied:
            self.head.weight = self.tokens.weight
        self._draw_weights(n_layer, random.generator(rng))

    def _draw_weights(self, n_layer: int, rng: np.random.Generator) -> None:
        """Normal, with deviation 0.02; biases stay 0.

        Each block adds to x twice, so what it adds starts smaller by √(2 n_layer), for the sum to
        start at one scale however many blocks there are.
        """
        for name, parameter in self.named_parameters():
            if parameter.data.ndim == 2:
                added = name.endswith(("out_proj.weight", "linear2.weight"))
                deviation = 0.02 / math.sqrt(2 * n_layer) if added else 0.02
                parameter.data[...] = rng.normal(0, deviation, parameter.data.shape)

    def forward(self, indices: Any) -> Any:
        """Tokens ``(N, T)``, T ≤ ``block_size``, to logits of what follows each, ``(N, T, V)``."""
        indices = self._checked(indices)
        if indices.shape[1] > self.block_size:
            raise tg.ShapeError(
                f"{self._in_place()} reads block_size={self.block_size} tokens at once, not"
                f" {indices.shape[1]}: pass the last ones, indices[:, -{self.block_size}:]"
            )
        x = self.dropout(self.positions(self.tokens(indices)))
        return self.head(self.blocks(x, is_causal=True))

    def generate(
        self,
        indices: Any,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        rng: np.random.Generator | None = None,
    ) -> np.ndarray[Any, Any]:
        """Write on: draw a next token from the model's distribution, append it, and so on.

        Nothing is dropped out meanwhile, in training mode either. Where the text is longer than
        ``block_size``, the model sees the end of it.

        Args:
            indices: the beginning, ``(N, T)``, T ≥ 1.
            max_new_tokens: how many to append.
            temperature: what logits are divided by: below 1 the likely tokens get likelier.
            top_k: draw from that many of the likeliest only; 1 for the likeliest itself.
            rng: where chance comes from; the shared generator by default.

        Returns:
            The tokens with what was drawn, ``(N, T + max_new_tokens)``.
        """
        if not temperature > 0:
            raise ConfigurationError(
                f"generate takes a temperature above 0, not {temperature!r}; top_k=1 draws the"
                " likeliest token every time"
            )
        if top_k is not None:
            top_k = check_integer("generate's top_k", top_k)
        indices = self._checked(indices)
        draw = random.generator(rng)
        with tg.no_grad(), evaluating(self):
            for _ in range(max_new_tokens):
                logits = self(indices[:, -self.block_size :]).data[:, -1] / temperature
                if top_k is not None and top_k < logits.shape[1]:
                    lowest = np.partition(logits, -top_k)[:, [-top_k]]
                    logits = np.where(logits < lowest, -np.inf, logits)
                # The largest of logits plus Gumbel noise is distributed as softmax(logits).
                following = np.argmax(logits + draw.gumbel(size=logits.shape), axis=1)
                indices = np.concatenate([indices, following[:, None]], axis=1)
        return indices

    def _checked(self, indices: Any) -> np.ndarray[Any, Any]:
        array = np.asarray(plain(indices))
        if array.ndim != 2 or not array.shape[1]:
            raise tg.ShapeError(
                f"{self._in_place()} takes tokens (N, T) with T from 1 to {self.block_size}, not"
                f" shape {array.shape}"
            )
        return array

    def _extra_repr(self) -> str:
        return f"block_size={self.block_size}"
