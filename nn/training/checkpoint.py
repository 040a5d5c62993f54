"""Weights on disk, as safetensors: numbers and names, and no code that could run on loading."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

import tinygrad_edu as tg
from nn.errors import CheckpointError
from nn.module import Module


def save_weights(model: Module, path: str | Path) -> Path:
    """Write every parameter to a safetensors file; returns its path.

    The file is written beside its place and then renamed, so it is never there in part.
    """
    path = Path(path)
    data: bytes = _safetensors().save(model.state_dict())
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path


def load_weights(model: Module, path: str | Path) -> None:
    """Set every parameter from a safetensors file.

    Raises:
        CheckpointError: the file is no whole safetensors file.
        StateDictError: it holds the weights of another model. In both cases nothing was loaded.
    """
    data = Path(path).read_bytes()
    library = _safetensors()
    try:
        state = library.load(data)
    except import_module("safetensors").SafetensorError as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
    model.load_state_dict(state)


def _safetensors() -> Any:
    try:
        return import_module("safetensors.numpy")
    except ImportError as error:
        raise tg.MissingExtraError("saving and loading weights", "safetensors", "train") from error
