"""The same GPT in plain PyTorch, from its Linear, LayerNorm and softmax; not a test by itself."""

import math

import pytest

torch = pytest.importorskip("torch")  # pytest imports this file too, looking for examples
nn = torch.nn


class TorchBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        width, self.heads = config.embed_dim, config.num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.ModuleDict(
            {"qkv": nn.Linear(width, 3 * width), "projection": nn.Linear(width, width)}
        )
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x, hidden):
        batch, length, width = x.shape
        qkv = self.attention["qkv"](self.attention_norm(x))
        q, k, v = (
            part.reshape(batch, length, self.heads, -1).transpose(1, 2)
            for part in qkv.split(width, dim=-1)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)
        attended = scores.masked_fill(hidden[:, None], -math.inf).softmax(-1) @ v
        x = x + self.attention["projection"](attended.transpose(1, 2).reshape(x.shape))
        return x + self.feed_forward(self.feed_forward_norm(x))


class TorchGPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.embed_dim)
        self.position_embedding = nn.Embedding(config.context_length, config.embed_dim)
        self.blocks = nn.ModuleList(TorchBlock(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.embed_dim)
        self.head = nn.Linear(config.embed_dim, config.vocab_size, bias=False)

    def forward(self, batch):
        """Logits of a PackedBatch of NumPy arrays; padding sees itself, so that nothing is NaN."""
        segments = torch.tensor(batch.segment_ids)
        length = segments.shape[1]
        other = segments[:, :, None] != segments[:, None, :]
        hidden = other | torch.ones(length, length, dtype=torch.bool).triu(1)
        x = self.token_embedding(torch.tensor(batch.input_ids))
        x = x + self.position_embedding(torch.tensor(batch.positions))
        for block in self.blocks:
            x = block(x, hidden)
        return self.head(self.norm(x))

    def loss_sum(self, batch):
        logits, targets = self(batch), torch.tensor(batch.targets)
        return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")


def make_torch_gpt(config, weights):
    """The model with the given arrays as weights."""
    tensors = {name: torch.tensor(array) for name, array in weights.items()}
    model = TorchGPT(config).to(next(iter(tensors.values())).dtype)
    model.load_state_dict(tensors)
    return model


def train(model, batches, settings):
    """The loss per token before each AdamW step."""
    optimizer = torch.optim.AdamW(model.parameters(), **settings)
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = model.loss_sum(batch) / batch.num_supervised
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
