"""What a training step of the two examples asks of a GPU, counted on the mock one."""

import numpy as np
import pytest

import tinytrain as tt
from tinytrain.data import DataLoader, PackedDataset, TensorDataset, collate_packed, plan_packing
from tinytrain.models import GPT, MLP, GPTConfig, classification_loss, language_model_loss
from tinytrain.testing import mock

ACCUMULATION = 2
STEPS = 4

LAUNCH_CEILINGS = {"gpt": 518, "digits": 246}
"""Kernel launches of one optimizer step of two micro-batches. They may fall, never rise: a change
that saves launches writes the new numbers here."""


@pytest.fixture(autouse=True)
def _on_the_mock():
    tt.set_device("mock")
    tt.manual_seed(0)
    yield
    tt.set_device("cpu")


def gpt_run():
    """The layers of examples/train_gpt.py, narrow: the width launches nothing."""
    lengths = np.random.default_rng(0).integers(5, 33, size=64)
    sequences = [np.arange(n) % 20 for n in lengths]
    data = PackedDataset(sequences, plan_packing([len(s) for s in sequences], 32), pad_id=0)
    loader = DataLoader(data, 2, shuffle=True, collate_fn=collate_packed, generator=0)
    config = GPTConfig(vocab_size=20, context_length=32, num_layers=3, num_heads=4, embed_dim=16)
    model = GPT(config)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return model, groups, language_model_loss, loader


def digits_run():
    """The layers of examples/digits.py."""
    random = np.random.default_rng(0)
    pixels = random.random((256, 64), dtype=np.float32)
    data = TensorDataset(pixels, random.integers(0, 10, size=256))
    loader = DataLoader(data, 16, shuffle=True, drop_last=True, generator=0)
    model = MLP([64, 32, 32, 10], True, 0.2)
    return model, list(model.parameters()), classification_loss, loader


RUNS = {"gpt": gpt_run, "digits": digits_run}


def ledgers_of(name, log_every=1000):
    """Train for a few steps and return what each of them asked of the GPU."""
    model, parameters, loss_function, loader = RUNS[name]()
    optimizer = tt.optim.AdamW(parameters, lr=1e-3)
    trainer = tt.Trainer(
        model,
        optimizer,
        loss_function,
        loader,
        max_steps=STEPS,
        accumulation_steps=ACCUMULATION,
        batch_norm="pooled",
        schedule=tt.optim.WarmupCosine(optimizer, 2, STEPS),
        clip_grad_norm=1.0,
        log_every=log_every,
        progress=False,
    )
    with mock.forbid_sync():
        result = trainer.fit()
    assert np.isfinite(result.training_loss)
    return trainer.step_costs.steps


def arrays_of(name):
    """The arrays of one micro-batch, in host memory."""
    *_, loader = RUNS[name]()
    batch = next(iter(loader))
    values = batch if isinstance(batch, tuple | list) else vars(batch).values()
    return [value for value in values if isinstance(value, np.ndarray)]


@pytest.mark.parametrize("name", RUNS)
def test_each_tensor_of_a_micro_batch_crosses_once_and_nothing_else(name):
    arrays = arrays_of(name)
    assert len(arrays) >= 2
    for ledger in ledgers_of(name)[:-1]:  # the last step reads the loss for the log
        assert ledger.copies_to_device == ACCUMULATION * len(arrays)
        assert (ledger.copies_to_host, ledger.bytes_to_host) == (0, 0)
    if name == "digits":  # packed batches differ in one small array's length
        assert ledger.bytes_to_device == ACCUMULATION * sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("name", RUNS)
def test_a_step_never_waits(name):
    for ledger in ledgers_of(name)[:-1]:
        assert ledger.waits.total() == 0


@pytest.mark.parametrize("name", RUNS)
def test_logging_waits_on_purpose_only(name):
    for ledger in ledgers_of(name, log_every=1):
        assert not ledger.implicit_waits
        assert ledger.waits.total() == 2  # the norm and the loss, before they are trusted


@pytest.mark.parametrize("name", RUNS)
def test_launches_stay_at_the_recorded_ceiling(name):
    ledger = ledgers_of(name)[1]  # the first step also makes the optimizer's state
    recorded = LAUNCH_CEILINGS[name]
    listing = "\n".join(f"{count:5} {what}" for what, count in ledger.launches.most_common())
    assert ledger.launch_count <= recorded, f"more launches than {recorded}:\n{listing}"
    assert ledger.launch_count == recorded, (
        f"{ledger.launch_count} launches: write that into LAUNCH_CEILINGS, which may only fall"
    )


def test_the_optimizer_steps_in_one_launch_per_group():
    ledger = ledgers_of("gpt")[1]
    assert ledger.launches_by_operation()["AdamW.update"] == 2


@pytest.mark.parametrize("name", RUNS)
def test_the_run_equals_the_one_on_the_cpu(name):
    def losses():
        tt.manual_seed(0)
        model, parameters, loss_function, loader = RUNS[name]()
        # A large eps: the gradient of a key's bias is rounding noise, which AdamW would blow up.
        optimizer = tt.optim.AdamW(parameters, lr=1e-2, eps=1e-3)
        found = []
        for batch in list(loader)[:5]:
            optimizer.zero_grad()
            loss_sum, items = tt.train.accumulate_gradients(model, loss_function, [batch])
            tt.train.divide_gradients(model.parameters(), items)
            optimizer.step()
            found.append(loss_sum.cpu().item() / items)
        return found, [p.detach().cpu().numpy() for p in model.parameters()]

    on_mock, mock_parameters = losses()
    tt.set_device("cpu")
    on_cpu, parameters = losses()
    np.testing.assert_allclose(on_mock, on_cpu, rtol=1e-5)
    for found, wanted in zip(mock_parameters, parameters, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
