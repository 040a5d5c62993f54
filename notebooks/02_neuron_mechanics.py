# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2 · Inside one neuron
#
# **After this notebook you can** work out every gradient of a neuron by hand, read them in its
# table and picture, and say what each activation does to them.\
# **It takes** about 40 minutes.\
# **Before it** comes notebook 1: graphs, the chain rule, `backward`.

# %%
import math
from functools import partial

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Value

# %% [markdown]
# ## What a neuron computes
#
# A neuron takes inputs $x_0, x_1, \dots$, weighs them, adds a bias, and bends the result:
#
# $$z = w_0 x_0 + w_1 x_1 + \dots + b = \mathbf{w}\cdot\mathbf{x} + b,
#   \qquad a = \varphi(z).$$
#
# $z$ is called the pre-activation and $a$ the activation; here $\varphi = \tanh$. To have numbers
# you can follow, set the weights yourself.

# %%
neuron = nn.Neuron(3, activation="tanh")
for weight, number in zip(neuron.weights, [0.4, -0.3, 0.8], strict=True):
    weight.data = number
neuron.bias.data = -0.2

x = [Value(1.0, label="x0"), Value(-2.0, label="x1"), Value(0.5, label="x2")]
a = neuron(x)

assert math.isclose(neuron.z.data, 0.4 * 1.0 + (-0.3) * (-2.0) + 0.8 * 0.5 - 0.2)
assert math.isclose(neuron.z.data, 1.2)
assert a is neuron.activation
assert math.isclose(a.data, math.tanh(1.2))

# %% [markdown]
# A loss says how wrong that is. Take the square of the distance from a target,
# $L = (a - y)^2$ with $y = 0.5$. Here is all of it as a graph, with the gradient of $L$ in every
# box: products, sums, one bend, one square.

# %%
target = 0.5
L = (a - target) ** 2
L.label = "L"
viz.draw(L, direction="TB")

# %% [markdown]
# And here is the same neuron as textbooks draw it. In the circle stands $a$, below it
# $\partial L/\partial a$. A line is a weight: its width is $|w|$, it is dashed where $w < 0$, and
# its colour is the gradient.

# %%
viz.draw_neurons(neuron, L)

# %% [markdown]
# ## Backward through it, by hand
#
# Go from $L$ backwards. First through the loss, then through the bend. What arrives at $z$ is
# called $\delta$:
#
# $$\frac{\partial L}{\partial a} = 2(a - y), \qquad
#   \delta = \frac{\partial L}{\partial z}
#          = \frac{\partial L}{\partial a}\,\varphi'(z)
#          = \frac{\partial L}{\partial a}\,(1 - a^2) \ \text{ for } \tanh.$$
#
# From $z$ on, everything is a product of $\delta$ and one other number, because
# $z = \sum_i w_i x_i + b$ is linear in each of its parts:
#
# $$\frac{\partial L}{\partial w_i} = \delta\,x_i, \qquad
#   \frac{\partial L}{\partial b} = \delta, \qquad
#   \frac{\partial L}{\partial x_i} = \delta\,w_i .$$
#
# A weight gets its gradient from its input; an input, from its weight.

# %%
w_, x_, b_ = np.array([0.4, -0.3, 0.8]), np.array([1.0, -2.0, 0.5]), -0.2

z_ = w_ @ x_ + b_
a_ = np.tanh(z_)
dL_da = 2 * (a_ - target)
delta = dL_da * (1 - a_**2)
dL_dw = delta * x_
dL_db = delta
dL_dx = delta * w_

L.backward()
assert np.allclose([w.grad for w in neuron.weights], dL_dw, rtol=1e-12)
assert np.isclose(neuron.bias.grad, dL_db, rtol=1e-12)
assert np.allclose([each.grad for each in x], dL_dx, rtol=1e-12)

# %% [markdown]
# Two computations that follow the same formulas can share a mistake. Finite differences know no
# formulas:


# %%
def loss_at(w, x, b):
    """L, in NumPy, from nothing but its definition."""
    return (np.tanh(w @ x + b) - target) ** 2


def nudge(f, v, h=1e-6):
    """The central difference of f along each entry of v."""
    return np.array([(f(v + h * e) - f(v - h * e)) / (2 * h) for e in np.eye(len(v))])


assert np.allclose(nudge(lambda w: loss_at(w, x_, b_), w_), dL_dw, atol=1e-8)
assert np.allclose(nudge(lambda x: loss_at(w_, x, b_), x_), dL_dx, atol=1e-8)
assert np.allclose(nudge(lambda b: loss_at(w_, x_, b[0]), np.array([b_])), dL_db, atol=1e-8)

# %% [markdown]
# ## What the neuron keeps
#
# A neuron of this library keeps `z` and `activation` as nodes of the graph, so after `backward`
# both have a `grad`. `neuron_table` prints them, for one neuron, a layer or a whole network.

# %%
assert math.isclose(neuron.activation.grad, dL_da)
assert math.isclose(neuron.z.grad, delta)
viz.text.neuron_table(neuron)

# %% [markdown]
# Three things to read from $\partial L/\partial w_i = \delta\, x_i$:
#
# - One number, $\delta$, decides for all the weights. If $\varphi'(z) = 0$, none of them learns.
# - A weight whose input is 0 gets no gradient, however wrong the neuron is.
# - A step against the gradient, $w \leftarrow w - \eta\,\delta\,x$, moves $\mathbf{w}$ along
#   $\mathbf{x}$, and on this sample changes $z$ by exactly
#   $-\eta\,\delta\,(\lVert \mathbf{x} \rVert^2 + 1)$: larger inputs mean larger steps.

# %%
rate = 0.1
w_after, b_after = w_ - rate * dL_dw, b_ - rate * dL_db
change = (w_after @ x_ + b_after) - z_
assert np.isclose(change, -rate * delta * (x_ @ x_ + 1))

with_zero = [Value(1.0, label="x0"), Value(0.0, label="x1"), Value(0.5, label="x2")]
loss_with_zero = (neuron(with_zero) - target) ** 2
gradients = tg.gradients(loss_with_zero)
assert gradients[neuron.weights[1]] == 0
assert gradients[neuron.weights[0]] != 0
assert math.isclose(gradients[with_zero[1]], gradients[neuron.z] * neuron.weights[1].data)
viz.draw_neurons(neuron, loss_with_zero)

# %% [markdown]
# The line of $w_1$ has lost its colour. Its input $x_1$ keeps a gradient all the same: that one is
# $\delta\,w_1$.

# %% [markdown]
# ## Other activations
#
# Everything above holds for any $\varphi$; only the factor $\varphi'(z)$ changes. So that is what
# to look at. Solid is the activation, dashed is its slope:

# %%
NAMES = ["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softplus"]
viz.plots.activations(NAMES)

# %% [markdown]
# Their slopes, by hand, with $\sigma(z) = 1/(1+e^{-z})$ and $\Phi$ the normal distribution:
#
# | | $\varphi(z)$ | $\varphi'(z)$ | largest |
# |---|---|---|---|
# | sigmoid | $\sigma$ | $\sigma(1-\sigma)$ | $1/4$, at 0 |
# | tanh | $\tanh z$ | $1-\tanh^2 z$ | $1$, at 0 |
# | relu | $\max(z, 0)$ | $1$ if $z>0$, else $0$ | $1$ |
# | leaky relu | $z$ or $z/100$ | $1$ or $1/100$ | $1$ |
# | gelu | $z\,\Phi(z)$ | $\Phi(z) + z\,\Phi'(z)$ | $\approx 1.13$ |
# | softplus | $\log(1+e^z)$ | $\sigma$ | below $1$ |


# %%
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


normal = np.vectorize(lambda z: (1 + math.erf(z / math.sqrt(2))) / 2)
SLOPES = {
    "sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "relu": lambda z: np.where(z > 0, 1.0, 0.0),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, 0.01),
    "gelu": lambda z: normal(z) + z * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi),
    "softplus": sigmoid,
}

z = np.linspace(-6, 6, 1201)
found = {name: tg.elementwise_grad(nn.ACTIVATIONS[name])(z) for name in NAMES}
for name in NAMES:
    assert np.allclose(found[name], SLOPES[name](z), atol=1e-9), name

assert np.isclose(found["sigmoid"].max(), 0.25)
assert z[found["sigmoid"].argmax()] == 0
assert np.isclose(found["tanh"].max(), 1)
assert np.isclose(found["gelu"].max(), 1.13, atol=0.005)
assert found["softplus"].max() < 1

# %% [markdown]
# Now swap the activation of *the same* neuron, for the same input, and start each backward pass
# from $\partial L/\partial a = 1$. Then $\delta = \varphi'(z)$ and
# $\partial L/\partial w_1 = -2\,\varphi'(z)$. Do it again with a bias that moves $z$ to $-1.2$, and
# to $-8$, far out:


# %%
def copy_with(activation, bias):
    """The neuron from above, with another activation and bias."""
    copied = nn.Neuron(3, activation=activation)
    copied.load_state_dict(neuron.state_dict())
    copied.bias.data = bias
    return copied


biases = {1.2: -0.2, -1.2: -2.6, -8.0: -9.4}
numbers = [1.0, -2.0, 0.5]
rows = {}
for name in NAMES:
    for z, bias in biases.items():
        each = copy_with(name, bias)
        each(numbers).backward()
        assert math.isclose(each.z.data, z)
        assert math.isclose(each.z.grad, SLOPES[name](z), rel_tol=1e-6, abs_tol=1e-12)
        assert math.isclose(each.weights[1].grad, -2 * each.z.grad)
        rows[name, z] = each

print(" " * 10 + "".join(f"{f'z = {z:+.1f}':>22}" for z in biases))
print("activation" + f"{'a':>11}{'∂L/∂w₁':>11}" * len(biases))
for name in NAMES:
    seen = [rows[name, z] for z in biases]
    # Adding 0.0 makes 0.0 of -0.0.
    cells = [f"{n.activation.data:11.3g}{n.weights[1].grad + 0.0:11.3g}" for n in seen]
    print(f"{name:10}" + "".join(cells))

# %% [markdown]
# Read the last two columns. At $z = -8$ the sigmoid and the tanh are *saturated*: almost flat, so
# almost nothing comes back, though the neuron may be entirely wrong. Gelu and softplus are flat on
# that side, too. The relu passes nothing at all for any $z < 0$: if that is so for every sample,
# the unit is *dead*. The leaky relu always passes one hundredth.

# %%
for name in ("sigmoid", "gelu", "softplus"):
    assert abs(rows[name, -8.0].weights[1].grad) < 1e-3
assert abs(rows["tanh", -8.0].weights[1].grad) < 1e-5
assert rows["relu", -1.2].weights[1].grad == rows["relu", -8.0].weights[1].grad == 0
assert math.isclose(rows["leaky_relu", -8.0].weights[1].grad, -2 * 0.01)

# %% [markdown]
# ## Dead, in a picture
#
# Five relu neurons, and an output that adds them up. The bias of the last has been pushed far down.
# The small rings at the ends of its lines say what follows: no weight on a line into it or out of
# it can learn. Its circle has a colour all the same, for that is $\partial L/\partial a$: the loss
# does ask for another $a$, but $\varphi'(z) = 0$ lets nothing of it through to $z$.

# %%
mlp = nn.MLP(2, [5, 1], "relu", rng=np.random.default_rng(13))
*alive, dead = mlp.layers[0].neurons
dead.bias.data = -20.0
loss = (mlp([Value(0.8, label="x0"), Value(-1.2, label="x1")]) - 1) ** 2

gradients = tg.gradients(loss)
assert all(gradients[w] == 0 for w in (*dead.weights, dead.bias))
assert gradients[mlp.layers[1].neurons[0].weights[-1]] == 0
assert gradients[dead.activation] != 0
assert gradients[dead.z] == 0
assert all(gradients[w] != 0 for each in alive for w in each.weights)
viz.draw_neurons(mlp, loss)

# %% [markdown]
# ## Through many neurons
#
# In a network, the $\partial L/\partial x_i = \delta\,w_i$ of a neuron is the
# $\partial L/\partial a$ of a neuron before it. So on its way back the gradient meets a factor
# $w\,\varphi'(z)$ in every layer:
#
# $$\delta_j = \varphi'(z_j) \sum_k w_{kj}\, \delta_k
#   \qquad (k: \text{the neurons that take } a_j).$$
#
# Check it for one neuron in the middle of a network, from nothing but its neighbours' numbers.

# %%
deep = nn.MLP(2, [4, 4, 4, 4, 4, 1], "tanh", rng=np.random.default_rng(0))
sample = [0.8, -1.2]
deep.zero_grad()
((deep(sample) - 1) ** 2).backward()

middle, after = deep.layers[2].neurons[1], deep.layers[3].neurons
arriving = sum(next_.weights[1].data * next_.z.grad for next_ in after)
assert math.isclose(middle.activation.grad, arriving)
assert math.isclose(middle.z.grad, (1 - middle.activation.data**2) * arriving)

# %% [markdown]
# A sigmoid's slope is at most 1/4, so unless the weights are large, sigmoids shrink the gradient in
# every layer. Give five networks the same weights, and different activations:

# %%
largest = {}
for name in ("sigmoid", "tanh", "relu", "leaky_relu", "gelu"):
    same = nn.MLP(2, [4, 4, 4, 4, 4, 1], name)
    same.load_state_dict(deep.state_dict())
    ((same(sample) - 1) ** 2).backward()
    largest[name] = [max(abs(n.z.grad) for n in layer.neurons) for layer in same.layers]
    if name == "sigmoid":
        sigmoids = same

first_to_last = {name: norms[0] / norms[-1] for name, norms in largest.items()}
assert first_to_last["sigmoid"] < 0.01
assert first_to_last["tanh"] > 10 * first_to_last["sigmoid"]
viz.plots.lines(largest, "layer", "largest |∂L/∂z| in the layer")

# %% [markdown]
# The table shows the same for the sigmoids, neuron by neuron: by and large the bars, on a log
# scale, grow from layer to layer. The first layers, which see the data, learn the least.

# %%
viz.text.neuron_table(sigmoids)

# %% [markdown]
# ## Exercises
#
# **1. A loss that cancels the slope.** Take a sigmoid neuron, $a = \sigma(z)$, and cross-entropy,
# $L = -y \log a - (1-y)\log(1-a)$ with $y \in \{0, 1\}$. Show on paper that
# $\partial L/\partial z = a - y$: the factor $\varphi'(z)$ is gone. Check it with Values for both
# labels at $z = -3$. Which neuron learns faster from its mistake there, this one or one with
# $L = (a-y)^2$?

# %% jupyter={"source_hidden": true} tags=["solution"]
# dL/da = -y/a + (1-y)/(1-a) = (a - y) / (a (1 - a)), and the slope is a (1 - a).
for y in (0, 1):
    z = Value(-3.0)
    a = z.sigmoid()
    (-y * a.log() - (1 - y) * (1 - a).log()).backward()
    assert math.isclose(z.grad, a.data - y)

# For y = 1, which is a mistake at z = -3:
z, squared = Value(-3.0), Value(-3.0)
(-z.sigmoid().log()).backward()
((squared.sigmoid() - 1) ** 2).backward()
assert abs(z.grad) > 10 * abs(squared.grad)

# %% [markdown]
# **2. AND, and not XOR.** Choose weights and a bias by hand with which one sigmoid neuron computes
# AND of two inputs in {0, 1}: $a > 0.5$ for (1, 1) only. Then argue why no weights at all make it
# XOR.

# %% jupyter={"source_hidden": true} tags=["solution"]
gate = nn.Neuron(2, activation="sigmoid")
gate.weights[0].data = gate.weights[1].data = 10.0
gate.bias.data = -15.0
for p in (0, 1):
    for q in (0, 1):
        assert (gate([p, q]).data > 0.5) == (p == q == 1)

# XOR asks for z(0,1) > 0 and z(1,0) > 0, but z(0,0) <= 0 and z(1,1) <= 0. Yet z is linear, so
# z(0,1) + z(1,0) = w0 + w1 + 2b = z(0,0) + z(1,1): the left would be positive, the right not.
w0, w1, b = np.random.default_rng(0).normal(size=(3, 100_000))
assert np.allclose((w1 + b) + (w0 + b), b + (w0 + w1 + b))
assert not ((w1 + b > 0) & (w0 + b > 0) & (b <= 0) & (w0 + w1 + b <= 0)).any()

# %% [markdown]
# **3. Units of measurement.** You measure every input in centimetres rather than metres, so each
# $x_i$ is 100 times as large, and you make up for it with weights that are 100 times as small. $z$
# and $a$ stay the same. By which factor do $\partial L/\partial w_i$, $\partial L/\partial b$ and
# $\partial L/\partial x_i$ change? What does that mean for one learning rate for all? Predict,
# then check.

# %% jupyter={"source_hidden": true} tags=["solution"]
metres, centimetres = nn.Neuron(3), nn.Neuron(3)
metres.load_state_dict(neuron.state_dict())
centimetres.load_state_dict(neuron.state_dict())
for weight in centimetres.weights:
    weight.data /= 100
in_metres = [Value(n) for n in numbers]
in_centimetres = [Value(100 * n) for n in numbers]
for each, inputs in ((metres, in_metres), (centimetres, in_centimetres)):
    ((each(inputs) - target) ** 2).backward()

close = partial(math.isclose, rel_tol=1e-9)
assert close(metres.z.data, centimetres.z.data)
for w, v in zip(metres.weights, centimetres.weights, strict=True):
    assert close(v.grad, 100 * w.grad)  # delta x, with x a hundred times as large
assert close(centimetres.bias.grad, metres.bias.grad)
for x, c in zip(in_metres, in_centimetres, strict=True):
    assert close(c.grad, x.grad / 100)  # delta w, with w a hundredth
# The weights are a hundredth, their steps a hundred times as large: relative to the weights, a step
# is 10,000 times as large, while the bias moves as before. That is why inputs are standardised.
