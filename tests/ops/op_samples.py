"""The whole table of sample inputs."""

from op_samples_elementary import ELEMENTARY
from op_samples_layers import LAYERS

SAMPLES = [*ELEMENTARY, *LAYERS]
