"""Whole models, built from the layers."""

from tinytrain.models.gpt import GPT, GPTConfig, language_model_loss
from tinytrain.models.mlp import MLP, classification_loss

__all__ = ["GPT", "MLP", "GPTConfig", "classification_loss", "language_model_loss"]
