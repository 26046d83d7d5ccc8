"""Anomaly mode: what it raises for, what it lets through, and what the message names."""

import threading

import numpy as np
import pytest
from device_helpers import host

import tinytrain as tt
from tinytrain import anomaly, autograd
from tinytrain.anomaly import AnomalyError, detect_anomaly
from tinytrain.autograd import Function
from tinytrain.nn import functional as F

pytestmark = [
    pytest.mark.usefixtures("device"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]

INF = float("inf")


class Spoil(Function):
    """z = x, and NaN or Inf where told."""

    def __init__(self, forward=None, backward=None):
        self.text = (str(forward), str(backward))
        self.of_forward = str(forward) if forward is not None else None
        self.of_backward = str(backward) if backward is not None else None

    def forward(self, x):
        return _spoilt(x, self.of_forward)

    def backward(self, gradient):
        return _spoilt(gradient, self.of_backward)


def _spoilt(array, value):
    copy = array.copy()
    if value is not None:
        copy[..., -1:] = float(value)
    return copy


def leaf(*values):
    return tt.tensor(list(values), requires_grad=True)


class Net(tt.nn.Module):
    """A layer three levels down does what it is told."""

    def __init__(self, **settings):
        self.blocks = tt.nn.ModuleList([tt.nn.Sequential(tt.nn.ReLU(), Spoiler()) for _ in "ab"])
        self.settings = settings

    def forward(self, x):
        x = self.blocks[0](x)
        return self.blocks[1](x * 1.0) if not self.settings else self._spoilt(x)

    def _spoilt(self, x):
        self.blocks[1][1].settings = self.settings
        return self.blocks[1](x)


class Spoiler(tt.nn.Module):
    def __init__(self):
        self.settings = {}

    def forward(self, x):
        return tt.apply(Spoil(**self.settings), x)  # the culprit's line


def test_forward_names_operation_layer_and_line():
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        Net(forward="nan")(leaf(1.0, 2.0))
    told = str(caught.value)
    assert "the forward of Spoil made nan (element (1,); 1 of 2 elements are not finite)" in told
    assert "in layer blocks.1.1" in told
    assert "test_anomaly.py, line" in told
    assert "the culprit's line" in told


def test_backward_names_operation_layer_and_line():
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        Net(backward="nan")(leaf(1.0, 2.0)).sum().backward()
    told = str(caught.value)
    assert "the backward of Spoil made nan (element (1,)" in told
    assert "in the gradient of input 0" in told
    assert "in layer blocks.1.1" in told
    assert "the culprit's line" in told


def test_backward_alone_says_what_is_missing():
    loss = Net(backward="inf")(leaf(1.0, 2.0)).sum()
    with detect_anomaly(), pytest.raises(AnomalyError, match="run the forward pass under"):
        loss.backward()


def test_operation_of_the_outermost_layer():
    class Own(tt.nn.Module):
        def forward(self, x):
            return x.log()

    with detect_anomaly(), pytest.raises(AnomalyError, match="in layer Own\n"):
        Own()(leaf(-1.0))


@pytest.mark.parametrize(
    ("call", "operation"),
    [
        (lambda: leaf(0.0).log(), "Log made -inf"),
        (lambda: leaf(-1.0).log(), "Log made nan"),
        (lambda: 1 / leaf(0.0), "made inf"),
        (lambda: leaf(3e38) * 10, "Mul made inf"),
        (lambda: leaf(1e3).exp(), "Exp made inf"),
        (lambda: tt.tensor([1e39], dtype=tt.float64).float(), "Cast made inf"),
        (lambda: tt.tensor([INF]) - tt.tensor([INF]), "made nan"),
        (lambda: tt.tensor([float("nan")]) + 1, "Add made nan"),
    ],
)
def test_what_raises(call, operation):
    with detect_anomaly(), pytest.raises(AnomalyError, match=operation):
        call()
    assert not np.isfinite(call().cpu().detach().numpy()).all()  # without the mode, it passes


def test_infinities_on_purpose_are_let_through():
    x = tt.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    hidden = tt.tensor([[True, False, False]])
    with detect_anomaly():
        scores = x.masked_fill(hidden, -INF)
        scores.softmax(-1).sum().backward()
        tt.where(hidden, -INF, x).sum()
        mask = tt.tensor([[-INF, 0.0, 0.0]])
        (x + mask).log_softmax(-1)[:, 1:].sum().backward()
        qkv = tt.randn(1, 1, 3, 4, requires_grad=True)
        F.scaled_dot_product_attention(qkv, qkv, qkv, is_causal=True).sum().backward()
    assert np.isfinite(x.grad.cpu().numpy()).all()


def test_infinite_gradients_raise():
    x = leaf(0.0)
    with detect_anomaly(), pytest.raises(AnomalyError, match="the backward of Sqrt made inf"):
        x.sqrt().sum().backward()


def test_gradient_that_was_given_is_named():
    with detect_anomaly():
        y = leaf(1.0, 2.0) * 2
        with pytest.raises(AnomalyError, match=r"reached the backward of Mul is inf.*given"):
            y.backward(tt.tensor([INF, 1.0]))


def test_sum_of_gradients_that_overflows():
    with detect_anomaly():
        y, big = leaf(0.1) * 1.0, 3e38
        with pytest.raises(AnomalyError, match=r"reached the backward of Mul is inf.*overflowed"):
            (y * big - y * -big * 0.9).sum().backward(tt.tensor(1.0))


def test_infinities_excuse_their_own_elements_only():
    with detect_anomaly():
        (leaf(3e38, 1.0) + leaf(1.0, -INF)).sum()
        with pytest.raises(AnomalyError, match=r"Add made inf \(element \(0,\); 1 of 2"):
            leaf(3e38, 1.0) + leaf(3e38, -INF)
        with pytest.raises(AnomalyError, match=r"Mul made inf \(element \(1, 1\)"):
            tt.tensor([[1.0], [3e38]]) * tt.tensor([-INF, 10.0])


MASKED_ROWS = [[-INF, 0.5], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("call", "operation"),
    [
        (lambda: leaf(-INF, 1e3).exp(), r"Exp made inf \(element \(1,\); 1 of 2"),
        (lambda: tt.tensor([[-INF, 1e38], [3e38, 3e38]]).sum(1), r"Sum made inf \(element \(1,"),
        (lambda: tt.tensor([[-INF, 1e38], [3e38, 3e38]]).mean(1), r"Mean made inf \(element \(1,"),
        (lambda: tt.tensor([[-INF, 1.0], [3e38, 3e38]]).prod(1), r"Prod made inf \(element \(1,"),
        (lambda: leaf(INF, 0.0).log(), r"Log made -inf \(element \(1,\)"),
        (lambda: tt.tensor([INF, 1e39], dtype=tt.float64).float(), r"Cast made inf \(element \(1,"),
        (lambda: leaf(INF, 3e38).cumsum(0) + leaf(3e38, 3e38).cumsum(0), r"Cumsum made inf"),
        (lambda: tt.tensor([[INF, 1.0], [3e38, 3e38]]) @ tt.ones(2, 1), "Matmul made inf"),
        (lambda: 1 / leaf(INF, 0.0), r"made inf \(element \(1,\)"),
        (lambda: leaf(3e38, 1.0).masked_fill(tt.tensor([False, True]), -INF) * 10, "Mul made inf"),
    ],
)
def test_infinities_excuse_only_what_comes_from_them(call, operation):
    with detect_anomaly(), pytest.raises(AnomalyError, match=operation):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x.exp(),
        lambda x: x.clamp(-1.0, 2.0),
        lambda x: x.sum(1),
        lambda x: x.mean(0),
        lambda x: x.amax(1),
        lambda x: x.amin(1),
        lambda x: x.logsumexp(1),
        lambda x: x.softmax(1),
        lambda x: x.log_softmax(1),
        lambda x: x.cumsum(1),
        lambda x: x.relu(),
        lambda x: -x,
        lambda x: x * 2.0 + 1.0,
        lambda x: x.sort(1)[0],
        lambda x: x.topk(1)[0],
        lambda x: x.flip(0),
        lambda x: tt.cat([x, x]),
        lambda x: x.reshape(-1)[1:],
        lambda x: x.gather(1, tt.tensor([[0], [1]])),
        lambda x: x.masked_fill(tt.tensor([True, False]), -INF),
        lambda x: F.pad(x, (1, 1), value=-INF),
        lambda x: F.max_pool1d(x[None], 2),
        lambda x: x.tril() + tt.full((2, 2), -INF).triu(1),
        lambda x: tt.maximum(x, tt.tensor([-INF, 1.0])),
        lambda x: x.to(tt.float64),
        lambda x: x.abs().sqrt(),
        lambda x: F.cross_entropy(x, tt.tensor([1, 0])),
        lambda x: F.nll_loss(x.log_softmax(1), tt.tensor([1, 0])),
        lambda x: F.softplus(x),
    ],
)
def test_infinities_on_purpose_go_through_operations(call):
    with detect_anomaly():
        call(tt.tensor(MASKED_ROWS))


@pytest.mark.parametrize(
    ("loss", "operation"),
    [
        (lambda x: F.cross_entropy(x, tt.tensor([0, 1])), "CrossEntropy made inf"),
        (
            lambda x: F.cross_entropy(x, tt.tensor([0, 1]), reduction="none"),
            "CrossEntropy made inf",
        ),
        (lambda x: F.nll_loss(x.log_softmax(1), tt.tensor([0, 1])), "LogLikelihood made inf"),
        (lambda x: F.smooth_l1_loss(x, tt.zeros(2, 2)), "Huber made inf"),
        (lambda x: F.binary_cross_entropy_with_logits(x, tt.ones(2, 2)), "Logits made inf"),
    ],
)
def test_an_infinite_loss_is_always_named(loss, operation):
    x = tt.tensor(MASKED_ROWS, requires_grad=True)
    with detect_anomaly(), pytest.raises(AnomalyError, match=operation):
        loss(x)


def test_backward_of_an_infinite_loss_of_ones_own():
    x = tt.tensor(MASKED_ROWS, requires_grad=True)
    with detect_anomaly():
        loss = -x.log_softmax(1)[0, 0]
        with pytest.raises(
            AnomalyError, match=r"backward was called on inf .*result of Neg(.|\n)*at"
        ):
            loss.backward()
        (-x.log_softmax(1)[0, 1]).backward()


def test_running_again_leaves_the_node_alone():
    x = leaf(-INF, 1.0)
    with detect_anomaly():
        y = x.log_softmax(0)
        y[1].backward()
    assert x.grad.tolist() == [0.0, 0.0]


class Refusing(Function):
    """It has no answer for finite inputs, and is then excused as a whole."""

    def forward(self, x):
        if not np.isinf(host(x)).any():
            raise ValueError("finite")
        return x * 1.0


def test_an_operation_that_cannot_run_again():
    with detect_anomaly():
        assert tt.apply(Refusing(), tt.tensor([-INF, 1.0])).tolist() == [-INF, 1.0]


def test_gradient_that_overflows_while_it_is_collected():
    x = leaf(1.0)
    with detect_anomaly():
        (x * 3e38).sum().backward()
        with pytest.raises(AnomalyError, match=r"collects .* became inf .*Mul added to it: .*over"):
            (x * 3e38).sum().backward()
        x.grad = None
        with pytest.raises(AnomalyError, match=r"collects .* became inf"):
            (x * x).sum().backward(tt.tensor(3e38))


def test_step_that_makes_a_parameter_infinite():
    layer = tt.nn.Linear(2, 1)
    optimizer = tt.optim.SGD(layer.named_parameters(), lr=1e10)
    layer(tt.ones(1, 2)).sum().backward(tt.tensor(3e38))
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        optimizer.step()
    told = str(caught.value)
    assert "SGD.step() made -inf (element (0, 0); 2 of 2" in told
    assert "in parameter 'weight', float32 (1, 2)" in told
    assert "test_anomaly.py, line" in told


def test_range_of_integers_is_told():
    with detect_anomaly(), pytest.raises(AnomalyError, match=r"int64 .*values from 0 to 1"):
        tt.tensor([1, 2]) / tt.tensor([1, 0])


class Twice(tt.nn.Module):
    """One layer object in two places."""

    def __init__(self):
        shared = Spoiler()
        self.first = tt.nn.Sequential(tt.nn.ReLU(), shared)
        self.second = tt.nn.ModuleList([tt.nn.Sequential(shared)])
        self.third, self.fourth = shared, shared

    def forward(self, x, place):
        return {"first": self.first, "second": self.second[0], "third": self.third}[place](x)


@pytest.mark.parametrize(
    ("place", "path"),
    [("first", "first.1"), ("second", "second.0.0"), ("third", "third|fourth")],
)
def test_path_is_that_of_the_call(place, path):
    model = Twice()
    model.third.settings = {"forward": "nan"}
    with detect_anomaly(), pytest.raises(AnomalyError) as caught:
        model(leaf(1.0), place)
    assert f"in layer {path}\n" in str(caught.value)


# ---------------------------------------------------------------- saved arrays that change


def test_write_through_data_is_found():
    x = leaf(1.0, 2.0)
    with detect_anomaly():
        y = (x * x).sum()

        def write_and_go_back():
            x.data[0] = 5.0  # raises at once where arrays can be made read-only
            y.backward()

        words = r"read-only|Mul saved an array float32 \(2,\).*was changed"
        with pytest.raises((AnomalyError, ValueError), match=words):
            write_and_go_back()


def test_step_before_backward_is_found():
    layer = tt.nn.Linear(2, 2)
    optimizer = tt.optim.SGD(layer.parameters(), lr=0.1)
    x = tt.ones(3, 2, requires_grad=True)
    with detect_anomaly():
        first, second = layer(x).sum(), layer(x).sum()
        first.backward()
        optimizer.step()
        with pytest.raises(RuntimeError, match=r"Linear saved an array float32 \(2, 2\)"):
            second.backward()


def test_write_to_what_nobody_needs_is_none():
    x = leaf(1.0, 2.0)
    with detect_anomaly():
        y = (x + 1.0).sum()
        x.data[0] = 5.0
        y.backward()
    assert x.grad.tolist() == [1, 1]


def test_a_graph_may_be_walked_twice():
    x = leaf(1.0, 2.0)
    with detect_anomaly():
        y = (x * x).sum()
        y.backward(retain_graph=True)
        y.backward()
    assert x.grad.tolist() == [4, 8]


def test_training_goes_through_unharmed():
    results = []
    for watched in (False, True):
        tt.manual_seed(0)
        model = tt.nn.Sequential(
            tt.nn.Linear(4, 8), tt.nn.LayerNorm(8), tt.nn.GELU(), tt.nn.Dropout(0.5)
        )
        x = tt.randn(5, 4, generator=tt.Generator(1))
        optimizer = tt.optim.AdamW(model.parameters())
        for _ in range(3):
            if watched:
                with detect_anomaly():
                    (model(x) ** 2).sum().backward()
            else:
                (model(x) ** 2).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
        results.append(np.concatenate([host(p).ravel() for p in model.parameters()]))
    np.testing.assert_array_equal(*results)


# ---------------------------------------------------------------- the mode itself


def spoil():
    return tt.apply(Spoil(forward="nan"), tt.ones(2))


def test_mode_ends_with_its_block_and_may_be_nested():
    with detect_anomaly():
        with pytest.raises(AnomalyError), detect_anomaly():
            spoil()
        with pytest.raises(AnomalyError):
            spoil()
    spoil()


def test_mode_belongs_to_the_thread():
    done = []
    with detect_anomaly():
        thread = threading.Thread(target=lambda: done.append(spoil()))
        thread.start()
        thread.join()
    assert len(done) == 1


def test_nothing_is_kept_after_the_graph():
    with detect_anomaly():
        (watcher,) = autograd.watchers()
        y = leaf(1.0) * 2
        assert len(watcher.origins) == 1
        del y
        assert not len(watcher.origins)
        assert not len(watcher.sums)


def test_helpers_on_every_device():
    x = tt.tensor([[1.0, INF], [2.0, 3.0]]).data
    assert anomaly.bad_value(x).element == (0, 1)
    assert anomaly.has_infinity([x])
    assert not anomaly.has_infinity([x[1:], 3])
    assert anomaly.checksum(x) != anomaly.checksum(x + 1)
    assert anomaly.checksum(x) == anomaly.checksum(x.T.T)
