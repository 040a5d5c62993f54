"""What other libraries call things that go by another name here, for those who ask for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from tinygrad_edu.errors import closest

_MAIN_MEMORY = "nothing: Tensors are NumPy arrays in main memory"

NAMES = {
    "absolute": "abs",
    "acos": "arccos",
    "acosh": "arccosh",
    "addmm": "c + a @ b",
    "allclose": "np.allclose, which takes Tensors",
    "arange": "Tensor(np.arange(...))",
    "array": "Tensor(data)",
    "as_tensor": "Tensor(data)",
    "asarray": "Tensor(data)",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "astensor": "Tensor(data)",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "baddbmm": "c + a @ b",
    "bmm": "matmul, or the operator @",
    "bool": "astype(bool)",
    "broadcast_tensors": "broadcast_arrays",
    "byte": "astype(np.uint8)",
    "cat": "concatenate",
    "cdist": "norm(a[:, None] - b, axis=-1)",
    "cholesky": "linalg.cholesky",
    "chunk": "array_split",
    "clamp": "clip",
    "clamp_max": "minimum",
    "clamp_min": "maximum",
    "clone": "copy",
    "concat": "concatenate",
    "conj": "nothing: Tensors hold real numbers",
    "conjugate": "nothing: Tensors hold real numbers",
    "contiguous": "nothing: every Tensor may be used as it is",
    "cpu": _MAIN_MEMORY,
    "cuda": _MAIN_MEMORY,
    "degrees": "rad2deg",
    "det": "linalg.det",
    "device": _MAIN_MEMORY,
    "device_put": _MAIN_MEMORY,
    "dim": "ndim",
    "div": "divide, or the operator /",
    "double": "astype(np.float64)",
    "eigh": "linalg.eigh",
    "einops": "einsum, reshape and transpose",
    "element_size": "dtype.itemsize",
    "empty": "Tensor(np.empty(shape))",
    "eq": "the operator ==",
    "equal": "np.array_equal, which takes Tensors",
    "erfc": "1 - erf(t)",
    "expand": "broadcast_to",
    "expand_as": "broadcast_to(t, other.shape)",
    "eye": "Tensor(np.eye(n))",
    "fabs": "abs",
    "fill_": "t[...] = value under no_grad()",
    "fix": "trunc",
    "float": "astype(np.float32)",
    "float_": "astype(np.float64)",
    "frac": "t - trunc(t)",
    "from_numpy": "Tensor(array)",
    "full": "Tensor(np.full(shape, value))",
    "functional": "the functions of tinygrad_edu itself",
    "ge": "the operator >=",
    "geomspace": "exp(linspace(log(start), log(stop), num))",
    "ger": "outer",
    "get_device": _MAIN_MEMORY,
    "grad_fn": "op",
    "greater": "the operator >",
    "greater_equal": "the operator >=",
    "gt": "the operator >",
    "half": "astype(np.float16)",
    "identity": "Tensor(np.eye(n))",
    "imag": "nothing: Tensors hold real numbers",
    "index_copy": "index_set(t, index, value)",
    "index_put": "index_set(t, index, values)",
    "index_select": "take(t, index, axis)",
    "instance_norm": "group_norm(x, channels)",
    "int": "astype(np.int32)",
    "inv": "linalg.inv",
    "inverse": "linalg.inv",
    "is_cuda": _MAIN_MEMORY,
    "is_tensor": "isinstance(x, Tensor)",
    "isclose": "np.isclose, which takes Tensors",
    "itemsize": "dtype.itemsize",
    "jacfwd": "jacobian",
    "jacrev": "jacobian",
    "jit": "nothing: operations run as they are written",
    "lax": "the functions of tinygrad_edu itself",
    "le": "the operator <=",
    "lerp": "a + weight * (b - a)",
    "less": "the operator <",
    "less_equal": "the operator <=",
    "logdet": "linalg.slogdet(a).logabsdet",
    "logical_and": "the operator & between comparisons",
    "logical_not": "the operator ~ of a comparison",
    "logical_or": "the operator | between comparisons",
    "logit": "log(p / (1 - p))",
    "logspace": "10 ** linspace(start, stop, num)",
    "long": "astype(np.int64)",
    "lstsq": "linalg.lstsq",
    "lt": "the operator <",
    "manual_seed": "rng = np.random.default_rng(seed)",
    "masked_fill": "where(mask, value, t)",
    "masked_select": "t[mask]",
    "mm": "matmul, or the operator @",
    "movedim": "moveaxis",
    "mul": "multiply, or the operator *",
    "mv": "matmul, or the operator @",
    "narrow": "a slice, t[start:stop]",
    "ndimension": "ndim",
    "ne": "the operator !=",
    "neg": "negative, or the operator -",
    "nelement": "size",
    "new_ones": "Tensor(np.ones(shape, t.dtype))",
    "new_tensor": "Tensor(data)",
    "new_zeros": "Tensor(np.zeros(shape, t.dtype))",
    "nll_loss": "cross_entropy of the logits",
    "not_equal": "the operator !=",
    "null_grad": "zero_grad",
    "null_gradients": "zero_grad",
    "numel": "size",
    "ones": "Tensor(np.ones(shape))",
    "permute": "transpose",
    "pinverse": "linalg.pinv",
    "pow": "power, or the operator **",
    "qr": "linalg.qr",
    "radians": "deg2rad",
    "rand": "Tensor(rng.random(shape)), with rng = np.random.default_rng()",
    "rand_like": "Tensor(rng.random(t.shape)), with rng = np.random.default_rng()",
    "randint": "Tensor(rng.integers(low, high, shape)), with rng = np.random.default_rng()",
    "randn": "Tensor(rng.normal(size=shape)), with rng = np.random.default_rng()",
    "randn_like": "Tensor(rng.normal(size=t.shape)), with rng = np.random.default_rng()",
    "randperm": "rng.permutation(n), with rng = np.random.default_rng()",
    "real": "nothing: Tensors hold real numbers",
    "remainder": "mod, or the operator %",
    "repeat_interleave": "repeat",
    "requires_grad_": "the attribute: t.requires_grad = True",
    "reshape_as": "reshape(other.shape)",
    "row_stack": "vstack",
    "rsqrt": "1 / sqrt(t)",
    "scatter_add": "index_add(t, index, value)",
    "searchsorted": "np.searchsorted, which takes Tensors",
    "set_default_tensor_type": "set_default_dtype",
    "short": "astype(np.int16)",
    "slogdet": "linalg.slogdet",
    "solve": "linalg.solve",
    "stop_gradient": "detach",
    "sub": "subtract, or the operator -",
    "svd": "linalg.svd",
    "swapdims": "swapaxes",
    "t": "T",
    "take_along_dim": "take_along_axis",
    "tensor": "Tensor",
    "tensor_split": "array_split",
    "to": "astype(dtype), and no device: Tensors are NumPy arrays in main memory",
    "topk": "argpartition or argsort, then take_along_axis",
    "trapz": "trapezoid",
    "true_divide": "divide, or the operator /",
    "type_as": "astype(other.dtype)",
    "unbind": "unstack",
    "unflatten": "reshape",
    "unsqueeze": "expand_dims",
    "upsample": "interpolate",
    "view": "reshape",
    "view_as": "reshape(other.shape)",
    "vmap": "one call on a stack of arrays: operations broadcast",
    "xlogy": "x * log(y)",
    "zero_": "zero_grad() for gradients, or t[...] = 0 under no_grad()",
    "zeros": "Tensor(np.zeros(shape))",
}

# Options of other libraries: what they may be called here, or what to do instead.
_OPTIONS = {
    "axes": ("axis",),
    "dim": ("axis",),
    "dim0": ("axis1",),
    "dim1": ("axis2",),
    "dims": ("axis", "axes", "shift"),
    "interpolation": ("method",),
    "keep_dims": ("keepdims",),
    "keepdim": ("keepdims",),
    "newshape": ("shape",),
    "p": ("ord",),
    "shifts": ("shift",),
    "size": ("shape",),
    "split_size_or_sections": ("indices_or_sections",),
    "unbiased": ("ddof",),
    "weight": ("weights",),
}
_INSTEAD = {
    "antialias": "blur first, with conv2d",
    "as_tuple": "nonzero gives a tuple, argwhere the rows",
    "casting": "convert with astype",
    "constant": "call .detach() for a constant",
    "copy": "call copy() for memory of its own",
    "descending": "flip what it returns",
    "device": "Tensors are NumPy arrays in main memory",
    "divisor_override": "multiply what it returns",
    "dtype": "convert with astype",
    "enable_gqa": "repeat key and value along the axis of the heads",
    "inplace": "operations return new Tensors",
    "largest": "flip what it returns",
    "max_norm": "scale the weight first",
    "non_blocking": "Tensors are NumPy arrays in main memory",
    "out": "use what it returns",
    "padding_mode": "pad(x, widths, mode) first",
    "reduce": 'reduction="none" or "mean"',
    "return_indices": "argmax over unfold(x, kernel_size)",
    "size_average": 'reduction="mean" or "sum"',
    "sorted": "sort what it returns",
    "subok": "the result is a Tensor",
    "where": "use where(mask, result, other)",
}

# NumPy's functions that take no Tensor, and what does their work.
_FUNCTIONS = {
    "apply_over_axes": "the functions themselves take a tuple as axis=",
    "copyto": "index_set(t, ..., value), or broadcast_to(value, shape)",
    "correlate": "convolve(a, flip(v), mode)",
    "eig": "linalg.eigh, for symmetric matrices",
    "eigvals": "linalg.eigvalsh, for symmetric matrices",
    "fill_diagonal": "where(np.eye(n, dtype=bool), value, t)",
    "ldexp": "t * 2.0**i",
    "modf": "t - trunc(t) and trunc(t)",
    "piecewise": "select(conditions, choices)",
    "place": "where(mask, values, t)",
    "put": "index_set(t, index, values)",
    "put_along_axis": "index_set(t, index, values)",
    "putmask": "where(mask, values, t)",
    "resize": "tile or repeat, then reshape",
    "save": "np.save(file, t.detach().numpy())",
    "savetxt": "np.savetxt(file, t.detach().numpy())",
    "unique": "np.unique(t.detach().numpy(), return_index=True), then take(t, index)",
}


def unknown_attribute(owner: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not there: what it is called here, or what is close to it.

    >>> unknown_attribute("Tensor", "view", [])
    "Tensor has no 'view': here it is reshape"
    """
    known = list(known)
    if name in NAMES:
        return f"{owner} has no {name!r}: here it is {NAMES[name]}"
    if name.endswith("_") and name[:-1] in known:
        return f"{owner} has no {name!r}: {name[:-1]} returns a new Tensor"
    # Names such as __path__ are asked for by Python itself, which wants no hint.
    close = [] if name.startswith("__") else closest(name, known)
    return f"{owner} has no {name!r}" + (f"; did you mean {close[0]!r}?" if close else "")


def unknown_option(function: str, option: str, known: Iterable[str]) -> str:
    """The message for an option that a function does not take: its name here, or what to do.

    >>> unknown_option("sum", "dim", ["axis", "keepdims"])
    "sum has no option 'dim': here it is axis"
    """
    known = list(known)
    named = [name for name in _OPTIONS.get(option, ()) if name in known]
    close = closest(option, known)
    if named:
        hint = f": here it is {named[0]}"
    elif option in _INSTEAD:
        hint = f": {_INSTEAD[option]}"
    else:
        hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{function} has no option {option!r}{hint}"


def wrong_call(function: Callable[..., Any], options: Iterable[str], reason: str) -> str:
    """The message for a call that does not fit a function's parameters.

    Args:
        function: what was called; of a method, the function that it is.
        options: the names of the arguments that were given by name.
        reason: what is wrong, where it is none of these names.
    """
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    unknown = [option for option in options if option not in signature.parameters]
    if unknown:
        reason = unknown_option(function.__name__, unknown[0], signature.parameters)
    empty = inspect.Parameter.empty
    untyped = signature.replace(
        parameters=[p.replace(annotation=empty) for p in parameters], return_annotation=empty
    )
    return f"{reason}; it is called as {function.__name__}{untyped}"


def instead_of(function: str) -> str | None:
    """What does the work of a NumPy function that takes no Tensor, where that is known."""
    return _FUNCTIONS.get(function)
