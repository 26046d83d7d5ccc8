"""The few hot loops, on raw arrays, written for speed."""
