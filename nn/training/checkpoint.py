"""Weights and whole runs on disk, as safetensors: numbers and names, and no code that could run.

A checkpoint is one file. Its arrays have readable names ("model/linear1.weight"); all else, such as
learning rates, the history and where the random numbers are, is JSON in the file's metadata, in
which an array is noted by its name. A hash of all of it finds the bit that flipped on a disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import tinygrad_edu as tg
from nn.checks import check_integer
from nn.errors import CheckpointError, ConfigurationError, StateDictError
from nn.module import Module
from nn.training.callbacks import Callback
from tinygrad_edu.files import write

if TYPE_CHECKING:
    from nn.data import DataLoader
    from nn.training.trainer import Trainer

Array = np.ndarray[Any, Any]

# The name and version of the format, which stands in the metadata of a checkpoint.
FORMAT = "tinygrad-edu checkpoint 1"

# The key in the metadata of the hash of everything else in the file.
_HASH = "blake2b"

# The kinds of numbers that safetensors and NumPy both have.
_DTYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8"}

# How the JSON says that an array stands here: under this key, by its name in the file.
_ARRAY = "array in this file"


class Checkpoint(Callback):
    """Write a whole run to one file after every epoch, so that ``fit(resume=path)`` can go on.

    The file is replaced in one go: a process that is killed at any moment leaves a whole one. A
    first one, of the untrained model, is written at the start, unless there is a file already.

    Args:
        path: the file, ``.safetensors``.
        every: how many epochs apart to write; the last one is always written.
        config: what else to keep with it: dicts and lists of numbers, strings and arrays.

    Raises:
        ConfigurationError: ``every`` is not a positive integer, or ``config``, or the state of
            another callback, holds something else.
        MissingFolderError: there is no such folder.
        OutputError: it cannot be written to. All are raised before training starts.

    >>> import nn, tempfile
    >>> def run(epochs, folder, resume=None):
    ...     nn.manual_seed(0)
    ...     model = nn.zoo.feedforward([2, 4, 2], dropout=0.1)
    ...     adam = nn.optim.Adam(model.parameters())
    ...     keep = nn.training.Checkpoint(f"{folder}/run.safetensors")
    ...     trainer = nn.training.Trainer(model, adam, callbacks=[keep])
    ...     trainer.fit(nn.data.xor(64), epochs=epochs, resume=resume)
    ...     return model.state_dict()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     never_stopped = run(4, folder)
    ...     _ = run(2, folder)
    ...     resumed = run(4, folder, resume=f"{folder}/run.safetensors")
    >>> all((never_stopped[name] == resumed[name]).all() for name in resumed)
    True
    """

    def __init__(
        self, path: str | Path, every: int = 1, config: Mapping[str, Any] | None = None
    ) -> None:
        check_integer("every", every, 1)
        self.path, self.every, self.config = Path(path), every, dict(config or {})

    def on_fit_start(self, trainer: Trainer, batches: DataLoader, epochs: int) -> None:
        """Write the file if there is none, or find out whether and what could be written."""
        if not self.path.exists():
            write_checkpoint(self._state(trainer), self.path)
        else:
            _packed(self._state(trainer))
            write(self.path.with_name(f".{self.path.name}.tried"), b"").unlink()
            if self.path.is_dir():
                raise tg.OutputError(f"cannot write {self.path}: it is a folder")
        self._last = len(trainer.history) + epochs

    def on_epoch_over(self, trainer: Trainer) -> None:
        """Write the file."""
        epoch = len(trainer.history)
        if epoch % self.every == 0 or epoch == self._last or trainer.stop:
            write_checkpoint(self._state(trainer), self.path)

    def _state(self, trainer: Trainer) -> dict[str, Any]:
        return {**trainer.state_dict(), "config": self.config}


def write_checkpoint(state: Mapping[str, Any], path: str | Path) -> Path:
    """Write nested dicts and lists of arrays, numbers, strings and None; returns the path.

    Raises:
        ConfigurationError: it holds something else.
    """
    return write(path, _packed(state))


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """What ``write_checkpoint`` wrote, with lists for tuples.

    Raises:
        CheckpointError: there is no such file, or it is no whole checkpoint.
    """
    arrays, metadata = _read(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is no checkpoint of a run: its format is"
            f" {metadata.get('format') or 'not given'}, not {FORMAT}; load_weights() reads the"
            " weights of any safetensors file"
        )
    try:
        tree = _with_arrays(json.loads(metadata["state"]), arrays)
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is no whole checkpoint: {error}") from error
    if not isinstance(tree, dict):
        raise CheckpointError(f"{path} is no whole checkpoint: it holds a {type(tree).__name__}")
    return tree


def save_weights(model: Module, path: str | Path) -> Path:
    """Write every parameter and buffer to a safetensors file, whole or not at all.

    Raises:
        ConfigurationError: a parameter is of a dtype that such a file does not hold.
    """
    return write(path, _with_hash(model.state_dict(), {}))


def load_weights(model: Module, path: str | Path) -> None:
    """Set every parameter and buffer from a safetensors file, of weights or of a whole run.

    Raises:
        CheckpointError: there is no such file, or it is no whole safetensors file.
        StateDictError: it holds the weights of another model. In both cases nothing was loaded.
    """
    arrays, metadata = _read(path)
    if metadata.get("format") == FORMAT:
        prefix = "model/"
        arrays = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    try:
        model.load_state_dict(arrays)
    except StateDictError as error:
        error.args = (f"{path}: {error}",)
        raise


def _packed(state: Mapping[str, Any]) -> bytes:
    arrays: dict[str, Array] = {}
    tree = _without_arrays(state, "", arrays)
    return _with_hash(arrays, {"format": FORMAT, "state": json.dumps(tree)})


def _with_hash(arrays: Mapping[str, Array], metadata: dict[str, str]) -> bytes:
    """A safetensors file of arrays and metadata, with the hash of both."""
    for name, array in arrays.items():
        if array.dtype.str[1:] not in _DTYPES:
            raise ConfigurationError(f"a safetensors file holds no {array.dtype}, which {name} is")
    native = {n: np.asarray(a, a.dtype.newbyteorder("="), order="C") for n, a in arrays.items()}
    file: bytes = _safetensors().save(native, {**metadata, _HASH: _hash(native, metadata)})
    return file


def _hash(arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    digest = blake2b(digest_size=16)
    for key in sorted(metadata.keys() - {_HASH}):
        digest.update(json.dumps([key, metadata[key]]).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: str | Path) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the metadata of a safetensors file."""
    _safetensors()
    library = import_module("safetensors")
    try:
        with library.safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata: dict[str, str] = file.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except library.SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
    except (AttributeError, TypeError) as error:  # bfloat16, say
        raise CheckpointError(f"{path} holds numbers of a kind NumPy has not: {error}") from error
    # Files of other programs have no hash; a checkpoint is always one of ours.
    wanted = metadata.get(_HASH, "none" if metadata.get("format") == FORMAT else None)
    if wanted is not None and wanted != _hash(arrays, metadata):
        raise CheckpointError(
            f"{path} is damaged: its numbers are not those that were written, by their hash"
        )
    return arrays, metadata


def _without_arrays(tree: Any, path: str, arrays: dict[str, Array]) -> Any:
    """``tree`` as JSON has it; its arrays go to ``arrays``."""
    if isinstance(tree, Mapping):
        return {
            str(key): _without_arrays(branch, f"{path}/{key}" if path else str(key), arrays)
            for key, branch in tree.items()
        }
    if isinstance(tree, list | tuple):
        return [_without_arrays(branch, f"{path}/{i}", arrays) for i, branch in enumerate(tree)]
    if isinstance(tree, np.generic):
        tree = tree.item()
    if isinstance(tree, np.ndarray):
        if path in arrays:
            raise ConfigurationError(f"a checkpoint cannot hold two arrays by the name {path}")
        arrays[path] = tree
        return {_ARRAY: path}
    if tree is not None and not isinstance(tree, bool | int | float | str):
        raise ConfigurationError(
            f"a checkpoint cannot hold {path}: it is a {type(tree).__name__}, not a number, string,"
            " None or array, nor a dict or list of such"
        )
    return tree


def _with_arrays(tree: Any, arrays: Mapping[str, Array]) -> Any:
    if isinstance(tree, dict):
        if tree.keys() == {_ARRAY}:
            return arrays[tree[_ARRAY]]
        return {key: _with_arrays(branch, arrays) for key, branch in tree.items()}
    if isinstance(tree, list):
        return [_with_arrays(branch, arrays) for branch in tree]
    return tree


def _safetensors() -> Any:
    try:
        return import_module("safetensors.numpy")
    except ImportError as error:
        raise tg.MissingExtraError("saving and loading weights", "safetensors", "train") from error
