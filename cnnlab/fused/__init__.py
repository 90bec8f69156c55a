"""The lab's own kernels."""
