"""Proving on a user's model that a split equals the whole, and finding what breaks it."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.tiny_language import make_gpt, packed_rows
from tinytrain import nn
from tinytrain.data import collate_packed
from tinytrain.models import MLP, classification_loss, language_model_loss
from tinytrain.nn import functional as F
from tinytrain.train import verify_accumulation
from tinytrain.train.exact_batch_norm import sum_gradients_exactly

pytestmark = pytest.mark.usefixtures("device")


def batch_of(rows=12):
    source = np.random.default_rng(2)
    x = source.normal(1.0, 2.0, size=(rows, 6)).astype(np.float32)
    return x, source.integers(0, 3, size=rows)


def make_mlp(**settings):
    tt.manual_seed(0)
    return MLP([6, 8, 8, 3], **settings)


def names(report):
    return [(culprit.name, culprit.layer) for culprit in report.culprits]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_is_exact_is_proved(dtype):
    model = make_mlp().to(dtype)
    x, y = batch_of()
    report = verify_accumulation(model, classification_loss, (x.astype(dtype), y), (2, 3, 12))
    assert report.exact
    assert [split.micro_batches for split in report.splits] == [2, 3, 12]
    limit = {"float32": 1e-6, "float64": 1e-14}[dtype]
    assert all(max(split.gradient, split.loss) < limit for split in report.splits)
    assert (report.rows, report.items, report.culprits) == (12, 12, ())
    assert "12 micro-batches  gradient equal" in str(report)


def test_packed_rows_of_a_language_model():
    report = verify_accumulation(make_gpt(), language_model_loss, collate_packed(packed_rows()))
    assert report.exact
    assert max(split.gradient for split in report.splits) < 1e-12


def test_batch_norm_is_found_layer_by_layer():
    model = make_mlp(batch_norm=True)
    report = verify_accumulation(model, classification_loss, batch_of())
    assert not report.exact
    assert names(report) == [("layers.1", "BatchNorm1d"), ("layers.4", "BatchNorm1d")]
    assert all(culprit.difference > 1e-2 for culprit in report.culprits)
    assert report.without_culprits < report.tolerance < 0.01 < report.splits[0].gradient
    text = str(report)
    assert "layers.4 (BatchNorm1d): its output differs by" in text
    assert "batch_norm='exact'" in text


def test_exact_batch_norm_is_proved():
    model = make_mlp(batch_norm=True)
    summing = sum_gradients_exactly
    report = verify_accumulation(model, classification_loss, batch_of(), summing=summing)
    assert report.exact


def test_dropout_is_found_and_is_no_error():
    model = make_mlp(dropout=0.5)
    report = verify_accumulation(model, classification_loss, batch_of())
    assert names(report) == [("layers.2", "Dropout"), ("layers.5", "Dropout")]
    assert all("right on average" in culprit.reason for culprit in report.culprits)
    assert report.without_culprits < report.tolerance


class Centred(nn.Module):
    """Subtracts the mean over the rows: a layer that mixes them, in evaluation too."""

    def forward(self, x):
        return x - x.mean(0, keepdim=True)


def test_a_layer_that_mixes_rows_is_found():
    tt.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), Centred(), nn.Linear(4, 3))
    report = verify_accumulation(model, classification_loss, batch_of())
    assert names(report) == [("1", "Centred")]
    assert "mixes the rows" in report.culprits[0].reason
    assert report.without_culprits > report.tolerance


def test_random_numbers_outside_of_a_layer_of_dropout_are_found():
    class Noisy(nn.Module):
        def __init__(self):
            self.inner = nn.Linear(6, 3)

        def forward(self, x):
            return F.dropout(self.inner(x), 0.5, self.training)

    report = verify_accumulation(Noisy(), classification_loss, batch_of())
    assert names(report) == [("", "Noisy")]
    assert report.without_culprits < report.tolerance
    assert "the model (Noisy)" in str(report)


def test_a_loss_function_that_gives_a_mean_is_found():
    def mean_loss(model, batch):
        x, y = batch
        return F.cross_entropy(model(x), y), 1  # of each micro-batch: the mean of means

    x, y = batch_of(11)
    report = verify_accumulation(make_mlp(), mean_loss, (x, y), (2,))
    assert not report.exact
    assert report.culprits == ()
    assert "the loss function is the reason" in str(report)


def test_everything_stays_as_it_was():
    model = make_mlp(batch_norm=True, dropout=0.5).eval()
    model.layers[1].train()
    x, y = batch_of()
    loss, _ = classification_loss(model, (tt.from_numpy(x), tt.from_numpy(y)))
    loss.backward()

    def everything():
        tensors = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters())]
        modes = [layer.training for layer in model.modules()]
        return [host(tensor).tolist() for tensor in tensors], modes, [*map(vars, model.modules())]

    before = everything()
    keys = [list(attributes) for attributes in before[2]]
    state = tt.generator.default_generator().get_state()
    assert not verify_accumulation(model, classification_loss, (x, y)).exact
    after = everything()
    assert after[:2] == before[:2]
    assert [list(attributes) for attributes in after[2]] == keys
    assert tt.generator.default_generator().get_state() == state
    assert all(layer.pooled is None for layer in (model.layers[1], model.layers[5]))


def test_it_works_beside_an_optimizers_flat_buffers():
    model = make_mlp()
    optimizer = tt.optim.AdamW(model.parameters(), lr=0.1)
    before = [host(parameter).tolist() for parameter in model.parameters()]
    assert verify_accumulation(model, classification_loss, batch_of()).exact
    assert [host(parameter).tolist() for parameter in model.parameters()] == before
    optimizer.step()  # no gradients are left: nothing moves
    assert [host(parameter).tolist() for parameter in model.parameters()] == before


@pytest.mark.parametrize(
    ("batch", "counts", "message"),
    [
        (batch_of(1), (2, 4), "a batch of 1 rows cannot be split into"),
        (batch_of(3), (4,), r"a batch of 3 rows cannot be split into \[4\]"),
        (batch_of(3), (1,), "other numbers from 2"),
    ],
)
def test_what_cannot_be_split(batch, counts, message):
    with pytest.raises(ValueError, match=message):
        verify_accumulation(make_mlp(), classification_loss, batch, counts)


def test_without_items_there_is_nothing_to_verify():
    def nothing(model, batch):
        return model(batch[0]).sum(), 0

    with pytest.raises(ValueError, match="no supervised items"):
        verify_accumulation(make_mlp(), nothing, batch_of())
