// One step of AdamW over all parameters side by side in one array: one thread per element.
//
// All that the elements share is computed once, on the host, and handed over by value.

extern "C" __global__ void adamw(
    real* parameter,
    const real* gradient,
    real* first_moment,
    real* second_moment,
    long long count,
    real decay,
    real new_first,
    real old_second,
    real new_second,
    real root_correction,
    real eps,
    real step_size,
    real smallest_first,
    real smallest_second
) {
    const long long i = global_thread();
    if (i >= count) {
        return;
    }
    const real g = gradient[i];
    const real m = first_moment[i] + (g - first_moment[i]) * new_first;
    const real v = old_second * second_moment[i] + new_second * (g * g);
    const real step = m / (sqrt(v) / root_correction + eps) * step_size;
    parameter[i] = parameter[i] * decay - step;
    // Moments that are about to become denormal numbers end here; NaN is not below anything.
    first_moment[i] = magnitude(m) < smallest_first ? 0 : m;
    second_moment[i] = magnitude(v) < smallest_second ? 0 : v;
}
