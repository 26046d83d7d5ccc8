"""Embeddings whose gradient is no derivative, on purpose: padding rows, and means for sums."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import numbers
from tinytrain import nn
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

IDS = np.array([[0, 3, 0], [3, 1, 3]])


def gradient_of_rows(**settings):
    weight = tt.tensor(numbers(5, 2), requires_grad=True)
    output = F.embedding(tt.tensor(IDS), weight, **settings)
    np.testing.assert_array_equal(host(output), numbers(5, 2)[IDS])
    output.backward(tt.tensor(numbers(2, 3, 2, seed=1)))
    return host(weight.grad)


def sums():
    total = np.zeros((5, 2))
    np.add.at(total, IDS, numbers(2, 3, 2, seed=1))
    return total


@pytest.mark.parametrize("padding_idx", [3, -2, 1, 4])
def test_padding_row_gets_no_gradient(padding_idx):
    expected = sums()
    expected[padding_idx] = 0
    np.testing.assert_allclose(gradient_of_rows(padding_idx=padding_idx), expected, rtol=1e-12)


def test_scaling_by_frequency_takes_the_mean():
    expected = sums() / np.array([2, 1, 1, 3, 1])[:, None]
    np.testing.assert_allclose(gradient_of_rows(scale_grad_by_freq=True), expected, rtol=1e-12)
    expected[0] = 0
    both = gradient_of_rows(scale_grad_by_freq=True, padding_idx=0)
    np.testing.assert_allclose(both, expected, rtol=1e-12)


def test_layer_starts_its_padding_row_at_zero_and_leaves_it_there():
    layer = nn.Embedding(5, 2, padding_idx=-2)
    assert layer.padding_idx == 3
    assert repr(layer) == "Embedding(5, 2, padding_idx=3)"
    assert host(layer.weight)[3].tolist() == [0, 0]
    assert host(layer.weight)[[0, 1, 2, 4]].all()
    optimizer = tt.optim.SGD(layer.parameters(), lr=0.1)
    layer(tt.tensor(IDS)).sum().backward()
    optimizer.step()
    assert host(layer.weight)[3].tolist() == [0, 0]


@pytest.mark.parametrize("freeze", [True, False])
def test_from_pretrained_copies(freeze):
    rows = tt.tensor(numbers(4, 3))
    layer = nn.Embedding.from_pretrained(rows, freeze=freeze, padding_idx=1)
    assert layer.weight.requires_grad is not freeze
    rows.data[...] = 0
    np.testing.assert_array_equal(host(layer.weight), numbers(4, 3))  # the padding row too
    assert layer(tt.tensor([2])).tolist() == [numbers(4, 3)[2].tolist()]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda w: F.embedding(tt.tensor([0]), w, 5), ValueError, "padding_idx 5 is none of the 5"),
        (lambda w: F.embedding(tt.tensor([0]), w, -6), ValueError, "padding_idx -6"),
        (lambda w: F.embedding(tt.tensor([0]), w, max_norm=1.0), ValueError, "no max_norm"),
        (lambda w: F.embedding(tt.tensor([0]), w, sparse=True), ValueError, "no sparse gradients"),
        (lambda w: F.embedding(tt.tensor([5]), w, 1), IndexError, "id 5 .* outside 0 to 4"),
        (lambda w: nn.Embedding(5, 2, max_norm=1.0), ValueError, "no max_norm"),
        (lambda w: nn.Embedding(5, 2, padding_idx=5), ValueError, "padding_idx 5"),
        (lambda w: nn.Embedding.from_pretrained(w[0]), ValueError, r"a matrix, got \(2,\)"),
        (lambda w: nn.Embedding.from_pretrained(w.long()), TypeError, "got int64"),
    ],
)
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call(tt.ones(5, 2))
