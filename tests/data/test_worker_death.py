"""Workers that die or hang, main processes that die, and programs without an importable main."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests import worker_datasets as wd
from tinytrain.data import DataLoader
from tinytrain.data.workers import WorkerIterator, WorkerPool, WorkerSettings

if sys.platform == "win32":
    pytest.skip("needs POSIX signals", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[2]


def begun(dataset, n=40, num_workers=2, **settings):
    """Begin an epoch with one index per batch."""
    pool = WorkerPool(
        WorkerSettings(
            dataset=dataset,
            collate_fn=wd.as_list,
            auto_collation=True,
            num_workers=num_workers,
            **settings,
        ),
        base_seed=0,
    )
    return WorkerIterator(pool, [(i, [i]) for i in range(n)], seed=0, epoch=0)


def ended_by(iterator):
    """Return the error that ends an epoch and the seconds until it came."""
    list(zip(range(2), iterator, strict=False))
    begin = time.monotonic()
    with pytest.raises(RuntimeError) as caught:
        list(iterator)
    return str(caught.value), time.monotonic() - begin


@pytest.mark.parametrize(
    ("deed", "how"),
    [("kill", r"was killed by signal SIGKILL"), ("exit", r"exited with code 3")],
)
def test_a_dead_worker_is_reported_at_once(deed, how):
    iterator = begun(wd.Numbers(**{deed: 6}))
    processes = list(iterator._workers)
    message, seconds = ended_by(iterator)
    pid = processes[0].pid
    assert message.startswith(f"DataLoader worker (pid(s) {pid}) exited unexpectedly\n")
    assert f"worker 0 (pid {pid}) {how}" in message
    assert "in flight: batch 6 (indices [6])" in message
    assert seconds < 1
    assert not any(process.is_alive() for process in processes)
    for _ in range(2):
        with pytest.raises(RuntimeError) as again:
            next(iterator)
        assert str(again.value) == message


@pytest.mark.parametrize("init", [wd.exiting_init, wd.system_exit_init])
def test_an_epoch_is_not_over_when_its_workers_have_died(init):
    """Also for a loop that catches errors and goes on."""
    loader = DataLoader(wd.Numbers(), batch_size=2, num_workers=1, worker_init_fn=init)
    iterator = iter(loader)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="worker"):
            next(iterator)
    state = loader.state_dict()
    assert (state["epoch"], state["epoch_begun"], state["batches_yielded"]) == (0, True, 0)


def test_a_death_in_worker_init_fn_is_told_as_such():
    iterator = iter(DataLoader(wd.Numbers(), num_workers=1, worker_init_fn=wd.exiting_init))
    with pytest.raises(RuntimeError, match=r"worker 0 .* exited with code 4 in worker_init_fn,"):
        next(iterator)


def test_a_worker_killed_from_outside_is_reported():
    iterator = begun(wd.Numbers(hang=3))
    next(iterator)
    victim = iterator._workers[1]
    os.kill(victim.pid, signal.SIGTERM)
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match=rf"pid\(s\) {victim.pid}\)(?s:.*)SIGTERM"):
        list(iterator)
    assert time.monotonic() - begin < 1


def test_a_hung_worker_is_reported_after_the_timeout():
    iterator = begun(wd.Numbers(hang=5), timeout=0.7)
    processes = list(iterator._workers)
    message, seconds = ended_by(iterator)
    assert message.startswith("DataLoader timed out after 0.7 seconds\n")
    assert (
        f"worker 1 (pid {processes[1].pid}) was still at work on batch 5 (indices [5])" in message
    )
    assert 0.6 < seconds < 1.7
    assert not any(process.is_alive() for process in processes)


def test_a_worker_that_hangs_ignores_no_end():
    """A stopped process does not hear a polite request."""
    iterator = begun(wd.Numbers())
    next(iterator)
    processes = list(iterator._workers)
    os.kill(processes[0].pid, signal.SIGSTOP)
    begin = time.monotonic()
    iterator.close()
    assert time.monotonic() - begin < 8
    assert processes[0].exitcode == -signal.SIGKILL
    assert list(iterator) == []


@pytest.mark.slow
def test_hundred_killed_workers_are_reported():
    before = wd.shared_names()
    rng = np.random.default_rng(0)
    reported = 0
    for _ in range(100):
        iterator = begun(wd.Rows(4000), n=4000)
        processes = list(iterator._workers)
        victim = processes[rng.integers(2)]
        timer = threading.Timer(rng.uniform(0, 0.05), os.kill, (victim.pid, signal.SIGKILL))
        timer.start()
        with pytest.raises(RuntimeError, match=rf"pid\(s\) {victim.pid}\) exited unexpectedly"):
            list(iterator)
        timer.join()
        reported += 1
        assert not any(process.is_alive() for process in processes)
    assert reported == 100
    assert wd.shared_names() == before


@pytest.mark.slow
def test_workers_start_while_another_thread_is_in_blas():
    matrix = np.random.default_rng(0).normal(size=(1500, 1500))
    stop = threading.Event()

    def multiply():
        while not stop.is_set():
            matrix @ matrix

    thread = threading.Thread(target=multiply, daemon=True)
    thread.start()
    try:
        for _ in range(5):
            assert len(list(begun(wd.Rows(20), n=20))) == 20
    finally:
        stop.set()
        thread.join()


# Programs of their own. Their workers report to a pipe that is at its end when all are gone.

PROLOGUE = """
import os, sys, time
from tests import worker_datasets as wd
from tinytrain.data.workers import WorkerIterator, WorkerPool, WorkerSettings

def begun(dataset, n=40, **settings):
    pool = WorkerPool(
        WorkerSettings(dataset=dataset, collate_fn=wd.as_list, auto_collation=True,
                       num_workers=2, **settings), base_seed=0)
    return WorkerIterator(pool, [(i, [i]) for i in range(n)], seed=0, epoch=0)
"""


def write_program(folder, body):
    path = folder / "program.py"
    path.write_text(PROLOGUE + textwrap.dedent(body))
    return [sys.executable, str(path)]


def listen_to_ctrl_c():
    """A process that a shell started in the background ignores it, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(command, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command,
        preexec_fn=listen_to_ctrl_c,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def alive(pids):
    """Which processes run; a zombie does not."""
    found = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [pid] if state != "Z" else []
    return found


THREADED = """
    import threading

    class Local(wd.Rows):
        def __reduce__(self):
            raise TypeError("stays here")

    if __name__ == "__main__":
        waiting = threading.Event()
        if {threads}:
            threading.Thread(target=waiting.wait, name="waiter").start()
        try:
            pool = begun(Local(40))
            print(type(pool._workers[0]).__name__, len(list(pool)))
        except Exception as error:
            print(error)
        waiting.set()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_a_program_forks_unasked_only_if_it_has_no_other_thread(tmp_path):
    def output(threads):
        main = started(write_program(tmp_path, THREADED.format(threads=threads)))
        return main.communicate(timeout=20)[0]

    assert output(threads=False) == "ForkProcess 40\n"
    assert "other threads run: waiter" in output(threads=True)


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_threads_of_another_library_are_a_reason_not_to_fork(tmp_path):
    pytest.importorskip("torch")
    body = """
    import torch
    from tinytrain.data.workers.context import obstacle_to_fork
    print(obstacle_to_fork())
    torch.set_num_threads(2)
    (torch.ones(2000, 2000) + 1).sum()
    print(obstacle_to_fork())
    """
    output, _ = started(write_program(tmp_path, body)).communicate(timeout=60)
    if "libgomp" not in output and output == "None\nNone\n":
        pytest.skip("this PyTorch does not use GNU's OpenMP")
    assert output.startswith("None\na library has OpenMP threads")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_ctrl_c_during_the_start_is_one_complaint(tmp_path, method):
    body = f"""
    time.sleep(0.3)  # long imports at the top of the script
    if __name__ == "__main__":
        print("starts", flush=True)
        list(begun(wd.Numbers(hang=5), multiprocessing_context={method!r}))
    """
    for delay in (0.0, 0.05, 0.2, 0.4, 0.7):
        main = started(write_program(tmp_path, body), start_new_session=True)
        main.stdout.readline()
        time.sleep(delay)
        os.killpg(main.pid, signal.SIGINT)
        _, complaints = main.communicate(timeout=20)
        assert complaints.count("Traceback") == 1, (delay, complaints)
        assert complaints.rstrip().endswith("KeyboardInterrupt")


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")

BUSY = """
    if __name__ == "__main__":
        iterator = begun(wd.Numbers(hang=5), multiprocessing_context={method!r})
        next(iterator)
        print(*[process.pid for process in iterator._workers], flush=True)
        list(iterator)
"""


@needs_proc
@pytest.mark.parametrize(
    ("method", "end"),
    [
        ("forkserver", signal.SIGKILL),
        *(
            pytest.param(method, end, marks=pytest.mark.slow)
            for method, end in [
                ("forkserver", signal.SIGINT),
                ("forkserver", signal.SIGTERM),
                ("spawn", signal.SIGKILL),
                ("spawn", signal.SIGINT),
                ("fork", signal.SIGKILL),
                ("fork", signal.SIGINT),
            ]
        ),
    ],
)
def test_no_worker_outlives_the_main_process(tmp_path, method, end):
    before = wd.shared_names()
    main = started(write_program(tmp_path, BUSY.format(method=method)))
    pids = [int(pid) for pid in main.stdout.readline().split()]
    assert alive(pids) == pids
    main.send_signal(end)
    begin = time.monotonic()
    _, complaints = main.communicate(timeout=20)
    while alive(pids):
        time.sleep(0.02)
        assert time.monotonic() - begin < 2, "a worker is left"
    assert wd.shared_names() == before
    if end is signal.SIGINT:
        assert main.returncode in (-signal.SIGINT, 130)
        assert complaints.count("Traceback") == 1
        assert complaints.rstrip().endswith("KeyboardInterrupt")


@needs_proc
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a kernel that kills")
@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
@pytest.mark.parametrize("deed", ["regex", "freeze"])
def test_no_worker_outlives_a_killed_program_in_c_code_or_stopped(tmp_path, method, deed):
    body = f"""
    if __name__ == "__main__":
        iterator = begun(wd.Numbers({deed}=2), multiprocessing_context={method!r})
        next(iterator), next(iterator)
        time.sleep(0.3)
        print(*[process.pid for process in iterator._workers], flush=True)
        list(iterator)
    """
    main = started(write_program(tmp_path, body))
    pids = [int(pid) for pid in main.stdout.readline().split()]
    assert alive(pids) == pids
    time.sleep(0.2)
    main.kill()
    main.wait()
    begin = time.monotonic()
    while alive(pids):
        assert time.monotonic() - begin < 1, "a worker is left"
        time.sleep(0.02)
    main.communicate(timeout=20)


@needs_proc
@pytest.mark.slow
def test_ctrl_c_reaches_the_whole_terminal(tmp_path):
    """All processes get the signal, as from a keyboard; only the main one speaks."""
    command = write_program(tmp_path, BUSY.format(method="forkserver"))
    main = started(command, start_new_session=True)
    pids = [int(pid) for pid in main.stdout.readline().split()]
    os.killpg(main.pid, signal.SIGINT)
    _, complaints = main.communicate(timeout=20)
    assert complaints.count("Traceback") == 1
    assert not alive(pids)


@pytest.mark.slow
@pytest.mark.parametrize(
    "last",
    ["pass", "raise ValueError('on purpose')", "sys.exit(5)", "iterator.loop = iterator"],
)
def test_a_program_that_ends_in_an_epoch_leaves_nothing(tmp_path, last):
    body = f"""
    if __name__ == "__main__":
        iterator = begun(wd.Rows(40))
        next(iterator)
        print(*[process.pid for process in iterator._workers], flush=True)
        {last}
    """
    main = started(write_program(tmp_path, body))
    output, complaints = main.communicate(timeout=20)
    assert not alive([int(pid) for pid in output.split()])
    assert main.returncode == {"raise": 1, "sys.e": 5}.get(last[:5], 0)
    assert complaints.count("Traceback") == (last[:5] == "raise")


@pytest.mark.slow
@pytest.mark.parametrize("held", ["0", "[b'x'] * 10**6"])
def test_a_script_without_a_guard_is_told_so(tmp_path, held):
    """Also if the worker ends before it has read what it was sent."""
    main = started(write_program(tmp_path, f"\nlist(begun(wd.Holder({held})))\n"))
    _, complaints = main.communicate(timeout=20)
    assert main.returncode == 1
    assert "below `if __name__ == '__main__':`" in complaints


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
def test_classes_of_an_interactive_main_module_work():
    body = PROLOGUE + textwrap.dedent("""
    class Mine(wd.Rows):
        pass

    print(len(list(begun(Mine(40)))))
    """)
    output, _ = started([sys.executable, "-c", body], cwd=ROOT).communicate(timeout=20)
    assert output == "40\n"


@pytest.mark.slow
def test_workers_share_the_memory_of_a_large_data_set(tmp_path):
    """What a worker reads is shared; what it writes to is its own."""
    body = """
    import numpy as np

    class Large(wd.Rows):
        def __getitem__(self, index):
            before = self.rows[0, 0].item()
            self.rows[0, 0] += 1
            lines = open("/proc/self/smaps_rollup").read().splitlines()
            private = sum(int(l.split()[1]) for l in lines if l.startswith("Private"))
            return before, float(self.rows.sum()), private

    if __name__ == "__main__":
        data = Large(1000, width=50_000)
        for (before, total, private), in begun(data, n=2, multiprocessing_context="forkserver"):
            print(before, private)
        print(data.rows[0, 0])
    """
    output, complaints = started(write_program(tmp_path, body)).communicate(timeout=60)
    lines = output.splitlines()
    assert [line.split()[0] for line in lines] == ["0.0"] * 3, complaints
    assert all(int(line.split()[1]) < 100_000 for line in lines[:2])  # kB, of 200 MB
