"""Limiting the size of gradients."""

import math
from collections.abc import Iterable, Sequence

from tinytrain import backend
from tinytrain.backend import Array
from tinytrain.optim.flat import gradient_arrays
from tinytrain.tensor import Tensor


def gradient_norm(parameters: Iterable[Tensor] | Tensor, norm_type: float = 2.0) -> Tensor:
    """Return the norm of all gradients taken as one vector.

    Parameters
    ----------
    parameters : iterable of Tensor, or one
        Those without a gradient are left out.
    norm_type : float
        p of the p-norm; infinity gives the largest magnitude.

    Returns
    -------
    Tensor ()
        On the parameters' device, so that nothing waits for it; 0 where there are no gradients.

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * tt.tensor([3.0, 4.0])).sum().backward()
    >>> gradient_norm([w])
    tensor(5., dtype=float32, device=cpu)
    """
    return _norm(gradient_arrays(_listed(parameters)), norm_type)


def get_total_norm(
    tensors: Iterable[Tensor] | Tensor, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Return the norm of tensors, gradients for instance, taken as one vector.

    Parameters
    ----------
    tensors : iterable of Tensor, or one
    norm_type : float
        p of the p-norm, above 0; may be infinity.
    error_if_nonfinite : bool
        Raise where the norm is NaN or infinite (this reads the norm, which on a GPU waits).

    Returns
    -------
    Tensor ()

    Raises
    ------
    RuntimeError
        The norm is not finite and that was to be an error.

    Examples
    --------
    >>> import tinytrain as tt
    >>> get_total_norm([tt.tensor([3.0]), tt.tensor([[4.0]])])
    tensor(5., dtype=float32, device=cpu)
    """
    norm = _norm([tensor.data.reshape(-1) for tensor in _listed(tensors)], norm_type)
    if error_if_nonfinite:
        _check_finite(norm)
    return norm


def _norm(arrays: Sequence[Array], norm_type: float) -> Tensor:
    """Return the norm of flat arrays taken as one vector."""
    norm_type = float(norm_type)
    if not norm_type > 0:
        raise ValueError(f"norm_type must be above 0, got {norm_type}")
    arrays = [array for array in arrays if array.size or norm_type != math.inf]
    if not arrays:
        return Tensor(backend.creation_library().zeros((), dtype="float32"))
    xp = backend.xp_of(*arrays)
    if norm_type == math.inf:
        largest = xp.stack([xp.abs(array).max() for array in arrays])
        return Tensor(backend.as_array(largest.max()))
    if norm_type == 2:
        total = sum(xp.dot(array, array) for array in arrays)
        return Tensor(backend.as_array(xp.sqrt(total)))
    total = sum((xp.abs(array) ** norm_type).sum() for array in arrays)
    return Tensor(backend.as_array(total ** (1 / norm_type)))


def clip_grad_norm_(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients down, in place, so that their joint norm is at most `max_norm`.

    g <- g min(1, max_norm / (norm + 1e-6)), with the norm over all gradients as one vector.

    Parameters
    ----------
    parameters : iterable of Tensor, or one
    max_norm : float
    norm_type : float
        p of the p-norm; may be infinity.
    error_if_nonfinite : bool
        Raise where the norm is NaN or infinite (this reads the norm, which on a GPU waits).

    Returns
    -------
    Tensor ()
        The norm before clipping.

    Raises
    ------
    RuntimeError
        The norm is not finite and that was to be an error; the gradients are unchanged.
    ValueError
        `max_norm` is below 0, or `norm_type` not above 0.

    References
    ----------
    R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural
    networks", arXiv 1211.5063, algorithm 1.

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * tt.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grad_norm_([w], max_norm=1.0)
    tensor(5., dtype=float32, device=cpu)
    >>> abs(gradient_norm([w]).item() - 1.0) < 1e-5
    True
    """
    if not max_norm >= 0:
        raise ValueError(f"max_norm must be from 0, got {max_norm}")
    listed = _listed(parameters)
    norm = gradient_norm(listed, norm_type)
    if error_if_nonfinite:
        _check_finite(norm)
    clip_grads_with_norm_(listed, max_norm, norm)
    return norm


def clip_grads_with_norm_(
    parameters: Iterable[Tensor] | Tensor, max_norm: float, total_norm: Tensor
) -> None:
    """Scale all gradients down, in place, by a norm that is known: g min(1, max / (norm + 1e-6)).

    Parameters
    ----------
    parameters : iterable of Tensor, or one
    max_norm : float
    total_norm : Tensor ()

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0], requires_grad=True)
    >>> (8 * w).sum().backward()
    >>> clip_grads_with_norm_([w], 1.0, total_norm=tt.tensor(4.0))
    >>> round(w.grad.item(), 4)
    2.0
    """
    if not max_norm >= 0:
        raise ValueError(f"max_norm must be from 0, got {max_norm}")
    xp = backend.xp_of(total_norm.data)
    one = total_norm.dtype.type(1)
    factor = xp.minimum(max_norm / (total_norm.data + 1e-6), one)
    for array in gradient_arrays(_listed(parameters)):
        array *= factor.astype(array.dtype)


def clip_grad_value_(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Limit each element of all gradients, in place, to -clip_value .. clip_value.

    This changes the direction of the step, which clipping by the norm does not.

    Parameters
    ----------
    parameters : iterable of Tensor, or one
        Those without a gradient are left out.
    clip_value : float

    Raises
    ------
    ValueError
        `clip_value` is below 0.

    Examples
    --------
    >>> import tinytrain as tt
    >>> w = tt.tensor([1.0, 1.0], requires_grad=True)
    >>> (w * tt.tensor([3.0, -0.25])).sum().backward()
    >>> clip_grad_value_([w], 0.5)
    >>> w.grad.tolist()
    [0.5, -0.25]
    """
    if not clip_value >= 0:
        raise ValueError(f"clip_value must be from 0, got {clip_value}")
    limit = float(clip_value)
    for array in gradient_arrays(_listed(parameters)):
        backend.xp_of(array).clip(array, -limit, limit, out=array)


def _check_finite(norm: Tensor) -> None:
    value = norm.cpu().item()
    if not math.isfinite(value):
        raise RuntimeError(f"the gradients' norm is {value}: they cannot be clipped")


def _listed(parameters: Iterable[Tensor] | Tensor) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)
