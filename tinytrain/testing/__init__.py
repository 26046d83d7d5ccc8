"""Tools that check operations and layers, those of tinytrain and your own."""

from tinytrain.testing.gradcheck import GradcheckError, gradcheck

__all__ = ["GradcheckError", "gradcheck"]
