"""The exceptions that models and training raise, beside the engine's own."""

from __future__ import annotations

from tinygrad_edu import TinygradError


class ConfigurationError(TinygradError, ValueError):
    """An option outside what makes sense: a negative learning rate, a dropout of 2."""


class StateDictError(TinygradError, ValueError):
    """A state dict that does not fit the model, optimizer or schedule. Nothing was loaded.

    Attributes:
        missing: names that the model has and the state dict does not.
        unexpected: names that the state dict has and the model does not.
        mismatched: name to (the model's shape, the state dict's shape, or its dtype if the data are
            no real numbers).
    """

    def __init__(
        self,
        missing: list[str],
        unexpected: list[str],
        mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...] | str]],
        of: str = "model",
    ) -> None:
        self.missing, self.unexpected, self.mismatched = missing, unexpected, mismatched
        shapes = [f"{n} (the {of}'s is {a}, given {b})" for n, (a, b) in mismatched.items()]
        parts = [
            f"{what}: {', '.join(names)}"
            for what, names in (
                ("missing", missing),
                ("unexpected", unexpected),
                ("not matching", shapes),
            )
            if names
        ]
        super().__init__(f"the state dict does not fit the {of}. {'; '.join(parts)}.")


class DataError(TinygradError, ValueError):
    """A file of data that is missing, not whole, or of something else."""


class CheckpointError(TinygradError, ValueError):
    """A file that is not a whole checkpoint of this model."""


class TrainingError(TinygradError, RuntimeError):
    """Training that cannot go on, such as a loss that is no longer a number."""


class ModuleLawError(TinygradError, AssertionError):
    """A module that does not do what every module does, found by ``nn.testing.check_module``.

    Attributes:
        law: the name of what it does not keep to, such as ``"registration"``.
        path: the path of the submodule or parameter at fault; ``""`` for the module itself.
        reason: what was seen, with numbers, and what would be right.
    """

    def __init__(self, law: str, module: str, path: str, reason: str) -> None:
        self.law, self.path, self.reason = law, path, reason
        where = f"{path} of {module}" if path else module
        super().__init__(f"{where} breaks the law of {law}: {reason}")
