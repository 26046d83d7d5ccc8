"""What an error says about the layers it passed on its way up."""

from typing import Any

from tinytrain.autograd import describe
from tinytrain.tensor import Tensor


def note_layer(
    error: Exception, layer: Any, inputs: tuple[Any, ...], settings: dict[str, Any]
) -> None:
    """Add a note that says which layer failed with which inputs, and what its caller calls it.

    Parameters
    ----------
    error : Exception
        On its way up; it passes every module around the one that failed.
    layer : Module
        The module it passes.
    inputs, settings
        What that module was called with, by position and by name.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = tt.nn.Sequential(tt.nn.ReLU(), tt.nn.Embedding(4, 2))
    >>> try:
    ...     model(tt.ones(3))
    ... except TypeError as error:
    ...     for note in error.__notes__[1:]:
    ...         print(note)
    in layer Embedding(4, 2), input: float32 (3,) on cpu
      which is '1' of Sequential, input: float32 (3,) on cpu
    """
    given = [_describe(value) for value in inputs]
    given += [f"{name}={_describe(value)}" for name, value in settings.items()]
    failed = getattr(error, "failed_layer", None)
    if failed is None:
        called = f"in layer {type(layer).__name__}({layer.extra_repr()})"
    else:
        name = _name_below(layer, failed)
        called = f"  which is {name!r} of" if name else "  called by"
        called += f" {type(layer).__name__}"
    error.add_note(f"{called}, input: {', '.join(given)}")
    error.failed_layer = layer  # type: ignore[attr-defined]


def _describe(value: Any) -> str:
    return describe(value.data) if isinstance(value, Tensor) else type(value).__name__


def _name_below(layer: Any, wanted: Any) -> str | None:
    try:
        return next((name for name, module in layer.named_modules() if module is wanted), None)
    except TypeError:  # a plain list of modules: that fault must not hide the one at hand
        return None
