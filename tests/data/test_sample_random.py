"""Random numbers of samples: of seed, epoch and index, and of nothing else."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinytrain.data import DataLoader, Dataset, Fetch, RandomSampler, current_fetch, sample_rng
from tinytrain.data.sample_random import fetching
from tinytrain.generator import default_generator


class Noise(Dataset[float]):
    def __getitem__(self, index):
        return sample_rng(index).random()

    def __len__(self):
        return 7


def noise_by_index(**settings):
    """Two epochs: what each index got."""
    loader = DataLoader(Noise(), sampler=list(range(7)), **settings)
    return [np.concatenate(list(loader)).tolist() for _ in range(2)]


def expected(seed, epoch, index):
    return np.random.default_rng(np.random.SeedSequence([seed, epoch, index])).random()


def test_the_formula():
    epochs = noise_by_index(generator=5, batch_size=2)
    assert epochs == [[expected(5, epoch, i) for i in range(7)] for epoch in (0, 1)]
    assert noise_by_index(generator=5, batch_size=7) == epochs


def test_seed_and_epoch_do_not_mix():
    with fetching(0, 1):
        first = sample_rng(2).random()
    with fetching(1, 0):
        assert sample_rng(2).random() != first


def test_without_a_generator_the_seed_is_the_default_generators_and_nothing_is_drawn():
    before = default_generator().get_state()
    seed = default_generator().initial_seed()
    assert noise_by_index()[1] == [expected(seed, 1, i) for i in range(7)]
    assert default_generator().get_state() == before


def test_resumed_epochs_go_on_with_the_same_numbers():
    make = lambda: DataLoader(Noise(), sampler=RandomSampler(range(7), generator=2), batch_size=2)  # noqa: E731
    loader, resumed = make(), make()
    list(loader)
    batches = iter(loader)
    next(batches)
    resumed.load_state_dict(loader.state_dict())
    resumed_batches = [batch.tolist() for batch in resumed]
    assert resumed_batches == [batch.tolist() for batch in batches]
    assert [batch.tolist() for batch in resumed] == [batch.tolist() for batch in loader]


class Threaded(Noise):
    """Follows the advice of the error: the fetch is handed to the threads."""

    def __getitems__(self, indices):
        fetch = current_fetch()
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda index: fetch.rng(index).random(), indices))


def test_threads_of_the_data_set_get_the_same_numbers():
    loader = DataLoader(Threaded(), batch_size=3, generator=5)
    for epoch in range(2):
        found = np.concatenate(list(loader)).tolist()
        assert found == [expected(5, epoch, index) for index in range(7)]
    fetch = pickle.loads(pickle.dumps(Fetch(5, 1)))
    assert fetch.rng(3).random() == expected(5, 1, 3)


def test_outside_of_a_loader_it_is_an_error():
    for _ in range(2):
        with pytest.raises(
            RuntimeError, match=r"no DataLoader is fetching in this thread.*in __getitem__"
        ):
            sample_rng(0)
        next(iter(DataLoader(Noise())))  # and after one too
    with fetching(0, 0), pytest.raises(ValueError, match="index >= 0, but got -1"):
        sample_rng(-1)
    with pytest.raises(ValueError, match="must not be negative, but are -1 and 0"):
        fetching(-1, 0)


def test_a_loader_inside_a_sample_and_one_in_another_thread():
    class Outer(Dataset[float]):
        def __getitem__(self, index):
            inner = list(DataLoader(Noise(), generator=9))
            found = []
            thread = threading.Thread(target=lambda: found.append(_error()))
            thread.start()
            thread.join()
            assert len(inner) == 7
            assert "no DataLoader is fetching in this thread" in found[0]
            return sample_rng(index).random()

        def __len__(self):
            return 2

    values = np.concatenate(list(DataLoader(Outer(), generator=4)))
    assert values.tolist() == [expected(4, 0, 0), expected(4, 0, 1)]


def _error():
    with pytest.raises(RuntimeError) as caught:
        sample_rng(0)
    return str(caught.value)
