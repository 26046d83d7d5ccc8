"""One gradient, whichever way sequences are put into batches: alone, padded on either side, split
into micro-batches, in buckets, under a token budget."""

import functools

import numpy as np
import pytest

import tinytrain as tt
from tests.train.tiny_language import (
    LENGTHS,
    gradient_of,
    gradient_over,
    make_gpt,
    relative_difference,
    sequences,
)
from tinytrain.data import (
    BucketBatchSampler,
    DataLoader,
    LengthWarmupBatchSampler,
    PieceDataset,
    TokenBudgetBatchSampler,
    pad_collate,
    pad_sequences,
)
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")
SUPERVISED = sum(LENGTHS) - len(LENGTHS)


@functools.cache
def reference(device):
    """A model on a device, and its gradient over the sequences one by one."""
    assert tt.get_device() == device
    model = make_gpt()
    return model, gradient_over(model, [pad_collate([tokens]) for tokens in sequences()])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("multiple_of", [1, 4])
def test_padded(device, side, multiple_of):
    model, expected = reference(device)
    batch = pad_collate(sequences(), side=side, multiple_of=multiple_of)
    assert relative_difference(gradient_over(model, [batch]), expected) < 1e-12


SAMPLERS = {
    "pools": lambda: BucketBatchSampler(LENGTHS, 3, batches_per_pool=2),
    "boundaries": lambda: BucketBatchSampler(LENGTHS, 3, boundaries=[2, 5]),
    "budget": lambda: TokenBudgetBatchSampler(LENGTHS, 16, multiple_of=2, batches_per_bucket=2),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_bucketed(device, name):
    model, expected = reference(device)
    loader = DataLoader(sequences(), batch_sampler=SAMPLERS[name](), collate_fn=pad_collate)
    for _ in range(2):
        found = gradient_over(model, loader)
        assert relative_difference(found, expected) < 1e-12


@pytest.mark.parametrize("replicas", [2, 3])
def test_ranks_together(device, replicas):
    model, expected = reference(device)
    shares = [
        DataLoader(
            sequences(),
            batch_sampler=TokenBudgetBatchSampler(LENGTHS, 16, rank=rank, num_replicas=replicas),
            collate_fn=pad_collate,
        )
        for rank in range(replicas)
    ]
    found = gradient_over(model, [batch for share in shares for batch in share])
    assert relative_difference(found, expected) < 1e-12


def test_after_the_length_warm_up_and_not_before(device):
    model, expected = reference(device)
    batches = SAMPLERS["budget"]()
    warm_up = LengthWarmupBatchSampler(
        batches, LENGTHS, start_length=3, warmup_batches=len(batches), max_tokens=99
    )
    loader = DataLoader(PieceDataset(sequences()), batch_sampler=warm_up, collate_fn=pad_collate)
    assert relative_difference(gradient_over(model, loader), expected) > 1e-2
    assert relative_difference(gradient_over(model, loader), expected) < 1e-12


def regression_gradient(model, batches):
    model.zero_grad()

    def loss_function(model, batch):
        losses = F.mse_loss(model(batch.values), batch.values * 0.5, reduction="none")
        return F.masked_sum(losses, batch.mask), batch.num_items

    _, items = tt.train.accumulate_gradients(model, loss_function, batches)
    assert items == sum(LENGTHS)
    tt.train.divide_gradients(model.parameters(), items)
    return gradient_of(model)


@pytest.mark.parametrize("side", ["right", "left"])
def test_masked_loss(side):
    """Padding is far from the data here: a mean over all positions would notice it."""
    tt.manual_seed(0)
    model = tt.nn.Linear(2, 2).to("float64")
    source = np.random.default_rng(1)
    arrays = [source.normal(size=(n, 2)) for n in LENGTHS]
    expected = regression_gradient(model, [pad_sequences([array]) for array in arrays])
    pad = functools.partial(pad_sequences, padding_value=1e3, side=side)
    for pieces in ([arrays], [arrays[:5], arrays[5:]]):
        found = regression_gradient(model, [pad(piece) for piece in pieces])
        assert relative_difference(found, expected) < 1e-12
