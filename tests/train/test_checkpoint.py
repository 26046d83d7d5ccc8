"""Checkpoint files: never half written, never read wrong, nothing pickled, none lost."""

import io
import json
import math
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.train import CheckpointError, load_checkpoint, save_checkpoint
from tinytrain.train import checkpoint as checkpoints
from tinytrain.train.checkpoint import pack, unpack

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
        assert json.loads(file["state.json"].tobytes())["state"] == STATE


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
    monkeypatch.setattr(
        checkpoints, "_write_members", lambda file, members: interrupted(file, error)
    )
    with pytest.raises(error):
        save_checkpoint(path, ARRAYS, STATE)
    assert list(tmp_path.iterdir()) == [path]
    assert_same(load_checkpoint(path)[0], {"old": np.ones(3)})


def interrupted(file, error):
    file.write(b"PK\x03\x04 half")
    raise error


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


def test_flipped_bits_are_never_read_as_other_numbers(tmp_path):
    """One bit of every byte, so that zip's and npy's own headers are all hit."""
    saved = tmp_path / "step-00000001.npz"
    expected = {"weight": np.arange(8.0).reshape(2, 4)}
    save_checkpoint(saved, expected, STATE)
    content = bytearray(saved.read_bytes())
    bits = np.random.default_rng(0).integers(0, 8, size=len(content))
    refused = 0
    for position, bit in enumerate(bits):
        content[position] ^= 1 << bit
        saved.write_bytes(content)
        try:
            arrays, state = load_checkpoint(saved)
        except CheckpointError:
            refused += 1
        else:  # a bit that nothing depends on, such as those of the time of writing
            assert_same(arrays, expected)
            assert state == STATE
        content[position] ^= 1 << bit
    assert len(bits) > refused > 300


def test_flipped_bits_of_the_numbers_are_all_refused(tmp_path):
    path = tmp_path / "step-00000001.npz"
    source = np.random.default_rng(0)
    save_checkpoint(path, {"weight": source.normal(size=20_000)}, {"step": 1})
    content = bytearray(path.read_bytes())
    for position in source.integers(200, 160_000, size=300):
        content[position] ^= 1 << (position % 8)
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="CRC"):
            load_checkpoint(path)
        content[position] ^= 1 << (position % 8)


class Dangerous:
    """What unpickling would run."""

    def __reduce__(self):
        return (os.mkdir, (str(Dangerous.trace),))


def test_a_pickle_is_never_loaded(tmp_path, saved):
    Dangerous.trace = tmp_path / "unpickled"
    with zipfile.ZipFile(saved, "a") as archive, archive.open("extra.npy", "w") as member:
        np.lib.format.write_array(member, np.array([Dangerous()], dtype=object))
    with pytest.raises(CheckpointError, match="Object arrays cannot be loaded"):
        load_checkpoint(saved)
    saved.write_bytes(pickle.dumps(Dangerous()))
    with pytest.raises(CheckpointError):
        load_checkpoint(saved)
    assert not Dangerous.trace.exists()


def test_objects_are_not_written_either(saved):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        save_checkpoint(saved, {"bad": np.array([object()])}, {})
    assert_same(load_checkpoint(saved)[0], ARRAYS)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def other_files():
    def npz(members, compression=zipfile.ZIP_STORED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", compression) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return buffer.getvalue()

    def npy(array):
        buffer = io.BytesIO()
        np.save(buffer, array)
        return buffer.getvalue()

    state = npy(np.frombuffer(b'{"format": 1, "state": {}}', dtype=np.uint8))
    newer = npy(np.frombuffer(b'{"format": 2, "state": {}}', dtype=np.uint8))
    no_json = npy(np.frombuffer(b"{", dtype=np.uint8))
    claims_much = npy(np.zeros(4)).replace(b"(4,)", b"(4000000000,)")[: len(npy(np.zeros(4)))]
    longer = npy(np.zeros(4)) + b"more"
    return {
        "empty": (b"", "no readable checkpoint"),
        "text": (b"step 3\n", "not a zip file"),
        "npy": (npy(np.ones(3)), "not a zip file"),
        "no state": (npz([("a.npy", npy(np.ones(3)))]), r"KeyError\('state.json'\)"),
        "newer": (npz([("state.json.npy", newer)]), "has format 2, this version reads 1"),
        "no json": (npz([("state.json.npy", no_json)]), "JSONDecodeError"),
        "no array": (npz([("state.json.npy", state), ("a.npy", b"x")]), "no readable checkpoint"),
        "compressed": (npz([("state.json.npy", state)], zipfile.ZIP_DEFLATED), "is compressed"),
        "claims much": (npz([("state.json.npy", state), ("a.npy", claims_much)]), "no readable"),
        "longer": (npz([("state.json.npy", state), ("a.npy", longer)]), "longer than its array"),
    }


@pytest.mark.parametrize("kind", other_files())
def test_other_files_are_refused_by_name(tmp_path, kind):
    path = tmp_path / "step-00000001.npz"
    content, message = other_files()[kind]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as refused:
        load_checkpoint(path)
    assert str(path) in str(refused.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(saved):
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("model/weight.npy", archive.read("model/weight.npy"))
    with pytest.raises(CheckpointError, match="two members called 'model/weight'"):
        load_checkpoint(saved)


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


def test_the_states_own_name_is_kept(saved):
    with pytest.raises(ValueError, match="an array cannot be called"):
        save_checkpoint(saved, {"state.json": np.ones(1)}, {})


# ---------------------------------------------------------------- folders


def fill(folder, steps):
    for step in steps:
        path = checkpoints.checkpoint_path(folder, step)
        save_checkpoint(path, {"step": np.array(step)}, {"step": step})


def steps_in(folder):
    return [checkpoints.step_of(path) for path in checkpoints.list_checkpoints(folder)]


def test_the_newest_comes_first_whatever_the_number_of_digits(tmp_path):
    assert checkpoints.list_checkpoints(tmp_path / "missing") == []
    fill(tmp_path, [9, 100, 20, 123_456_789])
    save_checkpoint(tmp_path / "step-30.npz", {}, {})
    for other in ("step-00000040.npz.part", "step-.npz", "final.npz", "xstep-50.npz"):
        (tmp_path / other).touch()
    assert steps_in(tmp_path) == [123_456_789, 100, 30, 20, 9]


@pytest.mark.parametrize("keep", [1, 2, 3, 10])
def test_old_ones_and_stale_temporaries_are_removed(tmp_path, keep):
    fill(tmp_path, [1, 2, 3, 4])
    (tmp_path / "step-00000005.npz.part").write_bytes(b"half")
    (tmp_path / "log.jsonl").touch()
    checkpoints.remove_old_checkpoints(tmp_path, keep)
    assert steps_in(tmp_path) == [4, 3, 2, 1][:keep]
    assert not list(tmp_path.glob("*.part"))
    assert (tmp_path / "log.jsonl").exists()


def test_the_newest_readable_one_is_found_and_the_others_named(tmp_path, capsys):
    fill(tmp_path, [1, 2, 3])
    third, second = checkpoints.list_checkpoints(tmp_path)[:2]
    third.write_bytes(third.read_bytes()[:-9])
    second.write_bytes(b"")
    path, arrays, state = checkpoints.newest_readable(tmp_path)
    assert path == checkpoints.checkpoint_path(tmp_path, 1)
    assert (arrays["step"], state["step"]) == (1, 1)
    lines = capsys.readouterr().out.splitlines()
    assert [str(bad) in line for bad, line in zip((third, second), lines, strict=True)] == [
        True
    ] * 2
    path.write_bytes(b"")
    assert checkpoints.newest_readable(tmp_path) is None
    assert checkpoints.newest_readable(tmp_path / "missing") is None


def test_later_ones_are_set_aside_not_deleted(tmp_path):
    fill(tmp_path, [5, 10, 15, 20])
    renamed = checkpoints.set_aside_later(tmp_path, 10)
    assert steps_in(tmp_path) == [10, 5]
    assert [path.name for path in renamed] == [
        "step-00000020.npz.superseded",
        "step-00000015.npz.superseded",
    ]
    assert load_checkpoint(renamed[0])[1] == {"step": 20}


# ---------------------------------------------------------------- nested states

keys = st.text("abc", min_size=1, max_size=3) | st.integers(0, 3)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
    | st.lists(st.floats(allow_nan=False), max_size=3).map(np.array)
)
nested = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)


@settings(max_examples=40, deadline=None)
@given(nested)
def test_packing_a_nested_state(state):
    arrays = {}
    text = json.dumps(pack(state, "x", arrays))
    assert same(unpack(json.loads(text), arrays), state)


def same(first, second):
    if isinstance(second, np.ndarray):
        return np.array_equal(first, second) and first.dtype == second.dtype
    if isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in second)
    if isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and first == second


def test_names_that_meet_are_refused():
    state = {"a/b": np.ones(1), "a": {"b": np.zeros(1)}}
    with pytest.raises(ValueError, match="two arrays of the state have the name 'x/a/b'"):
        pack(state, "x", {})
