"""Where a NaN came from: the step that failed, made once more under anomaly detection."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import numpy as np

from tinytrain.anomaly import AnomalyError, bad_value, detect_anomaly
from tinytrain.backend import is_array
from tinytrain.nn.module import Module
from tinytrain.tensor import Tensor
from tinytrain.train.accumulation import pooled_statistics
from tinytrain.train.moment import Moment
from tinytrain.train.resumable import Resumable
from tinytrain.train.untouched import untouched


def report_failed_step(
    run: Resumable, moment: Moment, window: Sequence[Any], repeat: Callable[[], object]
) -> str:
    """Go back to the moment before a failed step, save it, and say what was not finite first.

    Parameters
    ----------
    run : Resumable
        A trainer, whose parameters and buffers still are those before the step.
    moment : Moment
        The one before the step.
    window : sequence
        The step's micro-batches.
    repeat : callable
        Adds up the step's gradients once more.
    """
    indices = run.windows.last_indices
    moment.go_back()
    lines = [
        f"It is the window of {len(window)} micro-batches that begins with micro-batch "
        f"{moment.batches} of epoch {moment.epoch}, both counted from 0."
    ]
    for number, found in enumerate(indices):
        if found is not None:
            lines.append(f"Micro-batch {number} of it has the data set's items {_short(found)}.")
    lines.append(f"First not finite: {find_cause(run.model, window, repeat)}")
    moment.go_back()
    if run.out is not None:
        path = run.out / f"before-step-{run.step + 1:08d}.npz"
        run.save_as(path)
        lines.append(f"The moment before the step is saved in {path}.")
    return "\n".join(lines)


def find_cause(model: Module, window: Sequence[Any], repeat: Callable[[], object]) -> str:
    """Say what is not finite first: a parameter, or what an operation makes of finite values.

    What is not finite in the data or in a buffer may be meant so, such as the -inf of a mask, or a
    label that the loss leaves out. It is named after what was found, as a suspect.

    Parameters
    ----------
    model : Module
        As it was before the step; it stays as it is.
    window : sequence
        The micro-batches of the step.
    repeat : callable
        Adds up the step's gradients once more.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model, bad = tt.nn.Linear(2, 2), tt.tensor([1.0, np.nan])
    >>> print(find_cause(model, [(bad,)], repeat=lambda: model(bad)))
    the forward of Linear made nan (element (0,); 2 of 2 elements are not finite); ...
    Not finite before it, and so perhaps the reason:
      micro-batch 0 of the window holds nan (element (1,); 1 of 2 elements are not finite)
    """
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and (found := bad_value(parameter.data)) is not None:
            return f"{name} held {found} before the step"
    lines = [_first_operation(model, repeat)]
    if suspects := _suspects(model, window):
        lines.append("Not finite before it, and so perhaps the reason:")
        lines += [f"  {suspect}" for suspect in suspects]
    return "\n".join(lines)


def _first_operation(model: Module, repeat: Callable[[], object]) -> str:
    with untouched(model), np.errstate(all="ignore"):
        model.zero_grad()
        try:
            with detect_anomaly(), pooled_statistics(model):
                repeat()
        except AnomalyError as error:
            return str(error)
        for name, parameter in model.named_parameters():
            if parameter.grad is not None and (found := bad_value(parameter.grad.data)) is not None:
                return f"the sum of the gradients of {name} holds {found}"
    return "a sum over finite losses or gradients, which overflows"


def _suspects(model: Module, window: Sequence[Any]) -> list[str]:
    """List what is not finite in the data, in buffers and in frozen parameters."""
    data = (
        (f"micro-batch {number} of the window holds", bad_value(array))
        for number, batch in enumerate(window)
        for array in _arrays_of(batch)
    )
    kept = (
        (f"before the step {name} held", bad_value(tensor.data))
        for name, tensor in model.state_dict().items()
    )
    bad = [f"{where} {found}" for where, found in (*data, *kept) if found is not None]
    return bad[:5]


def _arrays_of(value: Any) -> Iterator[Any]:
    """Yield the arrays of a nested batch."""
    if isinstance(value, Tensor):
        yield value.data
    elif is_array(value):
        yield value
    elif isinstance(value, Mapping):
        yield from _arrays_of(list(value.values()))
    elif is_dataclass(value):
        yield from _arrays_of(list(vars(value).values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _arrays_of(item)


def _short(indices: Any) -> str:
    text = str(list(indices) if hasattr(indices, "__iter__") else indices)
    return text if len(text) <= 200 else f"{text[:200]}..."
