"""Training a model, watching it, and keeping what it learned."""

from nn.training.callbacks import Callback, EarlyStopping
from nn.training.checkpoint import (
    Checkpoint,
    load_weights,
    read_checkpoint,
    save_weights,
    write_checkpoint,
)
from nn.training.evaluation import evaluate, predict
from nn.training.logs import CSVLogger, JSONLinesLogger
from nn.training.metrics import Accuracy, Metric, metric
from nn.training.progress import ProgressBar
from nn.training.trainer import History, Trainer

__all__ = [
    "Accuracy",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "JSONLinesLogger",
    "Metric",
    "ProgressBar",
    "Trainer",
    "evaluate",
    "load_weights",
    "metric",
    "predict",
    "read_checkpoint",
    "save_weights",
    "write_checkpoint",
]
