"""Files that nobody should trust are refused by one exception, before memory is taken for them."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train import forged_checkpoints
from tinytrain.train import CheckpointError, load_checkpoint, read_manifest


@pytest.mark.parametrize("kind", forged_checkpoints.FILES)
def test_forged_files_are_refused_by_name_and_reason(tmp_path, kind):
    path = tmp_path / "step-00000001.npz"
    content, message = forged_checkpoints.FILES[kind]
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=message) as refused:
            load_checkpoint(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(path) in str(refused.value)
    assert peak < 2 * len(content) + 200_000


def test_the_good_one_among_them_is_read(tmp_path):
    path = tmp_path / "step-00000001.npz"
    path.write_bytes(forged_checkpoints.good())
    arrays, state = load_checkpoint(path)
    assert np.array_equal(arrays["a"], np.arange(4.0))
    assert state == read_manifest(path)["state"] == {"step": 1}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_changed_file_is_refused(tmp_path_factory, data):
    good = forged_checkpoints.good()
    start = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 20))
    changed = good[:start] + data.draw(st.binary(max_size=20)) + good[start + length :]
    path = tmp_path_factory.mktemp("changed") / "step-00000001.npz"
    path.write_bytes(changed)
    if changed == good:
        load_checkpoint(path)
    else:
        with pytest.raises(CheckpointError):
            load_checkpoint(path)
