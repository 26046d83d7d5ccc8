"""Pictures of packed rows: what is drawn where, and what happens without matplotlib."""

import sys

import numpy as np
import pytest

import tinytrain as tt
from docs import packing_picture
from tinytrain.data import PackedDataset, collate_packed, pad_collate, plan_packing
from tinytrain.explain import draw_packed_rows, draw_segment_mask
from tinytrain.explain.packing import seen_segments


def make_batch():
    lengths = [5, 3, 2, 4]
    data = PackedDataset([np.arange(n) for n in lengths], plan_packing(lengths, 8))
    return collate_packed([data[row] for row in range(len(data))])


def test_rows_in_colours():
    pytest.importorskip("matplotlib")
    batch = make_batch()
    figure = draw_packed_rows(batch)
    (axes,) = figure.axes
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal(shown.mask, batch.segment_ids == 0)
    np.testing.assert_array_equal(shown.compressed() + 1, batch.segment_ids[batch.segment_ids > 0])
    assert "4 sequences in 2 x 8 positions, 12.5 % padding" in axes.get_title()
    of_tensors = draw_packed_rows(tt.to_device(batch)).axes[0].images[0].get_array()
    np.testing.assert_array_equal(of_tensors, shown)


@pytest.mark.parametrize("is_causal", [False, True])
def test_the_mask_is_that_of_attention(is_causal):
    pytest.importorskip("matplotlib")
    batch = make_batch()
    mask = tt.nn.functional.segment_mask(tt.from_numpy(batch.segment_ids), is_causal).numpy()
    for row in range(2):
        shown = draw_segment_mask(batch, row, is_causal).axes[0].images[0].get_array()
        np.testing.assert_array_equal(~shown.mask, mask[row, 0] == 0)
        np.testing.assert_array_equal(
            seen_segments(batch.segment_ids[row], is_causal) > 0, mask[row, 0] == 0
        )
    with pytest.raises(IndexError, match="has 2 rows, so there is no row 2"):
        draw_segment_mask(batch, row=2)


def test_the_pictures_of_the_pages(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(packing_picture, "STATIC", tmp_path)
    packing_picture.main()
    for name in ("packed_rows.png", "segment_mask.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    batch = pad_collate([[1, 2]])
    for draw in (draw_packed_rows, draw_segment_mask):
        with pytest.raises(ModuleNotFoundError, match="pip install matplotlib"):
            draw(batch)
