"""A device computes what the CPU computes, and the same each time.

Each body takes the name of a device: with the mock GPU it runs everywhere, with ``cuda`` (marked
`gpu`) where there is one.
"""

import numpy as np
import pytest

import tinytrain as tt
from tests.gpu.runs import RUNS, STEPS, relative_difference, train
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.models import MLP, classification_loss
from tinytrain.train.checkpoint import load_checkpoint

TOLERANCE = 1e-5  # relative, in float32


@pytest.mark.parametrize("kind", RUNS)
def test_losses_gradients_and_parameters_equal_those_of_the_cpu(kind, device):
    expected, found = train(kind, "cpu"), train(kind, device)
    assert found.losses == pytest.approx(expected.losses, rel=TOLERANCE)
    for step in range(STEPS):
        assert found.gradients[step].keys() == expected.gradients[step].keys()
        whole = np.sqrt(sum((g**2).sum() for g in expected.gradients[step].values()))
        for name, gradient in expected.gradients[step].items():
            # Of the bias before a batch normalisation, or of a key's, only noise is left.
            off = relative_difference(found.gradients[step][name], gradient, scale=0.1 * whole)
            assert off < TOLERANCE, (step, name)
    assert found.state.keys() == expected.state.keys()
    for name, value in expected.state.items():
        off = relative_difference(found.state[name], value, scale=1.0)
        assert off < TOLERANCE, name


@pytest.mark.parametrize("kind", RUNS)
def test_training_changes_every_parameter(kind, device):
    """Otherwise the comparison above would compare less than it seems to."""
    trace = train(kind, device)
    tt.set_device("cpu")
    model = RUNS[kind][0]()[0]
    for name, parameter in model.named_parameters():
        assert name in trace.gradients[0]
        assert not np.array_equal(trace.state[name], parameter.detach().numpy()), name


@pytest.mark.parametrize("kind", RUNS)
def test_two_runs_are_bit_for_bit_equal(kind, device):
    first, second = train(kind, device), train(kind, device)
    assert first.losses == second.losses
    for one, other in zip(
        [*first.gradients, first.state], [*second.gradients, second.state], strict=True
    ):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].tobytes() == other[name].tobytes(), name


# ---------------------------------------------------------------- checkpoints


def make_trainer(device, folder, max_steps):
    tt.set_device(device)
    tt.manual_seed(0)
    model = MLP([6, 16, 3], batch_norm=True, dropout=0.2)
    source = np.random.default_rng(0)
    data = TensorDataset(
        source.standard_normal((24, 6), dtype=np.float32), source.integers(0, 3, 24)
    )
    return tt.Trainer(
        model,
        tt.optim.AdamW(model.parameters(), lr=1e-2),
        classification_loss,
        DataLoader(data, batch_size=8, shuffle=True, generator=0),
        max_steps=max_steps,
        out=folder,
        progress=False,
    )


def same_arrays(one_path, other_path):
    """Hold the arrays of two checkpoints against each other, bit for bit."""
    one, _ = load_checkpoint(one_path)
    other, _ = load_checkpoint(other_path)
    assert one.keys() == other.keys()
    assert len(one) > 8
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.shape == other[name].shape
        assert array.tobytes() == other[name].tobytes(), name


def test_a_checkpoint_goes_to_the_cpu_and_back_bit_for_bit(device, tmp_path):
    written = make_trainer(device, tmp_path / "device", max_steps=3)
    path = written.fit().checkpoint
    on_cpu = make_trainer("cpu", tmp_path / "cpu", max_steps=6)
    on_cpu.resume(path)
    assert {p.device for p in on_cpu.model.parameters()} == {"cpu"}
    cpu_path = on_cpu.save()
    same_arrays(path, cpu_path)
    back = make_trainer(device, tmp_path / "back", max_steps=6)
    back.resume(cpu_path)
    assert {p.device for p in back.model.parameters()} == {device}
    same_arrays(path, back.save())


def test_a_run_that_moves_to_the_cpu_goes_on_as_on_the_device(device, tmp_path):
    started = make_trainer(device, tmp_path / "device", max_steps=3)
    path = started.fit().checkpoint
    ends = []
    for number, place in enumerate((device, "cpu")):
        trainer = make_trainer(place, tmp_path / f"run_{number}", max_steps=6)
        trainer.resume(path)
        ends.append(load_checkpoint(trainer.fit().checkpoint)[0])
    for name, array in ends[0].items():
        if array.dtype == np.float32 and "/model" in f"/{name}":
            assert relative_difference(ends[1][name], array, scale=1.0) < TOLERANCE, name
