"""What a training run is made of: its settings, and the data, model and Trainer made from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

import nn
import tinygrad_edu as tg
from nn.data import DataLoader, Dataset, random_split
from nn.training import Trainer

Array = np.ndarray[Any, Any]

# The same samples are held out whatever a run's seed, so that runs can be compared.
SPLIT_SEED = 1

# The share of what is left that early stopping and sweeps look at.
VALIDATION = 0.125

# Data sets that come with a test set of their own.
_WITH_TEST_SET = ("mnist", "fashion_mnist")

# Plain gradient descent takes longer strides than the methods that scale theirs.
_LEARNING_RATES = {"sgd": 0.1, "lbfgs": 1.0}


@dataclass(frozen=True)
class Settings:
    """The settings of a run; the defaults are those of ``tinygrad-edu train``.

    None is for what depends on the data, the model or the optimizer.
    """

    dataset: str
    data: str | None = None
    samples: int | None = None
    model: str | None = None
    hidden: tuple[int, ...] | None = None
    activation: str | None = None
    dropout: float | None = None
    optimizer: str = "adamw"
    lr: float | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    schedule: str = "constant"
    augment: tuple[str, ...] = ()
    label_smoothing: float = 0.0
    clip: float | None = None
    accumulate: int = 1
    ema: float | None = None
    batch_size: int = 32
    epochs: int = 60
    patience: int = 15
    held_out: float = 0.2
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what was set, by name."""
        return {name: x for name, x in dataclasses.asdict(self).items() if x is not None}

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Settings:
        """What ``as_dict`` gave, from JSON.

        Raises:
            UnknownNameError: there is no such setting.
        """
        for name in settings:
            if name not in _FIELDS:
                raise tg.UnknownNameError("setting", name, _FIELDS)
        given: dict[str, Any] = {
            name: tuple(x) if isinstance(x, list) else x for name, x in settings.items()
        }
        return cls(**given)


_FIELDS = {field.name: str(field.type) for field in dataclasses.fields(Settings)}

# What a sweep can vary: not the data, which make results comparable.
SWEPT = sorted(_FIELDS.keys() - {"dataset", "data", "samples", "held_out"})


def parse(name: str, text: str) -> Any:
    """The value of a setting from its text: lists are written ``64+32``, no value ``none``.

    Raises:
        UnknownNameError: there is no such setting.
        ConfigurationError: the text is no value of it.

    >>> parse("hidden", "64+32"), parse("lr", "1e-3"), parse("augment", "none")
    ((64, 32), 0.001, ())
    """
    if name not in SWEPT:
        raise tg.UnknownNameError("setting", name, SWEPT)
    kind = _FIELDS[name]
    if kind.startswith("tuple"):
        element: Callable[[str], Any] = int if "int" in kind else str
        read: Callable[[str], Any] = lambda t: tuple(map(element, t.split("+")))  # noqa: E731
        nothing: Any = ()
    else:
        read = {"int": int, "float": float}.get(kind.partition(" ")[0], str)
        nothing = None
    if text == "none":
        return nothing
    try:
        return read(text)
    except ValueError as error:
        raise nn.ConfigurationError(
            f"{name} takes {kind.removesuffix(' | None')}, not {text!r}"
        ) from error


@dataclass(frozen=True)
class Parts:
    """The samples of a run, each in one part."""

    whole: Dataset
    train: Dataset
    validation: Dataset
    held_out: Dataset

    @property
    def kind(self) -> str:
        """``"text"``, ``"images"`` or ``"table"``."""
        if self.tokenizer is not None:
            return "text"
        return "images" if self.sample.ndim == 3 else "table"

    @property
    def tokenizer(self) -> Any:
        """What a text was made integers by; None for other data."""
        whole = self.whole.dataset if isinstance(self.whole, nn.data.Subset) else self.whole
        return getattr(whole, "tokenizer", None)

    @property
    def sample(self) -> Array:
        """The input of a sample."""
        return self.whole.batch([0])[0][0]

    @property
    def classifies(self) -> bool:
        """Whether there are classes, rather than numbers to predict."""
        return bool(self.whole.classes)


def load_parts(settings: Settings) -> Parts:
    """Load the data set, and split it: to learn from, to stop by, and to report on."""
    return _load_parts(settings.dataset, settings.data, settings.samples, settings.held_out)


@lru_cache(maxsize=1)  # for a sweep, whose runs share their data
def _load_parts(name: str, data: str | None, samples: int | None, share: float) -> Parts:
    options: dict[str, Any] = {}
    if data is not None:
        options["path" if name == "tiny_text" else "folder"] = data
    whole: Dataset = nn.data.load(name, **options)
    if samples is not None:
        if not 8 <= samples <= len(whole):
            raise nn.ConfigurationError(
                f"{name} has {len(whole):,} samples; a run takes 8 of them or more, not {samples:,}"
            )
        if samples < len(whole):
            whole = random_split(whole, [samples, len(whole) - samples], SPLIT_SEED)[0]
    rest: Dataset
    held_out: Dataset
    if name in _WITH_TEST_SET:
        rest, held_out = whole, nn.data.load(name, train=False, **options)
    else:
        rest, held_out = random_split(whole, [1 - share, share], SPLIT_SEED)
    train, validation = random_split(rest, [1 - VALIDATION, VALIDATION], SPLIT_SEED)
    return Parts(whole, train, validation, held_out)


def build_model(settings: Settings, parts: Parts) -> nn.Module:
    """The model by name, in the sizes that the data need.

    Raises:
        ConfigurationError: it takes other data, or has no such option.
    """
    default = "gpt" if parts.kind == "text" else "feedforward"
    name = model_named(settings.model or default)
    given = {
        "hidden": settings.hidden,
        "activation": settings.activation,
        "dropout": settings.dropout,
    }
    taken = {"feedforward": given.keys(), "gpt": {"dropout"}}.get(name, set())
    for option, value in given.items():
        if value is not None and option not in taken:
            raise nn.ConfigurationError(f"{name} has no {option}: leave it out")
    if (name == "gpt") != (parts.kind == "text"):
        wanted = "text, such as tiny_text" if name == "gpt" else "arrays, and gpt takes text"
        raise nn.ConfigurationError(f"{name} takes {wanted}; {settings.dataset} is {parts.kind}")
    outputs = len(parts.whole.classes) or int(parts.whole.batch([0])[1].shape[1])
    shape = parts.sample.shape
    if name == "gpt":
        return nn.zoo.create(
            name, vocab_size=outputs, block_size=shape[0], dropout=settings.dropout or 0.0
        )
    if name == "feedforward":
        width = shape if len(shape) > 1 else shape[0]
        hidden = (128, 64) if settings.hidden is None else settings.hidden
        dropout = 0.2 if settings.dropout is None else settings.dropout
        return nn.zoo.create(
            name,
            sizes=[width, *hidden, outputs],
            activation=settings.activation or "relu",
            dropout=dropout,
        )
    if parts.kind != "images":
        raise nn.ConfigurationError(
            f"{name} takes images, and a sample of {settings.dataset} has shape {shape}: take"
            " --model feedforward"
        )
    channels, height, width = shape
    if height != width:
        raise nn.ConfigurationError(f"{name} takes square images, not {height}x{width}")
    return nn.zoo.create(name, in_channels=channels, num_classes=outputs, image_size=height)


def model_named(name: str) -> str:
    """The name of a model of the zoo, of which the beginning will do: ``lenet``.

    Raises:
        UnknownNameError: no model's name, or that of several, begins so.
    """
    found = [known for known in nn.zoo.models() if known.startswith(name)]
    if name in found:
        return name
    if len(found) != 1:
        raise tg.UnknownNameError("model", name, found or nn.zoo.models())
    return found[0]


def next_token_loss(logits: Any, tokens: Any) -> Any:
    """The mean cross-entropy over every place of a text: logits ``(N, T, V)``, ids ``(N, T)``."""
    return tg.cross_entropy(logits.swapaxes(1, 2), tokens)


def loss_of(settings: Settings, parts: Parts) -> Callable[[Any, Any], Any]:
    """Cross-entropy for classes, the mean squared error for numbers."""
    if not parts.classifies:
        return nn.functional.mse_loss
    if parts.kind == "text":
        return next_token_loss
    if settings.label_smoothing:
        return nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    return tg.cross_entropy


class NextTokenAccuracy(nn.training.Accuracy):
    """The share of places at which the likeliest token is the next one; as ``next_token_loss``."""

    def update(self, output: Array, target: Array) -> None:
        """Take in a batch."""
        super().update(output.reshape(-1, output.shape[-1]), target.reshape(-1))


def metrics_of(parts: Parts) -> list[str | nn.training.Metric]:
    """What is measured beside the loss, and a run is judged by."""
    if parts.kind == "text":
        return [NextTokenAccuracy()]
    return ["accuracy"] if parts.classifies else ["r2"]


def build_loader(settings: Settings, parts: Parts) -> DataLoader:
    """The batches to learn from, changed as ``augment`` says.

    Raises:
        ConfigurationError: there is augmentation, and the samples are no images.
    """
    augment = None
    if settings.augment:
        if parts.kind != "images":
            raise nn.ConfigurationError(
                f"augmentation changes images, and {settings.dataset} has none"
            )
        augment = nn.data.augmentation(
            settings.augment, parts.sample.shape[-2], len(parts.whole.classes)
        )
    return DataLoader(
        parts.train, settings.batch_size, shuffle=True, seed=settings.seed, augment=augment
    )


@dataclass(frozen=True)
class Prepared:
    """A run that can begin."""

    settings: Settings
    parts: Parts
    batches: DataLoader
    trainer: Trainer


def prepare(settings: Settings) -> Prepared:
    """The data, and the model with everything that trains it."""
    parts = load_parts(settings)
    batches = build_loader(settings, parts)
    nn.manual_seed(settings.seed)
    model = build_model(settings, parts)
    options = {
        "lr": _LEARNING_RATES.get(settings.optimizer, 2e-3) if settings.lr is None else settings.lr,
        "momentum": settings.momentum,
        "weight_decay": settings.weight_decay,
    }
    given = {name: x for name, x in options.items() if x is not None}
    optimizer = nn.optim.create(settings.optimizer, model.parameters(), **given)
    steps = settings.epochs * math.ceil(len(batches) / max(settings.accumulate, 1))
    plateau = settings.schedule == "plateau"
    trainer = Trainer(
        model,
        optimizer,
        loss_of(settings, parts),
        metrics=metrics_of(parts),
        schedule=nn.optim.schedule(
            settings.schedule, optimizer, settings.epochs if plateau else steps
        ),
        schedule_per="epoch" if plateau else "step",
        clipping=settings.clip,
        accumulate=settings.accumulate,
        ema=None if settings.ema is None else nn.optim.EMA(model, settings.ema),
    )
    return Prepared(settings, parts, batches, trainer)
