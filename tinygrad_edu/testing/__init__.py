"""What tests of gradients are made of, for the ops of this library and for a user's own."""

from tinygrad_edu.errors import GradientMismatchError
from tinygrad_edu.testing.gradcheck import KinkWarning, Report, gradcheck

__all__ = ["GradientMismatchError", "KinkWarning", "Report", "gradcheck"]
