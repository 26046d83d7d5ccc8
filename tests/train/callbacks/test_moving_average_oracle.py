"""The exponential moving average against PyTorch's `AveragedModel`."""

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.train import ExponentialMovingAverage

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_the_average_is_that_of_torch(decay):
    swa_utils = torch.optim.swa_utils
    theirs = torch.nn.Linear(3, 2, dtype=torch.float64)
    reference = swa_utils.AveragedModel(theirs, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(decay))
    ours = tt.nn.Linear(3, 2).to("float64")
    average = ExponentialMovingAverage(ours, decay)
    source = np.random.default_rng(0)
    for _ in range(10):
        weight, bias = source.normal(size=(2, 3)), source.normal(size=2)
        ours.weight.data[...], ours.bias.data[...] = weight, bias
        with torch.no_grad():
            theirs.weight.copy_(torch.from_numpy(weight))
            theirs.bias.copy_(torch.from_numpy(bias))
        average.update()
        reference.update_parameters(theirs)
    found = average.state_dict()["average"]
    for name in ("weight", "bias"):
        expected = getattr(reference.module, name).detach().numpy()
        np.testing.assert_allclose(found[name], expected, rtol=1e-13)
