"""einsum and tensordot: NumPy's values, gradients, and words for what does not fit."""

import numpy as np
import pytest
from device_helpers import host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinytrain as tt
from tinytrain.testing import gradcheck

pytestmark = pytest.mark.usefixtures("device")
EQUATIONS = {
    "ij,jk->ik": [(2, 3), (3, 4)],
    "ij,jk": [(2, 3), (3, 4)],
    "ba": [(2, 3)],
    "i,j->ji": [(2,), (3,)],
    "i,i->": [(3,), (3,)],
    "ij->": [(2, 3)],
    "ii->i": [(3, 3)],
    "iij->ji": [(2, 2, 3)],
    "ii": [(3, 3)],
    "bij, bkj -> bik": [(2, 3, 4), (2, 2, 4)],
    "...qd,...kd->...qk": [(2, 1, 3, 4), (5, 2, 4)],
    "i...,i->...": [(3, 2), (3,)],
    "...,i->i...": [(2, 2), (3,)],
    "ij,jk,kl->il": [(2, 3), (3, 4), (4, 2)],
    "a,a,a->a": [(3,), (3,), (3,)],
    "ij,kl->": [(2, 3), (1, 2)],
    "ij,ij->j": [(0, 2), (0, 2)],
}
each_equation = pytest.mark.parametrize("equation", EQUATIONS)


def arrays_of(shapes, seed=0):
    source = np.random.default_rng(seed)
    return [np.asarray(source.standard_normal(shape)) for shape in shapes]


@each_equation
def test_einsum_equals_numpys(equation):
    arrays = arrays_of(EQUATIONS[equation])
    found = tt.einsum(equation, *map(tt.from_numpy, arrays))
    expected = np.einsum(equation, *arrays)
    assert found.shape == expected.shape
    np.testing.assert_allclose(host(found), expected, rtol=1e-12, atol=1e-12)


@each_equation
def test_gradients_of_einsum(equation):
    tensors = [tt.from_numpy(a).requires_grad_() for a in arrays_of(EQUATIONS[equation])]
    if all(t.numel() for t in tensors):
        assert gradcheck(lambda *t: tt.einsum(equation, *t), tensors)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_einsum_of_any_letters(data):
    """Two or three terms over four letters, any of which the result may keep, in any order."""
    sizes = dict(
        zip("abcd", data.draw(st.lists(st.integers(1, 3), min_size=4, max_size=4)), strict=True)
    )
    terms = data.draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=3))
    letters = sorted({*"".join(terms)})
    kept = data.draw(st.permutations(letters))[: data.draw(st.integers(0, len(letters)))]
    equation = ",".join(terms) + "->" + "".join(kept)
    arrays = arrays_of([tuple(sizes[n] for n in term) for term in terms])
    found = tt.einsum(equation, *map(tt.from_numpy, arrays))
    np.testing.assert_allclose(host(found), np.einsum(equation, *arrays), rtol=1e-9, atol=1e-9)


def test_axes_of_size_1_are_broadcast():
    """As in PyTorch, where NumPy refuses."""
    x, y = map(tt.from_numpy, arrays_of([(2, 1), (3, 4)]))
    found = tt.einsum("ij,jk->ik", x, y)
    np.testing.assert_allclose(host(found), host(x) @ host(y).sum(0, keepdims=True), rtol=1e-12)
    kept = tt.einsum("ij,jk->ijk", x, y)
    np.testing.assert_allclose(host(kept), host(x)[:, :, None] * host(y), rtol=1e-12)


def test_axes_behind_an_ellipsis_that_the_result_lacks_are_added_up():
    x, y = map(tt.from_numpy, arrays_of([(2, 3, 4), (5,)]))
    found = tt.einsum("...ik,...j->ij", x, y)
    np.testing.assert_allclose(host(found), host(x).sum((0, 2))[:, None] * host(y), rtol=1e-12)


@pytest.mark.parametrize(
    ("equation", "shapes", "words"),
    [
        ("ij,jk->ik", [(2, 3)], "2 terms for 1 tensors"),
        ("ij->ij", [(2, 3, 4)], "'ij' is for another tensor than one of 3 axes"),
        ("ij->k", [(2, 3)], "every letter of the result"),
        ("ij->ii", [(2, 3)], "every letter of the result"),
        ("i1->i", [(2, 3)], "more than letters"),
        ("ij,jk->ik", [(2, 3), (4, 2)], "axis 'j' has sizes 3 and 4"),
        ("ii->i", [(2, 3)], "axis 'i' stands for sizes 2 and 3"),
    ],
)
def test_einsum_says_what_does_not_fit(equation, shapes, words):
    with pytest.raises(ValueError, match=words):
        tt.einsum(equation, *map(tt.from_numpy, arrays_of(shapes)))


def test_einsum_refuses_arrays():
    with pytest.raises(TypeError, match="bare ndarray"):
        tt.einsum("i->", np.ones(2))


@pytest.mark.parametrize(
    ("left", "right", "dims"),
    [
        ((2, 3, 4), (3, 4, 2), 2),
        ((2,), (3,), 0),
        ((2, 3, 4), (4, 2, 3), ([0, 1], [1, 2])),
        ((2, 3), (3, 2), ([-1], [-2])),
        ((2, 3), (2, 3), ([0, 1], [0, 1])),
    ],
)
def test_tensordot(left, right, dims):
    arrays = arrays_of([left, right])
    x, y = (tt.from_numpy(a).requires_grad_() for a in arrays)
    found = tt.tensordot(x, y, dims=dims)
    np.testing.assert_allclose(host(found), np.tensordot(*arrays, axes=dims), rtol=1e-12)
    assert gradcheck(lambda x, y: tt.tensordot(x, y, dims), [x, y])


@pytest.mark.parametrize(
    ("dims", "words"),
    [(3, "over 3 axes"), (([0], [0]), "differ in size"), (([0, 0], [1, 1]), "each once")],
)
def test_tensordot_says_what_does_not_fit(dims, words):
    with pytest.raises(ValueError, match=words):
        tt.tensordot(tt.ones(2, 3), tt.ones(3, 2), dims)
