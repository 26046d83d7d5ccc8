"""A run may be saved on one device and resumed on another: what is loaded is what was saved."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.test_resume import everything, make_classifier, make_language_model
from tinytrain import backend
from tinytrain.train.random_state import generators_of

PAIRS = [("cpu", "mock"), ("mock", "cpu")]
if backend.cuda_problem() is None:
    PAIRS += [
        pytest.param("cpu", "cuda", marks=pytest.mark.gpu),
        pytest.param("cuda", "cpu", marks=pytest.mark.gpu),
    ]
RUNS = [make_classifier, make_language_model]
SAVED, STEPS = 5, 8


@pytest.fixture(autouse=True)
def _back_to_the_cpu():
    yield
    tt.set_device("cpu")


def whole_state(trainer):
    """All that a run has, generators and what the next record covers too; arrays by their bytes."""
    meter = trainer.meter.state_dict()
    loss_sum = meter.pop("loss_sum")
    return {
        **everything(trainer),
        "generators": [generator.get_state() for generator in generators_of(trainer.model)],
        "meter": (meter, None if loss_sum is None else host(loss_sum).tobytes()),
    }


def devices_of(trainer):
    """Where parameters, buffers and the optimizer's arrays live."""
    arrays = [tensor.data for tensor in trainer.model.state_dict().values()]
    for saved in trainer.optimizer.state_dict()["state"].values():
        arrays += [value for value in saved.values() if hasattr(value, "shape")]
    return {backend.device_of(array) for array in arrays}


def weights_of(trainer):
    return np.concatenate([host(p).ravel() for p in trainer.model.parameters()])


def saved_run(make, folder, device):
    """A run on a device that stopped when it had saved: inside an epoch and inside a log record."""
    tt.set_device(device)
    trainer = run_of(make, folder, device, save_every=SAVED)
    save = trainer.save

    def save_and_stop():
        save()
        raise KeyboardInterrupt

    trainer.save = save_and_stop
    with pytest.raises(KeyboardInterrupt):
        trainer.fit()
    trainer.save = save
    assert trainer.step == SAVED
    assert trainer.windows.batches > 0
    assert trainer.meter.items > 0
    assert devices_of(trainer) == {device}
    return trainer


def fresh_run(make, folder, device):
    """The same run set up on a device, with other numbers in all that resuming must replace."""
    tt.set_device(device)
    trainer = run_of(make, folder, device)
    for tensor in (*trainer.model.parameters(), *trainer.model.buffers()):
        tensor.data += 1
    for generator in generators_of(trainer.model):
        generator.random_int64()
    return trainer


def run_of(make, folder, device, **settings):
    return make(folder, max_steps=STEPS, log_every=3, config={"device": device}, **settings)


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("make", RUNS)
def test_what_is_loaded_on_another_device_is_what_was_saved(tmp_path, make, first, second):
    expected = whole_state(saved_run(make, tmp_path, first))
    resumed = fresh_run(make, tmp_path, second)
    assert whole_state(resumed) != expected
    assert resumed.resume("auto").name == f"step-{SAVED:08d}.npz"
    assert resumed.step == SAVED
    assert whole_state(resumed) == expected
    assert devices_of(resumed) == {second}


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("make", RUNS)
def test_saving_again_on_the_other_device_writes_the_same_arrays(tmp_path, make, first, second):
    written = saved_run(make, tmp_path, first).last_checkpoint
    resumed = fresh_run(make, tmp_path, second)
    resumed.resume("auto")
    resumed.out = tmp_path / "again"
    arrays, state = tt.train.load_checkpoint(written)
    again, state_again = tt.train.load_checkpoint(resumed.save())
    changed = {"config": {"device": second}, "settings": state_again["settings"]}
    assert state_again == {**state, **changed}
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape), name
        assert again[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize(("first", "second"), PAIRS)
@pytest.mark.parametrize("make", RUNS)
def test_the_run_goes_on_where_it_was(tmp_path, make, first, second):
    """The same batches and random masks, so the weights differ by rounding at most."""
    saved_run(make, tmp_path, first)
    ends = []
    for device in (first, second):
        trainer = fresh_run(make, tmp_path, device)
        trainer.resume(tmp_path / f"step-{SAVED:08d}.npz")
        trainer.out = None
        assert trainer.fit().step == STEPS
        ends.append((weights_of(trainer), trainer.windows.state_dict()))
    np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=1e-3, atol=1e-5)
    assert ends[0][1] == ends[1][1]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_the_changed_device_is_named_and_not_refused(tmp_path, capsys, first, second):
    saved_run(make_classifier, tmp_path, first)
    capsys.readouterr()
    assert fresh_run(make_classifier, tmp_path, second).resume("auto") is not None
    assert f"device {second} (was {first})" in capsys.readouterr().out
    assert fresh_run(make_classifier, tmp_path, first).resume("auto") is not None
    assert "device" not in capsys.readouterr().out


@pytest.mark.parametrize("device", ["cpu", "mock"])
@pytest.mark.parametrize("make", RUNS)
def test_on_one_device_the_continued_run_is_the_straight_one(tmp_path, make, device):
    """Bit for bit; float64 is not allowed on the mock here, and nothing makes any."""
    tt.set_device(device)
    straight = run_of(make, tmp_path / "straight", device)
    straight.fit()
    saved_run(make, tmp_path / "resumed", device)
    resumed = fresh_run(make, tmp_path / "resumed", device)
    assert resumed.resume("auto").name == f"step-{SAVED:08d}.npz"
    resumed.fit()
    assert whole_state(resumed) == whole_state(straight)
