"""The trainer moves any schedule, the one that looks at the validation loss too, and resumes it."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.models import MLP, classification_loss
from tinytrain.optim import lr_scheduler as lrs
from tinytrain.train import read_log

STEPS = 8

SCHEDULES = {
    "step": lambda o: lrs.StepLR(o, 3),
    "cosine": lambda o: lrs.CosineAnnealingLR(o, STEPS),
    "lambda": lambda o: lrs.LambdaLR(o, lambda step: 0.9**step),
    "one_cycle": lambda o: lrs.OneCycleLR(o, 0.1, total_steps=STEPS),
    "sequence": lambda o: lrs.SequentialLR(
        o, [lrs.LinearLR(o, 0.1, total_iters=3), lrs.ExponentialLR(o, 0.5)], [3]
    ),
    "chain": lambda o: lrs.ChainedScheduler([lrs.ConstantLR(o), lrs.ExponentialLR(o, 0.9)]),
    "plateau": lambda o: lrs.ReduceLROnPlateau(o, patience=0, threshold=0.9, factor=0.5),
    "line": lambda o: lrs.WarmupLinear(o, 2, STEPS),
    "root": lambda o: lrs.WarmupInverseSquareRoot(o, 2),
}


def make_trainer(out, make_schedule, **settings):
    tt.manual_seed(0)
    source = np.random.default_rng(1)
    values, classes = source.normal(size=(12, 3)), source.integers(0, 2, size=12)
    data = TensorDataset(values.astype(np.float32), classes)
    model = MLP([3, 4, 2])
    optimizer = tt.optim.AdamW(model.parameters(), lr=0.05)
    settings = {"eval_every": 2, "validation_loader": DataLoader(data, 12), **settings}
    return tt.Trainer(
        model,
        optimizer,
        classification_loss,
        DataLoader(data, 4, shuffle=True, generator=3),
        max_steps=STEPS,
        schedule=make_schedule(optimizer),
        log_every=1,
        save_every=1,
        out=out,
        progress=False,
        **settings,
    )


def rates(out):
    return [record["lr"] for record in read_log(out / "log.jsonl") if "lr" in record]


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("name", SCHEDULES)
def test_moved_and_resumed(tmp_path, name):
    whole = make_trainer(tmp_path / "whole", SCHEDULES[name], keep_checkpoints=99)
    whole.fit()
    found = rates(tmp_path / "whole")
    assert len(set(found)) > 1
    if name != "plateau":
        alone = SCHEDULES[name](tt.optim.AdamW([tt.ones(1, requires_grad=True)], lr=0.05))
        expected = []
        for _ in range(STEPS):
            expected += alone.get_last_lr()
            alone.step()
        assert found == expected

    for stop in (3, 6):
        resumed = make_trainer(tmp_path / f"from_{stop}", SCHEDULES[name])
        resumed.resume(tmp_path / "whole" / f"step-{stop:08}.npz")
        resumed.fit()
        assert rates(tmp_path / f"from_{stop}") == found[stop:]
        for ours, theirs in zip(resumed.model.parameters(), whole.model.parameters(), strict=True):
            assert np.array_equal(host(ours), host(theirs))


def test_plateau_looks_at_every_validation_but_the_last(tmp_path):
    trainer = make_trainer(tmp_path, SCHEDULES["plateau"])  # nothing is ever good enough
    trainer.fit()
    assert rates(tmp_path) == [0.05] * 4 + [0.025] * 2 + [0.0125] * 2
    assert trainer.schedule.last_epoch == 3
    with pytest.raises(ValueError, match="give validation_loader, eval_every"):
        make_trainer(tmp_path, SCHEDULES["plateau"], validation_loader=None, eval_every=None)
