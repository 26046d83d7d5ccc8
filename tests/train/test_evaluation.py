"""Evaluation: the mean over items, and nothing changed by it."""

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tests.train.regression import make_data, make_model, make_trainer, squared_error
from tinytrain.data import DataLoader, TensorDataset
from tinytrain.models import MLP, classification_loss
from tinytrain.train.evaluation import evaluate

pytestmark = pytest.mark.usefixtures("device")


@pytest.mark.parametrize("batch_size", [1, 4, 5, 22])
def test_the_mean_is_over_items(batch_size):
    counts = np.arange(22) % 3 > 0
    counts[:5] = False  # batches without any
    data, model = make_data(22, counts), make_model()
    x, y, _ = data.tensors
    errors = (x @ host(model.weight).T + host(model.bias) - y).ravel()[counts]
    trainer = make_trainer(model, data, max_steps=1)
    found = trainer.evaluate(DataLoader(data, batch_size))
    assert found == pytest.approx((errors**2).mean(), rel=1e-12)


def noisy_classifier():
    tt.manual_seed(3)
    model = MLP([3, 8, 2], batch_norm=True, dropout=0.5)
    model.layers.append(tt.nn.Dropout(0.5, generator=tt.Generator(4)))
    source = np.random.default_rng(0)
    x = source.normal(size=(10, 3)).astype(np.float32)
    return model, TensorDataset(x, source.integers(0, 2, size=10))


def test_nothing_is_changed():
    model, data = noisy_classifier()
    model.layers[1].eval()  # a frozen batch normalisation stays frozen
    modes = [layer.training for layer in model.modules()]
    generators = [tt.default_generator(), model.layers[-1].generator]
    before = [generator.get_state() for generator in generators]
    statistics = {name: host(tensor).copy() for name, tensor in model.state_dict().items()}
    for loader in (DataLoader(data, 4), DataLoader(data, 4, shuffle=True)):
        first, second = (evaluate(model, classification_loss, loader) for _ in range(2))
        assert first == pytest.approx(second, rel=1e-6)
        assert [layer.training for layer in model.modules()] == modes
        assert [generator.get_state() for generator in generators] == before
        assert all(parameter.grad is None for parameter in model.parameters())
        for name, tensor in model.state_dict().items():
            assert np.array_equal(host(tensor), statistics[name])
    assert tt.is_grad_enabled()


def test_everything_is_put_back_after_an_error():
    model, data = noisy_classifier()
    before = tt.default_generator().get_state()

    def fails(model, batch):
        assert not model.training
        assert not tt.is_grad_enabled()
        tt.default_generator().random_int64()
        raise RuntimeError("in the loss function")

    with pytest.raises(RuntimeError, match="in the loss function"):
        evaluate(model, fails, DataLoader(data, 4))
    assert all(layer.training for layer in model.modules())
    assert tt.is_grad_enabled()
    assert tt.default_generator().get_state() == before


@pytest.mark.parametrize("shuffle", [False, True])
def test_how_often_one_evaluates_does_not_change_training(shuffle):
    ends = []
    for eval_every in (None, 1, 3):
        model, data = noisy_classifier()
        trainer = make_trainer(
            model,
            data,
            loss=classification_loss,
            max_steps=7,
            shuffle=False,
            eval_every=eval_every,
            validation_loader=DataLoader(data, 4, shuffle=shuffle),
        )
        trainer.fit()
        ends.append(np.concatenate([host(p).ravel() for p in model.parameters()]))
    assert all(np.array_equal(ends[0], end) for end in ends[1:])


@pytest.mark.parametrize("counts", [np.zeros(22), []])
def test_no_supervised_items(counts):
    data = make_data(22, np.zeros(22))
    loader = DataLoader(data, 4) if len(counts) else []
    with pytest.raises(ValueError, match="the evaluation data has no supervised items"):
        evaluate(make_model(), squared_error, loader)


def test_the_contract_of_the_loss_function_holds_here_too():
    with pytest.raises(TypeError, match="a loss function returns"):
        evaluate(make_model(), lambda model, batch: 3.0, [np.ones((1, 3))])
