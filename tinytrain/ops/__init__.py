"""Every differentiable operation, on raw arrays: mathematics, and nothing of tensors."""
