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
# # 8 · When gradients go wrong
#
# **After this notebook you can** recognise gradients that vanish, explode, die or never arrive,
# find the module at fault in a model that you did not write, and test an op that you did.\
# **It takes** about 75 minutes.\
# **Before it** come layers, losses and training loops.

# %%
import io
import math
import textwrap
from bisect import bisect_left
from contextlib import redirect_stdout
from itertools import pairwise

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import nn
import tinygrad_edu as tg
import viz
from nn.testing import check_module, isolate
from tinygrad_edu import GradientMismatchError, Tensor, Value
from tinygrad_edu.testing import check_op, gradcheck

moons = nn.data.moons(128, seed=0)
inputs, labels = moons.inputs, moons.targets


def deep(activation, hidden, width=16, seed=0):
    """A classifier of points with so many hidden layers."""
    rng = np.random.default_rng(seed)
    name = activation.__name__.lower()
    modules = []
    for i in range(hidden):
        modules += [nn.Linear(width if i else 2, width, nonlinearity=name, rng=rng), activation()]
    return nn.Sequential(*modules, nn.Linear(width, 2, rng=rng))


def weight_gradients(model, x=inputs, t=labels):
    """The norm of the gradient of each weight matrix, from the first layer to the last."""
    model.zero_grad()
    tg.cross_entropy(model(x), t).backward()
    return [float(np.linalg.norm(p.grad)) for p in model.parameters() if p.ndim == 2]


# %% [markdown]
# ## What healthy looks like
#
# Eight hidden layers with tanh, and initial weights made for it. The mean gradient of each weight
# matrix is of the same size from the first layer to the last, give or take a factor of ten.

# %%
healthy = deep(nn.Tanh, 8)
norms = weight_gradients(healthy)
assert max(norms) / min(norms) < 10

viz.plots.gradient_flow(healthy)

# %% [markdown]
# ## Vanishing
#
# On its way back a gradient is multiplied by one local derivative after the other. The sigmoid's is
# $\sigma'(z) = \sigma(z)\,(1 - \sigma(z)) \le \tfrac14$. After $n$ of them in a row at most
# $4^{-n}$ is left.

# %%
viz.plots.activations(["sigmoid", "tanh"])

# %%
x = Value(0.5, label="x")
y = x
for _ in range(12):
    y = y.sigmoid()
y.label = "y"

y.backward()
by_hand, a = 1.0, 0.5
for _ in range(12):
    a = 1 / (1 + math.exp(-a))
    by_hand *= a * (1 - a)
assert math.isclose(x.grad, by_hand)
assert x.grad < 4**-12
assert abs(tg.elementwise_grad(tg.sigmoid)(np.linspace(-9, 9, 1001))).max() <= 1 / 4

viz.draw(y, direction="TB")

# %% [markdown]
# Read it from the bottom up. Boxes fade as the gradient falls; one that is less than $10^{-7}$ of
# the largest says *vanished*, and has a dotted border. To a float32 that is next to nothing: it
# sees no difference between 1 and $1 + 10^{-8}$.

# %%
assert np.float32(1) + np.float32(x.grad) == np.float32(1)

# %% [markdown]
# In a network the weights add their part. Compare the flow with the healthy one above: with eight
# layers of sigmoids the first one gets less than a ten-thousandth of what the last one gets. It
# will hardly move, while the last layer tries to learn from noise.

# %%
fading = deep(nn.Sigmoid, 8)
norms = weight_gradients(fading)
assert norms[0] / norms[-1] < 1e-4
assert all(before < after for before, after in pairwise(norms))

viz.plots.gradient_flow(fading)

# %% [markdown]
# **What to do:** ReLU or tanh in place of sigmoid inside a network, initial weights made for the
# activation, normalisation, or skip connections (exercise 1).
#
# ## Exploding
#
# The same product, of factors larger than 1. A recurrent network uses one weight at every step:
# $h_{k+1} = w h_k$, so $h_n = w^n h_0$ and $\partial h_n/\partial w = n\,w^{n-1} h_0$.

# %%
w, h = Value(4.0, label="w"), Value(1.0, label="h0")
start = h
for k in range(10):
    h = w * h
    h.label = f"h{k + 1}"

h.backward()
assert start.grad == 4.0**10
assert w.grad == 10 * 4.0**9

viz.draw(h, direction="TB")

# %% [markdown]
# Beyond $10^6$ a box is marked as *exploded*, with a thick border: a step of any usual learning
# rate would throw the weight far off. In a deep ReLU network, initial weights three times too large
# do the same: with eight hidden layers the gradient of every weight matrix becomes over a thousand
# times larger.

# %%
fine, wild = deep(nn.ReLU, 8), deep(nn.ReLU, 8)
for p in wild.parameters():
    p.data *= 3  # ReLU(3z) = 3 ReLU(z), and there are nine weight matrices in a row
assert np.allclose(wild(inputs).data, 3**9 * fine(inputs).data, rtol=1e-3)

for g_wild, g_fine in zip(weight_gradients(wild), weight_gradients(fine), strict=True):
    assert g_wild > 1000 * g_fine

viz.plots.gradient_flow(wild)

# %% [markdown]
# **What to do:** smaller initial weights, or normalisation. In recurrent networks, where it may
# happen at any moment, *clipping*: shorten the whole gradient $g$ to a length $c$ if it is longer,
# and keep its direction.

# %%
before = np.concatenate([p.grad.ravel() for p in wild.parameters()])
nn.optim.clip_grad_norm_(wild.parameters(), 1.0)
after = np.concatenate([p.grad.ravel() for p in wild.parameters()])

assert math.isclose(np.linalg.norm(after), 1, rel_tol=1e-4)
assert np.allclose(after, before / np.linalg.norm(before), atol=1e-6)
print(f"length {np.linalg.norm(before):.0f} before, {np.linalg.norm(after):.3f} after")

# %% [markdown]
# ## Dead
#
# A ReLU passes on nothing where its input is negative. A unit whose input is negative for *every*
# sample is dead: it is 0, its gradient is 0, and since its weights get no gradient it stays so. The
# usual cause is inputs far from 0, and one step too large. Record it as it happens.

# %%
far_away = inputs + 3  # nobody has centred them
rng = np.random.default_rng(0)
victim = nn.Sequential(
    nn.Linear(2, 32, nonlinearity="relu", rng=rng), nn.ReLU(), nn.Linear(32, 2, rng=rng)
)
optimizer = nn.optim.SGD(victim.parameters(), lr=1.0)
losses = []
with viz.recorder(victim) as seen:
    for _ in range(12):
        victim.zero_grad()
        loss = tg.cross_entropy(victim(far_away), labels)
        loss.backward()
        seen.take(loss)
        optimizer.step()
        losses.append(loss.item())

viz.plots.dead_units_over_time(seen)

# %% [markdown]
# After two steps all units are dead. The output no longer depends on the input. All that is
# left to learn is the last bias, that is how frequent each class is, and with equal classes the
# loss ends at $\log 2$.

# %%
with tg.no_grad():
    hidden = victim[:2](far_away).data
assert not hidden.any()
assert all(g == 0 for g in weight_gradients(victim, far_away))
assert [s.activations["1"].dead_share == 1 for s in seen.snapshots[:3]] == [False, False, True]
assert labels.mean() == 0.5
assert math.isclose(losses[-1], math.log(2), abs_tol=1e-3)

viz.plots.dead_units(seen)

# %% [markdown]
# The plot of gradients over time tells the same story: the last bias alone gets any.

# %%
viz.plots.gradient_flow_over_time(seen)

# %%
last = seen.snapshots[-1]
assert last.activations["1"].dead_share == 1
for name in ("0.weight", "0.bias", "2.weight"):
    assert last.gradients[name].mean == 0

# The cure: inputs around 0. The same network with the same learning rate then learns.
centred = far_away - far_away.mean(axis=0)
rng = np.random.default_rng(0)
survivor = nn.Sequential(
    nn.Linear(2, 32, nonlinearity="relu", rng=rng), nn.ReLU(), nn.Linear(32, 2, rng=rng)
)
optimizer = nn.optim.SGD(survivor.parameters(), lr=1.0)
for _ in range(40):
    survivor.zero_grad()
    loss = tg.cross_entropy(survivor(centred), labels)
    loss.backward()
    optimizer.step()
print(f"loss {losses[-1]:.3f} far from 0, {loss.item():.3f} around 0")
assert loss.item() < 0.3

# %% [markdown]
# ## Disconnected
#
# It is tempting to minimise the number of mistakes itself. But a step function is flat: its
# derivative is 0 wherever it has one. The engine knows, and passes nothing back through `sign`.

# %%
linear = nn.Linear(2, 1, rng=np.random.default_rng(1))
sides = np.where(labels[:4] == 1, 1.0, -1.0).astype(np.float32).reshape(4, 1)

mistakes = np.mean((np.sign(linear(inputs[:4])) - sides) ** 2) / 4
mistakes.backward()
assert mistakes.item() > 0
assert linear.weight.grad is None
assert linear.bias.grad is None

viz.draw(mistakes, direction="TB", constants=False)

# %% [markdown]
# A dashed border and *no grad* mean that no gradient reaches a box. That is not the same as a
# gradient of 0: `grad` is `None`, and an optimizer passes over the parameter.
#
# The other way to cut a graph is to take a value out of it, by `.data`, `.detach()` or `float()`.
# Then what came before is not in the picture at all. `gradient_flow` lists every parameter of the
# model, and says of which it has none.


# %%
class Squash(nn.Module):
    """A hidden layer by somebody who thought that NumPy takes arrays only."""

    def __init__(self):
        self.linear = nn.Linear(2, 8, rng=np.random.default_rng(0))

    def forward(self, x):
        return Tensor(np.tanh(self.linear(x).data))


cut = nn.Sequential(Squash(), nn.Linear(8, 2, rng=np.random.default_rng(1)))
tg.cross_entropy(cut(inputs), labels).backward()
assert cut[0].linear.weight.grad is None
assert cut[1].weight.grad is not None

viz.plots.gradient_flow(cut)

# %% [markdown]
# The cure here is to leave `.data` out: `np.tanh` takes Tensors.
#
# ## Five broken models
#
# Looking at plots is one way. Another is `isolate`: it runs a model once, forward and backward,
# looks at every module's results and gradients, checks each module alone on what it really gets,
# and reports the first one at fault. Here are five models, each broken in a way that happens every
# day. Before you run the cell below, say what is wrong with each.


# %%
class Standardize(nn.Module):
    """Features of mean 0 and standard deviation 1."""

    def forward(self, x):
        return (x - x.mean(axis=0)) / x.std(axis=0)


class Two(nn.Module):
    """Two layers, by name."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.layers = {"first": nn.Linear(2, 8, rng=rng), "second": nn.Linear(8, 8, rng=rng)}

    def forward(self, x):
        return self.layers["second"](np.tanh(self.layers["first"](x)))


rng = np.random.default_rng(0)
pixels = rng.integers(0, 256, (128, 64)).astype(np.float32)
with_a_constant = np.concatenate([inputs, np.ones((128, 1), np.float32)], axis=1)

of_pixels = nn.Sequential(nn.Linear(64, 16, rng=rng), nn.Tanh(), nn.Linear(16, 2, rng=rng))
standardized = nn.Sequential(
    Standardize(), nn.Linear(3, 8, rng=rng), nn.Tanh(), nn.Linear(8, 2, rng=rng)
)
by_name = nn.Sequential(Two(), nn.Tanh(), nn.Linear(8, 2, rng=rng))
normal = deep(nn.ReLU, 8, width=64)
for p in normal.parameters():
    p.data[...] = rng.normal(0, 1, p.shape)

# %%
found = isolate(of_pixels, pixels, labels)
assert (found.path, found.kind) == ("1", "saturated units")
found

# %% [markdown]
# One row for each module, in the order in which they ran. The gradient at the result of module 1 is
# fine; at that of module 0 it is over thirty times smaller, since tanh is flat where 99 % of its
# inputs are. The cure is to scale the pixels to $[0, 1]$. The other four:

# %%
assert found.rows[1].gradient > 30 * found.rows[0].gradient

diagnoses = {
    "cut": isolate(cut, inputs, labels),
    "standardized": isolate(standardized, with_a_constant, labels),
    "by_name": isolate(by_name, inputs, labels),
    "normal": isolate(normal, inputs, labels),
}
for name, diagnosis in diagnoses.items():
    first_line = str(diagnosis.finding).splitlines()[0]
    print(textwrap.fill(f"{name}: {first_line}", 96, subsequent_indent="    "), "\n")

assert [(d.path, d.kind) for d in diagnoses.values()] == [
    ("0", "wrong gradient"),
    ("0", "nan"),
    ("0", "registration"),
    ("2", "exploding activations"),
]

# %% [markdown]
# - **cut**: `.data` took the value out of the graph, so finite differences see a slope where the
#   engine sees none.
# - **standardized**: the third feature is constant, its standard deviation 0, and $0/0$ is NaN. Add
#   a small $\varepsilon$ to the denominator, as batch norm does.
# - **by_name**: modules in a dict are not registered, and no optimizer will ever train them. Use
#   `nn.ModuleDict`. Nothing else shows it: the loss is finite, and it falls.
# - **normal**: with $n$ inputs of variance 1 and weights of variance 1 a neuron's $z$ has variance
#   $n$. He's initial weights have variance $2/n$ instead, for ReLU.

# %%
# by_name: only the last layer is known to an optimizer.
assert [name for name, _ in by_name.named_parameters()] == ["2.weight", "2.bias"]

optimizer = nn.optim.SGD(by_name.parameters(), lr=0.5)
frozen = by_name[0].layers["first"].weight.data.copy()
losses = []
for _ in range(20):
    by_name.zero_grad()
    loss = tg.cross_entropy(by_name(inputs), labels)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0] / 1.5
assert np.array_equal(by_name[0].layers["first"].weight.data, frozen)

# normal: what the variance of the weights does to that of z, with 64 inputs.
samples = np.random.default_rng(1).normal(0, 1, (4000, 64))
z = samples @ np.random.default_rng(2).normal(0, 1, (64, 64))
assert math.isclose(z.var(), 64, rel_tol=0.1)
he = nn.Linear(64, 64, nonlinearity="relu", rng=np.random.default_rng(3))
assert math.isclose(he.weight.data.var(), 2 / 64, rel_tol=0.1)

# All five, mended.
of_pixels_mended = isolate(of_pixels, pixels / 255, labels)
standardized[0] = nn.BatchNorm1d(3)
normal_mended = deep(nn.ReLU, 8, width=64)


class SquashMended(Squash):
    """The same, and nothing leaves the graph."""

    def forward(self, x):
        return np.tanh(self.linear(x))


class TwoMended(Two):
    """The same, in a ModuleDict."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.layers = nn.ModuleDict(
            {"first": nn.Linear(2, 8, rng=rng), "second": nn.Linear(8, 8, rng=rng)}
        )


cut[0] = SquashMended()
by_name[0] = TwoMended()

assert of_pixels_mended.kind is None
assert isolate(cut, inputs, labels).kind is None
assert isolate(standardized, with_a_constant, labels).kind is None
assert isolate(by_name, inputs, labels).kind is None
assert isolate(normal_mended, inputs, labels).kind is None

# %% [markdown]
# ## Smaller stacks
#
# When you have no tool that knows the fault, take the model apart. A slice of a `Sequential` is a
# smaller model with the same parameters. Somewhere in this one the signal is lost:

# %%
lost = deep(nn.Tanh, 8)
lost[8].weight.data *= 1e-5  # pretend that you have not seen this line


def spread(modules):
    """The standard deviation of what the first so many modules make of the inputs."""
    with tg.no_grad():
        return float(lost[:modules](inputs).data.std())


viz.plots.lines(
    {"healthy": [healthy[:k](inputs).data.std() for k in range(1, 18)],
     "lost": [spread(k) for k in range(1, 18)]},
    "modules", "standard deviation of the result",
)  # fmt: skip

# %% [markdown]
# Seventeen stacks are more than you need. Once the signal is lost it stays lost, so you can halve:
# try eight modules; if their result is still fine, the fault comes later. Five tries are enough for
# up to 32 modules.

# %%
tries = []


def is_lost(modules):
    tries.append(modules)
    return spread(modules) < 1e-3


first_lost = 1 + bisect_left(range(1, 18), True, key=is_lost)
assert first_lost == 9  # nine modules are needed, so the fault is in the ninth, lost[8]
assert len(tries) <= 5
print("stacks that were tried:", tries)

# %% [markdown]
# `isolate` does it for any fault, and keeps the smallest stack that shows it, with the inputs it
# had in the model, and the gradient that reached it. You can run that stack alone; `script` is a
# file that does so, to send to whoever wrote the module.

# %%
found = isolate(lost, inputs, labels)
assert (found.path, found.kind) == ("8", "vanishing gradients")
assert len(found.stack) == 1

gradient = found.finding.gradient
alone = isolate(found.stack, found.finding.inputs, loss=lambda y: (y * gradient).sum())
assert alone.kind == found.kind

printed = io.StringIO()
with redirect_stdout(printed):
    exec(found.script, {})
assert "First fault: 0: vanishing gradients" in printed.getvalue()
print(found.script.splitlines()[0])
print(textwrap.fill(printed.getvalue().splitlines()[-1], 96))

# %% [markdown]
# ## Testing an op of your own
#
# An op is a forward and a derivative rule for each input. Suppose you declare *softsign*,
# $y = x / (1 + |x|)$. Its derivative is $1/(1 + |x|)^2$, and you notice that it can be written with
# the output: $1 - |y| = 1/(1 + |x|)$, so $y' = (1 - |y|)^2$. In the rule you forget the bars.

# %%
wrong = tg.elementwise(
    "softsign_without_bars",
    "softsign",
    lambda x: x / (1 + abs(x)),
    lambda x: x / (1 + np.abs(x)),
    lambda g, y, x: g * (1 - y) ** 2,
)
viz.plots.activations([wrong, tg.softsign])

# %% [markdown]
# The graph gives it away, once you look. A single test may not: at $x = 1.5$ all is well.
# `gradcheck` compares with finite differences at the point you give it, and no other.

# %%
print(gradcheck(wrong, np.array([0.25, 1.5, 3.0])))

# %% [markdown]
# So state the *property*, "for every list of numbers the gradient is right", and let Hypothesis
# look for a list that breaks it. When it has found one, it *shrinks* it: fewer numbers, simpler
# numbers, as long as the property still fails. Here every failure on the way is noted.

# %%
failures = []


@settings(derandomize=True, database=None, deadline=None, phases=[Phase.generate, Phase.shrink])
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=6))
def gradients_are_right(numbers):
    try:
        gradcheck(wrong, np.array(numbers))
    except GradientMismatchError:
        failures.append(numbers)
        raise


try:
    gradients_are_right()
except GradientMismatchError as error:
    complaint = str(error)

largest = max(failures, key=len)
print("one of those found:", [round(number, 3) for number in largest])
print("the last, shrunk:  ", failures[-1])
assert failures[-1] == [-1.0]

# %% [markdown]
# One number, and the simplest that is negative: the fault is in the sign. By hand: $y(-1) =
# -\tfrac12$, so the rule gives $(1 + \tfrac12)^2 = 2.25$, where $(1 - \tfrac12)^2 = 0.25$ is right:
# nine times too much. The report of this last failure says so, too, and names the op. (`gradcheck`
# multiplies each result by a fixed number of its own, so look at the column *ratio*.)

# %%
for line in complaint.splitlines():
    print(textwrap.fill(line, 96))
assert tg.grad(wrong)(-1.0) == 2.25
assert tg.grad(tg.softsign)(-1.0) == 0.25
assert complaint.splitlines()[2].split()[-1] == "9"

# %% [markdown]
# `check_op` has such properties ready, to second order and for broadcasting, dtypes and more. It
# shrinks as well.

# %%
try:
    check_op(wrong)
except GradientMismatchError as error:
    title, call = str(error).splitlines()[:2]
print(title)
print(call)
assert "-" in call

right = tg.elementwise(
    "softsign_with_bars",
    "softsign",
    lambda x: x / (1 + abs(x)),
    lambda x: x / (1 + np.abs(x)),
    lambda g, y, x: g * (1 - abs(y)) ** 2,
)
print(check_op(right))

# %% [markdown]
# ## Exercises
#
# **1.** Put each hidden layer of the fading network, but the first, into `nn.Residual`, which
# computes $x + f(x)$. By which factor does the gradient of the first layer's weight grow? Why?

# %% jupyter={"source_hidden": true} tags=["solution"]
rng = np.random.default_rng(0)
blocks = [
    nn.Residual(nn.Sequential(nn.Linear(16, 16, nonlinearity="sigmoid", rng=rng), nn.Sigmoid()))
    for _ in range(7)
]
first = [nn.Linear(2, 16, nonlinearity="sigmoid", rng=rng), nn.Sigmoid()]
residual = nn.Sequential(*first, *blocks, nn.Linear(16, 2, rng=rng))

without, with_skips = weight_gradients(fading)[0], weight_gradients(residual)[0]
assert with_skips > 1000 * without
print(f"{without:.2g} without, {with_skips:.2g} with skip connections")
# The derivative of x + f(x) is 1 + f'(x): the path through the 1s multiplies by no small number.

# %% [markdown]
# **2.** A colleague's model gives another answer each time it is asked, though it is in `eval`
# mode. Find out why, with one line, and mend it.


# %%
class Noise(nn.Module):
    """Multiplicative noise, against overfitting."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        return x * self.rng.choice([0.0, 2.0], x.shape).astype(np.float32)


rng = np.random.default_rng(0)
model = nn.Sequential(
    nn.Linear(2, 8, rng=rng), Noise(), nn.Tanh(), nn.Linear(8, 8, rng=rng), nn.Linear(8, 2, rng=rng)
)

# %% jupyter={"source_hidden": true} tags=["solution"]
found = isolate(model.eval(), inputs, labels)
print(textwrap.fill(str(found.finding), 96))
assert (found.path, found.kind) == ("1", "determinism")


class NoiseInTraining(Noise):
    """The same, in training only."""

    def forward(self, x):
        return super().forward(x) if self.training else x


model[1] = NoiseInTraining()
assert isolate(model.eval(), inputs, labels).kind is None
assert check_module(NoiseInTraining(), np.ones((4, 3)))

# %% [markdown]
# **3.** Declare an op *bent*, $y = \sqrt{1 + x^2}$, with its rule written in terms of $x$ and $y$.
# Have `check_op` confirm it. Then leave $x$ out of the rule, and predict the counterexample to
# which Hypothesis will shrink a list of floats, before you run it.

# %% jupyter={"source_hidden": true} tags=["solution"]
bent = tg.elementwise(
    "bent",
    "bent",
    lambda x: math.sqrt(1 + x * x),
    lambda x: np.sqrt(1 + x * x),
    lambda g, y, x: g * x / y,  # y² = 1 + x², so 2 y dy = 2 x dx
)
assert check_op(bent).compared > 100

broken = tg.elementwise(
    "bent_wrong",
    "bent",
    lambda x: math.sqrt(1 + x * x),
    lambda x: np.sqrt(1 + x * x),
    lambda g, y, x: g / y,
)
failures = []


@settings(derandomize=True, database=None, deadline=None, phases=[Phase.generate, Phase.shrink])
@given(st.lists(st.floats(-8, 8), min_size=1, max_size=6))
def bent_is_right(numbers):
    try:
        gradcheck(broken, np.array(numbers))
    except GradientMismatchError:
        failures.append(numbers)
        raise


try:
    bent_is_right()
except GradientMismatchError:
    print("shrunk to", failures[-1])
# Right only at x = 1. The simplest float of all is 0, and there 1/y = 1 is wrong: x/y = 0.
assert failures[-1] == [0.0]
