"""Training a model, watching it, and keeping what it learned."""

from nn.training.callbacks import Callback, CSVLogger, EarlyStopping
from nn.training.checkpoint import load_weights, save_weights
from nn.training.progress import ProgressBar
from nn.training.trainer import Trainer, accuracy, evaluate

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "ProgressBar",
    "Trainer",
    "accuracy",
    "evaluate",
    "load_weights",
    "save_weights",
]
