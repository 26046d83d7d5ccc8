"""The same training steps in PyTorch eager, the way its users write them."""

from __future__ import annotations

import os

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from workloads import (
    BETAS,
    EPSILON,
    LEARNING_RATE,
    MAX_NORM,
    NORM_EPSILON,
    WEIGHT_DECAY,
    WORKLOADS,
    Batches,
    GPTShape,
    MLPShape,
    Shape,
    TrainStep,
    initial_weights,
)

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))


class TorchMLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, shape: MLPShape) -> None:
        super().__init__()
        layers = zip(shape.sizes, shape.sizes[1:], strict=False)
        self.linears = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in layers)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) -> logits (batch, classes)."""
        *hidden, last = self.linears
        for linear in hidden:
            x = F.relu(linear(x))
        return last(x)


class TorchBlock(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.feed_forward_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def attention(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        batch, context, width = x.shape
        split = self.query_key_value(x).view(batch, context, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.projection(y.transpose(1, 2).reshape(batch, context, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.attention(self.attention_norm(x))
        hidden = F.gelu(self.expand(self.feed_forward_norm(x)), approximate="tanh")
        return x + self.contract(hidden)


class TorchGPT(nn.Module):
    """Embeddings, blocks, norm and an untied, bias-free head."""

    def __init__(self, shape: GPTShape) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.position_embedding = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(TorchBlock(shape) for _ in range(shape.layers))
        self.final_norm = nn.LayerNorm(shape.width, eps=NORM_EPSILON)
        self.head = nn.Linear(shape.width, shape.vocabulary, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, T) -> logits (B, T, vocabulary)."""
        x = self.token_embedding(ids) + self.position_embedding.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.final_norm(x))


def make_model(shape: Shape) -> nn.Module:
    """The model with the weights that all variants start from."""
    model = TorchMLP(shape) if isinstance(shape, MLPShape) else TorchGPT(shape)
    weights = initial_weights(shape)
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    return model


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """PyTorch's default AdamW."""
    return torch.optim.AdamW(
        model.parameters(), LEARNING_RATE, BETAS, EPSILON, weight_decay=WEIGHT_DECAY
    )


def make_step(workload: str) -> TrainStep:
    """A function that makes one training step on the next batch and returns its loss."""
    shape = WORKLOADS[workload]
    model = make_model(shape)
    optimizer = make_optimizer(model)
    batches = Batches(shape)

    def step() -> float:
        inputs, targets = (torch.from_numpy(array) for array in batches.take())
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs).flatten(0, -2), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        return loss.item()

    return step
