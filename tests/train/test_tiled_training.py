"""One gradient in four ways: one by one, padded, packed, and packed with attention by tiles."""

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
from tinytrain.data import IGNORE_INDEX, collate_packed, pad_collate
from tinytrain.kernels import tiled_attention
from tinytrain.kernels.tiled_attention import TileSizes
from tinytrain.models import GPT, GPTConfig
from tinytrain.nn import functional as F

pytestmark = pytest.mark.usefixtures("device")

PACKED = collate_packed(packed_rows())
TOLERANCE = {"float64": 1e-12, "float32": 1e-6}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Tiles smaller than the rows, so that there are several."""
    for name, rows in [("CPU_TILES", 1), ("GPU_TILES", None)]:
        monkeypatch.setattr(tiled_attention, name, TileSizes(rows, 5, 4))


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    return request.param


def one_by_one(dtype="float64"):
    batches = [pad_collate([tokens]) for tokens in sequences()]
    return gradient_over(make_gpt(dtype, tiled_attention=False), batches)


def test_all_ways_give_one_gradient(dtype):
    expected = one_by_one(dtype)
    for tiled in (False, True):
        model = make_gpt(dtype, tiled_attention=tiled)
        for batch in (PACKED, pad_collate(sequences())):
            found = gradient_over(model, [batch])
            assert relative_difference(found, expected) <= TOLERANCE[dtype]


def test_tokens_and_targets_are_those_of_the_sequences():
    held = PACKED.input_ids[PACKED.segment_ids > 0]
    assert sorted(held.tolist()) == sorted(np.concatenate(sequences()).tolist())
    supervised = (PACKED.targets != IGNORE_INDEX).sum()
    assert supervised == PACKED.num_supervised == sum(n - 1 for n in LENGTHS)


def loss_of(logits, targets, count):
    rows = logits.reshape(-1, logits.shape[-1])
    return F.cross_entropy(rows, targets.reshape(-1), reduction="sum"), count


def without_segments(model, batch):
    return loss_of(model(batch.input_ids, batch.positions), batch.targets, batch.num_supervised)


def without_restart(model, batch):
    logits = model(batch.input_ids, None, batch.segment_ids)
    return loss_of(logits, batch.targets, batch.num_supervised)


def across_boundaries(model, batch):
    ids, segments = host(batch.input_ids), host(batch.segment_ids)
    targets = np.full_like(ids, IGNORE_INDEX)
    targets[:, :-1] = np.where(segments[:, 1:] > 0, ids[:, 1:], IGNORE_INDEX)
    logits = model(batch.input_ids, batch.positions, batch.segment_ids)
    return loss_of(logits, tt.from_numpy(targets), int((targets != IGNORE_INDEX).sum()))


@pytest.mark.parametrize("ablation", [without_segments, without_restart, across_boundaries])
def test_without_a_safeguard_the_gradient_is_another(ablation):
    model = make_gpt(tiled_attention=True)
    found = gradient_over(model, [PACKED], ablation)
    assert relative_difference(found, one_by_one()) > 1e-2


def test_no_mask_is_made_where_there_are_tiles(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a mask (B, 1, T, T) was made")

    monkeypatch.setattr(F, "segment_mask", refuse)
    batch = tt.to_device(PACKED)
    make_gpt(tiled_attention=True)(batch.input_ids, batch.positions, batch.segment_ids)
    with pytest.raises(AssertionError, match="a mask"):
        make_gpt(tiled_attention=False)(batch.input_ids, batch.positions, batch.segment_ids)


def test_long_rows_use_tiles_by_themselves(device, monkeypatch):
    lengths = []

    def pays(like, shape, keys, with_segments):
        assert shape == (1, 2, keys, 4)
        return keys >= (6 if with_segments else 8)

    monkeypatch.setattr("tinytrain.models.gpt.tiling_pays", pays)
    attend = tiled_attention.tiled_attend

    def counting(inputs, *settings):
        lengths.append(inputs[0].shape[2])
        return attend(inputs, *settings)

    monkeypatch.setattr("tinytrain.ops.tiled_attention.tiled_attend", counting)
    model = GPT(GPTConfig(13, 12, num_layers=1, num_heads=2, embed_dim=8))
    for length in (5, 6, 7, 8):
        ids = tt.zeros(1, length, dtype="int64")
        model(ids)
        model(ids, segment_ids=tt.ones(1, length, dtype="int64"))
    assert lengths == [6, 7, 8, 8]
