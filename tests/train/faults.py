"""Breaking checkpoints on purpose, in as many ways as there is time for.

    python -m tests.train.faults kills [COUNT]        SIGKILL at random moments of saving
    python -m tests.train.faults calls [AT MOST]      faults at the system calls of a save (strace)
    python -m tests.train.faults flips [COUNT]        single bits, anywhere in a file
    python -m tests.train.faults truncations          every length of a small file
    python -m tests.train.faults fuzz [COUNT] [SEED]  mutated and random files

Each prints what it did, and fails with an assertion at the first promise that is not kept. The
slow tests in test_checkpoint_faults run all of them with small counts.
"""

import errno
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.train import forged_checkpoints
from tinytrain.train import CheckpointError, load_checkpoint, save_checkpoint
from tinytrain.train.checkpoint_folder import CheckpointFolder, list_checkpoints, step_of
from tinytrain.train.checkpoint_layout import Member, array_header

KEEP = 2


def arrays_of(step, size=200_000):
    """What the checkpoint of a step holds."""
    source = np.random.default_rng(step)
    return {"weight": source.normal(size=size), "ids": source.integers(0, 9, size=(7, 3))}


def check_folder(folder, at_least, size=200_000):
    """Every checkpoint that is listed is whole and right, and there are enough of them."""
    found = list_checkpoints(folder)
    for path in found:
        arrays, state = load_checkpoint(path)
        assert state == {"step": step_of(path)}
        for name, expected in arrays_of(step_of(path), size).items():
            assert arrays[name].tobytes() == expected.tobytes(), (path, name)
    assert len(found) >= at_least, found
    return found


def kills(count):
    """Kill a process that saves one checkpoint after the other, again and again."""
    folder = Path(tempfile.mkdtemp())
    checkpoints = CheckpointFolder(folder, KEEP)
    for step in (1, 2):
        checkpoints.save(step, arrays_of(step), {"step": step})
    stale = 0
    for _ in range(count):
        newest = step_of(list_checkpoints(folder)[0])
        child = os.fork()
        if not child:
            saving = CheckpointFolder(folder, KEEP)
            for step in range(newest + 1, newest + 1000):
                saving.save(step, arrays_of(step), {"step": step})
        time.sleep(random.uniform(0.0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        stale += bool(list(folder.glob("*.part")))
        path, _, _ = CheckpointFolder(folder, KEEP).newest_readable()
        assert path == check_folder(folder, KEEP)[0]
        CheckpointFolder(folder, KEEP).start(step_of(path), path)
        assert not list(folder.glob("*.part"))
    saved = step_of(list_checkpoints(folder)[0])
    shutil.rmtree(folder)
    print(f"{count} kills during {saved} saves: none lost; {stale} left a temporary file behind")


# ---------------------------------------------------------------- faults at system calls

CALLS = "openat,write,fsync,fdatasync,rename,unlink,close,lseek,newfstatat,getdents64,ioctl,read"
SMALL = 3_000  # numbers: the file is larger than one buffer


def save_third(folder):
    """Save the third of three checkpoints, of which two are kept; the process that is broken."""
    checkpoints = CheckpointFolder(Path(folder), KEEP)
    try:
        checkpoints.save(3, arrays_of(3, SMALL), {"step": 3})
    except OSError as error:
        print("refused", errno.errorcode[error.errno])
        sys.exit(3)


def traced(folder, *options):
    """Run `save_third` under strace, which sees the calls that touch the folder."""
    names = [f"step-{step:08d}.npz" for step in (1, 2, 3)]
    paths = [folder, *(folder / name for name in names), folder / f"{names[2]}.part"]
    log = folder.parent / "strace.log"
    command = ["strace", "-f", "-o", str(log), "-e", f"trace={CALLS}", *options]
    for path in paths:
        command += ["-P", str(path)]
    program = [sys.executable, "-m", "tests.train.faults", "save-third", str(folder)]
    done = subprocess.run(command + program, capture_output=True, text=True, check=False)
    return done, re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE)


def prepared(parent):
    folder = parent / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for step in (1, 2):
        path = folder / f"step-{step:08d}.npz"
        save_checkpoint(path, arrays_of(step, SMALL), {"step": step})
    return folder


def calls(limit=None):
    """Kill the save, or have it refused, at each of its system calls in turn."""
    parent = Path(tempfile.mkdtemp())
    done, seen = traced(prepared(parent))
    assert done.returncode == 0, done.stderr
    places = [(name, 1 + seen[:i].count(name)) for i, name in enumerate(seen)]
    faults = [
        (name, number, fault)
        for name, number in places
        for fault in ("signal=KILL", "error=ENOSPC", "error=EIO")
    ]
    if limit is not None:
        faults = faults[:: max(1, len(faults) // limit)]
    outcomes = Counter()
    for name, number, fault in faults:
        folder = prepared(parent)
        done, _ = traced(folder, "-e", f"inject={name}:{fault}:when={number}")
        outcome = {0: "saved all the same", 3: "refused"}.get(done.returncode, "killed")
        outcomes[f"{fault}: {outcome}"] += 1
        assert outcome != "killed" or fault == "signal=KILL", (name, number, done.stderr)
        check_folder(folder, KEEP, SMALL)
        CheckpointFolder(folder, KEEP).save(4, arrays_of(4, SMALL), {"step": 4})
        assert not list(folder.glob("*.part"))
    shutil.rmtree(parent)
    print(f"{len(faults)} faults at {len(places)} system calls: none lost;", dict(outcomes))


# ---------------------------------------------------------------- files that are changed


def refused(path, content):
    path.write_bytes(content)
    try:
        load_checkpoint(path)
    except CheckpointError:
        return True
    return False


def flips(count):
    """Flip single bits of a file of 2 MiB."""
    path = Path(tempfile.mkdtemp()) / "step-00000001.npz"
    save_checkpoint(path, arrays_of(1, 2**18), {"step": 1})
    content = bytearray(path.read_bytes())
    for _ in range(count):
        position, bit = random.randrange(len(content)), 1 << random.randrange(8)
        content[position] ^= bit
        assert refused(path, content), position
        content[position] ^= bit
    assert not refused(path, content)
    shutil.rmtree(path.parent)
    print(f"{count} bit flips: all refused")


def truncations():
    """Cut a small file off at every length."""
    path = Path(tempfile.mkdtemp()) / "step-00000001.npz"
    save_checkpoint(path, {"weight": np.arange(20.0), "empty": np.zeros((0, 2))}, {"step": 1})
    content = path.read_bytes()
    for length in range(len(content)):
        assert refused(path, content[:length]), length
    shutil.rmtree(path.parent)
    print(f"{len(content)} truncations: all refused")


# ---------------------------------------------------------------- fuzzing

WORDS = [b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"\xff" * 4, b"\0" * 8]
VALUES = [None, True, -1, 0, 3, 2**31, 2**62, 2**63, 2**200, 1.5, 1e300, "", "|O", "<f8", [], {}]
VALUES += [[4], [-4], [2**62], ["a"], [[]], {"a": 1}, "\ud800", "x" * 1000, [0, 2**63 - 1]]


def mutate_bytes(content, source):
    """Change, insert, repeat or delete stretches of bytes."""
    content = bytearray(content)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        position = source.randrange(len(content) + 1)
        length = source.choice((1, 1, 2, 4, 8, 40))
        kind = source.randrange(5)
        if kind == 0 and position < len(content):
            content[position] ^= 1 << source.randrange(8)
        elif kind == 1:
            content[position : position + length] = source.randbytes(length)
        elif kind == 2:
            content[position:position] = source.choice([*WORDS, content[:length]])
        elif kind == 3:
            del content[position : position + length]
        else:
            word = source.choice(WORDS)
            content[position : position + len(word)] = word
    return bytes(content)


def mutate_value(value, source):
    """Replace something in a nested value by something else."""
    if source.random() < 0.3 or not isinstance(value, dict | list) or not value:
        return source.choice(VALUES)
    copy = value.copy()
    key = source.choice(list(copy)) if isinstance(copy, dict) else source.randrange(len(copy))
    if isinstance(copy, dict) and source.random() < 0.1:
        copy[source.choice(("b", "", "../x", "dtype", "\x00"))] = copy.pop(key)
    else:
        copy[key] = mutate_value(copy[key], source)
    return copy


def signed(source):
    """Make a file whose layout and manifest's digest are right, but not what the manifest says."""
    manifest = mutate_value(json.loads(forged_checkpoints.manifest()), source)
    text = json.dumps(manifest).encode()
    if source.random() < 0.3:
        text = mutate_bytes(text, source)
    shape = source.choice(((4,), (2, 2), (), (0,), (32,), (2**40,)))
    data = forged_checkpoints.DATA[: source.choice((32, 32, 32, 0, 5))]
    header = array_header(source.choice(("<f8", "|b1", "|O", ">f8")), shape)
    members = [("manifest.json", text), (source.choice(("a.npy", "a.npy", "b.npy")), header + data)]

    def changed(found):
        if source.random() < 0.7:
            return found
        fields = dict(zip(Member._fields, found[-1], strict=True))
        fields[source.choice(("size", "offset"))] = source.choice((0, 1, 160, 2**40, 2**64 - 1))
        fields["checksum"] = source.choice((0, fields["checksum"]))
        return [*found[:-1], Member(**fields)]

    return forged_checkpoints.archive(members, entries=changed)


def fuzz(count, seed=0):
    """Load mutated files; nothing but `CheckpointError` may come out, whatever they claim."""
    source = random.Random(seed)
    folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    path = folder / "step-00000001.npz"
    seeds = [
        forged_checkpoints.good(),
        *(content for content, _ in forged_checkpoints.FILES.values()),
    ]
    seeds = [content for content in seeds if len(content) < 20_000]
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = Counter()
    started = time.perf_counter()
    for _ in range(count):
        kind = source.choice(("mutated", "mutated", "signed", "random"))
        if kind == "mutated":
            content = mutate_bytes(source.choice(seeds), source)
        elif kind == "signed":
            content = signed(source)
        else:
            content = source.randbytes(source.randrange(400))
        loaded = not refused(path, content)
        outcomes[kind, "loaded" if loaded else "refused"] += 1
        # A mutation may change nothing; a signed file may be a good one of other content.
        assert not loaded or kind == "signed" or content == forged_checkpoints.good()
    shutil.rmtree(folder)
    seconds = time.perf_counter() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used) / 1024
    assert grown < 100, f"{grown} MiB"
    print(
        f"{count} files in {seconds:.0f} s: {dict(outcomes)}; one kind of exception, "
        f"{grown:.1f} MiB more memory"
    )


def main(name, *arguments):
    tasks = {"kills": (kills, 100), "flips": (flips, 300), "fuzz": (fuzz, 1_000_000)}
    if name == "save-third":
        save_third(*arguments)
    elif name in tasks:
        function, count = tasks[name]
        function(*(map(int, arguments) if arguments else [count]))
    else:
        {"calls": calls, "truncations": truncations}[name](*map(int, arguments))


if __name__ == "__main__":
    main(*sys.argv[1:])
