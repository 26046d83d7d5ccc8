"""``python -m tinytrain plan``."""

import pytest

from tinytrain import BatchPlan
from tinytrain import __main__ as command_line


def run(capsys, words):
    status = command_line.main(["plan", *words.split()])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_plan_of_the_documentation(capsys):
    status, out, err = run(capsys, "--total-tokens 32768 --micro-batch 16 --seq-len 256")
    assert status == 0
    assert out.startswith(str(BatchPlan(16, 256, 8)))
    assert out.splitlines()[-1].startswith("fine     8 micro-batches per step")
    assert err == ""


@pytest.mark.parametrize(
    ("words", "plan"),
    [
        ("--micro-batch 16 --seq-len 256 --grad-accum 8", BatchPlan(16, 256, 8)),
        ("--micro-batch 16 --grad-accum 8", BatchPlan(16, 1, 8)),
        ("--total 256 --grad-accum 4", BatchPlan(64, 1, 4)),
        ("--total 256 --grad-accum 4 --micro-batch 2", BatchPlan(2, 32, 4)),
        ("--total 256 --grad-accum 4 --micro-batch 2 --seq-len 8", BatchPlan(2, 8, 4, 4)),
        ("--total 256 --micro-batch 2 --world-size 8", BatchPlan(2, 1, 16, 8)),
        ("--total 250 --micro-batch 32 --rounding up", BatchPlan(32, 1, 8)),
    ],
)
def test_whatever_is_not_given_is_found(capsys, words, plan):
    status, out, _ = run(capsys, words)
    assert status == 0
    assert out.startswith(str(plan))
    assert ("rounded  250 items were asked for" in out) is ("rounding" in words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--total 250 --micro-batch 32", "error: no whole --grad-accum gives a total of 250"),
        ("--total 250", "error: of --micro-batch, --grad-accum all but one"),
        ("--micro-batch 4", "error: of --total-tokens, --grad-accum all but one are needed"),
        (
            "--total 8 --micro-batch 2 --seq-len 1 --grad-accum 4 --world-size 1",
            "error: nothing is left to solve for",
        ),
        ("--total 256 --micro-batch 0", "error: --micro-batch must be a whole number"),
        ("--total 8 --micro-batch 2 --noise-scale inf", "error: --noise-scale must be above 0"),
        ("--total 8 --micro-batch 2 --lr 1 --lr-total 0", "error: --lr-total must be a whole"),
        ("--total 8 --micro-batch 2 --fixed-bytes 9", "error: --fixed-bytes says nothing without"),
        ("--total 8 --micro-batch 9 --rounding down", "error: --grad-accum cannot be rounded down"),
        (f"--total {10**400} --micro-batch 1 --lr 1 --lr-total 3", "error: these numbers are too"),
        ("--total 256 --micro-batch 4 --lr 0.1", "error: to scale the learning rate give both"),
    ],
)
def test_what_cannot_be_is_said_without_a_traceback(capsys, words, message):
    status, out, err = run(capsys, words)
    assert status == 2
    assert out == ""
    assert err.startswith(message)


def test_a_flaw_shows_in_the_status(capsys):
    status, out, _ = run(capsys, "--total 256 --micro-batch 4 --memory 8MB --bytes-per-row 4MiB")
    assert status == 1
    assert out.splitlines()[-1].startswith("look     a micro-batch needs")


def test_an_amount_that_is_none(capsys):
    with pytest.raises(SystemExit) as ended:
        run(capsys, "--total 256 --micro-batch 4 --memory much")
    assert ended.value.code == 2
    assert "'much' is no amount of memory" in capsys.readouterr().err


def test_nothing_else_in_memory(capsys):
    words = "--total 256 --micro-batch 4 --memory 8MB --bytes-per-row 2MB --fixed-bytes "
    assert run(capsys, words + "0")[0] == run(capsys, words + "0GB")[0] == 0
    assert run(capsys, words + "1")[0] == 1


def test_amounts_that_are_none(capsys):
    for amount in ("9" * 400, "9" * 400 + "GB", "1.5B"):
        with pytest.raises(SystemExit):
            command_line.main(["plan", "--total", "8", "--micro-batch", "2", "--memory", amount])
        assert "memory" in capsys.readouterr().err


def test_the_exit_status_is_explained(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["plan", "--help"])
    assert "exit status: 0 if all is fine" in capsys.readouterr().out
