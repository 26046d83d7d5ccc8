"""The methods of tensors, by family: each calls one operation, or composes a few."""
