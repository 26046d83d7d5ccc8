"""An error says which layer failed, with which input, and what its caller calls it."""

import pytest

import tinytrain as tt
from tinytrain import nn

pytestmark = pytest.mark.usefixtures("device")


class Block(nn.Module):
    def __init__(self):
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(5, 2))

    def forward(self, x, scale=1.0):
        return self.layers(x) * scale


class Model(nn.Module):
    def __init__(self):
        self.block = Block()

    def forward(self, x):
        return self.block(x, scale=tt.ones(1))


def layer_notes(call):
    with pytest.raises(Exception) as caught:
        call()
    return [note for note in caught.value.__notes__ if "operation" not in note]


def test_notes_lead_from_the_inside_out(device):
    linear = "Linear(in_features=5, out_features=2, bias=True)"
    scale = f"scale=float32 (1,) on {device}"
    assert layer_notes(lambda: Model()(tt.ones(3, 4))) == [
        f"in layer {linear}, input: float32 (3, 8) on {device}",
        f"  which is '2' of Sequential, input: float32 (3, 4) on {device}",
        f"  which is 'layers' of Block, input: float32 (3, 4) on {device}, {scale}",
        f"  which is 'block' of Model, input: float32 (3, 4) on {device}",
    ]


def test_the_operation_is_named_before_the_layers(device):
    with pytest.raises(ValueError, match="expects 5 features on the last axis, got 8") as caught:
        Model()(tt.ones(3, 4))
    assert caught.value.__notes__[0].startswith(f"in operation Linear(float32 (3, 8) on {device}")


def test_a_layer_two_levels_below_has_a_dotted_name(device):
    class Skips(nn.Module):
        def __init__(self):
            self.block = Block()

        def forward(self, x):
            return self.block.layers[2](x)

    assert layer_notes(lambda: Skips()(tt.ones(3, 4)))[1:] == [
        f"  which is 'block.layers.2' of Skips, input: float32 (3, 4) on {device}"
    ]


def test_a_layer_that_is_no_attribute_is_called(device):
    class Makes(nn.Module):
        def forward(self, x):
            return nn.Linear(5, 2)(x)

    notes = layer_notes(lambda: Makes()(tt.ones(3, 4)))
    assert notes[1:] == [f"  called by Makes, input: float32 (3, 4) on {device}"]


def test_inputs_by_name_and_of_other_types_are_shown(device):
    assert layer_notes(lambda: nn.Linear(5, 2)(input=tt.ones(3, 4))) == [
        "in layer Linear(in_features=5, out_features=2, bias=True), "
        f"input: input=float32 (3, 4) on {device}"
    ]
    assert layer_notes(lambda: nn.Linear(5, 2)("text"))[0].endswith("input: str")


def test_another_fault_of_the_model_does_not_hide_the_error():
    class Hides(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(5, 2)]

        def forward(self, x):
            return self.layers[0](x)

    with pytest.raises(ValueError, match="expects 5 features"):
        Hides()(tt.ones(3, 4))


def test_an_error_of_the_users_own_passes_with_its_type():
    class Stops(nn.Module):
        def forward(self, x):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        nn.Sequential(Stops())(tt.ones(1))
    assert len(caught.value.__notes__) == 2
