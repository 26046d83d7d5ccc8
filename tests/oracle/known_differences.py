"""Where tinytrain differs from PyTorch on PyTorch's own inputs: what, and why.

Cases that are `LEFT_OUT` are not counted. Those that are `DIFFERENT` count as failed; a failure
that is not among them fails the test, and so does a number that has fallen.
"""

LEFT_OUT = {
    "nn.functional.dropout": "the bits of random numbers are PyTorch's own",
    "nn.functional.dropout2d": "the bits of random numbers are PyTorch's own",
    "randn": "the bits of random numbers are PyTorch's own",
    "to": "it takes one target at a time, a device or a dtype, and no non_blocking or copy",
    "bmm.triton_optimized": "the same as bmm, on a GPU",
}
"""Entries of PyTorch's tables, by name."""

LEFT_OUT_ARGUMENTS = {
    "dropout_p": "the bits of random numbers are PyTorch's own",
    "dropout": "the bits of random numbers are PyTorch's own",
    "max_norm": "embedding has none: a forward pass does not write into its weight",
    "sparse": "there are no sparse gradients",
}
"""Arguments that leave a case out where they are given and not 0, None or False."""

DROPPED_ARGUMENTS = {
    "memory_format": "where elements lie in memory changes no number; the argument does not exist",
    "layout": "all tensors are dense",
    "pin_memory": "there is no pinned memory",
    "device": "all is on the CPU here",
    "foreach": "how to compute: every optimizer makes one pass over a flat buffer",
    "fused": "as foreach",
    "capturable": "as foreach",
    "differentiable": "as foreach; a step cannot be differentiated",
    "enable_nested_tensor": "how to compute: there are no nested tensors",
    "mask_check": "goes with nested tensors",
}
"""Arguments that are taken away from a case, which is then replayed."""

UNSTABLE = {
    "sort": "the order of equal elements is free unless the sort is stable",
    "argsort": "the order of equal elements is free unless the sort is stable",
    "topk": "which of equal elements are taken is free",
}
"""Entries whose integer outputs are not compared for integer and bool inputs."""

DIFFERENT = {
    "arange": (7, "float limits of an integer range are not cut to integers before it is counted"),
    "norm.nuc": (4, "no nuclear norm: it needs a singular value decomposition"),
    "scatter": (9, "no reduce='multiply', whose gradient PyTorch does not have either"),
    "nn.functional.avg_pool1d": (9, "integers have no mean that is an integer: a clear error"),
    "nn.functional.avg_pool2d": (7, "integers have no mean that is an integer: a clear error"),
}
"""How many cases of an entry fail, and why."""
