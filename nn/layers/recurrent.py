"""Layers that read a sequence step by step: RNN, LSTM and GRU, and their single steps as cells.

A step adds what the input brings, a = W_ih x + b_ih, to what the state before brings. Only the
latter has to wait for its turn: a layer computes the a of all steps with one product of matrices.
The steps of an RNN are nodes of the graph each; those of an LSTM or a GRU are one node, which is
several times faster. Where theirs are to be seen, call a cell step by step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

import tinygrad_edu as tg
from nn import random
from nn.checks import check_integer, check_probability
from nn.errors import ConfigurationError
from nn.module import Module, Parameter
from tinygrad_edu.ops.recurrent import gru, gru_step, lstm, lstm_step
from tinygrad_edu.ops.shape import as_array

# The arrays that a step hands to the next one, the hidden state h first.
State = tuple[Any, ...]

_NONLINEARITIES: dict[str, Callable[[Any], Any]] = {"tanh": tg.tanh, "relu": tg.relu}


def _rnn_step(nonlinearity: str, a: Any, h: Any, weight_hh: Any, bias_hh: Any) -> Any:
    return _NONLINEARITIES[nonlinearity](a + tg.linear(h, weight_hh, bias_hh))


class _Recurrent(Module):
    """What RNN, LSTM and GRU share: layers, directions, and the walk along the sequence."""

    _gates: ClassVar[int]  # how many times hidden_size rows each weight has
    _states: ClassVar[tuple[str, ...]] = ("h",)  # what a step hands to the next one
    # Of a of all steps, the state before them, weight_hh and bias_hh: each step's h, and the state
    # after the last.
    _steps: Callable[[Any, State, Any, Any], tuple[Any, State]]
    weight_hh_l0: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        kind = type(self).__name__
        check_probability(f"{kind}'s dropout", dropout)
        if dropout and num_layers == 1:
            raise ConfigurationError(
                f"{kind}'s dropout={dropout} is between layers, and there is one: take"
                " num_layers=2 or more, or put an nn.Dropout after it"
            )
        self.input_size = check_integer(f"{kind}'s input_size", input_size)
        self.hidden_size = check_integer(f"{kind}'s hidden_size", hidden_size)
        self.num_layers = check_integer(f"{kind}'s num_layers", num_layers)
        self.bias, self.batch_first = bias, batch_first
        self.dropout, self.bidirectional, self.rng = dropout, bidirectional, rng
        for layer in range(self.num_layers):
            n_in = self.hidden_size * self._directions if layer else self.input_size
            for direction in range(self._directions):
                weights = _weights(self._gates, n_in, self.hidden_size, bias, dtype, rng)
                for name, weight in weights.items():
                    setattr(self, name + _suffix(layer, direction), weight)

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _run(self, x: Any, initial: State | None) -> tuple[Any, State]:
        """Each step's h in the last layer, and each array of the state after the last step."""
        x = as_array(x)
        self._check_input(x)
        batched = x.ndim == 3
        if not batched:
            x = tg.expand_dims(x, 1)
        elif self.batch_first:
            x = tg.swapaxes(x, 0, 1)
        starts = self._starts(initial, x.shape[1], batched)
        ends: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = tg.dropout(x, self.dropout, self.training, random.generator(self.rng))
            outputs = []
            for direction in range(self._directions):
                output, end = self._walk(x, starts[len(ends)], layer, direction)
                outputs.append(output)
                ends.append(end)
            x = tg.concatenate(outputs, -1) if self.bidirectional else outputs[0]
        state = tuple(tg.stack(arrays) for arrays in zip(*ends, strict=True))
        if not batched:
            return x[:, 0], tuple(array[:, 0] for array in state)
        return tg.swapaxes(x, 0, 1) if self.batch_first else x, state

    def _walk(self, x: Any, state: State, layer: int, direction: int) -> tuple[Any, State]:
        """One layer in one direction: each step's h, and the state after the last step."""
        weight_ih, weight_hh, bias_ih, bias_hh = (
            getattr(self, name + _suffix(layer, direction))
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        order = slice(None, None, -1 if direction else 1)
        a = tg.linear(x, weight_ih, bias_ih)
        output, state = self._steps(a[order] if direction else a, state, weight_hh, bias_hh)
        return output[order] if direction else output, state

    def _starts(self, initial: State | None, batch: int, batched: bool) -> list[State]:
        """The state that each layer and direction starts from: zeros, if none is given."""
        count = self.num_layers * self._directions
        if initial is None:
            zeros = np.zeros((batch, self.hidden_size), self.weight_hh_l0.dtype)
            return [(zeros,) * len(self._states)] * count
        shape = (count, batch, self.hidden_size) if batched else (count, self.hidden_size)
        _check_state(self, initial, tuple(f"{name}_0" for name in self._states), shape)
        arrays = [tg.reshape(array, (count, batch, self.hidden_size)) for array in initial]
        return [tuple(array[i] for array in arrays) for i in range(count)]

    def _check_input(self, x: Any) -> None:
        axes = ("N", "L") if self.batch_first else ("L", "N")
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise tg.ShapeError(
                f"{self._in_place()} takes ({', '.join(axes)}, {self.input_size}), or"
                f" (L, {self.input_size}) without a batch, not shape {x.shape}"
            )
        if not x.shape[1 if x.ndim == 3 and self.batch_first else 0]:
            raise tg.ShapeError(
                f"{self._in_place()} takes a sequence of one step or more, not shape {x.shape}"
            )

    def _extra_repr(self) -> str:
        options = [f"{self.input_size} -> {self.hidden_size * self._directions}"]
        if self.num_layers > 1:
            options.append(f"num_layers={self.num_layers}")
        options += [
            f"{option}=True" for option in ("batch_first", "bidirectional") if getattr(self, option)
        ]
        if self.dropout:
            options.append(f"dropout={self.dropout}")
        return ", ".join(options)


class RNN(_Recurrent):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh).

    Source: Elman, Finding structure in time, 1990.

    Args:
        input_size: how many features a step of the input has.
        hidden_size: how many h has.
        num_layers: how many such layers; each reads the outputs of the one before.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        bias: whether there are b_ih and b_hh.
        batch_first: whether batches are ``(N, L, features)`` rather than ``(L, N, features)``.
        dropout: the probability of dropping an output of a layer, other than the last, in training.
        bidirectional: whether a second RNN, with parameters of its own, reads each layer's sequence
            from its end, and the outputs of both stand side by side.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    Attributes:
        weight_ih_l0: W_ih of layer 0, ``(hidden_size, input_size)``. In layers that follow,
            ``weight_ih_l1`` and so on, the input is the layer before. All are uniform in
            ±1/√hidden_size at first.
        weight_hh_l0: W_hh, ``(hidden_size, hidden_size)``.
        bias_ih_l0: b_ih, ``(hidden_size,)``; or None.
        bias_hh_l0: b_hh, likewise.
        weight_ih_l0_reverse: and so on, what reads from the end.

    Raises:
        ConfigurationError: a size is not a positive integer, or ``dropout`` has no layer to follow.
        UnknownNameError: the nonlinearity is another.

    >>> import nn, numpy as np
    >>> output, h_n = nn.RNN(3, 4, num_layers=2)(np.ones((5, 2, 3), np.float32))
    >>> output.shape, h_n.shape
    ((5, 2, 4), (2, 2, 4))
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        _check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            dtype=dtype,
            rng=rng,
        )

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, Any]:
        """The whole sequence.

        Args:
            x: ``(L, N, input_size)``, L ≥ 1; ``(L, input_size)`` without a batch.
            hx: h_0, ``(directions * num_layers, N, hidden_size)``, zeros if None.

        Returns:
            Each step's output in the last layer, ``(L, N, directions * hidden_size)``, and h after
            the last step of each layer and direction, in the shape of h_0.
        """
        output, (h_n,) = self._run(x, None if hx is None else (hx,))
        return output, h_n

    def _steps(self, a: Any, state: State, weight_hh: Any, bias_hh: Any) -> tuple[Any, State]:
        (h,), outputs = state, []
        for step in tg.unstack(a):
            h = _rnn_step(self.nonlinearity, step, h, weight_hh, bias_hh)
            outputs.append(h)
        return tg.stack(outputs), (h,)

    def _extra_repr(self) -> str:
        return f"{super()._extra_repr()}, {self.nonlinearity}"


class GRU(_Recurrent):
    """A gate z that decides how much of h stays, and one, r, how much of it the new part sees.

    r = σ(W_ir x_t + b_ir + W_hr h + b_hr)
    z = σ(W_iz x_t + b_iz + W_hz h + b_hz)
    n = tanh(W_in x_t + b_in + r * (W_hn h + b_hn))
    h_t = (1 - z) * n + z * h, with h the h_(t-1) throughout.

    Source: Cho et al., Learning phrase representations using RNN encoder-decoder, 2014; with r
    applied after the product with W_hn, as in cuDNN and PyTorch.

    Args:
        input_size: how many features a step of the input has.
        hidden_size: how many h has.
        num_layers: how many such layers; each reads the outputs of the one before.
        bias: whether there are b_ih and b_hh.
        batch_first: whether batches are ``(N, L, features)`` rather than ``(L, N, features)``.
        dropout: the probability of dropping an output of a layer, other than the last, in training.
        bidirectional: whether a second GRU reads each layer's sequence from its end.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    Attributes:
        weight_ih_l0: W_ir, W_iz and W_in, one below the other: ``(3 * hidden_size, input_size)``.
            The names of all parameters are those of ``RNN``.
        weight_hh_l0: W_hr, W_hz and W_hn, ``(3 * hidden_size, hidden_size)``.
        bias_ih_l0: b_ir, b_iz and b_in; or None.
        bias_hh_l0: b_hr, b_hz and b_hn; or None.

    Raises:
        ConfigurationError: a size is not a positive integer, or ``dropout`` has no layer to follow.
    """

    _gates = 3

    def forward(self, x: Any, hx: Any = None) -> tuple[Any, Any]:
        """The whole sequence; arguments and results are those of ``RNN``."""
        output, (h_n,) = self._run(x, None if hx is None else (hx,))
        return output, h_n

    def _steps(self, a: Any, state: State, weight_hh: Any, bias_hh: Any) -> tuple[Any, State]:
        h = gru(a, weight_hh, bias_hh, *state)
        return h, (h[-1],)


class LSTM(_Recurrent):
    """A memory c that is only added to and faded, behind gates for input, forgetting and output.

    i = σ(W_ii x_t + b_ii + W_hi h + b_hi)
    f = σ(W_if x_t + b_if + W_hf h + b_hf)
    g = tanh(W_ig x_t + b_ig + W_hg h + b_hg)
    o = σ(W_io x_t + b_io + W_ho h + b_ho)
    c_t = f * c_(t-1) + i * g
    h_t = o * tanh(c_t), with h the h_(t-1) throughout.

    Source: Hochreiter and Schmidhuber, 1997; the forget gate is of Gers, Schmidhuber and Cummins,
    2000.

    Args:
        input_size: how many features a step of the input has.
        hidden_size: how many h and c have.
        num_layers: how many such layers; each reads the outputs of the one before.
        bias: whether there are b_ih and b_hh.
        batch_first: whether batches are ``(N, L, features)`` rather than ``(L, N, features)``.
        dropout: the probability of dropping an output of a layer, other than the last, in training.
        bidirectional: whether a second LSTM reads each layer's sequence from its end.
        dtype: the dtype of the parameters.
        rng: where initial weights and dropout come from; the shared generator by default.

    Attributes:
        weight_ih_l0: W_ii, W_if, W_ig and W_io, one below the other:
            ``(4 * hidden_size, input_size)``. The names of all parameters are those of ``RNN``.
        weight_hh_l0: W_hi, W_hf, W_hg and W_ho, ``(4 * hidden_size, hidden_size)``.
        bias_ih_l0: b_ii, b_if, b_ig and b_io; or None.
        bias_hh_l0: b_hi, b_hf, b_hg and b_ho; or None.

    Raises:
        ConfigurationError: a size is not a positive integer, or ``dropout`` has no layer to follow.

    >>> import nn, numpy as np
    >>> lstm = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    >>> output, (h_n, c_n) = lstm(np.ones((2, 5, 3), np.float32))
    >>> output.shape, h_n.shape, c_n.shape
    ((2, 5, 8), (2, 2, 4), (2, 2, 4))
    """

    _gates = 4
    _states = ("h", "c")

    def forward(self, x: Any, hx: tuple[Any, Any] | None = None) -> tuple[Any, tuple[Any, Any]]:
        """The whole sequence.

        Args:
            x: ``(L, N, input_size)``, L ≥ 1; ``(L, input_size)`` without a batch.
            hx: h_0 and c_0, each ``(directions * num_layers, N, hidden_size)``, zeros if None.

        Returns:
            Each step's h in the last layer, ``(L, N, directions * hidden_size)``, and h and c after
            the last step of each layer and direction, in the shapes of h_0 and c_0.
        """
        output, (h_n, c_n) = self._run(x, hx)
        return output, (h_n, c_n)

    def _steps(self, a: Any, state: State, weight_hh: Any, bias_hh: Any) -> tuple[Any, State]:
        h, c = lstm(a, weight_hh, bias_hh, *state)
        return h, (h[-1], c[-1])


class _Cell(Module):
    """What the cells share: the parameters of one step."""

    _gates: ClassVar[int]
    _states: ClassVar[tuple[str, ...]] = ("h",)
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        kind = type(self).__name__
        self.input_size = check_integer(f"{kind}'s input_size", input_size)
        self.hidden_size = check_integer(f"{kind}'s hidden_size", hidden_size)
        weights = _weights(self._gates, self.input_size, self.hidden_size, bias, dtype, rng)
        for name, weight in weights.items():
            setattr(self, name, weight)

    def _begin(self, x: Any, state: State | None) -> tuple[Any, State]:
        """a = W_ih x + b_ih, and the state to go on from: zeros, if none is given."""
        x = as_array(x)
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise tg.ShapeError(
                f"{self._in_place()} takes one step, (N, {self.input_size}), or"
                f" ({self.input_size},) without a batch, not shape {x.shape}"
            )
        shape = (*x.shape[:-1], self.hidden_size)
        if state is None:
            state = (np.zeros(shape, self.weight_hh.dtype),) * len(self._states)
        _check_state(self, state, self._states, shape)
        return tg.linear(x, self.weight_ih, self.bias_ih), state

    def _extra_repr(self) -> str:
        return f"{self.input_size} -> {self.hidden_size}"


class RNNCell(_Cell):
    """One step of an ``RNN``: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    Args:
        input_size: how many features x has.
        hidden_size: how many h has.
        bias: whether there are b_ih and b_hh.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        weight_ih: W_ih, ``(hidden_size, input_size)``.
        weight_hh: W_hh, ``(hidden_size, hidden_size)``.
        bias_ih: b_ih, ``(hidden_size,)``; or None.
        bias_hh: b_hh, likewise.
    """

    _gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: DTypeLike = np.float32,
        rng: np.random.Generator | None = None,
    ) -> None:
        _check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, dtype=dtype, rng=rng)

    def forward(self, x: Any, hx: Any = None) -> Any:
        """``(N, input_size)``, and ``(N, hidden_size)`` or None for zeros, to the next h."""
        a, (h,) = self._begin(x, None if hx is None else (hx,))
        return _rnn_step(self.nonlinearity, a, h, self.weight_hh, self.bias_hh)


class GRUCell(_Cell):
    """One step of a ``GRU``.

    Args:
        input_size: how many features x has.
        hidden_size: how many h has.
        bias: whether there are b_ih and b_hh.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        weight_ih: ``(3 * hidden_size, input_size)``, in the order of ``GRU``.
        weight_hh: ``(3 * hidden_size, hidden_size)``.
        bias_ih: ``(3 * hidden_size,)``; or None.
        bias_hh: likewise.
    """

    _gates = 3

    def forward(self, x: Any, hx: Any = None) -> Any:
        """``(N, input_size)``, and ``(N, hidden_size)`` or None for zeros, to the next h."""
        a, (h,) = self._begin(x, None if hx is None else (hx,))
        return gru_step(a, h, self.weight_hh, self.bias_hh)


class LSTMCell(_Cell):
    """One step of an ``LSTM``.

    Args:
        input_size: how many features x has.
        hidden_size: how many h and c have.
        bias: whether there are b_ih and b_hh.
        dtype: the dtype of the parameters.
        rng: where the initial weights come from; the shared generator by default.

    Attributes:
        weight_ih: ``(4 * hidden_size, input_size)``, in the order of ``LSTM``.
        weight_hh: ``(4 * hidden_size, hidden_size)``.
        bias_ih: ``(4 * hidden_size,)``; or None.
        bias_hh: likewise.
    """

    _gates = 4
    _states = ("h", "c")

    def forward(self, x: Any, hx: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
        """``(N, input_size)``, and h and c, ``(N, hidden_size)`` each, to the next h and c."""
        a, (h, c) = self._begin(x, hx)
        return lstm_step(a, h, c, self.weight_hh, self.bias_hh)


def _weights(
    gates: int,
    input_size: int,
    hidden_size: int,
    bias: bool,
    dtype: DTypeLike,
    rng: np.random.Generator | None,
) -> dict[str, Parameter | None]:
    """The parameters of one layer in one direction, uniform in ±1/√hidden_size."""
    bound, rows = 1 / math.sqrt(hidden_size), gates * hidden_size
    draw = random.generator(rng).uniform

    def uniform(*shape: int) -> Parameter:
        return Parameter(draw(-bound, bound, shape).astype(dtype))

    return {
        "weight_ih": uniform(rows, input_size),
        "weight_hh": uniform(rows, hidden_size),
        "bias_ih": uniform(rows) if bias else None,
        "bias_hh": uniform(rows) if bias else None,
    }


def _suffix(layer: int, direction: int) -> str:
    return f"_l{layer}{'_reverse' if direction else ''}"


def _check_nonlinearity(name: str) -> None:
    if name not in _NONLINEARITIES:
        raise tg.UnknownNameError("nonlinearity", name, _NONLINEARITIES)


def _check_state(
    module: Module, state: State, names: tuple[str, ...], shape: tuple[int, ...]
) -> None:
    shapes = [np.shape(array) for array in state] if isinstance(state, tuple | list) else []
    if shapes != [shape] * len(names):
        raise tg.ShapeError(
            f"{module._in_place()} takes {' and '.join(names)} of shape {shape}, not"
            f" {' and '.join(map(str, shapes)) or type(state).__name__}"
        )
