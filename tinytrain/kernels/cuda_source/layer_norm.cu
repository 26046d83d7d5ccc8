// Layer normalisation: one block per row.
//
// The threads of a block share out the columns of its row: thread t takes the columns t,
// t + blockDim.x, t + 2 blockDim.x, ... Neighbouring threads then read neighbouring numbers, which
// the memory delivers together.

extern "C" __global__ void layer_norm(
    const real* x,
    const real* weight_or_null,
    const real* bias_or_null,
    real* output,
    real* normalized,
    real* inverse_std,
    long long width,
    real eps
) {
    const long long start = (long long)blockIdx.x * width;  // where this block's row begins

    real sum = 0;
    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        sum += x[start + c];
    }
    const real mean = block_sum(sum) / width;

    real squares = 0;
    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        const real centered = x[start + c] - mean;
        squares += centered * centered;
    }
    const real scale = 1 / sqrt(block_sum(squares) / width + eps);

    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        const real unit = (x[start + c] - mean) * scale;
        real y = unit;
        if (weight_or_null) {
            y *= weight_or_null[c];
        }
        if (bias_or_null) {
            y += bias_or_null[c];
        }
        normalized[start + c] = unit;
        output[start + c] = y;
    }
    if (threadIdx.x == 0) {
        inverse_std[blockIdx.x] = scale;
    }
}

// The gradient of x. With h = weight * gradient and means over a row:
// dx = (h - mean(h) - normalized * mean(h * normalized)) / std.
extern "C" __global__ void layer_norm_backward(
    const real* gradient,
    const real* normalized,
    const real* inverse_std,
    const real* weight_or_null,
    real* dx,
    long long width
) {
    const long long start = (long long)blockIdx.x * width;

    real sum = 0;
    real sum_along = 0;
    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        const real h = gradient[start + c] * (weight_or_null ? weight_or_null[c] : 1);
        sum += h;
        sum_along += h * normalized[start + c];
    }
    const real mean = block_sum(sum) / width;
    const real along = block_sum(sum_along) / width;

    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        const real h = gradient[start + c] * (weight_or_null ? weight_or_null[c] : 1);
        dx[start + c] = (h - mean - normalized[start + c] * along) * inverse_std[blockIdx.x];
    }
}

// The gradients of weight and bias are sums over rows. Each block takes one group of rows and
// blockDim.x columns, one thread per column, and writes the sums of its group: a second pass adds
// up the groups. Sums in a fixed order come out the same every time, which additions into one place
// from many blocks (atomicAdd) would not.
extern "C" __global__ void layer_norm_columns(
    const real* gradient,
    const real* normalized,
    real* dweight,  // (groups, width)
    real* dbias,    // (groups, width)
    long long count,
    long long width,
    long long rows_per_group
) {
    const long long blocks_per_group = (width + blockDim.x - 1) / blockDim.x;
    const long long group = blockIdx.x / blocks_per_group;
    const long long c = (blockIdx.x % blocks_per_group) * blockDim.x + threadIdx.x;
    if (c >= width) {
        return;
    }
    const long long first = group * rows_per_group;
    const long long end = first + rows_per_group < count ? first + rows_per_group : count;
    real sum = 0;
    real sum_along = 0;
    for (long long row = first; row < end; row++) {
        const real g = gradient[row * width + c];
        sum += g;
        sum_along += g * normalized[row * width + c];
    }
    dweight[group * width + c] = sum_along;
    dbias[group * width + c] = sum;
}
