"""Optimizers, what turns gradients into better parameters; schedules, clipping and averages."""

from nn.optim.adagrad import Adadelta, Adagrad, RMSprop
from nn.optim.adam import Adam, Adamax, AdamW, NAdam, RAdam
from nn.optim.averaging import EMA
from nn.optim.catalog import OPTIMIZERS, SCHEDULES, create, schedule
from nn.optim.clipping import Clipping, clip_grad_norm_, clip_grad_value_
from nn.optim.lbfgs import LBFGS
from nn.optim.lookahead import Lookahead
from nn.optim.optimizer import Optimizer
from nn.optim.range_test import RangeTest, find_learning_rate
from nn.optim.schedules import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    LinearWarmup,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
)
from nn.optim.sgd import SGD, Lion

__all__ = [
    "EMA",
    "LBFGS",
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "ChainedScheduler",
    "Clipping",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "LinearWarmup",
    "Lion",
    "Lookahead",
    "MultiStepLR",
    "NAdam",
    "OneCycleLR",
    "Optimizer",
    "PolynomialLR",
    "RAdam",
    "RMSprop",
    "RangeTest",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "create",
    "find_learning_rate",
    "schedule",
]
