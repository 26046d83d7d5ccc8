"""All checks of one layer by one call."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np

from tinytrain.backend import as_array
from tinytrain.generator import default_generator
from tinytrain.nn import Module
from tinytrain.testing import layer_checks
from tinytrain.testing.device_checks import device
from tinytrain.testing.errors import Step, name_of, run_steps
from tinytrain.testing.global_state import restored

REMEDY = "the layer must run on these inputs in both modes"
DEVICE = (
    "make tensors from the inputs, or keep them as parameters or buffers, which model.to(...) "
    "moves; operations that are refused are listed in docs/gpu.md"
)


def check_layer(
    layer: Module | Callable[[], Module],
    *inputs: Any,
    unused: Sequence[str] = (),
    may_wait: bool = False,
    batch_axis: int | None = 0,
    eps: float = 1e-4,
    atol: float = 1e-9,
    rtol: float = 1e-8,
) -> list[str]:
    """Check everything that a layer has to get right, and say in words what it got wrong.

    Its parameters are found, always in one order, and a gradient reaches each; training and
    evaluation; other batch sizes; float32 stays float32; a state dict, after some training, brings
    another instance to the same output; gradients in float64 with respect to parameters and inputs,
    in evaluation and in training (where all random numbers come from tinytrain's default
    generator); the mock GPU; `repr`; and nothing global is left changed (random numbers, np.seterr,
    filters of warnings, the device, the gradient mode), nor any input.

    Parameters
    ----------
    layer : Module, or a callable that makes one
        With a callable more is found: two instances share nothing, and making one seeds no
        generator. The layer itself is left alone; copies are checked.
    *inputs : Tensor, array, or anything else
        Of `forward`, as for `check_op`. Tensors of float64 say that the layer computes in float64.
    unused : sequence of str
        Names of parameters that no gradient, or none but 0, reaches with these inputs.
    may_wait : bool
        Whether it may make the host wait for a GPU.
    batch_axis : int or None
        The axis of the inputs along which their number may change: of arrays of two axes or more.
        None where there is none, as in a layer for inputs of one shape.
    eps, atol, rtol : float
        Of the gradient checks; see `gradcheck`.

    Returns
    -------
    list of str
        The names of the checks made.

    Raises
    ------
    CheckError
        An objection: which parameter or input, what was found and expected, what to do.
    TypeError
        `layer` is no Module, and makes none.

    Examples
    --------
    >>> import tinytrain as tt
    >>> check_layer(lambda: tt.nn.Linear(3, 2), tt.randn(4, 3))
    ['parameters', 'instances', 'modes', 'batch sizes', 'dtype', 'gradients reach', 'state dict',
    'gradient', 'gradient in training', 'repr', 'global state', 'mock GPU']
    """
    fresh = _maker(layer)
    found = default_generator().get_state()
    try:
        first = fresh()
        second = _other(first) if isinstance(layer, Module) else fresh()
        if not isinstance(layer, Module):
            instances: list[Step] = [
                ("instances", lambda: layer_checks.check_instances(fresh, first, second), REMEDY)
            ]
        else:
            instances = [("copies", lambda: layer_checks.check_copies(layer), REMEDY)]
        tolerances = {"eps": eps, "atol": atol, "rtol": rtol}
        steps: list[Step] = [
            ("parameters", lambda: layer_checks.check_parameters(first, second), REMEDY),
            *instances,
            ("modes", lambda: layer_checks.check_modes(fresh(), inputs), REMEDY),
            (
                "batch sizes",
                lambda: layer_checks.check_batch_sizes(fresh(), inputs, batch_axis),
                REMEDY,
            ),
            ("dtype", lambda: layer_checks.check_dtype(fresh(), inputs), REMEDY),
            ("gradients reach", lambda: layer_checks.check_reached(fresh, inputs, unused), REMEDY),
            ("state dict", lambda: layer_checks.check_state_dict(fresh(), second, inputs), REMEDY),
            (
                "gradient",
                lambda: layer_checks.check_gradient(fresh(), inputs, False, **tolerances),
                REMEDY,
            ),
            (
                "gradient in training",
                lambda: layer_checks.check_gradient(fresh(), inputs, True, **tolerances),
                REMEDY,
            ),
            (
                "repr",
                lambda: layer_checks.check_repr(first),
                "define extra_repr to return a string",
            ),
            ("global state", lambda: layer_checks.check_global_state(fresh(), inputs), REMEDY),
            ("mock GPU", lambda: layer_checks.check_mock(fresh(), inputs, may_wait), DEVICE),
        ]
        with restored(), device("cpu"), np.errstate(all="ignore"):
            return run_steps(name_of(type(first)), steps)
    finally:
        default_generator().set_state(found)


def _maker(layer: Module | Callable[[], Module]) -> Callable[[], Module]:
    """Return what makes another layer at every call: the callable given, or a copy of the layer."""

    def make() -> Module:
        made = deepcopy(layer) if isinstance(layer, Module) else callable(layer) and layer()
        if not isinstance(made, Module):
            raise TypeError(f"check_layer takes an nn.Module or what makes one, got {layer!r:.80}")
        return made

    return make


def _other(layer: Module) -> Module:
    """Copy a layer, with other values in its parameters."""
    other = deepcopy(layer)
    for parameter in other.parameters():
        parameter.data = as_array(parameter.data * 0.5 + 0.25)
    return other
