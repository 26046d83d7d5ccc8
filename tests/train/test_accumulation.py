"""Any split of a ragged batch into micro-batches gives the gradient of the whole."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tests.device_helpers import host
from tests.train.tiny_language import (
    gradient_of,
    gradient_over,
    make_gpt,
    packed_rows,
    relative_difference,
    split,
)
from tinytrain import nn
from tinytrain.data import collate_packed
from tinytrain.models import MLP, classification_loss, language_model_loss
from tinytrain.nn import functional as F
from tinytrain.train import accumulate_gradients, divide_gradients
from tinytrain.train.accumulation import checked_loss, pooled_statistics, sum_gradients
from tinytrain.train.untouched import untouched

pytestmark = pytest.mark.usefixtures("device")

ROWS = packed_rows()
TOLERANCES = {"float64": 1e-12, "float32": 1e-6}


@functools.cache
def reference(dtype, device):
    """A model on a device, and its gradient over all rows at once."""
    assert tt.get_device() == device
    model = make_gpt(dtype)
    return model, gradient_over(model, [collate_packed(ROWS)])


def partitions():
    """Every row in one of some micro-batches, in any order."""
    return st.lists(st.integers(0, len(ROWS) - 1), min_size=len(ROWS), max_size=len(ROWS)).map(
        lambda places: [
            collate_packed([row for row, place in zip(ROWS, places, strict=True) if place == which])
            for which in sorted(set(places))
        ]
    )


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_every_split_gives_the_gradient_of_the_whole(device, dtype):
    model, whole = reference(dtype, device)

    @settings(max_examples=40 if device == "cpu" else 5, deadline=None)
    @given(partitions())
    def check(micro_batches):
        found = gradient_over(model, micro_batches)
        assert relative_difference(found, whole) < TOLERANCES[dtype]

    check()


def test_the_mean_of_means_does_not(device):
    """The loop that most tutorials print: loss / number of micro-batches."""
    model, whole = reference("float64", device)
    micro_batches = split(ROWS, [1] * len(ROWS))
    model.zero_grad()
    for batch in micro_batches:
        loss_sum, items = language_model_loss(model, tt.to_device(batch))
        (loss_sum / items / len(micro_batches)).backward()
    assert relative_difference(gradient_of(model), whole) > 0.1


def test_the_smallest_counter_example():
    """Losses [4] and [1, 1, 1]: the mean of means says 2.5, the truth is 7 / 4."""
    weight = tt.nn.Parameter(tt.tensor(np.array([1.0])))
    model = tt.nn.Module()
    model.weight = weight
    micro_batches = [np.array([4.0]), np.array([1.0, 1.0, 1.0])]

    def loss_function(model, losses):
        return (model.weight * losses).sum(), len(losses)

    loss_sum, items = accumulate_gradients(model, loss_function, micro_batches)
    divide_gradients(model.parameters(), items)
    assert loss_sum.item() / items == 1.75
    assert weight.grad.item() == 1.75
    assert np.mean([batch.mean() for batch in micro_batches]) == 2.5


@pytest.mark.parametrize("sizes", [[2, 1, 3], [1] * 6, [5, 1]])
def test_weights_stay_equal_over_twenty_steps(device, sizes):
    assert sum(sizes) == len(ROWS)
    ends = []
    for one_split in ([len(ROWS)], sizes):
        model = make_gpt()
        optimizer = tt.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(20 if device == "cpu" else 4):
            optimizer.zero_grad()
            _, items = accumulate_gradients(model, language_model_loss, split(ROWS, one_split))
            divide_gradients(model.parameters(), items)
            optimizer.step()
        ends.append(np.concatenate([host(p).ravel() for p in model.parameters()]))
    assert np.abs(ends[0] - ends[1]).max() < 1e-9
    start = np.concatenate([host(p).ravel() for p in make_gpt().parameters()])
    assert np.abs(ends[0] - start).max() > 1e-2


def test_the_loss_is_the_sum_over_the_items(device):
    model, _ = reference("float64", device)
    losses, counts = [], []
    for row in ROWS:
        loss_sum, items = language_model_loss(model, tt.to_device(row))
        losses.append(loss_sum.item())
        counts.append(items)
    loss_sum, items = accumulate_gradients(model, language_model_loss, split(ROWS, [2, 3, 1]))
    assert items == sum(counts)
    assert loss_sum.item() == pytest.approx(sum(losses), rel=1e-12)
    assert not loss_sum.requires_grad


def unsupervised_row():
    row = packed_rows()[0]
    return tt.data.PackedBatch(
        row.input_ids,
        np.full_like(row.targets, -100),
        row.segment_ids,
        row.positions,
        row.cu_seqlens,
        num_supervised=0,
    )


def test_a_micro_batch_without_supervised_items_contributes_nothing(device):
    model, whole = reference("float64", device)
    found = gradient_over(model, [unsupervised_row(), *split(ROWS, [3, 3]), unsupervised_row()])
    assert relative_difference(found, whole) < 1e-12


def test_a_window_without_supervised_items(device):
    model, _ = reference("float64", device)
    model.zero_grad()
    micro_batches = [unsupervised_row(), unsupervised_row()]
    assert accumulate_gradients(model, language_model_loss, micro_batches) == (None, 0)
    assert all(parameter.grad is None for parameter in model.parameters())


def batch_norm_model():
    tt.manual_seed(1)
    return MLP([3, 4, 5, 2], batch_norm=True).to("float64")


def classes(rows):
    source = np.random.default_rng(5)
    return source.normal(2.0, 3.0, size=(rows, 3)), source.integers(0, 2, size=rows)


def running_statistics(layer):
    return np.r_[host(layer.running_mean), host(layer.running_var)]


def test_batch_norm_statistics_are_those_of_the_whole_window(device):
    @settings(max_examples=25 if device == "cpu" else 5, deadline=None)
    @given(st.lists(st.integers(2, 9), min_size=1, max_size=6))
    def check(sizes):
        check_pooled_statistics(sizes)

    check()


def check_pooled_statistics(sizes):
    x, y = classes(sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    cut = [(x[i : i + n], y[i : i + n]) for i, n in zip(starts, sizes, strict=True)]
    whole, parts = batch_norm_model(), batch_norm_model()
    for _ in range(2):
        accumulate_gradients(whole, classification_loss, [(x, y)])
        accumulate_gradients(parts, classification_loss, cut)
    first = [model.layers[1] for model in (whole, parts)]
    np.testing.assert_allclose(*map(running_statistics, first), rtol=1e-12)
    assert [layer.num_batches_tracked.item() for layer in first] == [2, 2]
    assert first[1].pooled is None


def test_batch_norm_statistics_survive_an_error():
    model = batch_norm_model()
    layer = model.layers[1]
    before = running_statistics(layer)

    def fails_second(model, batch):
        fails_second.calls += 1
        if fails_second.calls == 2:
            raise MemoryError("too large")
        return classification_loss(model, batch)

    fails_second.calls = 0
    with pytest.raises(MemoryError):
        accumulate_gradients(model, fails_second, [classes(4), classes(4)])
    assert np.array_equal(running_statistics(layer), before)
    assert layer.pooled is None
    model(tt.from_numpy(classes(4)[0]))  # on its own it follows each batch again
    assert layer.num_batches_tracked.item() == 1


@pytest.mark.parametrize("items", [0, -1])
def test_gradients_are_divided_by_a_positive_number(items):
    with pytest.raises(ValueError, match=f"positive number of items, not {items}"):
        divide_gradients([], items)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda total: total, TypeError, r"returns \(sum of .*got Tensor; .*reduction='sum'"),
        (lambda total: [total, 3], TypeError, "got list"),
        (lambda total: (total, 3, 1), TypeError, "got tuple"),
        (lambda total: (1.5, 3), TypeError, "a tensor of one element, got 1.5"),
        (lambda total: (tt.ones(2), 3), TypeError, "a tensor of one element, got tensor"),
        (lambda total: (total, -1), ValueError, "a number from 0 .*, finite, got -1"),
        (lambda total: (total, -0.5), ValueError, "got -0.5"),
        (lambda total: (total, float("inf")), ValueError, "got inf"),
        (lambda total: (total, 3j), ValueError, "got 3j"),
        (lambda total: (total, True), ValueError, "got True"),
        (lambda total: (total, None), ValueError, "got None"),
        (lambda total: (total, "3"), ValueError, "got '3'"),
        (lambda total: (total, float("nan")), ValueError, "got nan"),
        (lambda total: (total, tt.tensor([3, 4])), ValueError, r"got tensor\(\[3, 4"),
        (lambda total: (total, tt.tensor(True)), ValueError, r"got tensor\(True"),
    ],
)
def test_the_contract_of_a_loss_function(result, error, message):
    model = tt.nn.Linear(2, 1)

    def loss_function(model, batch):
        return result(model(batch).sum())

    with pytest.raises(error, match=message):
        accumulate_gradients(model, loss_function, [np.ones((3, 2), dtype=np.float32)])


def test_a_number_of_items_may_come_from_numpy():
    model = tt.nn.Linear(2, 1)

    def loss_function(model, batch):
        return model(batch).sum(), np.int64(3)

    _, items = accumulate_gradients(model, loss_function, [np.ones((3, 2), dtype=np.float32)])
    assert items == 3
    assert type(items) is int


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_ranks_with_unequal_items_equal_a_single_process(device, ranks):
    """Each rank adds up its own sums; sums and items are added over ranks, and divided once."""
    model, whole = reference("float64", device)
    total, items = 0.0, 0
    for rank in range(ranks):
        model.zero_grad()
        mine = [collate_packed([row]) for row in ROWS[rank::ranks]]
        _, own_items = accumulate_gradients(model, language_model_loss, mine)
        total, items = total + gradient_of(model), items + own_items
    assert relative_difference(total / items, whole) < 1e-12


@pytest.mark.parametrize("size", [2, 4, 5])
def test_a_shorter_last_window_is_the_gradient_of_its_own_rows(device, size):
    """Where r < k micro-batches are left: divided by their own items, not by those of k."""
    from tinytrain.train.windows import WindowStream

    model, _ = reference("float64", device)
    windows = iter(WindowStream(ROWS, size))
    for start in range(0, len(ROWS), size):
        window = next(windows)
        expected = gradient_over(model, [collate_packed(ROWS[start : start + size])])
        assert relative_difference(gradient_over(model, window), expected) < 1e-12


def test_after_each_micro_batch_with_items_its_number_is_told():
    told = []
    model = make_gpt()
    micro_batches = [ROWS[0], unsupervised_row(), ROWS[1]]
    accumulate_gradients(model, language_model_loss, micro_batches, told.append)
    assert told == [ROWS[0].num_supervised, ROWS[1].num_supervised]


# ---------------------------------------------------------------- items that have weights


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        (3, 3),
        (2.5, 2.5),
        (np.int32(4), 4),
        (np.float32(0.5), 0.5),
        (np.array(7), 7),
        (np.array([1.5]), 1.5),
        (tt.tensor(3), 3),
        (tt.tensor(0.25), 0.25),
    ],
)
def test_items_are_numbers_of_any_make(items, expected):
    _, found = checked_loss((tt.ones(()), items))
    assert found == expected
    assert type(found) is type(expected)


def weighted_loss(model, batch):
    """Give the sum of weighted losses and the sum of the weights, as torch's weighted mean does."""
    x, y = batch
    weight = tt.tensor([0.2, 1.5, 3.0])
    loss = F.cross_entropy(model(x), y, weight, reduction="sum")
    return loss, weight[y].sum()


def test_weighted_losses_are_split_exactly_and_trained(tmp_path):
    source = np.random.default_rng(0)
    x, y = source.normal(size=(12, 4)).astype(np.float32), source.integers(0, 3, 12)
    tt.manual_seed(0)
    model = nn.Linear(4, 3)
    report = tt.train.verify_accumulation(model, weighted_loss, (x, y), (2, 3, 5))
    assert report.exact
    assert report.items == pytest.approx(np.array([0.2, 1.5, 3.0])[y].sum(), rel=1e-6)

    def train(max_steps, accumulation, resume=False, out=None):
        tt.manual_seed(0)
        model = nn.Linear(4, 3)
        trainer = tt.Trainer(
            model,
            tt.optim.SGD(model.parameters(), lr=0.1),
            weighted_loss,
            tt.data.DataLoader(tt.data.TensorDataset(x, y), 12 // accumulation),
            max_steps=max_steps,
            accumulation_steps=accumulation,
            log_every=2,
            out=out,
            save_every=None if out is None else 1,
            progress=False,
        )
        if resume:
            trainer.resume("auto")
        return trainer.fit().training_loss, host(model.weight), trainer.windows.items

    loss, weight, items = train(4, 1)
    again = train(4, 3)
    assert again[0] == pytest.approx(loss, rel=1e-5)
    np.testing.assert_allclose(again[1], weight, rtol=1e-4)
    assert items == pytest.approx(4 * report.items)
    train(4, 3, out=tmp_path)
    tmp_path.joinpath("step-00000004.npz").unlink()
    resumed = train(4, 3, resume=True, out=tmp_path)  # in the midst of a log record
    assert resumed[0] == again[0]
    assert resumed[2] == again[2]
    np.testing.assert_array_equal(resumed[1], again[1])


def test_a_loss_without_a_gradient_says_why():
    model = nn.Linear(2, 1).requires_grad_(False)

    def loss(model, x):
        return model(x).sum(), len(x)

    with pytest.raises(RuntimeError, match="the loss requires no gradient, so nothing can be"):
        sum_gradients(model, loss, [np.ones((2, 2), np.float32)])


def test_a_block_within_a_block_collects_for_itself():
    model = nn.Sequential(nn.BatchNorm1d(2))
    random = np.random.default_rng(0)
    x = tt.tensor(random.normal(size=(6, 2)).astype(np.float32))
    alone = nn.Sequential(nn.BatchNorm1d(2))
    with pooled_statistics(alone):
        alone(x)
    with pooled_statistics(model):
        model(x)
        with untouched(model), pooled_statistics(model):
            model(x * 100)
    assert model[0].running_mean.tolist() == alone[0].running_mean.tolist()
    assert model[0].num_batches_tracked.item() == 1
