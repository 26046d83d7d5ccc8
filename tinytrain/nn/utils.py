"""Helpers under the names they have in PyTorch."""

from tinytrain.optim.clip import clip_grad_norm_

__all__ = ["clip_grad_norm_"]
