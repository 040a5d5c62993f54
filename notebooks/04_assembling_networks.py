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
# # 4 · Assembling networks
#
# **After this notebook you can** assemble a network from modules, say in which order it runs
# forward and backward, train it on points and on images, see what it learned, and save it.\
# **It takes** about 50 minutes.\
# **Before it** come layers and modules (3).

# %%
import tempfile
from pathlib import Path

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Tensor

# %% [markdown]
# ## A network is a chain
#
# `Sequential` applies modules one after the other. As mathematics it is a composition,
#
# $$\hat y = f_n(\dots f_2(f_1(x))) .$$
#
# There is nothing else to it: calling the modules yourself gives the same numbers.

# %%
nn.manual_seed(0)
model = nn.Sequential(
    nn.Linear(2, 4, dtype=np.float64),
    nn.Tanh(),
    nn.Linear(4, 3, dtype=np.float64),
    nn.Tanh(),
    nn.Linear(3, 1, dtype=np.float64),
)
x = Tensor(np.array([[0.5, -1.0]]), requires_grad=True, label="x")

a = x
for f in model:
    a = f(a)
assert np.array_equal(a.data, model(x).data)
model

# %% [markdown]
# Draw it with its modules closed: a chain of boxes, from the input to the loss.

# %%
y = model(x)
loss = (y * y).sum()
loss.label = "loss"
viz.draw(loss, depth=0, direction="TB", constants=False)

# %% [markdown]
# ## Forward in order, backward in reverse
#
# A hook is a function that a module calls as it runs. Let each module report, once going forward
# and once when its gradient comes back.

# %%
seen = []
removers = []
for name, module in model.named_children():
    removers += [
        module.register_forward_hook(lambda m, i, o, name=name: seen.append(("forward", name))),
        module.register_full_backward_hook(
            lambda m, gi, go, name=name: seen.append(("backward", name))
        ),
    ]
loss = (model(x) ** 2).sum()
loss.backward()
for remove in removers:
    remove()

print(" ".join(name for way, name in seen if way == "forward"), "forward")
print(" ".join(name for way, name in seen if way == "backward"), "backward")
assert seen == [("forward", n) for n in "01234"] + [("backward", n) for n in "43210"]

# %% [markdown]
# It can't be otherwise. By the chain rule the gradient of the input is a product of Jacobians,
#
# $$\frac{\partial L}{\partial x}
#   = \frac{\partial L}{\partial \hat y}\; J_n \cdots J_2\, J_1,
#   \qquad J_k = \frac{\partial f_k}{\partial a_{k-1}},$$
#
# and $\partial L/\partial \hat y$, a row, stands on the left. Multiplied from there, every
# intermediate result is a row again: the gradient by $a_n$, $a_{n-1}$, ... Each $J_k$ is taken at
# the $a_{k-1}$ of the forward pass, which is why activations are kept until the gradient has
# passed.

# %%
activations = [x.data]
for f in model:
    activations.append(f(Tensor(activations[-1])).data)

row = 2 * activations[-1]  # ∂L/∂ŷ of L = ŷ²
for f, a in zip(reversed(list(model)), reversed(activations[:-1]), strict=True):
    J = tg.jacobian(f)(a)[0, :, 0, :]  # of the one sample
    print(f"{row.shape} times {J.shape}")
    row = row @ J
assert np.allclose(row, x.grad)

# %% [markdown]
# Multiplied from the right, from $J_1$ on, every intermediate result would be a whole matrix, and
# for a network of a million inputs a large one. That is the other way to do it (notebook 9 calls
# it `jvp`), and it pays where there are few inputs and many outputs.
#
# ## Networks of networks
#
# A `Sequential` is a module itself, so it may stand in another. `parameters()` of the whole finds
# those of every part; a name is the path to it.

# %%
body = nn.Sequential(nn.Linear(2, 8, nonlinearity="relu"), nn.ReLU())
nested = nn.Sequential({"body": body, "head": nn.Linear(8, 2)})

names = [name for name, _ in nested.named_parameters()]
print(names)
assert names == ["body.0.weight", "body.0.bias", "head.weight", "head.bias"]
assert nested.parameters()[:2] == body.parameters()
assert sum(p.size for p in nested.parameters()) == (2 * 8 + 8) + (8 * 2 + 2)

# %% [markdown]
# It is a list that you can change: swap one activation for another, cut it short, look at what
# comes out half-way. A slice shares its parameters with the whole, and so is a quick way to find
# which part of a network misbehaves (notebook 8 does it in earnest).

# %%
points = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
before = nested(points).data
half = nested[:1]
assert half(points).shape == (5, 8)
assert half.parameters() == body.parameters()

body[1] = nn.Tanh()
assert not np.allclose(nested(points).data, before)
body[1] = nn.ReLU()
assert np.array_equal(nested(points).data, before)

# %% [markdown]
# What does not fit together says so, and where:

# %%
wrong = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(7, 2))
try:
    wrong(points)
except tg.ShapeError as error:
    print(error)
else:
    raise AssertionError("an (8,) does not fit a Linear(7, 2)")

# %% [markdown]
# ## Two moons
#
# Training is the loop of notebook 3: loss, `backward`, a step of the optimizer, `zero_grad`, again.
# `Trainer` is that loop, with batches, held-out data and a history. First a linear model, which can
# only draw a straight line (notebook 3 says why more of them would not help); then one with hidden
# layers between which there is an activation.

# %%
moons = nn.data.moons(400, noise=0.15, seed=0)
train, held_out = nn.data.random_split(moons, [0.75, 0.25])


def trained(model, lr=0.02, epochs=30, data=(train, held_out)):
    trainer = nn.training.Trainer(model, nn.optim.AdamW(model.parameters(), lr=lr))
    return trainer.fit(nn.data.DataLoader(data[0], 32, shuffle=True, seed=0), data[1], epochs)


nn.manual_seed(0)
straight = nn.Sequential(nn.Linear(2, 2))
curved = nn.Sequential(
    nn.Linear(2, 16, nonlinearity="tanh"),
    nn.Tanh(),
    nn.Linear(16, 16, nonlinearity="tanh"),
    nn.Tanh(),
    nn.Linear(16, 2),
)
of_straight, of_curved = trained(straight), trained(curved)

accuracy = [history[-1]["validation_accuracy"] for history in (of_straight, of_curved)]
print(f"held out: a line {accuracy[0]:.0%}, a curve {accuracy[1]:.0%}")
assert accuracy[0] < 0.93
assert accuracy[1] > 0.96
viz.plots.curves(of_curved)

# %%
inputs, labels = moons.batch(range(len(moons)))
viz.plots.decision_boundary(
    lambda at: nn.training.predict(straight, at.astype(np.float32)), inputs, labels
)

# %%
viz.plots.decision_boundary(
    lambda at: nn.training.predict(curved, at.astype(np.float32)), inputs, labels
)

# %% [markdown]
# ## Digits
#
# The same loop on real handwritten digits of $8 \times 8$ pixels. `Flatten` makes a row of 64
# numbers of each image, and the last layer has a logit for each of the ten classes.

# %%
digits = nn.data.digits()
digits_train, digits_held_out = nn.data.random_split(digits, [0.8, 0.2])
viz.plots.show_batch(nn.data.DataLoader(digits_train, 16, shuffle=True, seed=0))

# %%
nn.manual_seed(0)
reader = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 64, nonlinearity="relu"),
    nn.ReLU(),
    nn.Linear(64, 10),
)
history = trained(reader, lr=3e-3, epochs=25, data=(digits_train, digits_held_out))
assert history[-1]["train_accuracy"] > 0.99
assert history[-1]["validation_accuracy"] > 0.94
late = history[12], history[-1]
in_training, outside = ([row[key] for row in late] for key in ("train_loss", "validation_loss"))
assert in_training[1] < in_training[0] / 2
assert outside[1] > 0.75 * outside[0]
viz.plots.curves(history)

# %% [markdown]
# Read the curves: the training loss keeps falling, while the held-out one levels off. From there on
# the network learns what is true of its training images only. Notebook 7 is about that.
#
# Accuracy is one number for ten classes. A confusion matrix says which are taken for which:

# %%
images, targets = digits_held_out.batch(range(len(digits_held_out)))
logits = nn.training.predict(reader, images)
confusion = np.zeros((10, 10), int)
np.add.at(confusion, (targets, logits.argmax(axis=1)), 1)

right = np.trace(confusion) / confusion.sum()
assert np.isclose(right, history[-1]["validation_accuracy"])
viz.plots.confusion_matrix(confusion)

# %% [markdown]
# And these are the images it is wrong about, those it is surest of first.

# %%
viz.plots.misclassified(images, targets, tg.softmax(logits), digits.classes)

# %% [markdown]
# ## Saving and loading
#
# What was learned is in the parameters. `state_dict()` has them by name; `save_weights` writes them
# to a file that holds nothing but arrays. The model itself is code: build it again, then load.

# %%
for name, array in reader.state_dict().items():
    print(f"{name:9} {array.shape}")

with tempfile.TemporaryDirectory() as folder:
    file = nn.training.save_weights(reader, Path(folder) / "reader.safetensors")
    again = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 64, nonlinearity="relu"), nn.ReLU(), nn.Linear(64, 10)
    )
    assert not np.allclose(nn.training.predict(again, images), logits)
    nn.training.load_weights(again, file)
assert np.array_equal(nn.training.predict(again, images), logits)  # to the last bit

# %% [markdown]
# Loaded into another shape, nothing is changed, and the message names what does not fit:

# %%
smaller = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
weight = smaller[1].weight.data.copy()
try:
    smaller.load_state_dict(reader.state_dict())
except nn.StateDictError as error:
    print(error)
else:
    raise AssertionError("64 units do not fit into 32")
assert np.array_equal(smaller[1].weight.data, weight)

# %% [markdown]
# ## Exercises
#
# **1.** Write `Sequential` yourself, in five lines: a `Module` that takes modules, and whose
# `forward` applies them. Check that it finds its parameters, and that its gradients are those of
# `nn.Sequential` with the same weights.

# %% jupyter={"source_hidden": true} tags=["solution"]


class Chain(nn.Module):
    def __init__(self, *links):
        self.links = links  # a tuple of modules is registered

    def forward(self, x):
        for link in self.links:
            x = link(x)
        return x


mine, theirs = Chain(*body), nn.Sequential(*body)
assert mine.parameters() == theirs.parameters()
gradients = []
for chain in (mine, theirs):
    chain.zero_grad()
    (chain(points) ** 2).sum().backward()
    gradients.append([p.grad.copy() for p in chain.parameters()])
assert all(np.array_equal(g, h) for g, h in zip(*gradients, strict=True))

# %% [markdown]
# **2.** Freeze all of `reader` but its last layer, which you replace by a fresh one, and train that
# on whether a digit is even. Show that the frozen weights stay as they were, and that the features
# learned for ten classes do for two. (`module.freeze()`; `nn.data.TensorDataset`.)

# %% jupyter={"source_hidden": true} tags=["solution"]
parity = nn.Sequential(*reader[:3], nn.Linear(64, 2))
parity[:3].freeze()
frozen = parity[1].weight.data.copy()

xs, ys = digits_train.batch(range(len(digits_train)))
even = nn.data.TensorDataset(xs, ys % 2)
even_held_out = nn.data.TensorDataset(images, targets % 2)
result = trained(parity, lr=1e-2, epochs=10, data=(even, even_held_out))

assert np.array_equal(parity[1].weight.data, frozen)
assert parity[1].weight.grad is None
print(f"held out: {result[-1]['validation_accuracy']:.1%}")
assert result[-1]["validation_accuracy"] > 0.9

# %% [markdown]
# **3.** How many hidden units do the moons need? Train networks with one hidden layer of 1, 2, 4
# and 16 tanh units and plot their held-out accuracy. With one unit the boundary is a straight
# line again. Why?

# %% jupyter={"source_hidden": true} tags=["solution"]
# One unit sees w · x + b only: both logits are functions of that one number, so points on a line
# w · x + b = c are in one class together, and the boundary is made of such parallel lines.
reached = {}
for units in (1, 2, 4, 16):
    nn.manual_seed(1)
    small = nn.Sequential(nn.Linear(2, units, nonlinearity="tanh"), nn.Tanh(), nn.Linear(units, 2))
    reached[units] = trained(small, epochs=60)[-1]["validation_accuracy"]
    if units == 1:
        along = np.array([-small[0].weight.data[0, 1], small[0].weight.data[0, 0]])
        assert np.allclose(small(points).data, small(points + 3 * along).data, atol=1e-5)
print({units: f"{share:.0%}" for units, share in reached.items()})
assert reached[16] > 0.95 > reached[1]
viz.plots.lines({"held out": list(reached.values())}, "1, 2, 4, 16 units", "accuracy")
