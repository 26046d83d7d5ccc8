"""Causal self-attention by hand, forward and backward.

Shapes: B sequences of T tokens make N = B T rows of width D; H heads are D / H = S wide.
"""

from __future__ import annotations

import math

import numpy as np
from numpy_parts import Array, FlatParameters
from workloads import GPTShape


class CausalAttention:
    """P = softmax(q kᵀ) over the keys up to the query,  y = P v, for every head; q comes / √S.

    dL/dv = Pᵀ g,   dP = g vᵀ,   dscores = P (dP - rowsum(g y)),   dL/dq = dscores k,
    dL/dk = dscoresᵀ q.

    Scores lie as (keys, queries): the sum over keys is then a product with a row of ones. P stays
    unnormalised (E = exp(scores - max)); what divides by its sum is the narrower (T, S) side. The
    sequences go one by one: H T T scores fit into the cache, B H T T do not.
    """

    def __init__(self, shape: GPTShape, parameters: FlatParameters) -> None:
        heads, context, width = shape.heads, shape.context, shape.width
        self.split = (shape.batch, context, 3, heads, width // heads)
        self.scale = 1 / math.sqrt(width // heads)
        self.exponentials = parameters.empty(shape.batch, heads, context, context)  # E
        self.inverse_sums = parameters.empty(shape.batch, heads, 1, context)
        self.output = parameters.empty(shape.rows, width)
        self.score_gradient = parameters.empty(heads, context, context)
        self.gradient = parameters.empty(shape.rows, 3 * width)
        self.ones = parameters.ones(1, context)
        future = np.tri(context, k=-1, dtype=bool)  # key > query
        self.mask = np.where(future, -np.inf, 0).astype(parameters.dtype)  # (keys, queries)
        self.query_key_value: Array

    def heads_of(self, rows: Array) -> Array:
        """(N, 3 D) -> (B, 3, H, T, S), a view."""
        return rows.reshape(self.split).transpose(0, 2, 3, 1, 4)

    def outputs_of(self, rows: Array) -> Array:
        """(N, D) -> (B, H, T, S), a view."""
        batch, context, _, heads, size = self.split
        return rows.reshape(batch, context, heads, size).transpose(0, 2, 1, 3)

    def forward(self, query_key_value: Array) -> Array:
        """(N, 3 D) -> (N, D). The queries are scaled in place."""
        self.query_key_value = query_key_value
        query_key_value[:, : self.output.shape[1]] *= self.scale
        every = zip(
            self.heads_of(query_key_value),
            self.exponentials,
            self.inverse_sums,
            self.outputs_of(self.output),
            strict=True,
        )
        for (query, key, value), exponentials, inverse_sums, output in every:
            np.matmul(key, query.mT, out=exponentials)  # (H, T keys, T queries)
            exponentials += self.mask
            exponentials -= exponentials.max(axis=-2, keepdims=True)
            np.exp(exponentials, out=exponentials)
            np.matmul(self.ones, exponentials, out=inverse_sums)  # (H, 1, T queries)
            np.reciprocal(inverse_sums, out=inverse_sums)
            np.matmul(exponentials.mT, value, out=output)  # (H, T, S)
            output *= inverse_sums.mT
        return self.output

    def backward(self, g: Array) -> Array:
        """g (N, D), overwritten, -> the gradient of the queries, keys and values (N, 3 D)."""
        row_sums = np.vecdot(self.outputs_of(g), self.outputs_of(self.output))  # (B, H, T)
        every = zip(
            self.heads_of(self.query_key_value),
            self.heads_of(self.gradient),
            self.exponentials,
            self.inverse_sums,
            row_sums[:, :, None],
            self.outputs_of(g),
            strict=True,
        )
        d_scores = self.score_gradient
        for (query, key, value), gradients, exponentials, inverse_sums, row_sum, g_heads in every:
            d_query, d_key, d_value = gradients
            g_heads *= inverse_sums.mT  # P = E / sum: the division is done on this side
            row_sum *= inverse_sums
            np.matmul(exponentials, g_heads, out=d_value)
            np.matmul(value, g_heads.mT, out=d_scores)  # (H, T keys, T queries)
            d_scores -= row_sum
            d_scores *= exponentials
            np.matmul(d_scores.mT, key, out=d_query)
            np.matmul(d_scores, query, out=d_key)
        self.gradient[:, : g.shape[1]] *= self.scale
        return self.gradient
