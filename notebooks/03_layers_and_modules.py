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
# # 3 · From neurons to layers
#
# **After this notebook you can** write a layer of neurons as one product of matrices, run it back
# by hand, and say what a module and an optimizer do for you.\
# **It takes** about 45 minutes.\
# **Before it** come notebook 2, on the neuron, and products of matrices in NumPy.

# %%
import time
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import nn
import viz
from nn.testing import check_module
from tinygrad_edu import Tensor, Value, topological_order

nn.manual_seed(0)

# %% [markdown]
# ## A layer is a matrix
#
# A layer is neurons side by side, all with the same inputs. Neuron $j$ computes
# $z_j = \sum_i w_{ji} x_i + b_j$. Write the weights of neuron $j$ into row $j$ of a matrix, and all
# the sums become one product:
#
# $$\mathbf{z} = W\mathbf{x} + \mathbf{b}, \qquad
#   W = \begin{pmatrix} \text{--- weights of neuron } 0 \text{ ---} \\
#                       \text{--- weights of neuron } 1 \text{ ---} \\
#                       \vdots \end{pmatrix} .$$

# %%
layer = nn.Layer(3, 4, "tanh", rng=np.random.default_rng(1))
for neuron, bias in zip(layer.neurons, [0.1, -0.2, 0.3, 0.0], strict=True):
    neuron.bias.data = bias
x = [1.0, -0.5, 2.0]
outputs = layer(x)

W = np.array([[w.data for w in neuron.weights] for neuron in layer.neurons])
b = np.array([neuron.bias.data for neuron in layer.neurons])

assert W.shape == (4, 3)  # outputs, inputs
assert np.allclose([a.data for a in outputs], np.tanh(W @ x + b), rtol=1e-12)
viz.draw_neurons(layer)

# %% [markdown]
# (Grey, for no gradients have been computed yet.) Every line of the picture is one entry of $W$: as
# many lines as there are pairs of an input and a neuron.
#
# Samples come in batches. With the samples as the *rows* of $X$, of shape $(N, \text{in})$, the
# layer becomes
#
# $$Z = X W^\mathsf{T} + \mathbf{b}, \qquad \text{shapes } (N, \text{in}) \cdot
#   (\text{in}, \text{out}) + (\text{out},) \to (N, \text{out}),$$
#
# where $\mathbf{b}$ is added to every row. That is `nn.Linear`.

# %%
linear = nn.Linear(3, 4, dtype=np.float64)
linear.load_state_dict({"weight": W, "bias": b})

X = np.random.default_rng(2).normal(size=(5, 3))
Z = linear(Tensor(X))
assert Z.shape == (5, 4)
for row, sample in zip(Z.data, X, strict=True):
    layer(sample.tolist())
    assert np.allclose(row, [neuron.z.data for neuron in layer.neurons], rtol=1e-12)

# %% [markdown]
# The loops have not gone away. They run inside one product instead of in Python, and the graph
# becomes smaller for it: the five samples are 140 results of Values, and one result of Tensors.

# %%
rows = [layer(sample.tolist()) for sample in X]
of_values = sum(sum(row) for row in rows)
of_tensors = Z.tanh().sum()


def results(node):
    """How many results of operations there are in a graph."""
    return sum(each.op is not None for each in topological_order(node))


# A neuron: 3 products, 2 sums, the bias, tanh. Then there is the sum of all of them.
in_layers = 5 * 4 * (3 + 2 + 1 + 1)
assert in_layers == 140
assert results(of_values) == in_layers + 5 * 4 + 5
assert results(of_tensors) == 3  # linear, tanh, sum
assert np.isclose(of_values.data, of_tensors.item(), rtol=1e-12)
viz.draw(of_tensors)

# %% [markdown]
# ## Backward through a matrix
#
# In notebook 2, with $\delta = \partial L/\partial z$, a neuron had
# $\partial L/\partial w_i = \delta x_i$, $\partial L/\partial b = \delta$ and
# $\partial L/\partial x_i = \delta w_i$. Now there is a $\delta$ for every sample $n$ and every
# neuron $j$: a matrix $\Delta$, of the shape of $Z$. Use "multiply along each path, add over
# all paths". Weight $w_{ji}$ is used once per sample, so its gradient is a sum over samples. Input
# $x_{ni}$ goes to every neuron, so its gradient is a sum over neurons:
#
# $$\frac{\partial L}{\partial w_{ji}} = \sum_n \Delta_{nj}\, x_{ni}, \qquad
#   \frac{\partial L}{\partial b_j} = \sum_n \Delta_{nj}, \qquad
#   \frac{\partial L}{\partial x_{ni}} = \sum_j \Delta_{nj}\, w_{ji} .$$
#
# Each of these is a product again:
#
# $$\frac{\partial L}{\partial W} = \Delta^\mathsf{T} X, \qquad
#   \frac{\partial L}{\partial \mathbf{b}} = \Delta^\mathsf{T} \mathbf{1}, \qquad
#   \frac{\partial L}{\partial X} = \Delta\, W .$$
#
# To remember which: shapes fit in no other way.

# %%
inputs = Tensor(X, requires_grad=True, label="X")
Y = np.random.default_rng(3).normal(size=(5, 4))
loss = ((linear(inputs).tanh() - Y) ** 2).sum()
loss.backward()

A = np.tanh(X @ W.T + b)
Delta = 2 * (A - Y) * (1 - A**2)
assert np.allclose(linear.weight.grad, Delta.T @ X, rtol=1e-12)
assert np.allclose(linear.bias.grad, Delta.sum(axis=0), rtol=1e-12)
assert np.allclose(inputs.grad, Delta @ W, rtol=1e-12)

# And with the neurons, one number at a time:
layer.zero_grad()
for sample, target in zip(X, Y, strict=True):
    outputs = layer(sample.tolist())
    sum((a - y) ** 2 for a, y in zip(outputs, target.tolist(), strict=True)).backward()
for j, neuron in enumerate(layer.neurons):
    assert np.allclose([w.grad for w in neuron.weights], linear.weight.grad[j], rtol=1e-12)
    assert np.isclose(neuron.bias.grad, linear.bias.grad[j], rtol=1e-12)

viz.draw(loss, direction="TB")

# %% [markdown]
# ## The same network, twice
#
# `nn.MLP` is made of neurons. `to_tensor()` gives the same network as `Linear` layers and
# activations, with the same weights, in float64.

# %%
mlp = nn.MLP(2, [5, 5, 1], "tanh", rng=np.random.default_rng(0))
model = mlp.to_tensor()
model

# %% [markdown]
# They must agree on everything: outputs, the loss, and the gradient of every parameter. Here, to
# $10^{-12}$:


# %%
def loss_of_values(mlp, x, y):
    outputs = [mlp(sample) for sample in x.tolist()]
    return nn.functional.mse_loss(outputs, y.tolist())


def loss_of_tensors(model, x, y):
    return nn.functional.mse_loss(model(Tensor(x)), y[:, None])


def gradients_of_values(mlp):
    """∂L/∂W and ∂L/∂b of each layer."""
    for layer in mlp.layers:
        yield np.array([[w.grad for w in neuron.weights] for neuron in layer.neurons])
        yield np.array([neuron.bias.grad for neuron in layer.neurons])


data = nn.data.xor(60)
points, labels = data.inputs.astype(np.float64), 2.0 * data.targets - 1  # classes -1 and 1

slow, fast = loss_of_values(mlp, points, labels), loss_of_tensors(model, points, labels)
assert abs(slow.data - fast.item()) < 1e-12
by_hand = points
for linear in model[::2]:
    by_hand = by_hand @ linear.weight.data.T + linear.bias.data
    if linear is not model[-1]:
        by_hand = np.tanh(by_hand)
assert abs(slow.data - np.mean((by_hand[:, 0] - labels) ** 2)) < 1e-12

slow.backward()
fast.backward()
for found, parameter in zip(gradients_of_values(mlp), model.parameters(), strict=True):
    assert np.abs(found - parameter.grad).max() < 1e-12

sample = [Value(0.9, label="x0"), Value(-1.1, label="x1")]
viz.draw_neurons(mlp, (mlp(sample) - 1) ** 2)

# %% [markdown]
# And it goes the other way: `MLP.from_tensor` turns Linear layers into neurons to look at. In the
# graph of Tensors a module is one box, if you ask for `depth=0`; its gradient is that of its
# parameters.

# %%
again = nn.MLP.from_tensor(model)
assert again(points[0].tolist()).data == mlp(points[0].tolist()).data
viz.draw(loss_of_tensors(model, points, labels), depth=0, direction="TB")

# %% [markdown]
# ## What it costs
#
# Values show everything and are slow: each number is a Python object. Time one forward and backward
# pass of a network with two hidden layers, of 16 samples, while its width grows. With `fused=True`
# a neuron's $\mathbf{w}\cdot\mathbf{x} + b$ is one node, and its products are none: that lies in
# between.


# %%
def seconds(loss, *arguments):
    """The fastest of three rounds of forward and backward: the others were disturbed."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        loss(*arguments).backward(retain_graph=False)
        times.append(time.perf_counter() - start)
    return min(times)


rng = np.random.default_rng(4)
X, y = rng.normal(size=(16, 2)), rng.normal(size=16)
took = {"Values": {}, "fused Values": {}, "Tensors": {}}
for width in (2, 4, 8, 16, 32, 64):
    small = nn.MLP(2, [width, width, 1], "tanh", rng=rng)
    same = small.to_tensor()
    fused = nn.MLP.from_tensor(same, fused=True)
    took["Values"][width] = seconds(loss_of_values, small, X, y)
    took["fused Values"][width] = seconds(loss_of_values, fused, X, y)
    took["Tensors"][width] = seconds(loss_of_tensors, same, X, y)
for width in (128, 256, 512, 1024):
    same = nn.zoo.feedforward([2, width, width, 1], "tanh").to(np.float64)
    took["Tensors"][width] = seconds(loss_of_tensors, same, X, y)

figure, axes = plt.subplots(figsize=(7, 4))
for (name, times), marker in zip(took.items(), "o^s", strict=True):
    axes.loglog(list(times), [1000 * t for t in times.values()], marker=marker, label=name)
guide = np.array([16, 64])
axes.loglog(guide, 2000 * took["Values"][16] * (guide / 16) ** 2, "k--", lw=1, label="width²")
axes.set(xlabel="width of the hidden layers", ylabel="milliseconds, forward and backward")
axes.grid(alpha=0.3)
axes.legend(frameon=False)
plt.show()

# %% [markdown]
# Read the slopes. With Values, fused or not, the time follows the number of weights, which grows
# like the square of the width. With Tensors it hardly moves at first: what you pay for is a fixed
# price per operation, and there are as many operations in a narrow network as in a wide one. Only
# when the products themselves become work does that line rise, too.


# %%
def nodes(loss, *arguments):
    """How many nodes a graph has: what it costs, whatever else the computer does meanwhile."""
    return len(topological_order(loss(*arguments)))


narrow, wide = (nn.MLP(2, [width, width, 1], "tanh", rng=rng) for width in (16, 64))
growth = nodes(loss_of_values, wide, X, y) / nodes(loss_of_values, narrow, X, y)
assert 11 < growth < 16  # four times the width, nearly sixteen times the weights
assert nodes(loss_of_tensors, wide.to_tensor(), X, y) == nodes(
    loss_of_tensors, narrow.to_tensor(), X, y
)
fused = nn.MLP.from_tensor(wide.to_tensor(), fused=True)
assert np.isclose(loss_of_values(fused, X, y).data, loss_of_values(wide, X, y).data, rtol=1e-12)
assert nodes(loss_of_values, fused, X, y) < nodes(loss_of_values, wide, X, y) / 10

# %% [markdown]
# ## Why there has to be an activation
#
# Without a bend between them, two layers are one:
# $W_2(W_1\mathbf{x} + \mathbf{b}_1) + \mathbf{b}_2
#   = (W_2 W_1)\,\mathbf{x} + (W_2\mathbf{b}_1 + \mathbf{b}_2)$. Depth would be for nothing.

# %%
first, second = nn.Linear(2, 8, dtype=np.float64), nn.Linear(8, 3, dtype=np.float64)
first.bias.data[:] = np.random.default_rng(5).normal(size=8)
W1, b1, W2, b2 = first.weight.data, first.bias.data, second.weight.data, second.bias.data
merged = points @ (W2 @ W1).T + (W2 @ b1 + b2)
assert np.allclose(second(first(Tensor(points))).data, merged, rtol=1e-10, atol=1e-12)
assert not np.allclose(second(first(Tensor(points)).tanh()).data, merged)

# %% [markdown]
# ## What a module does for you
#
# A module is a function with parameters. Set a parameter, or another module, as an attribute, and
# it is registered: `parameters()` finds it, however deep it lies. You write `forward`; backward
# follows from the graph.


# %%
class TwoLayers(nn.Module):
    """tanh(x W₁ᵀ + b₁) W₂ᵀ + b₂, times a scale that is learned."""

    def __init__(self, hidden):
        self.inner = nn.Linear(2, hidden, nonlinearity="tanh")
        self.outer = nn.Linear(hidden, 1)
        self.scale = nn.Parameter(1.0)

    def forward(self, x):
        return self.outer(self.inner(x).tanh()) * self.scale


own = TwoLayers(6)
for name, parameter in own.named_parameters():
    print(f"{name:14} {parameter.shape}")

names = {name for name, _ in own.named_parameters()}
assert names == {"inner.weight", "inner.bias", "outer.weight", "outer.bias", "scale"}
assert sum(p.data.size for p in own.parameters()) == (2 * 6 + 6) + (6 + 1) + 1

# %% [markdown]
# In a drawing, boxes stand in the module that made them:

# %%
x, y = points.astype(np.float32), labels.astype(np.float32)  # the layers' dtype, by default
viz.draw(loss_of_tensors(own, x, y), constants=False, direction="TB")

# %% [markdown]
# ## What an optimizer does with the parameters
#
# It knows nothing of the model. It has the list that `parameters()` gave it, and changes each entry
# by a rule. For SGD with learning rate $\eta$:
#
# $$\theta \leftarrow \theta - \eta\,\frac{\partial L}{\partial \theta} .$$

# %%
rate = 0.1
model.zero_grad()
loss_of_tensors(model, points, labels).backward()
by_hand = [p.data - rate * p.grad for p in model.parameters()]

nn.optim.SGD(model.parameters(), lr=rate).step()
for parameter, expected in zip(model.parameters(), by_hand, strict=True):
    assert np.array_equal(parameter.data, expected)

# %% [markdown]
# Was that step a good one? To first order, a small step changes the loss by
# $-\eta \sum_\theta (\partial L/\partial\theta)^2$: it goes down, at a rate you can predict.

# %%
model.zero_grad()
before = loss_of_tensors(model, points, labels)
before.backward()
predicted = sum((p.grad**2).sum() for p in model.parameters())
tiny = 1e-6
nn.optim.SGD(model.parameters(), lr=tiny).step()
after = loss_of_tensors(model, points, labels)
assert np.isclose((before.item() - after.item()) / tiny, predicted, rtol=1e-3)

# %% [markdown]
# That is all there is to training: clear the gradients, forward, backward, step. The very same loop
# trains neurons and matrices; started from the same weights, they stay together.

# %%
mlp = nn.MLP(2, [5, 5, 1], "tanh", rng=np.random.default_rng(0))
model = mlp.to_tensor()
curves = {"Values": [], "Tensors": []}
runs = {"Values": (mlp, loss_of_values), "Tensors": (model, loss_of_tensors)}
for name, (network, compute_loss) in runs.items():
    optimizer = nn.optim.SGD(network.parameters(), lr=0.2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = compute_loss(network, points, labels)
        loss.backward()
        optimizer.step()
        curves[name].append(loss.item())

assert np.allclose(curves["Values"], curves["Tensors"], rtol=1e-9)
assert curves["Tensors"][-1] < 0.1 < 0.5 < curves["Tensors"][0]
viz.plots.lines(curves, "step", "mean squared error")

# %% [markdown]
# One line covers the other. And the network has learned XOR, which a single neuron could not:

# %%
predicted = model(Tensor(points)).data[:, 0]
assert (np.sign(predicted) == labels).all()
viz.plots.decision_boundary(lambda at: model(Tensor(at)).data[:, 0], points, labels)

# %% [markdown]
# ## Exercises
#
# **1. Count.** A network takes images of 28 x 28 numbers, has hidden layers of 128 and 64 relu
# neurons, and 10 outputs without activation. How many parameters does it have? And how many results
# of operations would one sample take with Values, if a neuron with $n$ inputs takes $n$ products,
# $n - 1$ sums, the bias, and the activation? Test your formulas on a network small enough to build.


# %% jupyter={"source_hidden": true} tags=["solution"]
def count_parameters(sizes):
    return sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))


def count_results(sizes):
    linear = sum(2 * n_in * n_out for n_in, n_out in pairwise(sizes))
    return linear + sum(sizes[1:-1])  # and one activation for each hidden neuron


tiny_net = nn.MLP(3, [5, 4, 2], "relu")
assert len(tiny_net.parameters()) == count_parameters([3, 5, 4, 2])
assert results(sum(tiny_net([1.0, 2.0, 3.0]))) == count_results([3, 5, 4, 2]) + 2  # 0 + y0 + y1
assert count_parameters([784, 128, 64, 10]) == 109_386
assert count_results([784, 128, 64, 10]) == 218_560
large = nn.zoo.feedforward([784, 128, 64, 10], "relu")
assert sum(p.data.size for p in large.parameters()) == 109_386

# %% [markdown]
# **2. A Linear of your own.** Write a module `MyLinear(in_features, out_features)` with
# `nn.Parameter`s and NumPy's `@`, without a word about backward. With the same weights, its output
# and its gradients must be those of `nn.Linear`. Then let `nn.testing.check_module` look for
# anything you missed.


# %% jupyter={"source_hidden": true} tags=["solution"]
class MyLinear(nn.Module):
    """x Wᵀ + b."""

    def __init__(self, in_features, out_features):
        scale = 1 / np.sqrt(in_features)
        start = np.random.default_rng(0).normal(0, scale, (out_features, in_features))
        self.weight = nn.Parameter(start)
        self.bias = nn.Parameter(np.zeros(out_features))

    def forward(self, x):
        return x @ self.weight.T + self.bias


mine, theirs = MyLinear(3, 4), nn.Linear(3, 4, dtype=np.float64)
theirs.load_state_dict(mine.state_dict())
X = np.random.default_rng(6).normal(size=(7, 3))
for each in (mine, theirs):
    (each(Tensor(X)) ** 2).sum().backward()
assert np.allclose(mine(Tensor(X)).data, theirs(Tensor(X)).data, rtol=1e-12)
assert np.allclose(mine.weight.grad, theirs.weight.grad, rtol=1e-12)
assert np.allclose(mine.bias.grad, theirs.bias.grad, rtol=1e-12)
print(check_module(mine, X))

# %% [markdown]
# **3. Momentum.** With momentum $\mu$, SGD keeps a velocity for every parameter, at first the
# gradient itself: $v \leftarrow \mu v + g$ and $\theta \leftarrow \theta - \eta v$. Write a class
# `MySGD` with `step()` and `zero_grad()` in about ten lines, and show that after 20 steps its
# weights are those of `nn.optim.SGD(..., momentum=0.9)`.


# %% jupyter={"source_hidden": true} tags=["solution"]
class MySGD:
    """v ← μ v + g; θ ← θ - η v."""

    def __init__(self, parameters, lr, momentum):
        self.parameters, self.lr, self.momentum = list(parameters), lr, momentum
        self.velocities = [0.0] * len(self.parameters)

    def zero_grad(self):
        for parameter in self.parameters:
            parameter.zero_grad()

    def step(self):
        for i, parameter in enumerate(self.parameters):
            self.velocities[i] = self.momentum * self.velocities[i] + parameter.grad
            parameter.data = parameter.data - self.lr * self.velocities[i]


start = nn.MLP(2, [4, 1], "tanh", rng=np.random.default_rng(0))
one, other = start.to_tensor(), start.to_tensor()
for network, optimizer in (
    (one, MySGD(one.parameters(), 0.05, 0.9)),
    (other, nn.optim.SGD(other.parameters(), lr=0.05, momentum=0.9)),
):
    for _ in range(20):
        optimizer.zero_grad()
        loss_of_tensors(network, points, labels).backward()
        optimizer.step()
for a, b in zip(one.parameters(), other.parameters(), strict=True):
    assert np.allclose(a.data, b.data, rtol=1e-9, atol=1e-12)
