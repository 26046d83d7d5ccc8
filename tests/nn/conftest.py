"""What the tests of layers share."""

import pytest


@pytest.fixture(scope="module")
def torch_on_one_thread():
    """Keep PyTorch's threads from spinning beside NumPy's: on these tiny arrays they only wait."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
