"""What makes PyTorch quick at thousands of tiny inputs."""

import pytest


@pytest.fixture(autouse=True)
def one_thread_and_cheap_seeds(monkeypatch):
    """Compute in one thread, and seed PyTorch's generator of the CPU alone.

    Its tables seed before every sample, and for each kind of GPU that is absent PyTorch then writes
    down the whole call stack, which under pytest is long.
    """
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(torch, "manual_seed", torch.default_generator.manual_seed)
    yield
    torch.set_num_threads(threads)
