"""Attention by tiles: the results of all scores at once, what is left out, and how much memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.kernels import tiled_attention
from tinytrain.kernels.tiled_attention import TileSizes, Tiling, tiling_pays
from tinytrain.nn import functional as F
from tinytrain.ops.tiled_attention import TiledAttention
from tinytrain.testing import mock

TOLERANCE = {"float64": 2e-15, "float32": 1e-6}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def packed_ids(rows, length, mean, seed=0):
    """Rows of segments of about `mean` positions, and some padding."""
    random = np.random.default_rng(seed)
    ids = np.zeros((rows, length), dtype=np.int32)
    for row in ids:
        ends = np.cumsum(random.integers(1, 2 * mean, length))
        segments = np.searchsorted(ends, np.arange(length), side="right") + 1
        row[:] = np.where(np.arange(length) < length - random.integers(0, mean), segments, 0)
    return ids


def run(arrays, ids, dtype="float64", **settings):
    """Return output and gradients of attention, as host arrays."""
    inputs = [tt.tensor(array, dtype=dtype, requires_grad=True) for array in arrays[:3]]
    segments = None if ids is None else tt.from_numpy(ids)
    out = F.scaled_dot_product_attention(*inputs, segment_ids=segments, **settings)
    out.backward(tt.tensor(arrays[3], dtype=dtype))
    return [host(out), *(host(x.grad) for x in inputs)]


def relative_error(found, expected):
    """The largest error of all arrays, relative to the largest number in each, or to 1."""
    scales = [max(np.abs(e).max(initial=0), 1) for e in expected]
    return max(
        np.abs(f.astype(np.float64) - e).max(initial=0) / scale
        for f, e, scale in zip(found, expected, scales, strict=True)
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("mean", [None, 30, 200])
def test_the_results_of_all_scores_at_once(dtype, is_causal, mean):
    """F1: several tiles of queries and of keys, with the sizes that are in use."""
    arrays = [normal(2, 2, 330, 16, seed=seed) for seed in range(4)]
    ids = None if mean is None else packed_ids(2, 330, mean)
    dense = run(arrays, ids, dtype, is_causal=is_causal, tiled=False)
    tiled = run(arrays, ids, dtype, is_causal=is_causal, tiled=True)
    assert relative_error(tiled, dense) <= TOLERANCE[dtype]
    if mean is not None:
        assert (ids == 0).any()
        assert not tiled[0].transpose(0, 2, 1, 3)[ids == 0].any()


@pytest.mark.parametrize("name", ["cpu", "mock"])
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_segments_in_any_order(name, data):
    """Segments need not be neighbours, and tiles may be of any size."""
    queries, keys = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    sizes = [data.draw(st.integers(1, 4)) for _ in range(2)]
    is_causal = data.draw(st.booleans())
    ids = None
    if data.draw(st.booleans()):
        keys = queries
        numbers = st.lists(st.integers(0, 3), min_size=queries, max_size=queries)
        ids = np.array([data.draw(numbers), data.draw(numbers)])
    arrays = [normal(2, 3, n, 4, seed=n) for n in (queries, keys, keys, queries)]
    dense = run(arrays, ids, is_causal=is_causal, tiled=False)
    with pytest.MonkeyPatch.context() as patch, mock.allow_float64():
        patch.setattr(tiled_attention, "CPU_TILES", TileSizes(1, *sizes))
        patch.setattr(tiled_attention, "GPU_TILES", TileSizes(None, *sizes))
        tt.set_device(name)
        try:
            tiled = run(arrays, ids, is_causal=is_causal, tiled=True)
        finally:
            tt.set_device("cpu")
    assert relative_error(tiled, dense) <= 2e-14


def test_large_scores_lose_no_digits():
    """The highest score and the sum are kept apart: their sum would round the sum away."""
    arrays = [normal(1, 1, 300, 8, seed=seed) for seed in range(4)]
    arrays[0] *= 1e3
    dense = run(arrays, None, "float32", tiled=False)
    assert relative_error(run(arrays, None, "float32", tiled=True), dense) <= 1e-6
    arrays[0] *= 1e12
    assert all(np.isfinite(x).all() for x in run(arrays, None, "float32", tiled=True))


def test_queries_that_see_nothing_get_zero_and_finite_gradients():
    ids = np.array([[1, 1, 0, 2, 0], [0, 0, 0, 0, 0]])
    arrays = [normal(2, 2, 5, 4, seed=seed) for seed in range(4)]
    out, *gradients = run(arrays, ids, tiled=True)
    hidden = ids == 0
    assert not out.transpose(0, 2, 1, 3)[hidden].any()
    assert out.transpose(0, 2, 1, 3)[~hidden].all()
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert not gradient.transpose(0, 2, 1, 3)[hidden].any()


def keys_computed(ids, is_causal):
    """How many keys are computed for all tiles of queries together, weighted by the queries."""
    q = np.zeros((*ids.shape[:1], 1, ids.shape[1], 1))
    tiling = Tiling(q, q, ids, is_causal)
    return sum(
        (t.stop - t.start) * (tile.keys.stop - tile.keys.start)
        for rows, t in tiling.query_tiles()
        for tile in tiling.key_tiles(rows, t)
    )


def test_tiles_whose_segments_cannot_meet_are_left_out(monkeypatch):
    monkeypatch.setattr(tiled_attention, "CPU_TILES", TileSizes(1, 64, 64))
    one = np.ones((1, 1024), dtype=np.int32)
    assert keys_computed(one, is_causal=False) == 1024**2
    assert keys_computed(one, is_causal=True) == sum(64 * end for end in range(64, 1025, 64))
    eight = np.repeat(np.arange(1, 9), 128)[None]
    assert keys_computed(eight, is_causal=False) == 8 * 128**2
    padding = np.zeros((1, 1024), dtype=np.int32)
    assert keys_computed(padding, is_causal=False) == 0
    scattered = np.tile([1, 2, 3, 4], 256)[None]  # every tile has all of them
    assert keys_computed(scattered, is_causal=False) == 1024**2
    apart = np.repeat([1, 2, 1], [64, 896, 64])[None]  # between its two ends nobody meets the first
    assert keys_computed(apart, is_causal=False) == 896**2 + 4 * 64**2


def test_tiles_that_see_everything_need_no_mask():
    q = np.zeros((1, 1, 256, 1))
    masks = [
        tile.mask is None
        for rows, t in Tiling(q, q, np.ones((1, 256), int), False).query_tiles()
        for tile in Tiling(q, q, np.ones((1, 256), int), False).key_tiles(rows, t)
    ]
    assert all(masks)
    assert len(masks) == 4


@pytest.mark.parametrize(("width", "keys"), [(1, 256), (16, 256), (32, 128), (64, 64), (128, 64)])
def test_wide_heads_get_fewer_keys(width, keys):
    """So that the BLAS library leaves a product to one thread."""
    q = np.zeros((1, 1, 512, width))
    tiles = list(Tiling(q, q, None, False).key_tiles(slice(0, 1), slice(0, 64)))
    assert {tile.keys.stop - tile.keys.start for tile in tiles} == {keys}
    assert sum(tile.keys.stop - tile.keys.start for tile in tiles) == 512


@pytest.fixture
def mock_device():
    tt.set_device("mock")
    yield
    tt.set_device("cpu")


@pytest.mark.usefixtures("mock_device")
def test_a_device_is_not_waited_for():
    arrays = [mock.asarray(normal(2, 2, 40, 4, seed=seed), dtype=np.float32) for seed in range(4)]
    ids = mock.asarray(packed_ids(2, 40, 8))
    q, k, v, gradient = arrays
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiled_attention, "GPU_TILES", TileSizes(None, 16, 16))
        with mock.record() as ledger, mock.forbid_sync(), mock.allow_float64(False):
            out, into = mock.empty_like(q), tuple(mock.zeros_like(x) for x in (q, k, v))
            kept = tiled_attention.tiled_attend((q, k, v), ids, True, 0.5, out)
            tiled_attention.tiled_attend_backward(
                gradient, (q, k, v), ids, True, 0.5, out, kept, into
            )
    assert (ledger.copies_to_device, ledger.copies_to_host) == (0, 0)


@pytest.mark.parametrize("device", ["cpu", "mock"], indirect=True)
def test_where_nobody_decides_length_and_device_do(device, monkeypatch):
    calls = []
    assert tiling_pays(tt.zeros(1).data, (1, 4, 2048, 32), 2048, False) == (device == "cpu")
    assert tiling_pays(tt.zeros(1).data, (1, 4, 512, 32), 512, True) == (device == "cpu")
    forward = TiledAttention.forward

    def counting(*inputs):
        calls.append(inputs)
        return forward(*inputs)

    monkeypatch.setattr(TiledAttention, "forward", counting)
    x = tt.zeros(1, 2, 2048, 2)
    F.scaled_dot_product_attention(x, x, x)
    assert len(calls) == (device == "cpu")
    F.scaled_dot_product_attention(x, x, x, tt.zeros(1, 2048))
    F.scaled_dot_product_attention(x, x, x, tiled=False)
    assert len(calls) == (device == "cpu")


FLOAT32, FLOAT64 = np.zeros(1, np.float32), np.zeros(1)


@pytest.mark.parametrize(
    ("heads", "width", "is_large"),
    [(1, 16, False), (2, 16, True), (1, 64, False), (2, 64, False), (4, 32, True), (8, 64, True)],
)
def test_few_heads_or_wide_ones_need_longer_rows(heads, width, is_large):
    """Their tiles have few scores, and much of the time goes into the calls for each."""

    def pays(queries, keys, with_segments):
        return tiling_pays(FLOAT32, (1, heads, queries, width), keys, with_segments)

    assert pays(2048, 2048, False) == is_large
    assert not pays(2047, 4096 // heads, False)
    assert pays(1024, 1024, True)
    assert pays(512, 512, True) == is_large
    assert not pays(511, 4096, True)
    assert not pays(4096, 511, True)


def test_large_scores_are_not_kept_however_long_tiles_take():
    def pays(batch, heads, length, like=FLOAT32):
        return tiling_pays(like, (batch, heads, length, 64), length, False)

    assert pays(1, 1, 4096)  # 64 MiB
    assert not pays(1, 1, 4095)
    assert pays(16, 1, 1024)
    assert not pays(15, 1, 1024)
    assert pays(8, 1, 1024, FLOAT64)
    assert not pays(64, 64, 1023)


@pytest.mark.parametrize("heads", [1, 2])
def test_the_heads_decide_in_every_way_to_attention(heads, monkeypatch):
    """Two heads of 8 are enough from 512 segmented positions on, one is not."""
    calls = []
    attend = tiled_attention.tiled_attend

    def counting(*inputs):
        calls.append(inputs)
        return attend(*inputs)

    monkeypatch.setattr("tinytrain.ops.tiled_attention.tiled_attend", counting)
    ids = tt.ones(1, 512, dtype="int64")
    x = tt.zeros(1, heads, 512, 8)
    F.scaled_dot_product_attention(x, x, x, segment_ids=ids)
    assert len(calls) == (heads == 2)
    F.packed_self_attention(tt.zeros(1, 512, 24 * heads), heads, segment_ids=ids)
    assert len(calls) == 2 * (heads == 2)
    config = tt.models.GPTConfig(5, 512, num_layers=1, num_heads=heads, embed_dim=8 * heads)
    with tt.no_grad():
        tt.models.GPT(config)(ids, segment_ids=ids)
    assert len(calls) == 3 * (heads == 2)
    wide = tt.zeros(8 * heads, 2048, 8)  # (H, T, D) without a batch
    F.scaled_dot_product_attention(wide, wide, wide, is_causal=True)
    assert len(calls) == 3 * (heads == 2) + 1


def peak(tiled, length):
    """The most memory, beyond the inputs, of a forward and a backward pass, in bytes."""
    x = [tt.tensor(normal(1, 1, length, 64), dtype="float32", requires_grad=True) for _ in "qkv"]
    upstream = tt.ones(1, 1, length, 64)
    ids = tt.from_numpy(packed_ids(1, length, length // 4))
    tracemalloc.start()
    try:
        out = F.scaled_dot_product_attention(*x, segment_ids=ids, is_causal=True, tiled=tiled)
        out.backward(upstream)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_memory_grows_with_the_length_not_with_its_square():
    """F1: four times the length, at most 4.5 times the memory; with all scores 16 times."""
    assert peak(tiled=True, length=4096) / peak(tiled=True, length=1024) <= 4.5
    assert peak(tiled=False, length=4096) / peak(tiled=False, length=1024) > 10
    assert peak(tiled=True, length=4096) < peak(tiled=False, length=4096) / 10
