"""Checkpoint files: never half written, never read wrong, nothing pickled, none lost."""

import hashlib
import json
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.train import (
    CheckpointError,
    checkpoint,
    checkpoint_manifest,
    load_checkpoint,
    read_manifest,
    save_checkpoint,
)

ARRAYS = {
    "model/weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "model/steps": np.array(7),
    "empty": np.zeros((0, 3)),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(20)[::3],
    "file": np.array([True, False]),  # names that numpy.savez keeps for itself
    "allow_pickle": np.array([1.5]),
}
STATE = {"step": 3, "lr": 0.1, "nested": {"none": None, "list": [1, [2.5, "text"]]}}


def assert_same(arrays, expected):
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        assert array.dtype == expected[name].dtype
        assert array.shape == expected[name].shape
        assert np.array_equal(array, expected[name])


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "step-00000003.npz"
    save_checkpoint(path, ARRAYS, STATE)
    return path


def test_a_round_trip(saved):
    arrays, state = load_checkpoint(saved)
    assert_same(arrays, ARRAYS)
    assert state == STATE
    arrays["model/weight"][0] = 5  # what was loaded may be written to
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_any_numpy_reads_it(saved):
    with np.load(saved, allow_pickle=False) as file:
        assert np.array_equal(file["model/weight"], ARRAYS["model/weight"])
        assert json.loads(file["manifest.json"])["state"] == STATE


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_floats_of_the_state_are_exact(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("state") / "step-1.npz"
    save_checkpoint(path, {}, {"values": values})
    found = load_checkpoint(path)[1]["values"]
    assert np.array(found).tobytes() == np.array(values).tobytes()  # -0.0 and 0.0 differ


class Failure(OSError):
    pass


def fail(*arguments, **settings):
    raise Failure("no space left")


@pytest.mark.parametrize("function", ["replace", "fsync"])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, function, exists
):
    path = tmp_path / "step-00000001.npz"
    if exists:
        save_checkpoint(path, {"old": np.ones(3)}, {})
    monkeypatch.setattr(os, function, fail)
    with pytest.raises(Failure):
        save_checkpoint(path, ARRAYS, STATE)
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == [path] * exists
    if exists:
        assert_same(load_checkpoint(path)[0], {"old": np.ones(3)})


@pytest.mark.parametrize("error", [Failure, KeyboardInterrupt])
def test_a_write_that_breaks_off_in_the_middle(tmp_path, monkeypatch, error):
    path = tmp_path / "step-00000001.npz"
    save_checkpoint(path, {"old": np.ones(3)}, {})
    write_member = checkpoint._write_member

    def interrupted(file, name, *rest):
        if name != "manifest.json":
            file.write(b"half")
            raise error
        return write_member(file, name, *rest)

    monkeypatch.setattr(checkpoint, "_write_member", interrupted)
    with pytest.raises(error):
        save_checkpoint(path, {"a": np.ones(3)}, STATE)
    assert list(tmp_path.iterdir()) == [path]
    assert_same(load_checkpoint(path)[0], {"old": np.ones(3)})


def test_the_file_is_synced_before_it_is_renamed_and_the_folder_after(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        calls.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def note_replace(source, target):
        calls.append("replace")
        replace(source, target)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to see what a descriptor is")
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    path = tmp_path / "step-00000001.npz"
    save_checkpoint(path, ARRAYS, STATE)
    assert calls == [f"{path}.part", "replace", str(tmp_path)]


def test_truncated_files_are_refused(saved):
    content = saved.read_bytes()
    lengths = {*range(0, len(content), 23), *range(len(content) - 60, len(content))}
    for length in sorted(lengths):
        saved.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=saved.name):
            load_checkpoint(saved)


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path):
    """In the data, and in all headers, names, times and sizes: a bit of every fourth byte."""
    saved = tmp_path / "step-00000001.npz"
    save_checkpoint(saved, {"weight": np.arange(8.0).reshape(2, 4)}, STATE)
    content = bytearray(saved.read_bytes())
    bits = np.random.default_rng(0).integers(0, 8, size=len(content))
    for position, bit in enumerate(bits):
        if position % 4:
            continue
        content[position] ^= 1 << bit
        saved.write_bytes(content)
        with pytest.raises(CheckpointError, match=saved.name):
            load_checkpoint(saved)
        content[position] ^= 1 << bit
    saved.write_bytes(content)
    load_checkpoint(saved)


def test_what_is_appended_or_put_in_front_is_refused(saved):
    content = saved.read_bytes()
    for changed in (content + b"x", b"x" + content, content + content, b"#!/bin/sh\n" + content):
        saved.write_bytes(changed)
        with pytest.raises(CheckpointError):
            load_checkpoint(saved)


def test_equal_contents_are_equal_files(tmp_path, saved):
    again = tmp_path / "again.npz"
    save_checkpoint(again, ARRAYS, STATE)
    assert again.read_bytes() == saved.read_bytes()


def test_the_manifest_tells_what_is_inside(saved):
    manifest = read_manifest(saved)
    assert manifest["state"] == STATE
    assert manifest["versions"].keys() == {"python", "numpy", "tinytrain"}
    assert manifest["arrays"].keys() == ARRAYS.keys()
    with zipfile.ZipFile(saved) as archive:
        assert archive.testzip() is None
        for name, entry in manifest["arrays"].items():
            assert entry["shape"] == list(ARRAYS[name].shape)
            content = archive.read(f"{name}.npy")
            assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        text = archive.read("manifest.json")
        assert archive.comment.decode() == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
    "dtype", ["bool", "i1", "u2", "i4", "u8", "f2", ">f4", "f8", "c8", "c16", ">i8"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_all_kinds_of_numbers(tmp_path, dtype, shape):
    array = np.arange(6).reshape(2, 3)[: shape[0] if shape else 1].astype(dtype)
    array = np.resize(array, shape).astype(dtype)
    path = tmp_path / "step-1.npz"
    save_checkpoint(path, {"a": array}, {})
    found = load_checkpoint(path)[0]["a"]
    assert (found.shape, found.dtype) == (shape, array.dtype.newbyteorder("<"))
    assert np.array_equal(found, array)
    with np.load(path, allow_pickle=False) as file:
        assert np.array_equal(file["a"], array)
        assert file["a"].shape == shape


@pytest.mark.parametrize(
    "array", [np.array(["a"]), np.zeros(2, "i4,f4"), np.array(["2026"], "M8[D]")]
)
def test_other_arrays_are_refused(saved, array):
    with pytest.raises(ValueError, match="the array 'bad' has dtype"):
        save_checkpoint(saved, {"bad": array}, {})
    assert_same(load_checkpoint(saved)[0], ARRAYS)


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a\\b", "C:/x", "a\nb", "a/./b"])
def test_names_that_would_leave_the_folder_are_refused(saved, name):
    with pytest.raises(ValueError, match="is no name for a member"):
        save_checkpoint(saved, {name: np.ones(1)}, {})
    assert_same(load_checkpoint(saved)[0], ARRAYS)


def test_a_state_that_is_too_large_is_refused(saved, monkeypatch):
    monkeypatch.setattr(checkpoint_manifest, "LARGEST_MANIFEST", 1000)
    with pytest.raises(ValueError, match="keep large parts of it in arrays"):
        save_checkpoint(saved, {}, {"text": "x" * 1000})
    assert_same(load_checkpoint(saved)[0], ARRAYS)


def test_objects_are_not_written_either(saved):
    with pytest.raises(ValueError, match="has dtype object"):
        save_checkpoint(saved, {"bad": np.array([object()])}, {})
    assert_same(load_checkpoint(saved)[0], ARRAYS)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "step-00000001.npz")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("state", "error"), [({"x": math.nan}, ValueError), ({"x": object()}, TypeError)]
)
def test_a_state_that_json_cannot_hold(saved, state, error):
    with pytest.raises(error, match="JSON"):
        save_checkpoint(saved, ARRAYS, state)
    assert load_checkpoint(saved)[1] == STATE
