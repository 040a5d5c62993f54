"""Models ready to train."""

from nn.zoo.feedforward import feedforward
from nn.zoo.gpt import GPT

__all__ = ["GPT", "feedforward"]
