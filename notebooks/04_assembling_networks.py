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
# **After this notebook you can** say why backward runs through a network in reverse, build networks
# from parts and exchange them, train a classifier, judge it, and keep it in a file.\
# **It takes** about 60 minutes.\
# **Before it** comes notebook 3, on layers and modules.

# %%
import tempfile
import textwrap
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import nn
import tinygrad_edu as tg
import viz
from nn.training import ConfusionMatrix, Trainer, evaluate, load_weights, predict, save_weights
from tinygrad_edu import Tensor

nn.manual_seed(0)

# %% [markdown]
# ## A network is a composition
#
# Put modules in a row: each takes what the one before returned. With $n$ of them the network is
#
# $$f(x) = f_n(\cdots f_2(f_1(x))), \qquad x_0 = x, \quad x_k = f_k(x_{k-1}),$$
#
# and `nn.Sequential` is no more than that loop.

# %%
rng = np.random.default_rng(0)
model = nn.Sequential(
    nn.Linear(3, 4, nonlinearity="tanh", dtype=np.float64, rng=rng),
    nn.Tanh(),
    nn.Linear(4, 2, dtype=np.float64, rng=rng),
)
x = Tensor(np.array([0.5, -1.0, 2.0]), requires_grad=True, label="x0")
target = np.array([1.0, -1.0])

passed = [x]
for k, module in enumerate(model, 1):
    passed.append(module(passed[-1]))
    passed[k].label = f"x{k}"

assert np.array_equal(passed[-1].data, model(x).data)
assert np.array_equal(model(x).data, model[2](model[1](model[0](x))).data)
for k in range(4):  # a slice is a smaller network, of the same modules
    assert np.array_equal(model[:k](x).data, passed[k].data)
model

# %% [markdown]
# Add a loss, $L = \sum (x_3 - y)^2$, and draw the graph. Every $x_k$ is a box, and
# ‖grad‖ in it is the length of its gradient $\partial L/\partial x_k$.

# %%
L = ((passed[-1] - target) ** 2).sum()
L.label = "L"
viz.draw(L, direction="TB", constants=False)

# %% [markdown]
# ## Forward in order, backward in reverse
#
# A *hook* is a function of yours that a module calls when it runs. Hang two on each of the three,
# and they tell in which order they work.

# %%
diary = []


def ran(module, inputs, output):
    diary.append(f"forward   {names[module]}: {inputs[0].shape} in, {output.shape} out")


def received(module, grad_inputs, grad_outputs):
    arrived, left = grad_outputs[0], grad_inputs[0]
    diary.append(f"backward  {names[module]}: {arrived.shape} arrives, {left.shape} goes on")


names = {module: f"{k} {type(module).__name__}" for k, module in enumerate(model)}
remove = [module.register_forward_hook(ran) for module in model]
remove += [module.register_full_backward_hook(received) for module in model]

x.zero_grad()
model.zero_grad()
((model(x) - target) ** 2).sum().backward()
for each in remove:
    each()
print(*diary, sep="\n")

order = [line.split(":")[0].split(maxsplit=1) for line in diary]
there = ["0 Linear", "1 Tanh", "2 Linear"]
assert order[:3] == [["forward", name] for name in there]
assert order[3:] == [["backward", name] for name in reversed(there)]

# %% [markdown]
# It cannot be otherwise. For its $\partial L/\partial x_{k-1}$ module $k$ needs
# $\partial L/\partial x_k$, and that comes from the module after it. Step through it: *forward*
# goes down the picture, *backward* up. The boxes 0, 1 and 2 are the modules; a click opens one.

# %%
L = ((model(x) - target) ** 2).sum()  # without hooks
L.label = "L"
viz.page(L, title="Three modules")

# %% [markdown]
# ## The chain rule is a product of matrices
#
# Nudge $x_{k-1}$ by a small $d$, and $x_k$ moves by $J_k d$. The *jacobian* $J_k$ has a row for
# each output and a column for each input: $(J_k)_{ij} = \partial x_{k,i} / \partial x_{k-1,j}$. The
# whole network moves by the product, and the gradient is that product, from the left:
#
# $$\frac{\partial x_n}{\partial x_0} = J_n \cdots J_2 J_1, \qquad
#   \frac{\partial L}{\partial x_0} = g^\mathsf{T} J_n \cdots J_2 J_1, \qquad
#   g = \frac{\partial L}{\partial x_n} .$$
#
# You know the three jacobians here: a Linear's is $W$, and tanh is elementwise, so that its own is
# diagonal, with $1 - \tanh^2$.

# %%
W1, W3 = model[0].weight.data, model[2].weight.data
J1, J2, J3 = W1, np.diag(1 - passed[2].data ** 2), W3

for J, module, at in zip((J1, J2, J3), model, passed[:3], strict=True):
    assert np.allclose(J, tg.jacobian(module)(at.data), rtol=1e-12)
    h = 1e-6  # and by finite differences: move one input at a time, both ways
    steps = np.eye(len(at.data)) * h
    moved = [module(at + d).data - module(at - d).data for d in steps]
    assert np.allclose(J, np.transpose(moved) / (2 * h), atol=1e-8)

g = 2 * (passed[3].data - target)
assert np.allclose(g @ J3 @ J2 @ J1, x.grad, rtol=1e-12)
print("J3, J2, J1:", *(J.shape for J in (J3, J2, J1)))
print("g J3 J2 J1 =", (g @ J3 @ J2 @ J1).round(4))
print("backward   =", x.grad.round(4))

# %% [markdown]
# Drawn as matrices, red for positive and blue for negative entries. Read it from the left, as
# backward does: row times matrix is a row again.

# %%
row = g[None, :]
factors = {"gᵀ": row, "J3 = W3": J3, "J2 = diag(1 - x2²)": J2, "J1 = W1": J1}
factors |= {"= ∂L/∂x0": row @ J3 @ J2 @ J1}
widths = [matrix.shape[1] + 1.5 for matrix in factors.values()]
figure, places = plt.subplots(1, 5, figsize=(9, 2.4), width_ratios=widths)
for axes, (name, matrix) in zip(places, factors.items(), strict=True):
    largest = np.abs(matrix).max()
    axes.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest)
    for (i, j), entry in np.ndenumerate(matrix):
        ink = "white" if abs(entry) > 0.6 * largest else "black"
        axes.text(j, i, f"{entry:.1f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_title(name, fontsize=10)
    axes.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# The order of the factors is fixed, but you may choose where to begin. From the left every step is
# a row times a matrix. From the right it is a matrix times a matrix, and only the last step has a
# row. Count the multiplications for a network with one output at the end:


# %%
def multiplications(shapes):
    """How many it takes to multiply matrices of these shapes one by one, from left to right."""
    (rows, _), *others = shapes
    return sum(rows * inner * columns for inner, columns in others)


def from_left_and_right(widths):
    """For layers from widths[0] inputs to widths[-1] outputs, whose jacobians stand in a row."""
    shapes = [(out, into) for into, out in pairwise(widths)][::-1]
    transposed = [shape[::-1] for shape in shapes[::-1]]  # (AB)ᵀ = BᵀAᵀ: from the right
    return multiplications(shapes), multiplications(transposed)


left, right = from_left_and_right([100, 100, 100, 100, 1])
assert left == 3 * 100**2
assert right == 2 * 100**3 + 100**2
print(f"from the left: {left:,} multiplications; from the right: {right:,}")

# %% [markdown]
# That is why training uses *reverse mode*: there is one loss, and there are many inputs. And no
# matrix $J_k$ is ever built: tanh multiplies the gradient that arrives by $1 - \tanh^2$, entry by
# entry, which is what the diagonal matrix would have done.

# %%
arrived = g @ J3
assert np.allclose(arrived @ J2, arrived * (1 - passed[2].data ** 2), rtol=1e-12)
assert np.allclose(arrived @ J2, tg.vjp(model[1], passed[1].data)[1](arrived)[0], rtol=1e-12)

# %% [markdown]
# Each module also gives its own parameters their gradient, from what arrived at it and what went
# into it. So all of backward is a loop. Each module here runs on its own, and sees of the others
# only the gradient that is handed to it:


# %%
def backward_by_modules(modules, x, g_last):
    """Go through the modules in order, then back, with the gradient that leaves the loss."""
    runs = []
    for module in modules:
        x = Tensor(x, requires_grad=True)  # a leaf: the graph of each run is the module's alone
        y = module(x)
        runs.append((x, y))
        x = y.data
    g = g_last(x)
    for x, y in reversed(runs):
        y.backward(gradient=g)
        g = x.grad
    return g


expected = [p.grad for p in model.parameters()]  # from the backward with hooks
model.zero_grad()
g_first = backward_by_modules(model, x.data, lambda y: 2 * (y - target))

assert np.allclose(g_first, x.grad, rtol=1e-12)
for p, wanted in zip(model.parameters(), expected, strict=True):
    assert np.allclose(p.grad, wanted, rtol=1e-12)
# By hand for the first layer: what arrived at it, times what went into it.
assert np.allclose(model[0].weight.grad, np.outer(g @ J3 @ J2, x.data), rtol=1e-12)

# %% [markdown]
# ## Parts made of parts
#
# A Sequential is a module, so it can stand in another one. The brackets change nothing:
# $f_3 \circ (f_2 \circ f_1)$ is the same function as without them. What you gain is
# that the parts have names, and can be taken, run, drawn and replaced as one.

# %%
nn.manual_seed(1)
body = nn.Sequential(
    nn.Linear(2, 16, nonlinearity="tanh"), nn.Tanh(),
    nn.Linear(16, 2, nonlinearity="tanh"), nn.Tanh(),
)  # fmt: skip
head = nn.Linear(2, 2)
nested = nn.Sequential({"body": body, "head": head})
flat = nn.Sequential(*body, head)

points = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
assert np.array_equal(nested(points).data, flat(points).data)
nested

# %% [markdown]
# `parameters()` goes through all of it, in the order in which the modules stand. Both networks hold
# *the same* parameters: one that learns changes the other.

# %%
for name, parameter in nested.named_parameters():
    print(f"{name:14} {parameter.shape}")

assert [p is q for p, q in zip(nested.parameters(), flat.parameters(), strict=True)] == [True] * 6
assert sum(p.data.size for p in nested.parameters()) == (2 + 1) * 16 + (16 + 1) * 2 + (2 + 1) * 2
assert nested.get_submodule("body.0") is flat[0]

labels = np.array([0, 1, 1, 0, 1])
viz.draw(tg.cross_entropy(nested(points), labels), depth=0, constants=False)

# %% [markdown]
# Each part is one box, and its gradient that of all its parameters; `depth=1` opens the boxes.
# (`cross_entropy` turns scores and labels into a loss. Notebook 5 takes it apart; all you need now
# is that it is small where the right class has the highest score by far.)
#
# ## Exchanging a part
#
# `model[i] = module` puts another module into place. As long as it takes and returns the same
# shapes, nobody else notices. Here is ReLU in place of the first tanh:

# %%
before = [p.data.copy() for p in flat.parameters()]
was = flat[1]
flat[1] = nn.ReLU()

hidden = np.maximum(points @ before[0].T + before[1], 0)
by_hand = np.tanh(hidden @ before[2].T + before[3]) @ before[4].T + before[5]
assert np.allclose(flat(points).data, by_hand, atol=1e-6)
for p, data in zip(flat.parameters(), before, strict=True):
    assert np.array_equal(p.data, data)  # no weight was touched
flat[1] = was

# %% [markdown]
# If the shapes do not fit, you hear of it when the model runs, with the place where it is wrong:

# %%
flat[4] = nn.Linear(3, 2)
try:
    flat(points)
except tg.ShapeError as error:
    complaint = str(error)
    print(textwrap.fill(complaint, 96))

assert "in 4" in complaint
flat[4] = head

# %% [markdown]
# One mistake says nothing at all. An optimizer holds the parameters it was given. Exchange a layer
# *afterwards*, and the optimizer goes on with those of the old one: the new one never learns.

# %%
optimizer = nn.optim.SGD(flat.parameters(), lr=0.1)
flat[4] = nn.Linear(2, 2)  # after the optimizer was made
start = flat.state_dict()
optimizer.zero_grad()
tg.cross_entropy(flat(points), labels).backward()
optimizer.step()

moved = {name for name, data in flat.state_dict().items() if not np.array_equal(data, start[name])}
print("moved: ", sorted(moved))
print("stayed:", sorted(start.keys() - moved))
assert moved == {"0.weight", "0.bias", "2.weight", "2.bias"}
assert flat[4].weight.grad is not None  # the gradient is there; nobody uses it
assert not {*flat[4].parameters()} & {*optimizer.parameters}

# %% [markdown]
# So build the model first, then the optimizer.
#
# ## Two moons
#
# Now train one. Two half circles, 200 points to learn from and 100 to check on, and two networks:
# a single Linear, and the nested one from above. `Trainer` is the loop of notebook 3, with batches,
# and with scores after every epoch. An *epoch* is once through the data.

# %%
train, check = nn.data.random_split(nn.data.moons(300, noise=0.15, seed=0), [200, 100])


def new_classifier():
    """The nested network with weights of its own."""
    body = nn.Sequential(
        nn.Linear(2, 16, nonlinearity="tanh"), nn.Tanh(),
        nn.Linear(16, 2, nonlinearity="tanh"), nn.Tanh(),
    )  # fmt: skip
    return nn.Sequential({"body": body, "head": nn.Linear(2, 2)})


nn.manual_seed(0)
histories, trained = {}, {}
for name, network in {"one Linear": nn.Linear(2, 2), "nested": new_classifier()}.items():
    trainer = Trainer(network, nn.optim.AdamW(network.parameters(), lr=0.03))
    histories[name] = trainer.fit(train, validation=check, epochs=60)
    trained[name] = network

viz.plots.curves(histories["nested"])

# %% [markdown]
# `evaluate` gives the numbers at the end of a curve. Check them with nothing but NumPy:

# %%
for name, network in trained.items():
    scores = evaluate(network, check)
    print(f"{name:10}  loss {scores['loss']:.3f}, accuracy {scores['accuracy']:.0%}")
    assert np.isclose(scores["loss"], histories[name][-1]["validation_loss"])

    logits = predict(network, check.inputs).astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.isclose(scores["loss"], -np.log(p[np.arange(100), check.targets]).mean(), rtol=1e-5)
    assert scores["accuracy"] == (logits.argmax(axis=1) == check.targets).mean()

network = trained["nested"]
assert evaluate(trained["one Linear"], check)["accuracy"] < 0.9 < 0.95
assert evaluate(network, check)["accuracy"] > 0.95

# %% [markdown]
# The *decision boundary* is where two classes have the same score. For one Linear it is a straight
# line, the network's is bent. You can tell without a picture: if the line is straight, the middle
# between two points of one side is on that side, too.


# %%
def scores_of(module):
    """From points in the plane to a score for each class."""
    return lambda at: predict(module, at.astype(np.float32))


def is_bent(module, points):
    """Whether the middle between two points of a predicted class is somewhere of another class."""
    sides = predict(module, points).argmax(axis=1)
    i, j = np.nonzero(sides[:, None] == sides)
    middles = predict(module, (points[i] + points[j]) / 2).argmax(axis=1)
    return bool((middles != sides[i]).any())


assert not is_bent(trained["one Linear"], check.inputs)
assert is_bent(network, check.inputs)

figure, places = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for axes, (name, each) in zip(places, trained.items(), strict=True):
    viz.plots.decision_boundary(scores_of(each), check.inputs, check.targets, ax=axes)
    axes.set_title(name)
plt.show()

# %% [markdown]
# But the network ends in a Linear, too. So how can it bend? Take it apart again: its `body` carries
# every point to another place of the plane, and its `head` draws a straight line *there*. Since the
# body returns two numbers, you can look at both.

# %%
at = predict(network.body, check.inputs)
assert np.allclose(predict(network.head, at), predict(network, check.inputs), atol=1e-6)

figure, places = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
viz.plots.decision_boundary(scores_of(network), check.inputs, check.targets, ax=places[0])
viz.plots.decision_boundary(scores_of(network.head), at, check.targets, ax=places[1])
places[0].set_title("what goes into the body")
places[1].set_title("what comes out of it, and the head's line")
plt.show()

# The head's line: its two scores are equal where n·x + c = 0, with these n and c.
W, b = network.head.weight.data, network.head.bias.data
n, c = W[1] - W[0], b[1] - b[0]
assert np.array_equal(at @ n + c > 0, predict(network, check.inputs).argmax(axis=1) == 1)
assert not is_bent(network.head, at)

# %% [markdown]
# That is what hidden layers are for: to move the data until a line will do, or nearly. Nobody told
# the body where to; the gradient that came back through the head did.
#
# ## Digits
#
# The same with 1,797 handwritten digits of 8 x 8 pixels, and ten classes. A fifth is put aside for
# the end; of the rest, a tenth is for validation while it trains.

# %%
learn, final = nn.data.random_split(nn.data.digits(), [0.8, 0.2])
viz.show_batch(nn.data.DataLoader(learn, 16, shuffle=True))


# %%
def new_reader(classes=10):
    """From images to a score for each class."""
    trunk = nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64, nonlinearity="relu"), nn.ReLU(),
        nn.Linear(64, 32, nonlinearity="relu"), nn.ReLU(),
    )  # fmt: skip
    return nn.Sequential({"trunk": trunk, "head": nn.Linear(32, classes)})


nn.manual_seed(0)
reader = new_reader()
trainer = Trainer(reader, nn.optim.AdamW(reader.parameters(), lr=3e-3))
history = trainer.fit(learn, validation=0.1, epochs=25)

print(reader.summary((1, 1, 8, 8)))
viz.plots.curves(history)

# %% [markdown]
# Training ends at 100 %, validation does not: what the network has learned by heart does not help
# with digits it never saw. The final data say how good it is.

# %%
scores = evaluate(reader, final)
print(f"accuracy on {len(final)} digits it never saw: {scores['accuracy']:.1%}")
assert history[-1]["train_accuracy"] > 0.999 > history[-1]["validation_accuracy"]
assert 0.94 < scores["accuracy"] < history[-1]["train_accuracy"]

# %% [markdown]
# One number hides *which* mistakes it makes. In the *confusion matrix* row $i$ counts what it took
# the digits $i$ for; the diagonal is what is right.

# %%
logits = predict(reader, final.inputs)
matrix = ConfusionMatrix()(logits, final.targets)

assert np.array_equal(matrix.sum(axis=1), np.bincount(final.targets))
assert np.isclose(np.trace(matrix) / matrix.sum(), scores["accuracy"])
viz.plots.confusion_matrix(matrix, final.classes)

# %% [markdown]
# And here they are, those it is surest of first:

# %%
probabilities = tg.softmax(logits)
viz.plots.misclassified(final.inputs, final.targets, probabilities, final.classes)

# %% [markdown]
# ## Keeping what was learned
#
# What training has made are numbers, under names. `state_dict` is a copy of all of them.

# %%
state = reader.state_dict()
for name, array in state.items():
    print(f"{name:15} {array.shape!s:9} {array.dtype}")

state["head.bias"] += 1  # a copy: the model knows nothing of it
assert not np.array_equal(state["head.bias"], reader.head.bias.data)

# %% [markdown]
# `save_weights` writes them to a file, and `load_weights` puts them into any model with parameters
# of the same names and shapes. The code is not in the file: whoever loads it has to build the model
# first. With the same numbers in the same places the same operations run, so that the predictions
# are equal to the last bit.

# %%
nn.manual_seed(99)
other = new_reader()  # other initial weights
assert not np.array_equal(predict(other, final.inputs), logits)

with tempfile.TemporaryDirectory() as folder:
    file = save_weights(reader, Path(folder) / "reader.safetensors")
    size = file.stat().st_size
    load_weights(other, file)

    content = bytearray(file.read_bytes())
    content[-1] ^= 1  # a bit flips on the disk
    file.write_bytes(content)
    try:
        load_weights(new_reader(), file)
    except nn.CheckpointError as error:
        found_damage = "is damaged" in str(error)

assert np.array_equal(predict(other, final.inputs), logits)
assert found_damage

count = sum(p.data.size for p in reader.parameters())
assert 0 < size - 4 * count < 2000  # four bytes a number; the rest says what they are
print(f"{count:,} numbers of 4 bytes, {size:,} bytes in the file")

# %% [markdown]
# Into a model of another shape they do not go. The error lists everything that does not fit, not
# only the first, and nothing was loaded:

# %%
letters = new_reader(classes=26)
start = letters.state_dict()
try:
    letters.load_state_dict(reader.state_dict())
except nn.StateDictError as error:
    mismatched = error.mismatched
    print(textwrap.fill(str(error), 96))

assert mismatched == {"head.weight": ((26, 32), (10, 32)), "head.bias": ((26,), (10,))}
for name, data in letters.state_dict().items():
    assert np.array_equal(data, start[name])

# %% [markdown]
# Where names are missing, or the model does not know them, it says that as well:

# %%
part = {name: data for name, data in reader.state_dict().items() if name.startswith("trunk")}
try:
    letters.load_state_dict({**part, "tail.weight": np.zeros((26, 32))})
except nn.StateDictError as error:
    missing, unexpected = error.missing, error.unexpected
    print(textwrap.fill(str(error), 96))

assert missing == ["head.weight", "head.bias"]
assert unexpected == ["tail.weight"]

letters.load_state_dict(part, strict=False)  # or: the trunk, and leave the head as it is
assert np.array_equal(letters.trunk[1].weight.data, reader.trunk[1].weight.data)
assert np.array_equal(letters.head.weight.data, start["head.weight"])

# %% [markdown]
# To go on *training* after a break takes more than weights: the optimizer's memory, the epoch, the
# random numbers. That is what `nn.training.Checkpoint` writes, and `fit(resume=...)` reads.
#
# ## Exercises
#
# **1. Which end first?** A curve in a space of 100 dimensions is a network with *one* input, say
# the layers $1 \to 100 \to 100 \to 100$. From which end is the product of its jacobians cheaper,
# and by how much? `tg.jacobian` goes through the network once for every output. `tg.jvp` returns
# $Jd$ for one nudge $d$ of the input. Show that a single call of it is enough for all of $J$ here.

# %% jupyter={"source_hidden": true} tags=["solution"]
left, right = from_left_and_right([1, 100, 100, 100])
assert left == 100**3 + 100**2  # matrix times matrix, then matrix times column
assert right == 2 * 100**2  # from the right it is always matrix times column

rng = np.random.default_rng(0)
curve = nn.Sequential(
    nn.Linear(1, 100, dtype=np.float64, rng=rng), nn.Tanh(),
    nn.Linear(100, 100, dtype=np.float64, rng=rng), nn.Tanh(),
    nn.Linear(100, 100, dtype=np.float64, rng=rng),
)  # fmt: skip
t = np.array([0.3])
_, speed = tg.jvp(curve, (t,), (np.array([1.0]),))
assert np.allclose(speed, tg.jacobian(curve)(t)[:, 0], rtol=1e-10, atol=1e-12)
# J has a single column, and that is J d for d = 1. With many inputs it would take as many calls.

# %% [markdown]
# **2. A module that changes nothing.** Insert a new `nn.Linear(64, 64)` into the trunk of the
# trained `reader`, after the first ReLU, such that no prediction changes. Then show that the new
# module still gets a gradient, so that training could go on in a deeper network. What has to be
# done about the optimizer?

# %% jupyter={"source_hidden": true} tags=["solution"]
new = nn.Linear(64, 64)
new.load_state_dict({"weight": np.eye(64), "bias": np.zeros(64)})  # W = 1, b = 0: f(x) = x
deeper = new_reader()
deeper.load_state_dict(reader.state_dict())
deeper.trunk.insert(3, new)

assert [type(module).__name__ for module in deeper.trunk[1:5]] == [
    "Linear", "ReLU", "Linear", "Linear",
]  # fmt: skip
assert np.allclose(predict(deeper, final.inputs), logits, atol=1e-4)
assert len(deeper.parameters()) == len(reader.parameters()) + 2

tg.cross_entropy(deeper(final.inputs), final.targets).backward()
assert np.abs(new.weight.grad).max() > 0
# A new optimizer: the old one does not know the parameters of the new module.
fresh = nn.optim.AdamW(deeper.parameters())
assert {*new.parameters()} <= {*fresh.parameters}

# %% [markdown]
# **3. An old trunk with a new head.** The reader has never been asked whether a digit is even. Take
# its trunk, put a head for two classes on it, and train the head alone (`freeze` the rest). Reach
# 90 % on the final digits, and show that no bit of the trunk has changed. How many numbers did
# you train?

# %% jupyter={"source_hidden": true} tags=["solution"]
nn.manual_seed(0)
parity = nn.Sequential({"trunk": reader.trunk.freeze(), "head": nn.Linear(32, 2)})
start = reader.trunk.state_dict()


def even_or_odd(digits):
    return nn.data.TensorDataset(digits.inputs, digits.targets % 2, classes=("even", "odd"))


learning = [p for p in parity.parameters() if p.requires_grad]
assert sum(p.data.size for p in learning) == 32 * 2 + 2
Trainer(parity, nn.optim.AdamW(learning, lr=0.02)).fit(even_or_odd(learn), epochs=10)

found = evaluate(parity, even_or_odd(final))["accuracy"]
print(f"even or odd: {found:.1%}")
assert found > 0.9
for name, data in reader.trunk.state_dict().items():
    assert np.array_equal(data, start[name])
assert np.array_equal(predict(reader, final.inputs), logits)  # and the old head still fits
