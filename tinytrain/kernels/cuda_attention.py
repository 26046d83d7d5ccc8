"""Attention for a GPU: all heads in each product, and one kernel for everything between them.

`tinytrain.kernels.attention` has the formulas, and walks over blocks of queries, for the sake of
the processor's cache. A GPU wants few launches, so here the scores of all queries stand in memory
at once.
"""

from typing import Any

from tinytrain.backend import Array, xp_of
from tinytrain.kernels.launch import launch


def attend(
    inputs: tuple[Array, Array, Array],
    mask: Array | None,
    is_causal: bool,
    scale: float,
    out: Array,
) -> Any:
    """Write the attention output to `out`, like `attention.attend`, and return the probabilities.

    These, of shape (B, H, T, S), are what the backward pass needs.

    Parameters
    ----------
    inputs : tuple of array
        q (B, H, T, D), k (B, H, S, D), v (B, H, S, E).
    mask : array or None
        Additive, broadcastable to (B, H, T, S).
    is_causal : bool
        Hide keys s > t.
    scale : float
    out : array (B, H, T, E)
        May be a strided view.
    """
    q, k, v = inputs
    xp = xp_of(q, k, v, mask, out)
    scores = xp.matmul(q, k.swapaxes(-1, -2))  # (B, H, T, S)
    mask, strides = _with_strides(mask)
    rows, sizes = scores.size // max(scores.shape[-1], 1), scores.shape[1:]
    arguments = (scores, mask, *sizes, *strides, scale, int(is_causal))
    launch("attention", "attention_softmax", rows, arguments)
    out[...] = xp.matmul(scores, v)
    return scores


def _with_strides(mask: Array | None) -> tuple[Array | None, tuple[int, ...]]:
    """Return a mask without gaps in memory, and its stride, in elements, along each of four axes.

    Along an axis on which the mask is repeated the stride is 0: it need not be written out.
    """
    if mask is None:
        return None, (0, 0, 0, 0)
    mask = mask.reshape((1,) * (4 - mask.ndim) + mask.shape)
    once = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in mask.strides)
    mask = xp_of(mask).ascontiguousarray(mask[once])
    strides = (stride // mask.itemsize for stride in mask.strides)
    return mask, tuple(0 if n == 1 else s for n, s in zip(mask.shape, strides, strict=True))


def attend_backward(
    gradient: Array,
    inputs: tuple[Array, Array, Array],
    output: Array,
    kept: Any,
    scale: float,
    into: tuple[Array, Array, Array],
    scores_gradient: Array | None = None,
) -> None:
    """Differentiate `attend`, like `attention.attend_backward`.

    Parameters
    ----------
    gradient, output : array (B, H, T, E)
    inputs, into : tuple of array
        q, k and v, and where their gradients are written; these may be strided views.
    kept : array (B, H, T, S)
        The probabilities that `attend` returned.
    scale : float
    scores_gradient : array (B, H, T, S), optional
        Where the gradient of the scores, which is also that of the mask, is written.
    """
    (q, k, v), (dq, dk, dv) = inputs, into
    xp = xp_of(gradient, q, k, v)
    gradient = xp.ascontiguousarray(gradient)  # two products need it
    dv[...] = xp.matmul(kept.swapaxes(-1, -2), gradient)
    ds = xp.matmul(gradient, v.swapaxes(-1, -2))  # dP, which the kernel turns into scale dS
    rows, keys = ds.size // max(ds.shape[-1], 1), ds.shape[-1]
    arguments = (kept, ds, scores_gradient, keys, scale)
    launch("attention", "attention_softmax_backward", rows, arguments)
    dq[...] = xp.matmul(ds, k)
    dk[...] = xp.matmul(ds.swapaxes(-1, -2), q)
