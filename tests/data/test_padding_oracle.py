"""Padding against PyTorch's `pad_sequence`."""

import numpy as np
import pytest

from tinytrain.data import pad_sequences

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("features", [(), (3,)])
def test_pad_sequences(side, features):
    source = np.random.default_rng(0)
    arrays = [source.normal(size=(n, *features)).astype(np.float32) for n in (4, 1, 6)]
    expected = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(array) for array in arrays],
        batch_first=True,
        padding_value=-1.5,
        padding_side=side,
    )
    found = pad_sequences(arrays, -1.5, side=side)
    np.testing.assert_array_equal(found.values, expected.numpy())
