"""A training run in a process of its own, which may kill itself: see test_resume_process.

    python -m tests.train.killed_run FOLDER [CALL]

It resumes what is in the folder, trains, and writes its final weights to ``final.npz``. At the
given call of the loss function it sends itself SIGKILL.
"""

import os
import signal
import sys
from pathlib import Path

import numpy as np

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.data import DataLoader, PackedDataset, collate_packed, plan_packing
from tinytrain.models import GPT, GPTConfig, language_model_loss

STEPS = 10


def main(folder: Path, killed_at_call: int | None) -> None:
    tt.manual_seed(0)
    source = np.random.default_rng(2)
    lengths = source.integers(1, 9, size=24)
    rows = PackedDataset(
        [source.integers(0, 11, size=n) for n in lengths], plan_packing(lengths, capacity=10)
    )
    model = GPT(GPTConfig(11, 10, num_layers=1, num_heads=2, embed_dim=8, dropout=0.1))
    optimizer = tt.optim.AdamW(model.parameters(), lr=0.01)
    calls = 0

    def loss_function(model, batch):
        nonlocal calls
        calls += 1
        if calls == killed_at_call:
            os.kill(os.getpid(), signal.SIGKILL)
        return language_model_loss(model, batch)

    trainer = tt.Trainer(
        model,
        optimizer,
        loss_function,
        DataLoader(rows, 3, shuffle=True, collate_fn=collate_packed),
        max_steps=STEPS,
        accumulation_steps=2,
        last_window="carry",
        schedule=tt.optim.WarmupCosine(optimizer, 2, STEPS),
        log_every=3,
        save_every=2,
        out=folder,
        progress=False,
    )
    print("resumed from", trainer.resume("auto"))
    trainer.fit()
    np.savez(folder / "final.npz", **{k: host(v) for k, v in model.state_dict().items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
