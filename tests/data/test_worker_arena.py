"""Shared memory, and batches packed into it."""

import os
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker_datasets import odd_batch, shared_names
from tinytrain.data.workers.arena import MemoryFile, NamedSegments, new_arena
from tinytrain.data.workers.memmap import reduce_memmap
from tinytrain.data.workers.transport import dump, pack, unpack

KINDS = [NamedSegments]
if hasattr(os, "memfd_create"):
    KINDS.append(MemoryFile)


@pytest.fixture(params=KINDS)
def make_arena(request):
    arenas = []

    def make(slots):
        arenas.append(request.param(slots))
        return arenas[-1]

    yield make
    for arena in arenas:
        arena.close()


def views(chunks):
    return [memoryview(chunk) for chunk in chunks]


def read_back(arena, place, chunks):
    filled = [bytearray(len(chunk)) for chunk in chunks]
    arena.read(place, views(filled))
    return [bytes(chunk) for chunk in filled]


def test_a_slot_keeps_its_bytes_while_others_are_written_and_grow(make_arena):
    arena = make_arena(3)
    first = [b"abc", b"", b"defg"]
    place = arena.write(0, views(first))
    for size in (10, 1000, 100_000):
        arena.write(1, views([b"x" * size]))
        arena.write(2, views([b"y" * size]))
    assert read_back(arena, place, first) == first


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.binary(min_size=1, max_size=3000), min_size=1), max_size=12))
def test_batches_of_any_sizes_come_back(batches):
    for kind in KINDS:
        arena = kind(2)
        try:
            for number, chunks in enumerate(batches):
                place = arena.write(number % 2, views(chunks))
                assert read_back(arena, place, chunks) == chunks
        finally:
            arena.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memfd_create")
def test_more_buffers_than_a_system_call_takes():
    arena = MemoryFile(1)
    chunks = [bytes([number % 256]) * (number % 3) for number in range(5000)]
    assert read_back(arena, arena.write(0, views(chunks)), chunks) == chunks
    arena.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memfd_create")
def test_a_memory_file_does_not_grow_without_need():
    arena = MemoryFile(2)
    for number in range(100):
        arena.write(number % 2, views([bytes(1000)]))
    assert arena._end == 2 * 2000
    arena.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memfd_create")
def test_a_memory_file_that_ends_too_early_is_an_error():
    arena = MemoryFile(1)
    place = arena.write(0, views([b"abc"]))
    with pytest.raises(EOFError, match="ends before"):
        arena.read(place, views([bytearray(4)]))
    arena.close()


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs /dev/shm")
def test_no_arena_leaves_a_name_behind(make_arena):
    before = shared_names()
    arena = make_arena(2)
    place = arena.write(0, views([b"abc"]))
    arena.write(1, views([b"never read"]))
    read_back(arena, place, [b"abc"])
    if isinstance(arena, MemoryFile):
        assert shared_names() == before
    arena.close()
    assert shared_names() == before


def test_every_kind_of_value_keeps_type_values_and_layout(make_arena):
    batch, arena = odd_batch(), make_arena(1)
    result = unpack(pack(batch, arena, 0), arena)
    assert result.keys() == batch.keys()
    for name, value in batch.items():
        if isinstance(value, np.ndarray):
            assert result[name].dtype == value.dtype
            assert result[name].shape == value.shape
            assert result[name].flags.writeable
            np.testing.assert_array_equal(result[name], value)
        else:
            assert result[name] == value
    assert result["fortran"].flags.f_contiguous
    assert type(result["nested"][2]) is np.float32


def test_the_bytes_of_arrays_are_not_in_the_pickle():
    big = np.zeros((300, 1000))
    for array in (big, big.T, big[::2], big[:, ::-1]):
        pickled, buffers = dump([array])
        assert len(pickled) < 500
        assert sum(len(buffer) for buffer in buffers) == array.nbytes


def test_an_array_that_is_in_a_batch_twice_stays_one():
    array = np.arange(3)
    arena = new_arena(1)
    first, second = unpack(pack([array, array], arena, 0), arena)
    arena.close()
    assert first is second


# Memory-mapped files.


@pytest.fixture
def mapped(tmp_path):
    array = np.memmap(tmp_path / "data.bin", dtype=np.int32, mode="w+", shape=(6, 5), offset=8)
    array[:] = np.arange(30).reshape(6, 5)
    return array


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x,
        lambda x: x[2:4],
        lambda x: x[::-2, 1:],
        lambda x: x.T,
        lambda x: np.asarray(x)[3],
        lambda x: np.asarray(x)[:, 2],
    ],
)
def test_a_memory_mapped_array_is_sent_as_the_name_of_its_file(mapped, view):
    array = view(mapped)
    pickled, buffers = dump(array, reduce_memmap)
    assert buffers == []
    again = pickle.loads(pickled)
    assert isinstance(again, np.memmap) == isinstance(array, np.memmap)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
    again[...] = 7
    assert (array == 7).all()


def test_a_read_only_map_stays_read_only(mapped):
    mapped.flush()
    array = np.memmap(mapped.filename, dtype=np.int32, mode="r", shape=(6, 5), offset=8)
    again = pickle.loads(dump(array[1:], reduce_memmap)[0])
    assert not again.flags.writeable
    np.testing.assert_array_equal(again, array[1:])


def test_a_copy_on_write_map_is_sent_by_value(mapped):
    mapped.flush()
    array = np.memmap(mapped.filename, dtype=np.int32, mode="c", shape=(6, 5), offset=8)
    array[0] = -1
    pickled, buffers = dump(array, reduce_memmap)
    again = pickle.loads(pickled, buffers=buffers)
    np.testing.assert_array_equal(again, array)
