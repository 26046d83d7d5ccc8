"""Compile the CUDA kernels with a C++ compiler, and run them on the CPU, for tests."""

import ctypes
import functools
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np

from tinytrain.kernels import launch
from tinytrain.kernels.launch import declarations, source_text

HERE = Path(__file__).resolve().parent
SOURCES = sorted(path.stem for path in (Path(launch.__file__).parent / "cuda_source").glob("*.cu"))
COMPILER = ("g++", "-std=c++20", "-O1", "-g", "-pthread", "-ffp-contract=off")
THREADS = 8  # per block: enough for every path, and few enough to be quick


def compiler_problem(folder, *options):
    """Say why the kernels cannot be compiled and run here, or None."""
    if shutil.which("g++") is None:
        return "no g++"
    source, program = folder / "probe.cpp", folder / "probe"
    source.write_text("#include <barrier>\nint main() { std::barrier<> b(1); return 0; }\n")
    command = [*COMPILER, *options, str(source), "-o", str(program)]
    if subprocess.run(command, capture_output=True).returncode:
        return f"g++ cannot compile <barrier> with {options}"
    return None if subprocess.run([program], capture_output=True).returncode == 0 else "crashes"


def all_sources(real):
    return [source_text(source, real) for source in SOURCES]


def translation(codes):
    """Return one C++ text with the kernels of several sources, and a starter for each by name."""
    header = (HERE / "cuda_cpu.hpp").read_text()
    starters = []
    for kernel, parameters in {
        k: p for code in codes for k, p in declarations(code).items()
    }.items():
        arguments = ", ".join(
            f"*({p.c_type}{'*' * p.is_pointer}*)arguments[{i}]" for i, p in enumerate(parameters)
        )
        call = f"run_grid(blocks, threads, [=] {{ {kernel}({arguments}); }})"
        starters.append(f'    if (name == "{kernel}") {{ {call}; return true; }}\n')
    return (
        f"{header}\n#include <string>\n"
        + "\n".join(codes)
        + "\nbool start(const std::string& name, unsigned int blocks, unsigned int threads, "
        + "void** arguments) {\n"
        + "".join(starters)
        + "    return false;\n}\n"
        + 'extern "C" int start_named(const char* name, unsigned int blocks, unsigned int threads, '
        + "void** arguments) { return start(name, blocks, threads, arguments); }\n"
    )


def compiling(text, output, *options):
    """Start the compiler; the caller waits for it, so that two can run side by side."""
    source = output.with_suffix(".cpp")
    source.write_text(text)
    return subprocess.Popen(
        [*COMPILER, *options, str(source), "-o", str(output)],
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    _, errors = process.communicate()
    assert process.returncode == 0, errors


class CompiledKernels:
    """All kernels for float and for double; a runner for the mock GPU.

    `change` may replace the source texts that are compiled, to plant faults.
    """

    def __init__(self, folder, change=lambda codes: codes):
        paths = {real: folder / f"kernels_{real}.so" for real in ("float", "double")}
        self.codes = {real: all_sources(real) for real in paths}
        running = [
            compiling(translation(change(self.codes[real])), path, "-shared", "-fPIC")
            for real, path in paths.items()
        ]
        for process in running:
            finish(process)
        self.libraries = {real: ctypes.CDLL(str(path)) for real, path in paths.items()}
        self.started = []

    def __call__(self, code, kernel, blocks, threads, arguments):
        (real,) = (real for real, codes in self.codes.items() if code in codes)
        self.started.append((real, kernel))
        keep, addresses = [], (ctypes.c_void_p * len(arguments))()
        for i, argument in enumerate(arguments):
            is_array = isinstance(argument, np.ndarray)
            cell = np.array([argument.ctypes.data], np.uint64) if is_array else np.array([argument])
            keep.append(cell)
            addresses[i] = cell.ctypes.data
        start = self.libraries[real].start_named
        assert start(kernel.encode(), blocks, threads, addresses) == 1


class BothOrders:
    """A runner that runs the blocks of every launch forwards and backwards, and compares."""

    def __init__(self, kernels):
        self.kernels, self.differing = kernels, []

    def __call__(self, code, kernel, blocks, threads, arguments):
        copies = tuple(a.copy() if isinstance(a, np.ndarray) else a for a in arguments)
        self.kernels(code, kernel, blocks, threads, arguments)
        self._run_backwards(code, kernel, blocks, threads, copies)
        if any(
            one.tobytes() != other.tobytes()
            for one, other in zip(arguments, copies, strict=True)
            if isinstance(one, np.ndarray)
        ):
            self.differing.append(kernel)

    def _run_backwards(self, *launch):
        for library in self.kernels.libraries.values():
            library.set_blocks_in_reverse(1)
        try:
            self.kernels(*launch)
        finally:
            for library in self.kernels.libraries.values():
                library.set_blocks_in_reverse(0)


class Recorder:
    """A runner that writes launches down instead of making them."""

    def __init__(self):
        self.launches = []

    def __call__(self, code, kernel, blocks, threads, arguments):
        text = bytearray(_numbers(len(kernel)) + kernel.encode())
        text += _numbers(blocks, threads, len(arguments))
        for argument in arguments:
            is_array = isinstance(argument, np.ndarray)
            content = argument.tobytes() if is_array else np.array([argument]).tobytes()
            text += _numbers(is_array, len(content)) + content
        self.launches.append((kernel, bytes(text)))

    def write(self, path):
        launches = [text for _, text in self.launches]
        path.write_bytes(_numbers(len(launches)) + b"".join(launches))


def _numbers(*values):
    return struct.pack(f"<{len(values)}Q", *values)


@functools.cache
def replay_text():
    return (HERE / "replay.hpp").read_text()
