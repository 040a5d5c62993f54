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
# # 1 · A value and the chain rule
#
# **After this notebook you can** read an expression as a graph, work out every derivative in it by
# hand, and say why `backward` visits nodes in the order it does, and adds instead of assigning.\
# **It takes** about 45 minutes.\
# **Before it** come derivatives of one variable, as at school, and a little Python. Nothing else.

# %%
from itertools import permutations
from math import isclose, tanh

import viz
from tinygrad_edu import Value, source_lines, topological_order

# %% [markdown]
# ## An expression is a graph
#
# A `Value` is one number. When you compute with Values, each result remembers the operation that
# made it and what it was made from.

# %%
p, q, r = Value(1.5, label="p"), Value(-2.0, label="q"), Value(5.0, label="r")

u = p * q
v = u + r
L = v**2
u.label, v.label, L.label = "u", "v", "L"

assert (u.data, v.data, L.data) == (-3.0, 2.0, 4.0)
assert u.op.name == "multiply"
assert u.inputs == (p, q)
assert p.op is None  # p was made by nothing: a leaf

# %% [markdown]
# Drawn, it is a graph: boxes are numbers, and an arrow leads from each number to the results it
# went into. The number on an arrow is the *local derivative*: how fast the head of the arrow moves
# when you move its tail, and nothing else.

# %%
viz.draw(L)

# %% [markdown]
# Check one of these numbers as you would check any slope: move the tail a little, both ways, and
# look at the head. For $u = pq$ the rule says $\partial u/\partial p = q = -2$.


# %%
def slope(f, x, h=1e-6):
    """The central difference (f(x + h) - f(x - h)) / 2h."""
    return (f(x + h) - f(x - h)) / (2 * h)


local = {
    ("u", "p"): slope(lambda p: p * q.data, p.data),
    ("u", "q"): slope(lambda q: p.data * q, q.data),
    ("v", "u"): slope(lambda u: u + r.data, u.data),
    ("v", "r"): slope(lambda r: u.data + r, r.data),
    ("L", "v"): slope(lambda v: v**2, v.data),
}
by_rule = {
    ("u", "p"): q.data,
    ("u", "q"): p.data,
    ("v", "u"): 1.0,
    ("v", "r"): 1.0,
    ("L", "v"): 2 * v.data,
}
for arrow, number in local.items():
    assert isclose(number, by_rule[arrow], abs_tol=1e-8)
    print("∂{}/∂{} = {:+.6f}".format(*arrow, number))

# %% [markdown]
# ## The chain rule, by hand
#
# You want $\partial L/\partial p$: how fast does the *end* move when you move $p$? Moving $p$ by a
# small $\varepsilon$ moves $u$ by $-2\varepsilon$. That moves $v$ by the same amount, and $L$ by
# four times as much. Rates multiply along a path:
#
# $$\frac{\partial L}{\partial p}
#   = \frac{\partial L}{\partial v}\cdot\frac{\partial v}{\partial u}\cdot
#     \frac{\partial u}{\partial p}
#   = 4 \cdot 1 \cdot (-2) = -8 .$$
#
# Going backwards from $L$ you need each product once, and reuse it for everything further down:

# %%
dL_dL = 1.0
dL_dv = dL_dL * 2 * v.data
dL_du = dL_dv * 1.0
dL_dr = dL_dv * 1.0
dL_dp = dL_du * q.data
dL_dq = dL_du * p.data

assert (dL_dp, dL_dq, dL_dr) == (-8.0, 6.0, 4.0)


def whole(p, q, r):
    return (p * q + r) ** 2


assert isclose(slope(lambda p: whole(p, q.data, r.data), p.data), dL_dp, rel_tol=1e-6)
assert isclose(slope(lambda q: whole(p.data, q, r.data), q.data), dL_dq, rel_tol=1e-6)
assert isclose(slope(lambda r: whole(p.data, q.data, r), r.data), dL_dr, rel_tol=1e-6)

# %% [markdown]
# ## The chain rule, by `backward`
#
# `backward` does exactly this, and leaves $\partial L/\partial\,\cdot$ in the `grad` of every node.

# %%
L.backward()

assert (p.grad, q.grad, r.grad) == (dL_dp, dL_dq, dL_dr)
assert (u.grad, v.grad, L.grad) == (dL_du, dL_dv, dL_dL)
viz.text.tree(L)

# %% [markdown]
# In the picture, colour is the gradient: the stronger, the more that number matters to $L$; one
# hue for positive, the other for negative. With `formulas=True` each arrow also says which rule its
# number came from. Follow any path from $L$ backwards and multiply.

# %%
viz.draw(L, formulas=True)

# %% [markdown]
# ## Step through it
#
# Below is the same computation, one step at a time: press play, or use the arrow keys. Each
# backward step shows the rule with the numbers put in. Drag a leaf and everything is computed anew.
# `source_lines()` is why a click on a node can show you the line of code that made it.

# %%
with source_lines():
    s = p * q
    t = s + r
    M = t.tanh() * p  # p is used a second time
s.label, t.label, M.label = "s", "t", "M"

viz.page(M, title="M = tanh(p q + r) · p")

# %% [markdown]
# ## Two paths: their products add
#
# In the page, $p$ went into two results, $s$ and $M$. If you move $p$, both move, and $M$ feels
# both. To first order the two effects add. So the whole chain rule is: **multiply along each path,
# add over all paths.**
#
# $$\frac{\partial M}{\partial p}
#   = \underbrace{(1-\tanh^2 t)\,p \cdot 1 \cdot q}_{\text{through } s}
#   \;+\; \underbrace{\tanh t}_{\text{directly}}$$

# %%
through_s = (1 - tanh(t.data) ** 2) * p.data * q.data
directly = tanh(t.data)

for leaf in (p, q, r):
    leaf.zero_grad()
M.backward()
assert isclose(p.grad, through_s + directly)
assert isclose(p.grad, slope(lambda p: tanh(p * q.data + r.data) * p, p.data), rel_tol=1e-6)
print(f"through s: {through_s:+.4f}   directly: {directly:+.4f}   together: {p.grad:+.4f}")

# %% [markdown]
# Adding over paths one by one would be hopeless, though, because there are so many. Double a number
# $n$ times, $y_{k+1} = y_k + y_k$: each doubling has two arrows, so $2^n$ paths lead from $x$ to
# the end.

# %%
x = Value(1.0, label="x")
y = x
for _ in range(3):
    y = y + y
y.label = "y"
viz.draw(y)


# %%
def doubled(x, n):
    for _ in range(n):
        x = x + x
    return x


def count_paths(node, to):
    """How many paths lead from ``to`` up to ``node``: by walking every one of them."""
    if node is to:
        return 1
    return sum(count_paths(each, to) for each in node.inputs if isinstance(each, Value))


depths = range(1, 15)
paths, visits = [], []
for n in depths:
    x = Value(1.0)
    y = doubled(x, n)
    paths.append(count_paths(y, x))
    visits.append(len(topological_order(y)))

assert paths == [2**n for n in depths]
assert visits == [n + 1 for n in depths]
viz.plots.overlaid_curves(
    {
        "paths from x to y": [{"number": each} for each in paths],
        "nodes that backward visits": [{"number": each} for each in visits],
    },
    "number",
)

# %% [markdown]
# `backward` visits each node **once**. It can, because a node's gradient is all that the nodes
# before it need to know of everything that comes after:
#
# $$\frac{\partial L}{\partial x}
#   = \sum_{y\ \text{made from}\ x}
#     \frac{\partial L}{\partial y}\cdot\frac{\partial y}{\partial x} .$$
#
# A thousand doublings have $2^{1000}$ paths, a number of 302 digits. It takes a few milliseconds:

# %%
x = Value(1.0)
doubled(x, 1000).backward()
assert x.grad == 2.0**1000
assert len(str(2**1000)) == 302

# %% [markdown]
# ## Why the order matters
#
# There is one condition. The sum must be complete before you use it: a node may pass its gradient
# on only after **everything made from it** has passed its own. That is a reverse topological order.
#
# To see what goes wrong otherwise, build a graph with a shared node in the middle, and write it
# down in plain Python: for each result, what it was made from and the local derivatives.

# %%
x = Value(2.0, label="x")
a = x**2
b = 3 * a
c = b + 1
L = a * c
a.label, b.label, c.label, L.label = "a", "b", "c", "L"
viz.draw(L)

# %%
made_from = {
    "L": [("a", c.data), ("c", a.data)],  # ∂L/∂a = c, ∂L/∂c = a
    "c": [("b", 1.0)],
    "b": [("a", 3.0)],
    "a": [("x", 2 * x.data)],
}


def backward_in(order):
    """Pass gradients back, visiting the results in this order."""
    grad = dict.fromkeys("Lcbax", 0.0)
    grad["L"] = 1.0
    for y in order:
        for x, derivative in made_from[y]:
            grad[x] += grad[y] * derivative
    return grad


# L = x² (3x² + 1) = 3x⁴ + x², so dL/dx = 12x³ + 2x = 100 at x = 2.
right = backward_in("Lcba")
wrong = backward_in("Lacb")
assert right["x"] == 12 * 2**3 + 2 * 2 == 100
assert wrong["x"] == 52
print("L, c, b, a:", right)
print("L, a, c, b:", wrong)

# %% [markdown]
# In the second order $a$ came too early: it had heard from $L$ but not yet from $b$. It passed
# 13 · 4 = 52 on to $x$. The 12 that arrived from $b$ afterwards stayed in $a$: look, `a` is right
# (25) and `x` is not. A traversal that simply follows the arrows back, nearest first, makes
# precisely this mistake, for $a$ is a neighbour of $L$:


# %%
def nearest_first(start):
    """The results in the order in which a queue reaches them."""
    queue, seen = [start], []
    while queue:
        y = queue.pop(0)
        if y in made_from and y not in seen:
            seen.append(y)
            queue += [x for x, _ in made_from[y]]
    return seen


assert nearest_first("L") == ["L", "a", "c", "b"]
assert wrong["a"] == right["a"] == 25

# %% [markdown]
# Try all 24 orders. Those that give the right gradients are those that respect the rule, and
# no other:


# %%
def everyone_after_its_users(order):
    place = {y: i for i, y in enumerate(order)}
    return all(place[y] < place[x] for y in order for x, _ in made_from[y] if x in place)


good = [order for order in permutations("Lcba") if backward_in(order) == right]
assert good == [order for order in permutations("Lcba") if everyone_after_its_users(order)]
assert good == [("L", "c", "b", "a")]

# %% [markdown]
# The engine gets its order from `topological_order`, where each node stands after its inputs;
# `backward` goes through that from the end.

# %%
order = topological_order(L)
print(" → ".join(node.label for node in reversed(order)))
assert all(
    order.index(each) < order.index(node)
    for node in order
    for each in node.inputs
    if isinstance(each, Value)
)
L.backward()
assert {node.label: node.grad for node in order} == right

# %% [markdown]
# ## Why gradients accumulate
#
# The sum over paths has a consequence in the code: `grad` must be **added to**. Assign instead, and
# the last path overwrites the others. The smallest graph where you can see it is $y = x \cdot x$:
# two arrows leave the same box.

# %%
x = Value(3.0, label="x")
y = x * x
y.label = "y"
viz.draw(y)

# %%
arrows = [x.data, x.data]  # ∂(ab)/∂a = b and ∂(ab)/∂b = a, and both a and b are x

assigned = 0.0
for derivative in arrows:
    assigned = 1.0 * derivative

added = 0.0
for derivative in arrows:
    added += 1.0 * derivative

y.backward()
assert assigned == 3.0  # half of the truth
assert added == x.grad == 2 * x.data == 6.0

# %% [markdown]
# It follows that a **second** `backward` adds a second time. That is on purpose: gradients of a sum
# of losses are sums of gradients, so you may go through a batch one loss at a time. But between one
# step of training and the next *you* have to set them back.

# %%
y.backward()
assert x.grad == 2 * 6.0  # twice the gradient

x.zero_grad()
y.backward()
assert x.grad == 6.0

one_by_one = Value(0.5)
for target in (1.0, 2.0, 4.0):
    ((one_by_one - target) ** 2).backward()
at_once = Value(0.5)
sum((at_once - target) ** 2 for target in (1.0, 2.0, 4.0)).backward()
assert isclose(one_by_one.grad, at_once.grad)

# %% [markdown]
# Forgetting `zero_grad` is no crash, only bad training. Here both runs minimise $(x-3)^2$ by
# $x \leftarrow x - 0.1\,\partial L/\partial x$. The one that forgets steps along the sum of all
# gradients so far, and swings past its goal for ever.


# %%
def descend(forgets, steps=40):
    x, seen = Value(0.0), []
    for _ in range(steps):
        seen.append({"x": x.data})
        if not forgets:
            x.zero_grad()
        ((x - 3) ** 2).backward()
        x.data -= 0.1 * x.grad
    return seen


runs = {"with zero_grad": descend(forgets=False), "without": descend(forgets=True)}
last = {name: [row["x"] for row in run[-15:]] for name, run in runs.items()}
assert all(abs(x - 3) < 0.02 for x in last["with zero_grad"])
assert max(last["without"]) > 5.5
assert min(last["without"]) < 0.5
viz.plots.overlaid_curves(runs, "x")

# %% [markdown]
# ## Exercises
#
# **1. On paper.** For $f = w\,\tanh(w x)$ at $w = 0.5$, $x = 2$, write down
# $\partial f/\partial w$ and $\partial f/\partial x$. How many paths lead from $w$ to $f$? Then
# check yourself with a graph.

# %% jupyter={"source_hidden": true} tags=["solution"]
w, x = Value(0.5, label="w"), Value(2.0, label="x")
f = w * (w * x).tanh()
f.backward()

h = tanh(0.5 * 2.0)
assert isclose(w.grad, h + 0.5 * (1 - h**2) * 2.0)  # directly, and through w x
assert isclose(x.grad, 0.5 * (1 - h**2) * 0.5)
assert count_paths(f, w) == 2
assert count_paths(f, x) == 1

# %% [markdown]
# **2. Count faster.** `count_paths` above walks every path, so it would never finish on 1000
# doublings. Write `count_paths_fast(node, to)` that visits each node once. (What do you get if you
# set every local derivative to 1?)


# %% jupyter={"source_hidden": true} tags=["solution"]
def count_paths_fast(node, to):
    """Backward, with 1 as the local derivative of every arrow."""
    count = {node: 1}
    for y in reversed(topological_order(node)):
        for each in y.inputs:
            if isinstance(each, Value):
                count[each] = count.get(each, 0) + count.get(y, 0)
    return count.get(to, 0)


x = Value(1.0)
assert count_paths_fast(doubled(x, 10), x) == count_paths(doubled(x, 10), x) == 1024
assert count_paths_fast(doubled(x, 1000), x) == 2**1000
assert count_paths_fast(f, w) == 2

# %% [markdown]
# **3. Squares of squares.** Start with $y = x$ and replace $y$ by $y \cdot y$ five times. Which
# power of $x$ is that, and what is its derivative at $x = 0.9$? What would a `backward` that
# *assigns* instead of adding give? Derive it before you compute it.


# %% jupyter={"source_hidden": true} tags=["solution"]
x = Value(0.9)
squares = [x]
for _ in range(5):
    squares.append(squares[-1] * squares[-1])
squares[-1].backward()
assert isclose(squares[-1].data, 0.9**32)
assert isclose(x.grad, 32 * 0.9**31)

# y · y has two arrows, each with the local derivative y. One of them is lost in each of five steps.
assigned = 1.0
for y in reversed(squares[:-1]):
    assigned = assigned * y.data
assert isclose(assigned, x.grad / 2**5)
assert isclose(assigned, 0.9**31)
