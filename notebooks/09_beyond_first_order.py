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
# # 9 · Beyond the first derivative
#
# **After this notebook you can** take derivatives of derivatives, use Jacobians and Hessians with
# and without writing them down, and fit a network to a differential equation.\
# **It takes** about 75 minutes.\
# **Before it** come gradients of Tensors, layers, and a little linear algebra (eigenvalues).

# %%
import math

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Tensor, Value, gradients

# %% [markdown]
# ## The gradient is a graph, too
#
# A derivative rule is written in operations: that of $y = \sin x$ turns $\partial L/\partial y$
# into $\partial L/\partial x = \partial L/\partial y \cdot \cos x$. With `create_graph=True` these
# operations are recorded like any other. What you get is a number that knows how it was made.

# %%
x = Value(1.0, label="x")
y = x.sin()
y.label = "y"

dy = gradients(y, create_graph=True)[x]
dy.label = "dy/dx"
assert math.isclose(dy.data, math.cos(1))

viz.draw(dy)

# %% [markdown]
# This is not the picture of $\sin$, but of its derivative $1 \cdot \cos x$; and the `grad` in it is
# the derivative of that, $-\sin x$. So you can go on.

# %%
d2y = gradients(dy, create_graph=True)[x]
d3y = gradients(d2y)[x]
assert math.isclose(d2y.data, -math.sin(1))
assert math.isclose(d3y, -math.cos(1))

# %% [markdown]
# `grad` does the same for functions, and it nests. Here is $f(x) = x e^{-x^2}$ and its derivatives;
# in each panel the dashed line is the solid one of the next.


# %%
def f(x):
    return x * np.exp(-(x**2))


def first_derivative(x):
    return tg.elementwise_grad(f)(x)


def second_derivative(x):
    return tg.elementwise_grad(first_derivative)(x)


x = np.linspace(-3, 3, 13)
assert np.allclose(first_derivative(x), (1 - 2 * x**2) * np.exp(-(x**2)))
assert np.allclose(second_derivative(x), (4 * x**3 - 6 * x) * np.exp(-(x**2)))

viz.plots.activations([f, first_derivative, second_derivative], low=-3, high=3)

# %% [markdown]
# A first step towards the end of this notebook: a neuron $y = \tanh(wx + b)$. Its slope by the
# *input* is $y' = w\,(1 - y^2)$, and you can ask how that slope changes with the *weight*:
#
# $$\frac{\partial y'}{\partial w} = (1 - y^2) - 2\,w\,x\,y\,(1 - y^2)$$
#
# In the picture $w$ is used twice, once in $y$ and once in the rule: two paths, two terms.

# %%
w, b, x = Value(1.5, label="w"), Value(-0.5, label="b"), Value(0.8, label="x")
y = (w * x + b).tanh()
y.label = "y"
slope = gradients(y, create_graph=True)[x]
slope.label = "y'"

slope.backward()
flat = 1 - y.data**2
assert math.isclose(slope.data, w.data * flat)
assert math.isclose(w.grad, flat - 2 * w.data * x.data * y.data * flat)

viz.draw(slope, direction="TB")

# %% [markdown]
# ## Jacobians: rows backward, columns forward
#
# A function from $n$ numbers to $m$ has $m \times n$ partial derivatives, $J_{ij} = \partial
# f_i/\partial x_j$. From polar coordinates to Cartesian ones:
#
# $$f(r, \varphi) = \begin{pmatrix} r \cos\varphi \\ r \sin\varphi \end{pmatrix}, \qquad
#   J = \begin{pmatrix} \cos\varphi & -r\sin\varphi \\ \sin\varphi & r\cos\varphi \end{pmatrix}$$


# %%
def cartesian(polar):
    return polar[0] * np.stack([np.cos(polar[1]), np.sin(polar[1])])


here = np.array([2.0, math.pi / 6])
J = tg.jacobian(cartesian)(here)
c, s = math.cos(here[1]), math.sin(here[1])
assert np.allclose(J, [[c, -2 * s], [s, 2 * c]])
assert math.isclose(np.linalg.det(J), here[0])  # areas grow by r: dx dy = r dr dφ
print(J.round(4))

# %% [markdown]
# Backpropagation never makes this matrix. It takes a vector $u$ with an entry for each *output*,
# and gives $u^\top J$: a **vjp**. With $u = (1, 0)$ that is the first *row*. A **jvp** takes a
# direction $t$ in the space of *inputs* and gives $J t$, how the outputs move: with $t = (0, 1)$
# the last *column*.

# %%
out, pull_back = tg.vjp(cartesian, here)
assert np.allclose(out, [2 * c, 2 * s])
for row, u in zip(J, np.eye(2), strict=True):
    assert np.allclose(pull_back(u)[0], row)

for column, t in zip(J.T, np.eye(2), strict=True):
    out, moved = tg.jvp(cartesian, (here,), (t,))
    assert np.allclose(moved, column)

# Finite differences agree: they go along t.
h = 1e-6
t = np.array([0.3, -1.2])
secant = (cartesian(here + h * t) - cartesian(here - h * t)) / (2 * h)
assert np.allclose(tg.jvp(cartesian, (here,), (t,))[1], secant)

# %% [markdown]
# Draw the first output alone, which is $u = (1, 0)$: the gradients at the two inputs are the
# first row, $(\cos\varphi, -r\sin\varphi)$.

# %%
r, phi = Value(2.0, label="r"), Value(math.pi / 6, label="φ")
cosine = phi.cos()
horizontal = r * cosine
cosine.label, horizontal.label = "c", "x"
found = gradients(horizontal)
assert np.allclose([found[r], found[phi]], J[0])

viz.draw(horizontal, formulas=True)

# %% [markdown]
# One vjp gives a row, whatever its length. That is why training goes backward: a loss is *one*
# output of millions of parameters, its Jacobian is a single row, and you get it for the price of a
# few evaluations.
#
# ## Curvature: the Hessian
#
# Of a function with one output, the second derivatives are a symmetric matrix,
# $H_{ij} = \partial^2 f/\partial x_i \partial x_j$. Here is a valley that bends (Rosenbrock's, not
# so steep), with the minimum 0 at $(1, 1)$:
#
# $$f(x, y) = (1 - x)^2 + 5\,(y - x^2)^2$$


# %%
def valley(p):
    return (1 - p[0]) ** 2 + 5 * (p[1] - p[0] ** 2) ** 2


lowest = np.array([1.0, 1.0])
a, b = -1.2, 1.0
p = np.array([a, b])

g, H = tg.grad(valley)(p), tg.hessian(valley)(p)
assert np.allclose(g, [-2 * (1 - a) - 20 * a * (b - a**2), 10 * (b - a**2)])
assert np.allclose(H, [[2 - 20 * (b - a**2) + 40 * a**2, -20 * a], [-20 * a, 10]])
assert np.allclose(H, H.T)
assert np.allclose(tg.grad(valley)(lowest), 0)
print(H)

# %% [markdown]
# What does $H$ mean? Walk from $p$ along a unit vector $d$. The height is a function of one number,
# $\phi(t) = f(p + t d)$, with $\phi'(0) = g^\top d$ and $\phi''(0) = d^\top H d$: the *curvature*
# along $d$. Among all directions it is largest along the eigenvector of the largest eigenvalue, and
# equal to that; and the same for the smallest.

# %%
eigenvalues, eigenvectors = np.linalg.eigh(tg.hessian(valley)(lowest))
curvatures = []
for angle in np.linspace(0, math.pi, 181):
    d = np.array([math.cos(angle), math.sin(angle)])
    phi2 = tg.grad(tg.grad(lambda t, d=d: valley(lowest + t * d)))(0.0)
    assert math.isclose(phi2, d @ tg.hessian(valley)(lowest) @ d, rel_tol=1e-9)
    curvatures.append(phi2)

assert math.isclose(max(curvatures), eigenvalues[1], rel_tol=1e-3)
assert math.isclose(min(curvatures), eigenvalues[0], abs_tol=0.02)
steepest = math.radians(np.argmax(curvatures))
assert abs(eigenvectors[:, 1] @ [math.cos(steepest), math.sin(steepest)]) > 0.999
print("curvature from", eigenvalues[0].round(3), "to", eigenvalues[1].round(3))

viz.plots.lines({"along d": curvatures}, "angle of d in degrees", "curvature at the minimum")

# %% [markdown]
# With $n$ parameters the Hessian has $n^2$ entries: of a network with a million that is a matrix
# you cannot store. But its product with a vector is another gradient,
#
# $$H v = \nabla \left( \nabla f \cdot v \right)$$
#
# for the price of a few evaluations. `hvp` computes it without $H$.


# %%
def chained_valleys(q):
    return ((1 - q[:-1]) ** 2 + 5 * (q[1:] - q[:-1] ** 2) ** 2).sum()


rng = np.random.default_rng(0)
q, v = rng.normal(size=50), rng.normal(size=50)
product = tg.hvp(chained_valleys, (q,), (v,))

assert np.allclose(product, tg.hessian(chained_valleys)(q) @ v)
gradient = tg.grad(chained_valleys)
assert np.allclose(product, (gradient(q + h * v) - gradient(q - h * v)) / (2 * h), rtol=1e-5)

large = rng.normal(size=100_000)  # its Hessian would take 80 GB
assert tg.hvp(chained_valleys, (large,), (large,)).shape == (100_000,)

# %% [markdown]
# ## Newton's step against gradient descent
#
# Near $p$ the function is $f(p + d) \approx f + g^\top d + \tfrac12 d^\top H d$. Gradient descent
# uses the first two terms, and needs a learning rate since they do not say how far to go. Newton's
# step goes right to where the gradient of all three is 0:
#
# $$d = -H^{-1} g$$
#
# Take an elongated bowl first, $f = \tfrac12 (x^2 + 20 y^2)$. Along an eigenvector with eigenvalue
# $\lambda$, a step of gradient descent multiplies the distance by $1 - \eta\lambda$. So $\eta$ must
# be below $2/\lambda_{\max}$, and along $\lambda_{\min}$ progress is slow. Newton needs one step.


# %%
def bowl(p):
    return 0.5 * (p[0] ** 2 + 20 * p[1] ** 2)


def descend(f, p, rate, steps):
    """Where gradient descent goes."""
    path = [p]
    for _ in range(steps):
        path.append(path[-1] - rate * tg.grad(f)(path[-1]))
    return np.array(path)


def newton(f, p, steps):
    """Where Newton's method goes."""
    path = [p]
    for _ in range(steps):
        step = np.linalg.solve(tg.hessian(f)(path[-1]), -tg.grad(f)(path[-1]))
        path.append(path[-1] + step)
    return np.array(path)


def draw_paths(f, lowest, span, **paths):
    """Lines of equal height around the minimum, and the paths."""
    node = Tensor(lowest, dtype=np.float64)
    axes = viz.plots.loss_landscape(
        lambda: f(node) + 0.02,  # a little higher, for a logarithmic scale
        [("p", node)],
        directions=([[1.0, 0.0]], [[0.0, 1.0]]),
        span=span,
        resolution=61,
    )
    axes.lines[0].set_label("minimum")
    for (name, path), style in zip(paths.items(), ("o-", "s--"), strict=False):
        axes.plot(*(path - lowest).T, style, color="w", markersize=4, linewidth=1.2, label=name)
    axes.set_xlabel("x, from the minimum")
    axes.set_ylabel("y, from the minimum")
    legend = axes.legend(loc="upper left", fontsize=9, facecolor="#1f2328", labelcolor="w")
    legend.get_frame().set_alpha(0.6)
    return axes


start = np.array([2.0, 0.5])
by_descent, by_newton = descend(bowl, start, 0.09, 20), newton(bowl, start, 1)

factors = 1 - 0.09 * np.array([1.0, 20.0])
assert np.allclose(by_descent[-1], start * factors**20)
assert np.allclose(by_newton[-1], 0)
assert abs(descend(bowl, start, 0.101, 100)[-1]).max() > 3  # above 2/20: it diverges

draw_paths(bowl, np.zeros(2), 2.4, descent=by_descent, newton=by_newton)

# %% [markdown]
# In the bending valley the Hessian changes from place to place, and one step is not enough. But
# once Newton's method is near, the number of right digits doubles with each step. Gradient descent
# bounces into the valley at once, and then crawls along it.

# %%
by_descent = descend(valley, p, 0.03, 1500)
by_newton = newton(valley, p, 10)
distance = {
    "gradient descent": np.linalg.norm(by_descent - lowest, axis=1)[:60],
    "newton": np.linalg.norm(by_newton - lowest, axis=1),
}
assert distance["newton"][-1] < 1e-12
needed = int(np.argmax(np.linalg.norm(by_descent - lowest, axis=1) < 1e-6))
assert needed > 500
print(f"steps until 1e-6 from the minimum: Newton {np.argmax(distance['newton'] < 1e-6)},", end=" ")
print(f"gradient descent {needed}")

draw_paths(valley, lowest, 2.4, descent=by_descent[:60], newton=by_newton)

# %%
for i, d in enumerate(distance["newton"]):
    if 1e-7 < d < 1e-1:  # twice as many right digits: the distance is squared, but for a factor
        assert distance["newton"][i + 1] < 5 * d**2

viz.plots.lines(
    {name: d[d > 1e-16] for name, d in distance.items()}, "point of the path", "distance"
)

# %% [markdown]
# Why does nobody train networks like that? $H$ is too large to store and to solve with; and Newton
# looks for a gradient of 0, not for a minimum. Where the curvature is negative it walks *uphill*:
# on $f = x^4 - x^2$ from $x = 0.2$ it ends on the hilltop at 0. Methods that use curvature in
# practice (L-BFGS, or conjugate gradients with `hvp`) take care of both.


# %%
def two_valleys(x):
    return x**4 - x**2


t = 0.2
for _ in range(6):
    t = t - tg.grad(two_valleys)(t) / tg.grad(tg.grad(two_valleys))(t)
assert abs(t) < 1e-12
assert tg.grad(tg.grad(two_valleys))(0.0) == -2.0  # a maximum
assert two_valleys(0.2) < two_valleys(t)  # it went up

viz.plots.activations([two_valleys], low=-0.9, high=0.9)

# %% [markdown]
# ## A network that solves a differential equation
#
# Find the function with
#
# $$y'(x) = -2\,x\,y(x), \qquad y(0) = 1$$
#
# on $[0, 2]$. You know the answer, $y = e^{-x^2}$, and will use it only to check. Let a small
# network $N$ with parameters $\theta$ make the guess $y_\theta(x) = 1 + x\,N_\theta(x)$, which has
# $y_\theta(0) = 1$ whatever $N$ is. The loss is by how much the equation is violated, at 40 points:
#
# $$L(\theta) = \frac1{40} \sum_i \big(y_\theta'(x_i) + 2\,x_i\,y_\theta(x_i)\big)^2$$
#
# No value of the solution is in it. But a derivative *by the input* is, and training differentiates
# that *by the parameters*: just what you did with the neuron above.

# %%
nn.manual_seed(0)
network = nn.Sequential(
    nn.Linear(1, 16, nonlinearity="tanh"),
    nn.Tanh(),
    nn.Linear(16, 16, nonlinearity="tanh"),
    nn.Tanh(),
    nn.Linear(16, 1),
).to(np.float64)


def guess(x):
    return 1 + x * network(x)


points = np.linspace(0, 2, 40).reshape(-1, 1)


def violation():
    x = Tensor(points, requires_grad=True, dtype=np.float64)
    y = guess(x)
    # Each y depends on its own x alone, so the gradient of the sum has all the slopes.
    slopes = gradients(y.sum(), create_graph=True)[x]
    return ((slopes + 2 * x * y) ** 2).mean()


# The slopes are right: they are those of finite differences...
with tg.no_grad():
    secants = (guess(points + h).data - guess(points - h).data) / (2 * h)
x = Tensor(points, requires_grad=True, dtype=np.float64)
assert np.allclose(gradients(guess(x).sum())[x], secants, atol=1e-8)

# ... and so are the gradients of the loss by the parameters, through the slopes.
weight = network[2].weight
violation().backward()
analytic = weight.grad[3, 5]
weight.data[3, 5] += h
above = violation().item()
weight.data[3, 5] -= 2 * h
below = violation().item()
weight.data[3, 5] += h
assert math.isclose(analytic, (above - below) / (2 * h), rel_tol=1e-5)

# %% [markdown]
# L-BFGS suits it: few parameters, no noise, and it learns the curvature from the gradients it sees.

# %%
optimizer = nn.optim.LBFGS(
    network.parameters(),
    max_iter=300,
    tolerance_grad=1e-9,
    tolerance_change=1e-14,
    line_search_fn="strong_wolfe",
)
losses = []


def closure():
    optimizer.zero_grad()
    loss = violation()
    loss.backward()
    losses.append(loss.item())
    return loss


optimizer.step(closure)
assert losses[-1] < 1e-5 * losses[0]

viz.plots.lines({"violation": losses}, "evaluation", "loss")

# %%
between = np.linspace(0, 2, 401).reshape(-1, 1)  # most of these were not among the points
with tg.no_grad():
    error = abs(guess(between).data - np.exp(-(between**2)))
assert guess(np.zeros((1, 1))).item() == 1
assert error.max() < 1e-3
print(f"largest error on [0, 2]: {error.max():.1e}")


def network_solution(x):
    return guess(x.reshape(-1, 1)).reshape(x.shape)


def exact_solution(x):
    return np.exp(-(x**2))


viz.plots.activations([network_solution, exact_solution], low=0, high=2)

# %% [markdown]
# Solid lines are $y$, dashed ones $y'$: the network has learned both, though it was shown neither.
# Outside of $[0, 2]$ nothing was asked of it, and the error is hundreds of times larger.

# %%
with tg.no_grad():
    outside = abs(guess(np.array([[4.0]])).item() - math.exp(-16))
assert outside > 100 * error.max()
print(f"error at x = 4: {outside:.2f}")

# %% [markdown]
# ## Exercises
#
# **1.** Show on an example that the Jacobian of $g \circ f$ is the product $J_g J_f$, and that
# pulling a vector back through $g$ and then through $f$ gives the same as a vjp of $g \circ f$. For
# functions $\mathbb R^{n} \to \mathbb R^{n} \to \mathbb R$: how many multiplications does it take
# to multiply the chain from the left, and from the right, if there are $k$ functions
# $\mathbb R^{n} \to \mathbb R^{n}$ before the last one?

# %% jupyter={"source_hidden": true} tags=["solution"]
A = np.random.default_rng(1).normal(size=(3, 2))


def outer_function(p):
    return np.tanh(A @ p)


def composed(p):
    return outer_function(cartesian(p))


J_f, J_g = tg.jacobian(cartesian)(here), tg.jacobian(outer_function)(cartesian(here))
assert np.allclose(tg.jacobian(composed)(here), J_g @ J_f)

u = np.array([1.0, -2.0, 0.5])
_, through_f = tg.vjp(cartesian, here)
_, through_g = tg.vjp(outer_function, cartesian(here))
_, through_both = tg.vjp(composed, here)
assert np.allclose(through_f(through_g(u)[0])[0], through_both(u)[0])
# From the left, which is backward, every product is a row times a matrix: k n². From the right
# every product but the last is a matrix times a matrix: (k - 1) n³ + n².

# %% [markdown]
# **2.** The largest eigenvalue $\lambda$ of the Hessian of a loss tells the largest learning rate,
# $2/\lambda$. Find it for the logistic regression below by *power iteration*: multiply a vector by
# $H$ and normalise it, 200 times, with `hvp` only. Check it against NumPy, and check that gradient
# descent converges a little below $2/\lambda$ and not a little above, from a start near the
# minimum.

# %%
rng = np.random.default_rng(0)
features = rng.normal(size=(60, 5)) * [1, 1, 1, 1, 4]
signs = np.where(rng.random(60) < 0.5, 1.0, -1.0)


def logistic_loss(w):
    return np.mean(np.logaddexp(0, -signs * (features @ w))) + 0.05 * (w**2).sum()


# %% jupyter={"source_hidden": true} tags=["solution"]
minimum = np.zeros(5)
for _ in range(10):
    minimum = newton(logistic_loss, minimum, 1)[-1]
assert np.allclose(tg.grad(logistic_loss)(minimum), 0, atol=1e-12)

v = rng.normal(size=5)
for _ in range(200):
    v = tg.hvp(logistic_loss, (minimum,), (v,))
    v /= np.linalg.norm(v)
largest = v @ tg.hvp(logistic_loss, (minimum,), (v,))
assert math.isclose(largest, np.linalg.eigvalsh(tg.hessian(logistic_loss)(minimum))[-1])

near = minimum + 1e-3 * v
below = descend(logistic_loss, near, 0.95 * 2 / largest, 100)
above = descend(logistic_loss, near, 1.05 * 2 / largest, 100)
assert np.linalg.norm(below[-1] - minimum) < 1e-4 * np.linalg.norm(near - minimum)
assert np.linalg.norm(above[-1] - minimum) > 10 * np.linalg.norm(near - minimum)

# %% [markdown]
# **3.** Solve the harmonic oscillator $y'' = -y$ with $y(0) = 0$, $y'(0) = 1$ on $[0, 3]$ in the
# same way. Which guess has both initial conditions built in? How many derivatives, one inside the
# other, does a step of training take?

# %% jupyter={"source_hidden": true} tags=["solution"]
# y = x + x² N(x) has y(0) = 0 and y'(0) = 1. Three: twice by x, then by the parameters.
nn.manual_seed(0)
oscillator = nn.Sequential(nn.Linear(1, 16, nonlinearity="tanh"), nn.Tanh(), nn.Linear(16, 1)).to(
    np.float64
)
times = np.linspace(0, 3, 40).reshape(-1, 1)


def position(x):
    return x + x**2 * oscillator(x)


def oscillator_violation():
    x = Tensor(times, requires_grad=True, dtype=np.float64)
    y = position(x)
    velocity = gradients(y.sum(), create_graph=True)[x]
    acceleration = gradients(velocity.sum(), create_graph=True)[x]
    return ((acceleration + y) ** 2).mean()


optimizer = nn.optim.LBFGS(
    oscillator.parameters(),
    max_iter=400,
    tolerance_grad=1e-9,
    tolerance_change=1e-14,
    line_search_fn="strong_wolfe",
)


def oscillator_closure():
    optimizer.zero_grad()
    loss = oscillator_violation()
    loss.backward()
    return loss


optimizer.step(oscillator_closure)
with tg.no_grad():
    error = abs(position(times).data - np.sin(times)).max()
print(f"largest error: {error:.1e}")
assert error < 1e-2


def oscillation(x):
    return position(x.reshape(-1, 1)).reshape(x.shape)


viz.plots.activations([oscillation, np.sin], 0, 3)
