"""When training meets a nan or an infinity: it stops before the step, and says whence it came."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_edu as tg
from nn import random
from nn.data.dataset import Batch
from nn.errors import TrainingError
from nn.module import Module
from nn.training.evaluation import mean_loss
from tinygrad_edu import Tensor
from tinygrad_edu.graph import plain

if TYPE_CHECKING:
    from nn.training.trainer import Trainer


class StepGuard:
    """Looks at the loss and the gradients of every step of an epoch.

    It keeps what a forward pass changes, running means and the place in the random numbers: so
    that a pass that failed leaves nothing behind, and can be repeated to find the culprit.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        modules = trainer.model.modules()
        self._buffers = [(module, name) for module in modules for name in module._buffers]

    def before_step(self) -> None:
        """Take down what may have to be restored."""
        self._kept = [getattr(module, name).copy() for module, name in self._buffers]
        self._random = random.state_dict(self._trainer.model)

    def check_loss(self, loss: float, batches: list[Batch]) -> None:
        """Raise a TrainingError if the loss is not finite."""
        if not math.isfinite(loss):
            self._stop(f"the loss is {loss}", batches)

    def check_gradients(self, batches: list[Batch]) -> None:
        """Raise a TrainingError if a gradient is not finite."""
        with np.errstate(all="ignore"):
            for path, p in self._trainer.model.named_parameters():
                if p.grad is not None and not _finite(plain(p.grad)):
                    self._stop(f"the gradient of {path} is not finite", batches)

    def _stop(self, what: str, batches: list[Batch]) -> None:
        trainer = self._trainer
        seen = f"after {trainer.samples} samples of epoch {len(trainer.history) + 1}"
        self._restore()
        cause, graph = self._cause(batches)
        self._restore()
        trainer.model.zero_grad()
        error = TrainingError(
            f"{what} {seen}: {cause}. The weights are those before this step. If nothing is wrong"
            f" there, try a smaller learning rate than {trainer.optimizer.lr:g}, or clipping"
        )
        error.graph = graph
        raise error

    def _restore(self) -> None:
        for (module, name), buffer in zip(self._buffers, self._kept, strict=True):
            setattr(module, name, buffer.copy())
        random.load_state_dict(self._trainer.model, self._random)

    def _cause(self, batches: list[Batch]) -> tuple[str, Any]:
        """What is the first to hold a number that is not finite, and a graph that shows it."""
        for i, batch in enumerate(batches):
            which = f"batch {i} of the step" if len(batches) > 1 else "the batch"
            for part, kind in zip(batch, [*["input"] * (len(batch) - 1), "target"], strict=True):
                if part.dtype.kind == "f" and not np.isfinite(part).all():
                    at = tuple(int(i) for i in np.argwhere(~np.isfinite(part))[0])
                    return f"the {kind} of sample {at[0]} of {which} holds {part[at]}", None
        model = self._trainer.model
        if path := not_finite(model):
            return f"{path} holds a number that is not finite", None
        for path, buffer in model.named_buffers():
            if np.isnan(buffer).any():  # an infinity may be meant: masks hold some
                return f"{path} holds nan", None
        try:
            with np.errstate(all="ignore"), tg.detect_anomaly():
                for *inputs, target in batches:
                    output = model(*map(Tensor, inputs))
                    mean_loss(self._trainer.loss, output, target).backward(retain_graph=False)
        except tg.AnomalyError as error:
            return str(error), error.graph
        return "a second pass over the same batch was finite", None


def not_finite(model: Module) -> str:
    """The path of the first parameter that holds a nan or an infinity, or ""."""
    with np.errstate(all="ignore"):
        return next((n for n, p in model.named_parameters() if not _finite(plain(p))), "")


def _finite(x: Any) -> bool:
    # A sum is one pass over the numbers; it is finite only if they are, unless it overflows.
    return math.isfinite(float(np.sum(x))) or bool(np.isfinite(x).all())
