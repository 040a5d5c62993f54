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
# # 10 · A small GPT
#
# **After this notebook you can** say what each part of a GPT does to a number and to its gradient,
# write attention by hand, train a small GPT on a text, and tell how good it is.\
# **It takes** about 75 minutes.\
# **Before it** come softmax and cross-entropy (5), optimizers (7) and skips (6).

# %%
import ast
import math
from collections import Counter
from pathlib import Path

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Tensor

# %% [markdown]
# ## A text as numbers
#
# The text is what this library says about itself: the first paragraph of every docstring in its
# source. Rare characters go, so that each of those left is seen often enough to learn something
# about it. Every tenth docstring is held out: the model never trains on it.


# %%
def docstrings(package):
    """The first paragraph of each docstring of a package, on one line."""
    for file in sorted(Path(package.__file__).parent.rglob("*.py")):
        for place in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(place, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(place)
                if text:
                    yield " ".join(text.split("\n\n")[0].split())


lines = [line for package in (tg, nn, viz) for line in docstrings(package)]
frequent = {c for c, count in Counter("\n".join(lines)).items() if count >= 30}
lines = ["".join(c for c in line if c in frequent) for line in lines]
lines = list(dict.fromkeys(lines))  # none is both trained on and held out
train_text = "\n".join(line for i, line in enumerate(lines) if i % 10)
held_out_text = "\n".join(line for i, line in enumerate(lines) if not i % 10)

tokenizer = nn.data.CharTokenizer("\n".join(lines))
train, held_out = tokenizer.encode(train_text), tokenizer.encode(held_out_text)
V = len(tokenizer)

assert tokenizer.decode(train) == train_text
assert len(train) > 7 * len(held_out) > 7000
print(lines[0])
print(f"{V} characters; 'chain' is {tokenizer.encode('chain')}")

# %% [markdown]
# ## What it has to beat
#
# A language model gives every next character a probability, and its loss is the cross-entropy of
# notebook 5: the mean of $-\log p(\text{next})$, in *nats*. Three models that need no network:
#
# - **uniform**: every character as likely, $\log V$;
# - **unigram**: each as likely as it is frequent;
# - **bigram**: each as likely as it is frequent *after the one before it*.
#
# Frequencies are counted in the training text and scored on the held-out one. Adding a little to
# each count keeps what was never seen from having probability 0 and loss $\infty$.

# %%
unigram = np.bincount(train, minlength=V) + 0.1
unigram /= unigram.sum()
bigram = np.full((V, V), 0.1)
np.add.at(bigram, (train[:-1], train[1:]), 1)
bigram /= bigram.sum(axis=1, keepdims=True)

baselines = {
    "uniform": math.log(V),
    "unigram": -np.log(unigram[held_out]).mean(),
    "bigram": -np.log(bigram[held_out[:-1], held_out[1:]]).mean(),
}
assert baselines["uniform"] > baselines["unigram"] + 0.5
assert baselines["unigram"] > baselines["bigram"] + 0.5
for name, loss in baselines.items():
    print(f"{name:8} {loss:.2f} nats, as unsure as among {math.exp(loss):.0f} characters")

# %% [markdown]
# $e^{\text{loss}}$ is the *perplexity*: the number of equally likely characters that would leave
# you as unsure.
#
# ## Embedding: a row for each character
#
# Characters are names, not amounts: 7 is not "more" than 3. So each gets a row of numbers of its
# own, and the rows are learned. Looking a row up is a product with a one-hot vector,
#
# $$e_t = W_{i_t} = \mathrm{onehot}(i_t)\, W ,$$
#
# and so the gradient of a row is the sum over all the places where its character stands. Rows of
# characters that are not in the batch get none.

# %%
rng = np.random.default_rng(0)
W = Tensor(rng.normal(size=(5, 3)), requires_grad=True, label="W")
indices = np.array([1, 4, 1, 1])

e = nn.functional.embedding(indices, W)
onehot = np.eye(5)[indices]
assert np.array_equal(e.data, onehot @ W.data)

g = rng.normal(size=e.shape)  # some ∂L/∂e
L = (e * g).sum()
L.label = "L"
L.backward()

scattered = np.zeros_like(W.data)
for place, i in enumerate(indices):
    scattered[i] += g[place]
assert np.allclose(W.grad, scattered)
assert np.allclose(W.grad, onehot.T @ g)
assert not W.grad[[0, 2, 3]].any()
viz.draw(L)

# %% [markdown]
# ## Attention, by hand
#
# So far every place knows its own character only. In *attention* each place $t$ asks a question
# $q_t$, every place $s$ offers a key $k_s$ and a value $v_s$, all linear in what stands there. The
# better key and question match, the more of that value arrives:
#
# $$A = \mathrm{softmax}\!\left(\frac{Q K^{\mathsf T}}{\sqrt d} + M\right), \qquad Y = A V .$$
#
# $\sqrt d$ keeps the scores at one scale: a dot product of $d$ independent terms grows like
# $\sqrt d$. The mask $M$ is $-\infty$ wherever $s > t$ and 0 elsewhere: a place that is to predict
# what comes next must not see it.

# %%
T, d = 6, 8
Q, K, values = (rng.normal(size=(T, d)) for _ in range(3))

scores = Q @ K.T / math.sqrt(d)
scores = np.where(np.tri(T, dtype=bool), scores, -np.inf)
A = np.exp(scores - scores.max(axis=1, keepdims=True))
A /= A.sum(axis=1, keepdims=True)
Y = A @ values

ours = nn.functional.scaled_dot_product_attention(Q, K, values, is_causal=True)
assert np.allclose(Y, ours)
assert np.allclose(A.sum(axis=1), 1)  # each row is a distribution over the places
assert not np.triu(A, 1).any()  # over none that comes later
viz.plots.attention_maps(A, list("chain "))

# %% [markdown]
# Without dividing by $\sqrt d$, and with many features, softmax would be all but one-hot from the
# start. Then $p - y$ of notebook 5 strikes again: where one weight is 1 and the others 0, softmax's
# Jacobian $\mathrm{diag}(a) - a a^{\mathsf T}$ is 0, and no gradient reaches $Q$ and $K$.

# %%
many = 4096
q, k = rng.normal(size=many), rng.normal(size=(T, many))
jacobian = tg.jacobian(tg.softmax)
raw, scaled = jacobian(k @ q), jacobian(k @ q / math.sqrt(many))
largest_raw, largest_scaled = np.abs(raw).max(), np.abs(scaled).max()
print(f"largest entry of the Jacobian: {largest_raw:.0e} without, {largest_scaled:.2f} with √d")
assert largest_raw < 1e-3
assert largest_scaled > 0.05

# %% [markdown]
# ### No gradient from the future
#
# If $y_t$ does not depend on what stands at a later place $s$, then
# $\partial y_t/\partial x_s = 0$. Check that on a whole model, not on one formula: take the
# Jacobian of a GPT's outputs by its embedded inputs, and add up its absolute values for each pair
# of places.

# %%
nn.manual_seed(0)
tiny = nn.zoo.GPT(vocab_size=5, block_size=T, n_layer=2, n_head=2, n_embd=8, dtype=np.float64)
for parameter in tiny.parameters():
    parameter.data *= 15  # at first they are so small that each place sees little but itself
x = rng.normal(size=(1, T, 8))


def outputs(x):
    return tiny.head(tiny.blocks(x, is_causal=True))


J = tg.jacobian(outputs)(x)  # (1, T, 5) outputs by (1, T, 8) inputs
influence = np.abs(J[0, :, :, 0]).sum(axis=(1, 3))
assert influence.shape == (T, T)
assert not np.triu(influence, 1).any()  # exactly 0
assert (influence[np.tri(T, dtype=bool)] > 0).all()
viz.plots.attention_maps(influence / influence.sum(axis=1, keepdims=True), list("chain "))

# %% [markdown]
# Rows are outputs, columns inputs. The upper right is not small but exactly 0: the mask made it so,
# through both blocks.
#
# ## A block
#
# A block of a GPT is two sums, each with a norm before what is added (notebooks 6 and 7):
#
# $$x' = x + \mathrm{attention}(\mathrm{norm}_1(x)), \qquad
#   y = x' + \mathrm{mlp}(\mathrm{norm}_2(x')).$$
#
# The two skips are the straight road on which the gradient of the loss travels from the head down
# to the embedding. You can see it in the picture: one block, its modules closed.

# %%
block = nn.TransformerEncoderLayer(
    8, 2, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
)
given = Tensor(rng.normal(size=(1, T, 8)).astype(np.float32), requires_grad=True, label="x")
made = block(given, is_causal=True)
made.label = "y"
loss = (made * made).sum()
loss.label = "L"
viz.draw(loss, depth=0, direction="TB")

# %% [markdown]
# The whole model: a row per character plus a row per place (attention itself knows no order), two
# blocks, a last norm, and a linear layer that makes a logit for each character.

# %%
nn.manual_seed(0)
length, features = 32, 48
model = nn.zoo.GPT(V, length, n_layer=2, n_head=4, n_embd=features)

in_blocks = 2 * (12 * features**2 + 13 * features)
assert (
    sum(p.size for p in model.parameters())
    == 2 * V * features + length * features + in_blocks + 2 * features
)
print(f"{in_blocks:,} parameters in the blocks")

# %% [markdown]
# Before training it should know nothing: all characters about as likely, so a loss near $\log V$.
# A first loss far from that is a mistake in the model or in the loss.


# %%
def windows(text, starts):
    """Inputs and targets: the target at each place is the character after it."""
    at = np.asarray(starts)[:, None] + np.arange(length)
    return text[at], text[at + 1]


def loss_on(text, starts):
    inputs, targets = windows(text, starts)
    logits = model(inputs)  # (N, length, V)
    return tg.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))


everywhere = range(0, len(held_out) - length, length)


def held_out_loss():
    model.eval()
    with tg.no_grad():
        loss = loss_on(held_out, everywhere).item()
    model.train()
    return loss


first = held_out_loss()
assert abs(first - math.log(V)) < 0.1
print(f"untrained: {first:.2f} nats")

# %% [markdown]
# ## Training
#
# Every batch is 32 windows from random places of the text. One window is 32 lessons at once: the
# mask lets each place predict its next character from what is before it.

# %%
steps = 800
optimizer = nn.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
schedule = nn.optim.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
draw = np.random.default_rng(1)
in_training, measured = [], []

for step in range(steps):
    loss = loss_on(train, draw.integers(len(train) - length, size=32))
    optimizer.zero_grad()
    loss.backward(retain_graph=False)
    optimizer.step()
    schedule.step()
    in_training.append(loss.item())
    if step % 50 == 49:
        measured.append(held_out_loss())

reached = measured[-1]
assert reached < baselines["bigram"] - 0.3
assert reached < first - 2
assert measured[len(measured) // 2] < baselines["bigram"]
print(f"held out: {reached:.1f} nats, perplexity {math.exp(reached):.0f}")

# %%
smooth = np.array(in_training).reshape(-1, 50).mean(axis=1)
flat = {name: np.full(len(measured), loss) for name, loss in baselines.items()}
viz.plots.lines(
    {"GPT, training": smooth, "GPT, held out": measured, **flat}, "times 50 steps", "nats"
)

# %% [markdown]
# It passes the bigram before half of the steps are done. What it gains from there on it can only
# gain from characters further back than one.
#
# ## Writing on
#
# To write, draw a character from $\mathrm{softmax}(z / \tau)$, append it, and ask again. The
# *temperature* $\tau$ sharpens ($\tau < 1$) or flattens ($\tau > 1$) the distribution; as
# $\tau \to 0$ the likeliest always wins.


# %%
def write(start, temperature, seed=0):
    begun = tokenizer.encode(start)[None]
    written = model.generate(begun, 100, temperature, rng=np.random.default_rng(seed))
    return tokenizer.decode(written[0])


for temperature in (0.4, 0.8, 1.5):
    print(f"temperature {temperature}:", write("The gradient ", temperature).replace("\n", " / "))
    print()

assert write("The gradient ", 0.4) == write("The gradient ", 0.4)  # the same seed, the same text
logits = model(tokenizer.encode("The gradient ")[None]).data[0, -1].astype(np.float64)
spread = []
for temperature in (0.4, 0.8, 1.5):
    p = tg.softmax(logits / temperature)
    spread.append(-(p * np.log(p)).sum())
assert spread == sorted(spread)  # the hotter, the less sure

# %% [markdown]
# ## Where it looks
#
# The graph of a forward pass has the weights of every attention: they are the results of its
# softmax operations. So no model has to be rewritten to be looked into.

# %%
prompt = "the gradient of the loss"
result = model(tokenizer.encode(prompt)[None])
found = [
    node
    for node in tg.topological_order(result)
    if node.op is not None and node.op.name == "softmax"
]
assert len(found) == 2  # one for each block
for node in found:
    assert node.shape == (1, 4, len(prompt), len(prompt))
    assert np.allclose(node.data.sum(axis=-1), 1, atol=1e-5)
    assert not np.triu(node.data[0], 1).any()
viz.plots.attention_maps(found[0].data, list(prompt.replace(" ", "·")))

# %% [markdown]
# Each map is one head of the first block: a row shows from where one character takes its
# information. Before training every row was nearly even; now the heads have places that they
# prefer, each its own.

# %%
fresh = nn.zoo.GPT(V, length, n_layer=2, n_head=4, n_embd=features, rng=np.random.default_rng(0))
untrained = next(
    node
    for node in tg.topological_order(fresh(tokenizer.encode(prompt)[None]))
    if node.op is not None and node.op.name == "softmax"
)
last_rows = untrained.data[0, :, -1], found[0].data[0, :, -1]
entropies = [-(rows * np.log(rows + 1e-30)).sum(axis=-1).mean() for rows in last_rows]
assert abs(entropies[0] - math.log(len(prompt))) < 0.1  # even, as over all places before it
assert entropies[1] < entropies[0] - 0.5
print(f"a row's entropy: {entropies[0]:.2f} before training, {entropies[1]:.2f} after it")

# %% [markdown]
# ## Exercises
#
# **1.** Attention knows no order. Show it: take a `MultiheadAttention` without a mask, permute the
# places of its input, and compare the outputs. Then show that the causal mask breaks this.

# %% jupyter={"source_hidden": true} tags=["solution"]
attention = nn.MultiheadAttention(8, 2, batch_first=True, dtype=np.float64)
some = rng.normal(size=(1, T, 8))
order = np.array([3, 0, 5, 1, 4, 2])


def attend(x, causal):
    return attention(x, x, x, is_causal=causal)[0].data


assert np.allclose(attend(some[:, order], False), attend(some, False)[:, order])
assert not np.allclose(attend(some[:, order], True), attend(some, True)[:, order])

# %% [markdown]
# **2.** `generate` draws by adding noise: the largest of $z_i / \tau + g_i$, where the $g_i$ are
# independent with the distribution of Gumbel, $-\log(-\log u)$ for $u$ uniform in $(0, 1)$. Check
# by 100,000 draws that the winners are distributed as $\mathrm{softmax}(z / \tau)$.

# %% jupyter={"source_hidden": true} tags=["solution"]
z, tau, draws = np.array([2.0, 1.0, 0.0, -1.0]), 0.7, 100_000
noise = -np.log(-np.log(np.random.default_rng(0).uniform(size=(draws, 4))))
winners = np.bincount(np.argmax(z / tau + noise, axis=1), minlength=4) / draws
p = tg.softmax(z / tau)
# Each share's standard deviation is √(p (1 - p) / draws): five of them are all but certain.
assert (np.abs(winners - p) < 5 * np.sqrt(p * (1 - p) / draws)).all()

# %% [markdown]
# **3.** How far back does the trained model look? Take the gradient of the last place's logits by
# the embedded inputs: not all of the 32 places will matter as much. Compute for each distance the
# mean size of the gradient over some held-out windows, and show that near places matter more than
# far ones.

# %% jupyter={"source_hidden": true} tags=["solution"]
inputs, _ = windows(held_out, list(everywhere)[:64])
with tg.no_grad():
    embedded = model.positions(model.tokens(inputs)).data
x = Tensor(embedded, requires_grad=True)
logits = model.head(model.blocks(x, is_causal=True))[:, -1]
probabilities = tg.log_softmax(logits)
likeliest = probabilities.data.argmax(axis=1)
probabilities[np.arange(64), likeliest].sum().backward()
sizes = np.sqrt((x.grad**2).sum(axis=-1)).mean(axis=0)[::-1]  # by distance: 0, 1, 2, ...
assert sizes[:4].mean() > 3 * sizes[16:].mean()
viz.plots.lines({"gradient": sizes}, "places back, from 1 for the last itself", "mean size")
