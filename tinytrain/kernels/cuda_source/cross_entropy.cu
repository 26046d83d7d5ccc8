// Softmax, the cross-entropy loss and its slope in one launch: one block per row.
//
// With p = softmax(x), target t, label smoothing s and C classes:
//     loss  = -(1 - s) log p[t] - s / C sum_c log p[c]
//     slope = d loss / d x = p - (1 - s) onehot(t) - s / C
// A row with the target ignore_index gets 0 for both. Any other target outside of 0 ... C - 1 gets
// NaN for both: an error that cannot be overlooked, where a wrapped index would be.

extern "C" __global__ void cross_entropy(
    const real* logits,
    const long long* targets,
    real* losses,
    real* slope,
    long long width,
    long long ignore_index,
    real smoothing
) {
    const long long start = (long long)blockIdx.x * width;
    const long long target = targets[blockIdx.x];

    // All threads of the block read the same target, so all of them leave here or none does:
    // otherwise the others would wait for ever at the next __syncthreads().
    if (target == ignore_index || target < 0 || target >= width) {
        const real value = target == ignore_index ? (real)0 : not_a_number();
        for (long long c = threadIdx.x; c < width; c += blockDim.x) {
            slope[start + c] = value;
        }
        if (threadIdx.x == 0) {
            losses[blockIdx.x] = value;
        }
        return;
    }

    real highest = -LARGEST;
    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        highest = larger(highest, logits[start + c]);
    }
    highest = block_largest(highest);

    real sum = 0;
    real sum_of_logits = 0;
    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        const real x = logits[start + c] - highest;
        const real e = exp(x);
        slope[start + c] = e;
        sum += e;
        sum_of_logits += x;
    }
    sum = block_sum(sum);
    sum_of_logits = block_sum(sum_of_logits);

    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        real s = slope[start + c] / (sum == 0 ? 1 : sum);
        if (c == target) {
            s -= 1 - smoothing;
        }
        slope[start + c] = s - smoothing / width;
    }
    if (threadIdx.x == 0) {
        const real log_sum = log(sum);
        real loss = log_sum - (logits[start + target] - highest);
        if (smoothing != 0) {
            loss = (1 - smoothing) * loss + smoothing * (log_sum - sum_of_logits / width);
        }
        losses[blockIdx.x] = loss;
    }
}
