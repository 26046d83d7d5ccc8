// Add up rows by id: the gradient of an embedding.
//
// The ids come sorted, and with them where each stood before: equal ids stand together in a run,
// in their old order. There is one block per id. Those within a run have nothing to do; the one
// that starts a run adds up all rows of it, each thread some of the columns. So every sum has one
// owner and one order, and comes out the same every time.

extern "C" __global__ void scatter_add_rows(
    const long long* sorted_ids,
    const long long* order,  // sorted_ids[i] stood at order[i]
    const real* rows,
    real* total,  // zeros at first
    long long ids,
    long long count,  // the rows of total
    long long width
) {
    const long long start = blockIdx.x;
    const long long id = sorted_ids[start];
    if (start > 0 && sorted_ids[start - 1] == id) {
        return;
    }
    if (id < 0 || id >= count) {
        return;  // the host refuses such ids; should one come through, it must not write elsewhere
    }
    for (long long c = threadIdx.x; c < width; c += blockDim.x) {
        real sum = 0;
        for (long long i = start; i < ids && sorted_ids[i] == id; i++) {
            sum += rows[order[i] * width + c];
        }
        total[id * width + c] = sum;
    }
}
