"""Layers that pad: the function's values, PyTorch's names and words, and what does not fit."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain import nn
from tinytrain.nn import functional as F

STEMS = {
    "ConstantPad": ("constant", (1.5,)),
    "ZeroPad": ("constant", ()),
    "ReflectionPad": ("reflect", ()),
    "ReplicationPad": ("replicate", ()),
    "CircularPad": ("circular", ()),
}
SHAPES = {1: [(3, 5), (2, 3, 5)], 2: [(3, 4, 5), (2, 3, 4, 5)]}
PADDINGS = {1: [2, (1, 2), (0, -1)], 2: [1, (1, 2, 0, 1), (1, 0, -1, 2)]}
CASES = [
    (stem, axes, shape, padding)
    for stem in STEMS
    for axes in SHAPES
    for shape in SHAPES[axes]
    for padding in PADDINGS[axes]
]


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(("stem", "axes", "shape", "padding"), CASES)
def test_the_layer_is_the_function(stem, axes, shape, padding):
    mode, value = STEMS[stem]
    x = tt.from_numpy(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    sides = (padding,) * 2 * axes if isinstance(padding, int) else padding
    layer = getattr(nn, f"{stem}{axes}d")(padding, *value)
    np.testing.assert_array_equal(host(layer(x)), host(F.pad(x, sides, mode, *value)))
    assert not list(layer.parameters())


@pytest.mark.oracle
@pytest.mark.parametrize(("stem", "axes", "shape", "padding"), CASES)
def test_as_in_torch(stem, axes, shape, padding):
    torch = pytest.importorskip("torch")
    name, value = f"{stem}{axes}d", STEMS[stem][1]
    array = np.random.default_rng(0).normal(size=shape)
    theirs = torch.tensor(array, requires_grad=True)
    layer = getattr(torch.nn, name)(padding, *value)
    expected = layer(theirs)
    ours = tt.tensor(array, requires_grad=True)
    found = getattr(nn, name)(padding, *value)(ours)
    np.testing.assert_array_equal(host(found), expected.detach().numpy())
    weights = np.random.default_rng(1).normal(size=expected.shape)
    (expected * torch.tensor(weights)).sum().backward()
    (found * tt.tensor(weights)).sum().backward()
    np.testing.assert_allclose(host(ours.grad), theirs.grad.numpy(), rtol=1e-12)
    if stem != "ConstantPad":
        assert repr(getattr(nn, name)(padding)) == repr(layer)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="ConstantPad1d: padding is one integer or 2 of them"):
        nn.ConstantPad1d((1, 2, 3), 0.0)
    with pytest.raises(ValueError, match="ZeroPad2d: padding is one integer or 4 of them"):
        nn.ZeroPad2d((1, 2))
    for layer in (nn.ReflectionPad1d(2), nn.CircularPad2d(1), nn.ReplicationPad1d(1)):
        with pytest.raises(ValueError, match="pad"):
            layer(tt.ones(5))
    with pytest.raises(TypeError, match="padding"):
        nn.ZeroPad1d(1.5)
