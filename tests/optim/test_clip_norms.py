"""Clipping by any p-norm, and what is no list of tensors."""

import math

import numpy as np
import pytest

import tinytrain as tt
from tests.device_helpers import host
from tinytrain.optim import SGD, clip_grad_norm_, clip_grad_value_, gradient_norm
from tinytrain.optim.clip import get_total_norm

GRADIENTS = [[3.0, 4.0], [0.0], [-2.0, 0.5, 1.0]]
ORDERS = [0, -1, -math.inf, 0.5, 1, 2, 3, math.inf]


def leaves(gradients, flat):
    parameters = [tt.ones(len(g), dtype="float64", requires_grad=True) for g in gradients]
    optimizer = SGD(parameters) if flat else None
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = tt.tensor(gradient, dtype="float64")
    return parameters, optimizer


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("flat", [False, True])
def test_the_meaning_of_small_orders(flat):
    parameters, _optimizer = leaves(GRADIENTS, flat)
    assert gradient_norm(parameters, 0).cpu().item() == 2  # gradients that are not all zeros
    assert gradient_norm(parameters[:1], -math.inf).cpu().item() == 3
    assert gradient_norm(parameters[:1], -1).cpu().item() == pytest.approx(12 / 7)
    assert gradient_norm(parameters, -1).cpu().item() == 0
    assert gradient_norm(parameters, -math.inf).cpu().item() == 0
    norm = clip_grad_norm_(parameters, 1.0, 0)
    assert norm.cpu().item() == 2
    np.testing.assert_allclose(host(parameters[0].grad), [1.5, 2.0], rtol=1e-6)


@pytest.mark.oracle
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("gradients", [GRADIENTS, GRADIENTS[:1], [GRADIENTS[0], GRADIENTS[2]]])
def test_any_order_as_in_torch(order, flat, gradients):
    torch = pytest.importorskip("torch")
    parameters, _optimizer = leaves(gradients, flat)
    theirs = [torch.nn.Parameter(torch.ones(len(g), dtype=torch.float64)) for g in gradients]
    for parameter, gradient in zip(theirs, gradients, strict=True):
        parameter.grad = torch.tensor(gradient, dtype=torch.float64)
    given = [parameter.grad for parameter in parameters]
    expected = torch.nn.utils.get_total_norm([p.grad for p in theirs], order).item()
    assert get_total_norm(given, order).item() == pytest.approx(expected, rel=1e-12)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 1.0, order).item()
    assert clip_grad_norm_(parameters, 1.0, order).item() == pytest.approx(expected, rel=1e-12)
    for parameter, other in zip(parameters, theirs, strict=True):
        np.testing.assert_allclose(host(parameter.grad), other.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("clip", [clip_grad_norm_, clip_grad_value_])
def test_what_is_no_list_of_tensors(clip):
    with pytest.raises(TypeError, match="expected tensors, got 1 at position 0"):
        clip([1, 2], 1.0)
    with pytest.raises(TypeError, match="expected tensors or one tensor, got 5"):
        clip(5, 1.0)
