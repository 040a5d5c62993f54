"""GPT: its size, that it looks back only, that it learns a text and writes it."""

import numpy as np
import pytest

import nn
import tinygrad_edu as tg
from tinygrad_edu.testing import gradcheck

TEXT = "hello world. " * 20


def small(**options):
    return nn.zoo.GPT(11, 8, n_layer=2, n_head=2, n_embd=8, **options)


def tokens(*shape):
    return np.random.default_rng(0).integers(0, 11, shape)


@pytest.mark.parametrize("tied", [False, True])
def test_it_has_as_many_parameters_as_the_formula_says(tied):
    v, b, e, n = 11, 8, 8, 2
    count = sum(p.size for p in small(tied=tied).parameters())
    assert count == (1 if tied else 2) * v * e + b * e + n * (12 * e**2 + 13 * e) + 2 * e


def test_its_weights_start_at_gpt_2s_scale():
    model = nn.zoo.GPT(50, 16, n_layer=8, n_head=2, n_embd=64, rng=np.random.default_rng(0))
    layer = model.blocks.layers[3]
    # 4 · 64² draws in linear1, a quarter in out_proj: standard errors of 0.6 % and 1.1 %.
    assert layer.linear1.weight.data.std() == pytest.approx(0.02, rel=0.03)
    assert layer.self_attn.out_proj.weight.data.std() == pytest.approx(0.02 / 4, rel=0.05)
    assert layer.linear2.weight.data.std() == pytest.approx(0.02 / 4, rel=0.03)
    assert not layer.linear1.bias.data.any()


def test_it_starts_out_undecided():
    loss = tg.cross_entropy(tg.reshape(small()(tokens(4, 8)), (-1, 11)), tokens(4, 8).ravel())
    assert loss.item() == pytest.approx(np.log(11), abs=0.05)


def test_no_place_sees_a_later_one():
    model, x = small(dtype=np.float64), tokens(3, 8)
    changed = x.copy()
    changed[:, 5:] = (x[:, 5:] + 1) % 11
    np.testing.assert_array_equal(model(x).data[:, :5], model(changed).data[:, :5])
    assert not np.allclose(model(x).data[:, 5:], model(changed).data[:, 5:])
    np.testing.assert_allclose(model(x[:, :5]).data, model(x).data[:, :5], atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"tied": True}, {"dropout": 0.3}])
def test_its_gradients_are_those_of_finite_differences(options):
    model = nn.zoo.GPT(5, 4, n_layer=1, n_head=2, n_embd=4, dtype=np.float64, **options)

    def logits(*_):
        nn.manual_seed(0)
        return model([[0, 3, 3, 1]])

    gradcheck(logits, *model.parameters())


def test_a_tied_head_is_the_table_of_tokens_also_in_a_state_dict():
    model, other = small(tied=True), small(tied=True)
    assert model.head.weight is model.tokens.weight
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(model(tokens(2, 8)).data, other(tokens(2, 8)).data)


def test_it_learns_a_text_and_writes_it():
    tokenizer = nn.data.CharTokenizer(TEXT)
    text, rng = tokenizer.encode(TEXT), np.random.default_rng(0)
    model = nn.zoo.GPT(len(tokenizer), 12, n_layer=1, n_head=2, n_embd=32, rng=rng)
    optimizer = nn.optim.Adam(model.parameters(), 1e-2)
    for _ in range(120):
        windows = text[rng.integers(0, len(text) - 12, (16, 1)) + np.arange(13)]
        logits = tg.reshape(model(windows[:, :-1]), (-1, len(tokenizer)))
        loss = tg.cross_entropy(logits, windows[:, 1:].ravel())
        optimizer.zero_grad()
        loss.backward(retain_graph=False)
        optimizer.step()
    # Guessing would cost ln 10 = 2.3. What remains is the first letter or two of each window.
    assert loss.item() < 0.2
    written = model.generate(text[None, :12], max_new_tokens=88, top_k=1)
    assert tokenizer.decode(written[0]) == TEXT[:100]


def test_generating_starts_with_what_was_given_and_repeats_with_its_generator():
    model, start = small(), tokens(3, 4)
    first, second = (model.generate(start, 12, rng=np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[:, :4], start)
    assert first.shape == (3, 16)
    assert model.generate(start, 0).shape == (3, 4)


def test_generating_draws_from_the_models_distribution():
    model = small()
    model.head.weight.data *= 20  # so that some tokens are much likelier
    drawn = model.generate(np.zeros((20_000, 1), int), 1, rng=np.random.default_rng(0))[:, 1]
    shares = np.bincount(drawn, minlength=11) / 20_000
    # Shares of 20,000 draws have standard errors below 0.0036.
    np.testing.assert_allclose(shares, tg.softmax(model([[0]])).data[0, 0], atol=0.015)


def test_top_k_and_temperature_narrow_the_choice():
    model, start = small(), np.zeros((500, 1), int)
    logits = model([[0]]).data[0, 0]
    best = np.argsort(logits)[::-1]
    rng = np.random.default_rng(0)
    assert set(model.generate(start, 1, top_k=3, rng=rng)[:, 1]) == set(best[:3])
    assert set(model.generate(start, 1, top_k=99, rng=rng)[:, 1]) == set(range(11))
    assert set(model.generate(start, 1, temperature=1e-6, rng=rng)[:, 1]) == {best[0]}


def test_generating_drops_nothing_out_records_nothing_and_leaves_the_mode_alone():
    model = small(dropout=0.5)
    model.blocks.eval()
    first, second = (model.generate(tokens(2, 3), 9, top_k=1) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert model.training
    assert not model.blocks.training


def test_what_it_cannot_read_or_write_is_refused():
    model = small()
    with pytest.raises(tg.ShapeError, match=r"block_size=8 tokens at once, not 9"):
        model(tokens(1, 9))
    with pytest.raises(tg.ShapeError, match=r"T from 1 to 8, not shape \(1, 0\)"):
        model.generate(tokens(1, 0), 1)
    with pytest.raises(tg.ShapeError, match=r"\(N, T\)"):
        model(tokens(8))
    with pytest.raises(tg.IndexingError, match="embedding got 11 at index"):
        model([[0, 11]])
    with pytest.raises(nn.ConfigurationError, match="temperature above 0, not 0"):
        model.generate(tokens(1, 3), 1, temperature=0)
    with pytest.raises(nn.ConfigurationError, match="top_k must be a positive integer"):
        model.generate(tokens(1, 3), 1, top_k=0)
    with pytest.raises(nn.ConfigurationError, match="num_heads must divide"):
        nn.zoo.GPT(11, 8, n_head=3, n_embd=8)
