"""How learning rates change with the batch size: two rules, and when each of them holds."""

import math
from numbers import Integral
from typing import NamedTuple

from tinytrain.optim.settings import is_number


def linear_scaling(lr: float, batch_size: int, new_batch_size: int) -> float:
    """Return the learning rate of SGD for another batch size: in proportion to the batch.

    lr' = k lr, with k = new_batch_size / batch_size

    Why: k steps of size lr, along the mean gradients of k batches, come to about the same place as
    one step of size k lr along the mean gradient of all of them, as long as the gradient hardly
    changes on the way.

    It holds for SGD, with momentum too (the momentum stays), for moderate k: in the paper up to
    batches of 8,192 images. It fails

    - at the start of training, where the gradient changes fast: rise to the new rate over the
      first epochs (`WarmupLinear`, `LinearLR`);
    - above a certain batch, which depends on the task: when the gradient's noise is small beside
      the gradient itself, larger batches do not help, and larger steps diverge;
    - for Adam and its relatives, whose steps do not grow with the gradient: see
      `square_root_scaling`.

    Parameters
    ----------
    lr : float
        A good learning rate at `batch_size`.
    batch_size, new_batch_size : int
        Items per optimizer step, over all micro-batches and ranks. The loss is a mean over them.

    Raises
    ------
    ValueError
        A number is not above 0.
    TypeError
        A batch size is no integer.

    References
    ----------
    P. Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour",
    arXiv 1706.02677, section 2.1, and 2.2 for the warm-up.

    Examples
    --------
    >>> linear_scaling(0.1, batch_size=256, new_batch_size=8192)
    3.2
    """
    return lr * _ratio(batch_size, new_batch_size, lr=lr)


class AdamSettings(NamedTuple):
    """Settings of Adam or AdamW that belong to one batch size.

    Examples
    --------
    >>> AdamSettings(lr=1e-3, betas=(0.9, 0.999), eps=1e-8).betas
    (0.9, 0.999)
    """

    lr: float
    betas: tuple[float, float]
    eps: float


def square_root_scaling(
    lr: float,
    batch_size: int,
    new_batch_size: int,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> AdamSettings:
    """Return Adam's settings for another batch size: the rate with the root of the batch.

    With k = new_batch_size / batch_size::

        lr' = sqrt(k) lr        1 - beta' = k (1 - beta), for both betas        eps' = eps / sqrt(k)

    Why: where noise dominates the gradient, the root of its mean square shrinks with sqrt(k), and
    Adam divides by it; the same path then takes k times fewer steps, each sqrt(k) times larger.
    The moments are to forget in the same number of *items*, hence in k times fewer steps; and eps
    is to keep its size beside that root.

    It holds for Adam, AdamW and RMSprop (which takes ``lr``, ``eps`` and, as its ``alpha``, the
    second of ``betas``), while the noise dominates: for small and moderate batches. It fails

    - where the batch is so large that the noise does not dominate, as with `linear_scaling`;
    - where k (1 - beta) is not small: from 1 on there is no such beta, which is an error, and the
      rule is a limit for betas near 1 (k = 8 takes the usual first beta, 0.9, to 0.2);
    - for SGD.

    A run has k times fewer steps then: the schedule's steps, and a warm-up's, are to be divided by
    k too. Decoupled weight decay takes lr weight_decay off per step; the rule is silent about it.

    Parameters
    ----------
    lr : float
        A good learning rate at `batch_size`.
    batch_size, new_batch_size : int
        Items per optimizer step, over all micro-batches and ranks. The loss is a mean over them.
    betas : tuple of float
        From 0 to below 1, as they were at `batch_size`.
    eps : float
        Not below 0.

    Returns
    -------
    AdamSettings
        ``lr``, ``betas`` and ``eps``, by the names of `Adam`'s arguments.

    Raises
    ------
    ValueError
        A number is not in its range, or k (1 - beta) is not below 1 for one of the betas.
    TypeError
        A batch size is no integer, or another argument no number (for `betas`: not two of them).

    References
    ----------
    S. Malladi et al., "On the SDEs and Scaling Rules for Adaptive Gradient Algorithms",
    arXiv 2205.10287, section 5, definitions 5.2 (RMSprop) and 5.3 (Adam).

    Examples
    --------
    >>> settings = square_root_scaling(3e-4, 256, 1024)
    >>> round(settings.lr, 6), [round(beta, 4) for beta in settings.betas], settings.eps
    (0.0006, [0.6, 0.996], 5e-09)
    >>> import tinytrain as tt
    >>> weight = tt.zeros(2, requires_grad=True)
    >>> optimizer = tt.optim.AdamW([weight], **settings._asdict())
    """
    ratio = _ratio(batch_size, new_batch_size, lr=lr)
    if not is_number(eps):
        raise TypeError(f"eps must be a number, got {eps!r}")
    if not 0 <= eps < math.inf:
        raise ValueError(f"eps must be 0 or above, got {eps}")
    if not isinstance(betas, tuple | list) or len(betas) != 2 or not all(map(is_number, betas)):
        raise TypeError(f"betas must be two numbers, got {betas!r}")
    beta1, beta2 = (_scaled_beta(beta, ratio) for beta in betas)
    return AdamSettings(lr * math.sqrt(ratio), (beta1, beta2), eps / math.sqrt(ratio))


def _scaled_beta(beta: float, ratio: float) -> float:
    """Return the beta that forgets as much in one step as the given one in `ratio` steps."""
    if not 0 <= beta < 1:
        raise ValueError(f"betas must lie from 0 to below 1, got {beta}")
    if ratio == 1:
        return beta
    share = ratio * (1 - beta)
    if share >= 1 or math.isclose(share, 1):  # 10 (1 - 0.9) is 1 but for the rounding
        raise ValueError(
            f"a batch {ratio:g} times as large would need 1 - beta of {share:g} for "
            f"beta {beta:g}, and it must be below 1: let the batch grow less than "
            f"{1 / (1 - beta):g} times, or keep this beta by hand"
        )
    return 1 - share


def _ratio(batch_size: int, new_batch_size: int, lr: float) -> float:
    """Return how many times larger the new batch is."""
    for name, value in (("lr", lr), ("batch_size", batch_size), ("new_batch_size", new_batch_size)):
        if not is_number(value):
            raise TypeError(f"{name} must be a number, got {value!r}")
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, got {value}")
        if name != "lr" and not isinstance(value, Integral):
            raise TypeError(f"{name} must be an integer, got {value!r}")
    return new_batch_size / batch_size
