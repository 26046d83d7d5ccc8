"""The whole table of sample inputs."""

from op_samples_activations import ACTIVATIONS
from op_samples_attention import TILED
from op_samples_convolution import CONVOLUTIONS
from op_samples_elementary import ELEMENTARY
from op_samples_layers import LAYERS
from op_samples_losses import LOSSES_AND_NORMS
from op_samples_operators import OPERATORS
from op_samples_recurrent import RECURRENT
from op_samples_tensor import TENSOR

SAMPLES = [
    *CONVOLUTIONS,
    *ELEMENTARY,
    *LAYERS,
    *OPERATORS,
    *TENSOR,
    *ACTIVATIONS,
    *LOSSES_AND_NORMS,
    *RECURRENT,
    *TILED,
]
