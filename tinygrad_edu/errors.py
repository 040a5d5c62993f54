"""Every exception the engine raises, with what it knows.

Each is also the built-in exception that a NumPy or PyTorch user would catch. A message names the
operation, the operands and the module it happened in, and says what would have worked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.linalg import LinAlgError

if TYPE_CHECKING:
    from pathlib import Path

    from tinygrad_edu.graph import Node


class TinygradError(Exception):
    """The base of every exception this library raises on purpose.

    Attributes:
        graph: the operation that failed, with its inputs: the graph up to the failure; or the
            graph that shows what is wrong. ``viz.draw`` draws either. ``None`` where the error is
            not of an operation.
    """

    graph: Failure | Node | None = None


class Failure(NamedTuple):
    """An operation that could not be run.

    Attributes:
        name: of the operation.
        inputs: the nodes, numbers and arrays it was given.
        attrs: its options.
        scope: the path of the module it ran in.
    """

    name: str
    inputs: tuple[Any, ...]
    attrs: dict[str, Any] | None
    scope: str


class ShapeError(TinygradError, ValueError):
    """Operands whose shapes don't fit the operation."""


class DTypeError(TinygradError, TypeError):
    """Data of a kind that the operation or the gradient cannot use."""


class OperandError(TinygradError, TypeError):
    """Something that is neither a node of the graph nor a number or array."""


class GradientError(TinygradError, RuntimeError):
    """A backward pass that cannot be run: no scalar, no graph, or a released one."""


class AnomalyError(TinygradError, RuntimeError):
    """A nan or inf, found by ``detect_anomaly`` where it first arose."""


class GradientMismatchError(TinygradError, AssertionError):
    """A gradient that is not the one finite differences see.

    Attributes:
        options: the order and the tolerances with which ``gradcheck`` finds fault with ``graph``.
    """

    options: Mapping[str, float] = MappingProxyType({})


class OpLawError(TinygradError, AssertionError):
    """An op that breaks a law other than that its gradient is right."""


class GradientLostError(TinygradError, TypeError):
    """A conversion to plain numbers that would cut the graph without saying so."""


class IndexingError(TinygradError, IndexError):
    """An index outside its axis, or of a kind that NumPy does not know."""


class LinearAlgebraError(TinygradError, LinAlgError):
    """A matrix that is singular, or has no decomposition of the kind that was asked for."""


class TargetError(TinygradError, ValueError):
    """Targets a loss cannot take: labels of no class, probabilities outside [0, 1]."""


class UnsupportedFunctionError(TinygradError, TypeError):
    """A NumPy function that has no derivative rule here."""


def kind_of(error: Exception) -> type[TinygradError]:
    """Which of ours a complaint of NumPy's about operands is."""
    if isinstance(error, IndexError):
        return IndexingError
    return ShapeError if isinstance(error, ValueError) else OperandError


def closest(name: str, known: Iterable[str], most: int = 1) -> list[str]:
    """The known names that look most like this one, for a hint in a message."""
    import difflib  # half a percent of the time that importing takes, and seldom needed

    return difflib.get_close_matches(name, known, n=most)


class UnknownNameError(TinygradError, ValueError):
    """A name that is not in a list of known ones.

    Args:
        kind: what was looked up, such as ``"activation"``.
        name: the name that was asked for.
        known: the names that would have worked.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        close = closest(str(name), self.known)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"unknown {kind} {name!r}.{hint} Known: {', '.join(self.known)}.")


class MissingExtraError(TinygradError, ImportError):
    """An optional dependency that is not installed.

    Args:
        what: the feature that needs it, as the subject of a sentence.
        package: the package that could not be imported.
        extra: the extra of this distribution that brings it.
    """

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs {package}, which is not installed: pip install 'tinygrad-edu[{extra}]'"
        )


class MissingFolderError(TinygradError, FileNotFoundError):
    """The folder that a file was to be written to does not exist.

    Args:
        path: the file that could not be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f"cannot write {path.name}: there is no folder {path.parent}")


class OutputError(TinygradError, OSError):
    """A folder or file that cannot be written."""
