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
# # 6 · Convolution
#
# **After this notebook you can** compute a convolution in three ways and its three gradients by
# hand, say what a filter looks for, train a LeNet, and count what a block costs and saves.\
# **It takes** about 75 minutes.\
# **Before it** come layers as matrices (3) and the loss of a classifier (5).

# %%
import math

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import ShapeError, Tensor, Value
from tinygrad_edu.testing import gradcheck

# %% [markdown]
# ## One neuron, used everywhere
#
# A linear layer has a weight for every pair of an input and an output. A *convolution* has a few
# weights only, the **kernel**, and slides them along the input. In one dimension, with a kernel of
# two:
#
# $$y_i = w_0\, x_i + w_1\, x_{i+1}$$
#
# Every output is the same neuron, looking through another window.

# %%
x = [Value(v, label=f"x{i}") for i, v in enumerate([1.0, 3.0, -2.0, 4.0])]
w = [Value(0.5, label="w0"), Value(-1.0, label="w1")]

y = [w[0] * x[i] + w[1] * x[i + 1] for i in range(3)]
for i, yi in enumerate(y):
    yi.label = f"y{i}"
L = y[0] + y[1] + y[2]
L.label = "L"
viz.draw(L)

# %% [markdown]
# Follow the arrows. From each *weight* one leads to every output, so its gradient is a sum over all
# windows. An *input* is in at most as many windows as the kernel is long; $x_1$ is the second of
# $y_0$'s and the first of $y_1$'s. Here $\partial L/\partial y_i = 1$, so
#
# $$\frac{\partial L}{\partial w_0} = x_0 + x_1 + x_2, \qquad
#   \frac{\partial L}{\partial w_1} = x_1 + x_2 + x_3, \qquad
#   \frac{\partial L}{\partial x_1} = w_1 + w_0 .$$

# %%
L.backward()
assert w[0].grad == 1 + 3 - 2
assert w[1].grad == 3 - 2 + 4
assert [xi.grad for xi in x] == [0.5, -1 + 0.5, -1 + 0.5, -1]

# %% [markdown]
# ## By loops
#
# An image has two axes to slide along. It also has channels, and the layer has several kernels,
# each with a bias of its own, that make one channel of the output each. With a batch of $N$ images:
#
# $$y_{n,o,i,j} = b_o + \sum_{c,\,p,\,q} w_{o,c,p,q}\; x_{n,\,c,\,si + dp,\,sj + dq}$$
#
# The *stride* $s$ is the distance from one window to the next, the *dilation* $d$ that from one
# pixel of a window to the next, and before all that *padding* puts $P$ rows and columns of zeros
# around the image.
#
# Strictly speaking it is a correlation: a mathematician's convolution flips the kernel first. For
# weights that are learned it makes no difference, and in this field nobody flips.


# %%
def by_loops(x, w, b, stride=1, padding=0, dilation=1):
    """The formula as it stands."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows = (x.shape[2] - dilation * (w.shape[2] - 1) - 1) // stride + 1
    columns = (x.shape[3] - dilation * (w.shape[3] - 1) - 1) // stride + 1
    y = np.zeros((len(x), len(w), rows, columns))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = b[o]
        for c, p, q in np.ndindex(w.shape[1:]):
            pixel = x[n, c, i * stride + p * dilation, j * stride + q * dilation]
            y[n, o, i, j] += w[o, c, p, q] * pixel
    return y


rng = np.random.default_rng(0)
X = rng.normal(size=(2, 3, 7, 6))  # images, channels, height, width
W = rng.normal(size=(4, 3, 3, 2))  # channels of the output, of the input, height, width
B = rng.normal(size=4)

assert by_loops(X, W, B).shape == (2, 4, 5, 5)
assert np.allclose(by_loops(X, W, B), tg.conv2d(X, W, B), rtol=1e-12)

# %% [markdown]
# ## How large the result is
#
# A window reaches over $d(k-1) + 1$ pixels. It fits into $n + 2P$ of them at
#
# $$\left\lfloor \frac{n + 2P - d(k-1) - 1}{s} \right\rfloor + 1$$
#
# places. Learn this one by heart.

# %%
print("stride padding dilation   height x width")
for stride in (1, 2, 3):
    for padding in (0, 1, 2):
        for dilation in (1, 2):
            options = stride, padding, dilation
            y = tg.conv2d(X, W, B, *options)
            expected = tuple(
                math.floor((n + 2 * padding - dilation * (k - 1) - 1) / stride) + 1
                for n, k in zip(X.shape[2:], W.shape[2:], strict=True)
            )
            assert y.shape == (2, 4, *expected)
            assert np.allclose(y, by_loops(X, W, B, *options), rtol=1e-12)
            if dilation == 1 or padding == 1:
                print(f"{stride:6} {padding:7} {dilation:8}   {expected[0]:6} x {expected[1]}")

# %% [markdown]
# Two cases to remember: an odd $k$ with $P = (k-1)/2$ keeps the size, and with a stride of 2 as
# well halves it, if it was even. A window that fits nowhere is an error.

# %%
eight = np.zeros((1, 1, 8, 8))
for k in (1, 3, 5, 7):
    kernel = np.zeros((1, 1, k, k))
    assert tg.conv2d(eight, kernel, padding=(k - 1) // 2).shape == (1, 1, 8, 8)
    assert tg.conv2d(eight, kernel, padding=(k - 1) // 2, stride=2).shape == (1, 1, 4, 4)

try:
    tg.conv2d(eight, np.zeros((1, 1, 5, 5)), dilation=2)
except ShapeError as error:
    complaint = str(error)
    print(complaint)

assert "dilated to 9x9, does not fit into 8x8" in complaint

# %% [markdown]
# Which pixels does an output see? Ask its gradient: $\partial y_{ij}/\partial x$ is the kernel, at
# the place of its window, and 0 elsewhere. Here is every output of a $3 \times 3$ kernel with
# stride 2 on $7 \times 7$ pixels; then the first output with dilations 1, 2 and 3.

# %%
kernel = np.arange(1.0, 10.0).reshape(1, 1, 3, 3)
image = rng.normal(size=(1, 1, 7, 7))


def seen_by_outputs(**options):
    """For each output, its gradient by the image: (outputs, 7, 7)."""
    jacobian = tg.jacobian(lambda x: tg.conv2d(x, kernel, **options))(image)
    return jacobian.reshape(-1, 7, 7)


strided = seen_by_outputs(stride=2)
assert len(strided) == 9
for k, (i, j) in enumerate(np.ndindex(3, 3)):
    window = np.zeros((7, 7))
    window[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] = kernel[0, 0]
    assert np.allclose(strided[k], window)

plot = viz.plots.filters(strided.reshape(3, 3, 7, 7))
plot.figure.set_size_inches(4.2, 3.4)
plot.set_title("∂y/∂x of each output: row i, column j", loc="left", fontsize=10, pad=14)
plot

# %%
dilated = np.stack([seen_by_outputs(dilation=d)[0] for d in (1, 2, 3)])
for d, seen in zip((1, 2, 3), dilated, strict=True):
    assert np.allclose(seen[: 2 * d + 1 : d, : 2 * d + 1 : d], kernel[0, 0])
    assert np.count_nonzero(seen) == 9

plot = viz.plots.filters(dilated[:, None])
plot.set_title("∂y/∂x of the first output, dilation 1, 2 and 3", loc="left", fontsize=10)
plot

# %% [markdown]
# ## By one product
#
# In notebook 3 a loop over neurons became a matrix product. Here is the same step. Write each
# window as a *column* of a matrix, its $C \cdot k_H \cdot k_W$ pixels one under the other, and each
# kernel as a row. All the sums are then one product; this is called *im2col*.


# %%
def windows_as_columns(x, kernel_size, stride=1, padding=0, dilation=1):
    """(N, C, H, W) to (N, C * kH * kW, windows)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    high, wide = (dilation * (k - 1) + 1 for k in kernel_size)
    columns = []
    for i in range(0, x.shape[2] - high + 1, stride):
        for j in range(0, x.shape[3] - wide + 1, stride):
            window = x[:, :, i : i + high : dilation, j : j + wide : dilation]
            columns.append(window.reshape(len(x), -1))
    return np.stack(columns, axis=2)


def by_product(x, w, b, **options):
    product = w.reshape(len(w), -1) @ windows_as_columns(x, w.shape[2:], **options)
    return product + b[:, None]  # (N, O, windows)


for options in ({}, {"stride": 2, "padding": 1}, {"padding": 2, "dilation": 2}):
    y = tg.conv2d(X, W, B, **options)
    assert np.allclose(by_product(X, W, B, **options).reshape(y.shape), y, rtol=1e-12)
    assert np.allclose(windows_as_columns(X, (3, 2), **options), tg.unfold(X, (3, 2), **options))

columns = windows_as_columns(X, (3, 2))
assert columns.shape == (2, 3 * 3 * 2, 5 * 5)
print(f"the image has {X[0].size} numbers, its windows have {columns[0].size}")

# %% [markdown]
# The price is memory: every pixel is copied into each window that it is in. The gain is that a
# product of matrices is what computers are fastest at. The library works this way too, in one op.
# Composed of `unfold`, a product, a sum and `reshape`, the graph shows the steps; `conv2d` is one
# box. Both give the same gradients.

# %%
image = Tensor(X[:1], requires_grad=True, label="x")
weight = Tensor(W, requires_grad=True, label="w")
bias = Tensor(B, requires_grad=True, label="b")

composed = weight.reshape(4, 18) @ tg.unfold(image, (3, 2)) + bias.reshape(4, 1)
composed = (composed.reshape(1, 4, 5, 5) ** 2).mean()
in_one = (tg.conv2d(image, weight, bias) ** 2).mean()

by_steps, by_one = tg.gradients(composed), tg.gradients(in_one)
for leaf in (image, weight, bias):
    assert np.allclose(by_steps[leaf], by_one[leaf], rtol=1e-10)

viz.draw(composed, direction="TB")

# %%
viz.draw(in_one, direction="TB")

# %% [markdown]
# ## The three gradients
#
# Let $g = \partial L/\partial y$, and take stride and dilation 1. Everything follows from one rule:
# *multiply along each path, add over all paths*. The bias of channel $o$ is in every output of it:
#
# $$\frac{\partial L}{\partial b_o} = \sum_{n,i,j} g_{noij}$$
#
# The weight $w_{ocpq}$ is in every output, times the pixel that its window has there:
#
# $$\frac{\partial L}{\partial w_{ocpq}} = \sum_{n,i,j} g_{noij}\; x_{n,c,\,i+p,\,j+q}$$
#
# That is itself a convolution: of $x$, with $g$ as the kernel.
#
# The pixel $x_{ncrs}$ is in output $(i, j)$ where $i + p = r$ and $j + q = s$:
#
# $$\frac{\partial L}{\partial x_{ncrs}} = \sum_{o,p,q} g_{n,o,\,r-p,\,s-q}\; w_{ocpq}$$
#
# Now the index of $g$ *falls* as that of $w$ rises. Count from the other end, $p' = k - 1 - p$, and
# it rises again: $r - p = r + p' - (k-1)$. So this is a convolution too: of $g$ with $k - 1$ zeros
# around it, with the kernel flipped in both directions, where $o$ and $c$ have changed places. If
# $x$ was padded by $P$, the outer $P$ rows of the result belong to the padding: $k - 1 - P$ zeros
# do.
#
# First by hand. With $3 \times 3$ pixels and a $2 \times 2$ kernel,
#
# $$x = \begin{pmatrix} 1 & 2 & 3 \\ 4 & 5 & 6 \\ 7 & 8 & 9 \end{pmatrix}, \quad
#   w = \begin{pmatrix} 1 & 0 \\ -1 & 2 \end{pmatrix}, \quad
#   g = \begin{pmatrix} 1 & 0 \\ 2 & -1 \end{pmatrix},$$
#
# $\partial L/\partial w_{00} = 1 \cdot 1 + 0 \cdot 2 + 2 \cdot 4 - 1 \cdot 5 = 4$. The pixel in the
# middle is in all four windows, each time under another weight:
# $\partial L/\partial x_{11} = g_{00} w_{11} + g_{01} w_{10} + g_{10} w_{01} + g_{11} w_{00}
# = 2 + 0 + 0 - 1 = 1$. Do the rest yourself before you read on.

# %%
g = np.array([[[[1.0, 0.0], [2.0, -1.0]]]])
x3 = Tensor(np.arange(1.0, 10.0).reshape(1, 1, 3, 3), requires_grad=True, label="x")
w2 = Tensor(np.array([[[[1.0, 0.0], [-1.0, 2.0]]]]), requires_grad=True, label="w")
b1 = Tensor(np.array([0.0]), requires_grad=True, label="b")

y = tg.conv2d(x3, w2, b1)
L = (y * g).sum()  # so that ∂L/∂y is g
y.label, L.label = "y", "L"
L.backward()

assert np.array_equal(b1.grad, [1 + 0 + 2 - 1])
assert np.array_equal(w2.grad[0, 0], [[4, 6], [10, 12]])
assert np.array_equal(x3.grad[0, 0], [[1, 0, 0], [1, 1, 0], [-2, 5, -2]])
viz.draw(L, direction="TB")

# %% [markdown]
# Then for any number of images and channels, in NumPy, against the engine.


# %%
def gradients_of_convolution(x, w, g, padding=0):
    """∂L/∂x, ∂L/∂w and ∂L/∂b by the formulas above, for g = ∂L/∂y."""
    high, wide = w.shape[2:]
    no_bias = np.zeros(max(w.shape))

    zeros = ((0, 0), (0, 0), (high - 1 - padding,) * 2, (wide - 1 - padding,) * 2)
    flipped = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    by_x = by_loops(np.pad(g, zeros), flipped, no_bias)

    # The images take the place of the channels, over which a convolution adds up.
    x_padded = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    by_w = by_loops(x_padded.swapaxes(0, 1), g.swapaxes(0, 1), no_bias).swapaxes(0, 1)
    return by_x, by_w, g.sum(axis=(0, 2, 3))


for padding in (0, 1):
    y, pullback = tg.vjp(lambda x, w, b, p=padding: tg.conv2d(x, w, b, padding=p), X, W, B)
    g = rng.normal(size=y.shape)
    for mine, theirs in zip(gradients_of_convolution(X, W, g, padding), pullback(g), strict=True):
        assert mine.shape == theirs.shape
        assert np.allclose(mine, theirs, rtol=1e-10)

# %% [markdown]
# And once more by finite differences, with stride and dilation, to second order.

# %%
small = rng.normal(size=(1, 2, 5, 5)), rng.normal(size=(2, 2, 2, 2)), rng.normal(size=2)
for stride, padding, dilation in ((1, 0, 1), (2, 1, 1), (1, 1, 2), (2, 2, 3)):
    report = gradcheck(
        lambda x, w, b, s=stride, p=padding, d=dilation: tg.conv2d(x, w, b, s, p, d),
        *small,
        order=2,
    )
print(report)

# %% [markdown]
# There is another way to see why the kernel is flipped. A convolution is linear in $x$, so it is
# a matrix $T$, its Jacobian: every row holds the same weights, each time a little further to the
# right. As for any linear layer, $\partial L/\partial x = T^\mathsf{T} g$. Transposing mirrors the
# stripes at the diagonal, so that down a column of $T$ the weights stand in the reverse order.

# %%
kernel = np.array([1.0, -2.0, 4.0])
x1 = rng.normal(size=12)


def conv_of_vector(x):
    return tg.conv1d(x.reshape((1, 1, -1)), kernel.reshape(1, 1, 3)).reshape((-1,))


T = tg.jacobian(conv_of_vector)(x1)
assert T.shape == (10, 12)
assert np.allclose(T @ x1, conv_of_vector(x1))
assert np.array_equal(T[4, 4:7], kernel)
assert np.array_equal(T[2:5, 4], kernel[::-1])
assert np.count_nonzero(T) == 10 * 3

g1 = rng.normal(size=10)
_, pullback = tg.vjp(conv_of_vector, x1)
assert np.allclose(pullback(g1)[0], T.T @ g1)
assert np.allclose(np.convolve(g1, kernel), T.T @ g1)  # NumPy's flips, and pads

plot = viz.plots.filters(T[None, None])
plot.figure.set_size_inches(5, 3.8)
plot.set_title("T = ∂y/∂x of a convolution with a kernel of 3", loc="left", fontsize=10)
plot

# %% [markdown]
# A linear layer would have 120 weights here. A convolution is a linear layer with most weights 0
# and the rest shared.
#
# ## What a filter looks for
#
# An output is the dot product of a window and the kernel. So of all windows of one length, as
# vectors, it is largest for the one that looks like the kernel. Four kernels made by hand: a mean,
# the change from left to right, that from top to bottom, and a pixel against its neighbours.

# %%
digits = nn.data.digits()
across = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 4
handmade = np.stack(
    [
        np.full((3, 3), 1 / 9),
        across,
        across.T,
        np.array([[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]) / 4,
    ]
)[:, None]

viz.plots.filters(handmade)

# %%
zero = digits.inputs[:1].astype(float)
assert digits.targets[0] == 0
maps = tg.conv2d(zero, handmade, padding=1)

viz.plots.images(zero)

# %%
viz.plots.feature_maps(maps)

# %% [markdown]
# The image is a zero, and map 1 is orange at every edge where it gets brighter to the right, blue
# where it gets darker. The weights of all kernels but the mean add up to 0, so they see nothing in
# an even area. And two laws, which hold of any kernel:
# what the turned kernel finds in the turned image is the turned map; and if the image moves, the
# map moves with it. This is why a convolution has to learn a stroke once, not once for each place.

# %%
windows = rng.normal(size=(1000, 1, 3, 3))
windows *= np.linalg.norm(across) / np.linalg.norm(windows, axis=(2, 3), keepdims=True)
of_itself = tg.conv2d(across[None, None], across[None, None]).item()
assert tg.conv2d(windows, across[None, None]).max() < of_itself

flat = np.full((1, 1, 6, 6), 0.7)
assert np.allclose(tg.conv2d(flat, handmade)[:, 0], 0.7)
assert np.allclose(tg.conv2d(flat, handmade)[:, 1:], 0)

turned = tg.conv2d(zero.swapaxes(2, 3), handmade, padding=1)
assert np.allclose(turned[:, 2], maps[:, 1].swapaxes(1, 2))

moved = np.pad(zero, ((0, 0), (0, 0), (4, 0), (3, 0)))  # 4 down, 3 to the right
assert np.allclose(tg.conv2d(moved, handmade)[:, :, 4:, 3:], tg.conv2d(zero, handmade))

# %% [markdown]
# Nobody has to make filters by hand. Show a layer images and what the edge filter makes of them,
# and gradient descent finds the filter.

# %%
images = digits.inputs[:256]
answers = tg.conv2d(images, across[None, None].astype(np.float32))

layer = nn.Conv2d(1, 1, 3, rng=np.random.default_rng(0))
optimizer = nn.optim.Adam(layer.parameters(), lr=0.03)
kernels = [layer.weight.data.copy()]
for step in range(1, 301):
    layer.zero_grad()
    loss = ((layer(images) - answers) ** 2).mean()
    loss.backward()
    optimizer.step()
    if step in (10, 30, 100, 300):
        kernels.append(layer.weight.data.copy())

assert np.allclose(layer.weight.data[0, 0], across, atol=0.01)
assert abs(layer.bias.data[0]) < 0.01

plot = viz.plots.filters(np.concatenate(kernels))
plot.set_title("the weight after 0, 10, 30, 100 and 300 steps", loc="left", fontsize=10)
plot

# %% [markdown]
# ## Pooling
#
# To recognise a digit it does not matter exactly where a stroke is. *Pooling* makes one number of
# every $2 \times 2$ window, and halves both axes. The mean is a convolution with a stride of 2,
# whose kernel does not learn. The maximum is not linear: its gradient goes to the winner alone.

# %%
x4 = np.array([[1, 5, 2, 0], [3, 4, 1, 7], [6, 0, 9, 8], [2, 1, 3, 4]], float)[None, None]
quarter = np.full((1, 1, 2, 2), 1 / 4)
assert np.allclose(tg.avg_pool2d(x4, 2), tg.conv2d(x4, quarter, stride=2))

to_all = tg.grad(lambda x: tg.avg_pool2d(x, 2).sum())(x4)
to_winners = tg.grad(lambda x: tg.max_pool2d(x, 2).sum())(x4)
assert np.allclose(to_all, 1 / 4)
assert np.array_equal(x4[to_winners == 1], [5, 7, 6, 9])
assert np.count_nonzero(to_winners) == 4

plot = viz.plots.feature_maps(np.concatenate([to_all, to_winners], axis=1))
plot.set_title("where gradients go: 0 mean, 1 maximum", loc="left", fontsize=10)
plot

# %% [markdown]
# ## LeNet
#
# Twice convolution, tanh and pooling, then a classifier of what is left: so LeCun's network read
# cheques, and so most networks for images are still built. The digits have $8 \times 8$ pixels, too
# few for two poolings before a $5 \times 5$ kernel, so that `LeNet5` leaves out the first.

# %%
train, test = nn.data.random_split(digits, [0.8, 0.2], seed=0)
lenet = nn.zoo.LeNet5(image_size=8, rng=np.random.default_rng(0))
summary = lenet.summary((1, 1, 8, 8))
summary

# %% [markdown]
# Check the table by hand. The first convolution has $6 \cdot (1 \cdot 5 \cdot 5 + 1)$ parameters,
# and does 25 products for each of its $6 \cdot 8 \cdot 8$ outputs. A linear layer between the same
# arrays would need over 150 times as many parameters. Then step through the graph of one image and
# its loss; a click on a module opens it.

# %%
rows = {row.path: row for row in summary.rows}
first, second = rows["features.0"], rows["features.3"]
assert first.parameters == 6 * (1 * 5 * 5 + 1) == 156
assert first.multiply_adds == 5 * 5 * 6 * 8 * 8 == 9600
assert second.parameters == 16 * (6 * 5 * 5 + 1) == 2416
assert second.multiply_adds == 6 * 5 * 5 * 16 * 4 * 4 == 38400
assert first.output_shapes == ((1, 6, 8, 8),)
assert second.output_shapes == ((1, 16, 4, 4),)

instead = nn.Linear(8 * 8, 6 * 8 * 8)
assert sum(p.size for p in instead.parameters()) > 150 * first.parameters

x_test, y_test = test.inputs, test.targets
L = tg.cross_entropy(lenet(x_test[:1]), y_test[:1])
viz.page(L)

# %% [markdown]
# Train it, and a linear classifier of the pixels to compare with, on digits that are turned a
# little, each time by another angle.

# %%
nn.manual_seed(0)


def trained(model, epochs=20):
    """Its history on the digits."""
    optimizer = nn.optim.AdamW(model.parameters(), lr=4e-3)
    schedule = nn.optim.CosineAnnealingLR(optimizer, T_max=epochs)
    trainer = nn.training.Trainer(model, optimizer, schedule=schedule)
    batches = nn.data.DataLoader(train, 64, shuffle=True, augment=nn.data.Rotate(degrees=8))
    return trainer.fit(batches, validation=test, epochs=epochs)


before = lenet.features[0].weight.data.copy()
linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, rng=np.random.default_rng(0)))
histories = {"LeNet-5": trained(lenet), "linear": trained(linear)}
shares = {name: history[-1]["validation_accuracy"] for name, history in histories.items()}
print(", ".join(f"{name}: {share:.1%}" for name, share in shares.items()))

assert shares["LeNet-5"] > 0.955
assert 0.85 < shares["linear"] < shares["LeNet-5"] - 0.02
viz.plots.overlaid_curves(histories, "validation_accuracy")

# %% [markdown]
# The first row has the six filters as they were before training, the second as they are now. They
# are not as tidy as those made by hand, and you still recognise what each of them began as: with
# 1,438 images to learn from, whatever works will do. Below is what they find in the zero, after
# tanh.

# %%
after = lenet.features[0].weight.data
assert after.shape == (6, 1, 5, 5)
assert len(train) == 1438
for old, new in zip(before, after, strict=True):
    cosine = np.sum(old * new) / np.linalg.norm(old) / np.linalg.norm(new)
    assert 0.5 < cosine < 0.99

plot = viz.plots.filters(np.stack([before[:, 0], after[:, 0]]))
plot.figure.set_size_inches(7, 2.4)
plot.set_title("before and after training", loc="left", fontsize=10, pad=14)
plot

# %%
with tg.no_grad():
    maps = lenet.features[:2](digits.inputs[:1])
assert maps.shape == (1, 6, 8, 8)
viz.plots.feature_maps(maps)

# %% [markdown]
# And the images that it gets wrong, the most certain mistakes first.

# %%
with tg.no_grad():
    probabilities = tg.softmax(lenet(x_test)).data
wrong = np.count_nonzero(probabilities.argmax(axis=1) != y_test)
assert wrong == round((1 - shares["LeNet-5"]) * len(test))
viz.plots.misclassified(x_test, y_test, probabilities)

# %% [markdown]
# ## Cheaper: depthwise separable
#
# A convolution of $C$ channels to $O$ has $O \cdot C \cdot k^2$ weights: it mixes places and
# channels at once. A *depthwise* convolution mixes places only, each channel by one kernel of its
# own ($C \cdot k^2$ weights), and a $1 \times 1$ convolution after it mixes channels only
# ($O \cdot C$). Each weight is used once per place, so products go down by the same ratio:
#
# $$\frac{C k^2 + O C}{O C k^2} = \frac{1}{O} + \frac{1}{k^2}$$

# %%
c_in, c_out, k, side = 32, 64, 3, 16
full = nn.Conv2d(c_in, c_out, k, padding=1, bias=False)
depthwise = nn.Conv2d(c_in, c_in, k, padding=1, groups=c_in, bias=False)
pointwise = nn.Conv2d(c_in, c_out, 1, bias=False)
separable = nn.Sequential(depthwise, pointwise)

of_full, of_separable = (m.summary((1, c_in, side, side)) for m in (full, separable))
assert of_full.rows[0].output_shapes == of_separable.rows[0].output_shapes
assert of_full.parameters == c_out * c_in * k**2 == 18432
assert of_separable.parameters == c_in * k**2 + c_out * c_in == 2336
assert of_full.multiply_adds == c_out * c_in * k**2 * side**2
assert of_separable.multiply_adds == (c_in * k**2 + c_out * c_in) * side**2
for quantity in ("parameters", "multiply_adds"):
    ratio = getattr(of_separable, quantity) / getattr(of_full, quantity)
    assert math.isclose(ratio, 1 / c_out + 1 / k**2)
print(f"{of_separable.parameters:,} instead of {of_full.parameters:,} parameters: {ratio:.1%}")

# %% [markdown]
# What is lost? As one full convolution, the pair has the weight
# $w_{ocpq} = v_{oc}\, u_{cpq}$: the kernels by which different outputs read the *same* channel
# differ by a factor only. The columns of the picture show it: one shape each, in all shades.

# %%
depthwise, pointwise = nn.Conv2d(6, 6, 3, groups=6, bias=False), nn.Conv2d(6, 8, 1, bias=False)
rng = np.random.default_rng(2)
for layer in (depthwise, pointwise):
    layer.weight.data[...] = rng.uniform(-1, 1, layer.weight.shape)

u, v = depthwise.weight.data[:, 0], pointwise.weight.data[:, :, 0, 0]
as_full = np.einsum("oc,cpq->ocpq", v, u)
x = rng.normal(size=(2, 6, 7, 7)).astype(np.float32)
assert np.allclose(pointwise(depthwise(x)).data, tg.conv2d(x, as_full), atol=1e-4)
for c in range(6):
    assert np.linalg.matrix_rank(as_full[:, c].reshape(8, 9), tol=1e-4) == 1

plot = viz.plots.filters(as_full)
plot.set_title("row: output, column: input", loc="left", fontsize=10, pad=14)
plot

# %% [markdown]
# ## Deeper: skip connections
#
# More layers can say more, if the signal survives them. In a stack of $n$ blocks
# $h_{k+1} = f(h_k)$ the gradient is multiplied by $f'$ each time; in a stack of *residual* blocks
# $h_{k+1} = h_k + f(h_k)$ by $1 + f'$. Take $f(h) = wh$: the results are $w^n$ and $(1 + w)^n$. The
# first is neither tiny nor huge for $w$ very near to 1 only, the second for every small $w$.

# %%
weights = np.linspace(0.01, 1.5, 150)
n = 16
factors = {"without": weights**n, "with a skip": (1 + weights) ** n}
for factor, f in zip(factors.values(), (lambda h, w: w * h, lambda h, w: h + w * h), strict=True):
    for at in (5, 60, 149):
        h = start = Value(1.0)
        for _ in range(n):
            h = f(h, weights[at])
        h.backward()
        assert math.isclose(start.grad, factor[at])

viz.plots.lines(factors, "w, in hundredths", "∂y/∂x through 16 blocks")

# %% [markdown]
# Now with convolutions, of both kinds. The digits go through one convolution and a pooling to
# $4 \times 4$ places, then through 16 blocks. Their weights are a fifth of He's initial weights,
# which are made to keep up the signal of a *plain* stack.


# %%
def block(kind, skip, rng, channels=8):
    if kind == "full":
        layers = [nn.Conv2d(channels, channels, 3, padding=1, nonlinearity="relu", rng=rng)]
    else:
        layers = [
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, rng=rng),
            nn.Conv2d(channels, channels, 1, nonlinearity="relu", rng=rng),
        ]
    body = nn.Sequential(*layers, nn.ReLU())
    return nn.Residual(body) if skip else body


def deep(kind, skip, scale=0.2, blocks=16):
    rng = np.random.default_rng(0)
    first = nn.Conv2d(1, 8, 3, padding=1, nonlinearity="relu", rng=rng)
    last = nn.Linear(8 * 4 * 4, 10, rng=rng)
    stack = [block(kind, skip, rng) for _ in range(blocks)]
    for p in nn.Sequential(*stack).parameters():
        p.data *= scale
    return nn.Sequential(first, nn.ReLU(), nn.MaxPool2d(2), *stack, nn.Flatten(), last)


x, t = train.inputs[:128], train.targets[:128]


def first_gradient(model):
    """The norm of the gradient of the first weight."""
    model.zero_grad()
    tg.cross_entropy(model(x), t).backward()
    return float(np.linalg.norm(model[0].weight.grad))


plain, residual = deep("full", skip=False), deep("full", skip=True)
assert first_gradient(plain) < 1e-12
assert 0.1 < first_gradient(residual) < 100
plot = viz.plots.gradient_flow(plain)
plot.set_xlim(1e-15, 100)
plot

# %%
plot = viz.plots.gradient_flow(residual)
plot.set_xlim(1e-15, 100)
plot

# %% [markdown]
# In the plain stack *all* the weights get next to nothing. A weight's gradient is the signal that
# reaches its layer times the gradient that comes back to it. The one shrinks on the way there, the
# other on the way back, and the product is as small everywhere. A bias has no signal as a factor:
# from the last layer to the first you see the gradient itself shrink. With skips, all are of a
# size.


# %%
def sizes(model, ndim):
    """The mean |gradient| of the parameters with so many axes in the blocks, first to last."""
    return [float(abs(p.grad).mean()) for p in model[3:-2].parameters() if p.ndim == ndim]


of_weights, of_biases = sizes(plain, 4), sizes(plain, 1)
assert max(of_weights) < 10 * min(of_weights) < 1e-11
assert of_biases[-1] > 1e9 * of_biases[0]

of_weights, of_biases = sizes(residual, 4), sizes(residual, 1)
assert max(of_weights) < 10 * min(of_weights)
assert max(of_biases) < 10 * min(of_biases)
assert min(of_weights) > 0.1

# %% [markdown]
# Scale the initial weights of the blocks, and see what is left of the first gradient. At 1, right
# of the picture, are He's. Without skips half of them already cost a factor of $2^{16}$. With skips
# too *large* weights do harm, which is why He's are too large here. But none are too small: at 0
# the blocks are the identity, and the deep network is a shallow one that has room to grow.

# %%
scales = np.linspace(0.05, 1, 20)
flow = {
    f"{kind}, {'with a skip' if skip else 'without'}": [
        first_gradient(deep(kind, skip, scale)) for scale in scales
    ]
    for kind in ("full", "separable")
    for skip in (False, True)
}

shallow = first_gradient(deep("full", skip=False, blocks=0))
for kind in ("full", "separable"):
    assert first_gradient(deep(kind, skip=False, scale=0)) == 0
    at_0 = first_gradient(deep(kind, skip=True, scale=0))
    assert math.isclose(at_0, shallow, rel_tol=1e-4)

    without, with_skip = flow[f"{kind}, without"], flow[f"{kind}, with a skip"]
    assert without[-1] > shallow / 100
    assert min(with_skip) > shallow / 2
    assert with_skip[-1] > 1000 * shallow

# ReLU(z / 2) = ReLU(z) / 2, so that each of 16 blocks halves what goes through it.
half, whole = flow["full, without"][9], flow["full, without"][19]
assert math.isclose(whole / half, 2**16, rel_tol=0.05)

plot = viz.plots.lines(flow, "scale of the weights, in twentieths", "first gradient")
plot.set_yscale("symlog", linthresh=1e-10)
plot

# %% [markdown]
# And do they learn? The same steps for all four, again from a fifth of He's weights.


# %%
def losses_of(model, steps=60):
    optimizer = nn.optim.AdamW(model.parameters(), lr=0.01)
    seen = []
    for _ in range(steps):
        model.zero_grad()
        loss = tg.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return seen


learned = {
    f"{kind}, {'with a skip' if skip else 'without'}": losses_of(deep(kind, skip))
    for kind in ("full", "separable")
    for skip in (False, True)
}
viz.plots.lines(learned, "step", "loss")

# %% [markdown]
# Those without end where all they have learned is how frequent each digit is: the loss is the
# entropy of the labels. With skips both learn, and the separable one does with a quarter of the
# parameters in its blocks.

# %%
frequencies = np.bincount(t) / len(t)
entropy = -np.sum(frequencies * np.log(frequencies))
for kind in ("full", "separable"):
    assert math.isclose(learned[f"{kind}, without"][-1], entropy, abs_tol=0.01)
    assert learned[f"{kind}, with a skip"][-1] < entropy / 4

in_blocks = {
    kind: sum(p.size for p in block(kind, True, np.random.default_rng(0)).parameters())
    for kind in ("full", "separable")
}
assert in_blocks == {"full": 8 * 8 * 9 + 8, "separable": 8 * 9 + 8 + 8 * 8 + 8}
assert in_blocks["separable"] < 0.27 * in_blocks["full"]
print(f"the entropy of the labels is {entropy:.3f}")

# %% [markdown]
# ## Exercises
#
# **1.** The gradient by the input, above, is right for a stride of 1. What changes for a stride of
# $s$? Compute it with `by_loops`, for images whose size the windows fill exactly.

# %% jupyter={"source_hidden": true} tags=["solution"]
# y with stride s is every s-th entry of y with stride 1. The others do not reach the loss, so their
# gradient is 0: put s - 1 zeros between the entries of g, and go on as before.


def gradient_by_input(w, g, stride):
    n, o, rows, columns = g.shape
    spread = np.zeros((n, o, stride * (rows - 1) + 1, stride * (columns - 1) + 1))
    spread[:, :, ::stride, ::stride] = g
    high, wide = w.shape[2:]
    spread = np.pad(spread, ((0, 0), (0, 0), (high - 1,) * 2, (wide - 1,) * 2))
    return by_loops(spread, w[:, :, ::-1, ::-1].swapaxes(0, 1), np.zeros(w.shape[1]))


for stride, shape in ((1, (2, 3, 7, 6)), (2, (2, 3, 7, 6)), (3, (1, 3, 9, 8))):
    pixels = rng.normal(size=shape)
    y, pullback = tg.vjp(lambda x, s=stride: tg.conv2d(x, W, stride=s), pixels)
    g = rng.normal(size=y.shape)
    assert np.allclose(gradient_by_input(W, g, stride), pullback(g)[0], rtol=1e-10)
    # It has a name of its own: the transposed convolution.
    assert np.allclose(gradient_by_input(W, g, stride), tg.conv_transpose2d(g, W, stride=stride))

# %% [markdown]
# **2.** How many pixels of the image does one output see after two convolutions of $3 \times 3$?
# After four? And after four with dilations 1, 2, 4 and 8? Predict it, then find out by a gradient.
# How many weights would one convolution need that sees as much as the last?

# %% jupyter={"source_hidden": true} tags=["solution"]
# Each convolution adds d (k - 1) pixels to the side: 5, 9, and 1 + 2 (1 + 2 + 4 + 8) = 31.


def side_seen(dilations):
    pixels = Tensor(np.zeros((1, 1, 41, 41)), requires_grad=True)
    y = pixels
    for d in dilations:
        y = tg.conv2d(y, np.ones((1, 1, 3, 3)), padding=d, dilation=d)
    y[0, 0, 20, 20].backward()
    rows, columns = np.nonzero(pixels.grad[0, 0])
    assert np.ptp(rows) == np.ptp(columns)
    return int(np.ptp(rows)) + 1


assert side_seen([1, 1]) == 5
assert side_seen([1, 1, 1, 1]) == 9
assert side_seen([1, 2, 4, 8]) == 31
print(f"{31 * 31} weights instead of {4 * 3 * 3}, per pair of channels")

# %% [markdown]
# **3.** The edge filter `across` is a column times a row. Show that it can therefore be replaced by
# two convolutions, of $3 \times 1$ and $1 \times 3$, and count the products per output. How do you
# find out of any kernel whether it can? Which of the four made by hand can?

# %% jupyter={"source_hidden": true} tags=["solution"]
column, row = np.array([1.0, 2.0, 1.0]) / 4, np.array([-1.0, 0.0, 1.0])
assert np.array_equal(np.outer(column, row), across)

pixels = digits.inputs[:4].astype(float)
two = tg.conv2d(tg.conv2d(pixels, column.reshape(1, 1, 3, 1)), row.reshape(1, 1, 1, 3))
assert np.allclose(two, tg.conv2d(pixels, across[None, None]))
# 3 + 3 products instead of 9; with a kernel of 7x7, 14 instead of 49.

# A column times a row is a matrix of rank 1. The singular value decomposition finds both.
assert [int(np.linalg.matrix_rank(each[0])) for each in handmade] == [1, 1, 1, 2]
left, singular, right = np.linalg.svd(across)
assert np.allclose(singular[1:], 0)
assert np.allclose(singular[0] * np.outer(left[:, 0], right[0]), across)
