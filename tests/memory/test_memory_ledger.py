"""The ledger of memory: what counts, once, until it is freed; and the limit."""

import gc
import math
import threading

import numpy as np
import pytest

import tinytrain as tt
from tinytrain import nn
from tinytrain.autograd import watchers
from tinytrain.memory import count_memory, is_out_of_memory
from tinytrain.testing import mock

pytestmark = pytest.mark.usefixtures("device")
K = 1000


@pytest.fixture(autouse=True)
def _nobody_looks_on_afterwards():
    yield
    assert watchers() == ()


def test_inputs_outputs_and_what_is_kept_count_once():
    x = tt.ones(K, requires_grad=True)
    with count_memory() as ledger:
        y = x.exp()  # keeps its output
        assert ledger.used == 8 * K
        z = y * y  # keeps y, twice
        assert ledger.used == 12 * K
        w = z.reshape(10, 100).T[2:]  # views
        assert ledger.used == 12 * K
        del z
        assert ledger.used == 12 * K  # w is a view of it
        del w
        assert ledger.used == 8 * K
        del y
    assert (ledger.used, ledger.peak) == (4 * K, 12 * K)
    del x
    assert ledger.used == 0


def test_without_a_graph_results_go_at_once():
    with count_memory() as ledger:
        x = tt.ones(K)
        for _ in range(5):
            x = x * 1.5
    assert (ledger.used, ledger.peak) == (4 * K, 8 * K)


def test_gradients_count_while_they_are_there():
    x = tt.ones(K, requires_grad=True)
    with count_memory() as ledger:
        y = (x * 2.0).sum()
        y.backward()
        del y
        assert ledger.used == 8 * K  # x and its gradient
        x.grad = None
        assert ledger.used == 4 * K


def test_of_a_flat_buffer_the_parts_in_use_count():
    model = nn.ModuleList([nn.Linear(10, 10, bias=False) for _ in range(4)])
    optimizer = tt.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with count_memory() as ledger:
        x = tt.ones(1, 10)
        y = model[0](x).sum()
        assert ledger.used == 400 + 40 + 4  # a sum does not keep what it adds up
        y.backward()
        del y
        assert ledger.used == 2 * 400 + 40
        optimizer.step()  # makes the momenta of all four
        assert ledger.used == 2 * 400 + 40 + 4 * 400
        (model[0](x).sum() + model[1](x).sum()).backward()
        assert ledger.used == 4 * 400 + 40 + 4 * 400


def test_of_a_large_array_on_the_cpu_the_rows_in_use_count(device):
    if device != "cpu":
        pytest.skip("elsewhere a batch is a copy")
    data = np.ones((1000, 10), dtype=np.float32)
    weight = tt.ones(10, requires_grad=True)
    with count_memory() as ledger:
        for start in range(0, 100, 20):
            x = tt.from_numpy(data[start : start + 20])
            y = (x.reshape(10, 20).reshape(20, 10) * weight).sum()
            assert ledger.used == 20 * 40 + 40 + 4
    del x, y
    assert ledger.used == 40


def test_broadcast_views_count_as_what_they_are():
    with count_memory() as ledger:
        x = tt.ones(10).exp()
        y = x.expand(1000, 10)
        assert ledger.used == 40
    del x, y


def test_backward_frees_as_it_walks():
    x = tt.ones(K, requires_grad=True)
    with count_memory() as ledger:
        y = x
        for _ in range(20):
            y = y.exp().log()  # each keeps an array
        held = ledger.used
        ledger.peak = 0
        y.sum().backward()
        del y
    assert held == 4 * K * (1 + 20 + 1)  # x, the exponentials, the last logarithm
    assert ledger.peak <= held + 3 * 4 * K
    assert ledger.used == 8 * K


def test_the_ledger_follows_the_graph_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        with tt.memory_limit("1GB") as limit:
            x = tt.ones(K, requires_grad=True)
            y = (x.exp() * x).sum()
            assert limit.ledger.used > 4 * K
            del y
            assert limit.ledger.used == 4 * K
            del x
            assert limit.ledger.used == 0
    finally:
        gc.enable()


# ---------------------------------------------------------------- the limit


def training_step(model, rows=64):
    loss = model(tt.ones(rows, 32)).tanh().sum()
    loss.backward()


def test_a_step_beyond_the_limit_raises_and_leaves_nothing():
    model = nn.Sequential(nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 32))
    with tt.memory_limit(10**9) as limit:
        training_step(model)
        peak = limit.ledger.peak
    model.zero_grad()
    with tt.memory_limit(peak) as limit:
        training_step(model)
        assert limit.ledger.peak == peak
    model.zero_grad()
    with tt.memory_limit(peak - 1) as limit:
        with pytest.raises(tt.OutOfMemoryError, match="the limit is") as caught:
            training_step(model)
        assert is_out_of_memory(caught.value)
        assert isinstance(caught.value, MemoryError)
        del caught
        model.zero_grad()
        assert limit.ledger.used == sum(4 * p.numel() for p in model.parameters())
        training_step(model, rows=32)


def test_the_message_names_the_operation_and_the_amounts():
    with tt.memory_limit("4KB"), pytest.raises(tt.OutOfMemoryError) as caught:
        tt.ones(K) + 1.0
    assert "the forward of Add needs 8.00 KB in all, and the limit is 4.00 KB" in str(caught.value)
    assert "smaller micro-batches" in str(caught.value)


def test_the_state_of_an_optimizer_counts_and_is_refused_before_any_update():
    first, second = nn.Linear(10, 10, bias=False), nn.Linear(10, 10, bias=False)
    groups = [{"params": list(layer.parameters())} for layer in (first, second)]
    optimizer = tt.optim.AdamW(groups, lr=0.1)
    with tt.memory_limit(4 * 400 + 100 + 3 * 400) as limit:
        (first(tt.ones(1, 10)) + second(tt.ones(1, 10))).sum().backward()
        before = [p.detach().clone().tolist() for g in groups for p in g["params"]]
        with pytest.raises(tt.OutOfMemoryError, match="array of state"):
            optimizer.step()
        assert [p.tolist() for g in groups for p in g["params"]] == before
        limit.ledger.limit += 400
        optimizer.step()
    assert [p.tolist() for g in groups for p in g["params"]] != before
    assert optimizer.state_dict()["state"][0]["step"] == 1


def test_called_it_stays_and_none_lifts_it():
    tt.memory_limit("1KB")
    with pytest.raises(tt.OutOfMemoryError):
        tt.ones(K) + 1.0
    tt.memory_limit("1MB")
    tt.ones(K) + 1.0
    tt.memory_limit("1KB")
    with pytest.raises(tt.OutOfMemoryError):
        tt.ones(K) + 1.0
    tt.memory_limit(None)
    tt.ones(K) + 1.0


def test_it_belongs_to_the_thread():
    done = []
    with tt.memory_limit("1KB"):
        thread = threading.Thread(target=lambda: done.append(tt.ones(K) + 1.0))
        thread.start()
        thread.join()
    assert len(done) == 1


def test_it_looks_on_beside_anomaly_mode():
    with tt.memory_limit("1KB"), tt.detect_anomaly(), pytest.raises(tt.OutOfMemoryError):
        tt.ones(K) + 1.0
    x = tt.ones(1)
    with tt.detect_anomaly(), tt.memory_limit("1MB"), pytest.raises(tt.AnomalyError):
        x * math.nan


def test_a_limit_asks_nothing_of_the_gpu(device):
    if device != "mock":
        pytest.skip("counted on the mock GPU")

    def step():
        tt.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.1))
        optimizer = tt.optim.AdamW(model.parameters())
        x = tt.randn(4, 8)
        with mock.record() as ledger, mock.forbid_sync():
            model(x).sum().backward()
            optimizer.step()
        return ledger.launches, ledger.waits.total()

    plain = step()
    with tt.memory_limit("1GB"):
        assert step() == plain


@pytest.mark.parametrize("value", ["", "many", 0, -1])
def test_what_is_no_limit(value):
    with pytest.raises(ValueError, match="amount of memory"):
        tt.memory_limit(value)


# ---------------------------------------------------------------- limits within limits


def operate(elements):
    """Use about 8 bytes per element."""
    return tt.from_numpy(np.zeros(elements, np.float32)) + 1


def test_a_larger_limit_within_does_not_lift_the_one_around():
    with tt.memory_limit(1000):
        for inner in (100_000, None):
            with tt.memory_limit(inner), pytest.raises(tt.OutOfMemoryError):
                operate(1000)
            tt.memory_limit(inner)  # called in the block
            with pytest.raises(tt.OutOfMemoryError):
                operate(1000)
    operate(1000)


def test_a_smaller_limit_within_holds_until_its_end():
    with tt.memory_limit(100_000):
        with tt.memory_limit(1000), pytest.raises(tt.OutOfMemoryError):
            operate(1000)
        operate(1000)
        tt.memory_limit(1000)
        with pytest.raises(tt.OutOfMemoryError):
            operate(1000)
        tt.memory_limit(None)
        operate(1000)
        tt.memory_limit(1000)
    operate(1000)


def test_one_object_limits_every_block_that_it_is_used_for():
    limit = tt.memory_limit(1000)
    for _ in range(3):
        with limit, pytest.raises(tt.OutOfMemoryError):
            operate(1000)
        operate(1000)
    with limit, pytest.raises(RuntimeError, match=r"memory_limit\(1000\) is in force already"):
        limit.__enter__()
    operate(1000)


def test_a_limit_that_was_called_comes_back_after_a_block():
    tt.memory_limit(1000)
    with tt.memory_limit(500), pytest.raises(tt.OutOfMemoryError, match="500 B"):
        operate(100)
    operate(100)
    with pytest.raises(tt.OutOfMemoryError, match=r"limit is 1\.00 KB"):
        operate(1000)
    tt.memory_limit(None)


# ---------------------------------------------------------------- views of what nobody made


def test_overlapping_views_of_one_array_count_once(device):
    if device != "cpu":
        pytest.skip("elsewhere a batch is a copy")
    whole = np.zeros((10, 4), np.float32)
    parts = [tt.from_numpy(whole[:6]), tt.from_numpy(whole[4:]), tt.from_numpy(whole[2:5])]
    with count_memory() as ledger, tt.no_grad():
        for part, expected in zip(parts, (96, 160, 160), strict=True):
            part.sum()
            assert ledger.used == expected
        del part
        parts.pop(0)
        assert ledger.used == 4 * 4 * 8  # rows 2 to 9
        columns = [tt.from_numpy(whole[:, :1])]
        parts.clear()
        columns[0].sum()
        assert ledger.used == 40  # not what lies between
        columns.append(tt.from_numpy(whole[::-1]))
        columns[1].sum()
        assert ledger.used == 160
    columns.clear()
    assert ledger.used == 0


def test_a_batch_in_host_memory_counts_while_its_tensors_live(device):
    batches = [np.zeros(100, np.float32), tt.zeros(100).cpu()]
    with count_memory() as ledger, tt.no_grad():
        for batch in batches:
            tt.to_device(batch).sum()
            assert ledger.used == 0, device
    assert ledger.peak == 404
