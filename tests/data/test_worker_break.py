"""Breaking off an epoch that workers fetch ahead of: what the order after it is."""

import multiprocessing

import pytest

from tinytrain.data import DataLoader, RandomSampler

BATCHES, WORKERS, AHEAD = 7, 2, 2 * 2
fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="needs fork"
)


def epochs(loader, stop_after):
    """Two epochs, of which the first is broken off after so many batches."""
    first = []
    for batch in loader:
        first.append(batch.tolist())
        if len(first) == stop_after:
            break
    return [first, [batch.tolist() for batch in loader]]


def ours(num_workers, stop_after, **settings):
    loader = DataLoader(
        range(14), 2, shuffle=True, num_workers=num_workers, generator=3, **settings
    )
    result = epochs(loader, stop_after)
    if loader._pool is not None:
        loader._pool.close()
    return result


@pytest.mark.slow
@pytest.mark.parametrize("stop_after", range(1, BATCHES + 1))
def test_the_order_is_that_without_workers_while_so_many_batches_are_left(stop_after):
    with_workers = ours(WORKERS, stop_after)
    assert (with_workers == ours(0, stop_after)) == (BATCHES - stop_after >= AHEAD)
    assert with_workers == ours(WORKERS, stop_after, persistent_workers=True)


def test_whole_epochs_have_the_same_order():
    assert ours(WORKERS, None) == ours(0, None)


def test_workers_draw_ahead_from_a_sampler_that_draws_as_it_goes():
    def drawn(num_workers):
        sampler = RandomSampler(range(9), replacement=True, num_samples=99, generator=0)
        return epochs(DataLoader(range(9), 8, sampler=sampler, num_workers=num_workers), 1)

    first, second = drawn(0), drawn(2)
    assert first[0] == second[0]
    assert first[1] != second[1]


def test_a_resume_gives_the_same_batches_with_any_number_of_workers():
    def make(num_workers):
        return DataLoader(range(14), 2, shuffle=True, num_workers=num_workers, generator=3)

    expected = [[batch.tolist() for batch in loader] for loader in [make(0)] for _ in range(2)]
    loader = make(WORKERS)
    for number, _ in enumerate(loader):
        if number == BATCHES - 2:
            state = loader.state_dict()
            break
    resumed = make(0)
    resumed.load_state_dict(state)
    assert [batch.tolist() for batch in resumed] == expected[0][BATCHES - 1 :]
    assert [batch.tolist() for batch in resumed] == expected[1]


@fork
@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("stop_after", [1, 3, 4, BATCHES])
@pytest.mark.parametrize("num_workers", [0, WORKERS])
def test_the_order_is_pytorchs_at_the_same_number_of_workers(num_workers, stop_after):
    torch = pytest.importorskip("torch")
    theirs = torch.utils.data.DataLoader(
        range(14),
        2,
        shuffle=True,
        num_workers=num_workers,
        generator=torch.Generator().manual_seed(3),
        multiprocessing_context="fork" if num_workers else None,
    )
    assert ours(num_workers, stop_after) == epochs(theirs, stop_after)
