"""Nested states: what `pack` takes apart, `unpack` puts together."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinytrain.train.nested_state import pack, unpack

keys = st.text("abc", min_size=1, max_size=3) | st.integers(0, 3)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.lists(st.floats(allow_nan=False), max_size=3).map(np.array)
)
nested = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)


@settings(max_examples=20, deadline=None)
@given(nested)
def test_packing_a_nested_state(state):
    arrays = {}
    text = json.dumps(pack(state, "x", arrays), allow_nan=False)
    assert same(unpack(json.loads(text), arrays), state)


def same(first, second):
    if isinstance(second, np.ndarray):
        return np.array_equal(first, second) and first.dtype == second.dtype
    if isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in second)
    if isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(second, float) and math.isnan(second):
        return isinstance(first, float) and math.isnan(first)
    return type(first) is type(second) and first == second


def test_names_that_meet_are_refused():
    state = {"a/b": np.ones(1), "a": {"b": np.zeros(1)}}
    with pytest.raises(ValueError, match="two arrays of the state have the name 'x/a/b'"):
        pack(state, "x", {})


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ({"a": {1.5: 2}}, TypeError, r"the state x/a has the key 1.5"),
        ({None: 2}, TypeError, "has the key None"),
        ({"__array__": "x"}, ValueError, "which checkpoints use"),
    ],
)
def test_keys_that_json_would_change_are_refused(state, error, message):
    with pytest.raises(error, match=message):
        pack(state, "x", {})


@pytest.mark.parametrize(
    "state", [{"__array__": "y"}, {"__array__": []}, {"__number__": "x"}, {"__items__": [[1]]}]
)
def test_what_pack_did_not_make_is_an_error_of_a_known_kind(state):
    with pytest.raises((LookupError, TypeError, ValueError)):
        unpack(state, {})
