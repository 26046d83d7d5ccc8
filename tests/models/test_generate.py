"""Drawing text from a GPT."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.tiny_language import CAPACITY, VOCABULARY, make_gpt
from tinytrain.models.gpt import _draw

PROMPT = np.array([3, 1, 4])


@pytest.fixture
def model(device):
    """On each device; the draws themselves are made on the host."""
    return make_gpt()


def logits_after(model, tokens):
    return host(model(tt.from_numpy(np.array([tokens[-CAPACITY:]]))))[0, -1]


def test_a_seed_repeats_the_text(model):
    first = model.generate(PROMPT, 12, seed=5)
    assert np.array_equal(first, model.generate(PROMPT, 12, seed=5))
    assert not np.array_equal(first, model.generate(PROMPT, 12, seed=6))
    generator = tt.Generator(5)
    assert np.array_equal(first, model.generate(PROMPT, 12, seed=generator))
    assert not np.array_equal(first, model.generate(PROMPT, 12, seed=generator))  # it moved on


def test_the_default_generator_is_left_alone(model):
    before = tt.default_generator().get_state()
    model.generate(PROMPT, 3)
    assert tt.default_generator().get_state() == before


@pytest.mark.parametrize("length", [1, 3, CAPACITY, CAPACITY + 5])
def test_temperature_zero_takes_the_likeliest(model, length):
    """Also where the prompt, or the text, is longer than the context: its end counts."""
    prompt = np.random.default_rng(0).integers(0, VOCABULARY, size=length)
    text = model.generate(prompt, 15, temperature=0.0)
    assert text.shape == (length + 15,)
    assert np.array_equal(text[:length], prompt)
    for position in range(length, len(text)):
        assert text[position] == logits_after(model, text[:position]).argmax()


def test_the_draws_follow_the_distribution():
    logits = np.log(np.array([0.5, 0.0001, 0.2999, 0.2]))
    drawn = _draw(np.tile(logits, (20_000, 1)), 1.0, None, tt.Generator(0))
    shares = np.bincount(drawn, minlength=4) / 20_000
    np.testing.assert_allclose(shares, [0.5, 0.0001, 0.2999, 0.2], atol=0.01)
    drawn = _draw(np.tile(logits, (20_000, 1)), 0.5, None, tt.Generator(0))
    squares = np.exp(2 * logits)
    np.testing.assert_allclose(np.bincount(drawn) / 20_000, squares / squares.sum(), atol=0.01)


@pytest.mark.parametrize("top_k", [1, 2, 3, 4, 99])
def test_top_k_restricts_the_draw(top_k):
    logits = np.array([0.1, 0.4, 0.3, 0.2])
    drawn = _draw(np.tile(logits, (2_000, 1)), 1.0, top_k, tt.Generator(1))
    assert sorted(set(drawn.tolist())) == sorted(np.argsort(-logits)[:top_k].tolist())


def test_top_1_is_the_likeliest(model):
    greedy = model.generate(PROMPT, 12, temperature=0.0)
    assert np.array_equal(model.generate(PROMPT, 12, top_k=1, seed=3), greedy)


def test_a_token_of_no_weight_is_never_drawn():
    class Lowest:
        """A generator whose draws are all 0, the least it can give."""

        numpy = np.random.default_rng()

    Lowest.numpy = type("Zeros", (), {"random": staticmethod(np.zeros)})
    logits = np.array([[0.0, 5.0, 4.0]])
    assert _draw(logits, 1.0, 2, Lowest) == [1]


@pytest.mark.parametrize("temperature", [1e-3, 1e-300, 1e-320])
def test_a_tiny_temperature_takes_the_likeliest_too(model, temperature):
    greedy = model.generate(PROMPT, 8, temperature=0.0)
    assert np.array_equal(model.generate(PROMPT, 8, temperature=temperature), greedy)


def test_rows_of_a_batch_are_drawn_each_for_itself(model):
    prompts = np.array([[3, 1, 4], [1, 5, 9]])
    greedy = model.generate(prompts, 6, temperature=0.0)
    assert greedy.shape == (2, 9)
    for row, prompt in zip(greedy, prompts, strict=True):
        assert np.array_equal(row, model.generate(prompt, 6, temperature=0.0))
    same = model.generate(np.tile(PROMPT, (4, 1)), 10, seed=0)
    assert len({tuple(row) for row in same}) == 4


def test_what_is_returned(model):
    text = model.generate(PROMPT.astype(np.uint8), 2)
    assert text.dtype == np.int64
    assert np.array_equal(model.generate(PROMPT, 0), PROMPT)
    assert model.generate(PROMPT[None], 0).shape == (1, 3)
    assert model.generate([3, 1, 4], 2).shape == (5,)


@pytest.mark.usefixtures("device")
def test_modes_are_put_back_and_nothing_is_recorded():
    model = make_gpt(dropout=0.5)
    model.blocks[0].eval()
    modes = [layer.training for layer in model.modules()]
    first = model.generate(PROMPT, 10, seed=1)
    assert np.array_equal(first, model.generate(PROMPT, 10, seed=1))  # no dropout
    assert [layer.training for layer in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(IndexError):
        model.generate(np.array([VOCABULARY]), 1)
    assert [layer.training for layer in model.modules()] == modes
    assert tt.is_grad_enabled()


@pytest.mark.parametrize(
    ("prompt", "settings", "error", "message"),
    [
        (np.zeros(0, dtype=int), {}, ValueError, r"at least one token, got \(0,\)"),
        (np.zeros((2, 0), dtype=int), {}, ValueError, r"got \(2, 0\)"),
        (np.zeros((1, 1, 1), dtype=int), {}, ValueError, r"got \(1, 1, 1\)"),
        (np.array(3), {}, ValueError, r"got \(\)"),
        (np.array([1.7]), {}, TypeError, "a prompt of integers, got float64"),
        (np.array([True]), {}, TypeError, "a prompt of integers, got bool"),
        (PROMPT, {"max_new_tokens": -1}, ValueError, "max_new_tokens >= 0"),
        (PROMPT, {"temperature": -1.0}, ValueError, "temperature >= 0"),
        (PROMPT, {"temperature": float("nan")}, ValueError, "temperature >= 0"),
        (PROMPT, {"temperature": float("inf")}, ValueError, "temperature >= 0"),
        (PROMPT, {"top_k": 0}, ValueError, "top_k >= 1"),
        (np.array([1, -1]), {}, IndexError, "-1 at position"),
        (np.array([1, VOCABULARY]), {}, IndexError, f"{VOCABULARY} at position"),
    ],
)
def test_settings_that_make_no_sense(model, prompt, settings, error, message):
    with pytest.raises(error, match=message):
        model.generate(prompt, **({"max_new_tokens": 2} | settings))


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_that_broke_is_not_drawn_from(temperature):
    model = make_gpt()
    model.head.weight.data[5] = np.nan
    with pytest.raises(FloatingPointError, match="logits are not finite"):
        model.generate(PROMPT, 1, temperature=temperature)


@pytest.mark.usefixtures("device")
def test_context_limits_what_is_looked_at():
    tt.manual_seed(0)
    model = tt.models.GPT(
        tt.models.GPTConfig(vocab_size=11, context_length=6, num_layers=1, num_heads=1, embed_dim=8)
    )
    prompt = np.array([1, 2, 3, 4, 5])
    short = model.generate(prompt, 4, temperature=0, context=2)
    np.testing.assert_array_equal(short[5:], model.generate(prompt[-2:], 4, 0, context=2)[2:])
    for wrong in (0, 7):
        with pytest.raises(ValueError, match="context must lie in 1 to 6"):
            model.generate(prompt, 1, context=wrong)
