"""Networks keep scikit-learn's laws, work in its tools, and learn as well as its own networks."""

import pickle
import subprocess
import sys
import warnings
from inspect import signature

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    make_regression,
)
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import nn
import tinygrad_edu as tg
from nn.estimators import NetworkClassifier, NetworkRegressor

# Enough to learn the small tasks of the checks.
QUICK = {"epochs": 15, "lr": 0.01}


@parametrize_with_checks([NetworkClassifier(**QUICK), NetworkRegressor(**QUICK)])
def test_every_check_of_scikit_learn_passes(estimator, check):
    check(estimator)


@pytest.fixture
def iris():
    x, y = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(x), y


def weights(estimator):
    return np.concatenate([p.data.ravel() for p in estimator.model_.parameters()])


# As an estimator among others.


def test_a_pipeline_scales_and_classifies():
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NetworkClassifier(**QUICK, random_state=0))
    assert pipeline.fit(1000 * x, y).score(1000 * x, y) > 0.9


def test_a_search_finds_the_learning_rate_that_learns(iris):
    grid = {"lr": [1e-9, 0.01], "epochs": np.array([10])}  # an integer of NumPy's
    search = GridSearchCV(NetworkClassifier(random_state=0), grid, cv=2).fit(*iris)
    assert search.best_params_["lr"] == 0.01


def test_both_have_the_same_options_and_get_and_set_them():
    assert signature(NetworkClassifier) == signature(NetworkRegressor)
    estimator = NetworkRegressor(hidden=(3, 4)).set_params(optimizer="sgd", dropout=0.5)
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.get_params().items() >= {"hidden": (3, 4), "optimizer": "sgd"}.items()


def test_before_fit_there_is_nothing_to_predict_with(iris):
    with pytest.raises(NotFittedError):
        NetworkClassifier().predict(iris[0])


def test_a_fit_that_fails_is_no_fit(iris):
    estimator = NetworkClassifier(optimizer="adamm")
    with pytest.raises(tg.UnknownNameError):
        estimator.fit(*iris)
    with pytest.raises(NotFittedError):
        estimator.predict(iris[0])


# What comes out.


def test_classes_of_any_type_come_back(iris):
    x, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    estimator = NetworkClassifier(**QUICK, random_state=0).fit(x, names)
    assert estimator.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert (estimator.predict(x) == names).mean() > 0.9


def test_probabilities_are_the_softmax_of_the_logits_and_agree_with_the_prediction(iris):
    x, y = iris
    estimator = NetworkClassifier(**QUICK).fit(x, y)
    logits = nn.training.predict(estimator.model_, x)
    found = estimator.predict_proba(x)
    exponentials = np.exp(logits)
    np.testing.assert_allclose(found, exponentials / exponentials.sum(1, keepdims=True))
    np.testing.assert_array_equal(estimator.predict(x), estimator.classes_[found.argmax(1)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_computes_in_the_precision_of_the_features(iris, dtype):
    x, y = iris[0].astype(dtype), iris[1]
    estimator = NetworkClassifier(epochs=1).fit(x, y)
    assert {p.dtype for p in estimator.model_.parameters()} == {np.dtype(dtype)}
    assert estimator.predict_proba(x.astype(np.float64)).dtype == dtype
    assert NetworkRegressor(epochs=1).fit(x, y).predict(x).dtype == dtype


@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 3)])
def test_predicted_numbers_have_the_shape_of_the_targets(shape):
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = x.sum(1).repeat(int(np.prod(shape[1:]))).reshape(shape)
    found = NetworkRegressor(**QUICK, random_state=0).fit(x, y).predict(x)
    assert found.shape == shape
    np.testing.assert_allclose(found, y, atol=1.5)


def test_the_units_of_the_targets_change_nothing_but_the_units_of_the_prediction():
    x, y = make_regression(80, 4, n_targets=2, random_state=0)
    factors, shifts = np.array([1e-3, 1e6]), np.array([5.0, -3e6])
    fit = lambda y: NetworkRegressor(epochs=10, random_state=0).fit(x, y).predict(x)
    np.testing.assert_allclose(fit(y * factors + shifts), fit(y) * factors + shifts, rtol=1e-6)


def test_a_target_that_never_changes_is_learned():
    x, y = np.eye(6), np.full(6, 42.0)
    found = NetworkRegressor(**QUICK, weight_decay=0.0, random_state=0).fit(x, y).predict(x)
    np.testing.assert_allclose(found, y, atol=1)


def test_the_history_is_that_of_the_training(iris):
    estimator = NetworkClassifier(epochs=7, validation=0.2, random_state=0).fit(*iris)
    assert [row["epoch"] for row in estimator.history_] == list(range(1, 8))
    assert estimator.n_iter_ == len(estimator.loss_curve_) == 7
    assert estimator.loss_curve_[-1] < estimator.loss_curve_[0]
    assert {"validation_loss", "validation_accuracy"} <= estimator.history_[0].keys()


# Randomness.


def test_random_state_decides_everything_and_leaves_the_shared_generator_alone(iris):
    def run(seed):
        return weights(NetworkClassifier(epochs=2, dropout=0.5, random_state=seed).fit(*iris))

    nn.manual_seed(1)
    first = run(0)
    drawn = nn.Linear(2, 2).weight.data
    nn.manual_seed(1)
    np.testing.assert_array_equal(nn.Linear(2, 2).weight.data, drawn)
    np.testing.assert_array_equal(run(0), first)
    assert not np.array_equal(run(1), first)


def test_a_random_state_that_is_a_generator_goes_on(iris):
    source = np.random.RandomState(0)
    fit = lambda source: weights(NetworkClassifier(epochs=1, random_state=source).fit(*iris))
    first, second = fit(source), fit(source)
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(fit(np.random.RandomState(0)), first)


def test_a_pickled_estimator_predicts_the_same(iris):
    estimator = NetworkClassifier(epochs=3, dropout=0.2).fit(*iris)
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict_proba(iris[0]), estimator.predict_proba(iris[0]))
    assert all(p.grad is None for p in estimator.model_.parameters())


# Options.


def test_patience_stops_training_that_no_longer_helps_and_none_does_not(iris):
    stuck = {"lr": 1e-12, "epochs": 20, "random_state": 0}
    assert NetworkClassifier(**stuck, patience=3).fit(*iris).n_iter_ == 4
    assert NetworkClassifier(**stuck, patience=None).fit(*iris).n_iter_ == 20


def test_the_weights_kept_are_the_best_on_the_validation_samples(iris):
    x, y = iris
    noise = np.random.default_rng(0).permutation(y)  # nothing but to memorize
    options = {"lr": 0.03, "epochs": 60, "validation": 0.5, "random_state": 0}
    estimator = NetworkClassifier(**options, patience=5).fit(x, noise)
    losses = [row["validation_loss"] for row in estimator.history_]
    best = int(np.argmin(losses)) + 1
    assert best < len(losses) < 60
    shorter = NetworkClassifier(**options | {"epochs": best}, patience=None).fit(x, noise)
    np.testing.assert_array_equal(weights(estimator), weights(shorter))


def test_a_warm_start_goes_on_from_the_weights_there_are(iris):
    estimator = NetworkClassifier(epochs=5, random_state=0, warm_start=True)
    first = estimator.fit(*iris).loss_curve_
    second = estimator.fit(*iris).loss_curve_
    assert second[0] < first[-1]
    assert estimator.set_params(warm_start=False).fit(*iris).loss_curve_ == first


def test_a_warm_start_keeps_the_scale_of_the_first_targets():
    x = np.linspace(-1, 1, 100)[:, None]
    estimator = NetworkRegressor(lr=0.01, epochs=50, random_state=0, warm_start=True)
    estimator.fit(x, 10 * x[:, 0])
    scale = estimator.y_scale_
    assert estimator.fit(x, 20 * x[:, 0] + 5).score(x, 20 * x[:, 0] + 5) > 0.95
    np.testing.assert_array_equal(estimator.y_scale_, scale)


def test_a_warm_start_with_other_classes_targets_or_features_is_refused(iris):
    x, y = iris
    classifier = NetworkClassifier(epochs=1, warm_start=True).fit(x, y)
    before = weights(classifier)
    with pytest.raises(tg.TargetError, match=r"must stay \[0, 1, 2\], and they are \[0, 1\]"):
        classifier.fit(x, y.clip(max=1))
    with pytest.raises(ValueError, match="expecting 4 features"):
        classifier.fit(x[:, :2], y)
    np.testing.assert_array_equal(weights(classifier), before)
    regressor = NetworkRegressor(epochs=1, warm_start=True).fit(x, y)
    with pytest.raises(tg.TargetError, match="must stay 1, and it is 4"):
        regressor.fit(x, x)


def test_a_warm_start_that_fails_leaves_the_weights(iris):
    x, y = iris
    estimator = NetworkRegressor(epochs=2, warm_start=True).fit(x, y)
    before = weights(estimator)
    estimator.set_params(optimizer="sgd", lr=1e30)
    with pytest.raises(nn.TrainingError), np.errstate(all="ignore"):
        estimator.fit(x, y)
    np.testing.assert_array_equal(weights(estimator), before)


@pytest.mark.parametrize("optimizer", nn.optim.OPTIMIZERS)
def test_every_optimizer_trains_by_its_name(iris, optimizer):
    estimator = NetworkClassifier(optimizer=optimizer, epochs=5, batch_size=150, random_state=0)
    losses = estimator.fit(*iris).loss_curve_
    assert losses[-1] < losses[0]


def test_initial_weights_are_glorots(iris):
    estimator = NetworkClassifier(hidden=(200,), lr=0.0, epochs=1, random_state=0).fit(*iris)
    bound = np.sqrt(6 / (4 + 200))
    assert 0.9 * bound < abs(estimator.model_[0].weight.data).max() <= bound


def convolutional(features, outputs):
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, features // 8)),
        nn.Conv2d(1, 4, 3, stride=2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.LazyLinear(outputs),
    )


def test_a_model_of_ones_own_is_trained_and_searched_over():
    x, y = load_digits(return_X_y=True)
    estimator = NetworkClassifier(model=convolutional, lr=0.01, epochs=5, random_state=0)
    estimator.fit(x[:600] / 16, y[:600])
    assert isinstance(estimator.model_[1], nn.Conv2d)
    assert pickle.loads(pickle.dumps(estimator)).score(x[600:900] / 16, y[600:900]) > 0.8
    search = GridSearchCV(
        NetworkClassifier(epochs=1), {"model": [None, convolutional]}, cv=2, error_score="raise"
    )
    assert set(search.fit(x[:60], y[:60]).cv_results_["rank_test_score"]) <= {1, 2}


def test_every_fit_gets_a_model_of_its_own(iris):
    estimator = NetworkClassifier(epochs=1)
    assert estimator.fit(*iris).model_ is not estimator.fit(*iris).model_


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Linear(4, 3), r"function .* not Linear"),
        (3, r"function .* not int"),
        (lambda n, k: None, r"returned NoneType, not a Module"),
        (lambda n, k: nn.Linear(n, k + 1), r"shape \(1, 4\) .*\(1, 4\), not \(1, 3\)"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(iris, model, message):
    with pytest.raises(tg.TinygradError, match=message):
        NetworkClassifier(model=model).fit(*iris)


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": 100},
        {"hidden": (0,)},
        {"hidden": "12"},
        {"activation": "rellu"},
        {"dropout": 1.5},
        {"optimizer": "adamm"},
        {"optimizer": "lbfgs", "weight_decay": 0.1},
        {"lr": -1},
        {"batch_size": 0},
        {"epochs": 0},
        {"epochs": 2.5},
        {"patience": 0},
        {"validation": 0},
        {"validation": 1.5},
        {"validation": "0.1"},
    ],
)
def test_options_that_make_no_sense_are_refused_when_fitting(iris, options):
    estimator = NetworkClassifier(**options)
    with pytest.raises((nn.ConfigurationError, tg.UnknownNameError)):
        estimator.fit(*iris)


def test_one_class_is_nothing_to_learn(iris):
    with pytest.raises(tg.TargetError, match="one class only, 7"):
        NetworkClassifier().fit(iris[0], np.full(150, 7))


def test_verbose_shows_a_progress_bar(iris, capsys):
    NetworkClassifier(epochs=2, verbose=True).fit(*iris)
    assert "samples/s" in capsys.readouterr().err


# How well it learns, beside scikit-learn's own networks of the same options.


@pytest.mark.parametrize(
    ("data", "epochs", "margin"),
    [(load_iris, 60, 0.03), (load_breast_cancer, 20, 0.02), (load_digits, 15, 0.02)],
)
def test_a_classifier_is_as_accurate_as_scikit_learns(data, epochs, margin):
    x, y = data(return_X_y=True)
    ours = NetworkClassifier(epochs=epochs, random_state=0)
    theirs = MLPClassifier(max_iter=epochs, batch_size=32, random_state=0)
    assert accuracy(ours, x, y) > accuracy(theirs, x, y) - margin


@pytest.mark.parametrize(
    "data",
    [make_regression(200, 10, noise=10, random_state=0), load_diabetes(return_X_y=True)],
    ids=["linear", "diabetes"],
)
def test_a_regressor_explains_as_much_as_scikit_learns(data):
    x, y = data
    ours = NetworkRegressor(epochs=60, random_state=0)
    theirs = MLPRegressor(max_iter=60, batch_size=32, random_state=0)
    standardized = (y - y.mean()) / y.std()  # which ours does by itself
    assert accuracy(ours, x, y) > accuracy(theirs, x, standardized) - 0.05


def accuracy(estimator, x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the epochs are few on purpose
        return cross_val_score(make_pipeline(StandardScaler(), estimator), x, y, cv=3).mean()


# Without scikit-learn.


def in_a_fresh_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_nn_is_imported_without_scikit_learn():
    assert in_a_fresh_process("import sys, nn; sys.exit('sklearn' in sys.modules)").returncode == 0


def test_without_scikit_learn_the_error_says_what_to_install():
    code = "import sys; sys.modules['sklearn'] = None; import nn.estimators"
    error = in_a_fresh_process(code).stderr
    assert "MissingExtraError: nn.estimators needs scikit-learn" in error
    assert "pip install 'tinygrad-edu[train]'" in error
