"""How much memory a backward pass needs at most, worked out from the graph without running it."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinytrain.anomaly import arrays_in
from tinytrain.autograd import Edge, Function, kept_by
from tinytrain.backend import Array
from tinytrain.memory.ledger import owner_of
from tinytrain.memory.recompute import Tape
from tinytrain.ops.convolution import IN_CACHE, Convolution

IN_ONE_GO = ("Linear", "Matmul", "Mul", "ReLU")
"""Operations that compute a gradient by one product, without memory beside it."""


OF_RESULT = {"LSTMRecurrence": 1.7, "GRURecurrence": 1.45}
"""What a recurrence uses beside its result, the gradient of the gates' inputs, as a multiple."""


def beside(node: Function, gradient: int) -> int:
    """Return the bytes that the backward of a node uses beside its argument and its results.

    Of most operations nothing more is known than that it may be one array like the gradient.
    """
    described = next((found for found in node.inputs if found is not None), None)
    if described is None:
        return gradient
    shape: tuple[int, ...] = described[0]
    dtype: np.dtype[Any] = described[1]
    if node.name in OF_RESULT:
        return int(OF_RESULT[node.name] * math.prod(shape) * dtype.itemsize)
    if node.name == "BatchNorm" and len(shape) > 2:
        return 2 * gradient  # the channels are put last first
    if isinstance(node, Convolution) and len(shape) > node.axes:
        return gradient + _columns(node, shape) * dtype.itemsize  # it copies the gradient
    return gradient


def _columns(node: Convolution, shape: tuple[int, ...]) -> int:
    """Count the elements of one block of columns, and of the padding, with an input of a shape."""
    windows, channels = node.windows, shape[-node.axes - 1]
    samples = math.prod(shape[: -node.axes - 1])
    padded = channels * math.prod(windows.padded_size)
    each = channels * math.prod(windows.kernel) * math.prod(windows.count)
    at_once = min(max(1, IN_CACHE // max(each, 1)), samples)
    return at_once * (each + padded) + samples * padded - math.prod(shape)


@dataclass
class Block:
    """A piece of memory, and how many hold it."""

    size: int
    holders: int = 0


def arrays_held(node: Function) -> list[Array]:
    """List the arrays that a node keeps in memory, also those from which it will be recomputed."""
    tape = tape_of(node)
    return [*arrays_in(kept_by(node)), *(tape.held() if tape is not None else ())]


def tape_of(node: Function) -> Tape | None:
    """Return the tape from which a checkpointed node will be recomputed."""
    tape = getattr(node.recompute, "__self__", None)
    return tape if isinstance(tape, Tape) else None


class BackwardMemory:
    """Plays the walk of `autograd.backward` with sizes in the place of arrays.

    Known is what nodes keep, until the walk has passed; and the size of every gradient. An
    operation that keeps nothing hands its gradient on, as views; others make new arrays. What they
    use within themselves is estimated: see `beside`. Leaves have their gradients already.

    Parameters
    ----------
    root : Function
        The loss's node.
    foreign : collection of int
        The ids of owners that stay whatever the walk does: parameters, the batch.

    Attributes
    ----------
    kept : int
        The bytes that the graph keeps.
    """

    def __init__(self, root: Function, foreign: Collection[int]) -> None:
        self.root = root
        self.waiting_for = {root: 0}
        self.blocks: dict[int, Block] = {}
        self.held: dict[Function, list[Block]] = {}
        self.keeps: dict[Function, int] = {}
        self.replays: dict[Tape, Block] = {}
        stack = [root]
        while stack:
            node = stack.pop()
            self._take_down(node, foreign)
            for edge in node.edges or ():
                if isinstance(edge, Function):
                    if edge not in self.waiting_for:
                        self.waiting_for[edge] = 0
                        stack.append(edge)
                    self.waiting_for[edge] += 1
        self.kept = sum(block.size for block in self.blocks.values())

    def _take_down(self, node: Function, foreign: Collection[int]) -> None:
        owners = {id(owner): owner for owner in map(owner_of, arrays_held(node))}
        self.held[node] = []
        self.keeps[node] = sum(owner.nbytes for owner in owners.values())
        for key, owner in owners.items():
            if key not in foreign:
                block = self.blocks.setdefault(key, Block(owner.nbytes))
                block.holders += 1
                self.held[node].append(block)
        tape = tape_of(node)
        if tape is not None:  # there only from when backward comes to it
            self.replays.setdefault(tape, Block(tape.forgotten)).holders += 1

    def peak(self, loss_size: int) -> int:
        """Return the largest number of bytes that the walk needs, beside parameters and batch."""
        self.now = self.highest = self.kept
        self.gradients: dict[Function, Block] = {}
        self.replayed: set[Tape] = set()
        self._give(self.root, self._new(loss_size))
        ready = [self.root]
        while ready:
            node = ready.pop()
            edges = node.edges or ()
            contributions = self._run(node)
            for kept in self.held.pop(node):
                self._drop(kept)
            for edge, block in zip(edges, contributions, strict=True):
                if block is not None:
                    self._hand_over(edge, block)
                    self._drop(block)
                if isinstance(edge, Function):
                    self.waiting_for[edge] -= 1
                    if not self.waiting_for[edge]:
                        ready.append(edge)
        return self.highest

    def _run(self, node: Function) -> list[Block | None]:
        """Make the contributions of a node, each held once."""
        self._replay(node)
        gradient = self.gradients.pop(node, None)
        contributions: list[Block | None] = []
        for described in node.inputs:
            if described is None or gradient is None:
                contributions.append(None)
                continue
            shape, dtype = described
            size = math.prod(shape) * dtype.itemsize
            hands_on = not self.keeps[node] and size <= gradient.size
            block = gradient if hands_on else self._new(size)
            block.holders += 1
            contributions.append(block)
        if gradient is not None:
            if self.keeps[node] and node.name not in IN_ONE_GO:
                self.highest = max(self.highest, self.now + beside(node, gradient.size))
            self._drop(gradient)
        return contributions

    def _replay(self, node: Function) -> None:
        """Let a checkpointed part come back into memory, until its last node was passed."""
        tape = tape_of(node)
        if tape is None:
            return
        block = self.replays[tape]
        if tape not in self.replayed:
            self.replayed.add(tape)
            self._grow(block.size)
        self.held[node].append(block)

    def _hand_over(self, edge: Edge, block: Block) -> None:
        if isinstance(edge, Function):  # a leaf adds it to the gradient that it has
            earlier = self.gradients.get(edge)
            if earlier is None:
                self._give(edge, block)
            else:  # the sum
                self._give(edge, self._new(block.size))
                self._drop(earlier)

    def _give(self, node: Function, block: Block) -> None:
        block.holders += 1
        self.gradients[node] = block

    def _new(self, size: int) -> Block:
        self._grow(size)
        return Block(size)

    def _grow(self, size: int) -> None:
        self.now += size
        self.highest = max(self.highest, self.now)

    def _drop(self, block: Block) -> None:
        block.holders -= 1
        if not block.holders:
            self.now -= block.size
