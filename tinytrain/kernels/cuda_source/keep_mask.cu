// Which elements dropout keeps: random numbers by Philox4x64-10.
//
// The generator turns a counter and a key into four random words of 64 bits, by ten rounds of
// multiplying and mixing. Block n = 1, 2, ... of four words comes from the counter (n, 0, 0, 0).
// So a thread needs nothing but its own number: it computes one block, whose eight halves decide
// about eight elements.
//
// Reference: J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as
// easy as 1, 2, 3", SC '11.

extern "C" __global__ void keep_mask(
    bool* keep,
    long long count,
    unsigned long long key_0,
    unsigned long long key_1,
    unsigned long long threshold  // up to 2^32: smaller numbers drop their element
) {
    const long long thread = global_thread();
    if (8 * thread >= count) {
        return;
    }
    unsigned long long a = thread + 1, b = 0, c = 0, d = 0;
    for (int round = 0; round < 10; round++) {
        const unsigned long long first = 0xD2E7470EE14C6C93ull, second = 0xCA5A826395121157ull;
        const unsigned long long high_a = __umul64hi(a, first), low_a = a * first;
        const unsigned long long high_c = __umul64hi(c, second), low_c = c * second;
        a = high_c ^ b ^ key_0;
        b = low_c;
        c = high_a ^ d ^ key_1;
        d = low_a;
        key_0 += 0x9E3779B97F4A7C15ull;
        key_1 += 0xBB67AE8584CAA73Bull;
    }
    const unsigned long long words[4] = {a, b, c, d};
    for (int half = 0; half < 8; half++) {
        const long long i = 8 * thread + half;
        if (i < count) {
            const unsigned long long number = words[half / 2] >> (32 * (half % 2)) & 0xFFFFFFFFull;
            keep[i] = number >= threshold;
        }
    }
}
