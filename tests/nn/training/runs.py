"""What the tests of training share: a small run of any kind, and how to tell two runs apart."""

import numpy as np

import nn
from nn.training import Trainer


def model_of_all_sorts(dtype=np.float32, seed=1):
    """Everything that a step changes besides weights: running means, and random numbers of two
    generators."""
    return nn.Sequential(
        nn.Linear(2, 6, dtype=dtype),
        nn.BatchNorm1d(6, dtype=dtype),
        nn.Tanh(),
        nn.Dropout(0.2),
        nn.Linear(6, 4, dtype=dtype),
        nn.Dropout(0.2, rng=np.random.default_rng(seed)),
        nn.Linear(4, 2, dtype=dtype),
    )


def jitter(inputs, targets, rng):
    """An augmentation."""
    return inputs + rng.normal(0, 0.01, inputs.shape).astype(inputs.dtype), targets


def without_seconds(history):
    return [{name: x for name, x in row.items() if name != "seconds"} for row in history]


def everything(trainer):
    """All that a run came to, as numbers that can be compared."""
    state = trainer.state_dict()
    return {**state, "history": without_seconds(state["history"])}


def assert_same(found, wanted, path=""):
    """That two nested states are the same bit for bit."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), path
        for name in wanted:
            assert_same(found[name], wanted[name], f"{path}/{name}")
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted), path
        for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
            assert_same(a, b, f"{path}/{i}")
    elif isinstance(wanted, np.ndarray):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape), path
        assert found.tobytes() == wanted.tobytes(), path
    else:
        assert found == wanted or (found != found and wanted != wanted), path


def xor_trainer(callbacks=(), seed=0, **options):
    nn.manual_seed(seed)
    model = nn.zoo.feedforward([2, 8, 2], activation="tanh", dropout=0.1)
    return Trainer(
        model, nn.optim.Adam(model.parameters(), lr=0.01), callbacks=callbacks, **options
    )


def trained(epochs=3, callbacks=(), seed=0, resume=None, **options):
    trainer = xor_trainer(callbacks, seed, **options)
    train, validation = nn.data.random_split(nn.data.xor(120), [0.75, 0.25])
    batches = nn.data.DataLoader(train, 16, shuffle=True)
    trainer.fit(batches, nn.data.DataLoader(validation), epochs, resume)
    return trainer
