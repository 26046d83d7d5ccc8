"""Activation checkpointing: forget what a part of a model keeps for backward, and compute it again.

An operation is an object with its settings (a dropout's key among them), and computes on nothing
but its inputs. So a part of the tape can be played again: no code of the layers runs a second time,
no random number is drawn, and running statistics move once.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from tinytrain.anomaly import arrays_in
from tinytrain.autograd import (
    Function,
    Watcher,
    add_watcher,
    is_grad_enabled,
    remove_watcher,
)
from tinytrain.backend import Array, is_array
from tinytrain.in_place import hold
from tinytrain.memory.ledger import owner_of

R = TypeVar("R")


def checkpoint(
    function: Callable[..., R],
    *inputs: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **settings: Any,
) -> R:
    """Call a function, and keep only its inputs for backward instead of all activations inside.

    When backward comes to it, the operations inside run again, on the same values and with the same
    masks of dropout: gradients are the same bit for bit. Memory falls from everything that the
    operations keep to what the function was given; time grows by one more forward pass of it.

    Parameters
    ----------
    function : callable
        A layer, or any function of tensors; it may return anything.
    *inputs, **settings
        What it is called with.
    use_reentrant, preserve_rng_state : bool
        PyTorch's, and ignored: there is one way here, and it draws no random number twice.

    Returns
    -------
    object
        What the function returns.

    Notes
    -----
    Whatever the operations take that none of them made stays in memory: inputs, parameters, masks
    made inside. Of checkpoints within checkpoints the outermost one counts. Parameters must not be
    changed between forward and backward, as always.

    References
    ----------
    T. Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174, section 3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> block = tt.nn.Sequential(tt.nn.Linear(4, 64), tt.nn.Tanh(), tt.nn.Linear(64, 4))
    >>> x = tt.ones(8, 4)
    >>> with tt.memory.count_memory() as ledger:
    ...     plain = block(x)
    ...     used = ledger.used
    ...     del plain
    ...     loss = tt.checkpoint(block, x).sum()
    ...     used > ledger.used + 4 * 8 * 64
    True
    >>> loss.backward()
    """
    if not is_grad_enabled():
        return function(*inputs, **settings)
    tape = Tape()
    add_watcher(tape)
    try:
        result = function(*inputs, **settings)
    finally:
        remove_watcher(tape)
    tape.forget()
    return result


class _Step(NamedTuple):
    """One operation on the tape.

    Parameters
    ----------
    operation : Function
        A twin of the node, with its settings, to run again. The node itself is not held: it holds
        the tape.
    node : weak reference to Function
    sources : list of (int, object)
        For each input the number of the step that made it, and -1 and the value where none did.
    last_uses : list of int
        The steps whose output is of no use after this one.
    """

    operation: Function
    node: "weakref.ref[Function]"
    sources: list[tuple[int, Any]]
    last_uses: list[int]


class Tape(Watcher):
    """Writes down operations while they run, and plays them again.

    Attributes
    ----------
    steps : list of _Step
    forgotten : int
        The bytes that nodes keep no more, and will again when it is played.
    """

    def __init__(self) -> None:
        self.steps: list[_Step] = []
        self.forgotten = 0
        self._made: dict[int, tuple[int, weakref.ref[Any]]] = {}  # output's id: its step

    # ---------------------------------------------------------------- looking on

    def after_forward(self, node: Function, inputs: Sequence[Any], output: Array) -> None:
        """Write down an operation."""
        twin = object.__new__(type(node))
        not_its_settings = ("edges", "holds", "inputs", "recompute", "retained", "saved")
        twin.__dict__ = {k: v for k, v in vars(node).items() if k not in not_its_settings}
        sources = [self._source_of(value) for value in inputs]
        number = len(self.steps)
        self.steps.append(_Step(twin, weakref.ref(node), sources, []))
        self._made[id(output)] = number, weakref.ref(output)

    def _source_of(self, value: Any) -> tuple[int, Any]:
        number, reference = self._made.get(id(value), (-1, None))
        if is_array(value) and reference is not None and reference() is value:
            return number, None
        return -1, value

    # ---------------------------------------------------------------- forgetting, and playing

    def forget(self) -> None:
        """Free what the nodes keep, and let the first that backward comes to bring it back."""
        self._made.clear()
        last_use = {number: number for number in range(len(self.steps))}  # none, at first
        for number, step in enumerate(self.steps):
            last_use.update({made: number for made, _ in step.sources if made >= 0})
        for made, number in last_use.items():
            self.steps[number].last_uses.append(made)
        held = self.held()
        holds = [hold(array) for array in held]  # shared by all nodes: each may run all again
        stays = {id(owner_of(array)) for array in held}
        forgotten: dict[int, int] = {}
        for step in self.steps:
            node = step.node()
            if node is not None and node.edges:
                owners = (owner_of(array) for array in arrays_in(node.saved))
                forgotten.update((id(one), one.nbytes) for one in owners if id(one) not in stays)
                holds.extend(node.holds)
                node.holds, node.saved = holds, ()
                node.recompute = self.play
        self.forgotten = sum(forgotten.values())

    def held(self) -> list[Array]:
        """List what stays in memory: the arrays that no operation on the tape made."""
        return [value for step in self.steps for _, value in step.sources if is_array(value)]

    def play(self) -> None:
        """Run the operations again, and give the nodes what they keep for backward."""
        outputs: dict[int, Array] = {}
        for number, step in enumerate(self.steps):
            arrays = [value if made < 0 else outputs[made] for made, value in step.sources]
            outputs[number] = step.operation(*arrays)
            node = step.node()
            if node is not None and node.edges:
                node.saved, node.recompute = step.operation.saved, None
            step.operation.saved = ()
            for made in step.last_uses:
                del outputs[made]
