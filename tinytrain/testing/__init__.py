"""Tools that check operations, layers, optimizers and samplers, those of tinytrain and your own."""

from tinytrain.testing.check_layer import check_layer
from tinytrain.testing.check_op import check_op
from tinytrain.testing.check_optimizer import check_optimizer
from tinytrain.testing.check_sampler import check_sampler
from tinytrain.testing.device_lint import check_source
from tinytrain.testing.errors import CheckError
from tinytrain.testing.gradcheck import GradcheckError, gradcheck

__all__ = [
    "CheckError",
    "GradcheckError",
    "check_layer",
    "check_op",
    "check_optimizer",
    "check_sampler",
    "check_source",
    "gradcheck",
]
