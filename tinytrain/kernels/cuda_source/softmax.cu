// Softmax along the rows of a matrix: one block per row, the threads share out its columns.
//
// The largest number of the row is subtracted before the exponentials, so that none overflows. A
// row that is -inf throughout has no largest finite number: it gets probabilities 0 and a sum of 0.

extern "C" __global__ void softmax_rows(
    const real* x,
    real* probabilities,
    real* maxima,
    real* sums,
    long long width
) {
    const long long start = (long long)blockIdx.x * width;

    real highest = -LARGEST;
    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        highest = larger(highest, x[start + c]);
    }
    highest = block_largest(highest);

    real sum = 0;
    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        const real e = exp(x[start + c] - highest);
        probabilities[start + c] = e;
        sum += e;
    }
    sum = block_sum(sum);

    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        probabilities[start + c] /= sum == 0 ? 1 : sum;
    }
    if (threadIdx.x == 0) {
        maxima[blockIdx.x] = highest;
        sums[blockIdx.x] = sum;
    }
}
