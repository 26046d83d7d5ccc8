"""Sample inputs of convolution, pooling, padding and one-hot vectors."""

import numpy as np
from op_sample import integers, normal, sample

from tinytrain.ops.adaptive_pooling import AdaptiveAvgPool
from tinytrain.ops.convolution import Convolution
from tinytrain.ops.one_hot import OneHot
from tinytrain.ops.padding import Pad, PadFromInside
from tinytrain.ops.pooling import AvgPool, MaxPool


def functional(name, *arguments, **settings):
    """Call a function of `nn.functional` with the tensors, then these arguments and settings."""
    return lambda t, *tensors: getattr(t.nn.functional, name)(*tensors, *arguments, **settings)


def conv(axes, **settings):
    return functional(f"conv{axes}d", **settings)


CONVOLUTION = [
    *(
        sample(Convolution, f"1d_{label}", conv(1, **k), normal(2, 4, 7), normal(6, 4, 3))
        for label, k in [
            ("plain", {}),
            ("padding", {"padding": 2}),
            ("stride", {"stride": 3}),
            ("dilation", {"dilation": (2,), "padding": (1,)}),
            ("same", {"padding": "same", "dilation": 3}),
            ("valid", {"padding": "valid"}),
        ]
    ),
    *(
        sample(
            Convolution,
            f"2d_{label}",
            conv(2, **k),
            normal(2, 4, 5, 6),
            normal(6, 4 // k.get("groups", 1), 3, 2),
            normal(6),
        )
        for label, k in [
            ("bias", {}),
            ("groups", {"groups": 2}),
            ("everything", {"stride": (2, 3), "padding": (1, 2), "dilation": (2, 1), "groups": 2}),
            ("numpy_numbers", {"stride": np.int64(2), "padding": (np.int64(1), 0)}),
        ]
    ),
    sample(
        Convolution,
        "2d_even_same",
        conv(2, padding="same"),
        normal(1, 1, 4, 4),
        normal(1, 1, 2, 2),
        # torch warns that it has to copy for this padding
        oracle=lambda t, x, w: t.nn.functional.conv2d(t.nn.functional.pad(x, (0, 1, 0, 1)), w),
    ),
    sample(
        Convolution,
        "depthwise",
        conv(2, groups=3),
        normal(2, 3, 4, 4),
        normal(6, 1, 2, 2),
        normal(6),
    ),
    sample(Convolution, "one_place", conv(2), normal(2, 3, 4, 4), normal(5, 3, 1, 1), normal(5)),
    sample(Convolution, "of_one_window", conv(1), normal(2, 3, 4), normal(5, 3, 4)),
    sample(Convolution, "one_sequence", conv(1, padding=1), normal(3, 4), normal(2, 3, 3)),
    sample(Convolution, "one_image", conv(2), normal(3, 4, 4), normal(2, 3, 2, 3), normal(2)),
    sample(Convolution, "no_images", conv(2), normal(0, 3, 4, 4), normal(2, 3, 2, 2), normal(2)),
]


def pool(operation, name, cases, *shape):
    return [
        sample(operation, f"{name}_{label}", functional(name, *a, **k), normal(*shape))
        for label, a, k in cases
    ]


POOLING_1D = [
    ("plain", (2,), {}),
    ("overlapping", (3, 2), {}),
    ("padding", (3, 2, 1), {}),
    ("ceil", (2, 3), {"ceil_mode": True}),
]
POOLING_2D = [
    ("plain", (2,), {}),
    ("oblong", ((3, 2), (1, 2)), {}),
    ("padding", (3,), {"stride": 1, "padding": (1, 0)}),
    ("ceil", (3, 2, 1), {"ceil_mode": True}),
    ("ceil_in_padding", (2, 2, 1), {"ceil_mode": True}),
]

POOLING = [
    *pool(MaxPool, "max_pool1d", [*POOLING_1D, ("dilation", (2, 1, 1, 2), {})], 2, 3, 7),
    *pool(MaxPool, "max_pool2d", [*POOLING_2D, ("dilation", (2, 2, 1, (2, 1)), {})], 2, 2, 5, 6),
    *pool(AvgPool, "avg_pool1d", POOLING_1D, 2, 3, 7),
    *pool(AvgPool, "avg_pool2d", POOLING_2D, 2, 2, 5, 6),
    *pool(
        AvgPool,
        "avg_pool2d",
        [
            ("without_padding", (3, 2, 1), {"count_include_pad": False}),
            ("divisor", (3, 2, 1), {"divisor_override": 5}),
            ("ceil_without", (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}),
        ],
        2,
        2,
        5,
        6,
    ),
    *(
        sample(operation, f"{name}_of_{label}", functional(name, 2), normal(*shape))
        for operation, name in [(MaxPool, "max_pool2d"), (AvgPool, "avg_pool2d")]
        for label, shape in [("one_image", (3, 4, 4)), ("no_images", (0, 3, 4, 4))]
    ),
    sample(
        MaxPool,
        "with_indices",
        lambda t, x: t.nn.functional.max_pool2d(x, 2, return_indices=True)[0],
        normal(1, 2, 4, 4),
    ),
    sample(AdaptiveAvgPool, "1d", functional("adaptive_avg_pool1d", 3), normal(2, 2, 7)),
    sample(AdaptiveAvgPool, "1d_longer", functional("adaptive_avg_pool1d", 5), normal(2, 3)),
    sample(AdaptiveAvgPool, "2d", functional("adaptive_avg_pool2d", (2, 3)), normal(2, 2, 5, 4)),
    sample(AdaptiveAvgPool, "mean", functional("adaptive_avg_pool2d", 1), normal(2, 2, 5, 4)),
    sample(
        AdaptiveAvgPool,
        "one_axis_kept",
        functional("adaptive_avg_pool2d", (None, 2)),
        normal(2, 5, 4),
    ),
]


PADDING = [
    *(
        sample(Pad, label, functional("pad", pad, **k), normal(2, 3, 4))
        for label, pad, k in [
            ("one_axis", (1, 2), {}),
            ("all_axes", (1, 0, 0, 2, 3, 1), {"value": 2.5}),
            ("cut", (-1, -2, 1, -1), {}),
            ("cut_to_nothing", (-4, 0), {}),
            ("nothing", (), {}),
            ("list", [0, np.int64(1)], {}),
        ]
    ),
    sample(Pad, "of_nothing", functional("pad", (1, 1)), normal(2, 0)),
    *(
        sample(PadFromInside, f"{mode}_{label}", functional("pad", pad, mode), normal(*shape))
        for mode in ("reflect", "replicate", "circular")
        for label, pad, shape in [
            ("1d", (2, 3), (2, 3, 4)),
            ("one_sequence", (3, 1), (3, 4)),
            ("one_side", (0, 2), (1, 3, 4)),
            ("2d", (1, 2, 3, 0), (2, 2, 4, 3)),
            ("3d", (1, 2, 1, 0, 0, 1), (2, 2, 3, 2, 3)),
        ]
    ),
    sample(
        PadFromInside, "replicate_cut", functional("pad", (-1, 2), "replicate"), normal(2, 3, 4)
    ),
    sample(PadFromInside, "far_beyond", functional("pad", (9, 9), "replicate"), normal(2, 3)),
]

ONE_HOT = [
    sample(OneHot, "counted", functional("one_hot"), integers([[0, 3], [1, 1]])),
    sample(OneHot, "of_five", functional("one_hot", 5), integers([0, 3, 0])),
    sample(OneHot, "of_one", functional("one_hot", num_classes=3), integers(2)),
    sample(OneHot, "of_none", functional("one_hot", 3), integers(np.zeros((2, 0)))),
]

CONVOLUTIONS = [*CONVOLUTION, *POOLING, *PADDING, *ONE_HOT]
