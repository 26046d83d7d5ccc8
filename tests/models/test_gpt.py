"""The GPT: shapes, counts, what sees what, and how it starts."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.tiny_language import make_gpt
from tinytrain.data import pad_collate
from tinytrain.models import GPT, GPTConfig, language_model_loss

pytestmark = pytest.mark.usefixtures("device")

SMALL = {"context_length": 8, "num_layers": 2, "num_heads": 2, "embed_dim": 16}


def ids(*shape, vocab=13, seed=0):
    return np.random.default_rng(seed).integers(0, vocab, size=shape)


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 8)])
def test_shapes(shape):
    model = GPT(GPTConfig(13, **SMALL))
    logits = model(tt.from_numpy(ids(*shape)))
    assert logits.shape == (*shape, 13)
    assert logits.dtype == np.float32


def test_the_number_of_parameters():
    width, layers, vocab, context = 16, 2, 13, 8
    per_layer = 12 * width**2 + 13 * width  # qkv, projection, feed-forward, biases, two norms
    expected = (vocab + context) * width + layers * per_layer + 2 * width + vocab * width
    assert GPT(GPTConfig(vocab, **SMALL)).num_parameters() == expected
    tied = GPT(GPTConfig(vocab, **SMALL, tie_head=True))
    assert tied.num_parameters() == expected - vocab * width


def test_a_tied_head_is_one_parameter_that_gets_both_gradients():
    model = make_gpt(tie_head=True)
    assert model.head.weight is model.token_embedding.weight
    names = [name for name, _ in model.named_parameters()]
    assert "token_embedding.weight" in names
    assert "head.weight" not in names
    assert len(names) == len(set(names))
    batch = tt.to_device(pad_collate([ids(6), ids(9, seed=1)]))
    language_model_loss(model, batch)[0].backward()
    tied = host(model.token_embedding.weight.grad)

    separate = make_gpt()
    for name, parameter in model.named_parameters():
        dict(separate.named_parameters())[name].data[...] = parameter.data
    separate.head.weight.data[...] = model.head.weight.data
    language_model_loss(separate, batch)[0].backward()
    both = host(separate.token_embedding.weight.grad) + host(separate.head.weight.grad)
    np.testing.assert_allclose(tied, both, rtol=1e-10, atol=1e-12)
    tt.optim.SGD(model.parameters(), lr=0.1).step()
    assert np.array_equal(host(model.head.weight), host(model.token_embedding.weight))


@pytest.mark.parametrize("changed", range(1, 10))
def test_a_later_token_changes_no_earlier_logits(changed):
    model = make_gpt()
    first = ids(1, 10)
    second = first.copy()
    second[0, changed] = (second[0, changed] + 1) % 13
    before, after = (host(model(tt.from_numpy(tokens)))[0] for tokens in (first, second))
    assert np.array_equal(before[:changed], after[:changed])
    assert np.abs(before[changed:] - after[changed:]).min(axis=-1).max() > 1e-6
    assert np.abs(before[changed] - after[changed]).max() > 1e-3


def test_segments_of_a_row_do_not_see_each_other():
    model = make_gpt()
    lengths = [4, 5, 3]
    sequences = [ids(length, seed=length) for length in lengths]
    alone = [host(model(tt.from_numpy(tokens[None])))[0] for tokens in sequences]
    row = np.concatenate(sequences)[None]
    segments = np.repeat([1, 2, 3], lengths)[None]
    positions = np.concatenate([np.arange(n) for n in lengths])[None]
    together = host(model(*map(tt.from_numpy, (row, positions, segments))))[0]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-10, atol=1e-12)
    mixed = host(model(tt.from_numpy(row), tt.from_numpy(positions)))[0]
    assert np.abs(mixed[:4] - alone[0]).max() < 1e-10
    assert np.abs(mixed[4:] - together[4:]).max() > 1e-2


def test_positions_matter_and_count_from_zero():
    model = make_gpt()
    tokens = tt.from_numpy(ids(1, 6))
    plain = host(model(tokens))
    given = host(model(tokens, tt.from_numpy(np.arange(6)[None])))
    assert np.array_equal(plain, given)
    later = host(model(tokens, tt.from_numpy(np.arange(3, 9)[None])))
    assert np.abs(plain - later).max() > 1e-2


@pytest.mark.parametrize("shape", [(2, 9), (8,), (1, 2, 3)])
def test_inputs_of_another_shape(shape):
    model = GPT(GPTConfig(13, **SMALL))
    with pytest.raises(ValueError, match=r"GPT expects ids \(B, T\) with T up to 8, got shape"):
        model(tt.from_numpy(ids(*shape)))


@pytest.mark.parametrize("token", [-1, 13])
def test_tokens_outside_the_vocabulary(token):
    tokens = ids(1, 4)
    tokens[0, 2] = token
    with pytest.raises(IndexError, match=rf"{token} at position \(0, 2\)"):
        GPT(GPTConfig(13, **SMALL))(tt.from_numpy(tokens))


def test_positions_outside_the_context():
    model = GPT(GPTConfig(13, **SMALL))
    with pytest.raises(IndexError, match="8 at position"):
        model(tt.from_numpy(ids(1, 4)), tt.from_numpy(np.arange(5, 9)[None]))


@pytest.mark.parametrize("tie_head", [False, True])
def test_the_loss_starts_near_that_of_guessing(tie_head):
    tt.manual_seed(0)
    model = GPT(GPTConfig(101, 32, num_layers=2, num_heads=4, embed_dim=64, tie_head=tie_head))
    batch = pad_collate([ids(32, vocab=101, seed=seed) for seed in range(8)])
    loss_sum, items = language_model_loss(model, tt.to_device(batch))
    assert items == batch.num_supervised == 8 * 31
    assert loss_sum.item() / items == pytest.approx(math.log(101), abs=0.1)


def test_initial_weights():
    tt.manual_seed(0)
    model = GPT(GPTConfig(300, 64, num_layers=8, num_heads=4, embed_dim=128))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert (host(parameter) == 0).all()
        elif parameter.ndim == 1:
            assert (host(parameter) == 1).all()
        else:
            to_stream = name.endswith(("projection.weight", "feed_forward.2.weight"))
            std = 0.02 / 4 if to_stream else 0.02  # sqrt(2 * 8 layers) is 4
            assert host(parameter).std() == pytest.approx(std, rel=0.03), name


def test_the_seed_decides_the_weights():
    def make(seed):
        tt.manual_seed(seed)
        return host(GPT(GPTConfig(13, **SMALL)).head.weight)

    assert np.array_equal(make(1), make(1))
    assert not np.array_equal(make(1), make(2))


def test_dropout_is_for_training_only():
    model = make_gpt("float32", dropout=0.5)
    tokens = tt.from_numpy(ids(1, 6))
    assert not np.array_equal(host(model(tokens)), host(model(tokens)))
    model.eval()
    assert np.array_equal(host(model(tokens)), host(model(tokens)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab_size": 0}, "vocab_size of at least 1, got 0"),
        ({"num_layers": 0}, "num_layers of at least 1"),
        ({"context_length": -3}, "context_length of at least 1"),
        ({"num_heads": 3}, "embed_dim 16 is not divisible into 3 heads"),
        ({"dropout": 1.5}, "dropout probability"),
    ],
)
def test_sizes_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        GPT(GPTConfig(**({"vocab_size": 13} | SMALL | settings)))


def test_the_loss_is_that_of_the_supervised_tokens():
    model = make_gpt()
    batch = pad_collate([ids(5), ids(1), ids(8, seed=2)])
    logits = host(model(*map(tt.from_numpy, (batch.input_ids, batch.positions, batch.segment_ids))))
    expected = 0.0
    for row, targets in zip(logits, batch.targets, strict=True):
        for scores, target in zip(row, targets, strict=True):
            if target >= 0:
                expected += np.log(np.exp(scores).sum()) - scores[target]
    loss_sum, items = language_model_loss(model, tt.to_device(batch))
    assert loss_sum.item() == pytest.approx(expected, rel=1e-10)
    assert items == 4 + 0 + 7
