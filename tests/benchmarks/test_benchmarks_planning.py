"""The planning benchmark runs, and its figures are those of the plans."""

import numpy as np
import planning
import pytest

from tinytrain.data import order_measures


def test_it_prints_a_row_for_each_way_and_number_of_lengths(capsys):
    planning.main(["--quick", "--lengths", "300", "500"])
    text = capsys.readouterr().out
    for name in (*planning.SAMPLERS, *planning.PACKERS):
        rows = [line for line in text.splitlines() if line.startswith(f"| {name} ")]
        assert [row.split("|")[2].strip() for row in rows] == ["300", "500"]


def test_figures():
    lengths = planning.log_normal_lengths(2_000, 4.5, 0.8, 1024)
    row = dict(
        zip(
            planning.BUCKET_COLUMNS, planning.bucket_row("random, 32 rows", lengths, 1), strict=True
        )
    )
    assert row["batches"] == "63"
    assert float(row["padding"].rstrip("%")) > 60
    row = dict(
        zip(planning.PACKING_COLUMNS, planning.packing_row("next_fit", lengths, 1), strict=True)
    )
    assert float(row["/ lower bound"]) >= 1


def test_the_best_time_of_several():
    pauses = iter([0.02, 0.0, 0.01])
    seconds, last = planning.best_seconds(lambda: planning.time.sleep(next(pauses)) or "done", 3)
    assert seconds < 0.01
    assert last == "done"


def test_the_correlation_is_the_measure_of_the_package():
    assert planning.lag_correlation is order_measures.lag_correlation
    lengths = planning.log_normal_lengths(2_000, 4.5, 0.8, 1024)
    sampler = planning.SAMPLERS["sorted pools, 32 rows"](lengths)
    means = [lengths[batch].mean() for batch in sampler.plan(0)]
    row = planning.bucket_row("sorted pools, 32 rows", lengths, 1)
    column = planning.BUCKET_COLUMNS.index("correlation")
    assert float(row[column]) == pytest.approx(order_measures.lag_correlation(means), abs=0.006)


def test_the_lengths_are_those_of_the_reference():
    lengths = planning.log_normal_lengths(20_000, 4.5, 0.8, 1024)
    drawn = np.random.default_rng(0).lognormal(4.5, 0.8, 20_000)
    assert lengths.tolist() == np.clip(np.rint(drawn), 1, 1024).tolist()


def test_all_promises_but_those_of_time_are_kept():
    kept = {row[0]: row[3] for row in planning.promise_rows(rounds=1)}
    assert len(kept) == 9
    assert {name for name, word in kept.items() if word != "yes"} <= {
        name for name in kept if name.startswith("seconds")
    }
    tight = planning.packing_lengths(100_000)["bimodal"]
    assert planning.packing_row(planning.PACKERS[0], tight, 1)[3] == "40,271"
