"""The generator against PyTorch's own."""

import numpy as np
import pytest

from tinytrain.generator import Generator

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle


def torch_int64(generator):
    return torch.empty((), dtype=torch.int64).random_(generator=generator).item()


@pytest.mark.parametrize("n", [0, 1, 2, 10, 1000, 50000])
@pytest.mark.parametrize("seed", [0, 1, 7, 42, 123456, -5, 2**64 - 1])
def test_draws_in_turn_equal_torch(seed, n):
    ours, theirs = Generator(seed), torch.Generator().manual_seed(seed)
    assert ours.initial_seed() == theirs.initial_seed()
    for _ in range(2):
        expected = torch.randperm(n, generator=theirs).numpy()
        np.testing.assert_array_equal(ours.randperm(n), expected)
        assert ours.random_int64() == torch_int64(theirs)


@pytest.mark.parametrize("high", [1, 10, 2**28 - 1, 2**28, 2**32 + 1, 2**62])
def test_randint_equals_torch(high):
    ours, theirs = Generator(3), torch.Generator().manual_seed(3)
    expected = torch.randint(high, (33,), generator=theirs)
    np.testing.assert_array_equal(ours.randint(high, 33), expected.numpy())
    assert ours.random_int64() == torch_int64(theirs)


def test_a_fresh_generator_equals_a_fresh_one_of_torch():
    ours, theirs = Generator(), torch.Generator()
    assert ours.initial_seed() == theirs.initial_seed()
    assert ours.randperm(100).tolist() == torch.randperm(100, generator=theirs).tolist()
