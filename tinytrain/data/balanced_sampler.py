"""Batches in which every class has the same share, and the weights that undo the shift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinytrain.checks import whole_number
from tinytrain.data.sampler import Sampler, generator_state, load_generator_state
from tinytrain.data.sampler_checks import check_generator_state, digest
from tinytrain.generator import Generator, as_generator, default_generator

__all__ = ["BalancedBatchSampler"]


class BalancedBatchSampler(Sampler[list[int]]):
    """Batches of `classes_per_batch` classes with `samples_per_class` samples each.

    Pass it to a loader as `batch_sampler`. Classes, and the samples of each class, are dealt like
    cards: all of them once in random order, then shuffled anew. So within an epoch a class's
    samples are visited equally often, give or take one, and no sample is twice in a batch unless
    its class has fewer than `samples_per_class`.

    Parameters
    ----------
    labels
        The class of each sample: 1-D, integers or strings, length N.
    samples_per_class
        k: how many samples of a class a batch holds.
    classes_per_batch
        K: how many of the C classes a batch holds; None for all of them.
    num_batches
        The batches of an epoch; None for N / (k K), rounded up: as many as a plain loader of
        that batch size has.
    small_classes
        What to do with a class of n < k samples. ``"repeat"``: a batch holds each of its samples
        floor(k / n) or ceil(k / n) times. ``"error"``: refuse.
    generator
        A generator or a seed. With None every epoch draws the seed of its own private generator
        from the default generator of the process.

    Attributes
    ----------
    class_names : ndarray
        The C different labels, sorted.
    class_counts : ndarray
        How many samples have each of them: n_c, int64 (C,).
    effective_counts : ndarray
        How many draws of each class an epoch is expected to make: num_batches K k / C, float64
        (C,). These are the class sizes that training sees.
    importance_weights : ndarray
        One per sample: w_i = p_i / q_i, float64 (N,); see the notes.

    Raises
    ------
    ValueError
        If `labels` is empty or not 1-D, a number is not a positive integer, there are fewer than
        K classes, or a class is too small and `small_classes` is ``"error"``.
    TypeError
        If the labels are neither integers, booleans nor strings.

    Notes
    -----
    Balanced batches answer another question than the data: a model trained on them sees every
    class equally often. Where the mean over the data is wanted, each sample's loss is weighted:
    a sample is drawn with the probability q_i = 1 / (C n_c) where plain sampling has p_i = 1 / N,
    so with w_i = p_i / q_i = C n_c / N the expectation of the weighted mean over a batch is the
    mean over the data, exactly (importance sampling: C. Bishop, "Pattern Recognition and Machine
    Learning", 2006, section 11.1.4). Divide by the number of samples, not by the sum of the
    weights, which would bring a bias back.

    Examples
    --------
    >>> labels = ["cat", "cat", "cat", "cat", "dog", "dog"]
    >>> sampler = BalancedBatchSampler(labels, samples_per_class=1, generator=0)
    >>> list(sampler)
    [[3, 5], [4, 0], [5, 2]]
    >>> sampler.class_counts, sampler.effective_counts
    (array([4, 2]), array([3., 3.]))
    >>> sampler.importance_weights.round(2)
    array([1.33, 1.33, 1.33, 1.33, 0.67, 0.67])
    """

    def __init__(
        self,
        labels: ArrayLike,
        samples_per_class: int,
        classes_per_batch: int | None = None,
        num_batches: int | None = None,
        *,
        small_classes: str = "repeat",
        generator: Generator | int | None = None,
    ) -> None:
        self.class_names, classes = np.unique(_checked_labels(labels), return_inverse=True)
        self.class_counts = np.bincount(classes)
        self._labels = digest(classes)
        count = len(self.class_names)
        self.samples_per_class = whole_number("samples_per_class", samples_per_class)
        self.classes_per_batch = whole_number(
            "classes_per_batch", count if classes_per_batch is None else classes_per_batch
        )
        if self.classes_per_batch > count:
            raise ValueError(
                f"classes_per_batch is {classes_per_batch}, but the labels have {count} classes"
            )
        self._check_small_classes(small_classes)
        batches = -(-len(classes) // (self.samples_per_class * self.classes_per_batch))
        self.num_batches = whole_number(
            "num_batches", batches if num_batches is None else num_batches
        )
        self.generator = None if generator is None else as_generator(generator)
        order = np.argsort(classes, kind="stable")
        self._members = np.split(order, np.cumsum(self.class_counts)[:-1])
        draws = self.num_batches * self.classes_per_batch * self.samples_per_class
        self.effective_counts = np.full(count, draws / count)
        self.importance_weights: NDArray[np.float64] = (
            count * self.class_counts[classes] / len(classes)
        )

    def _check_small_classes(self, policy: str) -> None:
        if policy not in ("repeat", "error"):
            raise ValueError(f"small_classes must be 'repeat' or 'error', but got {policy!r}")
        small = np.flatnonzero(self.class_counts < self.samples_per_class)
        if policy == "error" and len(small):
            name, size = self.class_names[small[0]].item(), self.class_counts[small[0]]
            raise ValueError(
                f"class {name!r} has {size} samples, fewer than samples_per_class="
                f"{self.samples_per_class} ({len(small)} of {len(self.class_counts)} classes are "
                "so small); take fewer, or small_classes='repeat'"
            )

    def __iter__(self) -> Iterator[list[int]]:
        generator = self.generator
        if generator is None:
            generator = Generator(default_generator().random_int64())
        classes = _Deck(range(len(self._members)), generator)
        decks = [_Deck(members.tolist(), generator) for members in self._members]
        for _ in range(self.num_batches):
            chosen = classes.deal(self.classes_per_batch)
            yield [index for c in chosen for index in decks[c].deal(self.samples_per_class)]

    def __len__(self) -> int:
        """The number of batches of an epoch."""
        return self.num_batches

    def state_dict(self) -> dict[str, Any] | None:
        """The generator's state, or None: without a generator the order cannot be repeated."""
        return generator_state(self.generator)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set the generator to a state that `state_dict` returned.

        Raises
        ------
        ValueError
            If it is no such state, or this sampler has no generator.
        """
        load_generator_state(self, self.generator, state)

    def check_state_dict(self, state: dict[str, Any]) -> None:
        """Raise the ValueError of `load_state_dict`, but load nothing."""
        check_generator_state(self, self.generator, state)

    def order_settings(self) -> dict[str, Any]:
        """The arguments that decide the order, the labels as a checksum."""
        return {
            "labels": self._labels,
            "samples_per_class": self.samples_per_class,
            "classes_per_batch": self.classes_per_batch,
            "num_batches": self.num_batches,
        }


class _Deck:
    """Items that are dealt in random order, and shuffled anew when all have been dealt."""

    def __init__(self, items: Sequence[int], generator: Generator) -> None:
        self._items = items
        self._generator = generator
        self._left: list[int] = []

    def deal(self, count: int) -> list[int]:
        """Return `count` items, different ones as long as there are so many."""
        hand: list[int] = []
        while len(hand) < count:
            if not self._left:
                order = self._generator.randperm(len(self._items)).tolist()
                # Items in the hand come last: then a hand no larger than the deck has none twice.
                # (The repetitions of a small deck begin a new hand.)
                held = set(hand[len(hand) // len(self._items) * len(self._items) :])
                shuffled = [self._items[position] for position in order]
                self._left = [i for i in shuffled if i not in held]
                self._left += [i for i in shuffled if i in held]
                self._left.reverse()
            hand.append(self._left.pop())
        return hand


def _checked_labels(labels: ArrayLike) -> NDArray[Any]:
    array = np.asarray(labels)
    if array.ndim != 1 or not array.size:
        raise ValueError(
            f"labels must be 1-D, one per sample, and not empty, but have the shape {array.shape}"
        )
    if array.dtype.kind not in "biuUS":
        raise TypeError(f"labels must be integers, booleans or strings, but are {array.dtype}")
    return array
