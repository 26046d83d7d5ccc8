"""A loader's arguments: PyTorch's checks, in its order, with its messages."""

import inspect
import multiprocessing
import re
import warnings

import numpy as np
import pytest

from tinytrain.data import (
    DataLoader,
    IterableDataset,
    SequentialSampler,
    ShardedIterableDataset,
)


class Stream(IterableDataset[int]):
    def __iter__(self):
        return iter(range(10))

    def __len__(self):
        return 10


NEGATIVE_WORKERS = (
    "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
)
PREFETCH_ALONE = (
    "prefetch_factor option could only be specified in multiprocessing.let num_workers > 0 to "
    "enable multiprocessing, otherwise set prefetch_factor to None."
)
EXCLUSIVE = (
    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
)
UNBATCHED = "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
SHUFFLED = "sampler option is mutually exclusive with shuffle"
METHODS = multiprocessing.get_all_start_methods()
# In the order of the checks: each row passes those above it, and fails those below it too.
WRONG = [
    ({"num_workers": -1}, NEGATIVE_WORKERS),
    ({"timeout": -1}, "timeout option should be non-negative"),
    ({"timeout": float("nan")}, "timeout option should be non-negative"),
    ({"prefetch_factor": 2}, PREFETCH_ALONE),
    (
        {"prefetch_factor": -1, "num_workers": 1},
        "prefetch_factor option should be non-negative",
    ),
    ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
    (
        {"prefetch_factor": 0, "num_workers": 1},
        "prefetch_factor option must be greater than 0 (the batches that a worker fetches ahead), "
        "but got prefetch_factor=0",
    ),
    (
        {"timeout": 0.5},
        "a loader without workers requires timeout == 0 (let num_workers > 0 to wait for batches "
        "with a limit), but got timeout=0.5",
    ),
    (
        {"multiprocessing_context": "spawn"},
        "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
        "but got num_workers=0",
    ),
    (
        {"multiprocessing_context": "bad", "num_workers": 1},
        f"multiprocessing_context option should specify a valid start method in {METHODS!r}, but "
        "got multiprocessing_context='bad'",
    ),
    ({"sampler": [0], "batch_sampler": [[0]], "shuffle": 3}, SHUFFLED),
    ({"sampler": [0], "shuffle": True}, SHUFFLED),
    ({"batch_sampler": [[0]], "batch_size": 2}, EXCLUSIVE),
    ({"batch_sampler": [[0]], "batch_size": None}, EXCLUSIVE),
    ({"batch_sampler": [[0]], "shuffle": True}, EXCLUSIVE),
    ({"batch_sampler": [[0]], "sampler": [0]}, EXCLUSIVE),
    ({"batch_sampler": [[0]], "drop_last": 3}, EXCLUSIVE),
    ({"batch_size": None, "drop_last": True}, UNBATCHED),
    ({"batch_size": 0}, "batch_size should be a positive integer value, but got batch_size=0"),
    ({"batch_size": 2.0}, "batch_size should be a positive integer value, but got batch_size=2.0"),
    # As PyTorch does, a NumPy integer is refused.
    ({"batch_size": np.int64(2)}, "batch_size should be a positive integer value, but got "
     "batch_size=2"),
    ({"drop_last": 1}, "drop_last should be a boolean value, but got drop_last=1"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda row: str(row)[:40])
def test_messages(arguments, message):
    with pytest.raises(ValueError) as caught:
        DataLoader(range(3), **arguments)
    assert str(caught.value) == message


def test_the_order_of_the_checks():
    """With the wrong arguments of several rows, the first row's message comes."""
    chain = [
        {"num_workers": -1},
        {"timeout": -1},
        {"prefetch_factor": 2},
        {"persistent_workers": True},
        {"multiprocessing_context": "spawn"},
        {"shuffle": True, "sampler": 3},
        {"batch_sampler": [[0]], "batch_size": 2},
    ]
    messages = ["num_workers", "timeout", "prefetch", "persistent", "multiproc", "sampler option"]
    for start, expected in enumerate(messages):
        arguments = {name: value for row in chain[start:] for name, value in row.items()}
        with pytest.raises(ValueError, match=f"^{expected}"):
            DataLoader(range(3), **arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [("shuffle", True), ("shuffle", 3), ("sampler", 3), ("batch_sampler", 3)],
)
def test_an_iterable_data_set_has_no_order_to_choose(name, value):
    with pytest.raises(ValueError) as caught:
        DataLoader(Stream(), **{name: value, "batch_size": 0})
    assert str(caught.value) == (
        f"DataLoader with IterableDataset: expected unspecified {name} option, "
        f"but got {name}={value}"
    )


def test_wrong_types_and_empty_data_sets():
    with pytest.raises(ValueError, match="num_samples should be a positive integer value, but g"):
        DataLoader([], shuffle=True)
    assert list(DataLoader([])) == []
    assert len(list(DataLoader(Stream(), shuffle=False))) == 10
    with pytest.raises(TypeError, match="needs a data set with __getitem__"):
        DataLoader(iter([1]))
    with pytest.raises(TypeError, match="generator must be"):
        DataLoader(range(3), generator=np.random.default_rng(0))
    with pytest.raises(TypeError, match="should be a valid context object or a string specifying"):
        DataLoader(range(3), num_workers=1, multiprocessing_context=object())


def test_arguments_have_pytorchs_names_order_and_defaults():
    parameters = list(inspect.signature(DataLoader).parameters.values())
    assert [(p.name, p.default) for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD] == [
        ("dataset", inspect.Parameter.empty),
        ("batch_size", 1),
        ("shuffle", None),
        ("sampler", None),
        ("batch_sampler", None),
        ("num_workers", 0),
        ("collate_fn", None),
        ("pin_memory", False),
        ("drop_last", False),
        ("timeout", 0),
        ("worker_init_fn", None),
        ("multiprocessing_context", None),
        ("generator", None),
    ]
    assert {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY} == {
        "prefetch_factor": None,
        "persistent_workers": False,
        "pin_memory_device": "",
        "in_order": True,
    }
    assert DataLoader(range(3)).prefetch_factor is None
    assert DataLoader(range(3), num_workers=1).prefetch_factor == 2
    assert DataLoader(range(3), batch_sampler=[[0]]).batch_size is None
    assert DataLoader(range(3))._auto_collation
    assert not DataLoader(range(3), batch_size=None)._auto_collation


def test_attributes_that_stay_and_those_that_may_be_set():
    loader = DataLoader(range(4), batch_size=2)
    fixed = "batch_size batch_sampler sampler drop_last dataset persistent_workers generator"
    for name in fixed.split():
        with pytest.raises(ValueError) as caught:
            setattr(loader, name, {})
        assert str(caught.value) == (
            f"{name} attribute should not be set after DataLoader is initialized"
        )
    loader.collate_fn = sum
    assert list(loader) == [1, 5]
    loader.num_workers, loader.timeout, loader.prefetch_factor = 2, 3, 4
    loader.multiprocessing_context = "spawn"
    assert loader.multiprocessing_context.get_start_method() == "spawn"
    loader.multiprocessing_context = None
    with pytest.raises(ValueError, match="valid start method"):
        loader.multiprocessing_context = "thread"


def test_far_too_many_workers_are_warned_of():
    with pytest.warns(UserWarning, match="1000 worker processes .* excessive worker creation") as w:
        DataLoader(range(3), num_workers=1000)
    assert w[0].filename == __file__


def test_samples_that_each_worker_drops_are_warned_of():
    class Sharded(ShardedIterableDataset[int]):
        pass

    with pytest.warns(UserWarning, match="each worker drops its own last batch") as caught:
        DataLoader(Stream(), batch_size=4, drop_last=True, num_workers=2)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataLoader(Stream(), batch_size=4, drop_last=True, num_workers=1)
        DataLoader(Stream(), batch_size=4, num_workers=2)
        DataLoader(Sharded(), batch_size=4, drop_last=True, num_workers=2)
        DataLoader(range(9), batch_size=4, drop_last=True, num_workers=2)
        DataLoader(range(9), sampler=SequentialSampler(range(9)), shuffle=False)


@pytest.mark.parametrize("shuffle", ["", (), True, "yes"])
def test_an_iterable_data_set_takes_no_shuffle_but_none_and_false(shuffle):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter([1])

    for unspecified in (None, False, 0):
        assert len(list(DataLoader(Stream(), shuffle=unspecified))) == 1
    message = f"expected unspecified shuffle option, but got shuffle={shuffle}"
    with pytest.raises(ValueError, match=re.escape(message)):
        DataLoader(Stream(), shuffle=shuffle)


def test_the_message_about_the_timeout_is_pytorchs():
    with pytest.raises(ValueError, match=r"^timeout option should be non-negative$"):
        DataLoader([1], timeout=-1)


@pytest.mark.parametrize(
    ("num_workers", "name", "value", "message"),
    [
        (2, "prefetch_factor", 0, "prefetch_factor option must be greater than 0"),
        (2, "prefetch_factor", -1, "prefetch_factor option should be non-negative"),
        (2, "num_workers", -1, NEGATIVE_WORKERS),
        (0, "num_workers", -1, NEGATIVE_WORKERS),
        (2, "timeout", -1, "timeout option should be non-negative"),
        (2, "timeout", float("nan"), "timeout option should be non-negative"),
        (0, "timeout", 3, "requires timeout == 0"),
    ],
)
def test_impossible_values_set_later_are_refused_by_iter(num_workers, name, value, message):
    loader = DataLoader(range(4), 2, num_workers=num_workers)
    good = getattr(loader, name)
    setattr(loader, name, value)
    with pytest.raises(ValueError, match=re.escape(message)):
        iter(loader)
    # Nothing has begun, and what was wrong can be put right.
    assert loader.state_dict()["epoch_begun"] is False
    setattr(loader, name, good)
    loader.num_workers = 0
    assert len(list(loader)) == 2
