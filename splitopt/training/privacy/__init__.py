"""DP-SGD: per-sample gradients of the covered parts, clipped, summed, noised and accounted."""
