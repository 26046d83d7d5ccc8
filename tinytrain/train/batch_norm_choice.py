"""Choosing what batch normalisation goes by under accumulation; a warning until it is chosen."""

import warnings

from tinytrain.nn.module import Module
from tinytrain.train.accumulation import sum_gradients
from tinytrain.train.exact_batch_norm import Summing, active_batch_norms, sum_gradients_exactly

ADVICE = (
    "batch normalisation takes its mean and variance from each micro-batch by itself, so that "
    "accumulation does not give the gradient of the whole batch, which it does for all else. "
    "Either accept that with batch_norm='pooled' (running statistics are pooled exactly all the "
    "same); or use batch_norm='exact', which needs 2 d + 1 passes for d normalisations; or a norm "
    "that looks at each row by itself: nn.GroupNorm, nn.LayerNorm"
)


def choose_summing(batch_norm: str | None) -> Summing:
    """Return the function that adds up gradients with batch normalisation as asked for.

    Parameters
    ----------
    batch_norm : {"pooled", "exact"} or None
        What normalises: the statistics of each micro-batch, or those of the window. None stands
        for "pooled"; see `warn_of_batch_norm`.

    Raises
    ------
    ValueError
        The setting is none of these.

    Examples
    --------
    >>> choose_summing("exact").__name__
    'sum_gradients_exactly'
    """
    if batch_norm not in (None, "pooled", "exact"):
        raise ValueError(f"batch_norm must be 'pooled' or 'exact', not {batch_norm!r}")
    return sum_gradients_exactly if batch_norm == "exact" else sum_gradients


def warn_of_batch_norm(model: Module, batch_norm: str | None, micro_batches: int) -> bool:
    """Warn where accumulation meets batch normalisation and nobody chose how; tell if it did.

    Parameters
    ----------
    model : Module
        As it will be trained: layers in evaluation mode do not count.
    batch_norm : {"pooled", "exact"} or None
    micro_batches : int
        The largest number of an optimizer step.

    Warns
    -----
    UserWarning
        Nothing was chosen, and the model has batch normalisations under accumulation.

    Examples
    --------
    >>> import tinytrain as tt
    >>> warn_of_batch_norm(tt.nn.BatchNorm1d(3), "exact", 4)
    False
    """
    layers = [name for name, _ in active_batch_norms(model)]
    if batch_norm is not None or not layers or micro_batches < 2:
        return False
    named = ", ".join(name or type(model).__name__ for name in layers[:3])
    more = ", ..." if len(layers) > 3 else ""
    warnings.warn(f"{named}{more}: {ADVICE}", UserWarning, stacklevel=3)
    return True
