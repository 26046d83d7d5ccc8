"""Sample inputs of the activations that are straight lines or made of the logistic function."""

import numpy as np
from op_sample import normal, sample

from tinytrain.ops.logistic import LogSigmoid, SiLU, Softplus
from tinytrain.ops.rectifier import ELU, Hardtanh, LeakyReLU

EXTREME = np.array([-1e4, -700.0, -40.0, -0.01, 0.7, 0.01, 40.0, 700.0, 1e4])
"""Where an exponential overflows, or vanishes beside 1. (Kept off 0, where some have a corner.)"""


def functional(name, *settings, **named):
    return lambda t, x: getattr(t.nn.functional, name)(x, *settings, **named)


SHAPES = {"": (3, 4), "no_axes": (), "empty": (2, 0, 3)}

ACTIVATIONS = [
    sample(operation, f"{label}{place}", function, array)
    for operation, label, function in [
        (SiLU, "", functional("silu")),
        (LogSigmoid, "", functional("logsigmoid")),
        (Softplus, "", functional("softplus")),
        (Softplus, "steep", functional("softplus", 3, 0.2)),
        (Softplus, "numpy_numbers", functional("softplus", np.float64(2.0), np.float64(1.0))),
        (Softplus, "always_straight", functional("softplus", 2.0, -1e5)),
        (LeakyReLU, "", functional("leaky_relu")),
        (LeakyReLU, "negative", functional("leaky_relu", -0.5)),
        (LeakyReLU, "numpy_number", functional("leaky_relu", np.float64(0.3))),
        (ELU, "", functional("elu")),
        (ELU, "alpha", functional("elu", 2.5)),
        (ELU, "numpy_number", functional("elu", np.float64(0.5))),
        (Hardtanh, "", functional("hardtanh")),
        (Hardtanh, "bounds", functional("hardtanh", -0.3, 0.4)),
        (Hardtanh, "numpy_numbers", functional("hardtanh", np.float64(-0.3), np.float64(2.0))),
        (Hardtanh, "relu6", functional("relu6")),
    ]
    for place, array in [
        *((f"_{name}" if name else "", 2 * normal(*shape)) for name, shape in SHAPES.items()),
        ("_of_large", EXTREME),
    ]
]
