"""The same training steps in tinytrain, the way its users write them."""

from __future__ import annotations

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

import tinytrain as tt
import tinytrain.nn.functional as F
from tinytrain import Tensor, nn, optim


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, shape: MLPShape) -> None:
        layers = zip(shape.sizes, shape.sizes[1:], strict=False)
        self.linears = nn.ModuleList([nn.Linear(inputs, outputs) for inputs, outputs in layers])

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs) -> logits (batch, classes)."""
        *hidden, last = self.linears
        for linear in hidden:
            x = F.relu(linear(x))
        return last(x)


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, shape: GPTShape) -> None:
        width = shape.width
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.projection = nn.Linear(width, width)
        self.feed_forward_norm = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        packed = self.query_key_value(self.attention_norm(x))
        x = x + self.projection(F.packed_self_attention(packed, self.heads, is_causal=True))
        hidden = F.gelu(self.expand(self.feed_forward_norm(x)), approximate="tanh")
        return x + self.contract(hidden)


class GPT(nn.Module):
    """Embeddings, blocks, norm and an untied, bias-free head."""

    def __init__(self, shape: GPTShape) -> None:
        self.token_embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.position_embedding = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList([Block(shape) for _ in range(shape.layers)])
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
    model = MLP(shape) if isinstance(shape, MLPShape) else GPT(shape)
    model.load_state_dict(initial_weights(shape))
    return model


def make_step(workload: str) -> TrainStep:
    """A function that makes one training step on the next batch and returns its loss."""
    tt.keep_freed_memory()  # as the Trainer does
    shape = WORKLOADS[workload]
    model = make_model(shape)
    optimizer = optim.AdamW(model.parameters(), LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY)
    batches = Batches(shape)

    def step() -> float:
        inputs, targets = tt.to_device(batches.take())
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs).flatten(0, -2), targets.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        return loss.item()

    return step
