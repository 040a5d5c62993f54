"""What other libraries call things that go by another name here, for those who ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

NAMES = {
    "acos": "arccos",
    "asin": "arcsin",
    "atan": "arctan",
    "atan2": "arctan2",
    "bmm": "matmul, or the operator @",
    "cat": "concatenate",
    "clamp": "clip",
    "cpu": "nothing: Tensors are NumPy arrays in main memory",
    "cuda": "nothing: Tensors are NumPy arrays in main memory",
    "clone": "copy",
    "contiguous": "nothing: every Tensor may be used as it is",
    "dim": "ndim",
    "double": "astype(np.float64)",
    "einops": "einsum, reshape and transpose",
    "eq": "the operator ==",
    "expand": "broadcast_to",
    "float": "astype(np.float32)",
    "from_numpy": "Tensor(array)",
    "functional": "the functions of tinygrad_edu itself",
    "ge": "the operator >=",
    "grad_fn": "op",
    "gt": "the operator >",
    "half": "astype(np.float16)",
    "index_select": "take(t, index, axis)",
    "lt": "the operator <",
    "masked_fill": "where(mask, value, t)",
    "mm": "matmul, or the operator @",
    "mul": "multiply, or the operator *",
    "neg": "negative, or the operator -",
    "permute": "transpose",
    "pow": "power, or the operator **",
    "randn": "Tensor(rng.normal(size=shape)), with rng = np.random.default_rng()",
    "relu_": "relu; operations here return new Tensors",
    "remainder": "mod, or the operator %",
    "requires_grad_": "the attribute: t.requires_grad = True",
    "sub": "subtract, or the operator -",
    "tensor": "Tensor",
    "to": "astype(dtype)",
    "true_divide": "divide, or the operator /",
    "unsqueeze": "expand_dims",
    "view": "reshape",
    "zero_": "zero_grad() for gradients, or t[...] = 0 under no_grad()",
}


def unknown_attribute(owner: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not there: what it is called here, or what is close to it.

    >>> unknown_attribute("Tensor", "view", [])
    "Tensor has no 'view': here it is reshape"
    """
    if name in NAMES:
        return f"{owner} has no {name!r}: here it is {NAMES[name]}"
    close = get_close_matches(name, known, n=1)
    return f"{owner} has no {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")
