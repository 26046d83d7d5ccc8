// The softmax inside attention, and its derivative: one block per query, the threads share out the
// keys. The scores are read and overwritten in place, so that scaling, both masks and the softmax
// cost one pass over memory.

// P = softmax(scale * scores + mask), hiding keys s > t where `is_causal` is not 0.
//
// Rows are numbered (batch, head, query). The mask may be smaller than the scores: along an axis on
// which it is repeated its stride is 0. A row in which everything is hidden gets probabilities 0.
extern "C" __global__ void attention_softmax(
    real* scores,
    const real* mask_or_null,
    long long heads,
    long long queries,
    long long keys,
    long long mask_batch_stride,
    long long mask_head_stride,
    long long mask_query_stride,
    long long mask_key_stride,
    real scale,
    int is_causal
) {
    const long long row = blockIdx.x;
    const long long query = row % queries;
    const long long head = row / queries % heads;
    const long long batch = row / queries / heads;
    const long long visible = is_causal && query + 1 < keys ? query + 1 : keys;
    const long long mask_start =
        batch * mask_batch_stride + head * mask_head_stride + query * mask_query_stride;
    real* row_scores = scores + row * keys;

    real highest = -LARGEST;
    for (long long s = threadIdx.x; s < visible; s += blockDim.x) {
        real score = row_scores[s] * scale;
        if (mask_or_null) {
            score += mask_or_null[mask_start + s * mask_key_stride];
        }
        row_scores[s] = score;
        highest = larger(highest, score);
    }
    highest = block_largest(highest);

    real sum = 0;
    for (long long s = threadIdx.x; s < visible; s += blockDim.x) {
        const real e = exp(row_scores[s] - highest);
        row_scores[s] = e;
        sum += e;
    }
    sum = block_sum(sum);

    for (long long s = threadIdx.x; s < keys; s += blockDim.x) {
        row_scores[s] = s < visible ? row_scores[s] / (sum == 0 ? 1 : sum) : 0;
    }
}

// dS = P (dP - sum of P dP over the keys): what the mask gets. The products that follow need it
// times the scale, which is what dP is overwritten with.
extern "C" __global__ void attention_softmax_backward(
    const real* probabilities,
    real* gradient,
    real* scores_gradient_or_null,
    long long keys,
    real scale
) {
    const long long start = (long long)blockIdx.x * keys;

    real along = 0;
    for (long long s = threadIdx.x; s < keys; s += blockDim.x) {
        along += probabilities[start + s] * gradient[start + s];
    }
    along = block_sum(along);

    for (long long s = threadIdx.x; s < keys; s += blockDim.x) {
        const real ds = probabilities[start + s] * (gradient[start + s] - along);
        if (scores_gradient_or_null) {
            scores_gradient_or_null[start + s] = ds;
        }
        gradient[start + s] = ds * scale;
    }
}
