"""Limiting the size of gradients."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

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
        p of the p-norm; infinity gives the largest magnitude and -infinity the smallest, a p below
        0 gives 0 where an element is 0, and 0 counts the gradients that are not all zeros.

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
    listed = _listed(parameters)
    if norm_type == 0:  # whose arrays are counted: those in one buffer must not come as one
        each = [parameter.leaf_gradient.array for parameter in listed]
        return _norm([array.reshape(-1) for array in each if array is not None], norm_type)
    return _norm(gradient_arrays(listed), norm_type)


def get_total_norm(
    tensors: Iterable[Tensor] | Tensor, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Return the norm of tensors, gradients for instance, taken as one vector.

    Parameters
    ----------
    tensors : iterable of Tensor, or one
    norm_type : float
        p of the p-norm: see `gradient_norm`.
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
    if math.isnan(norm_type):
        raise ValueError(f"norm_type must be a number, got {norm_type}")
    arrays = [array for array in arrays if array.size or not math.isinf(norm_type)]
    if not arrays:
        return Tensor(backend.creation_library().zeros((), dtype="float32"))
    xp = backend.xp_of(*arrays)
    if math.isinf(norm_type):
        pick = xp.max if norm_type > 0 else xp.min
        return Tensor(backend.as_array(pick(xp.stack([pick(xp.abs(a)) for a in arrays]))))
    if norm_type == 0:  # PyTorch's norm of norms: each of them counts as 1 unless it is 0
        total = sum((array != 0).any().astype(array.dtype) for array in arrays)
        return Tensor(backend.as_array(total))
    if norm_type == 2:
        total = sum(xp.dot(array, array) for array in arrays)
        return Tensor(backend.as_array(xp.sqrt(total)))
    with np.errstate(divide="ignore"):  # 0^p = inf for p < 0 is right: inf^(1/p) = 0
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
        p of the p-norm: see `gradient_norm`.
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
        `max_norm` is below 0, or a number is NaN.
    TypeError
        What is given as parameters is none.

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
    if isinstance(parameters, Tensor):
        return [parameters]
    if not isinstance(parameters, Iterable):
        raise TypeError(f"expected tensors or one tensor, got {parameters!r:.60}")
    listed = list(parameters)
    for position, tensor in enumerate(listed):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"expected tensors, got {tensor!r:.60} at position {position}")
    return listed
