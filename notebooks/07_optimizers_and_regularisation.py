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
# # 7 · Optimizers and regularisation
#
# **After this notebook you can** write every update rule from SGD to AdamW from memory, choose a
# learning rate and a schedule by measuring, and say what dropout, weight decay, norms and
# augmentation do, and when they help.\
# **It takes** about 90 minutes.\
# **Before it** come notebook 3, on layers and `parameters()`, and notebook 5, on the loss.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Tensor, Value

nn.manual_seed(0)

# %% [markdown]
# ## A valley
#
# Two parameters $\theta = (x, y)$, and a loss that is 25 times as steep along $y$ as along $x$:
#
# $$L(x, y) = \tfrac12\left(x^2 + 25\,y^2\right), \qquad
#   \nabla L = \begin{pmatrix} x \\ 25\,y \end{pmatrix}$$
#
# Every smooth loss looks like this near a minimum, with one curvature for each direction: here 1
# and 25. Their ratio, the *condition number* $\kappa = 25$, is what makes a valley narrow.

# %%
CURVATURES = np.array([1.0, 25.0])
START = np.array([-4.5, 1.2])


def valley(theta):
    return 0.5 * (CURVATURES * theta * theta).sum()


def slope(theta):
    """The gradient of the valley, by hand."""
    return CURVATURES * theta


x, y = Value(START[0], label="x"), Value(START[1], label="y")
L = 0.5 * (x**2 + 25 * y**2)
L.label = "L"
L.backward()
assert [x.grad, y.grad] == slope(START).tolist()

viz.draw(L, formulas=True)

# %% [markdown]
# ## Gradient descent
#
# $$\theta \leftarrow \theta - \eta\, g, \qquad g = \nabla L(\theta)$$
#
# Below, the rule by hand, and `nn.optim.SGD` on a Tensor with the gradients of the engine. They
# must agree to twelve digits; so must every rule in this notebook.


# %%
def sgd(theta, slope, lr, steps):
    path = [theta]
    for _ in range(steps):
        theta = theta - lr * slope(theta)
        path.append(theta)
    return np.array(path)


def path_of(optimizer, loss=valley, start=START, steps=60, **options):
    """Where an optimizer of nn.optim goes: an array (steps + 1, 2)."""
    # A copy, since a Tensor keeps the array it is given, and optimizers change it in place.
    theta = Tensor(np.array(start, np.float64), requires_grad=True)
    rule = optimizer([theta], **options)
    path = [theta.data.copy()]
    for _ in range(steps):
        rule.zero_grad()
        loss(theta).backward()
        rule.step()
        path.append(theta.data.copy())
    return np.array(path)


def same(path, other):
    return np.allclose(path, other, rtol=1e-12, atol=1e-12)


assert same(sgd(START, slope, 0.07, 60), path_of(nn.optim.SGD, lr=0.07))

# %% [markdown]
# In this valley the two entries do not see each other, and each step multiplies each of them by a
# constant:
#
# $$\theta_i \leftarrow (1 - \eta\,\lambda_i)\,\theta_i
#   \qquad\text{so}\qquad \theta_i^{(t)} = (1 - \eta\,\lambda_i)^t\,\theta_i^{(0)}$$
#
# where $\lambda_i$ is the curvature. It shrinks while $|1 - \eta\lambda_i| < 1$, that is, for
# $\eta < 2/\lambda_i$. The *steepest* direction sets the limit, $2/25 = 0.08$; the *flattest* one
# then has to do with it, and takes its time.


# %%
COLOURS = ("#ffffff", "#ff9d4d", "#ff6fb5", "#f7e225", "#8fe3ff")


def draw_paths(paths, loss=valley, minimum=(0.0, 0.0), span=5.0, height=2.5):
    """Contours of a loss, and paths over them."""
    minimum = np.array(minimum)
    theta = Tensor(minimum.copy(), requires_grad=True)
    axes = plt.figure(figsize=(7.6, 6.1 * height / span), dpi=100).add_subplot()
    viz.plots.loss_landscape(
        lambda: loss(theta),
        [("theta", theta)],
        directions=([np.array([1.0, 0.0])], [np.array([0.0, 1.0])]),
        span=span,
        resolution=60,
        ax=axes,
    )
    for (name, path), colour in zip(paths.items(), COLOURS, strict=False):
        a, b = (path - minimum).T  # the plane is centred on the minimum
        axes.plot(a, b, "o-", color=colour, markersize=2.2, linewidth=1.1, label=name)
    x, y = ("x", "y") if not minimum.any() else (f"{name} from the minimum" for name in "xy")
    axes.set(xlim=(-span, span), ylim=(-height, height), xlabel=x, ylabel=y)
    lines = [line for line in axes.lines if line.get_label() in paths]
    axes.legend(
        handles=lines, loc="lower right", fontsize=8, facecolor="#2b2b3a", labelcolor="white"
    )
    axes.set_aspect("equal")
    plt.show()


paths = {f"SGD, lr = {lr}": path_of(nn.optim.SGD, lr=lr, steps=20) for lr in (0.01, 0.075, 0.081)}
for lr, path in zip((0.01, 0.075, 0.081), paths.values(), strict=True):
    steps = np.arange(21)[:, None]
    assert np.allclose(path, (1 - lr * CURVATURES) ** steps * START, rtol=1e-12, atol=1e-12)

slow, zigzag, too_large = (np.abs(path) for path in paths.values())
assert (zigzag[1:, 1] < zigzag[:-1, 1]).all()  # 0.075 < 2/25
assert (too_large[1:, 1] > too_large[:-1, 1]).all()  # 0.081 > 2/25
assert slow[-1, 0] > 3.5 > 1 > zigzag[-1, 0]

draw_paths(paths)

# %% [markdown]
# Too small, and it crawls along the valley. Nearly too large, and it jumps from wall to wall. Too
# large, and each jump is wider than the last. Nothing in between is *fast*: at the best rate,
# $\eta = 2/(1 + \kappa)$, both entries shrink by the same factor $\frac{\kappa - 1}{\kappa + 1}$,
# here $\frac{24}{26} \approx 0.92$.

# %%
kappa = 25
best_rate = 2 / (1 + kappa)
descent = path_of(nn.optim.SGD, lr=best_rate, steps=300)
shrinks = np.abs(descent[1:6] / descent[:5])
assert np.allclose(shrinks, (kappa - 1) / (kappa + 1))
for rate in np.linspace(0.001, 0.1, 100):  # and no rate makes the slower entry shrink faster
    assert np.abs(1 - rate * CURVATURES).max() > (kappa - 1) / (kappa + 1) - 1e-12


def steps_to(path, distance=1e-6):
    """How many steps until it stays so close to the minimum."""
    far = np.linalg.norm(path, axis=1) > distance
    return int(np.flatnonzero(far)[-1]) + 1


print("steps to within 0.000001 of the minimum:", steps_to(descent))

# %% [markdown]
# ## Momentum
#
# Keep a velocity, and let the gradient change it, not the place:
#
# $$v \leftarrow \mu\,v + g, \qquad \theta \leftarrow \theta - \eta\,v$$
#
# Gradients that alternate in sign, across the valley, cancel in $v$; those that agree, along it,
# add up. In a constant gradient the sum is geometric,
# $1 + \mu + \mu^2 + \dots = \frac{1}{1 - \mu}$: with $\mu = 0.9$ steps become ten times as long.


# %%
def momentum(theta, slope, lr, mu, steps):
    path, v = [theta], np.zeros(2)
    for _ in range(steps):
        v = mu * v + slope(theta)
        theta = theta - lr * v
        path.append(theta)
    return np.array(path)


assert same(momentum(START, slope, 0.03, 0.9, 60), path_of(nn.optim.SGD, lr=0.03, momentum=0.9))

along_a_slope = path_of(
    nn.optim.SGD, loss=lambda theta: theta.sum(), lr=0.01, momentum=0.9, steps=200
)
assert np.allclose(along_a_slope[-2] - along_a_slope[-1], 0.01 / (1 - 0.9))

# %% [markdown]
# For this valley the best pair is known, too: $\sqrt\mu = \frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}$
# and $\sqrt\eta = \frac{2}{\sqrt\kappa + 1}$. Then a step shrinks the distance by about $\sqrt\mu$:
# momentum takes the square root of the condition number, $\frac46$ instead of $\frac{24}{26}$.

# %%
mu = ((math.sqrt(kappa) - 1) / (math.sqrt(kappa) + 1)) ** 2
rate = (2 / (math.sqrt(kappa) + 1)) ** 2
heavy_ball = path_of(nn.optim.SGD, lr=rate, momentum=mu, steps=300)

assert rate > 2 / 25  # more than gradient descent could bear
assert steps_to(heavy_ball) < steps_to(descent) / 3
far = np.linalg.norm(heavy_ball, axis=1)
assert math.isclose((far[80] / far[40]) ** (1 / 40), math.sqrt(mu), rel_tol=0.05)
print("steps: SGD", steps_to(descent), "· with momentum", steps_to(heavy_ball))

draw_paths({"SGD, at its best": descent[:30], "momentum, at its best": heavy_ball[:30]})

# %% [markdown]
# ## Nesterov's momentum
#
# You know that the velocity will carry you on, so take the gradient *there*, at the place
# $\theta - \eta\mu v$, and not where you are:
#
# $$v \leftarrow \mu\,v + \nabla L(\theta - \eta\,\mu\,v),
#   \qquad \theta \leftarrow \theta - \eta\,v$$
#
# An optimizer is only given the gradient at the parameters. So libraries keep the place ahead,
# $\varphi = \theta - \eta\mu v$, as *the* parameters. Put it in, and the rule becomes
#
# $$v \leftarrow \mu\,v + g, \qquad \varphi \leftarrow \varphi - \eta\,(g + \mu\,v),
#   \qquad g = \nabla L(\varphi).$$


# %%
def nesterov_ahead(theta, slope, lr, mu, steps):
    """As Nesterov has it; returns the places ahead."""
    v, path = np.zeros(2), [theta]
    for _ in range(steps):
        v = mu * v + slope(theta - lr * mu * v)
        theta = theta - lr * v
        path.append(theta - lr * mu * v)
    return np.array(path)


def nesterov(theta, slope, lr, mu, steps):
    """As libraries have it."""
    v, path = np.zeros(2), [theta]
    for _ in range(steps):
        g = slope(theta)
        v = mu * v + g
        theta = theta - lr * (g + mu * v)
        path.append(theta)
    return np.array(path)


ours = path_of(nn.optim.SGD, lr=0.03, momentum=0.9, nesterov=True)
assert same(nesterov(START, slope, 0.03, 0.9, 60), ours)
assert same(nesterov_ahead(START, slope, 0.03, 0.9, 60), ours)

plain = path_of(nn.optim.SGD, lr=0.03, momentum=0.9)
# It looks ahead, so it overshoots less: across the valley, and along it.
assert np.abs(ours[10:]).max(axis=0)[1] < np.abs(plain[10:]).max(axis=0)[1]
assert ours[:, 0].max() < plain[:, 0].max()

draw_paths({"momentum 0.9": plain, "Nesterov 0.9": ours})

# %% [markdown]
# ## RMSProp: a step size for each entry
#
# The trouble was one learning rate for two curvatures. So divide each entry of the gradient by how
# large it usually is, the root of a running mean of its square:
#
# $$v \leftarrow \alpha\,v + (1 - \alpha)\,g^2, \qquad
#   \theta \leftarrow \theta - \eta\,\frac{g}{\sqrt{v} + \varepsilon}$$
#
# All of it is entry by entry. Whatever its scale, a gradient that stays the same becomes 1, so
# $\eta$ is now about the *length* of a step. At first it is not: $v$ starts at 0, so the first step
# has the length $\eta/\sqrt{1 - \alpha}$, ten times $\eta$ for $\alpha = 0.99$.


# %%
def rmsprop(theta, slope, lr, alpha, steps, eps=1e-8):
    v, path = np.zeros(2), [theta]
    for _ in range(steps):
        g = slope(theta)
        v = alpha * v + (1 - alpha) * g * g
        theta = theta - lr * g / (np.sqrt(v) + eps)
        path.append(theta)
    return np.array(path)


scaled = path_of(nn.optim.RMSprop, lr=0.05, alpha=0.9)
assert same(rmsprop(START, slope, 0.05, 0.9, 60), scaled)

first = path_of(nn.optim.RMSprop, lr=0.05, alpha=0.99, steps=1)
assert np.allclose(np.abs(first[1] - first[0]), 10 * 0.05)

# %% [markdown]
# ## Adam: both, and a fair start
#
# Adam divides a running mean of the gradient by the root of a running mean of its square. Both
# means start at 0 and are too small at first, by $1 - \beta^t$ after $t$ steps; dividing by that
# makes up for it:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1)\,g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\,g^2$$
#
# $$\hat m = \frac{m}{1 - \beta_1^t}, \qquad \hat v = \frac{v}{1 - \beta_2^t}, \qquad
#   \theta \leftarrow \theta - \eta\,\frac{\hat m}{\sqrt{\hat v} + \varepsilon}$$
#
# So the first step is $-\eta\,\operatorname{sign}(g)$, of length $\eta$ in every entry. Without the
# corrections it would be $(1 - \beta_1)/\sqrt{1 - \beta_2} = 0.1/\sqrt{0.001} \approx 3.2$ times
# that.


# %%
def adam(theta, slope, lr, steps, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """With a weight decay it is AdamW, of which more below."""
    m, v, path = np.zeros(2), np.zeros(2), [theta]
    b1, b2 = betas
    for t in range(1, steps + 1):
        g = slope(theta)
        theta = theta - lr * weight_decay * theta
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        m_hat, v_hat = m / (1 - b1**t), v / (1 - b2**t)
        theta = theta - lr * m_hat / (np.sqrt(v_hat) + eps)
        path.append(theta)
    return np.array(path)


assert same(adam(START, slope, 0.3, 60), path_of(nn.optim.Adam, lr=0.3))
decayed = path_of(nn.optim.AdamW, lr=0.3, weight_decay=0.1)
assert same(adam(START, slope, 0.3, 60, weight_decay=0.1), decayed)

first = path_of(nn.optim.Adam, lr=0.3, steps=1)
assert np.allclose(first[1] - first[0], -0.3 * np.sign(slope(START)))

g = slope(START)
uncorrected = (1 - 0.9) * g / np.sqrt((1 - 0.999) * g * g)
assert np.allclose(np.abs(uncorrected), 0.1 / math.sqrt(0.001))

# %% [markdown]
# All of them in one valley, with a learning rate that suits each. First, 30 steps of their paths;
# then 60 of their distances to the minimum:

# %%
paths = {
    "SGD": path_of(nn.optim.SGD, lr=0.07),
    "momentum": path_of(nn.optim.SGD, lr=0.03, momentum=0.8),
    "Nesterov": path_of(nn.optim.SGD, lr=0.03, momentum=0.8, nesterov=True),
    "RMSProp": path_of(nn.optim.RMSprop, lr=0.1, alpha=0.9),
    "Adam": path_of(nn.optim.Adam, lr=0.3),
}
draw_paths({name: path[:31] for name, path in paths.items()})

# %%
distances = {name: np.linalg.norm(path[1:], axis=1) for name, path in paths.items()}
viz.plots.lines(distances, "step", "distance to the minimum")

# %% [markdown]
# Momentum goes in arcs, like a heavy ball. RMSProp and Adam leave the start diagonally: as far
# along the flat direction as along the steep one. And in this valley momentum, well tuned, is the
# fastest of the five. A rule with more parts is not always better. So what do the parts buy?

# %%
last = {name: d[-1] for name, d in distances.items()}
assert max(last["momentum"], last["Nesterov"]) < min(last["SGD"], last["RMSProp"], last["Adam"])

for name, path in paths.items():
    along, across = np.abs(path[1] - path[0])
    if name in ("RMSProp", "Adam"):
        assert math.isclose(along, across, rel_tol=1e-6)
    else:
        assert across > 6 * along

# %% [markdown]
# ## What Adam does not see, and what it does
#
# Multiply the loss by 1000. Gradient descent would need another learning rate. In Adam's fraction
# $\hat m/\sqrt{\hat v}$ the factor cancels: its path is the same. So it is with a factor of one
# entry: give $y$ in other units, and Adam takes the same steps in $x$.
#
# Now *turn* the valley by 45°. Gradient descent goes the same way as before, turned. Adam does not:
# its step sizes belong to the axes, and the valley now lies between them.

# %%
turn = np.array([[1.0, -1.0], [1.0, 1.0]]) / math.sqrt(2)


def turned(theta):
    return valley(turn.T @ theta)


runs = {"SGD": (nn.optim.SGD, 0.07), "Adam": (nn.optim.Adam, 0.3)}
straight = {name: path_of(rule, lr=lr) for name, (rule, lr) in runs.items()}
in_turned = {name: path_of(rule, turned, turn @ START, lr=lr) for name, (rule, lr) in runs.items()}

assert np.allclose(in_turned["SGD"], straight["SGD"] @ turn.T, atol=1e-12)
apart = np.linalg.norm(in_turned["Adam"] - straight["Adam"] @ turn.T, axis=1)
assert apart.max() > 0.5

steeper = path_of(nn.optim.Adam, lambda theta: 1000 * valley(theta), lr=0.3)
assert np.allclose(steeper, straight["Adam"], atol=1e-6)
exploded = path_of(nn.optim.SGD, lambda theta: 1000 * valley(theta), lr=0.07, steps=20)
assert np.abs(exploded[-1]).max() > 1e30

unit = np.array([1.0, 1e-3])  # y in thousandths
other_unit = path_of(nn.optim.Adam, lambda theta: valley(theta * unit), START / unit, lr=0.3)
assert np.allclose(other_unit[:, 0], straight["Adam"][:, 0], atol=1e-6)

draw_paths(in_turned, turned, height=4)

# %% [markdown]
# So a step size for each entry pays where gradients differ in size *along the axes*. In a network
# they do: a weight from an input that is rarely on has a small gradient. Here are handwritten
# digits, and the gradients of a first layer, pixel by pixel.

# %%
digits = nn.data.digits()
model = nn.zoo.feedforward([(1, 8, 8), 64, 10], rng=np.random.default_rng(0))
tg.cross_entropy(model(digits.inputs), digits.targets).backward()

by_pixel = np.linalg.norm(model[1].weight.grad, axis=0)
ink = digits.inputs.reshape(-1, 64).mean(axis=0)
assert not by_pixel[ink == 0].any()
by_pixel, ink = by_pixel[ink > 0], ink[ink > 0]
assert np.corrcoef(np.log(ink), np.log(by_pixel))[0, 1] > 0.9
assert by_pixel.max() > 100 * by_pixel.min()

viz.plots.lines(
    {"a first layer": np.sort(by_pixel)},
    "pixel, from the smallest gradient to the largest",
    "norm of the gradient of a pixel's weights",
)

# %% [markdown]
# ## On handwritten digits
#
# 800 digits to learn from, 360 held out, a network with one hidden layer, six times through the
# data. `nn.experiments` has the table of every optimizer with every learning rate, always from the
# same weights. (*sgd* is without momentum.)

# %%
found = nn.experiments.optimizers_by_learning_rate(
    ["sgd", "rmsprop", "adam", "adamw"],
    [3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0],
    samples=800,
    epochs=6,
)
accuracy = np.array([[0 if c.diverged else c.accuracy for c in row] for row in found.cells])

figure, axes = plt.subplots(figsize=(8.2, 2.6))
axes.imshow(accuracy, cmap="viridis", vmin=0, vmax=1, aspect="auto")
for (i, j), share in np.ndenumerate(accuracy):
    text = "div." if found.cells[i][j].diverged else f"{share:.0%}"
    axes.text(j, i, text, ha="center", va="center", color="black" if share > 0.6 else "white")
axes.set_xticks(range(len(found.lrs)), [f"{lr:g}" for lr in found.lrs])
axes.set_yticks(range(len(found.optimizers)), found.optimizers)
axes.set(xlabel="learning rate (div.: diverged)", title="held-out accuracy")
axes.spines[:].set_visible(False)
plt.show()

# %% [markdown]
# Read it by rows. Each has a band of rates that work, and falls off on both sides. *Where* the band
# lies differs: higher for gradient descent, lower for the others, for which the rate is about the
# length of a step. How *wide* is it? Count the rates at which an optimizer is within five points of
# its own best.

# %%
best = accuracy.max(axis=1)
works = accuracy > best[:, None] - 0.05
lowest = {}
for name, top, row in zip(found.optimizers, best, works, strict=True):
    rates = np.array(found.lrs)[row]
    lowest[name] = rates.min()
    print(
        f"{name:8} best {top:.1%}, works at {row.sum()} rates: {rates.min():g} to {rates.max():g}"
    )

sgd_best, rmsprop_best, adam_best, adamw_best = best
assert max(works.sum(axis=1)) - min(works.sum(axis=1)) <= 2
assert lowest["sgd"] >= 10 * max(lowest[name] for name in ("rmsprop", "adam", "adamw"))
assert sgd_best < adam_best
assert abs(adam_best - adamw_best) < 0.02

# %% [markdown]
# You may have read that Adam forgives any learning rate. Not here: its band is about as wide as
# that of gradient descent. What it has is a better best after six epochs, and a band that stays
# where it is when the loss is scaled. Between Adam and AdamW, with its usual decay of 0.01, there
# is nothing to choose in so short a run.
#
# And momentum? Three kinds of SGD at one rate, and two others at rates of their own:

# %%
rest, held_out = nn.data.random_split(digits, [1437, 360])
train, _ = nn.data.random_split(rest, [800, 637])


def network(*hidden, seed=0):
    return nn.zoo.feedforward([(1, 8, 8), *hidden, 10], rng=np.random.default_rng(seed))


def fit(model, optimizer, data=train, epochs=6, seed=0, augment=None, **options):
    """The history of a training."""
    loader = nn.data.DataLoader(data, 32, shuffle=True, seed=seed, augment=augment)
    trainer = nn.training.Trainer(model, optimizer, **options)
    return trainer.fit(loader, validation=held_out, epochs=epochs)


rules = {
    "SGD": (nn.optim.SGD, {"lr": 0.1}),
    "momentum": (nn.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "Nesterov": (nn.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "RMSProp": (nn.optim.RMSprop, {"lr": 0.003}),
    "AdamW": (nn.optim.AdamW, {"lr": 0.01}),
}
histories = {}
for name, (rule, options) in rules.items():
    model = network(64)
    histories[name] = fit(model, rule(model.parameters(), **options))

losses = {name: [row["train_loss"] for row in history] for name, history in histories.items()}
# At the same rate, momentum takes ten times as large steps where gradients agree.
assert losses["momentum"][-1] < losses["SGD"][-1] / 2
assert losses["Nesterov"][-1] < losses["SGD"][-1] / 2

viz.plots.overlaid_curves(histories, "train_loss")

# %% [markdown]
# ## Finding a learning rate
#
# A table is dear. The *range test* is one short run: let the rate grow from step to step until the
# loss blows up, and take one from where it fell fastest. The model is then put back as it was.

# %%
model = network(64)
before = {name: p.data.copy() for name, p in model.named_parameters()}
loader = nn.data.DataLoader(train, 32, shuffle=True)
test_run = nn.optim.find_learning_rate(
    model, tg.cross_entropy, loader, nn.optim.Adam(model.parameters()), start=1e-5, end=10
)
assert all(np.array_equal(p.data, before[name]) for name, p in model.named_parameters())

viz.plots.learning_rate_finder(test_run)

# %%
suggested = test_run.suggestion
history = fit(model, nn.optim.Adam(model.parameters(), lr=suggested))
reached = history[-1]["validation_accuracy"]
print(
    f"suggested {suggested:.3g}: held-out accuracy {reached:.1%}, best of the table {adam_best:.1%}"
)
assert reached > adam_best - 0.05

# %% [markdown]
# ## Schedules
#
# Why change the rate during training? Because the gradient of a batch is that of the loss plus
# *noise*. Take one direction of curvature $\lambda$, and noise of variance $\sigma^2$ in each
# gradient. A step multiplies the variance of $\theta$ by $(1 - \eta\lambda)^2$ and adds
# $\eta^2\sigma^2$; it stops changing at
#
# $$\operatorname{Var}\theta = \frac{\eta\,\sigma^2}{\lambda\,(2 - \eta\lambda)}.$$
#
# A large rate comes down fast, and then *hovers*, the higher, the larger it is. A small one ends
# lower, and takes long to arrive. So begin large and end small. Below, 400 runs at once in the
# valley, with $\sigma = 2$.


# %%
def noisy(lr, name, steps=700, copies=400):
    """The mean square distance to the minimum after each step."""
    rng = np.random.default_rng(0)
    theta = Tensor(np.tile(START, (copies, 1)), requires_grad=True)
    rule = nn.optim.SGD([theta], lr=lr)
    schedule = nn.optim.schedule(name, rule, steps)
    squares = []
    for _ in range(steps):
        noise = rng.normal(0, 2, theta.shape)
        rule.zero_grad()
        (valley(theta) + (noise * theta).sum()).backward()  # the gradient, plus noise
        rule.step()
        if schedule is not None:
            schedule.step()
        squares.append((theta.data**2).mean(axis=0))
    return np.array(squares)


noisy_runs = {
    "constant 0.06": noisy(0.06, "constant"),
    "constant 0.006": noisy(0.006, "constant"),
    "cosine from 0.06": noisy(0.06, "cosine"),
}
for lr in (0.06, 0.006):
    height = lr * 2**2 / (CURVATURES * (2 - lr * CURVATURES))
    reached = noisy_runs[f"constant {lr}"][-50:].mean(axis=0)
    assert math.isclose(reached[1], height[1], rel_tol=0.1)
    if lr == 0.06:  # the flat direction has arrived, too
        assert math.isclose(reached[0], height[0], rel_tol=0.1)

squares = {name: run.sum(axis=1)[::5] for name, run in noisy_runs.items()}
fast, small, annealed = (run[-1] for run in squares.values())
assert annealed < small < fast
assert squares["constant 0.06"][10] < squares["constant 0.006"][10] / 10  # after 50 steps
viz.plots.lines(squares, "step / 5", "mean square distance")

# %% [markdown]
# The usual schedules, for 100 steps and a rate of 1. The last is a linear *warmup* of $w$
# steps, then a *cosine* down to 0 at step $T$:
#
# $$\eta_t = \eta\,\frac{t + 1}{w} \quad (t < w), \qquad
#   \eta_t = \frac{\eta}{2}\left(1 + \cos\frac{\pi\,(t - w)}{T - w}\right) \quad (t \ge w)$$

# %%
drawn = {}
for name in ("step", "exponential", "cosine", "warmup_cosine"):
    rule = nn.optim.SGD([Value(0.0, label="w")], lr=1.0, momentum=0.9)
    drawn[name] = nn.optim.schedule(name, rule, 100).curve(100)

t, w, T = np.arange(100), 10, 100
by_hand = np.where(t < w, (t + 1) / w, (1 + np.cos(np.pi * (t - w) / (T - w))) / 2)
assert np.allclose(drawn["warmup_cosine"], by_hand, atol=1e-12)
assert np.allclose(drawn["step"], 0.1 ** (t // 33), atol=1e-12)
assert np.allclose(drawn["exponential"], 0.01 ** (t / 100), atol=1e-12)

axes = viz.plots.lines(drawn, "step", "learning rate")
axes.set_yscale("linear")
axes

# %% [markdown]
# Do they matter? Eight hidden layers and a rate of 0.02, which is large for Adam. The cosine
# settles what hovers. The warmup keeps the first steps small: Adam's have length $\eta$ in
# every entry, however unsure their direction, and in a deep network they do damage that lasts.

# %%
reached = {}
for name in ("constant", "cosine", "warmup_cosine"):
    reached[name] = []
    for seed in range(3):
        model = network(*8 * [64], seed=seed)
        rule = nn.optim.Adam(model.parameters(), lr=0.02)
        options = {"warmup_steps": 40} if name == "warmup_cosine" else {}
        schedule = nn.optim.schedule(name, rule, 8 * 25, **options)
        history = fit(model, rule, epochs=8, seed=seed, schedule=schedule, schedule_per="step")
        reached[name].append(history[-1]["validation_accuracy"])
    print(f"{name:14}", "  ".join(f"{share:.1%}" for share in reached[name]))

constant, cosine, warmed = (np.mean(shares) for shares in reached.values())
assert constant < cosine < warmed

# %% [markdown]
# ## Overfitting
#
# So far you wanted the training loss to be small. What counts is the loss on what the model has
# *not* seen. To make the difference plain, give it little to learn from and much to get wrong: 300
# digits, of which 30 % bear a wrong label.

# %%
few, _ = nn.data.random_split(train, [300, 500])
rng = np.random.default_rng(0)
labels = few.targets.copy()
wrong = rng.choice(300, 90, replace=False)
labels[wrong] = (labels[wrong] + rng.integers(1, 10, 90)) % 10
assert (labels != few.targets).sum() == 90
mislabelled = nn.data.TensorDataset(few.inputs, labels, name="mislabelled", classes=digits.classes)

unregularised = network(128, 128)
rule = nn.optim.AdamW(unregularised.parameters(), lr=0.003, weight_decay=0)
history = fit(unregularised, rule, mislabelled, epochs=60)

viz.plots.curves(history)

# %%
assert nn.training.evaluate(unregularised, mislabelled)["accuracy"] == 1  # wrong labels and all
shares = [row["validation_accuracy"] for row in history]
assert max(shares) > shares[-1] + 0.1
losses = [row["validation_loss"] for row in history]
assert np.argmin(losses) < 30
assert losses[-1] > 1.2 * min(losses)
print(f"held out: {max(shares):.1%} at its best, {shares[-1]:.1%} at the end")

# %% [markdown]
# The network learns every label by heart, the wrong ones, too. First it finds what the digits have
# in common, and the validation loss falls; then it learns the exceptions, and it rises. You could
# stop at the dotted line, which is *early stopping*. Or make learning by heart harder: that is
# *regularisation*.
#
# ## Weight decay: the same word for two things
#
# An L2 penalty adds $\frac{\lambda}{2}\lVert\theta\rVert^2$ to the loss, so $\lambda\theta$ to the
# gradient. In gradient descent that shrinks the parameters by a constant share per step:
#
# $$\theta \leftarrow \theta - \eta\,(g + \lambda\theta) = (1 - \eta\lambda)\,\theta - \eta\,g$$
#
# In Adam it does not. There $g + \lambda\theta$ is divided by $\sqrt{\hat v}$, and so is the decay:
# a parameter with large gradients hardly decays at all. AdamW takes the decay out of the fraction
# (*decoupled* weight decay) and shrinks every parameter alike:
#
# $$\theta \leftarrow (1 - \eta\lambda)\,\theta - \eta\,\frac{\hat m}{\sqrt{\hat v} + \varepsilon}$$

# %%
# SGD: the penalty, and the shrinking by hand, are one.
penalised = path_of(nn.optim.SGD, lr=0.03, weight_decay=0.5)
theta, shrunk = START, [START]
for _ in range(60):
    theta = (1 - 0.03 * 0.5) * theta - 0.03 * slope(theta)
    shrunk.append(theta)
assert same(penalised, shrunk)
# It ends where the gradient of the loss and of the penalty cancel: in this valley, at 0.
assert np.allclose(path_of(nn.optim.SGD, steps=900, lr=0.03, weight_decay=0.5)[-1], 0)

# Adam: two parameters that start at 1. Their gradients change sign at every step, and so have
# nothing to say; those of one are a thousand times as large.
SIZES = np.array([10.0, 0.01])


def decays(optimizer, steps=400, **options):
    theta = Tensor(np.ones(2), requires_grad=True)
    rule = optimizer([theta], **options)
    path = [theta.data.copy()]
    for t in range(steps):
        rule.zero_grad()
        ((-1) ** t * SIZES * theta).sum().backward()
        rule.step()
        path.append(theta.data.copy())
    return np.array(path)


with_l2 = decays(nn.optim.Adam, lr=0.01, weight_decay=0.3)
decoupled = decays(nn.optim.AdamW, lr=0.01, weight_decay=0.3)

steps = np.arange(401)[:, None]
assert np.allclose(decoupled, (1 - 0.01 * 0.3) ** steps, atol=0.02)
assert np.allclose(decoupled[:, 0], decoupled[:, 1], atol=1e-4)
assert with_l2[-1, 0] > 0.8
assert with_l2[-1, 1] < 0.1
print("after 400 steps: Adam with L2", with_l2[-1].round(3), "· AdamW", decoupled[-1].round(3))

viz.plots.lines(
    {
        "L2, large gradient": with_l2[1:, 0],
        "L2, small gradient": with_l2[1:, 1],
        "AdamW, either": decoupled[1:, 0],
    },
    "step",
    "parameter",
)

# %% [markdown]
# With AdamW both parameters go down on one curve, $(1 - \eta\lambda)^t$. With L2 in Adam, the decay
# of one parameter has all but vanished, and the other is pulled to 0 with steps of full length.
#
# What decay does to a network's weights, seen by `nn.experiments.weight_decay`:

# %%
seen = nn.experiments.weight_decay(
    (0.0, 3.0), mislabelled, hidden=(128, 128), epochs=30, held_out=60
)
norms = {h.name: h.norm for h in seen.histograms}
assert norms["decay 3"] < norms["before"] < norms["decay 0"]
print({name: round(norm, 1) for name, norm in norms.items()})

viz.plots.histograms({h.name: (h.counts, seen.edges) for h in seen.histograms})

# %% [markdown]
# ## Dropout
#
# In training, set each activation to 0 with probability $p$, and divide the others by $1 - p$. No
# unit can rely on any other to be there. In `eval` mode do nothing, for on average nothing changed:
#
# $$y_i = \frac{b_i}{1 - p}\,x_i, \qquad b_i \in \{0, 1\}, \; P(b_i = 1) = 1 - p
#   \qquad\Rightarrow\qquad \operatorname{E}[y_i] = x_i, \quad
#   \operatorname{Var}[y_i] = \frac{p}{1 - p}\,x_i^2$$
#
# Take a digit for the activations: as it is, after dropout with $p = 0.5$ five times, the mean of
# 2000 such draws, and in `eval` mode.

# %%
image = digits.inputs[0, 0]
p = 0.5
dropout = nn.Dropout(p, rng=np.random.default_rng(0))

copies = np.tile(image, (2000, 1, 1))
draws = dropout(Tensor(copies)).data
evaluated = dropout.eval()(Tensor(image)).data

assert np.array_equal(evaluated, image)
assert np.allclose(draws[draws != 0], copies[draws != 0] / (1 - p))
inked = image > 0
assert abs((draws[:, inked] == 0).mean() - p) < 0.01
sigma = np.sqrt(p / (1 - p)) * image  # of one draw, so that of a mean is √2000 times smaller
assert (np.abs(draws.mean(axis=0) - image) <= 4.5 * sigma / math.sqrt(2000) + 1e-6).all()
assert np.allclose(draws.std(axis=0), sigma, rtol=0.05)

viz.plots.images(
    np.stack([image, *(draws[:5] / 2), draws.mean(axis=0), evaluated]),
    ["x", *5 * ["dropout, / 2"], "mean of 2000", "eval"],
)

# %% [markdown]
# (The draws are shown at half their brightness, for twice as bright is more than white.) The
# gradient passes the same mask: what was dropped gets none.

# %%
x = Tensor(image.ravel(), requires_grad=True)
y = nn.Dropout(p, rng=np.random.default_rng(1))(x)
y.sum().backward()
assert set(np.unique(x.grad)) == {0.0, 1 / (1 - p)}
assert np.array_equal(y.data == 0, (x.grad == 0) | (x.data == 0))

# %% [markdown]
# ## Norms
#
# A norm gives numbers mean 0 and variance 1, then a scale $\gamma$ and an offset $\beta$ that are
# learned:
#
# $$y = \gamma\,\frac{x - \operatorname{mean}}{\sqrt{\operatorname{var} + \varepsilon}} + \beta$$
#
# *Batch norm* takes mean and variance of each feature over the batch, so of columns; *layer norm*
# of each sample over its features, so of rows.

# %%
rng = np.random.default_rng(0)
rows, columns = rng.normal(0, 2, (16, 1)), rng.normal(0, 2, (1, 16))
x = Tensor(rng.normal(0, 0.7, (16, 16)) + rows + columns)

by_batch, by_layer = nn.BatchNorm1d(16, dtype=np.float64), nn.LayerNorm(16, dtype=np.float64)
normed = {"x": x.data, "batch norm": by_batch(x).data, "layer norm": by_layer(x).data}

assert np.allclose(normed["batch norm"].mean(axis=0), 0, atol=1e-12)
assert np.allclose(normed["batch norm"].var(axis=0), 1, rtol=1e-3)
assert np.allclose(normed["layer norm"].mean(axis=1), 0, atol=1e-12)
assert np.allclose(normed["layer norm"].var(axis=1), 1, rtol=1e-3)
for axis, name in ((0, "batch norm"), (1, "layer norm")):
    mean, var = x.data.mean(axis, keepdims=True), x.data.var(axis, keepdims=True)
    assert np.allclose(normed[name], (x.data - mean) / np.sqrt(var + 1e-5), atol=1e-12)

scaled = [(array - array.min()) / np.ptp(array) for array in normed.values()]
axes = viz.plots.images(np.stack(scaled), list(normed), columns=3)
axes.figure.set_size_inches(6.3, 2.3)
axes

# %% [markdown]
# Columns of their own brightness are gone after batch norm, rows after layer norm. Batch norm makes
# the samples of a batch depend on each other. One sample alone would have variance 0; so batch norm
# keeps running means in training, and uses those in `eval` mode. Forget `eval()`, and your
# predictions depend on who else is in the batch.

# %%
# running ← 0.9 running + 0.1 batch, from mean 0 and variance 1; the variance is the unbiased one.
assert np.allclose(by_batch.running_mean, 0.1 * x.data.mean(axis=0))
assert np.allclose(by_batch.running_var, 0.9 + 0.1 * x.data.var(axis=0, ddof=1))

with tg.no_grad():
    together, half = by_batch(x).data[:8], by_batch(x[:8]).data
    assert not np.allclose(together, half, atol=0.1)
    by_batch.eval()
    together, half = by_batch(x).data[:8], by_batch(x[:8]).data
    assert np.allclose(together, half, rtol=1e-12)
    assert np.allclose(by_layer(x).data[:8], by_layer(x[:8]).data, rtol=1e-12)  # in any mode

# %% [markdown]
# After a norm, the scale of the weights before it no longer matters: with $W$ replaced by $cW$ the
# output is the same, and therefore $\partial L/\partial W$ is divided by $c$. That is the cure for
# the deep networks of notebook 8. Twelve hidden layers with tanh, all weights 0.3 times what they
# should be:


# %%
images, classes = digits.inputs[:128], digits.targets[:128]


def deep(norm, scale, hidden=12, width=32):
    rng = np.random.default_rng(0)
    modules = [nn.Flatten()]
    for i in range(hidden):
        linear = nn.Linear(width if i else 64, width, nonlinearity="tanh", rng=rng)
        linear.weight.data *= scale
        modules += [linear, *([norm(width)] if norm else []), nn.Tanh()]
    return nn.Sequential(*modules, nn.Linear(width, 10, rng=rng))


def gradient_norms(model):
    tg.cross_entropy(model(images), classes).backward()
    return np.array([np.linalg.norm(p.grad) for p in model.parameters() if p.ndim == 2])


kinds = {"no norm": None, "batch norm": nn.BatchNorm1d, "layer norm": nn.LayerNorm}
small = {name: gradient_norms(deep(norm, 0.3)) for name, norm in kinds.items()}
usual = {name: gradient_norms(deep(norm, 1.0)) for name, norm in kinds.items()}

assert (small["no norm"] < 1e-5 * usual["no norm"]).all()
for name in ("batch norm", "layer norm"):
    assert np.allclose(small[name][:-1], usual[name][:-1] / 0.3, rtol=0.05)
    assert np.isclose(small[name][-1], usual[name][-1], rtol=0.05)  # no norm after the last one
    assert small[name].max() / small[name].min() < 20

viz.plots.lines(small, "weight matrix, from first to last", "norm of the gradient, weights × 0.3")

# %% [markdown]
# Can they be trained? Mind the rate: where the weights are $c$ times what they were, and their
# gradient $1/c$ times, a step changes them by $1/c^2$ as large a share, here 11 times. So it is
# small.

# %%
for name, norm in kinds.items():
    model = deep(norm, 0.3)
    history = fit(model, nn.optim.SGD(model.parameters(), lr=0.003, momentum=0.9), epochs=6)
    reached = history[-1]["validation_accuracy"]
    print(f"{name:11} held-out accuracy {reached:.1%}")
    assert reached < 0.15 if norm is None else reached > 0.3

# %% [markdown]
# ## Augmentation
#
# Change every image at random each time it is seen, in ways that leave its label true: then nothing
# can be learned by heart. A batch of digits before and after:

# %%
augment = nn.data.Compose([nn.data.Rotate(20), nn.data.Shift(1), nn.data.Noise(0.1)])
batch, targets = digits.inputs[:8], digits.targets[:8]
changed, same_targets = augment(batch, targets, np.random.default_rng(0))
assert np.array_equal(targets, same_targets)
assert not np.isclose(changed, batch).all()
assert np.array_equal(batch, digits.inputs[:8])  # the originals are left alone

viz.show_batch(
    (np.concatenate([batch, np.clip(changed, 0, 1)]), np.concatenate([targets, targets]))
)

# %% [markdown]
# Mixup blends two images *and their labels*. What it teaches is to be unsure in between.

# %%
mixed, probabilities = nn.data.Mixup(0.4, classes=10)(batch, targets, np.random.default_rng(3))
assert np.allclose(probabilities.sum(axis=1), 1)
assert ((probabilities > 0).sum(axis=1) <= 2).all()
viz.show_batch((mixed, probabilities))

# %% [markdown]
# Which changes leave the label true, nobody but you can say: a mirrored 2 is no 2. And an
# augmentation helps against variation that is *really there*. These digits are centred. Training
# with shifts of one pixel, which is an eighth of their width, makes a network worse on such digits,
# and much better on digits that are not centred:

# %%
off_centre = nn.data.Shift(1)(held_out.inputs, held_out.targets, np.random.default_rng(0))
off_centre = nn.data.TensorDataset(*off_centre, name="off-centre", classes=digits.classes)
reached = {}
for name, augment in {"as they are": None, "shifted": nn.data.Shift(1)}.items():
    model = network(64)
    fit(model, nn.optim.AdamW(model.parameters(), lr=0.003), epochs=20, augment=augment)
    for where in (held_out, off_centre):
        reached[name, where.name] = nn.training.evaluate(model, where)["accuracy"]
        print(f"trained on digits {name:12} {where.name:11} {reached[name, where.name]:.1%}")

assert reached["shifted", held_out.name] < reached["as they are", held_out.name]
assert reached["shifted", "off-centre"] > reached["as they are", "off-centre"] + 0.1

# %% [markdown]
# ## What helps?
#
# Back to the mislabelled digits. Each remedy alone, at a strength that suits, on two seeds:


# %%
def remedy(seed, dropout=0.0, norm=False, weight_decay=0.0, augment=None):
    """Accuracy on what it learned from, and on the digits held out."""
    rng = np.random.default_rng(seed)
    modules, width = [nn.Flatten()], 64
    for _ in range(2):
        modules.append(nn.Linear(width, 128, nonlinearity="relu", rng=rng))
        modules += [nn.BatchNorm1d(128)] * norm + [nn.ReLU(), nn.Dropout(dropout, rng=rng)]
        width = 128
    model = nn.Sequential(*modules, nn.Linear(width, 10, rng=rng))
    rule = nn.optim.AdamW(model.parameters(), lr=0.003, weight_decay=weight_decay)
    history = fit(model, rule, mislabelled, 40, seed, augment)
    return nn.training.evaluate(model, mislabelled)["accuracy"], history[-1]["validation_accuracy"]


remedies = {
    "nothing": {},
    "batch norm": {"norm": True},
    "rotation": {"augment": nn.data.Rotate(20)},
    "noise": {"augment": nn.data.Noise(0.3)},
    "dropout 0.6": {"dropout": 0.6},
    "weight decay 3": {"weight_decay": 3.0},
}
learned, kept = {}, {}
for name, options in remedies.items():
    shares = np.mean([remedy(seed, **options) for seed in range(2)], axis=0)
    learned[name], kept[name] = shares
    print(f"{name:15} training labels {learned[name]:6.1%}, held out {kept[name]:.1%}")

assert learned["nothing"] > 0.95
assert kept["batch norm"] < kept["nothing"] + 0.03
for name in ("noise", "dropout 0.6", "weight decay 3"):
    assert kept[name] > max(kept["nothing"], kept["rotation"]) + 0.03
    assert learned[name] < learned["rotation"] < learned["nothing"]

# %% [markdown]
# What helps is what keeps the network from learning all of its labels, of which only 70 % are true.
# Rotation does so less than noise, and batch norm not at all: it makes training easier, which is
# another thing. With other data the list would come out otherwise. So measure.
#
# ## Exercises
#
# **1.** The valley of Rosenbrock, $L = (1 - x)^2 + 100\,(y - x^2)^2$, is bent. From $(-1.2, 1)$,
# find an optimizer of `nn.optim` that is within 0.01 of the minimum at $(1, 1)$ after 500 steps,
# and draw its path. How far does gradient descent come at its best?


# %% jupyter={"source_hidden": true} tags=["solution"]
def rosenbrock(theta):
    x, y = theta[0], theta[1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


begin = np.array([-1.2, 1.0])
ahead = path_of(nn.optim.SGD, rosenbrock, begin, 500, lr=0.001, momentum=0.95, nesterov=True)
assert np.linalg.norm(ahead[-1] - 1) < 0.01

ends = {}
with np.errstate(all="ignore"):  # the largest rates diverge
    for lr in np.geomspace(1e-4, 1e-2, 13):
        end = path_of(nn.optim.SGD, rosenbrock, begin, 500, lr=lr)[-1]
        ends[lr] = np.linalg.norm(end - 1)
nearest = min((d, lr) for lr, d in ends.items() if np.isfinite(d))
print(f"gradient descent, at its best rate {nearest[1]:.2g}: {nearest[0]:.2f} from the minimum")
assert nearest[0] > 0.1

draw_paths({"Nesterov": ahead}, rosenbrock, minimum=(1.0, 1.0), span=3, height=1.5)

# %% [markdown]
# **2.** *Adagrad* divides by the root of the *sum* of all squared gradients:
# $s \leftarrow s + g^2$, $\theta \leftarrow \theta - \eta\,g/(\sqrt{s} + \varepsilon)$. Write it as
# a subclass of `nn.optim.Optimizer`, which takes an `update(x, g, state, ...)` that changes `x` and
# returns it. In a constant gradient of 1, how far has it gone after $t$ steps?


# %% jupyter={"source_hidden": true} tags=["solution"]
class MyAdagrad(nn.optim.Optimizer):
    """θ ← θ - lr g / (√s + eps), with s ← s + g²."""

    def __init__(self, params, lr=1e-2, eps=1e-10):
        super().__init__(params, lr=lr, eps=eps)

    def update(self, x, g, state, *, lr, eps):
        state["s"] = state.get("s", 0.0) + g * g
        x -= lr * g / (np.sqrt(state["s"]) + eps)
        return x


assert same(path_of(MyAdagrad, lr=0.5), path_of(nn.optim.Adagrad, lr=0.5))

# Step t has length lr / √t, since s = t: their sum grows like 2 lr √t.
path = path_of(MyAdagrad, lambda theta: theta.sum(), np.zeros(2), steps=1000, lr=0.5)
assert np.allclose(path[-1], -0.5 * (1 / np.sqrt(np.arange(1, 1001))).sum())
assert np.allclose(path[-1], -0.5 * 2 * math.sqrt(1000), rtol=0.03)

# %% [markdown]
# **3.** In `eval` mode a batch norm is linear in its input, so it can be folded into the `Linear`
# before it: one module less. Find $W'$ and $b'$, fold a trained network, and show that its outputs
# are the same.

# %% jupyter={"source_hidden": true} tags=["solution"]
rng = np.random.default_rng(0)
model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 32, nonlinearity="relu", rng=rng),
    nn.BatchNorm1d(32),
    nn.ReLU(),
    nn.Linear(32, 10, rng=rng),
)
fit(model, nn.optim.AdamW(model.parameters(), lr=0.01), epochs=3)
model.eval()

# γ (Wx + b - mean) / √(var + ε) + β = (f W) x + f (b - mean) + β, with f = γ / √(var + ε).
linear, norm = model[1], model[2]
f = norm.weight.data / np.sqrt(norm.running_var + norm.eps)
folded = nn.Linear(64, 32)
folded.weight.data[...] = f[:, None] * linear.weight.data
folded.bias.data[...] = f * (linear.bias.data - norm.running_mean) + norm.bias.data
shorter = nn.Sequential(nn.Flatten(), folded, nn.ReLU(), model[4])

assert not np.allclose(f, 1, atol=0.1)
assert np.allclose(shorter(held_out.inputs).data, model(held_out.inputs).data, atol=1e-4)
