// What all kernels share. The text of this file is put in front of each of the others.
//
// How a kernel runs: a launch starts a grid of blocks, and each block consists of the same number
// of threads. Every thread runs the kernel's function from top to bottom and finds out what is its
// own work from three numbers:
//
//     blockIdx.x    the number of its block, 0 ... gridDim.x - 1
//     threadIdx.x   its number within the block, 0 ... blockDim.x - 1
//     blockDim.x    how many threads a block has: a power of two, at most MOST_THREADS
//
// Threads of one block can work together: they see the same __shared__ memory, and at
// __syncthreads() each waits until all have come so far. Blocks run in any order and know nothing
// of each other.
//
// `real` is float or double, and LARGEST its largest number: the loader defines both.

#ifndef TINYTRAIN_COMMON
#define TINYTRAIN_COMMON

#define MOST_THREADS 256

// The number of this thread among all threads of the grid.
__device__ inline long long global_thread() {
    return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}

// The larger of two numbers; NaN where one of them is NaN, so that no NaN is ever lost.
__device__ inline real larger(real a, real b) {
    return a > b || a != a ? a : b;
}

__device__ inline real magnitude(real x) {
    return x < 0 ? -x : x;
}

// IEEE arithmetic has no root of a negative number.
__device__ inline real not_a_number() {
    return sqrt((real)-1);
}

// Add up one value of each thread of a block; every thread gets the sum. Each step of the tree
// halves the number of values: the first half of the threads adds the second half to its own.
__device__ inline real block_sum(real mine) {
    __shared__ real values[MOST_THREADS];
    values[threadIdx.x] = mine;
    __syncthreads();
    for (unsigned int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            values[threadIdx.x] += values[threadIdx.x + half];
        }
        __syncthreads();
    }
    real sum = values[0];
    __syncthreads();  // nobody may start another sum in this memory before all have read this one
    return sum;
}

// The largest of one value of each thread, in the same way.
__device__ inline real block_largest(real mine) {
    __shared__ real values[MOST_THREADS];
    values[threadIdx.x] = mine;
    __syncthreads();
    for (unsigned int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            values[threadIdx.x] = larger(values[threadIdx.x], values[threadIdx.x + half]);
        }
        __syncthreads();
    }
    real largest = values[0];
    __syncthreads();
    return largest;
}

#endif
