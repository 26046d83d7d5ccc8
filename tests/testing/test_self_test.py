"""The self-test passes on every device that needs no GPU, and finds what is broken."""

import numpy as np
import pytest

from tinytrain import backend
from tinytrain.generator import default_generator
from tinytrain.ops import index, matmul
from tinytrain.optim import AdamW
from tinytrain.testing.doctor import self_test as module
from tinytrain.testing.doctor.self_test import self_test
from tinytrain.train import resumable

DEVICES = ["cpu", "mock"]


@pytest.fixture(autouse=True)
def _leave_device_and_generator(monkeypatch):
    state = default_generator().get_state()
    monkeypatch.setattr(backend, "_creation_library", np)
    yield
    default_generator().set_state(state)


@pytest.mark.parametrize("device", DEVICES)
def test_all_is_well(device):
    findings = self_test(device)
    assert [finding.name for finding in findings] == [
        f"training on {device}",
        "gradients on cpu",
        f"checkpoint on {device}",
    ]
    assert all(finding.ok for finding in findings), findings
    assert all(finding.remedy == "" for finding in findings)


def test_a_wrong_backward_is_found(monkeypatch):
    right = index.Embedding.backward

    def wrong(self, gradient):
        (*others, rows) = right(self, gradient)
        return (*others, rows * 1.01)

    monkeypatch.setattr(index.Embedding, "backward", wrong)
    training, gradients, checkpoints = self_test("cpu")
    assert training.ok  # both runs are wrong in the same way ...
    assert checkpoints.ok
    assert not gradients.ok  # ... but the definition of the derivative is not
    assert gradients.text.startswith("GradcheckError: ")
    assert "reinstall" in gradients.remedy


def test_a_forward_that_is_wrong_in_float32_is_found(monkeypatch):
    """As a BLAS with a broken kernel would be."""
    right = matmul.Linear.forward

    def wrong(self, x, weight, bias):
        output = right(self, x, weight, bias)
        return output * 1.0001 if output.dtype == np.float32 else output

    monkeypatch.setattr(matmul.Linear, "forward", wrong)
    training, gradients, _ = self_test("cpu")
    assert gradients.ok
    assert not training.ok
    assert "AssertionError: loss 1 is 2." in training.text
    assert "reinstall NumPy" in training.remedy


def test_a_loss_that_is_nan_is_found(monkeypatch):
    losses = np.full(module.STEPS, 2.0)
    broken = np.where(np.arange(module.STEPS) < 3, losses, np.nan)
    answers = {"float32": broken, "float64": losses}
    monkeypatch.setattr(module, "training_losses", lambda device, dtype: answers[dtype])
    with pytest.raises(AssertionError, match=r"loss 4 is nan, on the CPU in float64 it is 2;"):
        module.check_training("cpu")


def test_another_device_is_told_from_the_cpu():
    assert "--device cpu" in module._remedy("cuda")
    assert "NumPy" not in module._remedy("cuda")


def test_a_loss_that_does_not_fall_is_found(monkeypatch):
    monkeypatch.setattr(AdamW, "step", lambda self: None)
    training, _, _ = self_test("cpu")
    assert not training.ok
    assert training.text.startswith("AssertionError: the loss does not fall: from 2.")


def test_a_checkpoint_that_loses_a_bit_is_found(monkeypatch):
    right = resumable.load_checkpoint

    def forgetful(path):
        arrays, state = right(path)
        name = next(name for name in arrays if name.endswith("norm.weight"))
        arrays[name] = np.nextafter(arrays[name], np.float32(2), dtype=np.float32)
        return arrays, state

    monkeypatch.setattr(resumable, "load_checkpoint", forgetful)
    training, gradients, saving = self_test("cpu")
    assert training.ok
    assert gradients.ok
    assert not saving.ok
    assert "differs between the resumed run and the whole" in saving.text
