"""Recorders: what NumPy says of copies that were taken independently."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import nn
from nn.training import Callback, Checkpoint, GradientNorms, RunningStatistics, WeightHistograms

MAKE = [GradientNorms, lambda: GradientNorms("module"), WeightHistograms, RunningStatistics]


def network():
    layers = nn.Linear(2, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Sequential(nn.Linear(6, 2))
    return nn.Sequential(*layers)


def trained(*callbacks, epochs=2, clipping=None, model=None, optimizer=None, resume=None, seed=0):
    """A Trainer that has made 3 steps per epoch."""
    nn.manual_seed(seed)
    model = model or network()
    optimizer = optimizer or nn.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    trainer = nn.training.Trainer(model, optimizer, clipping=clipping, callbacks=callbacks)
    trainer.fit(nn.data.DataLoader(nn.data.moons(96), 32), epochs=epochs, resume=resume)
    return trainer


class Copies(Callback):
    """Copies of everything that is recorded, by other means than the recorders'."""

    def __init__(self):
        self.before, self.after, self.weights, self.buffers = [], [], [], []

    def gradients(self, trainer):
        return {path: np.copy(p.grad) for path, p in trainer.model.named_parameters()}

    def on_fit_start(self, trainer, batches, epochs):
        self.on_epoch_end(trainer, {})

    def on_backward(self, trainer):
        self.before.append(self.gradients(trainer))

    def on_step(self, trainer):
        self.after.append(self.gradients(trainer))

    def on_epoch_end(self, trainer, row):
        self.weights.append({p: np.copy(x.data) for p, x in trainer.model.named_parameters()})
        self.buffers.append({p: np.copy(x) for p, x in trainer.model.named_buffers()})


def norm(gradients):
    return np.linalg.norm(np.concatenate([g.ravel() for g in gradients]))


# Norms of gradients


def test_a_norm_is_that_of_the_gradient_of_each_step():
    recorder, copies = GradientNorms(), Copies()
    trained(recorder, copies)
    assert recorder.steps == [1, 2, 3, 4, 5, 6]
    for path, norms in recorder.norms.items():
        expected = [np.linalg.norm(gradients[path]) for gradients in copies.before]
        np.testing.assert_allclose(norms, expected, rtol=1e-6)
    expected = [norm(gradients.values()) for gradients in copies.before]
    np.testing.assert_allclose(recorder.total, expected, rtol=1e-6)
    assert recorder.total_after == recorder.total


def test_a_modules_norm_is_that_of_its_own_parameters_as_one_vector():
    recorder, copies = GradientNorms("module"), Copies()
    trained(recorder, copies)
    assert list(recorder.norms) == ["0", "1", "3.0"]
    for path, norms in recorder.norms.items():
        names = f"{path}.weight", f"{path}.bias"
        expected = [norm([gradients[name] for name in names]) for gradients in copies.before]
        np.testing.assert_allclose(norms, expected, rtol=1e-6)


def test_a_shared_parameter_and_a_list_of_them_belong_to_one_module():
    class Tied(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(2, 2), nn.Linear(2, 2)]
            self.layers[1].weight = self.layers[0].weight
            self.scales = [nn.Parameter(np.ones(2)), nn.Parameter(np.ones(2))]

        def forward(self, x):
            return self.layers[1](self.layers[0](x) * self.scales[0]) * self.scales[1]

    recorder, copies = GradientNorms("module"), Copies()
    trained(recorder, copies, model=Tied())
    assert list(recorder.norms) == ["", "layers.0", "layers.1"]
    first = copies.before[0]
    own = norm([first["scales.0"], first["scales.1"]])
    assert recorder.norms[""][0] == pytest.approx(own, rel=1e-6)
    squares = [norms[0] ** 2 for norms in recorder.norms.values()]
    assert sum(squares) ** 0.5 == pytest.approx(norm(first.values()), rel=1e-6)


@pytest.mark.parametrize("per", ["parameter", "module"])
@pytest.mark.parametrize("limit", [{"max_norm": 0.2}, {"max_value": 0.05}])
def test_norms_are_taken_before_clipping_and_the_total_after_it_too(per, limit):
    clipping = nn.optim.Clipping(**limit)
    recorder, copies = GradientNorms(per), Copies()
    trained(recorder, copies, clipping=clipping)
    np.testing.assert_allclose(recorder.total, clipping.before, rtol=1e-6)
    np.testing.assert_allclose(recorder.total_after, clipping.after, rtol=1e-6)
    expected = [norm(gradients.values()) for gradients in copies.after]
    np.testing.assert_allclose(recorder.total_after, expected, rtol=1e-6)
    assert str(recorder).endswith(f"clipped in {clipping.fired} of 6 steps")


def test_what_is_frozen_has_a_norm_of_0():
    model, recorder = network(), GradientNorms()
    model[0].freeze()
    trained(recorder, model=model)
    assert recorder.norms["0.weight"] == [0.0] * 6
    assert min(recorder.norms["3.0.weight"]) > 0


def test_an_optimizer_that_looks_at_several_places_has_one_norm_per_step():
    model, recorder, copies = network(), GradientNorms(), Copies()
    optimizer = nn.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    trained(recorder, copies, model=model, optimizer=optimizer)
    assert recorder.steps == [1, 2, 3, 4, 5, 6]
    assert len(copies.before) > 6
    expected = [norm(gradients.values()) for gradients in copies.after]
    np.testing.assert_allclose(recorder.total, expected, rtol=1e-6)


def test_the_table_of_norms_says_where_the_largest_was():
    recorder = GradientNorms()
    trained(recorder)
    header, _, first, *_ = str(recorder).splitlines()
    assert header.split() == ["gradient", "of", "first", "median", "largest", "in", "step", "last"]
    norms = recorder.norms["0.weight"]
    numbers = norms[0], np.median(norms), max(norms)
    expected = [f"{x:.3g}" for x in numbers] + [str(np.argmax(norms) + 1), f"{norms[-1]:.3g}"]
    assert first.split() == ["0.weight", *expected]


# Histograms of weights


def test_a_histogram_is_numpys_of_the_weights_before_training_and_after_each_epoch():
    recorder, copies = WeightHistograms(bins=20), Copies()
    trained(recorder, copies, epochs=4)
    assert recorder.epochs == [0, 1, 2, 3, 4]
    for path, counts in recorder.counts.items():
        expected = [np.histogram(w[path], recorder.edges[path])[0] for w in copies.weights]
        np.testing.assert_array_equal(counts, expected)
        assert (counts.sum(axis=1) == copies.weights[0][path].size).all()


entries = st.one_of(
    st.floats(-1e3, 1e3, width=32),
    st.floats(-1e300, 1e300, allow_subnormal=False),
    st.sampled_from([0.0, 1.0, -1e-3, 1e30]),
)


@example([np.array([2.0**400]), np.array([-(2.0**-700)])], 2)  # which underflows to 0
@given(
    st.lists(hnp.arrays(np.float64, st.integers(1, 12), elements=entries), min_size=1, max_size=5),
    st.integers(2, 60),
)
def test_bins_that_grow_keep_every_count_right(states, bins):
    recorder, model = WeightHistograms(bins), nn.Sequential(nn.Linear(1, 1))
    trainer = nn.training.Trainer(model, nn.optim.SGD(model.parameters()))
    parameter = nn.Parameter(np.zeros(1))
    model.weights = parameter
    for epoch, numbers in enumerate(states):
        parameter.data = numbers
        if epoch:
            recorder.on_epoch_end(trainer, {"epoch": epoch})
        else:
            recorder.on_fit_start(trainer, None, 0)
    edges, counts = recorder.edges["weights"], recorder.counts["weights"]
    assert counts.shape == (len(states), len(edges) - 1)
    assert len(edges) - 1 <= bins
    assert (np.diff(edges) == edges[1] - edges[0]).all()
    for numbers, row in zip(states, counts, strict=True):
        np.testing.assert_array_equal(row, np.histogram(numbers, edges)[0])
        assert row.sum() == numbers.size


@given(st.integers(2, 200), st.integers(0, 2**16))
def test_at_least_half_of_the_bins_are_in_use(bins, seed):
    model, recorder = nn.Linear(30, 30), WeightHistograms(bins)
    model.weight.data = np.random.default_rng(seed).normal(size=(30, 30))
    recorder.on_fit_start(nn.training.Trainer(model, nn.optim.SGD(model.parameters())), None, 0)
    n = recorder.counts["weight"].shape[1]
    assert bins / 2 - 1 <= n <= bins


def test_what_is_not_finite_is_in_no_bin():
    model, recorder = nn.Linear(2, 2), WeightHistograms()
    model.weight.data[0] = np.nan, np.inf
    model.bias.data[:] = np.nan
    recorder.on_fit_start(nn.training.Trainer(model, nn.optim.SGD(model.parameters())), None, 0)
    assert recorder.counts["weight"].sum() == 2
    assert recorder.counts["bias"].shape == (1, 0)
    assert "bias" in str(recorder)


def test_histograms_are_taken_every_so_many_epochs():
    recorder = WeightHistograms(every=2)
    trained(recorder, epochs=5)
    assert recorder.epochs == [0, 2, 4]


def test_the_table_of_histograms_shows_the_first_and_the_last():
    recorder = WeightHistograms(bins=10)
    trained(recorder)
    header, _, first, *_ = str(recorder).splitlines()
    assert header.split() == ["parameter", "at", "first", "after", "epoch", "2", "from", "to"]
    assert first.startswith("0.weight")
    shown = first[header.index("at first") :]
    counts = recorder.counts["0.weight"][0]
    heights = [" ▁▂▃▄▅▆▇█".index(bar) for bar in shown[: len(counts)]]
    np.testing.assert_array_equal(heights, np.ceil(8 * counts / counts.max()))


# Running statistics


def test_running_statistics_are_the_buffers_before_training_and_after_each_epoch():
    recorder, copies = RunningStatistics(), Copies()
    trained(recorder, copies)
    assert recorder.steps == [0, 3, 6]
    for found, name in [(recorder.means, "running_mean"), (recorder.variances, "running_var")]:
        expected = [buffers[f"1.{name}"] for buffers in copies.buffers]
        np.testing.assert_array_equal(found["1"], expected)


def test_running_statistics_can_be_taken_every_so_many_steps():
    class EverySecond(Copies):
        def on_step(self, trainer):
            if trainer.steps % 2 == 0:
                Copies.on_epoch_end(self, trainer, {})

        def on_epoch_end(self, trainer, row):
            if not trainer.steps:
                super().on_epoch_end(trainer, row)

    recorder, copies = RunningStatistics(every=2), EverySecond()
    trained(recorder, copies)
    assert recorder.steps == [0, 2, 4, 6]
    expected = [buffers["1.running_var"] for buffers in copies.buffers]
    np.testing.assert_array_equal(recorder.variances["1"], expected)


def test_a_model_without_such_layers_is_refused_before_training():
    model = nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    with pytest.raises(nn.ConfigurationError, match="no layer that keeps a running_mean"):
        trained(RunningStatistics(), model=model)


def test_the_table_of_statistics_shows_their_range():
    recorder = RunningStatistics()
    trained(recorder)
    header, _, row = str(recorder).splitlines()
    assert "mean after step 6" in header
    last = recorder.means["1"][-1]
    assert row.split()[:8] == [
        "1",
        "6",
        "0",
        "…",
        "0",
        f"{last.min():.3g}",
        "…",
        f"{last.max():.3g}",
    ]


# What all have in common


def recorded(recorder):
    """All that a recorder holds, as arrays by name."""
    flat = nn.optim.state.flatten(recorder.state_dict())
    return {name: np.asarray(x) for name, x in flat.items()}


def assert_same(a, b):
    a, b = recorded(a), recorded(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("make", MAKE)
def test_a_resumed_run_has_recorded_everything(make, tmp_path):
    path = tmp_path / "run.safetensors"
    straight, first, resumed = make(), make(), make()
    trained(straight, epochs=4)
    trained(first, Checkpoint(path), epochs=2)
    trained(resumed, Checkpoint(path), epochs=4, resume=path, seed=1)
    assert_same(resumed, straight)
    assert str(resumed) == str(straight)


@pytest.mark.parametrize("make", MAKE)
def test_recording_changes_nothing(make):
    with_it, without = trained(make()), trained()
    for a, b in zip(with_it.model.parameters(), without.model.parameters(), strict=True):
        np.testing.assert_array_equal(a.data, b.data)


@pytest.mark.parametrize("make", MAKE)
def test_a_second_fit_goes_on_recording(make):
    once, twice = make(), make()
    trained(once, epochs=4)
    trainer = trained(twice, epochs=2)
    trainer.fit(nn.data.DataLoader(nn.data.moons(96), 32), epochs=2)
    assert_same(once, twice)


@pytest.mark.parametrize("make", MAKE)
def test_a_recorder_is_of_one_model(make):
    recorder = make()
    trained(recorder)
    other = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.BatchNorm1d(2)))
    with pytest.raises(nn.ConfigurationError, match="another model takes another recorder"):
        trained(recorder, model=other)


@pytest.mark.parametrize("make", MAKE)
def test_a_state_of_something_else_is_refused(make):
    with pytest.raises(nn.StateDictError):
        make().load_state_dict({"epoch": 3})


@pytest.mark.parametrize("make", MAKE)
def test_a_recorder_that_has_seen_nothing_says_so(make):
    recorder = make()
    assert str(recorder).startswith(f"{type(recorder).__name__}: no")
    other = make()
    other.load_state_dict(recorder.state_dict())
    assert str(other) == str(recorder)


@pytest.mark.parametrize(
    ("recorder", "other"),
    [(GradientNorms(), GradientNorms("module")), (WeightHistograms(10), WeightHistograms(20))],
)
def test_other_options_cannot_go_on_from_a_state(recorder, other):
    with pytest.raises(nn.ConfigurationError, match="and what it is to go on from has"):
        other.load_state_dict(recorder.state_dict())


@pytest.mark.parametrize(
    "make",
    [
        lambda: GradientNorms("layer"),
        lambda: WeightHistograms(bins=1),
        lambda: WeightHistograms(every=0),
        lambda: RunningStatistics(every=0),
    ],
)
def test_options_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match=r"(per|bins|every) of (Grad|Weight|Running)"):
        make()
