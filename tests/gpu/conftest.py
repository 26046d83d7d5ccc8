"""The devices of these tests: the mock GPU always, a real one where there is one."""

import pytest

from tinytrain import backend
from tinytrain.generator import default_generator

DEVICES = ["mock", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    """The name of a device; afterwards the chosen device and the generator are as before."""
    if request.param == "cuda" and (problem := backend.cuda_problem()):
        pytest.skip(f"no usable GPU: {problem}")
    monkeypatch.setattr(backend, "_creation_library", backend._creation_library)
    state = default_generator().get_state()
    yield request.param
    default_generator().set_state(state)
