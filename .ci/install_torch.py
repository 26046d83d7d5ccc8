"""Install PyTorch for the oracle tests, where that is a matter of minutes; else say why not.

    python .ci/install_torch.py

On Linux the package index offers a build that drags in gigabytes of CUDA libraries. It is not
wanted: pip is first asked, without a download, which build it would take. The exit status is 0
where PyTorch is there afterwards, and 3 where the oracle tests have to be left out.
"""

import json
import re
import subprocess
import sys

WANTED = "torch==2.13.*"
ITS_TABLES_NEED = "expecttest"
SECONDS = 300
NOT_AVAILABLE = 3


def pip(*arguments: str) -> str:
    """Run pip with wheels only, and return what it printed."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
    return subprocess.run(
        [*command, *arguments], check=True, timeout=SECONDS, capture_output=True, text=True
    ).stdout


def reason_against() -> str | None:
    """Return why the build that pip would take is not wanted, or None."""
    report = json.loads(pip("--dry-run", "--no-deps", "--report", "-", WANTED))
    if not report["install"]:
        return None  # it is there already
    metadata = report["install"][0]["metadata"]
    for requirement in metadata.get("requires_dist", []):
        name = re.match(r"[\w.-]+", requirement)
        if sys.platform == "linux" and name and name[0].startswith(("nvidia", "cuda", "triton")):
            return f"torch {metadata['version']} is a CUDA build (it requires {name[0]})"
    return None


def main() -> int:
    """Try, and tell how it went."""
    try:
        problem = reason_against()
        if problem is None:
            pip(WANTED, ITS_TABLES_NEED)
    except subprocess.TimeoutExpired:
        problem = f"pip took more than {SECONDS} s"
    except (subprocess.CalledProcessError, ValueError, KeyError) as error:
        last = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        problem = f"pip cannot install {WANTED}: {last}"
    if problem is None:
        print("PyTorch is installed: the oracle tests run")
        return 0
    print(f"no oracle tests: {problem}")
    return NOT_AVAILABLE


if __name__ == "__main__":
    sys.exit(main())
