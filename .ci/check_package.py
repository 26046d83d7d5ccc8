"""Build the wheel and try it in a virtual environment that has nothing else.

    python .ci/check_package.py

The wheel must hold every source file, the licence and the marker `py.typed`; installed without any
extra it must train a model.
"""

import configparser
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from source_tree import ROOT, copy_sources

TRAINING = """
import importlib, pkgutil, sys
import tinytrain as tt

for module in pkgutil.walk_packages(tt.__path__, "tinytrain."):
    importlib.import_module(module.name)
model = tt.nn.Linear(2, 1)
optimizer = tt.optim.AdamW(model.parameters(), lr=0.1)
losses = []
for _ in range(20):
    optimizer.zero_grad()
    loss = tt.nn.functional.mse_loss(model(tt.ones(4, 2)), tt.zeros(4, 1))
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert losses[-1] < losses[0], losses
extras = {"pytest", "hypothesis", "torch", "cupy", "sklearn", "matplotlib"} & set(sys.modules)
assert not extras, extras
print(f"tinytrain {tt.__version__} trains without any extra: {tt.__file__}")
"""


def run(*command: object, folder: Path) -> None:
    """Run a command; a failure ends the check."""
    subprocess.run([str(word) for word in command], cwd=folder, check=True)


def build(folder: Path) -> Path:
    """Build the wheel from a copy of the sources."""
    sources = copy_sources(folder / "sources")
    arguments = ("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ".")
    run(sys.executable, "-m", "pip", *arguments, folder=sources)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Hold the wheel's files and name against the sources and setup.cfg."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    name = settings["metadata"]["name"].replace("-", "_")
    if not wheel.name.startswith(f"{name}-"):
        sys.exit(f"the wheel is called {wheel.name}, not {name}-...")
    kinds = ("*.py", "*.cu", "*.cuh", "*.json")
    paths = [path for kind in kinds for path in ROOT.glob(f"tinytrain/**/{kind}")]
    wanted = {path.relative_to(ROOT).as_posix() for path in paths}
    wanted.add("tinytrain/py.typed")
    held = set(zipfile.ZipFile(wheel).namelist())
    inside = {member for member in held if ".dist-info/" not in member}
    if inside != wanted:
        sys.exit(f"missing from the wheel: {wanted - inside}; not wanted: {inside - wanted}")
    if not any(member.endswith("/licenses/LICENSE") for member in held):
        sys.exit("the wheel holds no licence")
    print(f"{wheel.name}: {len(wanted)} files, py.typed and the licence")


def main() -> None:
    """Build, look inside, install, train."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        check_contents(wheel)
        run(sys.executable, "-m", "venv", folder / "venv", folder=folder)
        binaries = "Scripts" if sys.platform == "win32" else "bin"
        python = folder / "venv" / binaries / "python"
        run(python, "-m", "pip", "install", "--quiet", wheel, folder=folder)
        run(python, "-W", "error", "-c", TRAINING, folder=folder)


if __name__ == "__main__":
    main()
