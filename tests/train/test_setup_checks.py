"""What a trainer refuses before the first step, and what it says when a run is resumed."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.models import MLP, classification_loss
from tinytrain.train import CheckpointError, Trainer

pytestmark = pytest.mark.usefixtures("device")

DATA = TensorDataset(np.ones((8, 4), np.float32), np.arange(8) % 3)


def trainer(out=None, model=None, **settings):
    model = model or MLP([4, 3])
    optimizer = tt.optim.AdamW(model.parameters(), lr=1e-2)
    settings = {"max_steps": 2, "progress": False, **settings}
    loader = DataLoader(DATA, 2)
    return Trainer(model, optimizer, classification_loss, loader, out=out, **settings)


def test_an_optimizer_of_another_model_is_refused():
    stranger = tt.optim.AdamW(MLP([4, 3]).parameters())
    with pytest.raises(ValueError, match=r"2 parameters .* does not hold them: layers\.0\.weight"):
        Trainer(MLP([4, 3]), stranger, classification_loss, DataLoader(DATA, 2), max_steps=1)


def test_an_optimizer_of_a_part_needs_the_rest_frozen():
    model = MLP([4, 5, 3])
    head = model.layers[2]
    optimizer = tt.optim.AdamW(head.parameters())
    with pytest.raises(ValueError, match="2 parameters of the model"):
        Trainer(model, optimizer, classification_loss, DataLoader(DATA, 2), max_steps=1)
    model.layers[0].requires_grad_(False)
    frozen = host(model.layers[0].weight).copy()
    settings = {"max_steps": 3, "progress": False}
    Trainer(model, optimizer, classification_loss, DataLoader(DATA, 2), **settings).fit()
    np.testing.assert_array_equal(host(model.layers[0].weight), frozen)


def test_validation_data_must_be_readable_again():
    with pytest.raises(TypeError, match="not an iterator"):
        trainer(validation_loader=iter([1]))
    with pytest.raises(ValueError, match="gives no batches"):
        trainer(validation_loader=[])
    with pytest.raises(ValueError, match="eval_every needs data"):
        trainer(eval_every=1)


def test_a_resumed_run_must_have_the_same_windows_and_architecture(tmp_path):
    trainer(tmp_path).fit()
    with pytest.raises(CheckpointError, match="windows of 1 micro-batches"):
        trainer(tmp_path, accumulation_steps=2).resume("auto")
    other = tt.nn.Sequential(tt.nn.Linear(4, 3))
    with pytest.raises(CheckpointError, match="does not fit"):
        trainer(tmp_path, model=other).resume("auto")


def test_settings_that_no_parameter_shows_are_compared(tmp_path):
    def attention(heads):
        layer = tt.nn.CausalSelfAttention(4, heads)
        model = tt.nn.Sequential(layer)
        optimizer = tt.optim.AdamW(model.parameters())
        loss = lambda model, batch: (model(batch[0]).sum(), 1)  # noqa: E731
        data = DataLoader(TensorDataset(np.ones((4, 2, 4), np.float32)), 2)
        return Trainer(model, optimizer, loss, data, max_steps=1, out=tmp_path, progress=False)

    attention(2).fit()
    with pytest.raises(
        CheckpointError, match=r"num_heads=4.* where the saved one has .*num_heads=2"
    ):
        attention(4).resume("auto")


def test_changed_settings_are_named(tmp_path, capsys):
    trainer(tmp_path, config={"lr": 0.01, "out": "a"}).fit()
    trainer(tmp_path, config={"lr": 0.5, "out": "b"}).resume("auto")
    said = capsys.readouterr().out
    assert "lr 0.5 (was 0.01)" in said
    assert "out" not in said.split("checkpoint's:")[1].split(".")[0]


def test_an_optimizer_with_a_parameter_outside_the_model_is_refused():
    model = MLP([4, 3])
    extra = tt.ones(1, requires_grad=True)
    optimizer = tt.optim.SGD([*model.parameters(), extra])
    with pytest.raises(ValueError, match="holds 1 parameters that are not the model's"):
        Trainer(model, optimizer, classification_loss, DataLoader(DATA, 2), max_steps=1)


def test_a_tuple_in_the_configuration_is_no_difference(tmp_path, capsys):
    trainer(tmp_path, config={"betas": (0.9, 0.99)}).fit()
    trainer(tmp_path, config={"betas": (0.9, 0.99)}).resume("auto")
    assert "differ" not in capsys.readouterr().out


def test_a_longer_run_than_the_schedule_is_named(tmp_path, capsys):
    def scheduled(max_steps):
        model = MLP([4, 3])
        optimizer = tt.optim.AdamW(model.parameters(), lr=1e-2)
        schedule = tt.optim.WarmupCosine(optimizer, 1, max_steps)
        settings = {"schedule": schedule, "max_steps": max_steps, "out": tmp_path}
        loader = DataLoader(DATA, 2)
        return Trainer(model, optimizer, classification_loss, loader, progress=False, **settings)

    scheduled(2).fit()
    scheduled(6).resume("auto")
    assert "the saved schedule ends at step 2 of 6" in capsys.readouterr().out
