"""Models ready to train."""

from nn.zoo.feedforward import feedforward

__all__ = ["feedforward"]
