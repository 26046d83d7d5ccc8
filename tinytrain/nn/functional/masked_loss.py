"""Sums and means over the entries of a padded batch that are real."""

from tinytrain.functions.checks import checked
from tinytrain.functions.comparison import where
from tinytrain.tensor import Tensor


def masked_sum(losses: Tensor, mask: Tensor) -> Tensor:
    """Return the sum of the losses where the mask is True.

    With the number of the real entries it is what the trainer asks of a loss function: a sum and
    a count. The count is a plain number that a padded batch brings along (`num_items`); to ask a
    GPU for the sum of the mask would make it wait.

    The mask chooses, it does not multiply: a NaN or infinity at padding does not reach the sum.
    Its gradient at padding is 0; but what comes before the losses should be finite there too,
    because 0 times an infinite derivative is NaN.

    Parameters
    ----------
    losses : Tensor (B, T, ...), floating point
        One loss per entry, from a loss with reduction "none". Further axes are summed as well.
    mask : Tensor (B, T), bool
        True where an entry is real.

    Returns
    -------
    Tensor ()
        Of the losses' dtype.

    Raises
    ------
    TypeError
        The mask is not boolean, or the losses are no floating-point tensor.
    ValueError
        The mask's shape is not that of the losses' first axes.

    Examples
    --------
    A loss function for the trainer: the mean squared error over all real entries of all
    micro-batches.

    >>> import numpy as np
    >>> import tinytrain as tt
    >>> from tinytrain.nn import functional as F
    >>> def loss_function(model, batch):
    ...     losses = F.mse_loss(model(batch.values), batch.values, reduction="none")
    ...     return F.masked_sum(losses, batch.mask), batch.num_items
    >>> batch = tt.data.pad_sequences([np.ones((3, 1)), np.ones((1, 1))], padding_value=9.0)
    >>> loss_sum, items = loss_function(lambda x: 0 * x, tt.to_device(batch))
    >>> loss_sum.item(), items
    (4.0, 4)
    """
    checked(losses, "masked_sum", "losses")
    checked(mask, "masked_sum", "mask")
    if mask.dtype.kind != "b":
        raise TypeError(f"masked_sum needs a boolean mask, got {mask.dtype}: use mask != 0")
    if losses.dtype.kind != "f":
        raise TypeError(f"masked_sum needs floating-point losses, got {losses.dtype}")
    if losses.shape[: mask.ndim] != mask.shape:
        raise ValueError(
            f"masked_sum of losses {losses.shape} with a mask {mask.shape}: the mask's shape must "
            "be that of the losses' first axes; take them with reduction='none'"
        )
    further = losses.ndim - mask.ndim
    return where(mask.reshape(*mask.shape, *[1] * further), losses, 0.0).sum()


def masked_mean(losses: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the losses where the mask is True.

    For one batch by itself, in an evaluation for example. Batches of unequal numbers of real
    entries must not be averaged further: there, add up `masked_sum` and divide once.

    Parameters
    ----------
    losses : Tensor (B, T, ...), floating point
    mask : Tensor (B, T), bool

    Returns
    -------
    Tensor ()
        Further axes are averaged as well; NaN if the mask is nowhere True, as with the other
        losses.

    Raises
    ------
    TypeError, ValueError
        As `masked_sum`.

    Examples
    --------
    >>> import tinytrain as tt
    >>> masked_mean(tt.tensor([[1.0, 3.0, 100.0]]), tt.tensor([[True, True, False]])).item()
    2.0
    """
    checked(losses, "masked_mean", "losses")
    checked(mask, "masked_mean", "mask")
    total = masked_sum(losses, mask)
    per_entry = 1
    for size in losses.shape[mask.ndim :]:
        per_entry *= size
    return total / (mask.sum().to(losses.dtype) * per_entry)


def masked_mean_simple(losses: Tensor, mask: Tensor) -> Tensor:
    """Compose `masked_mean` of losses (B, T, ...) by picking the real entries out.

    Examples
    --------
    >>> import tinytrain as tt
    >>> masked_mean_simple(tt.tensor([[1.0, 3.0, 100.0]]), tt.tensor([[True, True, False]])).item()
    2.0
    """
    checked(losses, "masked_mean_simple", "losses")
    checked(mask, "masked_mean_simple", "mask")
    return losses[mask].mean()
