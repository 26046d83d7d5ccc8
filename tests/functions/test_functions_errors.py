"""Every function of tensors raises what its docstring says, and every method says where to look."""

import inspect
import re

import pytest

import tinytrain as tt

pytestmark = pytest.mark.usefixtures("device")

CASES = [
    ("reshape", lambda x: tt.reshape(x, (4,)), ValueError),
    ("transpose", lambda x: tt.transpose(x, 0, 2), IndexError),
    ("permute", lambda x: tt.permute(x, (0, 0)), ValueError),
    ("permute", lambda x: tt.permute(x, (0,)), ValueError),
    ("movedim", lambda x: tt.movedim(x, (0, 1), (0,)), ValueError),
    ("movedim", lambda x: tt.movedim(x, 2, 0), IndexError),
    ("broadcast_to", lambda x: tt.broadcast_to(x, (2, 4)), ValueError),
    ("broadcast_to", lambda x: tt.broadcast_to(x, (3,)), ValueError),
    ("expand", lambda x: x.expand(2, 4), ValueError),
    ("squeeze", lambda x: tt.squeeze(x, 2), IndexError),
    ("unsqueeze", lambda x: tt.unsqueeze(x, 3), IndexError),
    ("flatten", lambda x: tt.flatten(x, 1, 0), ValueError),
    ("flatten", lambda x: tt.flatten(x, 2), IndexError),
    ("flip", lambda x: tt.flip(x, (0, 0)), ValueError),
    ("flip", lambda x: tt.flip(x, (2,)), IndexError),
    ("roll", lambda x: tt.roll(x, (1, 2), (0,)), ValueError),
    ("roll", lambda x: tt.roll(x, 1, 2), IndexError),
    ("repeat", lambda x: x.repeat(2), ValueError),
    ("repeat", lambda x: x.repeat(2, -1), ValueError),
    ("tile", lambda x: tt.tile(x, (-1,)), ValueError),
    ("tril", lambda x: tt.tril(tt.ones(2)), ValueError),
    ("triu", lambda x: tt.triu(tt.ones(2)), ValueError),
    ("diagonal", lambda x: tt.diagonal(x, 0, 1, 1), ValueError),
    ("diagonal", lambda x: tt.diagonal(x, 0, 0, 2), IndexError),
    ("cat", lambda x: tt.cat([]), ValueError),
    ("cat", lambda x: tt.cat([x, tt.ones(2, 4)]), ValueError),
    ("cat", lambda x: tt.cat([x], 2), IndexError),
    ("cat", lambda x: tt.cat([x, x.numpy()]), TypeError),
    ("stack", lambda x: tt.stack([]), ValueError),
    ("stack", lambda x: tt.stack([x, tt.ones(2, 4)]), ValueError),
    ("stack", lambda x: tt.stack([x], 3), IndexError),
    ("split", lambda x: tt.split(x, 0), ValueError),
    ("split", lambda x: tt.split(x, (1, 2)), ValueError),
    ("split", lambda x: tt.split(x, 1, 2), IndexError),
    ("chunk", lambda x: tt.chunk(x, 0), ValueError),
    ("chunk", lambda x: tt.chunk(x, 1, 2), IndexError),
    ("unbind", lambda x: tt.unbind(x, 2), IndexError),
    ("unbind", lambda x: tt.unbind(tt.tensor(1.0)), IndexError),
    ("narrow", lambda x: tt.narrow(x, 1, 2, 2), IndexError),
    ("einsum", lambda x: tt.einsum("ij->k", x), ValueError),
    ("tensordot", lambda x: tt.tensordot(x, x, 1), ValueError),
    ("tensordot", lambda x: tt.tensordot(x, x, 3), ValueError),
    ("tensordot", lambda x: tt.tensordot(x, x, ([2], [0])), IndexError),
    ("matmul", lambda x: tt.matmul(x, x), ValueError),
    ("matmul", lambda x: tt.matmul(x, tt.tensor(1.0)), ValueError),
    ("matmul", lambda x: tt.matmul(x, tt.ones(3).long()), TypeError),
    ("mm", lambda x: tt.mm(x, tt.ones(3)), ValueError),
    ("mm", lambda x: tt.mm(x, x), ValueError),
    ("bmm", lambda x: tt.bmm(tt.ones(2, 1, 1), tt.ones(3, 1, 1)), ValueError),
    ("bmm", lambda x: tt.bmm(x, x), ValueError),
    ("mv", lambda x: tt.mv(x, tt.ones(2)), ValueError),
    ("mv", lambda x: tt.mv(x, x), ValueError),
    ("dot", lambda x: tt.dot(tt.ones(2), tt.ones(3)), ValueError),
    ("dot", lambda x: tt.dot(x, x), ValueError),
    ("outer", lambda x: tt.outer(x, tt.ones(2)), ValueError),
    ("sum", lambda x: tt.sum(x, 2), IndexError),
    ("sum", lambda x: tt.sum(x, (0, 0)), ValueError),
    ("mean", lambda x: tt.mean(x.long()), TypeError),
    ("mean", lambda x: tt.mean(x, 2), IndexError),
    ("prod", lambda x: tt.prod(x, 2), IndexError),
    ("var", lambda x: tt.var(x.long()), TypeError),
    ("var", lambda x: tt.var(x, 0, True, correction=1), TypeError),
    ("var", lambda x: tt.var(x, 2), IndexError),
    ("std", lambda x: tt.std(x.long()), TypeError),
    ("std", lambda x: tt.std(x, 2), IndexError),
    ("norm", lambda x: tt.norm(x, "nuc"), ValueError),
    ("norm", lambda x: tt.norm(x.long()), TypeError),
    ("norm", lambda x: tt.norm(x, 2, 2), IndexError),
    ("amax", lambda x: tt.amax(tt.ones(0)), ValueError),
    ("amax", lambda x: tt.amax(x, 2), IndexError),
    ("amin", lambda x: tt.amin(tt.ones(0)), ValueError),
    ("amin", lambda x: tt.amin(x, 2), IndexError),
    ("max", lambda x: tt.max(tt.ones(0)), ValueError),
    ("max", lambda x: tt.max(tt.ones(0, 2), 0), ValueError),
    ("max", lambda x: tt.max(x, 2), IndexError),
    ("min", lambda x: tt.min(tt.ones(0)), ValueError),
    ("min", lambda x: tt.min(tt.ones(0, 2), 0), ValueError),
    ("min", lambda x: tt.min(x, 2), IndexError),
    ("argmax", lambda x: tt.argmax(tt.ones(0)), ValueError),
    ("argmax", lambda x: tt.argmax(x, 2), IndexError),
    ("argmin", lambda x: tt.argmin(tt.ones(0)), ValueError),
    ("argmin", lambda x: tt.argmin(x, 2), IndexError),
    ("all", lambda x: tt.all(x, 2), IndexError),
    ("any", lambda x: tt.any(x, 2), IndexError),
    ("logsumexp", lambda x: tt.logsumexp(x, 2), IndexError),
    ("cumsum", lambda x: tt.cumsum(x, 2), IndexError),
    ("argsort", lambda x: tt.argsort(x, 2), IndexError),
    ("sort", lambda x: tt.sort(x, 2), IndexError),
    ("topk", lambda x: tt.topk(x, 4), ValueError),
    ("topk", lambda x: tt.topk(x, -1), ValueError),
    ("topk", lambda x: tt.topk(x, 1, 2), IndexError),
    ("index_select", lambda x: tt.index_select(x, 0, tt.tensor([[0]])), ValueError),
    ("index_select", lambda x: tt.index_select(x, 0, tt.tensor([2])), IndexError),
    ("index_select", lambda x: tt.index_select(x, 2, tt.tensor([0])), IndexError),
    ("index_select", lambda x: tt.index_select(x, 0, tt.tensor([0.0])), TypeError),
    ("gather", lambda x: tt.gather(x, 0, tt.ones(1, 4).long()), ValueError),
    ("gather", lambda x: tt.gather(x, 0, tt.tensor([0])), ValueError),
    ("gather", lambda x: tt.gather(x, 0, tt.tensor([[2]])), IndexError),
    ("gather", lambda x: tt.gather(x, 2, tt.tensor([[0]])), IndexError),
    ("gather", lambda x: tt.gather(x, 0, tt.tensor([[0.0]])), TypeError),
    ("take_along_dim", lambda x: tt.take_along_dim(x, tt.tensor([0]), 0), ValueError),
    ("take_along_dim", lambda x: tt.take_along_dim(x, tt.ones(1, 2).long(), 0), ValueError),
    ("take_along_dim", lambda x: tt.take_along_dim(x, tt.tensor([[2]]), 0), IndexError),
    ("scatter", lambda x: tt.scatter(x, 0, tt.tensor([[0]])), TypeError),
    ("scatter", lambda x: tt.scatter(x, 0, tt.tensor([[0]]), x.long()), TypeError),
    ("scatter", lambda x: tt.scatter(x, 0, tt.ones(1, 4).long(), 1.0), ValueError),
    ("scatter", lambda x: tt.scatter(x, 0, tt.tensor([[0]]), 1.0, reduce="multiply"), ValueError),
    ("scatter", lambda x: tt.scatter(x, 0, tt.tensor([[2]]), 1.0), IndexError),
    (
        "scatter_add",
        lambda x: tt.scatter_add(x, 0, tt.ones(1, 4).long(), x),
        ValueError,
    ),
    (
        "scatter_add",
        lambda x: tt.scatter_add(x, 0, x[:1].long(), x[:1, :2]),
        ValueError,
    ),
    ("scatter_add", lambda x: tt.scatter_add(x, 0, tt.tensor([[2]]), tt.ones(1, 1)), IndexError),
    (
        "scatter_add",
        lambda x: tt.scatter_add(x, 0, tt.tensor([[0]]), x.double()),
        TypeError,
    ),
    ("index_add", lambda x: tt.index_add(x, 0, tt.tensor([0]), tt.ones(2, 3)), ValueError),
    ("index_add", lambda x: tt.index_add(x, 0, tt.tensor([0]), tt.ones(1, 2)), ValueError),
    ("index_add", lambda x: tt.index_add(x, 0, tt.tensor([2]), tt.ones(1, 3)), IndexError),
    ("index_add", lambda x: tt.index_add(x, 0, tt.tensor([0]), tt.ones(1, 3).double()), TypeError),
    ("masked_fill", lambda x: tt.masked_fill(x, x, 0.0), TypeError),
    ("masked_fill", lambda x: tt.masked_fill(x, tt.tensor([True, False]), 0.0), ValueError),
    ("masked_fill", lambda x: tt.masked_fill(x, x > 0, tt.ones(2)), ValueError),
    ("masked_select", lambda x: tt.masked_select(x, x), TypeError),
    ("masked_select", lambda x: tt.masked_select(x, tt.tensor([True, False])), ValueError),
    ("eq", lambda x: tt.eq(x, tt.ones(2)), ValueError),
    ("ne", lambda x: tt.ne(x, tt.ones(2)), ValueError),
    ("lt", lambda x: tt.lt(x, tt.ones(2)), ValueError),
    ("le", lambda x: tt.le(x, tt.ones(2)), ValueError),
    ("gt", lambda x: tt.gt(x, tt.ones(2)), ValueError),
    ("ge", lambda x: tt.ge(x, tt.ones(2)), ValueError),
    ("logical_and", lambda x: tt.logical_and(x, tt.ones(2)), ValueError),
    ("logical_or", lambda x: tt.logical_or(x, tt.ones(2)), ValueError),
    ("logical_xor", lambda x: tt.logical_xor(x, tt.ones(2)), ValueError),
    ("add", lambda x: tt.add(x, tt.ones(2)), ValueError),
    ("sub", lambda x: tt.sub(x, tt.ones(2)), ValueError),
    ("mul", lambda x: tt.mul(x, tt.ones(2)), ValueError),
    ("div", lambda x: tt.div(x, tt.ones(2)), ValueError),
    ("pow", lambda x: tt.pow(x, tt.ones(2)), ValueError),
    ("maximum", lambda x: tt.maximum(x, tt.ones(2)), ValueError),
    ("minimum", lambda x: tt.minimum(x, tt.ones(2)), ValueError),
    ("add", lambda x: tt.add(2, 3), TypeError),
    ("sub", lambda x: tt.sub(2, 3), TypeError),
    ("mul", lambda x: tt.mul(2, 3), TypeError),
    ("div", lambda x: tt.div(2, 3), TypeError),
    ("pow", lambda x: tt.pow(2, 3), TypeError),
    ("maximum", lambda x: tt.maximum(2, 3), TypeError),
    ("minimum", lambda x: tt.minimum(2, 3), TypeError),
    ("sub", lambda x: tt.sub(x > 0, x > 0), TypeError),
    ("div", lambda x: tt.div(x, 2, rounding_mode="up"), ValueError),
    ("pow", lambda x: tt.pow(x > 0, x > 0), TypeError),
    ("where", lambda x: tt.where(x, x, 0.0), TypeError),
    ("where", lambda x: tt.where(x > 0, tt.ones(2), 0.0), ValueError),
]
NAMES = list(dict.fromkeys(name for name, _, _ in CASES))
SHAPES = r"[Ss]hape|From .* to |axes"


def documentation(name, place=None):
    """Return the docstring of a function, or of a method that is none, in one line."""
    found = getattr(place or tt, name, None) or getattr(tt.Tensor, name)
    return " ".join(inspect.getdoc(found).split())


@pytest.mark.parametrize(("name", "call", "error"), CASES)
def test_an_error_is_raised_as_documented(name, call, error):
    with pytest.raises(error):
        call(tt.ones(2, 3))
    _, _, told = documentation(name).partition("Raises ------ ")
    assert error.__name__ in told.partition(" Examples ")[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_function_with_errors_tells_of_shapes(name):
    assert re.search(SHAPES, documentation(name))


@pytest.mark.parametrize("name", [name for name in NAMES if hasattr(tt, name)])
def test_a_method_points_to_its_function(name):
    if hasattr(tt.Tensor, name):
        assert f"errors as for `tinytrain.{name}`" in documentation(name, tt.Tensor)
