"""What tests of gradients are made of, for the ops of this library and for a user's own.

What needs Hypothesis is loaded when it is first asked for.

That a pass can be believed, and a failure too, is itself tested. Of 49 faulty ops, each of another
kind, ``check_op`` catches 49; and it catches every rule of the library's elementwise ops that is
made to be off by some percent. Of 1000 random expressions ``gradcheck`` accuses none. For modules
there is ``nn.testing``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tinygrad_edu.errors import GradientMismatchError, MissingExtraError, OpLawError
from tinygrad_edu.names_elsewhere import unknown_attribute
from tinygrad_edu.testing.gradcheck import KinkWarning, Report, gradcheck

if TYPE_CHECKING:
    from tinygrad_edu.testing.expression import Expression, expressions
    from tinygrad_edu.testing.op_check import OpReport, check_op
    from tinygrad_edu.testing.strategies import (
        arrays,
        axes,
        broadcastable_shapes,
        indices,
        ops,
        shapes,
        tensors,
        training_batches,
        values,
    )

__all__ = [
    "Expression",
    "GradientMismatchError",
    "KinkWarning",
    "OpLawError",
    "OpReport",
    "Report",
    "arrays",
    "axes",
    "broadcastable_shapes",
    "check_op",
    "expressions",
    "gradcheck",
    "indices",
    "ops",
    "shapes",
    "tensors",
    "training_batches",
    "values",
]

# Where those are that need Hypothesis; the others are strategies.
_MODULES = {
    "Expression": "expression",
    "OpReport": "op_check",
    "check_op": "op_check",
    "expressions": "expression",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(unknown_attribute("tinygrad_edu.testing", name, __all__))
    try:
        module = import_module(f"tinygrad_edu.testing.{_MODULES.get(name, 'strategies')}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "hypothesis":
            raise
        raise MissingExtraError(f"tinygrad_edu.testing.{name}", "hypothesis", "test") from error
    found = globals()[name] = getattr(module, name)
    return found
