"""A loader says which samples are in the batch that it handed out last."""

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.data import DataLoader, IterableDataset, TensorDataset


class Numbers(IterableDataset):
    def __iter__(self):
        return iter(range(6))


@pytest.mark.parametrize("workers", [0, 2])
def test_they_are_those_of_the_batch(workers):
    data = TensorDataset(np.arange(11))
    loader = DataLoader(data, 3, shuffle=True, generator=0, num_workers=workers)
    assert loader.last_indices is None
    seen = []
    for (batch,) in loader:
        assert loader.last_indices == batch.tolist()
        seen += loader.last_indices
    assert sorted(seen) == list(range(11))


def test_without_batches_and_for_streams():
    loader = DataLoader(list(range(3)), batch_size=None)
    assert [(int(value), loader.last_indices) for value in loader] == [(0, 0), (1, 1), (2, 2)]
    loader = DataLoader(Numbers(), 2)
    assert [loader.last_indices for _ in loader] == [None, None, None]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_list_that_is_filled_again_is_copied(workers):
    class Same:
        def __iter__(self):
            batch = [0, 0]
            for number in range(4):
                batch[:] = [number, number + 1]
                yield batch

    loader = DataLoader(TensorDataset(np.arange(5)), batch_sampler=Same(), num_workers=workers)
    kept = [loader.last_indices for _ in loader]
    assert kept == [[0, 1], [1, 2], [2, 3], [3, 4]]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_nan_is_reported_with_them(workers):
    x = np.ones((12, 1), np.float32)
    x[7] = np.nan
    loader = DataLoader(TensorDataset(x), 3, shuffle=True, generator=0, num_workers=workers)
    model = tt.nn.Linear(1, 1)
    optimizer = tt.optim.SGD(model.parameters())
    trainer = tt.Trainer(
        model,
        optimizer,
        lambda model, batch: (model(batch[0]).sum(), len(batch[0])),
        loader,
        max_steps=4,
        progress=False,
    )
    with pytest.raises(FloatingPointError) as stopped:
        trainer.fit()
    named = str(stopped.value).split("data set's items [")[1].split("]")[0]
    assert "7" in named.split(", ")
    assert len(named.split(", ")) == 3
