"""A training run with prints, for a pipeline or a group of processes that a signal ends."""

import sys
import time
from pathlib import Path

import numpy as np

import tinytrain as tt
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.train import Callback


class Chatty(Callback):
    """Prints without asking whether anybody listens."""

    def on_step_end(self, trainer, record):
        print("step", record["step"], flush=True)


def squared_error(model, batch):
    time.sleep(0.02)
    return tt.nn.functional.mse_loss(model(batch[0]), batch[0], reduction="sum"), len(batch[0])


def main(folder: Path, workers: int) -> None:
    """Train for long, an epoch of workers after the other."""
    model = tt.nn.Linear(3, 3)
    loader = DataLoader(
        TensorDataset(np.ones((12, 3), np.float32)),
        4,
        shuffle=True,
        generator=0,
        num_workers=workers,
    )
    tt.Trainer(
        model,
        tt.optim.SGD(model.parameters(), lr=1e-3),
        squared_error,
        loader,
        max_steps=9999,
        log_every=1,
        out=folder,
        callbacks=[Chatty()],
    ).fit()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
