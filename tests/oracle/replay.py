"""Replaying PyTorch's own test inputs: what is converted, compared and counted.

PyTorch is imported where a test asks for it, so that this file can be read without.
"""

import collections
from typing import Any

import numpy as np

import tinytrain as tt
from tests.oracle.known_differences import DIFFERENT, DROPPED_ARGUMENTS, LEFT_OUT_ARGUMENTS

TOLERANCES = {"float64": 1e-10, "float32": 3e-5}
GRADIENT_TOLERANCES = {"float64": 1e-9, "float32": 3e-4}


class LeftOut(Exception):
    """A case that is not to be counted."""


class Tally:
    """Counts the cases of a family by name, and keeps what the failures said."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.cases: collections.Counter[str] = collections.Counter()
        self.failed: dict[str, list[str]] = collections.defaultdict(list)
        self.left_out: collections.Counter[str] = collections.Counter()

    def run(self, name: str, describe, case) -> None:
        """Count one case, which is a function that raises where the two libraries differ."""
        try:
            case()
        except LeftOut:
            self.left_out[name] += 1
            return
        except Exception as error:
            words = " ".join(str(error).split())[:200]
            self.failed[name].append(f"{describe()[:200]}: {type(error).__name__}: {words}")
        self.cases[name] += 1

    def close(self) -> None:
        """Print a line of counts, and hold the family to 99 % and to the known differences."""
        total, failed = sum(self.cases.values()), sum(map(len, self.failed.values()))
        print(
            f"\n{self.family}: {len(self.cases)} entries, {total} cases, {total - failed} passed "
            f"({(total - failed) / total:.2%}), {sum(self.left_out.values())} left out"
        )
        for name, messages in sorted(self.failed.items()):
            known, why = DIFFERENT.get(name, (0, "NOT EXPLAINED"))
            print(f"  {name}: {len(messages)} of {self.cases[name]} differ: {why}")
            assert len(messages) <= known, f"{name}: {messages[:3]}"
        gone = {
            name: f"{known} are listed, {len(self.failed[name])} differ"
            for name, (known, _) in DIFFERENT.items()
            if name in self.cases and len(self.failed[name]) != known
        }
        assert not gone, f"known_differences.py is out of date: {gone}"
        assert total - failed >= 0.99 * total


def check_argument(name: str, value: Any) -> bool:
    """Return whether an argument is passed on; one that leaves the case out raises.

    Examples
    --------
    >>> check_argument("dim", 1), check_argument("memory_format", 3)
    (True, False)
    """
    if name in LEFT_OUT_ARGUMENTS and value:
        raise LeftOut(LEFT_OUT_ARGUMENTS[name])
    return name not in DROPPED_ARGUMENTS


def convert(torch, value: Any, leaves: list[tuple[Any, Any]]) -> Any:
    """Return PyTorch's arguments as tinytrain's; pairs of leaves with gradients are added."""
    if isinstance(value, torch.Tensor):
        for ours, theirs in leaves:
            if theirs is value:  # given twice: the gradients add up in one tensor
                return ours
        if value.dtype.is_complex or value.dtype == torch.bfloat16:
            raise LeftOut("a dtype that NumPy or tinytrain does not have")
        tensor = tt.from_numpy(np.array(value.detach().resolve_neg().numpy(), copy=True))
        if value.requires_grad:
            leaves.append((tensor.requires_grad_(), value))
        return tensor
    if isinstance(value, torch.dtype):
        return dtype_of(torch, value)
    if isinstance(value, torch.nn.utils.rnn.PackedSequence):
        raise LeftOut("packed sequences")
    if isinstance(value, list | tuple):
        converted = [convert(torch, item, leaves) for item in value]
        return tuple(converted) if isinstance(value, tuple) else converted
    if isinstance(value, dict):
        return {
            name: convert(torch, item, leaves)
            for name, item in value.items()
            if check_argument(name, item)
        }
    for name in ("relu", "gelu"):
        if value is getattr(torch.nn.functional, name):
            return getattr(tt.nn.functional, name)
    return value


def dtype_of(torch, dtype: Any) -> np.dtype:
    """Return NumPy's dtype of the name that PyTorch's has."""
    name = str(dtype).removeprefix("torch.")
    try:
        return np.dtype(name)
    except TypeError:
        raise LeftOut(f"the dtype {name}") from None


def flat(output: Any) -> list[Any]:
    """List the tensors and numbers of a nested output, without None."""
    if isinstance(output, list | tuple):
        return [leaf for item in output for leaf in flat(item)]
    return [] if output is None else [output]


def compare(torch, found: list[Any], expected: list[Any], skip_integers: bool = False) -> None:
    """Raise where outputs differ in number, shape, dtype, gradient or value."""
    assert len(found) == len(expected), f"{len(found)} outputs for {len(expected)}"
    for ours, theirs in zip(found, expected, strict=True):
        if not isinstance(theirs, torch.Tensor):
            assert type(ours) is type(theirs), f"{type(ours)} for {type(theirs)}"
            np.testing.assert_equal(ours, theirs)
            continue
        dtype = dtype_of(torch, theirs.dtype)
        assert ours.shape == tuple(theirs.shape), f"shape {ours.shape} for {tuple(theirs.shape)}"
        assert ours.dtype == dtype, f"{ours.dtype} for {dtype}"
        assert ours.requires_grad == theirs.requires_grad, f"requires_grad {ours.requires_grad}"
        if not (skip_integers and dtype.kind == "i"):
            near(ours.detach().numpy(), theirs.detach().numpy(), TOLERANCES.get(dtype.name, 1e-5))


def compare_gradients(torch, found, expected, leaves: list[tuple[Any, Any]]) -> None:
    """Differentiate a weighted sum of the outputs in both libraries and compare at the leaves."""
    pairs = [
        (ours, theirs)
        for ours, theirs in zip(found, expected, strict=True)
        if isinstance(theirs, torch.Tensor) and theirs.requires_grad
    ]
    if not pairs or not leaves:
        return
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=tuple(theirs.shape)) for _, theirs in pairs]
    gradients = torch.autograd.grad(
        [theirs for _, theirs in pairs],
        [theirs for _, theirs in leaves],
        [
            torch.tensor(w, dtype=theirs.dtype)
            for w, (_, theirs) in zip(weights, pairs, strict=True)
        ],
        allow_unused=True,
    )
    terms = [
        (ours * tt.from_numpy(np.asarray(weight, dtype=ours.dtype))).sum()
        for weight, (ours, _) in zip(weights, pairs, strict=True)
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    total.backward()
    for (leaf, theirs), gradient in zip(leaves, gradients, strict=True):
        ours = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()
        wanted = np.zeros(leaf.shape) if gradient is None else gradient.numpy()
        name = dtype_of(torch, theirs.dtype).name
        near(ours, wanted, GRADIENT_TOLERANCES.get(name, 1e-4), "gradient")


def near(found: Any, expected: Any, tolerance: float, what: str = "") -> None:
    """Raise where values differ by more than a tolerance, relative or absolute."""
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=what)
