"""Write down the public surface of an installed CuPy: names, parameters, methods of ufuncs.

``python tests/testing/record_cupy_surface.py`` writes ``tinytrain/testing/cupy_surface.json``,
which the mock GPU and the device lint read; with ``--check`` it writes nothing, and exits with 1
and a diff if the wheel differs from the file. Neither needs a GPU: a wheel (``pip install
cupy-cuda13x``) is enough, so a scheduled CI job can install the newest one and run ``--check`` to
learn what changed. The everyday tests read the committed file and need no CuPy.
"""

import argparse
import difflib
import inspect
import json
import os
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

TARGET = Path(__file__).resolve().parents[2] / "tinytrain" / "testing" / "cupy_surface.json"

# Python can say only (*args, **kwargs) of these; their documentation and bodies say more.
DOCUMENTED = {
    "einsum": "subscripts, /, *operands, dtype=, optimize=",
    "matmul": "x1, x2, /, out=, *, axes=, axis=, keepdims=, casting=, dtype=, signature=, order=",
    "meshgrid": "*xi, indexing=, copy=, sparse=",
    "pad": "array, pad_width, mode=, *, stat_length=, constant_values=, end_values=, reflect_type=",
}
CLASS_MACHINERY = {"__init_subclass__", "__new__", "__subclasshook__"}
PROBED_METHODS = ("accumulate", "at", "outer", "reduce", "reduceat")
DOCUMENTED_CALL = re.compile(r"^[\w.]+\((?P<parameters>.*?)\)(\s*->.*)?$")


def import_cupy() -> ModuleType:
    """Import CuPy with every GPU hidden: a probe must never start a kernel on host memory."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import cupy

    return cupy


# ---------------------------------------------------------------- parameters as one line of text


def parameters_of(name: str, function: Any) -> str:
    """Return ``"a, axis=, *, dtype="``: names, ``=`` behind what may be left out, markers."""
    if name in DOCUMENTED:
        return DOCUMENTED[name]
    try:
        return parameters_of_signature(inspect.signature(function))
    except ValueError:  # compiled code: the first line of its documentation has the call
        return parameters_of_documentation(function)


def parameters_of_signature(signature: inspect.Signature) -> str:
    parts = []
    kinds = [p.kind for p in signature.parameters.values()]
    star_written = False
    for index, parameter in enumerate(signature.parameters.values()):
        if parameter.kind is parameter.VAR_POSITIONAL:
            star_written = True
            parts.append(f"*{parameter.name}")
        elif parameter.kind is parameter.VAR_KEYWORD:
            parts.append(f"**{parameter.name}")
        else:
            if parameter.kind is parameter.KEYWORD_ONLY and not star_written:
                star_written = True
                parts.append("*")
            optional = "" if parameter.default is parameter.empty else "="
            parts.append(parameter.name + optional)
            last_positional_only = kinds[index : index + 2].count(parameter.POSITIONAL_ONLY) == 1
            if parameter.kind is parameter.POSITIONAL_ONLY and last_positional_only:
                parts.append("/")
    return ", ".join(parts)


def parameters_of_documentation(function: Any) -> str:
    line = (function.__doc__ or "").split("\n")[0]
    call = DOCUMENTED_CALL.match(line)
    if call is None:
        raise SystemExit(f"cannot read the parameters of {function!r} from {line!r}")
    parts = [part.strip() for part in call["parameters"].split(",") if part.strip()]
    return ", ".join(one_parameter(part) for part in parts if part != "self")


def one_parameter(text: str) -> str:
    """``"int axis=-1"`` is ``"axis="``: no C type, no default value."""
    name, equals, _ = text.partition("=")
    return name.split()[-1] + equals


# ---------------------------------------------------------------- ufuncs


def header_only_array(cupy: Any, host: np.ndarray) -> Any:
    """A real ``cupy.ndarray`` over host memory: its checks work, its kernels cannot start."""
    memory = cupy.cuda.UnownedMemory(host.ctypes.data, host.nbytes, host, 0)
    return cupy.ndarray((2,), "float32", cupy.cuda.MemoryPointer(memory, 0))


def methods_that_work(cupy: Any, ufunc: Any) -> list[str]:
    """CuPy refuses what it lacks before it reaches for a GPU; what it has fails for want of one."""
    x = header_only_array(cupy, np.zeros(8, np.float32))
    second = (x,) if ufunc.nin == 2 else ()
    arguments = {
        "accumulate": (x,),
        "at": (x, [0], *second),
        "outer": (x, x),
        "reduce": (x,),
        "reduceat": (x, [0]),
    }
    working = []
    for method in PROBED_METHODS:
        if method != "at" and ufunc.nin != 2:
            continue
        try:
            getattr(ufunc, method)(*arguments[method])
        except NotImplementedError:
            continue
        except cupy.cuda.runtime.CUDARuntimeError:
            pass
        working.append(method)
    return working


# ---------------------------------------------------------------- the whole surface


def is_constant(name: str, value: Any) -> bool:
    """Numbers, None, and what CuPy takes over from NumPy as it is: dtypes and their families."""
    if isinstance(value, type):
        return issubclass(value, np.generic) or getattr(np, name, None) is value
    return value is None or isinstance(value, float)


def record(cupy: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "version": cupy.__version__,
        "constants": [],
        "classes": [],
        "modules": [],
        "objects": [],
        "functions": {},
        "ufuncs": {},
        "ufunc_methods": {
            name: parameters_of(name, getattr(cupy.ufunc, name)) for name in PROBED_METHODS
        },
        "methods": {},
        "properties": [],
        "operators": [],
    }
    for name in public_names(cupy):
        value = getattr(cupy, name)
        if isinstance(value, ModuleType):
            found["modules"].append(name)
        elif isinstance(value, cupy.ufunc):
            methods = " ".join(methods_that_work(cupy, value))
            found["ufuncs"][name] = f"{value.nin} {value.nout} {methods}".rstrip()
        elif is_constant(name, value):
            found["constants"].append(name)
        elif isinstance(value, type):
            found["classes"].append(name)
        elif callable(value):
            found["functions"][name] = parameters_of(name, value)
        else:
            found["objects"].append(name)
    for name in public_names(cupy.linalg):
        value = getattr(cupy.linalg, name)
        if callable(value) and not isinstance(value, type):
            found["functions"][f"linalg.{name}"] = parameters_of(name, value)
    record_array_type(cupy.ndarray, found)
    return found


def record_array_type(array_type: type, found: dict[str, Any]) -> None:
    for name in dir(array_type):
        value = getattr(array_type, name)
        if name.startswith("__"):
            inherited = getattr(object, name, None) is value or name in CLASS_MACHINERY
            if callable(value) and not inherited:
                found["operators"].append(name)
        elif name.startswith("_"):
            continue
        elif callable(value):
            found["methods"][name] = parameters_of(name, value)
        else:
            found["properties"].append(name)


def public_names(module: ModuleType) -> list[str]:
    imported = {"annotations"}  # from __future__
    return [n for n in sorted(dir(module)) if not n.startswith("_") and n not in imported]


def as_text(found: dict[str, Any]) -> str:
    """JSON with one entry a line, so that a diff names what changed."""
    sections = []
    for section, value in found.items():
        if isinstance(value, str):
            sections.append(f"{json.dumps(section)}: {json.dumps(value)}")
        elif isinstance(value, list):
            lines = ",\n".join(f"  {json.dumps(name)}" for name in value)
            sections.append(f"{json.dumps(section)}: [\n{lines}\n]")
        else:
            lines = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            sections.append(f"{json.dumps(section)}: {{\n{lines}\n}}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


def difference(committed: str, wheel: str) -> str:
    """Return the lines in which the two texts differ, without context; empty if they are equal."""
    lines = difflib.unified_diff(
        committed.splitlines(), wheel.splitlines(), "committed", "installed", lineterm="", n=0
    )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    arguments = parser.parse_args()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # looking at a deprecated name warns
        text = as_text(record(import_cupy()))
    if not arguments.check:
        TARGET.write_text(text)
        print(f"wrote {TARGET}: {len(text)} characters, {text.count(chr(10))} lines")
        return 0
    changes = difference(TARGET.read_text(), text)
    print(changes or f"{TARGET.name} agrees with the installed CuPy")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
