"""Update rules as one loop each, which Numba compiles: NumPy goes over the arrays a dozen times.

``numbers`` are in the dtype of the arrays, which are vectors. Of weight decay, ``penalty`` is how
much of x is added to g, and ``kept`` what x is multiplied by before the step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.ops.compiled import kernel


@kernel
def sgd(x: Any, g: Any, numbers: Any) -> None:
    """Change x by one step of ``SGD`` without momentum."""
    lr, penalty = numbers
    for i in range(len(x)):
        x[i] -= lr * (g[i] + penalty * x[i])


@kernel
def sgd_with_momentum(x: Any, g: Any, v: Any, nesterov: bool, numbers: Any) -> None:
    """Change x and the velocity v by one step of ``SGD``; ``rest`` is 1 - dampening."""
    lr, momentum, rest, penalty = numbers
    for i in range(len(x)):
        slope = g[i] + penalty * x[i]
        v[i] = momentum * v[i] + rest * slope
        x[i] -= lr * (slope + momentum * v[i] if nesterov else v[i])


@kernel
def adam(x: Any, g: Any, m: Any, v: Any, numbers: Any) -> None:
    """Change x and the moments m and v by one step of ``Adam``; ``rest`` is 1 - β."""
    rate, eps, beta1, rest1, beta2, rest2, kept, penalty = numbers
    for i in range(len(x)):
        slope = g[i] + penalty * x[i]
        m[i] = beta1 * m[i] + rest1 * slope
        v[i] = beta2 * v[i] + rest2 * slope * slope
        x[i] = kept * x[i] - rate * m[i] / (np.sqrt(v[i]) + eps)
