"""The arithmetic of batches, with the figures that lessons quote."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinytrain import BatchPlan

positive = st.integers(1, 64)


@pytest.mark.parametrize(
    ("total", "micro_batch", "seq_len", "accumulation_steps", "rows"),
    [
        (32_768, 16, 256, 8, 128),
        (16_384, 8, 512, 4, 32),  # 32 rows, not the 128 that are sometimes printed
        (32_768, 128, 256, 1, 128),
        (2_048, 8, 256, 1, 8),
        (32_768, 8, 256, 16, 128),
        (256, 64, 1, 4, 256),
        (256, 32, 1, 8, 256),
    ],
)
def test_the_figures_of_lessons(total, micro_batch, seq_len, accumulation_steps, rows):
    plan = BatchPlan(micro_batch, seq_len, accumulation_steps)
    assert plan.total == total
    assert plan.rows == rows
    known = {"micro_batch": micro_batch, "seq_len": seq_len, "world_size": 1}
    assert BatchPlan.solve(total=total, **known) == plan
    assert (
        BatchPlan.solve(
            total=total, **known | {"seq_len": None}, accumulation_steps=plan.accumulation_steps
        )
        == plan
    )
    text = str(plan)
    assert f"{accumulation_steps} micro-batch" in text
    assert f"{total:,}" in text.splitlines()[-1]


def test_ranks_of_data_parallel_training():
    assert BatchPlan(32, world_size=8).total == 256
    assert BatchPlan.solve(total=256, micro_batch=32, accumulation_steps=1, world_size=None) == (
        BatchPlan(32, world_size=8)
    )


@pytest.mark.parametrize(
    ("total", "message"),
    [
        (250, "no whole accumulation_steps gives a total of 250 .*: 7 gives 224, 8 gives 256"),
        (16, r"total of 16 \(the other parts multiply to 32\): 1 gives 32; change a part"),
    ],
)
def test_what_cannot_be_reached_is_answered_with_what_can(total, message):
    with pytest.raises(ValueError, match=message):
        BatchPlan.solve(total=total, micro_batch=32)


@given(positive, positive, positive, positive, st.integers(0, 3))
def test_solving_finds_the_part_that_is_missing(micro, length, steps, world, missing):
    parts = {
        "micro_batch": micro,
        "seq_len": length,
        "accumulation_steps": steps,
        "world_size": world,
    }
    plan = BatchPlan(**parts)
    assert plan.total == micro * length * steps * world
    parts[list(parts)[missing]] = None
    assert BatchPlan.solve(total=plan.total, **parts) == plan


@given(st.integers(1, 10_000), positive)
def test_a_total_is_reached_exactly_or_refused(total, micro):
    if total % micro:
        with pytest.raises(ValueError, match=f"total of {total:,}"):
            BatchPlan.solve(total=total, micro_batch=micro)
    else:
        assert BatchPlan.solve(total=total, micro_batch=micro).total == total


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "4", None, np.float64(3)])
def test_parts_are_positive_whole_numbers(value):
    with pytest.raises(ValueError, match="micro_batch must be a whole number of at least 1"):
        BatchPlan(micro_batch=value)


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"total": 8}, "micro_batch, accumulation_steps"),
        ({"total": 8, "micro_batch": 1, "accumulation_steps": 2}, "none"),
        ({"micro_batch": 1}, "accumulation_steps, total"),
    ],
)
def test_exactly_one_quantity_is_solved_for(parts, named):
    with pytest.raises(ValueError, match=f"leave exactly one quantity as None .*not {named}$"):
        BatchPlan.solve(**parts)


@given(positive, positive, positive, positive)
def test_the_total_may_be_the_unknown(micro, length, steps, world):
    parts = {"seq_len": length, "accumulation_steps": steps, "world_size": world}
    plan = BatchPlan.solve(micro_batch=micro, **parts)
    assert plan == BatchPlan(micro, length, steps, world)


@given(st.integers(1, 10_000), positive, positive)
def test_rounding_takes_the_totals_next_to_the_one_asked_for(total, micro, length):
    product = micro * length
    reachable = range(product, total + 2 * product, product)
    expected = {
        "down": max((value for value in reachable if value <= total), default=product),
        "up": min(value for value in reachable if value >= total),
        "nearest": min(reachable, key=lambda value: (abs(value - total), value)),
    }
    if product > total:
        expected.pop("down")
        with pytest.raises(ValueError, match="cannot be rounded down"):
            BatchPlan.solve(total=total, micro_batch=micro, seq_len=length, rounding="down")
    for rounding, wanted in expected.items():
        plan = BatchPlan.solve(total=total, micro_batch=micro, seq_len=length, rounding=rounding)
        assert plan.total == wanted


def test_an_unknown_rounding():
    with pytest.raises(ValueError, match="one of refuse, down, up, nearest, not 'off'"):
        BatchPlan.solve(total=8, micro_batch=3, rounding="off")


def test_one_is_singular():
    table = str(BatchPlan(micro_batch=1, seq_len=1, accumulation_steps=1))
    for words in ("1 row\n", "1 item per row\n", "1 micro-batch per step\n", "1 process\n"):
        assert words in table
