"""The settings on which PyTorch tests its optimizers, and its errors, replayed here."""

import warnings

import numpy as np
import pytest

import tinytrain as tt
from tests.oracle.replay import TOLERANCES, LeftOut, Tally, convert, near

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which PyTorch's tables import

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

SHAPES = ((3, 4), (5,), ())
STEPS = 50


def entries():
    """List what PyTorch's table has of optimizers that tinytrain has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_optimizers import optim_db
    return [info for info in optim_db if hasattr(tt.optim, info.optim_cls.__name__)]


def replay(info, settings, dtype):
    """Make 50 steps along the same gradients in both libraries."""
    generator = np.random.default_rng(0)
    values = [np.asarray(generator.normal(size=shape), dtype=dtype) for shape in SHAPES]
    ours = [tt.tensor(value, requires_grad=True) for value in values]
    theirs = [torch.nn.Parameter(torch.tensor(value)) for value in values]
    optimizer = getattr(tt.optim, info.optim_cls.__name__)(ours, **convert(torch, settings, []))
    reference = info.optim_cls(theirs, **settings)
    for _ in range(STEPS):
        for mine, other in zip(ours, theirs, strict=True):
            gradient = np.asarray(generator.normal(size=mine.shape), dtype=dtype)
            mine.grad, other.grad = tt.tensor(gradient), torch.tensor(gradient)
        optimizer.step()
        reference.step()
    for mine, other in zip(ours, theirs, strict=True):
        near(mine.detach().numpy(), other.detach().numpy(), TOLERANCES[dtype])


def replay_error(info, wrong):
    """Give what PyTorch's optimizer refuses to tinytrain's."""
    given = wrong.optimizer_error_input
    if given.params is None:
        raise LeftOut("an error of how to compute")
    settings = convert(torch, given.kwargs, [])
    if set(given.kwargs) - set(settings):
        raise LeftOut("an error of how to compute")
    # A parameter that stands twice in PyTorch's list must stand twice here: one table of leaves.
    parameters = convert(torch, given.params, [])
    make = getattr(tt.optim, info.optim_cls.__name__)
    kind = ValueError if issubclass(wrong.error_type, Warning) else wrong.error_type
    with pytest.raises(kind):
        make(parameters, **settings)


def test_optimizers():
    tally = Tally("optimizers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for info in entries():
            name = info.optim_cls.__name__
            for sample in info.optim_inputs_func(device="cpu"):
                for dtype in ("float64", "float32"):
                    tally.run(
                        f"optim.{name}",
                        lambda s=sample, d=dtype: f"{d} {s.desc}",
                        lambda i=info, s=sample.kwargs, d=dtype: replay(i, s, d),
                    )
    tally.close()


def test_what_the_optimizers_refuse():
    from torch.testing._internal.common_optimizers import OptimizerErrorEnum

    tally = Tally("errors of optimizers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for info in entries():
            for wrong in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
                if wrong.error_on == OptimizerErrorEnum.CONSTRUCTION_ERROR:
                    tally.run(
                        f"errors of {info.optim_cls.__name__}",
                        lambda w=wrong: f"{w.optimizer_error_input.desc} {w.error_regex}",
                        lambda i=info, w=wrong: replay_error(i, w),
                    )
    tally.close()
