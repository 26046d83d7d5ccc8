"""Hold README.md against what it says.

    python .ci/readme_blocks.py test-arguments   print the arguments of the README's pytest command
    python .ci/readme_blocks.py run              check its map, run all of its commands and examples

Each ```python block runs in a fresh interpreter and an empty folder. The ```bash blocks must hold
two set-up commands: one that installs and one that tests. Both run in a copy of the sources, as
they stand but for two things: an example runs with --quick, and pytest only collects its tests,
because the run that follows from `test-arguments` has run them already. The files of the map
must exist, and have about as many lines as it says.
"""

import configparser
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from source_tree import ROOT, copy_sources

SECONDS_PER_BLOCK = 300
SET_UP_COMMANDS = 2
MAP_ROW = re.compile(r"\| `([^`]+\.py)` \| *([\d,]+) *\|")
MAP_TOLERANCE = 0.15  # of the real number of lines


class ReadmeError(Exception):
    """README.md says something that does not hold."""


def blocks(text: str, language: str) -> list[tuple[int, str]]:
    """Return the fenced blocks of a language, each with the number of its first line of code."""
    found: list[tuple[int, str]] = []
    code: list[str] = []
    first, fence = 0, None  # the language of the block that the line stands in
    for number, line in enumerate(text.splitlines(), start=1):
        opening = re.match(r"```+\s*(\S*)", line)
        if fence is None and opening:
            fence, code, first = opening[1], [], number + 1
        elif fence is not None and line.rstrip() == "```":
            if fence == language:
                found.append((first, "\n".join(code) + "\n"))
            fence = None
        else:
            code.append(line)
    if fence is not None:
        raise ReadmeError(f"the block that begins at line {first} is never closed")
    return found


def commands(text: str) -> list[str]:
    """Return the commands of all ```bash blocks, one per line."""
    joined = "\n".join(code.replace("\\\n", " ") for _, code in blocks(text, "bash"))
    lines = [line.strip() for line in joined.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def parts(command: str) -> list[list[str]]:
    """Split a command at its `&&` into simple commands, and each of those into words."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    split: list[list[str]] = [[]]
    for word in lexer:
        if word == "&&":
            split.append([])
        elif re.fullmatch(r"[();<>|&]+", word):
            raise ReadmeError(f"{word!r} in {command!r}: a set-up command uses && alone")
        else:
            split[-1].append(word)
    if not all(split):
        raise ReadmeError(f"nothing stands before or behind a && in {command!r}")
    return split


def set_up(text: str) -> tuple[list[list[str]], list[list[str]]]:
    """Return the two set-up commands, split."""
    found = commands(text)
    if len(found) != SET_UP_COMMANDS:
        raise ReadmeError(
            f"the bash blocks hold {len(found)} commands, not {SET_UP_COMMANDS}: {found}"
        )
    install, test = map(parts, found)
    for command in (install, test):
        check_extras(command)
    if not any("install" in words for words in install):
        raise ReadmeError(f"the first set-up command installs nothing: {found[0]}")
    if sum(pytest_arguments(words) is not None for words in test) != 1:
        raise ReadmeError(f"the second set-up command runs pytest not exactly once: {found[1]}")
    return install, test


def pytest_arguments(words: list[str]) -> list[str] | None:
    """Return what stands behind `pytest` or `python -m pytest`; None for another command."""
    if Path(words[0]).name == "pytest":
        return words[1:]
    if Path(words[0]).name.startswith("python") and words[1:3] == ["-m", "pytest"]:
        return words[3:]
    return None


def check_extras(command: list[list[str]]) -> None:
    """Raise for extras that setup.cfg does not offer: pip would only warn."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    offered = set(settings["options.extras_require"])
    for word in (word for words in command for word in words):
        asked = re.fullmatch(r"\.\[(.*)\]", word)
        unknown = {name.strip() for name in asked[1].split(",")} - offered if asked else set()
        if unknown:
            raise ReadmeError(f"{word!r}: setup.cfg has no extras {', '.join(sorted(unknown))}")


def adapted(words: list[str]) -> list[str]:
    """Return a simple command that does the same in less time."""
    if pytest_arguments(words) is not None:
        return [*words, "--collect-only", "-qqq", "--no-summary"]
    if any(re.fullmatch(r"examples/\w+\.py", word) for word in words) and "--quick" not in words:
        return [*words, "--quick"]
    return words


def check_map(text: str) -> None:
    """Raise where the map names a file that is not there, or is far off its number of lines."""
    rows = [row for line in text.splitlines() if (row := MAP_ROW.match(line))]
    if not rows:
        raise ReadmeError("there is no map: no row `file` | lines | ...")
    problems = []
    for name, claimed in (row.groups() for row in rows):
        if not (ROOT / name).is_file():
            problems.append(f"{name}: there is no such file")
            continue
        lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
        if abs(int(claimed.replace(",", "")) - lines) > MAP_TOLERANCE * lines:
            problems.append(f"{name}: {round(lines, -1)} lines, not {claimed}")
    if problems:
        raise ReadmeError("the map is out of date\n  " + "\n  ".join(problems))
    print(f"the map's {len(rows)} files are there, with about as many lines as it says", flush=True)


def run_set_up(text: str, folder: Path) -> None:
    """Run both set-up commands in a copy of the sources."""
    sources = copy_sources(folder / "sources")
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    for command in set_up(text):
        for words in map(adapted, command):
            print(f"$ {shlex.join(words)}", flush=True)
            subprocess.run(words, cwd=sources, env=environment, check=True)


def run_examples(text: str, folder: Path) -> None:
    """Run every ```python block by itself."""
    found = blocks(text, "python")
    if not found:
        raise ReadmeError("there is no python block")
    for first, code in found:
        print(f"python block at line {first}", flush=True)
        script = folder / f"block_{first}" / "readme.py"
        script.parent.mkdir()
        # As many empty lines before the code as there are in the README: tracebacks fit.
        script.write_text("\n" * (first - 1) + code, encoding="utf-8")
        command = [sys.executable, script.name]
        subprocess.run(command, cwd=script.parent, check=True, timeout=SECONDS_PER_BLOCK)


def main(action: str, readme: Path) -> None:
    """Do what the command line asks for."""
    text = readme.read_text(encoding="utf-8")
    if action == "test-arguments":
        _, test = set_up(text)
        print("\n".join(next(filter(None, map(pytest_arguments, test)), [])))
    elif action == "run":
        check_map(text)
        with tempfile.TemporaryDirectory() as folder:
            run_set_up(text, Path(folder))
            run_examples(text, Path(folder))
    else:
        raise ReadmeError(f"no action {action!r}: test-arguments or run")


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "README.md")
    except (ReadmeError, OSError, subprocess.SubprocessError) as problem:
        sys.exit(f"README: {problem}")
