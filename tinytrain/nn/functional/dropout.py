"""Dropout of elements and of channels."""

from tinytrain.backend import xp_of
from tinytrain.functions.checks import checked
from tinytrain.generator import Generator, default_generator
from tinytrain.nn.functional.activation import refuse_inplace
from tinytrain.ops.elementwise import Dropout
from tinytrain.ops.promotion import check_float
from tinytrain.tensor import Tensor, apply


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each element with probability p, and divide the others by 1 - p.

    The division keeps the expected value; in evaluation nothing is left to do.

    Parameters
    ----------
    input : Tensor
        Any shape, floating point.
    p : float
        In 0 to 1.
    training : bool
        Without it the input is returned.
    inplace : bool
        Must stay False.
    generator : Generator, optional
        The source of the mask's key, which takes 128 bits of it at each call; the default one
        otherwise. The same bits give the same mask on every device.

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    ValueError
        p is no probability.
    TypeError
        The input is not of floating point.

    References
    ----------
    N. Srivastava et al., "Dropout", JMLR 15 (2014).

    Examples
    --------
    >>> import tinytrain as tt
    >>> sorted(set(dropout(tt.ones(100), p=0.5, generator=tt.Generator(0)).tolist()))
    [0.0, 2.0]
    """
    checked(input, "dropout", "input")
    _check_dropout("dropout", input, p, inplace)
    if not training or p == 0:
        return input
    return apply(Dropout(p, _new_key(generator)), input)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each channel with probability p, and divide the others by 1 - p.

    Parameters
    ----------
    input : Tensor (N, C, L) or (C, L)
        Floating point.
    p, training, inplace, generator
        As for `dropout`.

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    ValueError, TypeError
        As for `dropout`, or another number of axes.

    References
    ----------
    J. Tompson et al., "Efficient Object Localization Using Convolutional Networks", arXiv
    1411.4280, section 3.2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> dropped = dropout1d(tt.ones(100, 3), p=0.5, generator=tt.Generator(0))
    >>> sorted(set(map(tuple, dropped.tolist())))
    [(0.0, 0.0, 0.0), (2.0, 2.0, 2.0)]
    """
    checked(input, "dropout1d", "input")
    _check_dropout("dropout1d", input, p, inplace)
    if input.ndim not in (2, 3):
        raise ValueError(f"dropout1d expects shape (N, C, L) or (C, L), got {input.shape}")
    channels = (*input.shape[:-1], 1)
    return _drop_channels(input, channels, p, training, generator)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """Zero each channel with probability p, and divide the others by 1 - p.

    Parameters
    ----------
    input : Tensor (N, C, H, W)
        Floating point. The first two axes count as items and channels, whatever follows, as in
        PyTorch: (C, H, W) needs `unsqueeze(0)`.
    p, training, inplace, generator
        As for `dropout`.

    Returns
    -------
    Tensor of the input's shape

    Raises
    ------
    ValueError, TypeError
        As for `dropout`, or fewer than two axes.

    References
    ----------
    J. Tompson et al., arXiv 1411.4280, section 3.2.

    Examples
    --------
    >>> import tinytrain as tt
    >>> dropped = dropout2d(tt.ones(1, 100, 3, 2), p=0.5, generator=tt.Generator(0))
    >>> sorted(set(map(tuple, dropped.reshape(100, 6).tolist())))
    [(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), (2.0, 2.0, 2.0, 2.0, 2.0, 2.0)]
    """
    checked(input, "dropout2d", "input")
    _check_dropout("dropout2d", input, p, inplace)
    if input.ndim < 2:
        raise ValueError(f"dropout2d expects shape (N, C, H, W), got {input.shape}")
    channels = (*input.shape[:2], *[1] * (input.ndim - 2))
    return _drop_channels(input, channels, p, training, generator)


def _drop_channels(
    input: Tensor,
    channels: tuple[int, ...],
    p: float,
    training: bool,
    generator: Generator | None,
) -> Tensor:
    if not training or p == 0:
        return input
    ones = Tensor(xp_of(input.data).ones(channels, dtype=input.dtype))
    return input * apply(Dropout(p, _new_key(generator)), ones)


def _check_dropout(name: str, input: Tensor, p: float, inplace: bool) -> None:
    refuse_inplace(name, inplace)
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability must lie in 0 to 1, got {p}")
    check_float(name, input.data)


def _new_key(generator: Generator | None) -> tuple[int, int]:
    words = (generator or default_generator()).raw32(4).tolist()  # host: a generator is there
    return words[1] << 32 | words[0], words[3] << 32 | words[2]
