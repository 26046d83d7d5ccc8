"""Running out of memory, wherever it happens: one error, and one question."""

_TELLING = ("cudaErrorMemoryAllocation", "CUBLAS_STATUS_ALLOC_FAILED", "CUDA_ERROR_OUT_OF_MEMORY")
"""How CUDA's libraries say it in errors that are no `MemoryError`."""


class OutOfMemoryError(MemoryError):
    """The memory that `tinytrain.memory_limit` allows is used up, or no split of a batch fits.

    A `MemoryError`, as NumPy's and CuPy's are: what handles the one handles all.

    Examples
    --------
    >>> issubclass(OutOfMemoryError, MemoryError)
    True
    """


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: the limit's, the host's or a GPU's.

    Examples
    --------
    >>> is_out_of_memory(OutOfMemoryError("full")), is_out_of_memory(ValueError("full"))
    (True, False)
    >>> is_out_of_memory(RuntimeError("cudaErrorMemoryAllocation: out of memory"))
    True
    """
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(name in str(error) for name in _TELLING)
