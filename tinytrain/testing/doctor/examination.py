"""Is everything in order here? A report on the machine, and a training run of a second.

``python -m tinytrain doctor --device cuda`` prints what `examine` finds.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tinytrain import backend
from tinytrain.generator import default_generator
from tinytrain.testing.doctor.cuda_facts import cuda_findings
from tinytrain.testing.doctor.machine import Finding, machine_findings
from tinytrain.testing.doctor.self_test import self_test


def examine(device: str | None = None) -> list[Finding]:
    """Look at the machine, and try the chosen device.

    Parameters
    ----------
    device : str, optional
        A name for `tinytrain.set_device`. Without it ``TINYTRAIN_DEVICE`` decides, else the CPU.

    Returns
    -------
    list of Finding
        Facts first, then the device and the self-test, which are right or wrong. All is in order
        where no finding has an `ok` of False.

    Notes
    -----
    The chosen device and the default generator are as before afterwards.

    Examples
    --------
    >>> findings = examine("cpu")
    >>> [finding.name for finding in findings if finding.ok]
    ['device', 'training on cpu', 'gradients on cpu', 'checkpoint on cpu']
    """
    facts = [*machine_findings(), *cuda_findings()]
    with _device_and_generator_kept():
        try:
            used = backend.set_device(device)
        except (RuntimeError, ValueError) as error:
            return [*facts, _unusable_device(str(error))]
        chosen = Finding("device", f"{used} ({_asked_for(device)})", ok=True)
        return [*facts, chosen, *self_test(used)]


def _asked_for(device: str | None) -> str:
    if device:
        return f"asked for: {device}"
    name = os.environ.get("TINYTRAIN_DEVICE")
    return f"TINYTRAIN_DEVICE is {name}" if name else "the default"


def _unusable_device(problem: str) -> Finding:
    remedy = "mend that, or choose another with --device; the self-test was not run"
    return Finding("device", problem, ok=False, remedy=remedy)


@contextmanager
def _device_and_generator_kept() -> Iterator[None]:
    """Put the chosen device back, even that none was chosen yet, and the default generator."""
    library, state = backend._creation_library, default_generator().get_state()
    try:
        yield
    finally:
        backend._creation_library = library
        default_generator().set_state(state)


def report(findings: Sequence[Finding]) -> str:
    """Write findings as text: the facts, then what is ok or FAILED, each with what to do.

    Examples
    --------
    >>> print(report([Finding("Python", "3.13.1"), Finding("disk", "full", False, "tidy up")]))
    Python  3.13.1
    <BLANKLINE>
    FAILED  disk: full
            -> tidy up
    <BLANKLINE>
    1 of 1 checks failed.
    """
    facts = [finding for finding in findings if finding.ok is None]
    checks = [finding for finding in findings if finding.ok is not None]
    width = max((len(finding.name) for finding in facts), default=0)
    lines = [f"{finding.name:<{width}}  {finding.text}" for finding in facts]
    lines.append("")
    for finding in checks:
        lines.append(f"{'ok' if finding.ok else 'FAILED':<6}  {finding.name}: {finding.text}")
        if not finding.ok:
            lines.append(f"{'':<8}-> {finding.remedy}")
    failed = sum(not finding.ok for finding in checks)
    verdict = f"{failed} of {len(checks)} checks failed." if failed else "Everything is in order."
    return "\n".join([*lines, "", verdict])


def run_doctor(device: str | None = None) -> int:
    """Print the report, and return the exit status: 0 if all is in order, else 1."""
    findings = examine(device)
    print(report(findings))
    return int(any(finding.ok is False for finding in findings))
