"""The eight-sample lesson: linear regression for one epoch, by hand and by the library.

Eight points of y = 2 x1 - x2 + 1; the model w . x + b starts at 0; the loss is the mean of
e^2 with e = w . x + b - y, so that a sample's gradient is 2 e x for w and 2 e for b.
"""

import itertools

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.nn import functional as F
from tinytrain.optim import SGD
from tinytrain.train import accumulate_gradients, divide_gradients

pytestmark = pytest.mark.usefixtures("device")

X = np.array([[1, 0.5], [2, 1], [0.5, 2], [1.5, 0.5], [3, 1.5], [0.5, 0.5], [2.5, 2], [1, 1.5]])
Y = 2 * X[:, 0] - X[:, 1] + 1
LEARNING_RATE = 0.05
ORDER = [1, 5, 0, 7, 2, 4, 3, 6]

SAMPLE_GRADIENTS = [  # 2 e x1, 2 e x2, 2 e
    [-5.0, -2.5, -5],
    [-16.0, -8.0, -8],
    [0.0, 0.0, 0],
    [-10.5, -3.5, -7],
    [-33.0, -16.5, -11],
    [-1.5, -1.5, -3],
    [-20.0, -16.0, -8],
    [-3.0, -4.5, -3],
]
FULL_GRADIENT = [-11.125, -6.5625, -5.625]
FULL_LOSS = 10.65625

EPOCH = [  # batch loss before, cosine with the full gradient, full loss after, w1, w2, b after
    (9.125, 0.995, 4.35260, 0.43750, 0.23750, 0.27500),
    (1.48535, 0.952, 3.19363, 0.54250, 0.31156, 0.38000),
    (5.38780, 0.966, 1.25484, 0.96441, 0.41101, 0.46754),
    (0.99748, 0.944, 0.99711, 1.10536, 0.47546, 0.55153),
]
FULL_BATCH_STEPS = [3.32752, 1.62691, 1.18668, 1.03204]  # the loss after 1, 2, 3, 4 of them


def near(value, digits=5):
    return pytest.approx(value, abs=0.6 * 10**-digits)


# ---------------------------------------------------------------- by hand


def loss_by_hand(w, b, rows=slice(None)):
    return ((X[rows] @ w + b - Y[rows]) ** 2).mean()


def gradient_by_hand(w, b, rows=slice(None)):
    e = X[rows] @ w + b - Y[rows]
    return np.r_[(2 * e[:, None] * X[rows]).mean(axis=0), (2 * e).mean()]


def step_by_hand(w, b, rows):
    gradient = gradient_by_hand(w, b, rows)
    return w - LEARNING_RATE * gradient[:2], b - LEARNING_RATE * gradient[2]


# ---------------------------------------------------------------- by the library


def make_model():
    model = tt.nn.Linear(2, 1).to("float64")
    for parameter in model.parameters():
        tt.nn.init.constant_(parameter, 0.0)
    return model


def squared_error(model, batch):
    x, y = batch
    return F.mse_loss(model(x)[:, 0], y, reduction="sum"), len(y)


def gradient_of(model):
    return np.r_[host(model.weight.grad)[0], host(model.bias.grad)]


def values_of(model):
    return np.r_[host(model.weight)[0], host(model.bias)]


def full_gradient(model, rows=slice(None)):
    """The gradient and the mean loss over some rows, the model's own gradients cleared."""
    model.zero_grad()
    loss_sum, items = accumulate_gradients(model, squared_error, [(X[rows], Y[rows])])
    divide_gradients(model.parameters(), items)
    gradient = gradient_of(model).copy()
    model.zero_grad()
    return gradient, loss_sum.item() / items


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_the_table_of_single_samples():
    model = make_model()
    for row, expected in enumerate(SAMPLE_GRADIENTS):
        gradient, loss = full_gradient(model, [row])
        assert gradient.tolist() == expected
        assert gradient_by_hand(np.zeros(2), 0.0, [row]).tolist() == expected
        assert loss == Y[row] ** 2
    gradient, loss = full_gradient(model)
    assert gradient.tolist() == FULL_GRADIENT
    assert np.mean(SAMPLE_GRADIENTS, axis=0).tolist() == FULL_GRADIENT
    assert loss == loss_by_hand(np.zeros(2), 0.0) == FULL_LOSS


def test_the_order_is_numpys():
    assert np.random.RandomState(42).permutation(8).tolist() == ORDER


def test_one_epoch_in_batches_of_two():
    model = make_model()
    optimizer = SGD(model.parameters(), lr=LEARNING_RATE)
    loader = DataLoader(TensorDataset(X, Y), batch_size=2, sampler=ORDER)
    w, b = np.zeros(2), 0.0
    assert len(loader) == len(EPOCH)
    for batch, rows, expected in zip(loader, np.reshape(ORDER, (4, 2)), EPOCH, strict=True):
        batch_loss, alignment, full_loss, *values = expected
        everything, _ = full_gradient(model)

        optimizer.zero_grad()
        loss_sum, items = accumulate_gradients(model, squared_error, [batch])
        divide_gradients(model.parameters(), items)
        assert loss_sum.item() / items == near(batch_loss)
        assert loss_by_hand(w, b, rows) == near(batch_loss)
        assert cosine(gradient_of(model), everything) == near(alignment, digits=3)
        np.testing.assert_allclose(gradient_of(model), gradient_by_hand(w, b, rows), rtol=1e-12)

        optimizer.step()
        w, b = step_by_hand(w, b, rows)
        np.testing.assert_allclose(values_of(model), [*w, b], rtol=1e-12)
        assert values_of(model).tolist() == near(values)
        _, loss_after = full_gradient(model)
        assert loss_after == near(full_loss)
    assert 1 - loss_after / FULL_LOSS == near(0.9064, digits=4)


def test_the_spike_is_in_the_samples_not_in_the_model():
    """The batch loss rises to 5.39 at the third step, and the full loss falls at every step."""
    batch_losses = [row[0] for row in EPOCH]
    full_losses = [FULL_LOSS, *(row[2] for row in EPOCH)]
    assert batch_losses[2] > 3 * batch_losses[1]
    assert all(after < before for before, after in itertools.pairwise(full_losses))
    w, b, found = np.zeros(2), 0.0, []
    for rows in np.reshape(ORDER, (4, 2)):
        w, b = step_by_hand(w, b, rows)
        found.append(loss_by_hand(w, b))
    assert found == near(full_losses[1:])


@pytest.mark.parametrize("micro_batch", [8, 4, 2, 1, 3])
def test_full_batch_steps_by_the_trainer(micro_batch):
    """However the eight are cut. Four steps of all reach what the epoch of four steps of two did.

    The gain of mini-batches is the number of updates in an epoch, not their noise.
    """
    model = make_model()
    losses = []
    for steps, expected in enumerate(FULL_BATCH_STEPS, start=1):
        model = make_model()
        trainer = tt.Trainer(
            model,
            SGD(model.parameters(), lr=LEARNING_RATE),
            squared_error,
            DataLoader(TensorDataset(X, Y), micro_batch),
            max_steps=steps,
            accumulation_steps=-(-8 // micro_batch),
            progress=False,
        )
        trainer.fit()
        losses.append(full_gradient(model)[1])
        assert losses[-1] == near(expected)
    shares = [1 - loss / FULL_LOSS for loss in losses]
    assert [shares[0], shares[3]] == near([0.688, 0.903], digits=3)


def test_the_same_epoch_by_the_trainer():
    model = make_model()
    trainer = tt.Trainer(
        model,
        SGD(model.parameters(), lr=LEARNING_RATE),
        squared_error,
        DataLoader(TensorDataset(X, Y), batch_size=2, sampler=ORDER),
        epochs=1,
        progress=False,
    )
    result = trainer.fit()
    assert (result.step, result.epoch) == (4, 1)
    assert values_of(model).tolist() == near(EPOCH[-1][3:])
    assert result.training_loss == near(np.mean([row[0] for row in EPOCH]))


# ---------------------------------------------------------------- why sums, and one division


def test_losses_of_equal_counts_may_be_averaged():
    """2.5, 2.3 and 2.4: added up they are three times too large, the mean is 2.4."""
    losses = [2.5, 2.3, 2.4]
    assert sum(losses) == pytest.approx(7.2)
    assert sum(loss / 3 for loss in losses) == pytest.approx(2.4)


def test_losses_of_unequal_counts_may_not():
    """[4] and [1, 1, 1]: the mean of means is 2.5, the mean of all four 7 / 4."""
    pieces = [np.array([4.0]), np.array([1.0, 1.0, 1.0])]
    assert np.mean([piece.mean() for piece in pieces]) == 2.5
    assert sum(piece.sum() for piece in pieces) / sum(map(len, pieces)) == 1.75

    model = make_model()  # it predicts 0, so that the loss of a row is y^2

    def popular(model, batch):
        """What tutorials add up: the mean of each micro-batch, divided by their number."""
        loss_sum, items = squared_error(model, batch)
        return loss_sum / (items * len(pieces)), 1

    batches = [(np.zeros((len(piece), 2)), np.sqrt(piece)) for piece in pieces]
    ours, items = accumulate_gradients(model, squared_error, batches)
    divide_gradients(model.parameters(), items)
    bias_gradient = model.bias.grad.item()
    assert ours.item() / items == 1.75
    assert bias_gradient == np.mean([-2 * 2.0, -2.0, -2.0, -2.0]) == -2.5

    model.zero_grad()
    theirs, _ = accumulate_gradients(model, popular, batches)
    assert theirs.item() == 2.5
    assert model.bias.grad.item() == -3.0
    assert abs(model.bias.grad.item() / bias_gradient - 1) > 0.1
