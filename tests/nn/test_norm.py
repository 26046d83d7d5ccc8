"""Batch normalisation's running statistics, pooled over micro-batches; and both layers' edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinytrain as tt
from tests.device_helpers import host
from tests.nn.comparison import assert_close, numbers
from tinytrain import nn
from tinytrain.nn.pooled_statistics import PooledMoments

pytestmark = pytest.mark.usefixtures("device")

SPLITS = [[5, 2, 9, 4], [2, 2, 2, 14], [20], [3, 17]]


def batch_norm(features=3, **settings):
    return nn.BatchNorm1d(features, **settings).to("float64")


def statistics(layer):
    return [host(layer.running_mean), host(layer.running_var), host(layer.num_batches_tracked)]


def pieces_of(array, sizes):
    assert sum(sizes) == len(array)
    return np.split(array, np.cumsum(sizes)[:-1])


# ---------------------------------------------------------------- pooling


@pytest.mark.parametrize("sizes", SPLITS)
@pytest.mark.parametrize("shape", [(20, 3), (20, 3, 5)])
def test_pooled_statistics_are_those_of_the_whole_batch(shape, sizes):
    pooled, whole = batch_norm(), batch_norm()
    for step in range(3):
        x = 5 + step + 2 * numbers(*shape, seed=step)
        whole(tt.tensor(x))
        pooled.start_pooling()
        for piece in pieces_of(x, sizes):
            pooled(tt.tensor(piece))
        pooled.finish_pooling()
        for one, other in zip(statistics(pooled), statistics(whole), strict=True):
            assert_close(one, other, 1e-12)
    assert pooled.num_batches_tracked.item() == 3


def test_without_pooling_every_pass_moves_the_statistics():
    split, whole = batch_norm(), batch_norm()
    x = numbers(20, 3)
    whole(tt.tensor(x))
    for piece in pieces_of(x, [5, 2, 9, 4]):
        split(tt.tensor(piece))
    assert split.num_batches_tracked.item() == 4
    assert np.abs(host(split.running_mean) - host(whole.running_mean)).max() > 1e-3


def test_statistics_stand_still_until_pooling_ends():
    layer = batch_norm()
    before = [array.copy() for array in statistics(layer)]
    layer.start_pooling()
    layer(tt.tensor(numbers(4, 3)))
    for one, other in zip(statistics(layer), before, strict=True):
        np.testing.assert_array_equal(one, other)
    layer.finish_pooling()
    after = [array.copy() for array in statistics(layer)]
    assert after[2] == 1
    layer.finish_pooling()  # nothing is left to apply
    for one, other in zip(statistics(layer), after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_pooling_does_not_change_what_a_pass_returns():
    one, other = batch_norm(), batch_norm()
    other.start_pooling()
    x = tt.tensor(numbers(4, 3))
    assert one(x).tolist() == other(x).tolist()


def test_pooling_in_evaluation_or_without_statistics_collects_nothing():
    evaluated = batch_norm().eval()
    untracked = batch_norm(track_running_stats=False)
    for layer in (evaluated, untracked):
        layer.start_pooling()
        layer(tt.tensor(numbers(4, 3)))
        layer.finish_pooling()
    assert evaluated.num_batches_tracked.item() == 0
    assert evaluated.running_mean.tolist() == [0, 0, 0]


def test_starting_again_drops_what_an_interrupted_window_collected():
    interrupted, clean = batch_norm(), batch_norm()
    interrupted.start_pooling()
    interrupted(tt.tensor(100 * numbers(4, 3)))
    for layer in (interrupted, clean):
        layer.start_pooling()
        layer(tt.tensor(numbers(6, 3)))
        layer.finish_pooling()
    for one, other in zip(statistics(interrupted), statistics(clean), strict=True):
        np.testing.assert_array_equal(one, other)


values = arrays(
    np.float64,
    st.tuples(st.integers(2, 40), st.integers(1, 3)),
    elements=st.floats(-1e3, 1e3, width=32),
)


@given(values, st.lists(st.integers(1, 39), max_size=6), st.floats(-1e6, 1e6))
@settings(max_examples=60, deadline=None)
def test_moments_do_not_depend_on_the_split(rows, cuts, offset):
    rows = rows + offset
    moments = PooledMoments()
    for piece in np.split(rows, sorted({cut for cut in cuts if cut < len(rows)})):
        moments.add(len(piece), piece.mean(0), piece.var(0))
    scale = np.abs(rows).max()
    assert moments.count == len(rows)
    np.testing.assert_allclose(moments.mean, rows.mean(0), rtol=0, atol=1e-14 * scale + 1e-300)
    spread = np.ptp(rows, axis=0).max()
    np.testing.assert_allclose(
        moments.unbiased_variance,
        rows.var(0, ddof=1),
        rtol=1e-12,
        atol=1e-13 * (spread * scale + scale * scale * 1e-13) + 1e-300,
    )


def test_moments_of_huge_values_do_not_overflow_on_the_first_piece():
    piece = np.array([[1e20], [2e20]], dtype=np.float32)
    moments = PooledMoments()
    moments.add(2, piece.mean(0), np.array([1.0], dtype=np.float32))
    assert moments.unbiased_variance.tolist() == [2.0]


# ---------------------------------------------------------------- running statistics


def test_running_statistics_follow_the_formula():
    layer = batch_norm(momentum=0.25)
    mean, variance = np.zeros(3), np.ones(3)
    for step in range(4):
        x = 2 + numbers(6, 3, seed=step)
        layer(tt.tensor(x))
        mean = 0.75 * mean + 0.25 * x.mean(0)
        variance = 0.75 * variance + 0.25 * x.var(0, ddof=1)
    assert_close(host(layer.running_mean), mean, 1e-14)
    assert_close(host(layer.running_var), variance, 1e-14)


def test_evaluation_normalises_with_the_running_statistics():
    layer = batch_norm(momentum=1.0).train()
    x = numbers(6, 3)
    layer(tt.tensor(x))
    layer.eval()
    y = host(layer(tt.tensor(x[:1])))
    expected = (x[:1] - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 1e-5)
    assert_close(y, expected, 1e-14)


def test_statistics_are_written_into_the_arrays_that_are_there():
    layer = batch_norm()
    before = [buffer.data for buffer in layer.buffers()]
    layer(tt.tensor(numbers(4, 3)))
    assert len(before) == 3
    assert all(b.data is a for b, a in zip(layer.buffers(), before, strict=True))


def test_no_graph_hangs_on_the_statistics():
    layer = batch_norm()
    layer(tt.tensor(numbers(4, 3), requires_grad=True))
    assert not layer.running_mean.requires_grad
    assert layer.running_mean.is_leaf


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
def test_training_needs_more_than_one_value_per_channel(shape):
    layer = batch_norm()
    before = [array.copy() for array in statistics(layer)]
    with pytest.raises(ValueError, match="more than one value per channel") as caught:
        layer(tt.tensor(np.ones(shape)))
    assert "eval()" in str(caught.value)
    for one, other in zip(statistics(layer), before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert layer.eval()(tt.tensor(np.ones(shape))).shape == shape
    with pytest.raises(ValueError, match="more than one value per channel"):
        nn.functional.batch_norm(tt.tensor(np.ones(shape)), None, None, training=True)


def test_functional_evaluation_needs_statistics():
    with pytest.raises(ValueError, match="needs running_mean and running_var"):
        nn.functional.batch_norm(tt.ones(2, 3), tt.zeros(3), None)


# ---------------------------------------------------------------- accuracy


@pytest.mark.parametrize("mean", [1e3, 1e4])
def test_a_large_mean_costs_no_digits_of_the_variance(mean):
    x = (mean + numbers(1000, 4)).astype(np.float32)
    exact = x.astype(np.float64)
    layer = nn.BatchNorm1d(4, momentum=1.0)
    y = layer(tt.tensor(x))
    np.testing.assert_allclose(host(layer.running_var), exact.var(0, ddof=1), rtol=1e-3)
    expected = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    assert np.abs(host(y) - expected).max() < 1e-6 * mean  # x itself is rounded to 6e-8 mean
    rows = x.T.copy()
    normed = host(nn.LayerNorm(1000)(tt.tensor(rows)))
    assert np.abs(normed - expected.T).max() < 1e-6 * mean
    one_pass = np.square(x).mean(0) - x.mean(0) ** 2  # what two passes avoid
    if mean == 1e4:
        assert np.abs(one_pass / exact.var(0) - 1).max() > 0.1


@pytest.mark.parametrize("constant", [0.0, 3.0, 1e4, -0.1])
def test_constant_rows_and_channels_give_the_bias(constant):
    x = tt.tensor(np.full((4, 5), constant, np.float32), requires_grad=True)
    for layer in (nn.LayerNorm(5), nn.BatchNorm1d(5)):
        layer.bias.data[...] = tt.arange(5).data
        y = layer(x)
        np.testing.assert_allclose(host(y), np.tile(np.arange(5), (4, 1)), atol=1e-4)
        y.backward(tt.tensor(numbers(4, 5).astype(np.float32)))
        assert np.isfinite(host(x.grad)).all()
        assert np.isfinite(host(layer.weight.grad)).all()


def test_layer_norm_of_one_element_is_the_bias():
    x = tt.tensor([[3.0], [-7.0]], requires_grad=True)
    layer = nn.LayerNorm(1)
    layer(x).sum().backward()
    assert layer(x).tolist() == [[0.0], [0.0]]
    assert x.grad.tolist() == [[0.0], [0.0]]


def test_layer_norm_takes_a_numpy_integer_as_its_shape():
    assert nn.LayerNorm(np.int64(4)).normalized_shape == (4,)


def test_empty_batch_moves_nothing():
    layer = batch_norm()
    x = tt.tensor(np.ones((0, 3, 4)), requires_grad=True)
    output = layer(x)
    output.sum().backward()
    assert output.shape == x.grad.shape == (0, 3, 4)
    assert host(layer.weight.grad).tolist() == [0, 0, 0]
    assert host(layer.running_mean).tolist() == [0, 0, 0]
    assert host(layer.running_var).tolist() == [1, 1, 1]
    pooled = batch_norm()
    pooled.start_pooling()
    pooled(tt.tensor(numbers(4, 3)))
    pooled(tt.tensor(np.ones((0, 3))))
    pooled.finish_pooling()
    alone = batch_norm()
    alone(tt.tensor(numbers(4, 3)))
    for one, other in zip(statistics(pooled), statistics(alone), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_momentum_the_statistics_are_the_average_of_all_batches():
    layer = batch_norm(momentum=None)
    batches = [numbers(5, 3, seed=seed) for seed in range(4)]
    for batch in batches:
        layer(tt.tensor(batch))
    assert_close(host(layer.running_mean), np.mean([b.mean(0) for b in batches], axis=0), 1e-12)
    variances = [b.var(0, ddof=1) for b in batches]
    assert_close(host(layer.running_var), np.mean(variances, axis=0), 1e-12)
