"""`check_sampler`: right samplers pass, and every planted fault is named in words."""

import random
import re

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.data import BatchSampler, RandomSampler, Sampler, SequentialSampler
from tinytrain.testing.check_sampler import check_sampler
from tinytrain.testing.errors import CheckError

N = 12


class Shuffled(Sampler):
    """A new permutation in every epoch; each class below differs from it in one place."""

    def __init__(self, seed):
        self.generator = tt.Generator(seed)

    def __iter__(self):
        return iter(self.generator.randperm(N).tolist())

    def __len__(self):
        return N

    def state_dict(self):
        return {"generator": self.generator.get_state()}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


EVERYTHING = ["length", "indices", "cover", "repeatable", "epochs"]
EVERYTHING += ["spread", "two at once", "global state", "state"]


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (Shuffled, {}),
        (lambda seed: BatchSampler(RandomSampler(range(N), generator=seed), 5, False), {}),
        (lambda seed: SequentialSampler(range(N)), {"shuffled": False}),
    ],
)
def test_right_sampler_passes_every_check(make, settings):
    expected = [name for name in EVERYTHING if name != "spread" or settings.get("shuffled", True)]
    assert check_sampler(make, N, **settings) == expected


def test_draws_with_replacement():
    def make(seed):
        return RandomSampler(range(N), replacement=True, generator=seed)

    assert "cover" not in check_sampler(make, N, covers=False)
    with pytest.raises(CheckError, match="say covers=False if that is meant"):
        check_sampler(make, N)


class WrongLength(Shuffled):
    def __len__(self):
        return N + 1


class OnlyOneEpoch(Shuffled):
    def __init__(self, seed):
        super().__init__(seed)
        self.indices = iter(range(N))

    def __iter__(self):
        return self.indices


class Floats(Shuffled):
    def __iter__(self):
        return (float(i) for i in super().__iter__())


class Booleans(Shuffled):
    def __iter__(self):
        return (i == 0 for i in super().__iter__())


class FromOne(Shuffled):
    def __iter__(self):
        return (i + 1 for i in super().__iter__())


class Repeats(Shuffled):
    def __iter__(self):
        return (max(i, 1) for i in super().__iter__())


class SharedGenerator(Shuffled):
    shared = np.random.default_rng(0)

    def __iter__(self):
        return iter(self.shared.permutation(N).tolist())


class SameEveryEpoch(Shuffled):
    def __init__(self, seed):
        self.seed = seed

    def __iter__(self):
        return iter(tt.Generator(self.seed).randperm(N).tolist())


class IgnoresTheSeed(Shuffled):
    def __init__(self, seed):
        super().__init__(7)


class NoState(Sampler):
    def __init__(self, seed):
        self.generator = tt.Generator(seed)

    def __iter__(self):
        return iter(self.generator.randperm(N).tolist())


class EmptyState(Shuffled):
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class StateIsNone(Shuffled):
    def state_dict(self):
        return None


class StateOfArrays(Shuffled):
    def state_dict(self):
        return {"order": np.arange(3)}


class LiveState(Shuffled):
    def __init__(self, seed):
        super().__init__(seed)
        self.state = {"epoch": 0}

    def __iter__(self):
        self.state["epoch"] += 1
        return super().__iter__()

    def state_dict(self):
        self.state["generator"] = self.generator.get_state()
        return self.state


class OneSwap(Shuffled):
    def __iter__(self):
        first, second = self.generator.randperm(N)[:2].tolist()
        order = list(range(N))
        order[first], order[second] = second, first
        return iter(order)


class ReturnsItself(Shuffled):
    def __iter__(self):
        self.left = list(super().__iter__())
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop()


class SeedsNumpy(Shuffled):
    def __iter__(self):
        np.random.seed(0)
        return super().__iter__()


class SeedsTheDefault(Shuffled):
    def __iter__(self):
        tt.manual_seed(0)
        return super().__iter__()


class EmptiesTheState(Shuffled):
    def load_state_dict(self, state):
        self.generator.set_state(state.pop("generator"))


class Rotates(Shuffled):
    def __iter__(self):
        start = self.generator.randperm(N).tolist()[0]
        return iter([(start + i) % N for i in range(N)])


class LosesOneLater(Shuffled):
    epoch = -1

    def __iter__(self):
        self.epoch += 1
        order = self.generator.randperm(N).tolist()
        return iter(order if self.epoch < 5 else [*order[:-1], order[0]])


class SeedsPython(Shuffled):
    def __iter__(self):
        random.seed(0)
        return super().__iter__()


class SetsErrors(Shuffled):
    def __iter__(self):
        np.seterr(all="raise")
        return super().__iter__()


class StateWithoutItsKey(Shuffled):
    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])


FAULTS = [
    (Rotates, r"spread: every epoch is the one before turned round"),
    (LosesOneLater, r"cover: epoch 5 has index"),
    (SeedsPython, r"global state: an epoch changed Python's random state"),
    (SetsErrors, r"global state: an epoch changed np.errstate"),
    (StateWithoutItsKey, r"state: it raised KeyError: 'generator'; state_dict\(\) must hold"),
    (WrongLength, r"length: len\(sampler\) is 13, but epoch 0 has 12 items"),
    (OnlyOneEpoch, r"length: epoch 1 is empty; every call of __iter__ must start"),
    (Floats, r"indices: epoch 0 has the index .* of type float; give Python integers"),
    (Booleans, r"indices: epoch 0 has the index .* of type bool"),
    (FromOne, r"indices: epoch 0 has the index 12, outside 0 to 11"),
    (Repeats, r"cover: epoch 0 has index 0 0 times, expected once"),
    (SharedGenerator, r"repeatable: two samplers of seed 1 differ in epoch 0"),
    (SameEveryEpoch, r"epochs: epoch 1 has the order of epoch 0"),
    (IgnoresTheSeed, r"epochs: seeds 1 and 2 give the same order; use the seed"),
    (OneSwap, r"spread: .*half of the 12 indices move by no more than 0 places"),
    (ReturnsItself, r"two at once: of two iterators that were open at once, number \d gave"),
    (SeedsNumpy, r"global state: an epoch changed np.random's state"),
    (SeedsTheDefault, r"global state: an epoch reseeded tinytrain's default generator"),
    (EmptiesTheState, r"state: the dictionary given to load_state_dict changed"),
    (NoState, r"state: epochs differ, but there is no state_dict"),
    (EmptyState, r"state: after load_state_dict, epoch 0 is .*, expected"),
    (StateIsNone, r"state: state_dict\(\) is None"),
    (StateOfArrays, r"state: state_dict\(\) is nothing for json"),
    (LiveState, r"state: the state taken before epoch 0 changed while it ran"),
]


@pytest.mark.parametrize(("make", "words"), FAULTS)
def test_planted_fault_is_named(make, words):
    with pytest.raises(CheckError) as caught:
        check_sampler(make, N)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith(make.__name__)


def test_every_check_can_object():
    assert {words.split(":")[0] for _, words in FAULTS} == set(EVERYTHING)


def test_unshuffled_sampler_that_shuffles_is_found():
    with pytest.raises(CheckError, match="epochs: epoch 1 differs from epoch 0"):
        check_sampler(Shuffled, N, shuffled=False)


def test_little_movement_may_be_meant():
    assert "spread" in check_sampler(OneSwap, N, spread=0)


@pytest.mark.parametrize("length", [10, 30, 300])
def test_full_shuffles_move_far_enough(length):
    for first in range(0, 40, 2):
        check_sampler(lambda seed: RandomSampler(range(length), generator=first + seed), length)  # noqa: B023


def test_global_state_is_left_alone():
    before = tt.default_generator().get_state()
    check_sampler(Shuffled, N)
    assert tt.default_generator().get_state() == before


def test_a_sampler_is_not_what_makes_one():
    with pytest.raises(TypeError, match="a function from a seed to a sampler, got a RandomSampler"):
        check_sampler(RandomSampler(range(N)), N)


def test_too_few_items():
    with pytest.raises(ValueError, match="at least 10 items, got 3"):
        check_sampler(Shuffled, 3)
