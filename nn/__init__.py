"""Neurons, layers and models, composed from the engine's ops, and what trains them."""

from nn import data, init, optim, training, zoo
from nn.containers import Sequential
from nn.errors import (
    CheckpointError,
    ConfigurationError,
    ModuleLawError,
    StateDictError,
    TrainingError,
)
from nn.layers.activation import ACTIVATIONS, GELU, Identity, LeakyReLU, ReLU, Sigmoid, SiLU, Tanh
from nn.layers.dropout import Dropout
from nn.layers.flatten import Flatten
from nn.layers.linear import Linear
from nn.module import Module, Parameter
from nn.neuron import MLP, Layer, Neuron
from nn.random import manual_seed

__all__ = [
    "ACTIVATIONS",
    "GELU",
    "MLP",
    "CheckpointError",
    "ConfigurationError",
    "Dropout",
    "Flatten",
    "Identity",
    "Layer",
    "LeakyReLU",
    "Linear",
    "Module",
    "ModuleLawError",
    "Neuron",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "StateDictError",
    "Tanh",
    "TrainingError",
    "data",
    "init",
    "manual_seed",
    "optim",
    "training",
    "zoo",
]
