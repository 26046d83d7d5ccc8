"""The batch that is said to need most memory does, measured in training steps of a small GPT."""

import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.data import BucketBatchSampler, TokenBudgetBatchSampler, pad_collate
from tinytrain.data.planned_batches import most_memory_first


def peak_of_a_step(model, lengths):
    """The most bytes that a gradient of a padded batch held at a time."""
    batch = pad_collate([np.ones(length, dtype=np.int64) for length in lengths])
    model.zero_grad()
    gc.collect()
    tracemalloc.start()
    tt.train.accumulate_gradients(model, tt.models.language_model_loss, [batch])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


DOCUMENTS = np.clip(np.rint(np.random.default_rng(1).lognormal(3.9, 1, 40)), 1, 300).astype(int)
OUTLIER = np.array([250] + [40] * 64)
SAMPLERS = {
    "one long row": BucketBatchSampler(OUTLIER, 32, boundaries=[40], longest_first=True),
    "boundaries": BucketBatchSampler(DOCUMENTS, 8, boundaries=[40, 100], longest_first=True),
    "budget": TokenBudgetBatchSampler(DOCUMENTS, 900, longest_first=True),
}


@pytest.mark.slow
@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("name", SAMPLERS)
def test_the_first_batch_has_the_largest_peak(name, tiled):
    config = tt.models.GPTConfig(
        vocab_size=64, context_length=300, num_layers=2, embed_dim=128, tiled_attention=tiled
    )
    model, sampler = tt.models.GPT(config), SAMPLERS[name]
    peaks = [peak_of_a_step(model, sampler.lengths[batch]) for batch in sampler.plan(0)]
    assert peaks[0] >= 0.95 * max(peaks)
    assert min(peaks) < 0.7 * max(peaks)  # it is not that all are alike


def test_the_many_short_rows_come_before_the_one_long():
    assert len(SAMPLERS["one long row"].plan(0)[0]) == 32


batches = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 400)), min_size=1, max_size=30)


@given(batches)
def test_by_positions_and_among_nearly_as_many_by_width(found):
    rows, widths = np.array(found).T
    positions = rows * widths
    order = most_memory_first(rows, widths)
    nearly_most = positions >= 0.95 * positions.max()
    first = order[: nearly_most.sum()]
    assert set(first) == set(np.flatnonzero(nearly_most))
    assert (np.diff(widths[first]) <= 0).all()
    assert (np.diff(positions[order[len(first) :]]) <= 0).all()
    assert sorted(order) == list(range(len(rows)))
