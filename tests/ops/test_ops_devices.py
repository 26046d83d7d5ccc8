"""Every operation on devices: the CPU's results, no mixing of devices, and no hidden waiting."""

import re

import pytest
from device_helpers import ACCELERATORS
from op_sample import assert_same, narrowed, run, tensors_of, upstream_of
from op_samples import SAMPLES

import tinytrain as tt
from tinytrain.backend import REMEDY
from tinytrain.testing import mock

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=str)


@pytest.fixture
def mock_gpu():
    """Choose the mock GPU, and allow no float64 on it."""
    tt.set_device("mock")
    yield
    tt.set_device("cpu")


@pytest.mark.parametrize("device", ACCELERATORS, indirect=True)
@every_sample
def test_results_are_those_of_the_cpu(sample, device):
    narrow = narrowed(sample.arrays)
    found = run(sample)
    with mock.allow_float64(False):
        found_in_float32 = run(sample, narrow)
    tt.set_device("cpu")
    assert_same(found, run(sample), rtol=1e-9, atol=1e-10)
    rtol, atol = (0.1, 1e-2) if sample.is_sensitive else (1e-4, 1e-5)
    assert_same(found_in_float32, run(sample, narrow), rtol=rtol, atol=atol)


# ---------------------------------------------------------------- mixed devices

MIXED = re.compile(rf"(\w+): the arguments are on different devices: (.*); {re.escape(REMEDY)}")
ARGUMENT = re.compile(r"[\w\[\] ]+ is (\w+ \([\d, ]*\) on \w+)")

USE_ONE_ARRAY = {"Comparison-le_with_itself", "Comparison-gt_float", "Comparison-lt_float_left"}
TAKE_A_HOST_INDEX = {str(s) for s in SAMPLES if str(s).startswith("Index-") and len(s.arrays) > 1}
MEET_ELSEWHERE = {"Cast-from_bool": "Mul", "Softmax-masked": "MaskedFill"}
ROWS = ["float32 (4, 3)", "int64 (4,)"]
ONE_ROW = ["float32 (1, 3)", "int64 (1,)"]
MASKED_BY_SEGMENTS = [*["float32 (2, 2, 3, 2)"] * 2, "float32 (2, 2, 3, 5)", "float32 (2, 1, 3, 3)"]
ARGUMENTS = {
    "Cast-from_bool": ["float32 (4,)", "float32 (4,)"],
    "Index-mask_and_int": ["float32 (4,)", "bool (4,)"],
    "CrossEntropy-vector": ONE_ROW,
    "CrossEntropy-vector_none": ONE_ROW,
    "CrossEntropy-sequence": ROWS,
    "CrossEntropy-image_none": ROWS,
    "ScaledDotProductAttention-segments": MASKED_BY_SEGMENTS,
    "ScaledDotProductAttention-causal_segments": MASKED_BY_SEGMENTS,
}
ARGUMENTS |= {
    str(s): ["float32 (4, 3)", "int64 (4,)", "float32 (3,)"]
    for s in SAMPLES
    if str(s).startswith("NegativeLogLikelihood-weighted")
}
"""Of functions that reshape what they are given, or convert it, before the operation runs."""


def mixed_devices(sample):
    """Yield, for each place, the tensors with the one at that place in host memory."""
    for place in range(len(sample.arrays)):
        tensors = tensors_of(sample, narrowed(sample.arrays))
        tensors[place] = tensors[place].detach().cpu()
        yield place, tensors


MIXABLE = [s for s in SAMPLES if len(s.arrays) > 1 and str(s) not in USE_ONE_ARRAY]


@pytest.mark.parametrize("sample", MIXABLE, ids=str)
def test_mixed_devices_are_named(sample, mock_gpu):
    """The message has the operation, each argument's dtype, shape and device, and a remedy."""
    for place, tensors in mixed_devices(sample):
        if place and str(sample) in TAKE_A_HOST_INDEX:
            continue  # see test_host_index_is_brought_over
        with pytest.raises(RuntimeError) as caught:
            sample.function(tt, *tensors)
        told = MIXED.fullmatch(str(caught.value))
        assert told, str(caught.value)
        assert told[1] == MEET_ELSEWHERE.get(str(sample), sample.operation.__name__)
        assert set(ARGUMENT.findall(told[2])) == arguments_of(sample, place)


def arguments_of(sample, place):
    """Describe the arguments as the message shall."""
    plain = [f"{array.dtype} {array.shape}" for array in narrowed(sample.arrays)]
    return {
        f"{argument} on {'cpu' if i == place else 'mock'}"
        for i, argument in enumerate(ARGUMENTS.get(str(sample), plain))
    }


@pytest.mark.parametrize("sample", [s for s in SAMPLES if str(s) in TAKE_A_HOST_INDEX], ids=str)
def test_host_index_is_brought_over(sample, mock_gpu):
    """As in PyTorch, an index of the host is as good as a list of numbers."""
    x, index = tensors_of(sample, narrowed(sample.arrays))
    result = sample.function(tt, x, index.cpu())
    assert result.device == "mock"
    assert result.tolist() == sample.function(tt, x, index).tolist()


def test_samples_of_one_array_mix_nothing(mock_gpu):
    for sample in SAMPLES:
        if str(sample) in USE_ONE_ARRAY:
            for _, tensors in mixed_devices(sample):
                sample.function(tt, *tensors)


# ---------------------------------------------------------------- waiting

MASK = "a mask as an index decides the size of the result, which the host must know"
LEAVES = "bringing values to the host is what it does, and says"
MAY_WAIT = {
    "Index-list_of_booleans": MASK,
    "Index-mask": MASK,
    "Index-row_mask": MASK,
    "Index-column_mask": MASK,
    "Index-mask_and_int": MASK,
    "ToHost-": LEAVES,
    "ToDevice-and_to_host": LEAVES,
}
LIST = "the list of indices is of the host: it is copied, without waiting"
INSIDE = "the sample itself makes a tensor of host values"
MAY_COPY = {
    "Index-list": LIST,
    "Index-list_of_repeats": LIST,
    "Index-two_lists": LIST,
    "Index-lists_apart": LIST,
    "Index-nested_tuple_of_repeats": LIST,
    "Index-mixed": LIST,
    "Index-new_axis_and_list": LIST,
    **{str(s): INSIDE for s in SAMPLES if s.operation.__name__ == "BatchNorm"},
    "PackedSelfAttention-boolean": INSIDE,
    "PackedSelfAttention-additive": INSIDE,
}


def upstream_for(sample, arrays):
    """Make the gradient for an output before the measured pass."""
    return upstream_of(sample.function(tt, *tensors_of(sample, arrays)))


def forward_and_backward(sample, tensors, upstream):
    output = sample.function(tt, *tensors)
    if output.requires_grad:
        output.backward(upstream)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if str(s) not in MAY_WAIT], ids=str)
def test_nothing_waits_for_the_gpu(sample, mock_gpu):
    arrays = narrowed(sample.arrays)
    upstream, tensors = upstream_for(sample, arrays), tensors_of(sample, arrays)
    with mock.forbid_sync(), mock.record() as ledger:
        forward_and_backward(sample, tensors, upstream)
    assert not ledger.waits  # on purpose neither
    assert bool(ledger.copies_to_device) == (str(sample) in MAY_COPY)


@pytest.mark.parametrize("sample", [s for s in SAMPLES if str(s) in MAY_WAIT], ids=str)
def test_exceptions_do_wait(sample, mock_gpu):
    """Whatever stops waiting shall leave the list."""
    arrays = narrowed(sample.arrays)
    upstream, tensors = upstream_for(sample, arrays), tensors_of(sample, arrays)
    with mock.record() as ledger:
        forward_and_backward(sample, tensors, upstream)
    assert ledger.waits
    assert bool(ledger.implicit_waits) == (MAY_WAIT[str(sample)] == MASK)


def test_lists_of_exceptions_name_samples():
    names = {str(sample) for sample in SAMPLES}
    assert {*MAY_WAIT, *MAY_COPY, *USE_ONE_ARRAY, *MEET_ELSEWHERE, *ARGUMENTS} <= names


@pytest.mark.parametrize(
    "look_up",
    [
        lambda ids: tt.nn.functional.embedding(ids, tt.ones(4, 2)),
        lambda ids: tt.ones(4, 2)[ids],
        lambda ids: tt.nn.functional.cross_entropy(tt.ones(3, 4), ids),
    ],
    ids=["embedding", "index", "cross_entropy"],
)
def test_ids_of_unknown_range_are_looked_at_once_and_on_purpose(look_up, mock_gpu):
    known = tt.tensor([0, 3, 3])
    with mock.record() as ledger:
        look_up(known)
        look_up(known.reshape(3, 1)[:, 0])
    assert not ledger.waits
    with mock.record() as ledger:
        look_up(known + 0)
    assert dict(ledger.waits) == {mock.ledger.EXPLICIT: 1}
    with pytest.raises(IndexError, match="4"):
        look_up(known + 1)
