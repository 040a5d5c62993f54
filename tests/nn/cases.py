"""For every module that nn exports, one to build and what it takes: the walk runs over them all.

A line per class: its name, how to build one, and the inputs of a call, floats in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nn
from tinygrad_edu import Value


def normal(*shape: int) -> Any:
    """Inputs without ties or zeros, the same for the same shape."""
    return np.random.default_rng(shape).normal(size=shape)


def shares(*shape: int) -> Any:
    """Numbers between 0.1 and 0.9, the same for the same shape."""
    return np.random.default_rng(shape).uniform(0.1, 0.9, shape)


def values(*numbers: float) -> list[Value]:
    """Inputs of the scalar tier."""
    return [Value(x) for x in numbers]


class Zipped(nn.Module):
    """Runs the modules of a container, which has no forward of its own, on an input each."""

    def __init__(self, modules: nn.ModuleList | nn.ModuleDict) -> None:
        self.parts = modules

    def forward(self, *inputs: Any) -> list[Any]:
        """Each module on an input of its own."""
        return [m(x) for m, x in zip(self.parts.children(), inputs, strict=True)]


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(3), (normal(2, 2, 7),)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, None)), (normal(2, 2, 5, 3),)),
    "AdaptiveAvgPool3d": (lambda: nn.AdaptiveAvgPool3d(1), (normal(1, 2, 2, 3, 2),)),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(3), (normal(2, 2, 7),)),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d((2, None)), (normal(2, 2, 5, 3),)),
    "AdaptiveMaxPool3d": (lambda: nn.AdaptiveMaxPool3d(1), (normal(1, 2, 2, 3, 2),)),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), (normal(2, 2, 5),)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), (normal(1, 2, 4, 5),)),
    "AvgPool3d": (lambda: nn.AvgPool3d(2), (normal(1, 2, 2, 3, 2),)),
    "BCELoss": (nn.BCELoss, (shares(3, 2), shares(3, 2))),
    "BCEWithLogitsLoss": (
        lambda: nn.BCEWithLogitsLoss(pos_weight=[0.5, 2.0]),
        (normal(3, 2), shares(3, 2)),
    ),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), (normal(4, 3),)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3, momentum=None), (normal(2, 3, 2, 3),)),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(2), (normal(2, 2, 2, 1, 2),)),
    "Bilinear": (lambda: nn.Bilinear(3, 2, 4), (normal(2, 3), normal(2, 2))),
    "CELU": (lambda: nn.CELU(0.5), (normal(3, 4),)),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 3, stride=2), (normal(2, 2, 6),)),
    "Conv2d": (
        lambda: nn.Conv2d(4, 2, (3, 2), padding="same", groups=2, padding_mode="reflect"),
        (normal(2, 4, 4, 3),),
    ),
    "Conv3d": (lambda: nn.Conv3d(2, 1, 2, padding=1), (normal(1, 2, 2, 1, 2),)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 3, 3, stride=2), (normal(2, 2, 3),)),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2),
        (normal(1, 4, 3, 2),),
    ),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 1, 2), (normal(1, 2, 1, 2, 2),)),
    "CosineEmbeddingLoss": (
        lambda: nn.CosineEmbeddingLoss(margin=-0.9),
        (normal(3, 4), normal(3, 4)[::-1], np.array([1, -1, -1])),
    ),
    "CrossEntropyLoss": (
        lambda: nn.CrossEntropyLoss(weight=[0.5, 1.0, 2.0], label_smoothing=0.1),
        (normal(4, 3), np.array([0, 2, -100, 1])),
    ),
    "DropPath": (lambda: nn.DropPath(0.4), (normal(6, 2),)),
    "Dropout": (lambda: nn.Dropout(0.4), (normal(3, 4),)),
    "Dropout2d": (lambda: nn.Dropout2d(0.4), (normal(3, 4, 2, 1),)),
    "ELU": (lambda: nn.ELU(0.5), (normal(3, 4),)),
    "Embedding": (lambda: nn.Embedding(5, 3), (np.array([[0, 3, 1], [3, 3, 4]]),)),
    "Flatten": (nn.Flatten, (normal(2, 3, 2),)),
    "GELU": (nn.GELU, (normal(3, 4),)),
    "GLU": (nn.GLU, (normal(3, 4),)),
    "GRU": (lambda: nn.GRU(3, 2, 2, dropout=0.3, bidirectional=True), (normal(4, 2, 3),)),
    "GRUCell": (lambda: nn.GRUCell(3, 2), (normal(4, 3), normal(4, 2))),
    "GaussianNLLLoss": (
        lambda: nn.GaussianNLLLoss(full=True),
        (normal(3, 2), normal(3, 2) / 2, shares(3, 2)),
    ),
    "GlobalAvgPool": (nn.GlobalAvgPool, (normal(2, 3, 2, 3),)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (normal(2, 4, 3),)),
    "Hardshrink": (nn.Hardshrink, (normal(3, 4),)),
    "Hardsigmoid": (nn.Hardsigmoid, (normal(3, 4),)),
    "Hardswish": (nn.Hardswish, (normal(3, 4),)),
    "Hardtanh": (lambda: nn.Hardtanh(-0.5, 0.75), (normal(3, 4),)),
    "HingeLoss": (nn.HingeLoss, (normal(4), np.array([1, -1, 1, -1]))),
    "HuberLoss": (lambda: nn.HuberLoss(delta=0.5), (normal(3, 4), normal(3, 4)[::-1])),
    "Identity": (nn.Identity, (normal(3, 4),)),
    "InstanceNorm2d": (
        lambda: nn.InstanceNorm2d(2, affine=True, track_running_stats=True),
        (normal(2, 2, 2, 3),),
    ),
    "KLDivLoss": (lambda: nn.KLDivLoss("batchmean"), (normal(3, 4), shares(3, 4))),
    "L1Loss": (nn.L1Loss, (normal(4, 3), normal(4, 3)[::-1])),
    "LSTM": (lambda: nn.LSTM(3, 2, 2, dropout=0.3, bidirectional=True), (normal(4, 2, 3),)),
    "LSTMCell": (lambda: nn.LSTMCell(3, 2), (normal(4, 3),)),
    "Layer": (lambda: nn.Layer(2, 3), (values(0.5, -1.5),)),
    "LayerNorm": (lambda: nn.LayerNorm((2, 3)), (normal(3, 2, 3),)),
    "LazyBatchNorm1d": (nn.LazyBatchNorm1d, (normal(3, 2, 2),)),
    "LazyBatchNorm2d": (nn.LazyBatchNorm2d, (normal(2, 2, 2, 3),)),
    "LazyConv1d": (lambda: nn.LazyConv1d(2, 3), (normal(2, 2, 5),)),
    "LazyConv2d": (lambda: nn.LazyConv2d(2, 3), (normal(1, 2, 4, 3),)),
    "LazyLinear": (lambda: nn.LazyLinear(3), (normal(2, 4),)),
    "LeakyReLU": (lambda: nn.LeakyReLU(0.2), (normal(3, 4),)),
    "LearnedPositionalEncoding": (lambda: nn.LearnedPositionalEncoding(5, 4), (normal(3, 2, 4),)),
    "Linear": (lambda: nn.Linear(4, 3), (normal(2, 4),)),
    "LogSigmoid": (nn.LogSigmoid, (normal(3, 4),)),
    "LogSoftmax": (lambda: nn.LogSoftmax(dim=0), (normal(3, 4),)),
    "MLP": (lambda: nn.MLP(2, [3, 1], "tanh"), (values(0.5, -1.5),)),
    "MSELoss": (nn.MSELoss, (normal(4, 3), normal(4, 3)[::-1])),
    "MarginRankingLoss": (
        lambda: nn.MarginRankingLoss(0.5),
        (normal(4), normal(4)[::-1], np.array([1, -1, 1, -1])),
    ),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), (normal(2, 2, 5),)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), (normal(1, 2, 4, 5),)),
    "MaxPool3d": (lambda: nn.MaxPool3d(2), (normal(1, 2, 2, 3, 2),)),
    "Mish": (nn.Mish, (normal(3, 4),)),
    "ModuleDict": (
        lambda: Zipped(nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.Tanh()})),
        (normal(2, 2), normal(3)),
    ),
    "ModuleList": (
        lambda: Zipped(nn.ModuleList([nn.Linear(2, 1), nn.Tanh()])),
        (normal(2, 2), normal(3)),
    ),
    "MultiMarginLoss": (lambda: nn.MultiMarginLoss(2), (normal(3, 4), np.array([0, 3, 1]))),
    "MultiheadAttention": (
        lambda: nn.MultiheadAttention(4, 2, 0.3),
        (normal(3, 2, 4), normal(5, 2, 4), normal(5, 2, 4)),
    ),
    "NLLLoss": (lambda: nn.NLLLoss([0.5, 1.0, 2.0]), (normal(3, 3), np.array([0, 2, 1]))),
    "Neuron": (lambda: nn.Neuron(2), (values(0.5, -1.5),)),
    "PReLU": (lambda: nn.PReLU(3), (normal(2, 3, 2),)),
    "Parallel": (
        lambda: nn.Parallel(nn.Linear(3, 2), nn.Tanh(), combine="concatenate"),
        (normal(2, 3),),
    ),
    "PoissonNLLLoss": (lambda: nn.PoissonNLLLoss(full=True), (normal(4), 3 * shares(4))),
    "RMSNorm": (lambda: nn.RMSNorm(4), (normal(3, 4),)),
    "RNN": (lambda: nn.RNN(3, 2, 2, dropout=0.3, bidirectional=True), (normal(4, 2, 3),)),
    "RNNCell": (lambda: nn.RNNCell(3, 2), (normal(4, 3), normal(4, 2))),
    "ReLU": (nn.ReLU, (normal(3, 4),)),
    "ReLU6": (nn.ReLU6, (4 * normal(3, 4),)),
    "Residual": (lambda: nn.Residual(nn.Linear(3, 2), nn.Linear(3, 2)), (normal(2, 3),)),
    "SELU": (nn.SELU, (normal(3, 4),)),
    "Sequential": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (normal(2, 4),)),
    "SiLU": (nn.SiLU, (normal(3, 4),)),
    "Sigmoid": (nn.Sigmoid, (normal(3, 4),)),
    "SinusoidalPositionalEncoding": (
        lambda: nn.SinusoidalPositionalEncoding(4),
        (normal(3, 2, 4),),
    ),
    "SmoothL1Loss": (lambda: nn.SmoothL1Loss(beta=0.5), (normal(3, 4), normal(3, 4)[::-1])),
    "SoftMarginLoss": (nn.SoftMarginLoss, (normal(4), np.array([1, -1, 1, -1]))),
    "Softmax": (lambda: nn.Softmax(dim=0), (normal(3, 4),)),
    "Softmin": (nn.Softmin, (normal(3, 4),)),
    "Softplus": (lambda: nn.Softplus(2.0), (normal(3, 4),)),
    "Softshrink": (nn.Softshrink, (normal(3, 4),)),
    "Softsign": (nn.Softsign, (normal(3, 4),)),
    "SqueezeExcite": (lambda: nn.SqueezeExcite(4, 2), (normal(2, 4, 2, 3),)),
    "Tanh": (nn.Tanh, (normal(3, 4),)),
    "Tanhshrink": (nn.Tanhshrink, (normal(3, 4),)),
    "Threshold": (lambda: nn.Threshold(0.1, 20.0), (normal(3, 4),)),
    "TransformerDecoder": (
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 6, activation="gelu"), 2),
        (normal(3, 2, 4), normal(5, 2, 4)),
    ),
    "TransformerDecoderLayer": (
        lambda: nn.TransformerDecoderLayer(4, 2, 6, activation="tanh"),
        (normal(3, 2, 4), normal(5, 2, 4)),
    ),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, norm_first=True), 2),
        (normal(3, 2, 4),),
    ),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(4, 2, 6, activation="gelu"),
        (normal(3, 2, 4),),
    ),
    "TripletMarginLoss": (
        lambda: nn.TripletMarginLoss(swap=True, margin=5.0),
        (normal(3, 4), normal(4, 3).T, shares(3, 4)),
    ),
    "Unflatten": (lambda: nn.Unflatten(1, (2, -1)), (normal(2, 6),)),
    "Upsample": (
        lambda: nn.Upsample(scale_factor=1.5, mode="bilinear"),
        (normal(1, 2, 3, 2),),
    ),
}
