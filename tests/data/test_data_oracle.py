"""Orders, splits and collated dtypes against PyTorch's own."""

import numpy as np
import pytest

from tinytrain import data
from tinytrain.data import (
    DataLoader,
    DistributedSampler,
    RandomSampler,
    default_collate,
    random_split,
)
from tinytrain.generator import Generator, default_generator, manual_seed

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def order_of(loader):
    return np.concatenate([np.asarray(batch) for batch in loader])


SEEDS = [0, 1, 7, 42, 123456]


@pytest.mark.parametrize(
    ("seed", "n"),
    [
        *((seed, n) for seed in SEEDS for n in (1, 2, 10, 1000)),
        *(pytest.param(seed, 50000, marks=pytest.mark.slow) for seed in SEEDS),
    ],
)
def test_three_epochs_of_shuffling(seed, n):
    ours = DataLoader(range(n), batch_size=100, shuffle=True, generator=seed)
    generator = torch.Generator().manual_seed(seed)
    theirs = torch.utils.data.DataLoader(
        torch.arange(n), batch_size=100, shuffle=True, generator=generator
    )
    for _ in range(3):
        np.testing.assert_array_equal(order_of(ours), order_of(theirs))


@pytest.mark.parametrize("drop_last", [False, True])
def test_interrupted_epochs_and_the_default_generator(drop_last):
    before = default_generator().get_state()
    arguments = {"batch_size": 3, "shuffle": True, "drop_last": drop_last}
    with torch.random.fork_rng():
        torch.manual_seed(9)
        default_generator().manual_seed(9)
        ours = DataLoader(range(10), **arguments)
        theirs = torch.utils.data.DataLoader(torch.arange(10), **arguments)
        for _ in range(3):
            assert next(iter(ours)).tolist() == next(iter(theirs)).tolist()
            np.testing.assert_array_equal(order_of(ours), order_of(theirs))
    default_generator().set_state(before)


@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("count", [1, 20, 32, 40, 99])
def test_random_samplers(replacement, count):
    generator = torch.Generator().manual_seed(3)
    ours = RandomSampler(range(20), replacement, count, generator=3)
    theirs = torch.utils.data.RandomSampler(range(20), replacement, count, generator)
    for _ in range(3):
        assert list(ours) == list(theirs)


def orders_of(module, generator, seed_default, kind, given, unbatched):
    """Three epochs of a loader of tinytrain's or of PyTorch's (`module` is where it lives)."""
    of_sampler = generator if given in ("sampler", "both") else None
    if kind == "Random":
        sampler = module.RandomSampler(range(11), generator=of_sampler)
    else:
        sampler = module.SubsetRandomSampler(range(2, 9), generator=of_sampler)
    settings = {"generator": generator if given in ("loader", "both") else None}
    if unbatched:
        settings |= {"batch_size": None, "sampler": sampler}
    else:
        settings |= {"batch_sampler": module.BatchSampler(sampler, 3, False)}
    seed_default(8)
    loader = module.DataLoader(range(11), **settings)
    return [[np.asarray(batch).tolist() for batch in loader] for _ in range(3)]


@pytest.mark.parametrize("kind", ["Random", "SubsetRandom"])
@pytest.mark.parametrize("given", ["loader", "sampler", "both", "none"])
@pytest.mark.parametrize("unbatched", [False, True])
def test_samplers_with_and_without_generators(kind, given, unbatched):
    before = default_generator().get_state()
    try:
        ours = orders_of(data, Generator(5), manual_seed, kind, given, unbatched)
    finally:
        default_generator().set_state(before)
    with torch.random.fork_rng():
        generator = torch.Generator().manual_seed(5)
        theirs = torch.utils.data
        assert ours == orders_of(theirs, generator, torch.manual_seed, kind, given, unbatched)


@pytest.mark.parametrize("n", [1, 7, 12, 100])
@pytest.mark.parametrize("settings", [{}, {"shuffle": False}, {"drop_last": True}, {"seed": 5}])
def test_distributed_samplers(n, settings):
    for rank in range(4):
        ours = DistributedSampler(range(n), 4, rank, **settings)
        theirs = torch.utils.data.DistributedSampler(range(n), 4, rank, **settings)
        assert len(ours) == len(theirs)
        for number in (0, 3):
            ours.set_epoch(number)
            theirs.set_epoch(number)
            assert list(ours) == list(theirs)


@pytest.mark.parametrize(
    ("n", "lengths"), [(10, [3, 7]), (17, [0.25] * 4), (30, [0.3, 0.3, 0.4]), (5, [1.0])]
)
def test_random_splits(n, lengths):
    for seed in (0, 1, 7):
        generator = torch.Generator().manual_seed(seed)
        theirs = torch.utils.data.random_split(range(n), lengths, generator=generator)
        ours = random_split(range(n), lengths, generator=Generator(seed))
        assert [list(part.indices) for part in ours] == [list(part.indices) for part in theirs]


SCALARS = [
    True, 3, 2.5, np.bool_(True), np.uint8(1), np.int8(1), np.int16(1), np.int32(1), np.int64(1),
    np.float16(1), np.float32(1), np.float64(1), np.complex64(1), np.complex128(1),
]  # fmt: skip


@pytest.mark.parametrize("first", SCALARS, ids=lambda scalar: type(scalar).__name__)
@pytest.mark.parametrize("second", SCALARS, ids=lambda scalar: type(scalar).__name__)
def test_dtypes_of_collated_pairs(first, second):
    kinds = {np.asarray(first).dtype.kind, np.asarray(second).dtype.kind}
    if type(first) is float and "c" in kinds:
        with pytest.raises(TypeError, match="found <class"):  # PyTorch drops the imaginary part
            default_collate([first, second])
        return
    pairs = []
    if isinstance(first, np.generic) and isinstance(second, np.generic):
        pairs.append([np.full(2, first), np.full(2, second)])
    if np.bool_ in {type(first), type(second)} and kinds & set("iu"):
        # PyTorch has no rule for a NumPy bool beside an integer; the integer's dtype holds both.
        assert default_collate([first, second]).dtype == np.result_type(
            np.asarray(first), np.asarray(second)
        )
    else:
        pairs.append([first, second])
    for pair in pairs:
        expected = torch.utils.data.default_collate(pair).numpy()
        result = default_collate(pair)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)
