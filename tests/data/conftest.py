"""What all tests of the data pipeline leave as it was."""

import pytest

from tinytrain.generator import default_generator


@pytest.fixture(autouse=True)
def _keep_default_generator():
    state = default_generator().get_state()
    yield
    default_generator().set_state(state)
