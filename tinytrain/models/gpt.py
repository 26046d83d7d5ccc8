"""A decoder-only transformer language model, with normalisation before each sub-layer."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytrain import autograd, nn
from tinytrain.creation import arange, from_numpy
from tinytrain.generator import Generator, as_generator
from tinytrain.kernels.tiled_attention import tiling_pays
from tinytrain.memory import checkpoint
from tinytrain.nn import functional as F
from tinytrain.nn.functional.attention_mask import check_segment_ids
from tinytrain.ops.index import check_range
from tinytrain.tensor import Tensor


@dataclass(frozen=True)
class GPTConfig:
    """The sizes of a `GPT`.

    Parameters
    ----------
    vocab_size : int
        The number of different tokens, V.
    context_length : int
        The longest sequence, and the number of learned positions.
    num_layers, num_heads, embed_dim : int
        `num_heads` divides `embed_dim`.
    dropout : float
        On embeddings and on the output of every sub-layer.
    tie_head : bool
        Whether the output layer shares the token embedding's weights.
    init_std : float
        The standard deviation of the first weights. 0.02 suits widths of several hundred; narrow
        models start better with more.
    tiled_attention : bool, optional
        Whether attention is computed by tiles, in memory that grows with the length instead of its
        square (see `functional.scaled_dot_product_attention`); by default where that pays.
    checkpoint_blocks : bool
        Whether training keeps only the input of every block and computes the rest of it again in
        the backward pass (see `tinytrain.checkpoint`): less memory for a third more time.

    Examples
    --------
    >>> config = GPTConfig(100, 16, num_layers=1, num_heads=2, embed_dim=8)
    >>> config.embed_dim // config.num_heads
    4
    """

    vocab_size: int
    context_length: int = 128
    num_layers: int = 4
    num_heads: int = 4
    embed_dim: int = 128
    dropout: float = 0.0
    tie_head: bool = False
    init_std: float = 0.02
    tiled_attention: bool | None = None
    checkpoint_blocks: bool = False

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context_length", "num_layers", "num_heads", "embed_dim"):
            size = getattr(self, name)
            if size < 1:
                raise ValueError(f"a GPT needs {name} of at least 1, got {size}")
        if self.init_std < 0:
            raise ValueError(f"a GPT needs an init_std of at least 0, got {self.init_std}")


class Block(nn.Module):
    """One layer: x + attention(norm(x)), then x + feed_forward(norm(x)).

    References
    ----------
    R. Xiong et al., "On Layer Normalization in the Transformer Architecture", arXiv 2002.04745,
    for normalisation before the sub-layers.
    """

    def __init__(self, config: GPTConfig) -> None:
        width = config.embed_dim
        self.attention_norm = nn.LayerNorm(width)
        self.attention = nn.CausalSelfAttention(width, config.num_heads, config.dropout)
        self.feed_forward_norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU("tanh"),
            nn.Linear(4 * width, width),
            nn.Dropout(config.dropout),
        )

    def forward(
        self, x: Tensor, attn_mask: Tensor | None, segment_ids: Tensor | None, tiled: bool
    ) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        x = x + self.attention(self.attention_norm(x), attn_mask, segment_ids, tiled)
        x = x + self.feed_forward(self.feed_forward_norm(x))
        return x


class GPT(nn.Module):
    """Predicts the next token at every position.

    Weights start normal with standard deviation `init_std`, those that write to the residual
    stream with that divided by sqrt(2 layers); biases start at 0.

    References
    ----------
    A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, section 2.3.

    Examples
    --------
    >>> import tinytrain as tt
    >>> model = GPT(GPTConfig(vocab_size=50, context_length=8, num_layers=1, embed_dim=16))
    >>> model(tt.zeros(2, 8, dtype="int64")).shape
    (2, 8, 50)
    """

    def __init__(self, config: GPTConfig) -> None:
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.embed_dim)
        self.position_embedding = nn.Embedding(config.context_length, config.embed_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.embed_dim)
        self.head = nn.Linear(config.embed_dim, config.vocab_size, bias=False)
        self._initialize()
        if config.tie_head:
            self.head.weight = self.token_embedding.weight

    def _initialize(self) -> None:
        usual_std = self.config.init_std
        residual_std = usual_std / math.sqrt(2 * self.config.num_layers)
        writes_to_stream = ("attention.projection.weight", "feed_forward.2.weight")
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                std = residual_std if name.endswith(writes_to_stream) else usual_std
                nn.init.normal_(parameter, std=std)
            elif name.endswith("bias"):
                nn.init.constant_(parameter, 0.0)

    def forward(
        self,
        input_ids: Tensor,
        positions: Tensor | None = None,
        segment_ids: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of the next token.

        Parameters
        ----------
        input_ids : Tensor (B, T), integer
            T is at most the context length.
        positions : Tensor (B, T), integer, optional
            0, 1, ... by default; packed rows restart them at each sequence.
        segment_ids : Tensor (B, T), integer, optional
            Which sequence of a packed row a position belongs to; attention stays within it.

        Returns
        -------
        Tensor (B, T, V)
        """
        if input_ids.ndim != 2 or input_ids.shape[1] > self.config.context_length:
            raise ValueError(
                f"GPT expects ids (B, T) with T up to {self.config.context_length}, "
                f"got shape {input_ids.shape}"
            )
        if segment_ids is not None:
            check_segment_ids(segment_ids, *input_ids.shape)
        if positions is None:
            positions = arange(input_ids.shape[1])
        x = self.dropout(self.token_embedding(input_ids) + self.position_embedding(positions))
        mask, tiled = None, self.config.tiled_attention
        if tiled is None:
            batch, length, width = x.shape
            heads = (batch, self.config.num_heads, length, width // self.config.num_heads)
            tiled = tiling_pays(x.data, heads, length, segment_ids is not None)
        if segment_ids is not None and not tiled:  # one mask serves all layers
            mask = F.segment_mask(segment_ids, is_causal=False, dtype=x.dtype)
            segment_ids = None
        for block in self.blocks:
            inputs = (x, mask, segment_ids, tiled)
            x = checkpoint(block, *inputs) if self.config.checkpoint_blocks else block(*inputs)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def generate(
        self,
        prompt: NDArray[np.integer[Any]],
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int | Generator = 0,
        context: int | None = None,
    ) -> NDArray[np.int64]:
        """Continue sequences token by token.

        Each token is drawn from softmax(logits / temperature), restricted to the `top_k` likeliest.

        Parameters
        ----------
        prompt : integer array (B, T) or (T,)
            At least one token.
        max_new_tokens : int
        temperature : float
            0 takes the likeliest token; above 1 is more random than the model.
        top_k : int, optional
            Tokens as likely as the k-th stay in the draw too.
        seed : int or Generator
            The same seed gives the same text.
        context : int, optional
            How many of the last tokens to look at: the model's `context_length` by default. A model
            trained on sequences of at most n tokens has learned to continue up to n - 1.

        Returns
        -------
        int64 array
            The prompt with the new tokens behind it, in host memory.

        Raises
        ------
        ValueError
            The prompt is empty or of another shape, or a setting makes no sense.
        TypeError
            The prompt does not hold integers.
        IndexError
            A token is outside the vocabulary.
        FloatingPointError
            The model's logits are not finite.
        """
        _check_sampling(np.asarray(prompt), max_new_tokens, temperature, top_k)
        longest = self.config.context_length if context is None else context
        if not 1 <= longest <= self.config.context_length:
            raise ValueError(
                f"generate: context must lie in 1 to {self.config.context_length}, got {context}"
            )
        tokens = np.atleast_2d(np.asarray(prompt)).astype(np.int64)
        check_range(tokens, self.config.vocab_size, "prompt token")
        generator = as_generator(seed)
        modes = [(layer, layer.training) for layer in self.modules()]
        self.eval()
        try:
            with autograd.no_grad():
                for _ in range(max_new_tokens):
                    window = np.ascontiguousarray(tokens[:, -longest:])
                    logits = self(from_numpy(window))[:, -1].cpu().numpy()
                    drawn = _draw(logits, temperature, top_k, generator)
                    tokens = np.concatenate([tokens, drawn[:, None]], axis=1)
        finally:
            for layer, training in modes:
                layer.training = training
        return tokens if np.ndim(prompt) == 2 else tokens[0]


def _check_sampling(
    prompt: NDArray[Any], max_new_tokens: int, temperature: float, top_k: int | None
) -> None:
    if prompt.ndim not in (1, 2) or prompt.size == 0:
        raise ValueError(
            f"generate needs a prompt (T,) or (B, T) of at least one token, got {prompt.shape}"
        )
    if prompt.dtype.kind not in "iu":
        raise TypeError(f"generate needs a prompt of integers, got {prompt.dtype}")
    if max_new_tokens < 0 or not 0 <= temperature < math.inf or (top_k is not None and top_k < 1):
        raise ValueError(
            "generate needs max_new_tokens >= 0, a finite temperature >= 0 and top_k >= 1, got "
            f"{max_new_tokens}, {temperature}, {top_k}"
        )


def _draw(
    logits: NDArray[Any], temperature: float, top_k: int | None, generator: Generator
) -> NDArray[np.int64]:
    """Draw one token per row of logits (B, V), by inverting the cumulative distribution."""
    if not np.isfinite(logits).all():
        raise FloatingPointError("the model's logits are not finite: no token can be drawn")
    if temperature == 0:
        return np.asarray(logits.argmax(axis=1))
    below_best = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    if top_k is not None and top_k < below_best.shape[1]:
        smallest_kept = np.partition(below_best, -top_k, axis=1)[:, [-top_k]]
        below_best[below_best < smallest_kept] = -np.inf
    with np.errstate(over="ignore"):  # a tiny temperature leaves the likeliest token alone
        weights = np.exp(below_best / temperature)
    cumulative = weights.cumsum(axis=1)
    threshold = generator.numpy.random(len(weights)) * cumulative[:, -1]
    return np.asarray((cumulative > threshold[:, None]).argmax(axis=1))


def language_model_loss(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
    """Return the summed cross-entropy of a packed batch, and the number of supervised tokens.

    Parameters
    ----------
    model : GPT
    batch : PackedBatch
        With tensors in place of arrays; see `tinytrain.data.PackedBatch`.

    Examples
    --------
    >>> import numpy as np
    >>> from tinytrain import data, to_device
    >>> model = GPT(GPTConfig(10, 8, num_layers=1, num_heads=1, embed_dim=4))
    >>> plan = data.plan_packing([3, 4], capacity=8)
    >>> row = data.PackedDataset([np.arange(3), np.arange(4)], plan)[0]
    >>> loss_sum, tokens = language_model_loss(model, to_device(row))
    >>> loss_sum.shape, tokens
    ((), 5)
    """
    logits = model(batch.input_ids, batch.positions, batch.segment_ids)
    rows = logits.reshape(-1, logits.shape[-1])
    loss_sum = F.cross_entropy(rows, batch.targets.reshape(-1), reduction="sum")
    return loss_sum, batch.num_supervised
