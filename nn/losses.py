"""Losses as modules: each is the function of ``nn.functional`` that it names, with its options.

They take an input and a target, unless their docstring says otherwise, and return a scalar, or
with ``reduction="none"`` the loss of every sample or entry.
"""

from __future__ import annotations

from typing import Any

from nn import functional as f
from nn.layers.function import Function
from tinygrad_edu.ops.targets import check_reduction


class Loss(Function):
    """What losses have in common: a reduction, ``"mean"``, ``"sum"`` or ``"none"``."""

    def __post_init__(self) -> None:
        self._check_reduction()

    def _check_reduction(self) -> None:
        check_reduction(type(self).__name__, self._options()["reduction"])


# Of numbers.


class MSELoss(Loss, of=f.mse_loss):
    """The mean of (input - target)²."""

    reduction: str = "mean"


class L1Loss(Loss, of=f.l1_loss):
    """The mean of |input - target|."""

    reduction: str = "mean"


class HuberLoss(Loss, of=f.huber_loss):
    """With d = input - target, the mean of ½ d² where |d| < delta, else delta (|d| - ½ delta)."""

    reduction: str = "mean"
    delta: float = 1.0


class SmoothL1Loss(Loss, of=f.smooth_l1_loss):
    """With d = input - target, the mean of ½ d² / beta where |d| < beta, else |d| - ½ beta."""

    reduction: str = "mean"
    beta: float = 1.0


class PoissonNLLLoss(Loss, of=f.poisson_nll_loss):
    """The mean of exp(input) - target * input, for counts whose log-rate is the input.

    Args:
        log_input: whether the input is a logarithm; if not, input - target * log(input + eps).
        full: add Stirling's formula for log(target!).
        eps: what keeps the logarithm of 0 finite.
        reduction: as for ``Loss``.
    """

    log_input: bool = True
    full: bool = False
    eps: float = 1e-8
    reduction: str = "mean"


class GaussianNLLLoss(Loss, of=f.gaussian_nll_loss):
    """The mean of ½ (log var + (input - target)² / var), of an input, a target and a variance.

    Args:
        full: add ½ log 2π.
        eps: the least variance that counts.
        reduction: as for ``Loss``.
    """

    full: bool = False
    eps: float = 1e-6
    reduction: str = "mean"


# Of classes.


class CrossEntropyLoss(Loss, of=f.cross_entropy):
    """The mean of -log softmax(input)[target].

    Args:
        weight: ``(classes,)``, a factor for each class, or None.
        ignore_index: a label that does not count.
        reduction: as for ``Loss``; a mean is divided by the sum of the weights.
        label_smoothing: the part of every label that goes to all classes evenly.

    >>> import nn, numpy as np
    >>> loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    >>> print(f"{loss(np.zeros((4, 10)), np.arange(4)):.4f}")  # of a guess: log 10
    2.3026
    """

    weight: Any = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0


class NLLLoss(Loss, of=f.nll_loss):
    """The mean of -input[target], for an input of log-probabilities.

    Args:
        weight: ``(classes,)``, a factor for each class, or None.
        ignore_index: a label that does not count.
        reduction: as for ``Loss``; a mean is divided by the sum of the weights.
    """

    weight: Any = None
    ignore_index: int = -100
    reduction: str = "mean"


class MultiMarginLoss(Loss, of=f.multi_margin_loss):
    """The mean of Σ max(0, margin - input[target] + input[c])ᵖ / classes over other classes c.

    Args:
        p: 1 or 2.
        margin: how far above the others the score of the right class has to be.
        weight: ``(classes,)``, a factor for each class, or None.
        reduction: as for ``Loss``.
    """

    p: int = 1
    margin: float = 1.0
    weight: Any = None
    reduction: str = "mean"


# Of two classes, or of yes and no in every entry.


class BCELoss(Loss, of=f.binary_cross_entropy):
    """The mean of -t log p - (1 - t) log(1 - p), for probabilities p; ``weight`` broadcasts."""

    weight: Any = None
    reduction: str = "mean"


class BCEWithLogitsLoss(Loss, of=f.binary_cross_entropy_with_logits):
    """The mean of -t log sigmoid(z) - (1 - t) log(1 - sigmoid(z)), for logits z.

    Args:
        weight: a factor for each entry, broadcasting; or None.
        reduction: as for ``Loss``.
        pos_weight: a factor for -t log sigmoid(z), broadcasting; or None.
    """

    weight: Any = None
    reduction: str = "mean"
    pos_weight: Any = None


class HingeLoss(Loss, of=f.hinge_loss):
    """The mean of max(0, margin - target * input), for targets 1 and -1."""

    margin: float = 1.0
    reduction: str = "mean"


class SoftMarginLoss(Loss, of=f.soft_margin_loss):
    """The mean of log(1 + exp(-target * input)), for targets 1 and -1."""

    reduction: str = "mean"


class KLDivLoss(Loss, of=f.kl_div):
    """The mean of target (log target - input), for an input of log-probabilities.

    Args:
        reduction: ``"batchmean"`` for the divergence itself, averaged over the batch; or as for
            ``Loss``, where ``"mean"`` is over all entries.
        log_target: whether the target is log-probabilities too.
    """

    reduction: str = "mean"
    log_target: bool = False

    def __post_init__(self) -> None:
        if self.reduction != "batchmean":
            self._check_reduction()


# Of distances and orders.


class CosineEmbeddingLoss(Loss, of=f.cosine_embedding_loss):
    """The mean of 1 - cos where the target is 1, and max(0, cos - margin) where it is -1.

    It takes input1, input2 ``(N, features)`` and the target ``(N,)``.
    """

    margin: float = 0.0
    reduction: str = "mean"


class MarginRankingLoss(Loss, of=f.margin_ranking_loss):
    """The mean of max(0, margin - target * (input1 - input2)), for targets 1 and -1.

    It takes input1, input2 and the target, all of one shape.
    """

    margin: float = 0.0
    reduction: str = "mean"


class TripletMarginLoss(Loss, of=f.triplet_margin_loss):
    """The mean of max(0, |anchor - positive| - |anchor - negative| + margin).

    It takes an anchor, a positive and a negative, all ``(N, features)``.

    Args:
        margin: how much farther the negative has to be.
        p: which norm the distances are.
        eps: what is added to each difference.
        swap: take the distance of the negative from the positive where that is smaller.
        reduction: as for ``Loss``.
    """

    margin: float = 1.0
    p: float = 2.0
    eps: float = 1e-6
    swap: bool = False
    reduction: str = "mean"
