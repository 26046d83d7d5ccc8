"""A linear model, rows of which some count, and a trainer over them, for tests of the trainer."""

import numpy as np

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.train import read_log


def make_data(rows=22, counts=None):
    """Inputs (rows, 3), outputs (rows, 1), and for each row 1.0 if it counts, else 0.0."""
    source = np.random.default_rng(0)
    x = source.normal(size=(rows, 3))
    y = x @ np.array([1.0, -2.0, 0.5]) + 0.5 * source.normal(size=rows)
    counts = np.ones(rows) if counts is None else np.asarray(counts, dtype=np.float64)
    return TensorDataset(x, y[:, None], counts[:, None])


def make_model():
    tt.manual_seed(0)
    return tt.nn.Linear(3, 1).to("float64")


def squared_error(model, batch):
    """The squared error, summed over the rows that count, and their number."""
    x, y, counts = batch
    error = (model(x) - y) * counts
    return (error * error).sum(), int(counts.sum().item())


def mean_gradient(model, data, rows):
    """The gradient of the mean error over some rows, by the formula, as (weight, bias)."""
    x, y, counts = (array[rows] for array in data.tensors)
    error = (x @ host(model.weight).T + host(model.bias) - y) * counts
    return 2 * error.T @ x / counts.sum(), 2 * error.sum(axis=0) / counts.sum()


def make_trainer(model, data, micro_batch=4, lr=0.1, optimizer=None, shuffle=False, **settings):
    optimizer = optimizer or tt.optim.SGD(model.parameters(), lr=lr)
    loader = DataLoader(data, micro_batch, shuffle=shuffle, generator=0 if shuffle else None)
    settings = {"log_every": 1, "progress": False, **settings}
    return tt.Trainer(model, optimizer, settings.pop("loss", squared_error), loader, **settings)


def log_of(folder, without=("items_per_second", "evaluation_seconds")):
    """The records of a run, but for the times."""
    records = read_log(folder / "log.jsonl")
    return [{k: v for k, v in record.items() if k not in without} for record in records]
