"""The models by name, for a command line or a configuration file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nn.module import Module
from nn.zoo.alexnet import AlexNet
from nn.zoo.baseline import BaselineCNN
from nn.zoo.convnext import ConvNeXtTiny
from nn.zoo.efficientnet import EfficientNetLite0
from nn.zoo.feedforward import feedforward
from nn.zoo.gpt import GPT
from nn.zoo.lenet import LeNet5
from nn.zoo.resnet import ResNet18
from nn.zoo.vgg import VGG16
from tinygrad_edu import UnknownNameError

_MODELS: dict[str, Callable[..., Module]] = {
    "alexnet": AlexNet,
    "baseline_cnn": BaselineCNN,
    "convnext_tiny": ConvNeXtTiny,
    "efficientnet_lite0": EfficientNetLite0,
    "feedforward": feedforward,
    "gpt": GPT,
    "lenet5": LeNet5,
    "resnet18": ResNet18,
    "vgg16": VGG16,
}


def models() -> tuple[str, ...]:
    """The names that ``create`` knows.

    >>> import nn
    >>> "resnet18" in nn.zoo.models()
    True
    """
    return tuple(_MODELS)


def create(name: str, **options: Any) -> Module:
    """A new model.

    Args:
        name: one of ``models()``.
        options: the arguments of its class or function.

    Raises:
        UnknownNameError: there is no model of that name.

    >>> import nn
    >>> nn.zoo.create("lenet5", num_classes=2).classifier[-1].out_features
    2
    """
    if name not in _MODELS:
        raise UnknownNameError("model", name, _MODELS)
    return _MODELS[name](**options)
