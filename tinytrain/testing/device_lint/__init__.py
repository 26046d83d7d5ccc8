"""Reading source code for what would break, or wait, on a GPU."""

from tinytrain.testing.device_lint.lint import Problem, check_source

__all__ = ["Problem", "check_source"]
