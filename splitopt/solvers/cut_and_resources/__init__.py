"""Algorithms for `CutAndResources`."""
