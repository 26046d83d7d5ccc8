"""A training run of a second that tells whether this machine computes what it should."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tinytrain import backend
from tinytrain.creation import to_device
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.generator import manual_seed
from tinytrain.models import GPT, GPTConfig
from tinytrain.nn import functional as F
from tinytrain.optim import AdamW
from tinytrain.tensor import Tensor
from tinytrain.testing.doctor.machine import Finding
from tinytrain.testing.gradcheck import gradcheck
from tinytrain.train import Trainer
from tinytrain.train.checkpoint_folder import checkpoint_path

STEPS = 12
TOLERANCE = 1e-5  # relative, between the float32 losses of two devices
REPORT_IT = "if it stays, report this output"


def self_test(device: str) -> list[Finding]:
    """Train on a device, check gradients on the CPU, and save and resume a run.

    The chosen device and the default generator are others afterwards;
    `tinytrain.testing.doctor.examine` puts them back.

    Parameters
    ----------
    device : str
        One that `tinytrain.set_device` takes and can use.

    Examples
    --------
    >>> [finding.ok for finding in self_test("cpu")]
    [True, True, True]
    """
    return [
        _finding(f"training on {device}", lambda: check_training(device), _remedy(device)),
        _finding(
            "gradients on cpu",
            check_gradients,
            "an operation's derivative is wrong: undo changes to tinytrain's files, or reinstall "
            f"it; {REPORT_IT}",
        ),
        _finding(
            f"checkpoint on {device}",
            lambda: check_checkpoint(device),
            f"see that {tempfile.gettempdir()} can be written to and has space left (TMPDIR "
            f"chooses another folder); {REPORT_IT}",
        ),
    ]


def _remedy(device: str) -> str:
    if device == "cpu":
        return (
            "reinstall NumPy, or try another BLAS (OPENBLAS_NUM_THREADS=1 tells whether its "
            f"threads are at fault); {REPORT_IT}"
        )
    return (
        f"use --device cpu meanwhile; the device {device} computes something else: update CuPy "
        f"and the driver; {REPORT_IT}"
    )


def _finding(name: str, check: Callable[[], str], remedy: str) -> Finding:
    """Run a check, which returns what it found or raises."""
    try:
        return Finding(name, check(), ok=True)
    except Exception as error:  # a report goes on whatever has happened
        words = str(error).strip().splitlines() or [""]
        return Finding(name, f"{type(error).__name__}: {words[0]}", ok=False, remedy=remedy)


# ---------------------------------------------------------------- the three checks


def check_training(device: str) -> str:
    """Hold the losses of a few steps on a device against those of the CPU in float64.

    Raises
    ------
    AssertionError
        They differ, or do not fall; the message has the numbers.
    """
    found = training_losses(device, "float32")
    expected = training_losses("cpu", "float64")
    difference = np.abs(found / expected - 1)
    worst = int(np.argmax(~(difference <= TOLERANCE)))  # the first that is off, NaN included
    if not difference[worst] <= TOLERANCE:
        raise AssertionError(
            f"loss {worst + 1} is {found[worst]:.7g}, on the CPU in float64 it is "
            f"{expected[worst]:.7g}; they may differ by {TOLERANCE:g} relative"
        )
    if not found[-1] < 0.9 * found[0]:
        raise AssertionError(f"the loss does not fall: from {found[0]:.7g} to {found[-1]:.7g}")
    return (
        f"loss {found[0]:.4f} -> {found[-1]:.4f} in {STEPS} steps, within "
        f"{difference.max():.1g} of the CPU in float64"
    )


def check_gradients() -> str:
    """Check all gradients of a tiny GPT against central differences, on the CPU in float64.

    Raises
    ------
    GradcheckError
        One of them is wrong.
    """
    backend.set_device("cpu")
    manual_seed(0)
    model = GPT(GPTConfig(5, 4, num_layers=1, num_heads=2, embed_dim=4, init_std=0.5))
    parameters = list(model.to("float64").parameters())
    ids, targets = to_device(token_rows(rows=2, length=4, vocabulary=5))
    gradcheck(lambda *_: _mean_loss(model, ids, targets), parameters)
    count = sum(parameter.numel() for parameter in parameters)
    return f"all {count} of a GPT equal central differences"


def check_checkpoint(device: str) -> str:
    """Resume a run from the middle, and insist that it ends with the very same parameters.

    Raises
    ------
    AssertionError
        A parameter differs in some bit.
    """
    with tempfile.TemporaryDirectory() as name:
        whole = _trainer(device, Path(name) / "whole")
        whole.fit()
        resumed = _trainer(device, Path(name) / "resumed")
        path = checkpoint_path(Path(name) / "whole", 2)
        size = path.stat().st_size
        resumed.resume(path)
        resumed.fit()
    expected = dict(whole.model.named_parameters())
    for parameter_name, parameter in resumed.model.named_parameters():
        if _bytes(parameter) != _bytes(expected[parameter_name]):
            raise AssertionError(f"{parameter_name} differs between the resumed run and the whole")
    return f"{size / 1e3:.0f} kB saved, and resumed bit for bit"


def _bytes(parameter: Tensor) -> bytes:
    return bytes(backend.to_host(parameter.data).tobytes())


# ---------------------------------------------------------------- what they train


def training_losses(device: str, dtype: str) -> Any:
    """Return the losses of a tiny GPT's first steps, as an array (`STEPS`,) in float64."""
    backend.set_device(device)
    model = _model().to(dtype)
    optimizer = AdamW(model.parameters(), lr=1e-2)
    ids, targets = to_device(token_rows())
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = _mean_loss(model, ids, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


def token_rows(rows: int = 4, length: int = 8, vocabulary: int = 11) -> tuple[Any, Any]:
    """Return rows that count upwards, and the next token of each position: int64 (rows, length)."""
    counting = (np.arange(length + 1) + 2 * np.arange(rows)[:, None]) % vocabulary
    return np.ascontiguousarray(counting[:, :-1]), np.ascontiguousarray(counting[:, 1:])


def _model() -> GPT:
    """Return a model with embeddings, attention, normalisation, GELU and dropout."""
    manual_seed(0)
    return GPT(GPTConfig(11, 8, num_layers=1, num_heads=2, embed_dim=16, dropout=0.1, init_std=0.2))


def _mean_loss(model: GPT, ids: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(model(ids).flatten(0, -2), targets.flatten())


def _trainer(device: str, folder: Path) -> Trainer:
    """Return a run of four steps that saves itself after two and four."""
    backend.set_device(device)
    model = _model()

    def loss_function(model: Any, batch: Any) -> tuple[Tensor, int]:
        ids, targets = batch
        return _mean_loss(model, ids, targets) * targets.numel(), targets.numel()

    return Trainer(
        model,
        AdamW(model.parameters(), lr=1e-2),
        loss_function,
        DataLoader(TensorDataset(*token_rows(rows=8)), batch_size=4, shuffle=True, generator=0),
        max_steps=4,
        save_every=2,
        out=folder,
        progress=False,
    )
