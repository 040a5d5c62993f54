"""The page in a real browser: what it shows is what the engine computed, and nothing leaves it."""

import sys
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Tensor, Value


@pytest.fixture
def show(browser, tmp_path):
    """Opens a page from a file; afterwards, nothing was said on the console, nothing was asked of
    a network."""
    faults, contexts = [], []

    def opened(page, **options):
        context = browser.new_context(viewport={"width": 1400, "height": 800}, **options)
        contexts.append(context)
        tab = context.new_page()
        path = page.save(tmp_path / "backprop.html")
        tab.on("console", lambda message: faults.append(message.text))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda asked: asked.url == path.as_uri() or faults.append(asked.url))
        tab.goto(path.as_uri())
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert not faults


def expression():
    """The graph of the chain rule with a node that is used twice: L = (a b + c) f + a / 2."""
    a, b, c, f = (Value(x, label=label) for x, label in zip((2, -3, 10, -2), "abcf", strict=True))
    e = a * b
    e.label = "e"
    loss = (e + c) * f + a / 2
    loss.label = "L"
    return loss, {"a": a, "b": b, "c": c, "f": f}


def network(seed=0):
    model = nn.MLP(2, [3, 3, 1], "tanh", rng=np.random.default_rng(seed))
    loss = (model([Value(0.5, label="x0"), Value(-1.0, label="x1")]) - 1) ** 2
    loss.label = "loss"
    return loss


def numbers(tab):
    """What every box in sight says: its name, then its data and gradient as numbers."""
    return tab.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(".box")].map((box) => [
            Number(box.dataset.item.slice(1)),
            [...box.querySelectorAll("text")].map((text) => text.textContent.replaceAll("−", "-")),
        ]))"""
    )


# Of every text in a box: the ratio of its luminance to that of the box, the lighter to the darker.
CONTRASTS = """() => {
    const luminance = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    return [...document.querySelectorAll(".box")].flatMap((box) => {
        const behind = luminance(getComputedStyle(box.querySelector("rect")).fill);
        return [...box.querySelectorAll("text")].map((text) => {
            const ink = luminance(getComputedStyle(text).fill);
            return Math.max(ink, behind) / Math.min(ink, behind);
        });
    });
}"""


def assert_agrees(tab, page, root):
    """The data and gradient in every box are those of the engine, to the four digits shown."""
    found = tg.gradients(root)
    order = tg.topological_order(root)
    shown = numbers(tab)
    for node, box in zip(order, page.content["order"], strict=True):
        title, *_, data, caption, grad = shown[str(box)]
        assert caption == "grad", title
        assert float(data) == pytest.approx(node.data, rel=1e-3)
        assert float(grad) == pytest.approx(found[node], rel=1e-3)


@pytest.mark.parametrize("graph", [lambda: expression()[0], network])
def test_stepping_to_the_end_shows_the_engine_s_numbers(show, graph):
    loss = graph()
    page = viz.page(loss)
    tab = show(page)
    tab.keyboard.press("o")
    tab.keyboard.press("Home")
    assert "Nothing is computed yet" in tab.inner_text("#rule")
    said = []
    while tab.is_enabled("#forth"):
        tab.click("#forth")
        said.append(tab.inner_text("#rule h2"))
    results = sum(not node.is_leaf for node in tg.topological_order(loss))
    assert len(said) == 2 * results + 1  # each op forward, the seed, each op backward
    assert len(set(said)) == len(said)
    assert_agrees(tab, page, loss)


def test_at_every_step_what_a_box_says_stands_out_from_it(show):
    tab = show(viz.page(expression()[0]))
    tab.emulate_media(reduced_motion="reduce")  # or a colour may be on its way to another
    for dark in (False, True):
        tab.emulate_media(color_scheme="dark" if dark else "light")
        tab.keyboard.press("Home")
        least = [tab.evaluate(CONTRASTS)]
        while tab.is_enabled("#forth"):
            tab.click("#forth")
            least.append(tab.evaluate(CONTRASTS))
        assert min(map(min, least)) >= 4.5  # as the Web Content Accessibility Guidelines ask


def test_steps_follow_the_traversal_forward_and_then_in_reverse(show):
    loss = network()
    page = viz.page(loss)
    tab = show(page)
    results = [
        box
        for box, node in zip(page.content["order"], tg.topological_order(loss), strict=True)
        if not node.is_leaf
    ]
    lit = []
    tab.keyboard.press("o")
    tab.keyboard.press("Home")
    for _ in range(2 * len(results) + 1):
        tab.keyboard.press(".")
        lit.append(tab.get_attribute(".lit-forward, .lit-backward", "data-item").removeprefix("n"))
    assert list(map(int, lit)) == [*results, results[-1], *reversed(results)]


def test_a_step_writes_the_rule_with_the_numbers_put_in_and_adds_up_what_is_shared(show):
    tab = show(viz.page(expression()[0]))
    tab.keyboard.press("End")
    written = []
    while tab.inner_text("#rule h2") != "Backward begins":
        written += tab.inner_text("#rule").split("\n")
        tab.keyboard.press(",")
    text = " | ".join(written)
    assert "∂L/∂a += ∂L/∂e · b = −2 · (−3) = 6" in text
    assert "∂L/∂b += ∂L/∂e · a = −2 · 2 = −4" in text
    assert "accumulates: 6 + 0.5 = 6.5 (2 uses so far)" in text


def test_a_leaf_that_is_dragged_gives_the_numbers_of_a_fresh_run(show):
    loss, leaves = expression()
    page = viz.page(loss)
    tab = show(page)
    box = tab.locator(".box", has_text="b").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 90, y, steps=3)
    tab.mouse.up()
    [dragged] = [row for row in numbers(tab).values() if row[0] == "b"]
    assert float(dragged[2]) > leaves["b"].data
    again, fresh = expression()
    assert again is not loss
    leaf = fresh["b"]
    leaf.data = float(dragged[2])
    a, b, c, f = (fresh[name] for name in "abcf")
    assert_agrees(tab, page, (a * b + c) * f + a / 2)


def test_a_number_typed_into_a_leaf_gives_those_of_a_fresh_run(show):
    loss = network()
    page = viz.page(loss)
    tab = show(page)
    tab.keyboard.press("o")
    tab.evaluate("document.querySelector('[data-item] .title').textContent")
    tab.fill("#search", "x1")
    tab.keyboard.press("Enter")
    tab.fill("#leaf-field", "2.5")
    model = nn.MLP(2, [3, 3, 1], "tanh", rng=np.random.default_rng(0))
    assert_agrees(tab, page, (model([Value(0.5), Value(2.5)]) - 1) ** 2)
    tab.click("text=Reset")
    assert_agrees(tab, page, loss)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("graph", ["values", "tensors"])
def test_axe_finds_no_violation(show, axe, scheme, graph):
    tab = show(viz.page(network() if graph == "values" else classifier()), color_scheme=scheme)
    tab.keyboard.press("o")
    tab.keyboard.press(",")
    tab.click(".box >> nth=0", force=True)
    for panel in ("#tab-order", "#tab-node"):
        tab.click(panel)
        tab.evaluate(axe)
        found = tab.evaluate("axe.run()")["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


def classifier():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    x = Tensor(np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype(np.float32), label="x")
    loss = tg.cross_entropy(model(x), np.array([0, 2]))
    loss.label = "loss"
    return loss


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"'`${1}&amp;\\",
    "\u202eright to left\u202c",
    "x" * 10_000,
    "🦔 é 漢字",
    "\x00\x1b[31m\ud800",
    "__proto__",
]


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_labels_modules_and_titles_stay_text(show, label):
    loss = (Value(2.0, label=label) * 3).tanh()
    loss.label = loss.scope = loss.inputs[0].scope = label
    tab = show(viz.page(loss, title=label))
    tab.keyboard.press("o")
    tab.keyboard.press("Home")
    for _ in range(5):
        tab.keyboard.press(".")
    tab.click(".box.leaf", force=True)
    tab.click("#tab-node")
    assert tab.inner_text("#node h2")[:5].strip() == label[:5].strip()
    assert tab.locator("script").count() == 2
    assert tab.locator("img, [onerror]").count() == 0


def test_a_module_opens_and_closes_in_place_and_what_is_in_it_comes_and_goes(show):
    tab = show(viz.page(network()))
    tab.keyboard.press("c")
    closed = tab.locator(".box").count()
    module = tab.locator(".module.closed").first
    before = module.bounding_box()
    module.click()
    opened = tab.locator(".module.opened").first
    assert opened.get_attribute("aria-expanded") == "true"
    after = opened.bounding_box()
    assert (after["x"], after["y"]) == pytest.approx((before["x"], before["y"]), abs=3)
    tab.keyboard.press("Enter")  # it has the focus
    assert tab.locator(".box").count() == closed
    assert tab.locator(".module.opened").count() == 0


@pytest.mark.parametrize("graph", [network, classifier])
def test_whatever_is_open_no_two_boxes_overlap_and_each_is_inside_its_modules(show, graph):
    page = viz.page(graph())
    tab = show(page)
    rng = np.random.default_rng(0)
    tab.keyboard.press("c")
    for _ in range(8):
        places = placed(tab)
        for (one, here), (other, there) in combinations(places.items(), 2):
            nested = is_around(page, one, other) or is_around(page, other, one)
            assert nested or not overlaps(here, there), (one, other)
        for frame, here in places.items():
            for item, there in places.items():
                assert not is_around(page, frame, item) or contains(here, there)
        modules = tab.locator(".module.closed")
        if modules.count():
            modules.nth(int(rng.integers(modules.count()))).focus()
            tab.keyboard.press("Enter")


def placed(tab):
    """Left, top, width and height of everything in sight."""
    return tab.evaluate(
        """() => {
            const place = (group) => {
                const { e, f } = group.transform.baseVal.consolidate().matrix;
                const { width, height } = group.querySelector("rect:not(.behind)");
                return [group.dataset.item, [e, f, width.baseVal.value, height.baseVal.value]];
            };
            const items = document.querySelectorAll("#view [data-item]");
            return Object.fromEntries([...items].map(place));
        }"""
    )


def is_around(page, module, item):
    """Whether a module is one of those around an item."""
    number, content = int(item[1:]), page.content
    path = (
        content["modules"][number]["parent"]
        if item[0] == "m"
        else content["boxes"][number]["group"]
    )
    outer = content["modules"][int(module[1:])]["path"] if module[0] == "m" else None
    return outer is not None and f"{path}.".startswith(f"{outer}.")


def overlaps(a, b):
    return all(a[k] + a[k + 2] > b[k] + 0.5 and b[k] + b[k + 2] > a[k] + 0.5 for k in (0, 1))


def contains(frame, place):
    return all(
        frame[k] <= place[k] + 0.5 and place[k] + place[k + 2] <= frame[k] + frame[k + 2] + 0.5
        for k in (0, 1)
    )


def test_search_finds_a_node_in_a_closed_module_opens_that_and_shows_it(show):
    tab = show(viz.page(classifier()))
    tab.keyboard.press("c")
    tab.keyboard.press("/")
    tab.keyboard.type("WEIGHT")
    assert tab.inner_text("#found") == "2 found"
    tab.keyboard.press("Enter")
    assert tab.inner_text("#node h2") == "weight"
    assert tab.locator(".box.parameter.selected").count() == 1


def test_the_keyboard_goes_from_node_to_node_along_the_picture(show):
    tab = show(viz.page(expression()[0]))
    tab.locator("[data-item][tabindex='0']").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight"):
        tab.keyboard.press(key)
    tab.keyboard.press("Enter")
    assert tab.inner_text("#node h2") == "L"


def test_it_plays_by_itself_and_pauses(show):
    tab = show(viz.page(expression()[0]))
    tab.select_option("#speed", "30")
    tab.click("#play")
    tab.locator("#where", has_text="all").wait_for()
    assert tab.get_attribute("#play", "aria-label") == "Play"


def test_a_gradient_that_is_missing_zero_or_nan_is_marked_by_more_than_colour(show):
    a, zero, lost, broken = (Value(x) for x in (1.0, 0.0, 3.0, 0.0))
    loss = a * zero + lost // 2 + broken**0.5
    page = viz.page(loss)
    tab = show(page)
    marks = {
        node: set(tab.get_attribute(f"[data-item=n{box}]", "class").split())
        for node, box in zip(tg.topological_order(loss), page.content["order"], strict=True)
    }
    assert "vanished" in marks[a]
    assert "missing" in marks[lost]
    assert "exploded" in marks[broken]
    assert not {"vanished", "missing", "exploded"} & marks[zero]


def test_a_tensor_shows_its_statistics_gradient_source_line_and_shapes(show):
    x = Tensor(np.arange(60.0).reshape(3, 20), label="x", requires_grad=True)
    b = Tensor(np.ones(20), label="b", requires_grad=True)
    with tg.source_lines():
        y = x + b
        loss = (y * y).mean()
    tab = show(viz.page(loss))
    text = []
    for name in ("x", "v"):
        tab.locator(".box", has_text=name).first.click(force=True)
        tab.click("#tab-node")
        text.append(tab.inner_text("#node"))
    assert "(3, 20)" in text[0]
    assert f"{29.5:.4g}" in text[0]  # the mean of 0 ... 59
    assert tab.locator("#node canvas").count() == 2
    assert "test_page.py" in text[1]


def test_a_notebooks_lines_are_named_by_their_cell(monkeypatch):
    class Compiler:
        def format_code_name(self, file):
            return ("Cell", "In[7]") if file == __file__ else None

    shell = SimpleNamespace(compile=Compiler())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with tg.source_lines():
        y = Value(2.0) * 3
    box = viz.page(y).content["boxes"][-1]
    assert box["line"].startswith("In[7], line ")
    assert box["code"] == "y = Value(2.0) * 3"
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(tg.AnomalyError, match=r"log, called at In\[7\], line \d+, gave nan"),
        tg.detect_anomaly(),
    ):
        tg.log(Value(-1.0))


def test_the_legend_fits_beside_the_buttons_of_a_page_as_narrow_as_a_notebook(show):
    tab = show(viz.page(expression()[0]))
    tab.set_viewport_size({"width": 850, "height": 680})
    zoom = tab.locator("#zoom").bounding_box()
    shades = [shade.bounding_box() for shade in tab.locator("#legend .shades span").all()]
    assert shades
    assert all(shade["x"] + shade["width"] <= zoom["x"] for shade in shades)


def test_in_a_notebook_it_is_a_frame_that_cannot_touch_the_notebook(browser):
    page = viz.page(expression()[0])
    html = page._repr_html_()
    tab = browser.new_page()
    tab.set_content(f"<body>{html}</body>")
    frame = tab.frames[1]
    assert frame.locator(".box").count() == len(page.content["boxes"])
    assert 'sandbox="allow-scripts"' in html
    tab.close()
