"""Sample inputs of the losses, of normalisation by the root mean square, and of embeddings."""

import numpy as np
from op_sample import integers, normal, sample

from tinytrain.ops.adjusted_embedding import AdjustedEmbedding
from tinytrain.ops.huber import Huber
from tinytrain.ops.likelihood import ExpectedNegativeLogLikelihood, NegativeLogLikelihood
from tinytrain.ops.probability_loss import (
    BinaryCrossEntropy,
    BinaryCrossEntropyWithLogits,
    KLDivergence,
)
from tinytrain.ops.rms_norm import RMSNorm

_random = np.random.default_rng(21)


def probabilities(*shape):
    return np.asarray(_random.uniform(0.05, 0.95, shape))


def loss(name, *settings, **named):
    return lambda t, *inputs: getattr(t.nn.functional, name)(*inputs, *settings, **named)


def class_weighted(name, **settings):
    """The weights come as integers, which are not differentiated."""

    def compute(t, logits, targets, weight):
        weights = weight.to(logits.dtype)
        return getattr(t.nn.functional, name)(logits, targets, weight=weights, **settings)

    return compute


WEIGHTS, TARGETS = integers(3, 1, 2), integers(0, 2, 2, 1)
REDUCTIONS = ("mean", "sum", "none")

CLASSES = [
    *(
        sample(NegativeLogLikelihood, r, loss("nll_loss", reduction=r), normal(4, 3), TARGETS)
        for r in REDUCTIONS
    ),
    *(
        sample(
            NegativeLogLikelihood,
            f"weighted_{name}_{label}",
            class_weighted(name, **settings),
            normal(4, 3),
            TARGETS,
            WEIGHTS,
        )
        for name, label, settings in [
            *(("nll_loss", r, {"reduction": r}) for r in REDUCTIONS),
            *(("cross_entropy", r, {"reduction": r}) for r in REDUCTIONS),
            *(
                ("cross_entropy", f"smooth_{r}", {"reduction": r, "label_smoothing": 0.2})
                for r in REDUCTIONS
            ),
            ("nll_loss", "ignored", {"ignore_index": 2}),
            ("cross_entropy", "ignored", {"ignore_index": 2, "label_smoothing": 0.2}),
            ("cross_entropy", "numpy_number", {"label_smoothing": np.float64(0.3)}),
        ]
    ),
    sample(
        NegativeLogLikelihood,
        "no_rows",
        loss("nll_loss", reduction="sum"),
        normal(0, 3),
        integers([]),
    ),
    sample(
        NegativeLogLikelihood,
        "nothing_counted",
        loss("nll_loss", reduction="sum"),
        normal(2, 3),
        integers(-100, -100),
    ),
    *(
        sample(
            ExpectedNegativeLogLikelihood,
            r,
            loss("cross_entropy", reduction=r),
            normal(4, 3),
            probabilities(4, 3),
        )
        for r in REDUCTIONS
    ),
    sample(
        ExpectedNegativeLogLikelihood,
        "no_rows",
        loss("cross_entropy", reduction="sum"),
        normal(0, 3),
        normal(0, 3),
    ),
]

BETWEEN_PROBABILITIES = [
    *(
        sample(
            BinaryCrossEntropy,
            label,
            loss("binary_cross_entropy", **settings),
            probabilities(*shape),
            probabilities(*shape),
        )
        for label, settings, shape in [
            ("mean", {}, (2, 3)),
            ("sum", {"reduction": "sum"}, (2, 3)),
            ("none", {"reduction": "none"}, (2, 3)),
            ("no_axes", {}, ()),
            ("empty", {"reduction": "sum"}, (0, 3)),
        ]
    ),
    *(
        sample(
            BinaryCrossEntropyWithLogits,
            label,
            loss("binary_cross_entropy_with_logits", **settings),
            normal(*shape),
            probabilities(*shape),
        )
        for label, settings, shape in [
            ("mean", {}, (2, 3)),
            ("sum", {"reduction": "sum"}, (2, 3)),
            ("none", {"reduction": "none"}, (2, 3)),
            ("no_axes", {}, ()),
            ("empty", {"reduction": "sum"}, (0, 3)),
        ]
    ),
    *(
        sample(
            BinaryCrossEntropyWithLogits,
            f"positive_weight_{label}",
            lambda t, x, y, w: t.nn.functional.binary_cross_entropy_with_logits(
                x, y, reduction="none", pos_weight=w
            ),
            normal(2, 3),
            probabilities(2, 3),
            0.5 + probabilities(*shape),
            oracle=lambda t, x, y, w: (
                -(1 - y) * t.nn.functional.logsigmoid(-x) - w * y * t.nn.functional.logsigmoid(x)
            ),
        )
        for label, shape in [("per_column", (3,)), ("per_row", (2, 1)), ("of_all", ())]
    ),
    *(
        sample(
            KLDivergence,
            f"{label}_{log_target}",
            loss("kl_div", reduction=reduction, log_target=log_target),
            normal(*shape),
            probabilities(*shape),
        )
        for log_target in (False, True)
        for label, reduction, shape in [
            *((r, r, (2, 3)) for r in ("batchmean", "sum", "none")),
            ("no_axes", "none", ()),
            ("empty", "sum", (0, 3)),
        ]
    ),
]

DISTANCES = [
    *(
        sample(Huber, label, loss("huber_loss", **settings), 2 * normal(*shape), normal(*shape))
        for label, settings, shape in [
            *((r, {"reduction": r}, (3, 4)) for r in REDUCTIONS),
            ("delta", {"delta": 0.3}, (3, 4)),
            ("numpy_number", {"delta": np.float64(0.7)}, (3, 4)),
            ("no_axes", {}, ()),
            ("empty", {"reduction": "sum"}, (0, 3)),
        ]
    ),
    sample(Huber, "smooth_l1", loss("smooth_l1_loss", beta=0.5), 2 * normal(3, 4), normal(3, 4)),
]


def rms_norm(*shape, **settings):
    return lambda t, *inputs: t.nn.functional.rms_norm(inputs[0], shape, *inputs[1:], **settings)


RMS_NORMS = [
    sample(RMSNorm, "weight", rms_norm(4), normal(3, 4), normal(4)),
    sample(RMSNorm, "plain", rms_norm(4), normal(2, 3, 4)),
    sample(RMSNorm, "two_axes", rms_norm(3, 4), normal(2, 3, 4), normal(3, 4)),
    sample(RMSNorm, "eps", rms_norm(4, eps=0.5), normal(3, 4), normal(4)),
    sample(RMSNorm, "numpy_eps", rms_norm(4, eps=np.float64(0.5)), normal(3, 4), normal(4)),
    sample(RMSNorm, "one_row", rms_norm(4), normal(4), normal(4)),
    sample(RMSNorm, "no_rows", rms_norm(4), normal(0, 4), normal(4)),
    sample(RMSNorm, "no_columns", rms_norm(0, eps=1.0), normal(3, 0), normal(0)),
]


def embedding(**settings):
    return lambda t, ids, weight: t.nn.functional.embedding(ids, weight, **settings)


# Where the padding id is looked up, or an id twice, the gradient is not the derivative: on purpose,
# and so not here but in tests/nn/functional/test_functional_embedding.py.
EMBEDDINGS = [
    sample(AdjustedEmbedding, label, embedding(**settings), ids, normal(4, 3))
    for label, settings, ids in [
        ("padding", {"padding_idx": 2}, integers([0, 3, 0, 1])),
        ("padding_from_the_end", {"padding_idx": -1}, integers([[0, 2], [2, 1]])),
        ("mean", {"scale_grad_by_freq": True}, integers([0, 3, 1])),
        ("both", {"scale_grad_by_freq": True, "padding_idx": 3}, integers([[0], [1]])),
        ("one_id", {"padding_idx": 1}, integers(2)),
        ("no_ids", {"padding_idx": 2, "scale_grad_by_freq": True}, integers([])),
    ]
]

LOSSES_AND_NORMS = [*CLASSES, *BETWEEN_PROBABILITIES, *DISTANCES, *RMS_NORMS, *EMBEDDINGS]
