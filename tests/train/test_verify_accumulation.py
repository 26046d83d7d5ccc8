"""Proving on a user's model that a split equals the whole, and finding what breaks it."""

import random

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
from tinytrain.train.accumulation import pooled_statistics
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
    assert report.without_culprits < report.tolerance


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
    assert "the loss function breaks it" in str(report)


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


# ---------------------------------------------------------------- what is behind a culprit


def test_the_search_goes_on_behind_a_layer_that_mixes_in_evaluation_too():
    tt.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(6, 4), Centred(), nn.Dropout(0.5), nn.BatchNorm1d(4), Centred(), nn.Linear(4, 3)
    )
    report = verify_accumulation(model, classification_loss, batch_of())
    assert [name for name, _ in names(report)] == ["1", "2", "3", "4"]
    reasons = [culprit.reason for culprit in report.culprits]
    assert "mixes the rows" in reasons[0]
    assert "draws random numbers" in reasons[1]
    assert "normalises each micro-batch" in reasons[2]
    assert "mixes the rows" in reasons[3]
    assert report.without_culprits < report.tolerance


def test_culprits_and_the_loss_are_both_found():
    def mean_loss(model, batch):
        x, y = batch
        return F.cross_entropy(model(x), y), 1

    model = make_mlp(batch_norm=True)
    report = verify_accumulation(model, mean_loss, batch_of(11), 2)
    assert [name for name, _ in names(report)] == ["layers.1", "layers.4"]
    assert report.without_culprits > report.tolerance
    assert "the loss function breaks it" in str(report)


class Named(nn.Module):
    """Takes and gives dictionaries; an inner layer may mix rows."""

    def __init__(self, inner):
        self.inner, self.last = inner, nn.Linear(4, 3)

    def forward(self, given):
        return {"logits": self.last(self.inner({"x": given["x"]})["x"])}


class OnNamed(nn.Module):
    def __init__(self, layer):
        self.layer = layer

    def forward(self, given):
        return {"x": self.layer(given["x"])}


def named_loss(model, batch):
    logits = model({"x": batch["x"]})["logits"]
    return F.cross_entropy(logits, batch["y"], reduction="sum"), len(batch["y"])


def test_dictionaries_between_layers():
    x, y = batch_of()
    batch = {"x": x, "y": y}
    tt.manual_seed(0)
    mixing = Named(OnNamed(nn.Sequential(nn.Linear(6, 4), Centred())))
    report = verify_accumulation(mixing, named_loss, batch)
    assert names(report) == [("inner.layer.1", "Centred")]
    assert report.without_culprits < report.tolerance
    assert verify_accumulation(Named(OnNamed(nn.Linear(6, 4))), named_loss, batch).exact


class TimeMajor(nn.Module):
    """Puts time first, and normalises every step of every row."""

    def __init__(self, norm):
        self.first, self.norm, self.last = nn.Linear(2, 4), norm, nn.Linear(4, 3)

    def forward(self, x):  # (N, T, 2)
        steps = self.first(x.transpose(0, 1))  # (T, N, 4)
        flat = self.norm(steps.reshape(-1, 4))  # (T N, 4)
        return self.last(flat.reshape(*steps.shape)).transpose(0, 1).mean(1)


class RowMajor(TimeMajor):
    def forward(self, x):
        flat = self.norm(self.first(x).reshape(-1, 4))  # (N T, 4)
        return self.last(flat.reshape(len(x), -1, 4)).mean(1)


@pytest.mark.parametrize("order", [TimeMajor, RowMajor])
def test_rows_on_other_axes(order):
    x, y = batch_of()
    tt.manual_seed(0)
    batch = x.reshape(12, 3, 2), y
    model = order(nn.BatchNorm1d(4))
    report = verify_accumulation(model, classification_loss, batch, (5,))
    assert names(report) == [("norm", "BatchNorm1d")]
    assert report.without_culprits < report.tolerance
    drawing = order(nn.Sequential(nn.LayerNorm(4), nn.Dropout(0.3)))
    assert names(verify_accumulation(drawing, classification_loss, batch)) == [
        ("norm.1", "Dropout")
    ]


class Mean(nn.Module):
    def forward(self, x):
        return x.mean(0, keepdim=True)


class Around(nn.Module):
    def __init__(self):
        self.first, self.mean, self.last = nn.Linear(6, 4), Mean(), nn.Linear(4, 3)

    def forward(self, x):
        x = self.first(x)
        return self.last(x - self.mean(x))


def test_a_layer_that_gives_one_value_for_all_rows():
    report = verify_accumulation(Around(), classification_loss, batch_of())
    assert names(report) == [("mean", "Mean")]
    assert report.without_culprits < report.tolerance


class Pairs(nn.Module):
    """Scores each row against all others, as contrastive losses do."""

    def forward(self, x):
        return x @ x.transpose(0, 1)


def test_a_layer_that_pairs_rows():
    def contrastive(model, x):
        return model(x).logsumexp(1).sum(), len(x)

    tt.manual_seed(0)
    report = verify_accumulation(
        nn.Sequential(nn.Linear(6, 4), Pairs()), contrastive, batch_of()[0]
    )
    assert names(report) == [("1", "Pairs")]
    assert "pairs the rows" in report.culprits[0].reason


class Noisy(nn.Module):
    def __init__(self, draw):
        self.draws, self.inner = [draw], nn.Linear(6, 3)

    def forward(self, x):
        noise = np.subtract(*(self.draws[0](x.shape) for _ in range(2)))
        return self.inner(x + tt.tensor(np.asarray(noise, dtype=np.float32)))


OWN = {"numpy": np.random.default_rng(0), "ours": tt.Generator(0)}


class NoisyWithItsOwn(Noisy):
    def __init__(self, kind):
        super().__init__(None)
        self.sources = {"kept": [OWN[kind]]}

    def forward(self, x):
        source = self.sources["kept"][0]
        if isinstance(source, np.random.Generator):
            noise = source.normal(size=(2, *x.shape))[1]
            return self.inner(x + tt.tensor(noise.astype(np.float32)))
        return self.inner(F.dropout(x, 0.5, generator=source))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Noisy(lambda shape: np.random.normal(size=shape)),
        lambda: Noisy(lambda shape: [[random.random()] * shape[1] for _ in range(shape[0])]),
        lambda: NoisyWithItsOwn("numpy"),
        lambda: NoisyWithItsOwn("ours"),
    ],
)
def test_generators_of_all_kinds_are_noticed_and_put_back(make):
    model = make()

    def states():
        theirs = np.random.get_state(legacy=True)
        kinds = [random.getstate(), theirs[1].tolist(), theirs[2]]
        return [*kinds, repr(OWN["numpy"].bit_generator.state), OWN["ours"].get_state()]

    before = states()
    report = verify_accumulation(model, classification_loss, batch_of())
    assert names(report) == [("", type(model).__name__)]
    assert "draws random numbers" in report.culprits[0].reason
    assert report.without_culprits < report.tolerance
    assert states() == before
    tt.train.measure_noise(model, classification_loss, [batch_of(), batch_of()])
    assert states() == before


def test_a_parent_of_dropout_that_mixes_is_said_to_mix():
    class Both(nn.Module):
        def __init__(self):
            self.drop, self.last = nn.Dropout(0.5), nn.Linear(6, 3)

        def forward(self, x):
            x = self.drop(x)
            return self.last(x - x.mean(0, keepdim=True))

    report = verify_accumulation(Both(), classification_loss, batch_of())
    assert names(report) == [("drop", "Dropout"), ("", "Both")]
    assert "mixes the rows" in report.culprits[1].reason


def test_what_the_loss_function_does_before_the_model_is_found():
    def centring_loss(model, batch):
        x, y = batch
        return classification_loss(model, (x - x.mean(0, keepdim=True), y))

    report = verify_accumulation(make_mlp(), centring_loss, batch_of())
    assert names(report) == [("(loss)", "function")]
    assert "mixes the rows" in report.culprits[0].reason


def test_a_normalisation_that_the_window_does_is_excused():
    tt.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), Centred(), nn.Linear(4, 3))
    summing = sum_gradients_exactly
    report = verify_accumulation(model, classification_loss, batch_of(), summing=summing)
    assert names(report) == [("2", "Centred")]


# ---------------------------------------------------------------- numbers of micro-batches


@pytest.mark.parametrize("counts", [15, (15,)])
def test_a_number_that_does_not_divide_the_rows(counts):
    report = verify_accumulation(make_mlp(), classification_loss, batch_of(16), counts)
    assert [split.micro_batches for split in report.splits] == [15]
    assert report.exact


# ---------------------------------------------------------------- what proves nothing


def test_a_gradient_of_zero_proves_nothing():
    def nothing(model, batch):
        loss, items = classification_loss(model, batch)
        return loss * 0, items

    with pytest.raises(ValueError, match="zero everywhere"):
        verify_accumulation(make_mlp(), nothing, batch_of())


def test_frozen_parameters_are_named():
    with pytest.raises(RuntimeError, match="the loss requires no gradient"):
        verify_accumulation(make_mlp().requires_grad_(False), classification_loss, batch_of())


def test_a_loss_that_is_not_finite_is_not_put_down_to_a_layer():
    def broken(model, batch):
        loss, items = classification_loss(model, batch)
        return loss * float("nan"), items

    with pytest.raises(ValueError, match="the loss of the whole batch is nan"):
        verify_accumulation(make_mlp(batch_norm=True), broken, batch_of())


def test_a_mean_over_no_items_in_a_micro_batch_is_found():
    def mean_of_few(model, batch):
        x, y = batch
        count = int(host(y >= 0).sum())
        losses = F.cross_entropy(model(x), y, ignore_index=-1, reduction="sum")
        return losses / count if count else losses * float("nan"), 1

    x, y = batch_of(4)
    y[:2] = -1
    report = verify_accumulation(make_mlp(), mean_of_few, (x, y), 2)
    assert not report.exact
    assert report.culprits == ()
    assert "not finite" in str(report)


# ---------------------------------------------------------------- in the midst of a window


def test_it_can_be_called_while_statistics_are_being_pooled():
    model, alone = make_mlp(batch_norm=True), make_mlp(batch_norm=True)
    x, y = batch_of()
    for one in (model, alone):
        with pooled_statistics(one):
            one(tt.from_numpy(x))
            if one is model:
                verify_accumulation(model, classification_loss, (x, y))
            one(tt.from_numpy(x[:5]))
    for name, value in alone.state_dict().items():
        assert host(model.state_dict()[name]).tolist() == host(value).tolist()
