"""The formulas of the derivative rules, read off the rules themselves.

A rule uses operators and this library's functions only. So calling it with symbols in the place of
numbers yields its formula: as text, as pieces that numbers go between, and as JavaScript.
"""

from tinygrad_edu.formulas.formula import (
    Formula,
    derivative_formula,
    gradient_formula,
    javascript_forward,
    javascript_functions,
    operand_names,
)
from tinygrad_edu.formulas.text import Slot

__all__ = [
    "Formula",
    "Slot",
    "derivative_formula",
    "gradient_formula",
    "javascript_forward",
    "javascript_functions",
    "operand_names",
]
