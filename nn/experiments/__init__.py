"""What a course on neural networks asks for, each experiment in one call.

Every function returns its numbers in a frozen dataclass that prints itself as a table, and repeats
them for the same ``seed``.
"""

from nn.experiments.activations import ActivationRow, SwappedActivations, swap_activations
from nn.experiments.clipping import ClippedTraining, clipping
from nn.experiments.comparison import Comparison, Curve
from nn.experiments.neurons import Neurons, neurons
from nn.experiments.optimizers import Cell, OptimizerTable, optimizers_by_learning_rate
from nn.experiments.running_statistics import BatchNormLog, BatchNormLogs, running_statistics
from nn.experiments.tiers import Tier, Tiers, scalar_versus_vectorised
from nn.experiments.weight_decay import WeightDecay, WeightHistogram, weight_decay
from nn.experiments.without_skip import without_skip
from nn.experiments.without_squeeze_excite import without_squeeze_excite
from nn.experiments.zoo_table import ZooRow, ZooTable, zoo_table

__all__ = [
    "ActivationRow",
    "BatchNormLog",
    "BatchNormLogs",
    "Cell",
    "ClippedTraining",
    "Comparison",
    "Curve",
    "Neurons",
    "OptimizerTable",
    "SwappedActivations",
    "Tier",
    "Tiers",
    "WeightDecay",
    "WeightHistogram",
    "ZooRow",
    "ZooTable",
    "clipping",
    "neurons",
    "optimizers_by_learning_rate",
    "running_statistics",
    "scalar_versus_vectorised",
    "swap_activations",
    "weight_decay",
    "without_skip",
    "without_squeeze_excite",
    "zoo_table",
]
