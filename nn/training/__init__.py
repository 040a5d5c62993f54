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
from nn.training.metrics import (
    F1,
    METRICS,
    R2,
    Accuracy,
    ConfusionMatrix,
    MeanSquaredError,
    Metric,
    Precision,
    Recall,
    TopK,
    metric,
)
from nn.training.progress import ProgressBar
from nn.training.recorders import GradientNorms, RunningStatistics, WeightHistograms
from nn.training.trainer import History, Trainer

__all__ = [
    "F1",
    "METRICS",
    "R2",
    "Accuracy",
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "ConfusionMatrix",
    "EarlyStopping",
    "GradientNorms",
    "History",
    "JSONLinesLogger",
    "MeanSquaredError",
    "Metric",
    "Precision",
    "ProgressBar",
    "Recall",
    "RunningStatistics",
    "TopK",
    "Trainer",
    "WeightHistograms",
    "evaluate",
    "load_weights",
    "metric",
    "predict",
    "read_checkpoint",
    "save_weights",
    "write_checkpoint",
]
