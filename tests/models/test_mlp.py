"""The multi-layer perceptron, and its loss."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain import nn
from tinytrain.models import MLP, classification_loss

pytestmark = pytest.mark.usefixtures("device")


def kinds(model):
    return [type(layer).__name__ for layer in model.layers]


@pytest.mark.parametrize(
    ("settings", "between"),
    [
        ({}, ["ReLU"]),
        ({"batch_norm": True}, ["BatchNorm1d", "ReLU"]),
        ({"dropout": 0.3}, ["ReLU", "Dropout"]),
        ({"batch_norm": True, "dropout": 0.3}, ["BatchNorm1d", "ReLU", "Dropout"]),
    ],
)
def test_what_is_between_the_linear_layers(settings, between):
    model = MLP([4, 8, 6, 3], **settings)
    assert kinds(model) == ["Linear", *between, "Linear", *between, "Linear"]
    sizes = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert sizes == [(4, 8), (8, 6), (6, 3)]
    assert model(tt.ones(5, 4)).shape == (5, 3)


def test_two_sizes_make_a_linear_model():
    assert kinds(MLP([4, 3], batch_norm=True, dropout=0.5)) == ["Linear"]


@pytest.mark.parametrize("sizes", [[], [4]])
def test_too_few_sizes(sizes):
    with pytest.raises(ValueError, match="an MLP needs an input and an output size"):
        MLP(sizes)


@pytest.mark.parametrize(("sizes", "settings"), [([4, 0, 2], {}), ([4, 5, 2], {"dropout": 1.5})])
def test_settings_that_make_no_sense(sizes, settings):
    with pytest.raises(ValueError, match=r"positive sizes|probability"):
        MLP(sizes, **settings)


def test_the_formula():
    model = MLP([4, 8, 3]).to("float64")
    first, _, last = model.layers
    x = np.random.default_rng(0).normal(size=(5, 4))
    hidden = np.maximum(x @ host(first.weight).T + host(first.bias), 0)
    expected = hidden @ host(last.weight).T + host(last.bias)
    np.testing.assert_allclose(host(model(tt.tensor(x))), expected, rtol=1e-12)

    classes = np.array([0, 2, 1, 1, 0])
    loss_sum, rows = classification_loss(model, (tt.tensor(x), tt.tensor(classes)))
    likelihood = np.exp(expected)[np.arange(5), classes] / np.exp(expected).sum(axis=1)
    assert loss_sum.item() == pytest.approx(-np.log(likelihood).sum(), rel=1e-12)
    assert rows == 5


def test_it_learns_what_a_linear_model_cannot():
    """Exclusive or."""
    tt.manual_seed(0)
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float32)
    y = np.array([0, 1, 1, 0])
    model = MLP([2, 16, 2])
    trainer = tt.Trainer(
        model,
        tt.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.0),
        classification_loss,
        tt.data.DataLoader(tt.data.TensorDataset(x, y), 4),
        max_steps=100,
        progress=False,
    )
    assert trainer.fit().training_loss < 0.05
    assert model(tt.from_numpy(x)).argmax(dim=1).tolist() == [0, 1, 1, 0]
