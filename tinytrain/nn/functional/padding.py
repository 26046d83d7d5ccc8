"""Values around a tensor."""

from collections.abc import Sequence

from tinytrain.functions.checks import checked
from tinytrain.ops.padding import MODES, Pad, PadFromInside
from tinytrain.tensor import Tensor, apply


def pad(
    input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """Extend the last axes on both sides; negative numbers cut elements off.

    Parameters
    ----------
    input : Tensor (...)
    pad : sequence of int
        (before the last axis, behind it, before the last but one, behind it, ...).
    mode : {"constant", "reflect", "replicate", "circular"}
        What is put there: `value`; the elements mirrored about the outermost one; the outermost
        one; the elements of the other end. The last three extend the last one, two or three axes,
        of an input with one or two axes before them: (C, L), (N, C, L), (C, H, W), ...
    value : float, optional
        0 if not given. For the mode "constant" alone: to the others any but 0 is an error.

    Returns
    -------
    Tensor (...)
        Each axis longer by its two numbers.

    Raises
    ------
    ValueError, TypeError
        The numbers do not fit the shape, or the mode is none of these.

    Examples
    --------
    >>> import tinytrain as tt
    >>> x = tt.tensor([[1.0, 2.0, 3.0]])
    >>> pad(x, (1, 2)).tolist()
    [[0.0, 1.0, 2.0, 3.0, 0.0, 0.0]]
    >>> pad(x, (1, 2), mode="reflect").tolist()
    [[2.0, 1.0, 2.0, 3.0, 2.0, 1.0]]
    """
    checked(input, "pad", "input")
    if mode == "constant":
        return apply(Pad(pad, 0 if value is None else value), input)
    if mode not in MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(MODES)}, got {mode!r}")
    if value:
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value!r}")
    return apply(PadFromInside(pad, mode), input)
