"""A tiny training run without random numbers: weights and tokens are given by formulas."""

import numpy as np

from tinytrain.data import pad_collate
from tinytrain.models import GPT, GPTConfig

CONFIG = GPTConfig(vocab_size=17, context_length=12, num_layers=2, num_heads=2, embed_dim=8)
ADAMW = {"lr": 1e-2, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}
STEPS = 50


def weights(dtype):
    """A value for every parameter of the model, by name."""
    made, start = {}, 1
    for name, parameter in GPT(CONFIG).named_parameters():
        numbers = np.arange(start, start + parameter.numel(), dtype=np.float64)
        start += parameter.numel()
        wave = 0.3 * np.sin(1.7 * numbers**1.5).reshape(parameter.shape)
        is_norm = "norm" in name and name.endswith("weight")
        made[name] = (wave + is_norm).astype(dtype)
    return made


def batches():
    """One ragged batch per step, padded; five different ones in turn."""
    for step in range(STEPS):
        kind = step % 5
        lengths = [12, 3 + 2 * kind, 1 + kind]
        yield pad_collate(
            [
                (np.arange(n) ** 2 * (row + 3) + kind * np.arange(n)) % CONFIG.vocab_size
                for row, n in enumerate(lengths)
            ]
        )


def make_model(dtype):
    model = GPT(CONFIG).to(dtype)
    model.load_state_dict(weights(dtype))
    return model
