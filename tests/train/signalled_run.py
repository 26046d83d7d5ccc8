"""A training run in a process of its own that is stopped by a signal: see test_resume_process."""

import os
import sys
import time
from pathlib import Path

from tests.train.test_resume import make_classifier


def main(folder: Path) -> None:
    """Train slowly, and tell the process id when the first step is made."""
    trainer = make_classifier(folder, max_steps=500)
    wanted = trainer.loss_function

    def loss_function(model, batch):
        time.sleep(0.01)
        if trainer.step == 1:
            print("ready", os.getpid(), flush=True)
        return wanted(model, batch)

    trainer.loss_function = loss_function
    trainer.fit()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
