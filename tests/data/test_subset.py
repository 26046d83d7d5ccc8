"""Parts of data sets: subsets, and random splits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.data import ArrayBatch, DataLoader, Subset, TensorDataset, random_split
from tinytrain.generator import Generator


def make_pair(n=6):
    return TensorDataset(np.arange(2 * n).reshape(n, 2), np.arange(n) * 10)


def test_subset_of_lists_and_of_subsets():
    letters = Subset(list("abcdef"), [5, 3, 1])
    assert [letters[i] for i in range(len(letters))] == ["f", "d", "b"]
    assert letters.__getitems__([2, 0]) == ["b", "f"]
    inner = Subset(Subset(make_pair(), np.array([5, 4, 3])), [2, 0])
    assert inner[0][1] == 30
    assert [label for _, label in inner.__getitems__([0, 1])] == [30, 50]
    assert isinstance(inner.__getitems__([0, 1]), ArrayBatch)
    assert len(Subset("abc", [])) == 0


@pytest.mark.parametrize("indices", [[True, False], [0.0, 1.0], [[0, 1]], 3])
def test_subset_refuses_what_is_no_list_of_indices(indices):
    with pytest.raises(TypeError, match="1-D sequence of integer indices"):
        Subset("abc", indices)


def test_a_subset_of_a_mapping_keeps_its_keys():
    data = {"a": 1, ("b", 2): 2}
    for keys in (["a", ("b", 2)], ("a", ("b", 2))):
        subset = Subset(data, keys)
        assert [subset[0], subset[1]] == [1, 2]
        assert subset.__getitems__([1, 0]) == [2, 1]
        assert subset == Subset(data, keys)
    assert Subset(data, np.array(["a"]))[0] == 1
    assert Subset(Subset(data, ["a", ("b", 2)]), [1])[0] == 2
    assert next(iter(DataLoader(Subset(data, ["a"]), batch_size=1))).tolist() == [1]


def test_random_split_equals_the_recorded_one():
    parts = random_split(range(10), [3, 7], generator=Generator(1))
    assert [part.indices.tolist() for part in parts] == [[5, 6, 1], [2, 0, 8, 9, 3, 7, 4]]
    assert parts[0][0] == 5


@settings(deadline=None)
@given(
    n=st.integers(1, 60),
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_fractions_split_everything_once(n, weights, seed):
    fractions = [weight / sum(weights) for weight in weights]
    if sum(fractions) > 1:  # PyTorch refuses these too
        return
    if min(int(n * fraction) for fraction in fractions) == 0:
        return
    parts = random_split(range(n), fractions, generator=seed)
    assert sorted(index for part in parts for index in part) == list(range(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - n * fraction) <= len(parts)


def test_the_rest_of_a_fraction_goes_to_the_parts_in_turn():
    assert [len(part) for part in random_split(range(17), [0.25] * 4)] == [5, 4, 4, 4]
    assert [len(part) for part in random_split(range(19), [0.25] * 4)] == [5, 5, 5, 4]


def test_random_split_refuses():
    with pytest.raises(ValueError, match="Sum of input lengths does not equal the length of"):
        random_split(range(10), [3, 8])
    with pytest.raises(ValueError, match="must not be negative"):
        random_split(range(3), [5, -2])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(range(3), [1.5, -0.5])
    for fractions in ([0.5, 0.6], [0.3, 0.3, 0.3], [0.5, 1]):  # with PyTorch's sentence first
        with pytest.raises(ValueError, match=r"Sum of input.*! .*must be integers, or fractions"):
            random_split(range(10), fractions)
    with pytest.raises(ValueError, match="input dataset! Nothing is 0, not 10"):
        random_split(range(10), [])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0") as caught:
        random_split(range(2), [0.9, 0.1])
    assert caught[0].filename == __file__


def test_slices_and_lists_are_what_the_data_set_makes_of_the_indices():
    data = TensorDataset(np.arange(5) * 10)
    subset = Subset(data, [4, 3, 2, 1])
    assert subset[:][0].tolist() == [40, 30, 20, 10]
    assert subset[1:3][0].tolist() == [30, 20]
    assert subset[[0, 3]][0].tolist() == [40, 10]
    inner = Subset(subset, [3, 0])
    assert inner[:][0].tolist() == [10, 40]
    assert type(Subset(range(9), [3])[0]) is int


def test_equal_subsets():
    data = list("abc")
    assert Subset(data, [0, 1]) == Subset(data, [0, 1])
    assert hash(Subset(data, [0, 1])) == hash(Subset(data, [0, 1]))
    assert Subset(data, [0, 1]) != Subset(data, [0, 2])
    assert Subset(data, [0]) != Subset(list("abc"), [0])
    assert Subset(data, [0]) != [0]
    assert random_split(range(9), [4, 5], 3) == random_split(range(9), [4, 5], 3)
    assert random_split(range(9), [4, 5], 3) != random_split(range(9), [4, 5], 4)


def test_a_getitem_that_a_loader_would_pass_over_is_refused():
    class Doubled(Subset):
        def __getitem__(self, index):
            return 2 * super().__getitem__(index)

    with pytest.raises(NotImplementedError, match="Doubled overrides __getitem__ but not __get"):
        Doubled(range(3), [0])

    class Both(Doubled):
        def __getitems__(self, indices):
            return [self[index] for index in indices]

    assert Both(range(3), [2])[0] == 4
