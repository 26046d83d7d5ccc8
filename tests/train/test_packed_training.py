"""Packed, padded and one by one: the same gradient; and each safeguard of packing is needed."""

import functools
import itertools

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.tiny_language import (
    LENGTHS,
    gradient_over,
    make_gpt,
    packed_rows,
    relative_difference,
    sequences,
)
from tinytrain.data import (
    IGNORE_INDEX,
    PackedDataset,
    collate_packed,
    pad_collate,
    plan_packing,
)
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

PACKED = collate_packed(packed_rows())


@functools.cache
def reference(device):
    """A model on a device, and its gradient over the packed rows."""
    assert tt.get_device() == device
    model = make_gpt()
    return model, gradient_over(model, [PACKED])


def test_rows_do_hold_several_sequences():
    """Otherwise the comparisons below would compare nothing."""
    assert PACKED.segment_ids.max() >= 3
    assert (PACKED.segment_ids == 0).any()


def test_one_sequence_at_a_time(device):
    model, expected = reference(device)
    found = gradient_over(model, [pad_collate([tokens]) for tokens in sequences()])
    assert relative_difference(found, expected) < 1e-12


@pytest.mark.parametrize("pad_id", [0, 7])
def test_padded(device, pad_id):
    model, expected = reference(device)
    batch = pad_collate(sequences(), pad_id)
    assert batch.num_supervised == PACKED.num_supervised == sum(LENGTHS) - len(LENGTHS)
    assert relative_difference(gradient_over(model, [batch]), expected) < 1e-12
    pieces = [pad_collate(sequences()[:5], pad_id), pad_collate(sequences()[5:], pad_id)]
    assert relative_difference(gradient_over(model, pieces), expected) < 1e-12


def test_padded_and_packed_mixed(device):
    """Micro-batches of both kinds in one window."""
    model, expected = reference(device)
    rows = packed_rows()
    in_first = {tuple(tokens) for tokens in split_rows(rows[0])}
    others = [tokens for tokens in sequences() if tuple(tokens) not in in_first]
    assert len(others) + len(in_first) == len(LENGTHS)
    found = gradient_over(model, [rows[0], pad_collate(others)])
    assert relative_difference(found, expected) < 1e-12


def split_rows(row):
    ends = row.cu_seqlens
    return [row.input_ids[0, a:b] for a, b in itertools.pairwise(ends)]


def loss_of(logits, batch, targets=None, count=None):
    targets = batch.targets if targets is None else targets
    loss_sum = F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="sum"
    )
    return loss_sum, batch.num_supervised if count is None else count


def without_segments(model, batch):
    return loss_of(model(batch.input_ids, batch.positions, None), batch)


def without_restart(model, batch):
    return loss_of(model(batch.input_ids, None, batch.segment_ids), batch)


def across_boundaries(model, batch):
    ids, segments = host(batch.input_ids), host(batch.segment_ids)
    targets = np.full_like(ids, IGNORE_INDEX)
    targets[:, :-1] = np.where(segments[:, 1:] > 0, ids[:, 1:], IGNORE_INDEX)
    logits = model(batch.input_ids, batch.positions, batch.segment_ids)
    return loss_of(logits, batch, tt.from_numpy(targets), int((targets != IGNORE_INDEX).sum()))


@pytest.mark.parametrize("ablation", [without_segments, without_restart, across_boundaries])
def test_without_a_safeguard_the_gradient_is_another(device, ablation):
    model, expected = reference(device)
    found = gradient_over(model, [PACKED], ablation)
    assert relative_difference(found, expected) > 1e-2


def test_a_naive_shift_supervises_too_much():
    """Over a pack of lengths 3, 2 and 1: 5 positions instead of 3."""
    lengths = [3, 2, 1]
    row = PackedDataset([np.arange(n) for n in lengths], plan_packing(lengths, capacity=6))[0]
    assert row.num_supervised == (row.targets != IGNORE_INDEX).sum() == 3
    assert row.input_ids.shape[1] - 1 == 5
