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
# # 5 · Logits, softmax and cross-entropy
#
# **After this notebook you can** turn scores into a loss, derive its gradient $p - y$, and compute
# both so that no logit, however large, makes them NaN.\
# **It takes** about 60 minutes.\
# **Before it** come the chain rule on graphs of `Value`s, and Tensors with a batch axis.

# %%
import math

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import AnomalyError, Tensor, Value, detect_anomaly

# %% [markdown]
# ## From scores to probabilities
#
# A classifier ends in one number per class, its **logits** $z_1, \dots, z_K$. They can be any
# numbers: only their differences will matter. *Softmax* makes probabilities of them:
#
# $$p_i = \frac{e^{z_i}}{\sum_k e^{z_k}}$$
#
# The exponential makes every entry positive, the division makes them sum to 1.

# %%
z = [Value(2.0, label="z0"), Value(1.0, label="z1"), Value(-1.0, label="z2")]

e = [zi.exp() for zi in z]
for i, ei in enumerate(e):
    ei.label = f"e{i}"
total = e[0] + e[1] + e[2]
total.label = "total"
p = [ei / total for ei in e]
for i, pi in enumerate(p):
    pi.label = f"p{i}"

assert all(pi.data > 0 for pi in p)
assert math.isclose(sum(pi.data for pi in p), 1)
print("p =", [round(pi.data, 4) for pi in p])

# %% [markdown]
# Draw one of the probabilities. $z_0$ reaches $p_0$ on two paths, through the numerator and through
# the sum; the other logits on one, through the sum only. So $p_0$ depends on *all* of them.

# %%
viz.draw(p[0], formulas=True, direction="TB")

# %% [markdown]
# Add up the paths from $z_0$: $\partial p_0/\partial z_0 = p_0 - p_0^2$. The one from $z_1$ gives
# $\partial p_0/\partial z_1 = -p_0 p_1$. Together:
#
# $$\frac{\partial p_i}{\partial z_j} = p_i\,(\delta_{ij} - p_j)$$
#
# where $\delta_{ij}$ is 1 if $i = j$ and otherwise 0.

# %%
p[0].backward()
p0, p1, p2 = (pi.data for pi in p)
assert math.isclose(z[0].grad, p0 * (1 - p0))
assert math.isclose(z[1].grad, -p0 * p1)
assert math.isclose(z[2].grad, -p0 * p2)


def softmax(z):
    """The formula as it stands, in NumPy."""
    return np.exp(z) / np.exp(z).sum()


# By finite differences, too: move every logit a little, both ways.
logits = np.array([2.0, 1.0, -1.0])
h = 1e-6
slopes = [(softmax(logits + h * d)[0] - softmax(logits - h * d)[0]) / (2 * h) for d in np.eye(3)]
assert np.allclose(slopes, [zi.grad for zi in z], atol=1e-9)

# %% [markdown]
# Two facts to remember. Ratios of probabilities are differences of logits,
# $p_i / p_j = e^{z_i - z_j}$. And adding the same number to all logits changes nothing, since
# $e^{c}$ cancels. The second will save you from NaN below.

# %%
assert math.isclose(p0 / p1, math.exp(2.0 - 1.0))
for c in (-50.0, 0.5, 300.0):
    assert np.allclose(softmax(logits + c), softmax(logits), rtol=1e-12)
# So the gradient of p0 by the three logits sums to 0: moving them together does nothing.
assert abs(sum(zi.grad for zi in z)) < 1e-15

# %% [markdown]
# ## Log-sum-exp, the soft maximum
#
# The logarithm of that denominator has a name of its own:
#
# $$\operatorname{LSE}(z) = \log \sum_k e^{z_k}, \qquad
#   \max_k z_k \;\le\; \operatorname{LSE}(z) \;\le\; \max_k z_k + \log K$$
#
# It is a maximum without the corner. Its gradient is softmax:
#
# $$\frac{\partial \operatorname{LSE}}{\partial z_i} = \frac{e^{z_i}}{\sum_k e^{z_k}} = p_i$$
#
# With two logits, $x$ and 0, you know both curves already: softplus, and its slope, the sigmoid.


# %%
def max_of_x_and_0(x):
    return np.maximum(x, 0)


def lse_of_x_and_0(x):
    return np.logaddexp(x, 0)


viz.plots.activations([max_of_x_and_0, lse_of_x_and_0])

# %%
rng = np.random.default_rng(0)
for _ in range(200):
    z_random = rng.normal(0, 4, rng.integers(2, 8))
    lse = tg.logsumexp(z_random)
    assert z_random.max() <= lse <= z_random.max() + math.log(len(z_random))
    assert np.allclose(tg.grad(tg.logsumexp)(z_random), softmax(z_random))

x = np.linspace(-4, 4, 9)
assert np.allclose(np.logaddexp(x, 0), np.log1p(np.exp(x)))
assert np.allclose(tg.elementwise_grad(lse_of_x_and_0)(x), 1 / (1 + np.exp(-x)))

# %% [markdown]
# ## Cross-entropy, and its gradient
#
# The loss of a sample of class $t$ is how surprised the model is by that class, $-\log p_t$. Put
# softmax in and the exponential of the numerator meets the logarithm:
#
# $$L = -\log p_t = -\log \frac{e^{z_t}}{\sum_k e^{z_k}} = \operatorname{LSE}(z) - z_t$$
#
# The gradient takes no more work. The first term gives $p_i$; the second gives $-1$, and only to
# the logit of the right class:
#
# $$\frac{\partial L}{\partial z_i} = p_i - y_i, \qquad y = \operatorname{onehot}(t)$$
#
# What the model says, minus what is true. Every wrong class is pushed down by just the probability
# it was given; the right one is pulled up by what it lacks.

# %%
z = [Value(2.0, label="z0"), Value(1.0, label="z1"), Value(-1.0, label="z2")]
t = 1

e = [zi.exp() for zi in z]
total = e[0] + e[1] + e[2]
lse = total.log()
L = lse - z[t]
total.label, lse.label, L.label = "total", "LSE", "L"

viz.draw(L, formulas=True, direction="TB")

# %% [markdown]
# Look at $z_1$, the right class. Two arrows leave its box: one through LSE, worth $+p_1$, and one
# straight to $L$, worth $-1$. The gradient is their sum, and negative: to lower the loss, raise
# $z_1$.

# %%
L.backward()
onehot = np.array([0.0, 1.0, 0.0])
found = np.array([zi.grad for zi in z])

assert np.allclose(found, softmax(logits) - onehot)


def cross_entropy(z):
    return -np.log(softmax(z)[t])


slopes = [
    (cross_entropy(logits + h * d) - cross_entropy(logits - h * d)) / (2 * h) for d in np.eye(3)
]
assert np.allclose(found, slopes, atol=1e-8)
assert abs(found.sum()) < 1e-15  # what is pushed down is pulled up elsewhere
print("p - onehot =", found.round(4))

# %% [markdown]
# Step through the same graph, forward and backward, and drag the logits: whatever you do, the three
# gradients are $p_0$, $p_1 - 1$ and $p_2$, and they sum to 0. Pull $z_1$ to 6: the loss goes to 0,
# and so do the gradients, for there is nothing left to learn.

# %%
viz.page(L, title="Cross-entropy of three logits")

# %% [markdown]
# In a network the vector $p - y$ is what enters the last layer from the right. Here is one with two
# inputs and three linear output neurons: the colours of the outputs are $p - y$, and each weight's
# gradient is that number times the weight's input.

# %%
model = nn.MLP(2, [3], rng=np.random.default_rng(3))
features = [0.8, -0.5]
outputs = model(features)
loss = (outputs[0].exp() + outputs[1].exp() + outputs[2].exp()).log() - outputs[t]
loss.backward()

residual = softmax(np.array([out.data for out in outputs])) - onehot
for neuron, r in zip(model.layers[0].neurons, residual, strict=True):
    assert np.allclose([w.grad for w in neuron.weights], r * np.array(features))
    assert math.isclose(neuron.bias.grad, r)

viz.draw_neurons(model, loss)

# %% [markdown]
# ## A batch
#
# With $N$ samples the loss is the mean, so each row of the gradient is divided by $N$:
# $\partial L/\partial Z = (P - Y)/N$. `cross_entropy` takes logits $(N, K)$ and $N$ labels. Never
# apply softmax first: it is in there.

# %%
rng = np.random.default_rng(1)
Z = Tensor(rng.normal(0, 2, (6, 4)), requires_grad=True, dtype=np.float64, label="Z")
labels = np.array([0, 3, 1, 1, 2, 0])

L = tg.cross_entropy(Z, labels)
L.backward()

P = np.exp(Z.data) / np.exp(Z.data).sum(axis=1, keepdims=True)
Y = np.eye(4)[labels]
assert math.isclose(L.item(), -np.mean(np.log(P[np.arange(6), labels])))
assert np.allclose(Z.grad, (P - Y) / 6)
assert np.allclose(Z.grad.sum(axis=1), 0)

viz.draw(L)

# %% [markdown]
# A fresh classifier knows nothing: its logits are nearly equal, every class gets $1/K$, and the
# loss is $\log K$. If yours starts far above that, look for a mistake before you train.

# %%
for K in (2, 10, 1000):
    fresh = tg.cross_entropy(np.zeros((5, K)), np.arange(5) % K)
    assert math.isclose(fresh, math.log(K), rel_tol=1e-6)
    print(f"{K:5d} classes: log K = {math.log(K):.3f}")

# %% [markdown]
# ## Why not the squared error?
#
# One logit $z$, two classes, the right one being 1. Compare the squared error of the probability,
# $(\sigma(z) - 1)^2$, with the cross-entropy, $-\log \sigma(z)$. The dashed lines are the slopes.


# %%
def squared_error(z):
    return (tg.sigmoid(z) - 1) ** 2


def minus_log_p(z):
    return tg.softplus(-z)  # -log σ(z) = log(1 + exp(-z))


viz.plots.activations([squared_error, minus_log_p], low=-8, high=8)

# %% [markdown]
# At $z = -8$ the model is certain, and wrong. The cross-entropy pulls with a slope of almost $-1$.
# The squared error does not pull at all: its slope is $2(p - 1) \cdot p(1 - p)$, and the factor
# $p(1 - p)$, the slope of the sigmoid, is gone.

# %%
p_wrong = 1 / (1 + math.exp(8))
slope_of_squares = tg.grad(squared_error)(-8.0)
slope_of_log = tg.grad(minus_log_p)(-8.0)
assert math.isclose(slope_of_squares, 2 * (p_wrong - 1) * p_wrong * (1 - p_wrong), rel_tol=1e-9)
assert math.isclose(slope_of_log, p_wrong - 1, rel_tol=1e-9)
assert slope_of_log / slope_of_squares > 1000
print(f"slopes at z = -8: squared error {slope_of_squares:.6f}, cross-entropy {slope_of_log:.6f}")

# %% [markdown]
# ## What goes wrong when you write it as it stands
#
# A float32 ends at about $3.4 \cdot 10^{38}$, so $e^{z}$ overflows from $z \approx 88.7$ on. With
# inputs that nobody has scaled, logits of 100 are nothing unusual. Then $p = \infty / \infty$,
# which is not a number.


# %%
def naive_loss(logits, labels):
    """Minus the log of the softmax of the right class: right on paper."""
    e = np.exp(logits)
    p = e / np.sum(e, axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(len(labels)), labels]))


large = Tensor([[120.0, 20.0, 0.0]], requires_grad=True, label="logits")
with np.errstate(all="ignore"):  # or NumPy would warn
    assert np.isfinite(np.exp(np.float32(88.7)))
    assert np.isinf(np.exp(np.float32(88.8)))
    L = naive_loss(large, np.array([0]))
    L.backward()

assert np.isnan(L.item())
assert np.isnan(large.grad).any()
viz.draw(L, direction="TB")

# %% [markdown]
# In a picture this small you see where NaN begins. In a model of a hundred modules, ask:
# `detect_anomaly` looks at every result, and raises at the *first* one that is not finite, with the
# operation, the module and the line.

# %%
try:
    with np.errstate(all="ignore"), detect_anomaly():
        naive_loss(large, np.array([0]))
except AnomalyError as error:
    complaint, culprit = str(error), error.graph
    print(complaint)

assert culprit.op.name == "exp"
assert "inf" in complaint

# %% [markdown]
# The first fault is not the NaN but the infinity before it, and `exp` made it. So subtract the
# maximum from all the logits first. You proved above that this changes nothing on paper; on the
# machine no exponent is positive any more.


# %%
def better_loss(logits, labels):
    """Without overflow, and still not right."""
    e = np.exp(logits - np.max(logits.data, axis=1, keepdims=True))
    p = e / np.sum(e, axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(len(labels)), labels]))


assert math.isclose(better_loss(large, np.array([0])).item(), 0, abs_tol=1e-6)

with np.errstate(all="ignore"):
    wrong_class = better_loss(large, np.array([2]))  # 120 below the largest
assert np.isinf(wrong_class.item())

try:
    with np.errstate(all="ignore"), detect_anomaly():
        better_loss(large, np.array([2]))
except AnomalyError as error:
    culprit = error.graph
    print(error)

assert culprit.op.name == "log"

# %% [markdown]
# Now $e^{-120}$ underflows to 0, and $\log 0 = -\infty$. The loss should be 120. The cure is not to
# go through $p$ at all, but to take the form in which the logarithm and the exponential have met:
#
# $$L = \log \sum_k e^{z_k - m} - (z_t - m), \qquad m = \max_k z_k$$
#
# The sum has a term $e^0 = 1$, so its logarithm is at least 0 and at most $\log K$: nothing is left
# that could overflow, or be the logarithm of 0.


# %%
def stable_loss(logits, labels):
    shifted = logits - np.max(logits.data, axis=1, keepdims=True)
    lse = np.log(np.sum(np.exp(shifted), axis=1))
    return np.mean(lse - shifted[np.arange(len(labels)), labels])


with detect_anomaly():
    for label, expected in ((0, 0.0), (1, 100.0), (2, 120.0)):
        z_large = Tensor(large.data, requires_grad=True, label="logits")
        L = stable_loss(z_large, np.array([label]))
        L.backward()
        assert math.isclose(L.item(), expected, abs_tol=1e-6)
        assert np.allclose(z_large.grad, np.eye(3)[[0]] - np.eye(3)[[label]], atol=1e-6)
        assert np.allclose(L.item(), tg.cross_entropy(large, [label]).item())

viz.draw(L, direction="TB")

# %% [markdown]
# It is what `cross_entropy` computes. Train one linear classifier of three blobs with each of the
# losses, from the same weights, which are large. The first two are infinite at the first step and
# NaN from the second on, so that their lines are missing from the picture.

# %%
blobs = nn.data.blobs(150, classes=3, seed=0)


def losses_of(loss, scale=10, steps=60):
    """Train a linear classifier by gradient descent, and return the loss at every step."""
    model = nn.Linear(2, 3, rng=np.random.default_rng(0))
    model.weight.data *= scale
    optimizer = nn.optim.SGD(model.parameters(), lr=0.5)
    seen = []
    with np.errstate(all="ignore"):
        for _ in range(steps):
            model.zero_grad()
            now = loss(model(blobs.inputs), blobs.targets)
            now.backward()
            optimizer.step()
            seen.append(now.item())
    return seen


seen = {f.__name__: losses_of(f) for f in (naive_loss, better_loss, stable_loss, tg.cross_entropy)}
for name in ("naive_loss", "better_loss"):
    assert np.isinf(seen[name][0])
    assert np.isnan(seen[name][1:]).all()
assert np.allclose(seen["stable_loss"], seen["cross_entropy"], rtol=1e-4, atol=1e-5)
assert seen["stable_loss"][-1] < seen["stable_loss"][0] / 10

viz.plots.lines(seen, "step", "loss")

# %% [markdown]
# ## The mistake that raises nothing: softmax twice
#
# Hand *probabilities* to `cross_entropy` and it takes them for logits. Nothing is NaN and the loss
# falls, but not far: logits between 0 and 1 differ by 1 at most, so with three classes no
# sample's loss can be less than $\log(e + 2) - 1 \approx 0.551$.


# %%
def softmax_twice(logits, labels):
    return tg.cross_entropy(tg.softmax(logits), labels)


floor = math.log(math.e + 2) - 1
certain = np.array([[1.0, 0.0, 0.0]])  # all the probability on the right class
assert math.isclose(tg.cross_entropy(certain, np.array([0])), floor)

seen = {f.__name__: losses_of(f, scale=1, steps=300) for f in (softmax_twice, tg.cross_entropy)}
assert seen["softmax_twice"][-1] < 0.8 < seen["softmax_twice"][0]
assert min(seen["softmax_twice"]) > floor
assert min(seen["cross_entropy"]) < floor / 2

plot = viz.plots.lines(seen, "step", "loss")
plot.axhline(floor, color="black", linewidth=1, linestyle=":")
plot

# %% [markdown]
# A loss that will not go below 0.551, or with ten classes below $\log(e + 9) - 1 \approx 1.461$, is
# its fingerprint.

# %% [markdown]
# ## Temperature and label smoothing
#
# Divide the logits by a *temperature* $\tau$ before softmax: $\tau < 1$ sharpens the
# probabilities, $\tau > 1$ evens them out. The order of the classes stays. By the chain rule the
# gradient is $(p_\tau - y)/\tau$.

# %%
rows = {f"class {i}": [] for i in range(3)}
temperatures = np.linspace(0.1, 10, 100)
for tau in temperatures:
    p_tau = tg.softmax(logits / tau)
    gradient = tg.grad(lambda z, tau=tau: tg.cross_entropy(z / tau, np.array(1)))(logits)
    assert np.allclose(gradient, (p_tau - onehot) / tau)
    assert np.array_equal(np.argsort(p_tau), np.argsort(logits))
    for row, p_i in zip(rows.values(), p_tau, strict=True):
        row.append(p_i)
assert rows["class 0"][0] > 0.999
assert np.ptp([row[-1] for row in rows.values()]) < 0.1

plot = viz.plots.lines(rows, "temperature, in tenths", "probability")
plot.set_yscale("linear")
plot

# %% [markdown]
# With one-hot targets the loss is never 0: the model can always gain by larger logits, without end.
# *Label smoothing* gives every class a share of the target, $y' = (1 - \varepsilon)\,y +
# \varepsilon / K$. The gradient becomes $p - y'$, which is 0 at *finite* logits: those of
# $p = y'$, that is $z = \log y'$ plus any constant.

# %%
epsilon = 0.1
smoothed = (1 - epsilon) * onehot + epsilon / 3


def smooth_loss(z):
    return tg.cross_entropy(z, np.array(1), label_smoothing=epsilon)


assert np.allclose(tg.grad(smooth_loss)(logits), softmax(logits) - smoothed)
assert np.allclose(tg.grad(smooth_loss)(np.log(smoothed) + 5), 0, atol=1e-12)


def plain(z):
    """The loss of two classes whose logits are z and 0, with all of the target on the first."""
    return np.logaddexp(z, 0) - z


def smooth(z):
    return np.logaddexp(z, 0) - (1 - epsilon / 2) * z


viz.plots.activations([plain, smooth], low=-4, high=8)

# %% [markdown]
# On the right the slope crosses 0, at $z = \log\frac{1 - \varepsilon/2}{\varepsilon/2}$.

# %%
lowest = math.log((1 - epsilon / 2) / (epsilon / 2))
assert abs(tg.grad(smooth)(lowest)) < 1e-12
assert tg.grad(plain)(lowest) < 0
print(f"z = {lowest:.3f}")

# %% [markdown]
# ## Exercises
#
# **1.** Two classes need one logit only. Take $z$ for class 1 and 0 for class 0. Show that softmax
# of $(z, 0)$ is $(\sigma(z), 1 - \sigma(z))$, write the cross-entropy for a target $t \in [0, 1]$
# as a function of $z$ that never overflows, and find its derivative. Compare with
# `nn.functional.binary_cross_entropy_with_logits`.

# %% jupyter={"source_hidden": true} tags=["solution"]
# e^z / (e^z + 1) = σ(z). The loss is t (LSE(z, 0) - z) + (1 - t) (LSE(z, 0) - 0), which is
# softplus(z) - t z. Its derivative is σ(z) - t: again what the model says minus what is true.


def binary_loss(z, t):
    return np.logaddexp(z, 0) - t * z


z_many = np.array([-1000.0, -3.0, 0.0, 2.0, 1000.0])
for t_share in (0.0, 0.3, 1.0):
    mine = binary_loss(z_many, t_share)
    theirs = nn.functional.binary_cross_entropy_with_logits(
        z_many, np.full(5, t_share), reduction="none"
    )
    assert np.isfinite(mine).all()
    assert np.allclose(mine, theirs)
    slopes = tg.elementwise_grad(binary_loss)(z_many, t_share)
    assert np.allclose(slopes, tg.sigmoid(z_many) - t_share)
pair = np.stack([z_many, np.zeros(5)], axis=1)
assert np.allclose(tg.softmax(pair)[:, 0], tg.sigmoid(z_many))

# %% [markdown]
# **2.** The $K \times K$ matrix $J_{ij} = \partial p_i/\partial z_j$ is the Jacobian of softmax.
# Write it with one call of NumPy's `diag` and one of `outer`. Show that $J$ is symmetric, that its
# rows sum to 0, and that multiplying it with $\partial L/\partial p$ of $L = -\log p_t$ gives
# $p - y$.

# %% jupyter={"source_hidden": true} tags=["solution"]
p_now = softmax(logits)
J = np.diag(p_now) - np.outer(p_now, p_now)
assert np.allclose(J, tg.jacobian(tg.softmax)(logits))
assert np.allclose(J, J.T)
assert np.allclose(J.sum(axis=1), 0)

# ∂L/∂p is -1/p_t at t and 0 elsewhere: one large number, which J's small ones make harmless.
by_p = np.where(onehot == 1, -1 / p_now, 0)
assert np.allclose(J.T @ by_p, p_now - onehot)

# %% [markdown]
# **3.** Write `log_softmax` for a list of Values, such that logits of 1000 and $-1000$ do no harm,
# forward or backward. Use it to compute a cross-entropy, and check the gradient.

# %% jupyter={"source_hidden": true} tags=["solution"]


def log_softmax(z):
    m = max(zi.data for zi in z)  # a number, not a node: a shift needs no gradient
    lse = sum((zi - m).exp() for zi in z).log() + m
    return [zi - lse for zi in z]


with detect_anomaly():
    z = [Value(1000.0), Value(-1000.0), Value(999.0)]
    L = -log_softmax(z)[2]
    L.backward()
p_right = 1 / (1 + math.e)  # of logits 1000 and 999; the third adds nothing
assert math.isclose(L.data, -math.log(p_right))
assert np.allclose([zi.grad for zi in z], [1 - p_right, 0, p_right - 1])
