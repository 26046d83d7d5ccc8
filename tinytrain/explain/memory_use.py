"""Where the memory of a training step goes: by layer, predicted and measured."""

import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tinytrain.autograd import Function, Watcher, add_watcher, remove_watcher
from tinytrain.backend import Array, get_device, xp_of
from tinytrain.creation import to_device
from tinytrain.explain.backward_memory import BackwardMemory, arrays_held
from tinytrain.explain.memory_report import LayerMemory, MemoryReport
from tinytrain.memory import MemoryLedger, count_memory
from tinytrain.memory.ledger import owner_of
from tinytrain.nn.module import Module
from tinytrain.optim.optimizer import Optimizer
from tinytrain.tensor import Tensor
from tinytrain.train.accumulation import LossFunction, checked_loss
from tinytrain.train.rollback import Rollback

WITHIN_FORWARD = {"GELU": 2}
"""How many arrays like their output operations use within themselves, where it is many."""


def memory(
    model: Module,
    batch: Any,
    loss_function: LossFunction | None = None,
    optimizer: Optimizer | None = None,
    *,
    measure: bool = True,
) -> MemoryReport:
    """Say where the memory of one training step goes, layer by layer.

    The prediction is arithmetic: from the shapes of parameters, from what one forward pass leaves
    on the tape, and from the sizes that the walk back will meet. The measurement is of a real
    forward and backward pass: by `tracemalloc` in host memory, by the ledger of
    `tinytrain.memory` on other devices. What differs is what operations use within themselves.

    Parameters
    ----------
    model : Module
        Looked at in the mode it is in. Random generators and buffers are put back afterwards;
        gradients are cleared.
    batch : nested arrays or tensors
        One micro-batch.
    loss_function : callable, optional
        ``(model, batch) -> (sum of losses, number of items)``; without it the sum of
        ``model(batch)`` is the loss.
    optimizer : Optimizer, optional
        Its state counts, and is made (as zeros) if there is none yet.
    measure : bool
        Whether to measure too, which takes a second forward pass and a backward pass.

    Returns
    -------
    MemoryReport

    Raises
    ------
    ValueError
        Nothing that the loss was computed from requires a gradient, or the optimizer holds
        parameters of other models too.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.models.MLP([64, 256, 10])
    >>> batch = tt.ones(128, 64), tt.zeros(128, dtype="int64")
    >>> optimizer = tt.optim.AdamW(model.parameters())
    >>> print(memory(model, batch, tt.models.classification_loss, optimizer, measure=False))
    layer     weights  gradients    state  activations    total
    layers.0  66.6 KB    66.6 KB   133 KB          0 B   266 KB
    layers.1      0 B        0 B      0 B      32.8 KB  32.8 KB
    layers.2  10.3 KB    10.3 KB  20.6 KB       131 KB   172 KB
    (loss)        0 B        0 B      0 B      5.25 KB  5.25 KB
    -----------------------------------------------------------
    sum       76.8 KB    76.8 KB   154 KB       169 KB   476 KB
    the batch: 33.8 KB; for a moment: ... KB
    predicted peak: ... KB
    """
    if optimizer is not None:
        _check_optimizer(model, optimizer)
        optimizer.allocate_state()
    batch = to_device(batch)
    before = Rollback(model)
    try:
        _fill_gradients(model)
        persistent = _Persistent(model, batch, optimizer)
        report = _predict(model, batch, loss_function, optimizer, persistent)
        if measure:
            before.restore()
            _fill_gradients(model)
            report.measured = _measure(model, batch, loss_function, optimizer, persistent)
    finally:
        before.restore()
    return report


def _check_optimizer(model: Module, optimizer: Optimizer) -> None:
    strangers = _state_bytes(optimizer).keys() - {id(p) for p in model.parameters()}
    if strangers:
        raise ValueError(
            f"the optimizer holds {len(strangers)} parameters that are not this model's, whose "
            "state would be counted with it: give the whole model, or a part without the optimizer"
        )


def _fill_gradients(model: Module) -> None:
    """Give every parameter a gradient: from the second micro-batch on they all have one."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            data = parameter.data
            parameter.leaf_gradient.set(xp_of(data).zeros(data.shape, dtype=data.dtype))


class _Persistent:
    """What is there before a step begins: parameters, buffers, gradients' buffers, state, batch."""

    def __init__(self, model: Module, batch: Any, optimizer: Optimizer | None) -> None:
        tensors = [*model.parameters(), *model.buffers()]
        arrays = [tensor.data for tensor in tensors]
        arrays += [p.leaf_gradient.array for p in model.parameters() if p.requires_grad]
        self.batch_arrays = list(_arrays_of(batch))
        self.owners = {id(owner): owner for owner in map(owner_of, arrays)}
        self.batch = sum(_distinct(self.batch_arrays).values())
        # Not the owners: of an optimizer's flat buffer a model may have a part only.
        self.bytes: int = sum(array.nbytes for array in arrays) + self.batch
        for array in self.batch_arrays:
            self.owners[id(owner_of(array))] = owner_of(array)
        if optimizer is not None:
            self.bytes += sum(_state_bytes(optimizer).values())


def _distinct(arrays: list[Array]) -> dict[int, int]:
    """Return the bytes of arrays by the memory they lie in: one that is there twice counts once."""
    found: dict[int, int] = {}
    for array in arrays:
        key = id(owner_of(array))
        found[key] = max(found.get(key, 0), array.nbytes)
    return found


def _arrays_of(batch: Any) -> Iterator[Array]:
    """Yield the arrays of a nested batch on the device."""
    if isinstance(batch, Tensor):
        yield batch.data
    elif isinstance(batch, dict):
        for value in batch.values():
            yield from _arrays_of(value)
    elif isinstance(batch, tuple | list):
        for value in batch:
            yield from _arrays_of(value)
    elif hasattr(batch, "__dataclass_fields__"):
        yield from _arrays_of(list(vars(batch).values()))


def _state_bytes(optimizer: Optimizer) -> dict[int, int]:
    """Return the bytes of each parameter's state, by the parameter's id."""
    return {
        id(p): len(optimizer.needed_state(group)) * p.data.nbytes
        for group in optimizer.param_groups
        for p in group["params"]
    }


def _forward(model: Module, batch: Any, loss_function: LossFunction | None) -> Tensor:
    if loss_function is None:
        loss: Tensor = model(batch).sum()
    else:
        loss, _ = checked_loss(loss_function(model, batch))
    if loss.node is None:
        raise ValueError("the loss requires no gradient: no parameter is trained, or under no_grad")
    return loss


class _Names(Watcher):
    """A watcher that writes down in which layer each operation was called, and what it took."""

    def __init__(self, model: Module, ledger: MemoryLedger) -> None:
        self.ledger, self.highest = ledger, 0
        self.path = {id(module): name for name, module in model.named_modules()}
        self.path[id(model)] = type(model).__name__
        self.nodes: dict[Function, str] = {}

    def after_forward(self, node: Function, inputs: Any, output: Array) -> None:
        """Look for the innermost layer of the model."""
        frame: FrameType | None = sys._getframe(2)
        name = "(loss)"
        while frame is not None and name == "(loss)":
            if frame.f_code.co_name == "__call__":
                name = self.path.get(id(frame.f_locals.get("self")), name)
            frame = frame.f_back
        self.nodes[node] = name
        within = WITHIN_FORWARD.get(node.name, 0) * output.nbytes
        self.highest = max(self.highest, self.ledger.used + int(within))


@contextmanager
def _looking_on(names: _Names) -> Iterator[_Names]:
    add_watcher(names)
    try:
        yield names
    finally:
        remove_watcher(names)


def _predict(
    model: Module,
    batch: Any,
    loss_function: LossFunction | None,
    optimizer: Optimizer | None,
    persistent: _Persistent,
) -> MemoryReport:
    with count_memory() as ledger, _looking_on(_Names(model, ledger)) as names:
        loss = _forward(model, batch, loss_function)
        in_passing = max(ledger.peak, names.highest) - ledger.used
    assert loss.node is not None
    report = MemoryReport(_layers(model, names, optimizer), persistent.batch)
    found = BackwardMemory(loss.node, persistent.owners)
    rows = {layer.layer: layer for layer in report.layers}
    seen = set(persistent.owners)
    for node, name in names.nodes.items():
        if node not in found.waiting_for:
            continue
        for owner in map(owner_of, arrays_held(node)):
            if id(owner) not in seen:
                seen.add(id(owner))
                rows[name].activations += owner.nbytes
    forward = found.kept + loss.data.nbytes + in_passing
    backward = found.peak(loss.data.nbytes) + loss.data.nbytes
    report.working = max(forward, backward) - report.total("activations")
    return report


def _layers(model: Module, names: _Names, optimizer: Optimizer | None) -> list[LayerMemory]:
    """List the layers that hold something, or in which an operation was called."""
    state = {} if optimizer is None else _state_bytes(optimizer)
    rows: dict[str, LayerMemory] = {}
    seen: set[int] = set()
    for module in model.modules():
        row = LayerMemory(names.path[id(module)])
        for value in vars(module).values():
            if isinstance(value, Tensor) and id(value) not in seen:
                seen.add(id(value))
                row.weights += value.data.nbytes
                row.gradients += value.data.nbytes if value.requires_grad else 0
                row.state += state.get(id(value), 0)
        if row.weights or row.layer in names.nodes.values():
            rows[row.layer] = row
    rows["(loss)"] = LayerMemory("(loss)")
    return list(rows.values())


def _measure(
    model: Module,
    batch: Any,
    loss_function: LossFunction | None,
    optimizer: Optimizer | None,
    persistent: _Persistent,
) -> int:
    """Return the peak of a real forward and backward pass, with what was there before."""
    if get_device() != "cpu":
        with count_memory() as ledger:
            if optimizer is not None:
                optimizer.allocate_state()  # shows the ledger what there is
            _forward(model, batch, loss_function).backward()
        return ledger.peak
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        _forward(model, batch, loss_function).backward()
        peak = tracemalloc.get_traced_memory()[1] - start
        return peak + persistent.bytes
    finally:
        if not was_tracing:
            tracemalloc.stop()
