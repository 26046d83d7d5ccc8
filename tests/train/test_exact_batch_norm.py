"""Batch normalisation by the statistics of all micro-batches: the gradient of the whole batch."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tests.device_helpers import host
from tests.train.tiny_language import gradient_of, relative_difference
from tinytrain import nn
from tinytrain.models import MLP, classification_loss
from tinytrain.nn import functional as F
from tinytrain.train.accumulation import pooled_statistics, sum_gradients
from tinytrain.train.batch_norm_choice import choose_summing, warn_of_batch_norm
from tinytrain.train.exact_batch_norm import sum_gradients_exactly

pytestmark = pytest.mark.usefixtures("device")


class Deep(nn.Module):
    """Three normalisations, one of which is used twice, a residual path and a convolution."""

    def __init__(self):
        tt.manual_seed(1)
        self.convolution = nn.Conv1d(2, 3, 3, padding=1)
        self.first = nn.BatchNorm1d(3)
        self.second = nn.BatchNorm1d(3, affine=False)
        self.third = nn.BatchNorm1d(3, track_running_stats=False)
        self.head = nn.Linear(12, 2)

    def forward(self, x):
        x = self.first(self.convolution(x)).tanh()
        x = x + self.second(x * x)
        x = x + self.third(self.second(x.sin())).tanh()
        return self.head(x.flatten(1))


def rows(count, channels=2):
    source = np.random.default_rng(4)
    return source.normal(1.0, 2.0, size=(count, channels, 4)), source.integers(0, 2, size=count)


def cut(batch, sizes):
    ends = np.cumsum(sizes)
    return [
        tuple(part[end - size : end] for part in batch)
        for size, end in zip(sizes, ends, strict=True)
    ]


def gradients(model, micro_batches, summing, loss_function=classification_loss):
    model.zero_grad()
    with pooled_statistics(model):
        loss_sum, items = summing(model, loss_function, micro_batches)
    return gradient_of(model), loss_sum.item(), items


def buffers(model):
    return {name: host(buffer) for name, buffer in model.named_buffers()}


def check_equal(make, batch, sizes, loss_function=classification_loss):
    whole, split = make(), make()
    expected, loss, items = gradients(whole, [batch], sum_gradients, loss_function)
    found, found_loss, found_items = gradients(
        split, cut(batch, sizes), sum_gradients_exactly, loss_function
    )
    assert relative_difference(found, expected) < 1e-10
    assert found_loss == pytest.approx(loss, rel=1e-10)
    assert found_items == items
    for name, value in buffers(whole).items():
        np.testing.assert_allclose(buffers(split)[name], value, rtol=1e-10, err_msg=name)
    assert all(parameter.requires_grad for parameter in split.parameters())
    return expected


@pytest.mark.parametrize("sizes", [[11], [6, 5], [1] * 11, [1, 7, 1, 2]])
def test_the_gradient_is_that_of_the_whole_batch(sizes):
    check_equal(lambda: Deep().to("float64"), rows(11), sizes)


def test_any_split_and_depth(device):
    @settings(max_examples=15 if device == "cpu" else 3, deadline=None)
    @given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(1, 5))
    def check(sizes, depth):
        def make():
            tt.manual_seed(depth)
            return MLP([8, *[4] * depth, 3], batch_norm=True).to("float64")

        x, y = rows(sum(sizes))
        check_equal(make, (x.reshape(len(x), -1), y), sizes)

    check()


def test_pooled_statistics_alone_do_not_give_it():
    expected, *_ = gradients(Deep().to("float64"), [rows(11)], sum_gradients)
    found, *_ = gradients(Deep().to("float64"), cut(rows(11), [6, 5]), sum_gradients)
    assert relative_difference(found, expected) > 0.1


def test_two_dimensions():
    def make():
        tt.manual_seed(2)
        return nn.Sequential(
            nn.Conv2d(2, 3, 2),
            nn.BatchNorm2d(3, momentum=None),
            nn.ReLU(),
            nn.Conv2d(3, 3, 1),
            nn.BatchNorm2d(3, bias=False),
            nn.Flatten(),
            nn.Linear(3, 2),
        ).to("float64")

    x, y = rows(7)
    check_equal(make, (x.reshape(7, 2, 2, 2), y), [3, 1, 3])


def test_rows_without_items_have_their_share_in_the_statistics():
    """As they have in the whole batch, where their losses count nothing."""
    x, y = rows(8)
    counts = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0])

    def counted(model, batch):
        x, y, counts = batch
        losses = F.cross_entropy(model(x), y, reduction="none") * counts
        return losses.sum(), int(counts.sum().item())

    check_equal(lambda: Deep().to("float64"), (x, y, counts), [2, 3, 3], counted)


def test_a_window_without_items():
    def nothing(model, batch):
        return model(batch[0]).sum() * 0.0, 0

    model = Deep().to("float64")
    assert sum_gradients_exactly(model, nothing, cut(rows(4), [2, 2])) == (None, 0)


def test_an_empty_micro_batch():
    whole, split = Deep().to("float64"), Deep().to("float64")
    empty = tuple(part[:0] for part in rows(4))
    expected, *_ = gradients(whole, [rows(4)], sum_gradients)
    found, *_ = gradients(split, [empty, *cut(rows(4), [3, 1])], sum_gradients_exactly)
    assert relative_difference(found, expected) < 1e-10


def test_dropout_draws_the_same_masks_in_every_pass():
    """With one micro-batch the plain pass must come out, and leave the same generator."""

    x, y = rows(9)
    batch = (x.reshape(9, -1), y)

    def run(sizes, summing):
        tt.manual_seed(3)
        model = MLP([8, 6, 6, 2], batch_norm=True, dropout=0.5).to("float64")
        found, *_ = gradients(model, cut(batch, sizes), summing)
        return found, tt.randn(3).tolist()

    for sizes in ([9], [4, 5]):
        expected, numbers_after = run(sizes, sum_gradients)
        found, found_after = run(sizes, sum_gradients_exactly)
        assert found_after == numbers_after
        difference = relative_difference(found, expected)
        assert difference < 1e-10 if len(sizes) == 1 else difference > 0.1


def test_a_model_without_batch_norm_or_in_evaluation_is_gone_through_once():
    calls = []

    def counted(model, batch):
        calls.append(len(batch[0]))
        return classification_loss(model, batch)

    x, y = rows(4)
    batch = (x.reshape(4, -1), y)
    for model in (MLP([8, 2]), MLP([8, 4, 2], batch_norm=True).eval()):
        calls.clear()
        gradients(model.to("float64"), cut(batch, [2, 2]), sum_gradients_exactly, counted)
        assert calls == [2, 2]
    calls.clear()
    gradients(
        MLP([8, 4, 4, 2], batch_norm=True).to("float64"),
        cut(batch, [2, 2]),
        sum_gradients_exactly,
        counted,
    )
    assert len(calls) == 2 * (2 * 2 + 1)


def test_gradients_are_told_after_each_micro_batch():
    told = []
    model = Deep().to("float64")
    with pooled_statistics(model):
        sum_gradients_exactly(model, classification_loss, cut(rows(5), [2, 3]), told.append)
    assert told == [2, 3]


@pytest.mark.parametrize("when", range(7))
def test_an_error_leaves_the_model_usable(when):
    model = Deep().to("float64")
    before = buffers(model)
    calls = []

    def fails(model, batch):
        calls.append(0)
        if len(calls) == when * 2 + 1:
            raise MemoryError("too large")
        return classification_loss(model, batch)

    with pytest.raises(MemoryError):
        gradients(model, cut(rows(5), [2, 3]), sum_gradients_exactly, fails)
    assert all(parameter.requires_grad for parameter in model.parameters())
    for name, value in buffers(model).items():
        assert np.array_equal(value, before[name]), name
    assert all(layer.window_normalizer is None for layer in (model.first, model.second))


def test_one_value_per_channel_in_the_whole_window():
    model = MLP([8, 4, 2], batch_norm=True)
    x, y = rows(1)
    micro_batches = [(x.reshape(1, -1).astype(np.float32), y)]
    with pytest.raises(ValueError, match=r"BatchNorm1d\(4\) in training needs more than one value"):
        sum_gradients_exactly(model, classification_loss, micro_batches)


def test_micro_batches_that_go_other_ways_are_refused():
    class Wayward(nn.Module):
        def __init__(self):
            self.norms = nn.ModuleList([nn.BatchNorm1d(2), nn.BatchNorm1d(2)])

        def forward(self, x):
            for norm in list(self.norms)[: len(x) - 1]:
                x = norm(x)
            return x

    def loss(model, x):
        return model(x).sum(), len(x)

    x = np.random.default_rng(0).normal(size=(5, 2)).astype(np.float32)
    for sizes in ([2, 3], [3, 2]):
        micro_batches = [x[: sizes[0]], x[sizes[0] :]]
        with pytest.raises(RuntimeError, match="batch_norm='exact' needs the same ones in each"):
            sum_gradients_exactly(Wayward(), loss, micro_batches)


def test_the_warning_explains_and_is_asked_away():
    model = MLP([3, 4, 2], batch_norm=True)
    with pytest.warns(UserWarning, match=r"layers.1: batch normalisation takes .*GroupNorm"):
        assert warn_of_batch_norm(model, None, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_of_batch_norm(model, "pooled", 2)
        assert not warn_of_batch_norm(model, "exact", 2)
        assert not warn_of_batch_norm(model, None, 1)
        assert not warn_of_batch_norm(MLP([3, 2]), None, 2)
        assert not warn_of_batch_norm(model.eval(), None, 2)
    assert choose_summing(None) is choose_summing("pooled") is sum_gradients
    assert choose_summing("exact") is sum_gradients_exactly
    with pytest.raises(ValueError, match="'pooled' or 'exact', not 'whole'"):
        choose_summing("whole")


def make_trainer(model, **settings):
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    data = tt.data.TensorDataset(x, np.zeros(16, dtype=np.int64))
    return tt.Trainer(
        model,
        tt.optim.SGD(model.parameters(), lr=0.1),
        classification_loss,
        tt.data.DataLoader(data, batch_size=4),
        max_steps=1,
        progress=False,
        **settings,
    )


@pytest.mark.parametrize("settings", [{"accumulation_steps": 2}, {"micro_batch_size": 2}])
def test_a_trainer_warns_once_whether_micro_batches_are_made_or_cut(settings):
    with pytest.warns(UserWarning, match="layers.1"):
        trainer = make_trainer(MLP([3, 4, 2], batch_norm=True), **settings)
    trainer.fit()  # warnings are errors here
    make_trainer(MLP([3, 4, 2], batch_norm=True)).fit()  # one whole micro-batch


def test_a_model_that_trains_only_from_fit_on_is_warned_of_then():
    model = MLP([3, 4, 2], batch_norm=True).eval()
    trainer = make_trainer(model, accumulation_steps=2)
    model.train()
    with pytest.warns(UserWarning, match="layers.1"):
        trainer.fit()


class Twice(nn.Module):
    """Goes through one batch normalisation twice, and in between through an activation."""

    def __init__(self):
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.norm(x * 2 + 1).tanh())


@pytest.mark.parametrize("summing", [sum_gradients, sum_gradients_exactly])
def test_a_normalisation_used_twice_moves_twice_as_with_the_whole_batch(summing):
    """The first uses of all micro-batches are pooled, and the second ones."""
    x = np.random.default_rng(1).normal(3.0, 2.0, size=(12, 3))

    def loss(model, batch):
        return model(batch).square().sum(), len(batch)

    whole, split = Twice().to("float64"), Twice().to("float64")
    loss(whole, tt.tensor(x))
    pieces = [x[:2], x[2:7], x[7:]]
    with pooled_statistics(split):
        summing(split, loss, pieces)
    assert split.norm.num_batches_tracked.item() == 2
    if summing is sum_gradients_exactly:
        expected = host(whole.norm.running_mean), host(whole.norm.running_var)
    else:  # the second use sees what each micro-batch made of the first
        second = np.concatenate([host(_normalised(piece)) for piece in pieces])
        first = x * 2 + 1
        expected = (
            0.9 * (0.1 * first.mean(0)) + 0.1 * second.mean(0),
            0.9 * (0.9 + 0.1 * first.var(0, ddof=1)) + 0.1 * second.var(0, ddof=1),
        )
    np.testing.assert_allclose(host(split.norm.running_mean), expected[0], rtol=1e-12)
    np.testing.assert_allclose(host(split.norm.running_var), expected[1], rtol=1e-12)


def _normalised(piece):
    return Twice().to("float64").norm(tt.tensor(piece * 2 + 1)).tanh().detach()


@pytest.mark.parametrize("summing", [sum_gradients, sum_gradients_exactly])
def test_instance_norm_is_pooled_as_over_the_whole_batch(summing):
    def make():
        tt.manual_seed(0)
        layers = [nn.BatchNorm1d(2)] if summing is sum_gradients_exactly else []
        instances = nn.InstanceNorm1d(2, affine=True, track_running_stats=True)
        return nn.Sequential(*layers, instances).to("float64")

    def loss(model, batch):
        return model(batch).square().sum(), len(batch)

    x = np.random.default_rng(1).normal(3.0, 2.0, size=(7, 2, 5))
    whole, split = make(), make()
    loss(whole, tt.tensor(x))
    with pooled_statistics(split):
        summing(split, loss, [x[:1], x[1:5], x[5:]])
    for name, value in whole[-1].state_dict().items():
        own = host(split[-1].state_dict()[name])
        np.testing.assert_allclose(own, host(value), rtol=1e-12, atol=1e-15)
