"""Weights and runs on disk: they come back exactly, or are refused and leave all as it was."""

import io
import json
import pickle
import struct
from functools import partial

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
from nn.optim import SGD, AdamW
from nn.training import (
    Checkpoint,
    EarlyStopping,
    Trainer,
    load_weights,
    read_checkpoint,
    save_weights,
    write_checkpoint,
)
from tests.nn.training.runs import assert_same, everything, model_of_all_sorts

OPTIONS = {
    "model": [2, 4, 2],
    "optimizer": AdamW,
    "loss": tg.cross_entropy,
    "extras": (),
    "schedule": False,
    "data": partial(nn.data.xor, 64),
    "batch_size": 16,
    "seed": 0,
    "validation": 0.25,
}


def run(path, epochs=2, resume=None, start=0, **changed):
    """A trainer that has trained, or was refused the file to go on with; and the error."""
    options = {**OPTIONS, **changed}
    nn.manual_seed(start)
    make = options["model"]
    model = make() if callable(make) else nn.zoo.feedforward(make, dropout=0.1)
    optimizer = options["optimizer"](model.parameters())
    schedule = nn.optim.StepLR(optimizer, 1) if options["schedule"] else None
    callbacks = [Checkpoint(path), *options["extras"]]
    trainer = Trainer(model, optimizer, options["loss"], schedule=schedule, callbacks=callbacks)
    loader = nn.data.DataLoader(
        options["data"](), options["batch_size"], shuffle=True, seed=options["seed"]
    )
    before = state_of(trainer)
    try:
        trainer.fit(loader, options["validation"], epochs, resume)
    except nn.CheckpointError as error:
        assert_same(state_of(trainer), before)
        return error
    return trainer


def state_of(trainer):
    """What a file that is refused must not have touched."""
    state = everything(trainer)
    return {name: state[name] for name in state if name not in ("setting", "first_epoch")}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The bytes of a checkpoint."""
    path = tmp_path_factory.mktemp("run") / "run.safetensors"
    run(path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("bad") / "bad.safetensors"


def assert_refused(path, content, match="", **changed):
    """That neither a run nor a model takes anything from a file."""
    path.write_bytes(content)
    error = run(path.with_name("other.safetensors"), 3, resume=path, start=1, **changed)
    assert isinstance(error, nn.CheckpointError)
    assert str(path) in str(error)
    assert match in str(error)
    return str(error)


def file_of(metadata, tensors=None):
    return safetensors.numpy.save(tensors or {"x": np.zeros(1)}, metadata)


# What is whole.


@pytest.mark.parametrize(
    "make", [lambda: nn.zoo.feedforward([2, 3, 2]), lambda: nn.MLP(2, [3, 1]), model_of_all_sorts]
)
def test_weights_on_disk_come_back_exactly(make, tmp_path):
    model, other = make(), make()
    load_weights(other, save_weights(model, tmp_path / "m.safetensors"))
    assert_same(other.state_dict(), model.state_dict())
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_weights_in_another_order_or_byte_order_come_back_exactly(tmp_path):
    model, other = nn.Linear(3, 4), nn.Linear(3, 4)
    model.weight.data = np.asfortranarray(model.weight.data)
    model.bias.data = np.arange(4, dtype=">f4")
    load_weights(other, save_weights(model, tmp_path / "m.safetensors"))
    np.testing.assert_array_equal(other.weight.data, model.weight.data)
    np.testing.assert_array_equal(other.bias.data, [0, 1, 2, 3])


def test_the_weights_of_a_run_load_as_weights(tmp_path):
    trained = run(tmp_path / "run.safetensors").model
    model = nn.zoo.feedforward([2, 4, 2])
    load_weights(model, tmp_path / "run.safetensors")
    assert_same(model.state_dict(), trained.state_dict())


def test_a_checkpoint_is_arrays_and_json_that_safetensors_alone_reads(written):
    arrays = safetensors.numpy.load(written)
    length = struct.unpack("<Q", written[:8])[0]
    metadata = json.loads(written[8 : 8 + length])["__metadata__"]
    assert "model/linear1.weight" in arrays
    assert len(json.loads(metadata["state"])["history"]) == 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**130), 2**130) | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.", min_size=1), inner)
        ),
    )
)
def test_any_nested_numbers_and_strings_are_read_as_they_were_written(path, tree):
    write_checkpoint({"tree": tree}, path)
    assert_same(read_checkpoint(path)["tree"], tree)


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", "f8", "c8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0), (2, 3)])
def test_an_array_of_any_kind_is_read_as_it_was_written(path, dtype, shape):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    write_checkpoint({"list": [array, {"again": array}]}, path)
    assert_same(read_checkpoint(path), {"list": [array, {"again": array}]})


@pytest.mark.parametrize("rng", [np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_a_layer_may_draw_from_any_kind_of_generator(rng, tmp_path):
    def make():
        dropout = nn.Dropout(0.5, rng=np.random.Generator(rng(len(made))))
        made.append(dropout)
        return nn.Sequential(nn.Linear(2, 8), dropout, nn.Linear(8, 2))

    made = []
    wanted = run(tmp_path / "run.safetensors", 4, model=make)
    made.clear()
    run(tmp_path / "run.safetensors", 2, model=make)
    found = run(tmp_path / "run.safetensors", 4, tmp_path / "run.safetensors", start=3, model=make)
    assert_same(everything(found), everything(wanted))


# What is not.


@settings(max_examples=200)
@given(st.data())
def test_a_truncated_file_is_refused(written, path, data):
    keep = data.draw(st.integers(0, len(written) - 1))
    assert_refused(path, written[:keep])


@settings(max_examples=200)
@given(st.data())
def test_a_file_with_a_flipped_bit_is_refused(written, path, data):
    at, bit = data.draw(st.integers(0, len(written) - 1)), data.draw(st.integers(0, 7))
    content = bytearray(written)
    content[at] ^= 1 << bit
    assert_refused(path, bytes(content))


def test_a_flipped_bit_in_the_numbers_is_called_damage(written, path):
    content = bytearray(written)
    content[-1] ^= 1
    assert_refused(path, bytes(content), "damaged")
    with pytest.raises(nn.CheckpointError, match="damaged"):
        load_weights(nn.zoo.feedforward([2, 4, 2]), path)


def test_a_flipped_bit_in_weights_is_found(tmp_path):
    path = save_weights(nn.Linear(3, 2), tmp_path / "m.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    with pytest.raises(nn.CheckpointError, match=r"m\.safetensors is damaged"):
        load_weights(nn.Linear(3, 2), path)


def test_weights_that_another_program_wrote_have_no_hash_and_load(tmp_path):
    weights = {"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}
    safetensors.numpy.save_file(weights, tmp_path / "m.safetensors", {"format": "np"})
    model = nn.Linear(3, 2)
    load_weights(model, tmp_path / "m.safetensors")
    assert_same(model.state_dict(), weights)


def numpy_file():
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n" + bytes(50), pickle.dumps({"a": 1}), numpy_file(), bytes(500)],
    ids=["empty", "PNG", "pickle", "NumPy", "zeros"],
)
def test_a_file_of_another_kind_is_refused(content, path):
    assert_refused(path, content, "not a whole safetensors file")
    with pytest.raises(nn.CheckpointError, match=r"bad\.safetensors"):
        load_weights(nn.Linear(2, 1), path)


def test_plain_weights_are_no_run(path):
    model = nn.zoo.feedforward([2, 4, 2])
    assert_refused(path, save_weights(model, path).read_bytes(), "load_weights() reads the weights")


def test_another_version_of_the_format_is_named(path):
    content = file_of({"format": "tinygrad-edu checkpoint 99", "state": "{}"})
    assert_refused(path, content, "its format is tinygrad-edu checkpoint 99")


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3"])
def test_numbers_that_numpy_does_not_have_are_refused(kind, path):
    size = 2 if kind == "BF16" else 1
    tensor = {"dtype": kind, "shape": [1], "data_offsets": [0, size]}
    header = json.dumps({"weight": tensor}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    with pytest.raises(nn.CheckpointError, match="of a kind NumPy has not"):
        load_weights(nn.Linear(2, 1), path)


def test_a_folder_or_no_file_is_refused(tmp_path):
    with pytest.raises(nn.CheckpointError, match="there is no file"):
        load_weights(nn.Linear(2, 1), tmp_path / "missing.safetensors")
    with pytest.raises(nn.CheckpointError, match="cannot read"):
        read_checkpoint(tmp_path)


def replaced(*path, by):
    """A change of a state: the entry at ``path`` becomes something else."""

    def change(state):
        for key in path[:-1]:
            state = state[key]
        state[path[-1]] = by

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.clear(),
        lambda state: state.pop("history"),
        lambda state: state.update(more=1),
        lambda state: state["random"].clear(),
        lambda state: state["model"].pop("linear1.bias"),
        lambda state: state["model"].update(more=np.zeros(2)),
        lambda state: state["callbacks"].pop(),
        replaced("model", "linear1.bias", by=np.zeros(7, np.float32)),
        replaced("model", by=[1, 2]),
        replaced("optimizer", by={}),
        replaced("optimizer", "groups.0.lr", by="fast"),
        replaced("optimizer", "groups.0.lr", by=-1.0),
        replaced("optimizer", "state.0.exp_avg", by=np.zeros((1, 1))),
        replaced("random", "", by={"bit_generator": "PCG64"}),
        replaced("random", "", "bit_generator", by="MT19937"),
        replaced("random", by=None),
        replaced("history", by="long"),
        replaced("history", 0, by=[1]),
        replaced("history", 0, "train_loss", by="small"),
        replaced("steps", by="many"),
        replaced("first_epoch", by=None),
        replaced("callbacks", by=7),
        replaced("setting", by=[]),
        replaced("setting", by=None),
    ],
)
def test_a_state_of_another_shape_is_refused_and_nothing_is_changed(change, written, path):
    path.write_bytes(written)
    state = read_checkpoint(path)
    change(state)
    write_checkpoint(state, path)
    assert_refused(path, path.read_bytes(), "is of another run")


@pytest.mark.parametrize("state", ["[1]", "7", "null", "{", '{"a": {"array in this file": "b"}}'])
def test_json_that_is_no_state_is_refused(state, path):
    from nn.training.checkpoint import _HASH, FORMAT, _hash

    arrays, metadata = {"x": np.zeros(1)}, {"format": FORMAT, "state": state}
    content = file_of({**metadata, _HASH: _hash(arrays, metadata)}, arrays)
    assert_refused(path, content, "no whole checkpoint")


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"data": partial(nn.data.moons, 64)}, "data set is moons, "),
        ({"data": partial(nn.data.xor, 64, seed=5)}, "data set is xor, "),
        ({"batch_size": 8}, "batch_size is 8 and was 16"),
        ({"seed": 3}, "seed is 3 and was 0"),
        ({"loss": lambda x, y: tg.cross_entropy(x, y)}, "loss is "),
        ({"optimizer": SGD}, "optimizer is SGD and was AdamW"),
        ({"schedule": True}, "schedule is StepLR and was None"),
        ({"validation": 0.5}, "data set is"),
        ({"validation": None}, "validation data set is None"),
        ({"extras": [EarlyStopping()]}, "EarlyStopping"),
        ({"model": [2, 5, 2]}, "linear1.weight (the model's is (5, 2), given (4, 2))"),
        ({"model": [2, 4, 4, 2]}, "linear3.weight"),
    ],
)
def test_a_run_of_another_kind_is_refused_by_what_is_different(changed, match, written, path):
    assert_refused(path, written, match, **changed)


def test_weights_of_another_model_are_refused(tmp_path):
    path = save_weights(nn.zoo.feedforward([2, 3, 2]), tmp_path / "m.safetensors")
    model = nn.zoo.feedforward([2, 4, 2])
    before = model.state_dict()
    with pytest.raises(nn.StateDictError, match=r"m\.safetensors.*linear1\.weight") as caught:
        load_weights(model, path)
    assert caught.value.mismatched["linear1.weight"] == ((4, 2), (3, 2))
    assert_same(model.state_dict(), before)


# What cannot be written.


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", 1j, np.datetime64("2020-01-01")])
def test_what_a_file_cannot_hold_is_found_before_training(value, tmp_path):
    keep = Checkpoint(tmp_path / "run.safetensors", config={"options": [value]})
    model = nn.Linear(2, 2)
    trainer = Trainer(model, SGD(model.parameters()), callbacks=[keep])
    with pytest.raises(nn.ConfigurationError, match="config/options/0"):
        trainer.fit(nn.data.xor(32))
    assert (trainer.steps, list(tmp_path.iterdir())) == (0, [])


@pytest.mark.parametrize("dtype", [object, "U3", np.complex128, np.longdouble])
def test_an_array_that_safetensors_cannot_hold_is_refused(dtype, tmp_path):
    with pytest.raises(nn.ConfigurationError, match=r"which here/x is"):
        write_checkpoint({"here": {"x": np.zeros(2, dtype)}}, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_two_arrays_of_one_name_are_refused(tmp_path):
    state = {"a": {"b": np.zeros(2)}, "a/b": np.ones(2)}
    with pytest.raises(nn.ConfigurationError, match="two arrays by the name a/b"):
        write_checkpoint(state, tmp_path / "x.safetensors")


def unwritable(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder.safetensors").mkdir()
    return [
        (tmp_path / "missing" / "run.safetensors", FileNotFoundError),
        (tmp_path / "file" / "run.safetensors", FileNotFoundError),
        (tmp_path / "folder.safetensors", tg.OutputError),
        ("/proc/run.safetensors", OSError),
    ]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("log", [Checkpoint, nn.training.CSVLogger, nn.training.JSONLinesLogger])
def test_a_place_that_cannot_be_written_to_is_found_before_training(kind, log, tmp_path):
    path, error = unwritable(tmp_path)[kind]
    model = nn.Linear(2, 2)
    before = model.state_dict()
    trainer = Trainer(model, SGD(model.parameters()), callbacks=[log(path)])
    with pytest.raises(error, match="cannot write") as caught:
        trainer.fit(nn.data.xor(32))
    assert isinstance(caught.value, tg.TinygradError)
    assert trainer.steps == 0
    assert_same(model.state_dict(), before)


def test_who_was_told_of_the_start_is_told_of_the_end_when_another_cannot_start(tmp_path):
    told = []

    class Listener(nn.training.Callback):
        def on_fit_start(self, trainer, batches, epochs):
            told.append("start")

        def on_fit_end(self, trainer):
            told.append("end")

    model = nn.Linear(2, 2)
    callbacks = [Listener(), Checkpoint(tmp_path / "missing" / "x.safetensors"), Listener()]
    with pytest.raises(tg.MissingFolderError):
        Trainer(model, SGD(model.parameters()), callbacks=callbacks).fit(nn.data.xor(32))
    assert told == ["start", "end"]


@pytest.mark.parametrize("every", [0, -1, 1.5, True, None])
def test_a_number_of_epochs_apart_that_is_none_is_refused(every, tmp_path):
    with pytest.raises(nn.ConfigurationError, match="every must be a positive integer"):
        Checkpoint(tmp_path / "x.safetensors", every)


def test_the_last_epoch_is_always_written(tmp_path):
    path = tmp_path / "run.safetensors"
    written = []

    class Watch(nn.training.Callback):
        def on_epoch_over(self, trainer):
            written.append(len(read_checkpoint(path)["history"]) if path.exists() else 0)

    model = nn.Linear(2, 2)
    keep = Checkpoint(path, every=2)
    Trainer(model, SGD(model.parameters()), callbacks=[keep, Watch()]).fit(
        nn.data.xor(32), epochs=5
    )
    assert written == [0, 2, 2, 4, 5]


def test_what_is_kept_besides_comes_back(tmp_path):
    model = nn.Linear(2, 2)
    config = {"sizes": [2, 4, 2], "lr": np.float32(0.5), "name": "β", "mean": np.arange(3)}
    keep = Checkpoint(tmp_path / "run.safetensors", config=config)
    Trainer(model, SGD(model.parameters()), callbacks=[keep]).fit(nn.data.xor(32), epochs=1)
    assert_same(read_checkpoint(tmp_path / "run.safetensors")["config"], config)
