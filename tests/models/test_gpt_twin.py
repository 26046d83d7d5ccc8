"""The GPT beside the same model in plain PyTorch: logits, gradients, and fifty steps."""

import itertools
import json

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.models.fixed_run import ADAMW, CONFIG, STEPS, batches, make_model, weights
from tests.models.test_gpt_recorded import RECORDED, train
from tests.train.tiny_language import LENGTHS, make_gpt, packed_rows
from tinytrain.data import collate_packed
from tinytrain.models import language_model_loss

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


@pytest.fixture(autouse=True)
def one_thread():
    """For matrices as small as these, several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def twins(batch_kind):
    """Our model and torch's with the same weights, in float64, and a batch for both."""
    from tests.models.torch_gpt import make_torch_gpt

    if batch_kind == "padded":
        return make_model("float64"), make_torch_gpt(CONFIG, weights("float64")), next(batches())
    ours = make_gpt()
    arrays = {name: host(tensor) for name, tensor in ours.state_dict().items()}
    return ours, make_torch_gpt(ours.config, arrays), collate_packed(packed_rows())


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("batch_kind", ["padded", "packed"])
def test_logits_and_gradients(batch_kind):
    ours, theirs, batch = twins(batch_kind)
    logits = ours(*map(tt.from_numpy, (batch.input_ids, batch.positions, batch.segment_ids)))
    there = batch.segment_ids > 0
    np.testing.assert_allclose(
        host(logits)[there], theirs(batch).detach().numpy()[there], rtol=1e-10, atol=1e-10
    )
    loss_sum, items = language_model_loss(ours, tt.to_device(batch))
    expected = theirs.loss_sum(batch)
    assert loss_sum.item() == pytest.approx(expected.item(), rel=1e-12)
    assert items == (sum(LENGTHS) - len(LENGTHS) if batch_kind == "packed" else 11 + 2 + 0)
    loss_sum.backward()
    expected.backward()
    theirs_by_name = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        found, wanted = host(parameter.grad), theirs_by_name[name].grad.numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_fifty_steps(device, dtype, tolerance):
    from tests.models import torch_gpt

    theirs = torch_gpt.make_torch_gpt(CONFIG, weights(dtype))
    steps = STEPS if device == "cpu" else 10
    expected = torch_gpt.train(theirs, itertools.islice(batches(), steps), ADAMW)
    assert train(make_model(dtype), steps) == pytest.approx(expected, rel=tolerance)


def test_the_record_is_pytorchs():
    from tests.models import torch_gpt

    theirs = torch_gpt.make_torch_gpt(CONFIG, weights("float64"))
    losses = torch_gpt.train(theirs, batches(), ADAMW)
    assert json.loads(RECORDED.read_text()) == pytest.approx(losses, rel=1e-9)
