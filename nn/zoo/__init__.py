"""Models ready to train."""

from nn.zoo.alexnet import AlexNet
from nn.zoo.baseline import BaselineCNN
from nn.zoo.catalog import create, models
from nn.zoo.convnext import ConvNeXtBlock, ConvNeXtTiny
from nn.zoo.efficientnet import EfficientNetLite0, InvertedResidual
from nn.zoo.feedforward import feedforward
from nn.zoo.gpt import GPT
from nn.zoo.lenet import LeNet5
from nn.zoo.resnet import BasicBlock, ResNet18
from nn.zoo.vgg import VGG16

__all__ = [
    "GPT",
    "VGG16",
    "AlexNet",
    "BaselineCNN",
    "BasicBlock",
    "ConvNeXtBlock",
    "ConvNeXtTiny",
    "EfficientNetLite0",
    "InvertedResidual",
    "LeNet5",
    "ResNet18",
    "create",
    "feedforward",
    "models",
]
