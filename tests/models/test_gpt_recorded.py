"""Fifty steps of a GPT against recorded losses, which PyTorch gave: see test_gpt_twin."""

import itertools
import json
from pathlib import Path

import pytest

import tinytrain as tt
from tests.models.fixed_run import ADAMW, STEPS, batches, make_model
from tinytrain.models import language_model_loss
from tinytrain.train import accumulate_gradients, divide_gradients

pytestmark = pytest.mark.usefixtures("device")

RECORDED = Path(__file__).with_name("gpt_losses.json")


def train(model, steps=STEPS):
    """The loss per token before each AdamW step."""
    optimizer = tt.optim.AdamW(model.parameters(), **ADAMW)
    losses = []
    for batch in itertools.islice(batches(), steps):
        optimizer.zero_grad()
        loss_sum, items = accumulate_gradients(model, language_model_loss, [batch])
        divide_gradients(model.parameters(), items)
        optimizer.step()
        losses.append(loss_sum.item() / items)
    return losses


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
def test_fifty_steps(device, dtype, tolerance):
    expected = json.loads(RECORDED.read_text())
    assert len(expected) == STEPS
    assert expected[-5] < 0.7 * expected[0]  # the same batch: it does learn
    steps = STEPS if device == "cpu" else 10
    assert train(make_model(dtype), steps) == pytest.approx(expected[:steps], rel=tolerance)
