"""Every kind of picture that viz draws, in one page, of small models trained for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import nn
import tinygrad_edu as tg
import viz
from tinygrad_edu import Tensor, TinygradError, Value
from tinygrad_edu.cli import scalar
from tinygrad_edu.graph import plain
from viz.plots import theme as plot_theme
from viz.report import Section, report
from viz.scale import ThemeName

# A heading, what is to be seen, and how the picture is made.
Entry = tuple[str, str, Callable[[], Any]]


@dataclass(frozen=True)
class Network:
    """A small convolutional network that learned to read digits, and what was seen of it."""

    model: nn.Sequential
    history: nn.training.History
    recorder: viz.Recorder
    held_out: nn.data.Dataset

    @classmethod
    def trained(cls, activation: type[nn.Module], lr: float, epochs: int) -> Network:
        """Trained from scratch on 720 digits."""
        with nn.random.seeded(0):
            model = nn.Sequential(
                nn.Conv2d(1, 8, 3, padding=1),
                activation(),
                nn.MaxPool2d(2),
                nn.Conv2d(8, 16, 3, padding=1),
                activation(),
                nn.Flatten(),
                nn.Linear(16 * 4 * 4, 10),
            )
            train, held_out = nn.data.random_split(nn.data.digits(), [0.4, 0.6])
            recorder = viz.recorder(model, keep=40)
            optimizer = nn.optim.Adam(model.parameters(), lr=lr)
            trainer = nn.training.Trainer(model, optimizer, callbacks=[recorder])
            history = trainer.fit(train, validation=0.2, epochs=epochs)
        model.eval()
        return cls(model, history, recorder, held_out)

    def loss(self, samples: int = 8) -> Tensor:
        """The loss of some held-out samples, with its graph."""
        inputs, targets = self.held_out.batch(range(samples))
        loss: Tensor = nn.functional.cross_entropy(self.model(Tensor(inputs, label="x")), targets)
        loss.label = "loss"
        return loss


def write_gallery(
    folder: Path, theme: ThemeName, progress: Callable[[str, float], None]
) -> list[Path]:
    """Draw everything, and write ``gallery.html`` and the pages it links to.

    Args:
        folder: where to; it exists.
        theme: of the pictures.
        progress: told what is next, and what share is done.

    Returns:
        The files.
    """
    progress("training", 0.0)
    network = Network.trained(nn.ReLU, lr=0.003, epochs=4)
    sections = []
    files: list[Path] = []
    with nn.random.seeded(0), tg.source_lines(), plot_theme(theme):
        entries = [*_drawings(network, theme), *_plots(network), *_texts(network), *_pages(network)]
        for i, (heading, text, make) in enumerate(entries):
            progress(heading, (i + 1) / (len(entries) + 1))
            made = make()
            if isinstance(made, viz.Page):
                files.append(made.save(folder / f"page{len(files)}.html"))
                link = files[-1].name, made.title
                sections.append(Section(heading, text, link=link))
            elif isinstance(made, viz.Drawing):
                sections.append(Section(heading, text, svg=made.svg()))
            elif isinstance(made, viz.text.Printout):
                sections.append(Section(heading, text, printout=str(made)))
            else:
                sections.append(Section(heading, text, svg=viz.plots.svg(made)))
    title = "What tinygrad-edu can show"
    return [report(title, sections, folder / "gallery.html"), *files]


def _drawings(network: Network, theme: ThemeName) -> Iterator[Entry]:
    draw = partial(viz.draw, theme=theme)
    yield (
        "viz.draw(y, names=locals(), formulas=True)",
        "One neuron, in Values: data, gradients, and the local derivatives as formulas.",
        lambda: draw(**_neuron(), formulas=True),
    )
    yield (
        "viz.draw(error.graph)",
        "The graph up to an operation that failed.",
        lambda: draw(_failed()),
    )
    yield (
        "viz.draw(y): gradients that vanished, exploded or got lost",
        "They are marked by words and borders, not by colour alone.",
        lambda: draw(_troubled()),
    )
    model, loss = _scalar_network([4, 4, 1])
    yield (
        "viz.draw_neurons(model, loss)",
        "A network of Values as circles and lines: activations, weights, and their gradients.",
        lambda: viz.draw_neurons(model, loss, theme=theme),
    )
    wide, its_loss = _scalar_network([8, 8, 1])
    yield (
        "viz.draw_neurons of more neurons",
        "Where there is no room for the numbers of every weight.",
        lambda: viz.draw_neurons(wide, its_loss, theme=theme),
    )
    yield (
        "viz.draw(loss) of a graph of Values too large to read",
        "Modules are closed by themselves, as far as it takes.",
        lambda: draw(loss),
    )
    yield (
        "viz.draw(loss, focus=node, radius=2)",
        "What is near one node of that graph.",
        lambda: draw(loss, focus=model.layers[1].neurons[0].z, radius=2),
    )
    yield (
        "viz.draw(loss) of Tensors",
        "A convolutional network, with the norms of its gradients.",
        lambda: draw(network.loss(), direction="TB"),
    )
    yield (
        "viz.draw(loss, constants=False, only_parameters=True)",
        "Only what a gradient of a parameter flows through.",
        lambda: draw(network.loss(), constants=False, only_parameters=True, direction="TB"),
    )
    yield (
        "viz.draw(loss, depth=1) of ResNet-18",
        "Each stage as one box.",
        lambda: draw(_resnet_loss(), depth=1),
    )
    yield (
        "viz.draw(loss) of a GPT of twelve blocks",
        "Blocks that repeat are drawn once, with the range of their gradients.",
        lambda: draw(_gpt_loss(12), direction="TB"),
    )


def _plots(network: Network) -> Iterator[Entry]:
    plots, recorder, model = viz.plots, network.recorder, network.model
    inputs, targets = network.held_out.inputs, network.held_out.targets
    classes = network.held_out.classes
    probabilities = plain(tg.softmax(nn.training.predict(model, inputs), axis=1))
    saturated = Network.trained(nn.Tanh, lr=0.3, epochs=3)
    losses = [each.loss for each in recorder.snapshots]
    network.loss(64).backward()
    yield (
        "viz.plots.curves",
        "Loss and metrics over the epochs.",
        lambda: plots.curves(network.history),
    )
    yield (
        "viz.plots.overlaid_curves",
        "One quantity of several runs.",
        lambda: plots.overlaid_curves(
            {"relu, lr 0.003": network.history, "tanh, lr 0.3": saturated.history}, "train_loss"
        ),
    )
    yield (
        "viz.plots.lines",
        "Whatever was recorded one after another.",
        lambda: plots.lines({"loss": np.array(losses, float)}, "snapshot", "loss"),
    )
    yield (
        "viz.plots.learning_rate_finder",
        "A range test of the learning rate.",
        lambda: plots.learning_rate_finder(_range_test(network)),
    )
    yield (
        "viz.plots.gradient_flow",
        "How large the gradients of each parameter are.",
        lambda: plots.gradient_flow(model),
    )
    yield (
        "viz.plots.gradient_flow_over_time",
        "The same, over training.",
        lambda: plots.gradient_flow_over_time(recorder),
    )
    yield (
        "viz.plots.update_ratio",
        "How far each step went, relative to the weights.",
        lambda: plots.update_ratio(recorder),
    )
    yield (
        "viz.plots.histograms",
        "Groups of numbers over each other.",
        lambda: plots.histograms(
            {path: plain(p) for path, p in model.named_parameters() if path.endswith("weight")}
        ),
    )
    for of in ("activations", "parameters", "gradients"):
        yield (
            f'viz.plots.histograms_over_time(recorder, of="{of}")',
            f"How the {of} are distributed, over training.",
            partial(plots.histograms_over_time, recorder, of),
        )
    yield (
        "viz.plots.dead_units",
        "Units that no sample wakes.",
        lambda: plots.dead_units(recorder),
    )
    yield (
        'viz.plots.dead_units_over_time(recorder, "saturated")',
        "Activations near the limits of tanh, where its slope is nearly 0.",
        lambda: plots.dead_units_over_time(saturated.recorder, "saturated"),
    )
    yield (
        "viz.plots.decision_boundary of scores",
        "What a network of Values makes of the plane.",
        _score_boundary,
    )
    yield (
        "viz.plots.decision_boundary of classes",
        "What a network of Tensors makes of it.",
        _class_boundary,
    )
    yield (
        "viz.plots.confusion_matrix",
        "Which digits it takes for which.",
        lambda: plots.confusion_matrix(
            nn.training.ConfusionMatrix()(probabilities, targets), classes
        ),
    )
    yield (
        "viz.plots.misclassified",
        "The digits it is wrong about, those it is surest of first.",
        lambda: plots.misclassified(inputs, targets, probabilities, classes, 16),
    )
    yield (
        "viz.plots.images",
        "Images in rows.",
        lambda: plots.images(inputs[:8], [f"digit {target}" for target in targets[:8]]),
    )
    yield (
        "viz.show_batch",
        "A batch as training sees it.",
        lambda: viz.show_batch(network.held_out.batch(range(16)), classes, 2, 8),
    )
    yield (
        "viz.plots.filters",
        "What the first convolution looks for.",
        lambda: plots.filters(dict(model.named_parameters())["0.weight"].data),
    )
    yield (
        "viz.plots.feature_maps",
        "What it finds in one digit.",
        lambda: plots.feature_maps(nn.training.predict(model[0], inputs[:1])),
    )
    yield (
        "viz.plots.attention_maps",
        "Where each head of a GPT looks that learned to say six letters again.",
        _attention,
    )
    yield (
        "viz.plots.loss_landscape",
        "The loss in a random plane through the weights.",
        lambda: plots.loss_landscape(lambda: network.loss(32), model, resolution=15),
    )
    yield "viz.plots.activations", "Activation functions and their derivatives.", plots.activations


def _texts(network: Network) -> Iterator[Entry]:
    model, loss = _scalar_network([3, 1])
    loss.backward()
    yield (
        "viz.text.neuron_table(model)",
        "Every neuron's z, activation and gradients, for a terminal.",
        lambda: viz.text.neuron_table(model),
    )
    yield (
        "viz.text.gradient_flow(model)",
        "The gradients of every parameter, as bars.",
        lambda: viz.text.gradient_flow(network.model),
    )
    yield (
        "viz.text.tree(y)",
        "A graph as a tree.",
        lambda: viz.text.tree(**_neuron()),
    )


def _pages(network: Network) -> Iterator[Entry]:
    yield (
        "viz.page(y)",
        "Step through forward and backward; drag the leaves.",
        lambda: viz.page(**_neuron(), title="A neuron, step by step"),
    )
    yield (
        "viz.page(loss, recorder=recorder)",
        "Modules that open and close, and a slider over the training.",
        lambda: viz.page(
            network.loss(), recorder=network.recorder, title="A network, and how it learned"
        ),
    )


def _neuron() -> dict[str, Any]:
    w0, x0, w1, x1, b = (Value(number) for number in (-3.0, 2.0, 1.0, 0.5, 6.0))
    z = w0 * x0 + w1 * x1 + b
    y = (z / 4).tanh()
    names = {"w0": w0, "x0": x0, "w1": w1, "x1": x1, "b": b, "z": z, "y": y}
    return {"node": y, "names": names}


def _failed() -> Any:
    hidden = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(5, 1))
    try:
        hidden(Tensor(np.ones((2, 3)), label="x"))
    except TinygradError as error:
        return error.graph
    raise AssertionError("a layer of five inputs took four")


def _troubled() -> Value:
    lost, dead, endless, huge = (
        Value(number, label=label)
        for number, label in ((2.0, "lost"), (-1.0, "dead"), (0.0, "endless"), (1.0, "huge"))
    )
    return tg.sign(lost) + tg.relu(dead) + tg.sqrt(endless) + huge * 2e6


def _scalar_network(widths: list[int]) -> tuple[nn.MLP, Value]:
    model = nn.MLP(2, widths, "tanh", rng=np.random.default_rng(3))
    loss = (model([Value(0.5, label="x0"), Value(-1.0, label="x1")]) - 1) ** 2
    loss.label = "loss"
    return model, loss


def _resnet_loss() -> Tensor:
    model = nn.zoo.ResNet18(num_classes=10, image_size=32)
    images = Tensor(np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32), label="x")
    loss: Tensor = nn.functional.cross_entropy(model(images), np.array([3, 7]))
    return loss


def _gpt_loss(blocks: int) -> Tensor:
    model = nn.zoo.GPT(vocab_size=16, block_size=8, n_layer=blocks, n_head=2, n_embd=8)
    tokens = np.arange(8)[None]
    loss: Tensor = nn.functional.cross_entropy(model(tokens).reshape(8, 16), tokens[0] + 1)
    return loss


def _range_test(network: Network) -> Any:
    fresh = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    batches = nn.data.DataLoader(network.held_out, 16, shuffle=True)
    return nn.optim.find_learning_rate(fresh, nn.functional.cross_entropy, batches)


def _score_boundary() -> Any:
    samples = scalar.plane_dataset("moons", 0)
    model = nn.MLP(2, [6, 1], "tanh", rng=np.random.default_rng(0))
    scalar.train_scalar(model, samples, 25)
    return viz.plots.decision_boundary(
        lambda points: scalar.scores_of(model, points),
        samples.inputs,
        samples.targets,
        resolution=40,
    )


def _class_boundary() -> Any:
    samples = nn.data.spirals(300)
    with nn.random.seeded(0):
        model = nn.zoo.feedforward([2, 32, 32, 3], activation="tanh")
        optimizer = nn.optim.Adam(model.parameters(), lr=0.02)
        nn.training.Trainer(model, optimizer).fit(samples, epochs=60)
    return viz.plots.decision_boundary(
        lambda points: nn.training.predict(model, points.astype(np.float32)),
        samples.inputs,
        samples.targets,
    )


def _attention() -> Any:
    """A GPT of one block learns to say six letters again, for which it has to look back at them."""
    rng, length, letters = np.random.default_rng(0), 6, "abcdefgh"
    model = nn.zoo.GPT(len(letters), 2 * length, n_layer=1, n_head=2, n_embd=32)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        tokens = np.tile(rng.integers(len(letters), size=(32, length)), 2)
        logits = model(tokens[:, :-1])[:, length - 1 :]
        optimizer.zero_grad()
        nn.functional.cross_entropy(
            logits.reshape(-1, len(letters)), tokens[:, length:].ravel()
        ).backward(retain_graph=False)
        optimizer.step()
    weights = next(
        node
        for node in tg.topological_order(model(tokens[:1]))
        if node.op is not None and node.op.name == "softmax"
    )
    return viz.plots.attention_maps(weights.data, [letters[token] for token in tokens[0]])
