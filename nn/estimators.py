"""Networks as scikit-learn's estimators, for its pipelines, searches and cross-validation.

They hold no mathematics of their own: a Trainer trains the model, and scikit-learn checks the data.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

import tinygrad_edu as tg
from nn import optim, random
from nn.checks import check_number
from nn.data import DataLoader, TensorDataset
from nn.errors import ConfigurationError
from nn.functional import mse_loss
from nn.init import xavier_uniform_
from nn.layers.linear import Linear
from nn.module import Module
from nn.training import Callback, EarlyStopping, History, ProgressBar, Trainer, predict
from nn.training.evaluation import Loss
from nn.zoo import feedforward
from tinygrad_edu import Tensor

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.utils import check_random_state, column_or_1d
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise tg.MissingExtraError("nn.estimators", "scikit-learn", "train") from error

Array = np.ndarray[Any, Any]

# By how much the loss must fall for an epoch to count as progress.
_PROGRESS = 1e-4


class Network(BaseEstimator):
    """What a classifier and a regressor have in common: the options, and training."""

    model_: Module
    history_: History

    def __init__(
        self,
        hidden: Sequence[int] = (100,),
        activation: str = "relu",
        dropout: float = 0.0,
        *,
        model: Callable[[int, int], Module] | None = None,
        optimizer: str = "adamw",
        lr: float | None = None,
        weight_decay: float | None = None,
        batch_size: int = 32,
        epochs: int = 200,
        validation: float | None = None,
        patience: int | None = 10,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.model = model
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.validation = validation
        self.patience = patience
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    @property
    def n_iter_(self) -> int:
        """How many epochs the last ``fit`` took."""
        return len(self.history_)

    @property
    def loss_curve_(self) -> list[float]:
        """The mean loss of each epoch of the last ``fit``."""
        return [row["train_loss"] for row in self.history_]

    def _goes_on(self) -> bool:
        """Whether ``fit`` goes on from the weights there are."""
        return self.warm_start and hasattr(self, "model_")

    def _fit(self, dataset: TensorDataset, outputs: int, loss: Loss) -> None:
        """Train a model; only if that succeeds, what was fitted before is replaced."""
        inputs = dataset.inputs
        seed = int(check_random_state(self.random_state).randint(2**31))
        with random.seeded(seed):
            # It is as precise as the features are.
            model = (
                copy.deepcopy(self.model_)
                if self._goes_on()
                else self._new_model(inputs, outputs).to(inputs.dtype)
            )
            options = {"lr": self.lr, "weight_decay": self.weight_decay}
            given = {name: value for name, value in options.items() if value is not None}
            trainer = Trainer(
                model,
                optim.create(self.optimizer, model.parameters(), **given),
                loss,
                callbacks=self._callbacks(),
            )
            if self.validation is not None:
                check_number("validation", self.validation, 0, 1)
            batches = DataLoader(dataset, self.batch_size, shuffle=True, seed=seed)
            # A search over np.arange tries integers of NumPy's.
            epochs = int(self.epochs) if isinstance(self.epochs, np.integer) else self.epochs
            history = trainer.fit(batches, self.validation, epochs)
        model.zero_grad()
        self.model_, self.history_ = model.eval(), history

    def _new_model(self, inputs: Array, outputs: int) -> Module:
        features = inputs.shape[1]
        if self.model is None:
            if not isinstance(self.hidden, tuple | list):
                raise ConfigurationError(
                    f"hidden is the width of every hidden layer, such as (100,), not"
                    f" {self.hidden!r}"
                )
            return _glorot(
                feedforward([features, *self.hidden, outputs], self.activation, self.dropout)
            )
        if isinstance(self.model, Module) or not callable(self.model):
            raise ConfigurationError(
                "model is a function from the numbers of features and outputs to a new Module, so"
                f" that every fit gets one of its own; not {type(self.model).__name__}"
            )
        model = self.model(features, outputs)
        if not isinstance(model, Module):
            raise ConfigurationError(
                f"the function given as model returned {type(model).__name__}, not a Module"
            )
        shape = predict(model, inputs[:1]).shape  # this also makes the parameters of lazy layers
        if shape != (1, outputs):
            raise tg.ShapeError(
                f"the model gives an output of shape {shape} for inputs of shape (1, {features}),"
                f" not (1, {outputs})"
            )
        return model

    def _callbacks(self) -> list[Callback]:
        callbacks: list[Callback] = []
        if self.patience is not None:
            watched = "train_loss" if self.validation is None else "validation_loss"
            callbacks.append(EarlyStopping(self.patience, watched, _PROGRESS))
        if self.verbose:
            callbacks.append(ProgressBar())
        return callbacks

    def _outputs(self, features: Any) -> Array:
        """What the model says about the features, in the precision that it was trained in."""
        check_is_fitted(self, "model_")
        dtype = self.model_.parameters()[0].dtype
        return predict(self.model_, validate_data(self, features, reset=False, dtype=dtype))


def _glorot(model: Module) -> Module:
    """The model with the initial weights of Glorot and Bengio, 2010, equation 16.

    He's, which ``feedforward`` has, are larger where layers widen, and the samples few: a network
    then fits them by its random features, before it has learned features that generalize.
    """
    for module in model.modules():
        if isinstance(module, Linear):
            xavier_uniform_(module.weight)
    return model


class NetworkClassifier(ClassifierMixin, Network):
    """A network that learns classes, as an estimator of scikit-learn's.

    It minimizes the cross-entropy. Features should be of about unit scale: put a
    ``StandardScaler`` before it. It computes in their precision, float32 or else float64.

    Args:
        hidden: the width of every hidden layer. Initial weights are Glorot's.
        activation: the name of the function after each of them.
        dropout: the probability of dropping a hidden activation in training.
        model: a function from the numbers of features and outputs to a new model, which takes
            ``(N, features)`` and returns ``(N, outputs)``; it takes the place of the three above.
            Outputs are the logits of the classes, or a regressor's scaled targets.
        optimizer: one of ``nn.optim.OPTIMIZERS``.
        lr: the learning rate; by default the optimizer's own.
        weight_decay: how strongly weights are pulled to 0; by default as the optimizer does.
        batch_size: how many samples go into a step.
        epochs: how often to go through the samples at most.
        validation: the share of the samples, in (0, 1), that is kept from training to see when to
            stop; by default the loss of training says so.
        patience: for how many epochs that loss may fail to fall by 0.0001 before training stops,
            with the best weights so far; None to go through all epochs and keep the last.
        warm_start: whether ``fit`` goes on from the weights of the last one.
        random_state: a seed for initial weights, the order of samples and dropout; or a
            ``RandomState``; by default NumPy's. The shared generator of ``nn`` is left alone.
        verbose: whether to show a progress bar.

    Attributes:
        model_: the trained model, in ``eval`` mode.
        classes_: every class, sorted; output i is the logit of class i.
        history_: a row per epoch of the last ``fit``, as in ``Trainer``.
        loss_curve_: the loss of each of those epochs.
        n_iter_: how many they were.
        n_features_in_: how many features there are.
        feature_names_in_: their names, if they came with names.

    Raises:
        ValueError: from ``fit``, for data that scikit-learn's checks find fault with, or an option
            out of its range (``ConfigurationError``, ``UnknownNameError``).
        TrainingError: from ``fit``, when a loss or a gradient is no longer finite.
        MissingExtraError: from the import, if scikit-learn is not installed.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from nn.estimators import NetworkClassifier
    >>> network = NetworkClassifier(hidden=(16,), lr=0.01, epochs=30, random_state=0)
    >>> pipeline = make_pipeline(StandardScaler(), network)
    >>> bool(cross_val_score(pipeline, *load_iris(return_X_y=True)).mean() > 0.9)
    True
    """

    classes_: Array

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples ``(N, features)`` and the class of each ``(N,)``; returns itself."""
        goes_on = self._goes_on()
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), reset=not goes_on)
        check_classification_targets(y)
        classes, labels = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        if len(classes) < 2:
            raise tg.TargetError(
                f"there is one class only, {classes.tolist()[0]!r}: a classifier needs two or more"
            )
        if goes_on and not np.array_equal(classes, self.classes_):
            raise tg.TargetError(
                f"with warm_start the classes must stay {self.classes_.tolist()}, and they are"
                f" {classes.tolist()}: pass warm_start=False"
            )
        names = tuple(map(str, classes))
        self._fit(TensorDataset(X, labels, classes=names), len(classes), tg.cross_entropy)
        self.classes_ = classes
        return self

    def predict(self, X: Any) -> Array:
        """The most probable class of every sample ``(N, features)``: ``(N,)``."""
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(1)]

    def predict_proba(self, X: Any) -> Array:
        """The probability of each of ``classes_`` for every sample: ``(N, classes)``."""
        return Tensor(self._outputs(X)).softmax().numpy()


class NetworkRegressor(RegressorMixin, Network):
    """A network that learns numbers, one or several per sample, as an estimator of scikit-learn's.

    It minimizes the mean squared error of targets that it scales to mean 0 and deviation 1, so
    that one learning rate does for all units; predictions are in the units of the targets, the
    losses in ``history_`` are not. Options, errors and attributes are those of
    ``NetworkClassifier``, but for ``classes_``.

    Attributes:
        y_mean_: the mean of each target, ``(targets,)``.
        y_scale_: its standard deviation, or 1 where that is 0.

    >>> import numpy as np
    >>> from nn.estimators import NetworkRegressor
    >>> x = np.linspace(-2, 2, 200)[:, None]
    >>> network = NetworkRegressor(activation="tanh", lr=0.01, random_state=0)
    >>> bool(network.fit(x, 1000 * np.sin(2 * x[:, 0])).score(x, 1000 * np.sin(2 * x[:, 0])) > 0.95)
    True
    """

    y_mean_: Array
    y_scale_: Array

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples ``(N, features)`` and targets ``(N,)`` or ``(N, targets)``.

        Returns itself.
        """
        goes_on = self._goes_on()
        X, y = validate_data(
            self,
            X,
            y,
            dtype=(np.float64, np.float32),
            multi_output=True,
            y_numeric=True,
            reset=not goes_on,
        )
        targets = y.reshape(len(y), -1).astype(np.float64)
        if goes_on:
            mean, scale = self.y_mean_, self.y_scale_
            if targets.shape[1] != len(mean):
                raise tg.TargetError(
                    f"with warm_start the number of targets must stay {len(mean)}, and it is"
                    f" {targets.shape[1]}: pass warm_start=False"
                )
        else:
            mean, scale = targets.mean(0), targets.std(0)
            scale[scale == 0] = 1
        scaled = ((targets - mean) / scale).astype(X.dtype)
        self._fit(TensorDataset(X, scaled), len(mean), mse_loss)
        self.y_mean_, self.y_scale_, self._y_ndim = mean, scale, y.ndim
        return self

    def predict(self, X: Any) -> Array:
        """The targets of every sample ``(N, features)``, in the shape that ``fit`` was given."""
        outputs = self._outputs(X)
        targets = (outputs * self.y_scale_ + self.y_mean_).astype(outputs.dtype)
        return targets[:, 0] if self._y_ndim == 1 else targets

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
