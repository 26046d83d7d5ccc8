"""A NaN ends a run with the step, the data, the first bad layer, and the moment before saved."""

import math
import warnings

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.regression import make_data, make_model, make_trainer
from tests.train.test_resume import everything, make_classifier
from tinytrain.data import DataLoader
from tinytrain.models import classification_loss
from tinytrain.train import load_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


class Exploding(tt.nn.Module):
    """Divides by its input, whose element is 0 in one sample of the data."""

    def __init__(self):
        super().__init__()
        self.inner = tt.nn.Linear(3, 3).to("float64")

    def forward(self, x):
        return self.inner(x / x)


def exploding_trainer(out=None, **settings):
    data = make_data(24)
    data.tensors[0][13, 1] = 0.0  # in the fourth micro-batch of four rows
    model = tt.nn.Sequential(tt.nn.Identity(), Exploding())

    def loss_function(model, batch):
        return model(batch[0]).square().sum(), len(batch[0])

    optimizer = tt.optim.SGD(model.parameters(), lr=1e-3)
    loader = DataLoader(data, 4)
    settings = {"max_steps": 9, "accumulation_steps": 2, "log_every": 1, **settings}
    return tt.Trainer(model, optimizer, loss_function, loader, out=out, progress=False, **settings)


@pytest.mark.usefixtures("device")
def test_the_step_the_data_and_the_layer_are_named(tmp_path):
    trainer = exploding_trainer(tmp_path)
    with pytest.raises(FloatingPointError) as stopped:
        trainer.fit()
    message = str(stopped.value)
    for part in (
        "step 2: the gradient's norm is nan and the summed loss nan; no update was made",
        "the window of 2 micro-batches that begins with micro-batch 2 of epoch 0",
        "the forward of Div made nan (element (1, 1); 1 of 12 elements are not finite)",
        "in layer 1",
        "test_diagnosis.py",
        f"saved in {tmp_path / 'before-step-00000002.npz'}",
    ):
        assert part in message
    assert trainer.step == 1
    assert load_checkpoint(tmp_path / "before-step-00000002.npz")[1]["step"] == 1
    assert list(tmp_path.glob("step-*.npz")) == []


def test_the_loaders_indices_are_named_where_it_tells_them():
    class Telling(DataLoader):
        last_indices = None

        def __iter__(self):
            for number, batch in enumerate(super().__iter__()):
                self.last_indices = list(range(4 * number, 4 * number + 4))
                yield batch

    trainer = exploding_trainer()
    trainer.windows.loader = Telling(trainer.windows.loader.dataset, 4)
    with pytest.raises(FloatingPointError) as stopped:
        trainer.fit()
    assert "Micro-batch 1 of it has the data set's items [12, 13, 14, 15]." in str(stopped.value)
    assert "saved" not in str(stopped.value)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (
            "data",
            r"(?s)the forward of .* micro-batch 0 of the window holds nan .* \(1, 2\); 1 of 12",
        ),
        ("weight", r"weight held inf .* before the step"),
        ("sum", "a sum over finite losses or gradients, which overflows"),
    ],
)
def test_other_causes(what, message):
    data, model = make_data(12), make_model()
    if what == "data":
        data.tensors[0][1, 2] = math.nan
    elif what == "weight":
        model.weight.data[0, 0] = math.inf

    def loss_function(model, batch):
        error = model(batch[0]) - batch[1]  # the squared norm of the gradient overflows
        return (error * error).sum() * (1e200 if what == "sum" else 1.0), len(batch[0])

    trainer = make_trainer(model, data, loss=loss_function, accumulation_steps=3, max_steps=3)
    with pytest.raises(FloatingPointError, match=message):
        trainer.fit()


def test_the_moment_before_continues_the_run_bit_for_bit(tmp_path):
    """The bad sample is mended, the saved moment resumed: that is the run that never failed."""
    straight = make_classifier(tmp_path / "straight", log_every=1, max_steps=6)
    straight.fit()

    def failing_in(step):
        def loss_function(model, batch):
            loss_sum, items = classification_loss(model, batch)
            fails = model.training and trainer.step == step - 1
            return (loss_sum * math.nan if fails else loss_sum), items

        return loss_function

    trainer = make_classifier(tmp_path / "failed", log_every=1, max_steps=6)
    trainer.loss_function = failing_in(5)  # its window begins an epoch
    with warnings.catch_warnings(), pytest.raises(FloatingPointError, match="step 5"):
        trainer.fit()
    resumed = make_classifier(tmp_path / "failed", log_every=1, max_steps=6)
    resumed.resume(tmp_path / "failed" / "before-step-00000005.npz")
    assert resumed.step == 4
    resumed.fit()
    assert everything(resumed) == everything(straight)


def test_a_gpu_that_tells_late_has_no_moment_before(tmp_path):
    from tinytrain.testing import mock

    tt.set_device("mock")
    try:
        with mock.allow_float64():
            trainer = exploding_trainer(tmp_path, log_every=5)
            with pytest.raises(FloatingPointError, match="one of the steps 1 to 4") as stopped:
                trainer.fit()
            with pytest.raises(FloatingPointError):
                exploding_trainer(log_every=3, clip_grad_norm=1.0).fit()
    finally:
        tt.set_device("cpu")
    assert "before-step" not in str(stopped.value)
    assert list(tmp_path.glob("*.npz")) == []


def test_looking_for_the_cause_changes_nothing(tmp_path):
    """Dropout and batch normalisation are as before the step, and so are all generators."""
    trainer = make_classifier(tmp_path, log_every=1)
    positions = []

    def loss_function(model, batch):
        if trainer.step == 2 and len(positions) < 1:
            positions.append(tt.default_generator().get_state())
        loss_sum, items = classification_loss(model, batch)
        return (loss_sum * math.inf if trainer.step == 2 else loss_sum), items

    trainer.loss_function = loss_function
    with pytest.raises(FloatingPointError):
        trainer.fit()
    saved, _ = load_checkpoint(tmp_path / "before-step-00000003.npz")
    for name, tensor in trainer.model.state_dict().items():
        assert np.array_equal(host(tensor), saved[f"model/{name}"])
    assert tt.default_generator().get_state() == positions[0]
    assert trainer.windows.batches == 4


class Masked(tt.nn.Module):
    """An attention mask as a buffer; from its third call on it divides by zero."""

    def __init__(self):
        super().__init__()
        self.scores, self.calls = tt.nn.Linear(3, 4).to("float64"), 0
        self.register_buffer("mask", tt.tensor([0.0, 0.0, 0.0, -math.inf], dtype=tt.float64))

    def forward(self, x):
        self.calls += 1
        weights = tt.nn.functional.softmax(self.scores(x) + self.mask, dim=-1)
        return weights / (weights * 0) if self.calls >= 3 else weights


@pytest.mark.parametrize("where", ["buffer", "batch", "labels"])
def test_what_may_be_meant_so_is_only_a_suspect(where):
    data = make_data(12)
    if where == "labels":
        data.tensors[1][::2] = math.nan  # no label: left out
    model = Masked()
    if where != "buffer":
        model.mask.data[...] = 0
    masks = np.where(np.arange(4) == 3, -math.inf, 0.0)

    def loss_function(model, batch):
        kept = model(batch[0])
        if where == "batch":
            kept = tt.nn.functional.softmax(kept + tt.tensor(batch[2]["mask"]), dim=-1)
        return kept.square().sum(), len(kept)

    loader = [
        (x, y, {"mask": masks} if where == "batch" else {}) for x, y, _ in DataLoader(data, 4)
    ]
    optimizer = tt.optim.SGD(model.parameters(), lr=1e-3)
    trainer = tt.Trainer(model, optimizer, loss_function, loader, max_steps=9, progress=False)
    with pytest.raises(FloatingPointError) as stopped:
        trainer.fit()
    cause, suspects = str(stopped.value).split("Not finite before it, and so perhaps the reason:")
    assert "First not finite: the forward of Div made" in cause
    assert ("mask held -inf" if where == "buffer" else "micro-batch 0 of the window") in suspects
