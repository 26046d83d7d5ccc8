"""Resuming with states of the user's own: large numbers, NumPy's numbers, other generators."""

import numpy as np
import pytest

import tinytrain as tt
from tests.train.test_resume import everything
from tinytrain.data import DataLoader, TensorDataset

STEPS = 6
SOURCE = np.random.default_rng(0)
X = SOURCE.normal(size=(64, 3)).astype(np.float32)
Y = X.sum(1, keepdims=True)


class Drawing(tt.train.Callback):
    """Keeps a generator of NumPy, whose state has numbers of 128 bits."""

    def __init__(self):
        self.random, self.seen = np.random.default_rng(0), np.int64(0)

    def on_step_end(self, trainer, record):
        self.random.random()
        self.seen += 1

    def state_dict(self):
        return {"random": self.random.bit_generator.state, "seen": self.seen}

    def load_state_dict(self, state):
        self.random.bit_generator.state, self.seen = state["random"], np.int64(state["seen"])


class OwnLoader:
    """Batches in their order, with a state that has names like those of tinytrain's."""

    def __init__(self):
        self.at = 0

    def __len__(self):
        return 8

    def __iter__(self):
        while self.at < 8:
            rows = slice(8 * self.at, 8 * self.at + 8)
            self.at += 1
            yield X[rows], Y[rows]
        self.at = 0

    def state_dict(self):
        return {"generator": {"kind": "mine", "initial_seed": 2**90}, "at": np.int64(self.at)}

    def load_state_dict(self, state):
        assert state["generator"]["initial_seed"] == 2**90
        self.at = int(state["at"])


def squared_error(model, batch):
    """The sum as a tensor of shape (1,)."""
    inputs, targets = batch
    loss = tt.nn.functional.mse_loss(model(inputs), targets, reduction="sum")
    return loss.reshape(1), len(inputs)


def make(out, loader=None, **settings):
    tt.manual_seed(0)
    model = tt.nn.Linear(3, 1)
    data = loader or DataLoader(TensorDataset(X, Y), 8, shuffle=True, generator=0)
    settings = {"max_steps": STEPS, "save_every": 1 if out else None, **settings}
    return tt.Trainer(
        model,
        tt.optim.AdamW(model.parameters(), lr=np.float32(0.01)),
        squared_error,
        data,
        callbacks=[Drawing()],
        config={"entropy": 2**120},
        out=out,
        progress=False,
        keep_checkpoints=99,
        **settings,
    )


@pytest.mark.parametrize("loader", [None, OwnLoader])
def test_states_of_ones_own_are_resumed(tmp_path, loader):
    straight, resumed = (
        make(tmp_path / name, loader and loader()) for name in ("straight", "resumed")
    )
    straight.fit()
    resumed.resume(tmp_path / "straight" / "step-00000003.npz")
    resumed.fit()
    for part in ("model", "windows", "step"):
        assert everything(resumed)[part] == everything(straight)[part]
    own, other = (run.callbacks.callbacks[0] for run in (straight, resumed))
    assert own.random.random() == other.random.random()
    assert own.seen == other.seen == STEPS


@pytest.mark.parametrize("out", [None, "run"])
def test_a_run_that_is_made_longer_goes_on_where_it_was(tmp_path, out):
    longer = make(out and tmp_path / "longer", max_steps=3)
    longer.fit()
    longer.max_steps = 11
    longer.fit()
    straight = make(out and tmp_path / "straight", max_steps=11)
    straight.fit()
    assert (longer.windows.epoch, longer.windows.batches) == (1, 3)
    assert np.array_equal(longer.model.weight.data, straight.model.weight.data)
