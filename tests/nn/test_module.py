"""What a module finds in itself, and how it changes, copies and shows it."""

import copy

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host, share_memory
from tinytrain import nn

pytestmark = pytest.mark.usefixtures("device")


class Twice(nn.Module):
    """A layer used twice, a tied parameter, a buffer, a frozen parameter, and plain attributes."""

    def __init__(self):
        self.scale = nn.Parameter(tt.ones(2))
        self.first = nn.Linear(2, 3)
        self.again = self.first
        self.inner = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.register_buffer("offset", tt.zeros(2))
        self.tied = self.inner[0].weight
        self.frozen = nn.Parameter(tt.zeros(4), requires_grad=False)
        self.sizes = [2, 3]
        self.plain = tt.zeros(5)

    def forward(self, x):
        return self.inner(self.again(x * self.scale + self.offset)) @ self.tied


def test_parameters_come_in_order_and_once():
    assert [name for name, _ in Twice().named_parameters()] == [
        "scale",
        "tied",
        "frozen",
        "first.weight",
        "first.bias",
        "inner.0.bias",
        "inner.1.weight",
        "inner.1.bias",
    ]


def test_own_tensors_come_before_those_of_children_as_in_torch():
    class Late(nn.Module):
        def __init__(self):
            self.child = nn.Linear(1, 1)
            self.own = nn.Parameter(tt.ones(1))

    names = [name for name, _ in Late().named_parameters()]
    assert names == ["own", "child.weight", "child.bias"]


def test_tied_parameters_count_once_and_get_one_gradient():
    model = Twice()
    assert model.num_parameters() == 2 + 9 + 4 + (6 + 3) + 3 + (3 + 3)
    model(tt.randn(4, 2)).sum().backward()
    assert model.tied is model.inner[0].weight
    assert model.tied.grad is not None
    assert model.frozen.grad is None


def test_buffers_come_once_also_of_a_shared_module():
    assert [name for name, _ in Twice().named_buffers()] == [
        "offset",
        "inner.1.running_mean",
        "inner.1.running_var",
        "inner.1.num_batches_tracked",
    ]
    norm = nn.BatchNorm1d(2)
    assert len(list(nn.Sequential(norm, norm).buffers())) == 3


def test_modules_come_once_parents_first():
    model = Twice()
    names = [name for name, _ in model.named_modules()]
    assert names == ["", "first", "inner", "inner.0", "inner.1"]
    assert list(model.modules())[1] is model.again
    assert [name for name, _ in model.named_modules("model")][1] == "model.first"
    assert list(model.children()) == [model.first, model.inner]
    assert [name for name, _ in model.named_children()] == ["first", "again", "inner"]


def test_train_and_eval_reach_every_module_and_no_gradient_mode():
    model = Twice()
    assert model.training
    assert model.eval() is model
    assert not any(module.training for module in model.modules())
    assert tt.is_grad_enabled()
    assert model(tt.ones(1, 2)).requires_grad
    model.train()
    assert all(module.training for module in model.modules())
    model.inner.eval()
    assert model.training
    assert not model.inner[1].training


def test_apply_calls_children_first_and_each_once():
    called = []
    model = Twice()
    assert model.apply(called.append) is model
    assert called == [model.first, model.inner[0], model.inner[1], model.inner, model]


def test_zero_grad_and_requires_grad():
    model = Twice()
    model(tt.randn(4, 2)).sum().backward()
    model.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.requires_grad_(False) is model
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model(tt.randn(4, 2)).requires_grad


# ---------------------------------------------------------------- dtypes


def test_to_converts_floats_with_their_gradients_and_keeps_objects():
    model = Twice()
    model(tt.randn(4, 2)).sum().backward()
    before = dict(model.named_parameters())
    gradient = host(model.scale.grad).copy()
    assert model.to("float64") is model
    for name, parameter in model.named_parameters():
        assert parameter is before[name]
        assert parameter.dtype == np.float64
    assert model.tied is model.inner[0].weight
    assert model.scale.grad.dtype == np.float64
    np.testing.assert_array_equal(host(model.scale.grad), gradient.astype(np.float64))
    assert model.inner[1].running_mean.dtype == np.float64
    assert model.inner[1].num_batches_tracked.dtype == np.int64
    assert model(tt.randn(4, 2).double()).dtype == np.float64


def test_to_what_it_is_already_changes_nothing(device):
    layer = nn.Linear(2, 2)
    layer(tt.ones(1, 2)).sum().backward()
    array, gradient = layer.weight.data, layer.weight.grad.data
    layer.to(np.float32).to(device)
    assert layer.weight.data is array
    assert layer.weight.grad.data is gradient


@pytest.mark.parametrize("target", [None, "gpu", int, "int32", bool])
def test_to_refuses_what_is_no_device_and_no_float(target):
    layer = nn.Linear(2, 2)
    with pytest.raises(TypeError, match="'cpu' or 'cuda' or to a floating-point dtype, not"):
        layer.to(target)
    assert layer.weight.dtype == np.float32


def test_to_cuda_needs_the_device():
    tt.set_device("cpu")
    with pytest.raises(RuntimeError, match="set_device"):
        nn.Linear(2, 2).to("cuda")


def test_to_refuses_to_pull_parameters_out_of_an_optimizers_buffer():
    layer = nn.Linear(2, 2)
    layer.weight.leaf_gradient.view = np.zeros((2, 2), np.float32)
    with pytest.raises(RuntimeError, match="'weight' in its flat buffer"):
        layer.to("float64")
    assert layer.bias.dtype == np.float32


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    "container",
    [
        lambda module: [module],
        lambda module: (1, module),
        lambda module: {"one": module},
        lambda module: {module},
        lambda module: [("name", [module])],
        lambda module: [module.weight],
    ],
)
def test_a_plain_container_of_modules_raises(container):
    model = nn.Module()
    model.layers = container(nn.Linear(2, 2))
    for use in (
        model.parameters,
        model.state_dict,
        model.train,
        model.modules,
        lambda: repr(model),
    ):
        with pytest.raises(TypeError, match=r"Module\.layers is a .* use nn\.Module(List|Dict) "):
            list(use() or ())


def test_an_unknown_attribute_raises():
    with pytest.raises(AttributeError, match="wieght"):
        _ = nn.Linear(2, 2).wieght
    with pytest.raises(AttributeError, match="forward"):
        nn.Module()(tt.ones(1))


def test_a_parameter_is_a_float_tensor():
    with pytest.raises(TypeError, match=r"takes a Tensor, got ndarray: wrap it with tt\.tensor"):
        nn.Parameter(np.zeros(2))
    with pytest.raises(TypeError, match="int64"):
        nn.Parameter(tt.tensor([1, 2]))
    source = tt.zeros(2)
    assert nn.Parameter(source).data is source.data


def test_buffers_are_tensors_under_free_names():
    module = nn.Linear(2, 2)
    for wrong in (np.zeros(2), nn.Parameter(tt.zeros(2)), None):
        with pytest.raises(TypeError, match="buffer 'mean' must be a plain Tensor"):
            module.register_buffer("mean", wrong)
    for name in ("a.b", "", "1"):
        with pytest.raises(ValueError, match="identifier"):
            module.register_buffer(name, tt.zeros(2))
    for name in ("weight", "training", "forward"):
        with pytest.raises(ValueError, match=f"has an attribute '{name}' already"):
            module.register_buffer(name, tt.zeros(2))
    assert not list(module.buffers())


def test_a_buffer_may_be_replaced_by_a_tensor_only():
    module = nn.BatchNorm1d(2)
    module.register_buffer("running_mean", tt.ones(2))
    module.running_var = tt.zeros(2)
    assert dict(module.named_buffers())["running_mean"].tolist() == [1, 1]
    assert dict(module.named_buffers())["running_var"].tolist() == [0, 0]
    module.running_mean = np.zeros(2)
    with pytest.raises(TypeError, match=r"BatchNorm1d\.running_mean .* a ndarray was assigned"):
        module.state_dict()


def test_classes_do_not_share_buffers():
    nn.BatchNorm1d(2)
    assert nn.BatchNorm1d._buffer_names == nn.Module._buffer_names == ()


# ---------------------------------------------------------------- copies and text


def test_a_deep_copy_is_independent_and_keeps_ties():
    model = Twice()
    model(tt.randn(4, 2)).sum().backward()
    twin = copy.deepcopy(model)
    assert [name for name, _ in twin.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert twin.tied is twin.inner[0].weight
    assert twin.again is twin.first
    assert isinstance(twin.tied, nn.Parameter)
    assert not twin.frozen.requires_grad
    for one, other in zip(model.state_dict().values(), twin.state_dict().values(), strict=True):
        np.testing.assert_array_equal(host(one), host(other))
    for one, other in zip(model._all_named_tensors(), twin._all_named_tensors(), strict=True):
        assert not share_memory(one[1].data, other[1].data)
    np.testing.assert_array_equal(host(model.scale.grad), host(twin.scale.grad))
    before = {name: host(value) for name, value in model.state_dict().items()}
    for parameter in twin.parameters():
        parameter.data += 1
    twin(tt.randn(4, 2)).sum().backward()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(host(value), before[name])


def test_repr_is_a_tree():
    model = nn.Sequential(
        nn.Embedding(10, 4),
        nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 6, bias=False), nn.GELU(), nn.Dropout(0.1)),
        nn.ModuleList(),
        nn.BatchNorm1d(6),
        nn.CausalSelfAttention(4, 2),
        nn.MSELoss(),
    )
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Embedding(10, 4)\n"
        "  (1): Sequential(\n"
        "    (0): LayerNorm((4,), eps=1e-05, elementwise_affine=True)\n"
        "    (1): Linear(in_features=4, out_features=6, bias=False)\n"
        "    (2): GELU(approximate='none')\n"
        "    (3): Dropout(p=0.1)\n"
        "  )\n"
        "  (2): ModuleList()\n"
        "  (3): BatchNorm1d(6, eps=1e-05, momentum=0.1, affine=True, "
        "bias=True, track_running_stats=True)\n"
        "  (4): CausalSelfAttention(\n"
        "    num_heads=2\n"
        "    (qkv): Linear(in_features=4, out_features=12, bias=True)\n"
        "    (projection): Linear(in_features=4, out_features=4, bias=True)\n"
        "    (dropout): Dropout(p=0.0)\n"
        "  )\n"
        "  (5): MSELoss(reduction='mean')\n"
        ")"
    )


def test_every_layer_shows_its_settings():
    shown = [
        (nn.ReLU(), "ReLU()"),
        (nn.Tanh(), "Tanh()"),
        (nn.Sigmoid(), "Sigmoid()"),
        (
            nn.CrossEntropyLoss(ignore_index=0),
            "CrossEntropyLoss(ignore_index=0, reduction='mean', label_smoothing=0.0)",
        ),
        (
            nn.MultiheadAttention(4, 2, dropout=0.1),
            "MultiheadAttention(\n  4, num_heads=2, dropout=0.1, batch_first=False\n"
            "  (out_proj): Linear(in_features=4, out_features=4, bias=True)\n)",
        ),
    ]
    for layer, text in shown:
        assert repr(layer) == text


def test_a_parameter_is_replaced_by_a_parameter_or_nothing():
    layer = nn.Linear(2, 3)
    with pytest.raises(TypeError, match=r"Linear.weight is a parameter; a Tensor in its place"):
        layer.weight = tt.zeros(3, 2)
    layer.weight = nn.Parameter(tt.zeros(3, 2))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
