// Enough of CUDA to run plain kernels on a CPU, for tests.
//
// Each CUDA thread is a thread of the system, and the blocks of a grid run one after another. What
// a kernel calls __shared__ can thus be a static variable: one per kernel is one per block. A GPU
// runs blocks in any order: `blocks_in_reverse` lets a test show that the order changes nothing.

#include <barrier>
#include <cmath>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct ThreeSizes {
    unsigned int x, y, z;
};

inline thread_local ThreeSizes threadIdx, blockIdx;
inline ThreeSizes blockDim, gridDim;
inline std::barrier<>* barrier_of_block;
inline bool blocks_in_reverse = false;

extern "C" void set_blocks_in_reverse(int reverse) {
    blocks_in_reverse = reverse != 0;
}

inline void __syncthreads() {
    barrier_of_block->arrive_and_wait();
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}

// CUDA has these for float and for double under one name.
using std::erf;
using std::exp;
using std::log;
using std::sqrt;
using std::tanh;

template <class Kernel>
void run_grid(unsigned int blocks, unsigned int threads, Kernel kernel) {
    std::barrier<> in_block(threads), between_blocks(threads);
    barrier_of_block = &in_block;
    gridDim = {blocks, 1, 1};
    blockDim = {threads, 1, 1};
    std::vector<std::thread> running;
    for (unsigned int thread = 0; thread < threads; thread++) {
        running.emplace_back([&, thread] {
            threadIdx = {thread, 0, 0};
            for (unsigned int block = 0; block < blocks; block++) {
                blockIdx = {blocks_in_reverse ? blocks - 1 - block : block, 0, 0};
                kernel();
                between_blocks.arrive_and_wait();
            }
        });
    }
    for (auto& thread : running) {
        thread.join();
    }
}
