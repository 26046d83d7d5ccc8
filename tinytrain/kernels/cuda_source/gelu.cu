// The GELU activation in its two forms: one thread per element.
//
// The last block may have more threads than there are elements left: those have nothing to do.

// y = x / 2 (1 + tanh(c (x + a x^3))), with c = sqrt(2 / pi) and a = 0.044715
extern "C" __global__ void gelu_tanh(const real* x, real* y, real* slope_or_null, long long count) {
    const long long i = global_thread();
    if (i >= count) {
        return;
    }
    const real c = 0.79788456080286535588;
    const real a = 0.044715;
    const real square = x[i] * x[i];
    const real t = tanh(c * x[i] * (1 + a * square));
    const real share = (1 + t) / 2;  // the weight of x in y
    y[i] = x[i] * share;
    if (slope_or_null) {
        slope_or_null[i] = share + x[i] / 2 * (1 - t * t) * c * (1 + 3 * a * square);
    }
}

// y = x Phi(x), where Phi(x) is the probability that a normal variable lies below x
extern "C" __global__ void gelu_exact(const real* x, real* y, real* slope_or_null, long long count) {
    const long long i = global_thread();
    if (i >= count) {
        return;
    }
    const real root_of_half = 0.70710678118654752440;
    const real below = (1 + erf(x[i] * root_of_half)) / 2;
    y[i] = x[i] * below;
    if (slope_or_null) {
        const real inverse_root_of_two_pi = 0.39894228040143267794;
        const real density = exp(-x[i] * x[i] / 2) * inverse_root_of_two_pi;
        slope_or_null[i] = below + x[i] * density;
    }
}
