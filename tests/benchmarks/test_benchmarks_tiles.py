"""The benchmark of attention by tiles runs, and its inputs are what it says."""

import attention_tiles
import pytest


def test_it_prints_a_row_for_each_number_of_heads(capsys, monkeypatch):
    monkeypatch.setattr(attention_tiles, "HEADS", ((1, 4), (2, 4)))
    attention_tiles.main(["--quick", "--lengths", "16", "512", "--segment", "0", "5"])
    text = capsys.readouterr().out
    for title in ("no segments; ", "segments of about 5 tokens; "):
        table = text.split(title)[1].split("\n\n")[1]
        assert [line.split("|")[1].strip() for line in table.splitlines()[2:4]] == [
            "1 x 4",
            "2 x 4",
        ]
    starred = [line for line in text.splitlines() if line.rstrip(" |").endswith("*")]
    assert [line.split("|")[1].strip() for line in starred] == ["2 x 4"]  # with segments only


def test_the_segments_fill_the_row():
    ids = attention_tiles.packed_ids(1000, 50).numpy()
    assert ids.shape == (1, 1000)
    assert ids.min() == 1
    assert 1000 / ids.max() == pytest.approx(50, rel=0.3)
