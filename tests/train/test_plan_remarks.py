"""What is said about a batch plan."""

import pytest

from tinytrain import BatchPlan
from tinytrain.optim import linear_scaling, square_root_scaling
from tinytrain.train import judge_plan

GB = 10**9


@pytest.mark.parametrize(
    ("steps", "fine", "words"),
    [
        (1, True, "no accumulation"),
        (2, True, "2 micro-batches per step: between 2 and 64"),
        (64, True, "64 micro-batches"),
        (65, False, "65 micro-batches per step are more than 64"),
    ],
)
def test_accumulation(steps, fine, words):
    (remark,) = judge_plan(BatchPlan(4, accumulation_steps=steps))
    assert remark.fine is fine
    assert words in remark.text


@pytest.mark.parametrize(
    ("memory", "fine", "words"),
    [
        (5 * GB, True, "a micro-batch needs 5.00 GB of 5.00 GB"),
        (5 * GB - 1, False, "at most 3 rows fit, with more accumulation"),
        (2 * GB, False, "at most 1 row fits"),
        (2 * GB - 1, False, "not even one row fits"),
    ],
)
def test_memory(memory, fine, words):
    remark = judge_plan(BatchPlan(4), memory=memory, bytes_per_row=GB, fixed_bytes=GB)[-1]
    assert remark.fine is fine
    assert words in remark.text


def test_learning_rates_are_those_of_the_scaling_rules():
    remark = judge_plan(BatchPlan(64, accumulation_steps=4), lr=1e-3, lr_total=128)[-1]
    assert remark.fine
    assert f"{square_root_scaling(1e-3, 128, 256).lr:.3g} for Adam" in remark.text
    assert f"{linear_scaling(1e-3, 128, 256):.3g} for SGD" in remark.text
    assert "warm-up" in remark.text
    smaller = judge_plan(BatchPlan(64), lr=1e-3, lr_total=128)[-1]
    assert "0.0005 for SGD" in smaller.text
    assert "warm-up" not in smaller.text
    far = judge_plan(BatchPlan(64), lr=1e-3, lr_total=1)[-1]
    assert not far.fine
    assert "64 times the items is far to go" in far.text


@pytest.mark.parametrize(
    ("noise_scale", "fine", "steps", "items"),
    [
        (256, True, "2 times", "2 times"),
        (2560, True, "11 times", "1.1 times"),
        (16, False, "1.06", "17 times"),
    ],
)
def test_noise(noise_scale, fine, steps, items):
    remark = judge_plan(BatchPlan(256), noise_scale=noise_scale)[-1]
    assert remark.fine is fine
    assert f"about {steps}" in remark.text
    assert f"and {items}" in remark.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"memory": GB}, "give both memory and bytes_per_row"),
        ({"bytes_per_row": 1}, "give both memory"),
        ({"memory": 0, "bytes_per_row": 1}, "above 0"),
        ({"lr": 0.1}, "give both lr and lr_total"),
        ({"lr": -0.1, "lr_total": 4}, "lr must be above 0"),
        ({"noise_scale": 0.0}, "noise_scale must be above 0"),
    ],
)
def test_what_cannot_be_judged(settings, message):
    with pytest.raises(ValueError, match=message):
        judge_plan(BatchPlan(4), **settings)


def test_the_remark_on_adam_is_the_rules_own():
    """The rule scales the betas too, and ends where k (1 - beta) reaches 1."""
    remark = judge_plan(BatchPlan(256), lr=1e-3, lr_total=64)[-1]
    settings = square_root_scaling(1e-3, 64, 256)
    assert f"with betas {settings.betas[0]:.3g} and {settings.betas[1]:.4g}" in remark.text
    with pytest.raises(ValueError, match="keep this beta by hand"):
        square_root_scaling(1e-3, 64, 640)
    remark = judge_plan(BatchPlan(640), lr=1e-3, lr_total=64)[-1]
    assert "nothing for Adam" in remark.text
    assert "0.01 for SGD" in remark.text


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["noise_scale", "lr"])
def test_numbers_that_are_not_finite_or_not_positive(name, value):
    others = {"lr_total": 8} if name == "lr" else {}
    with pytest.raises(ValueError, match=f"{name} must be above 0 and finite, got"):
        judge_plan(BatchPlan(4), **{name: value}, **others)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.1, "lr_total": 0}, "lr_total must be a whole number of at least 1, but got 0"),
        ({"fixed_bytes": 10}, "fixed_bytes says nothing without memory and bytes_per_row"),
    ],
)
def test_numbers_that_need_others(settings, message):
    with pytest.raises(ValueError, match=message):
        judge_plan(BatchPlan(4), **settings)


@pytest.mark.parametrize(
    ("noise_scale", "words"),
    [(0.2, "scale of 0.2 items"), (1.0, "scale of 1 item:"), (12_345, "scale of 12,345 items")],
)
def test_small_noise_scales_are_not_rounded_to_nothing(noise_scale, words):
    assert words in judge_plan(BatchPlan(4), noise_scale=noise_scale)[-1].text
