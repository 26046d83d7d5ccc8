"""Sets of numbers as text: nothing lost, small, and what is broken is refused."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain.data import DataLoader, DistributedSampler
from tinytrain.data.number_sets import from_compact, is_compact, to_compact


@given(
    st.one_of(
        st.sets(st.integers(0, 60)),
        st.sets(st.integers(0, 3000), min_size=5),
        st.sets(st.integers(0, 2**40), min_size=5),
    )
)
def test_the_numbers_come_back(numbers):
    parts = json.loads(json.dumps(to_compact(numbers)))
    assert all(map(is_compact, parts))
    assert from_compact(parts) == numbers


@pytest.mark.parametrize(("count", "most"), [(40, 120), (200, 500), (1000, 1800), (50_000, 19_000)])
def test_the_size_of_scattered_numbers(count, most):
    numbers = set(random.Random(0).sample(range(100_000), count))
    parts = to_compact(numbers)
    assert len(json.dumps(parts)) < most
    assert from_compact(parts) == numbers


def test_the_shorter_way_is_taken():
    near = [number for number in range(300) if number % 3 and number % 7]
    (text,) = (part for part in to_compact(near) if isinstance(part, str))
    assert text.startswith("bits:")
    assert to_compact(range(0, 1000, 2)) == [[0, 999, 2]]
    assert to_compact([5, 900]) == [[5, 6, 1], [900, 901, 1]]  # so few are left readable


@pytest.mark.parametrize("part", ["gaps:", "gaps:gg", "bits:gg", "gap:AA", "gapsAA", "gaps:!", 3, [
    0, 1], [3, 2, 1], [0, 4, 0], [0, True, 1], [0, 1.0, 1], None])  # fmt: skip
def test_what_is_no_part_is_refused(part):
    assert not is_compact(part)
    state = DataLoader(range(10)).state_dict()
    for name, value in (("ahead", [part]), ("skip", [[0, part]])):
        with pytest.raises(ValueError, match=f"{name} must be a list of"):
            DataLoader(range(10)).load_state_dict({**state, name: value})


def test_a_loader_with_forty_scattered_batches_to_skip_fits_into_a_kilobyte():
    def make():
        sampler = DistributedSampler(range(100_000), 1, 0)
        return DataLoader(range(100_000), sampler=sampler, generator=2**63 + 1)

    chosen = random.Random(1).sample(range(10, 100_000), 40)
    loader = make()
    next(iter(loader))
    loader.skip(chosen)
    text = json.dumps(loader.state_dict())
    assert len(text) < 1000
    resumed = make()
    resumed.load_state_dict(json.loads(text))
    assert resumed.state_dict() == json.loads(text)
    assert resumed._progress._skips == {0: set(chosen)}
