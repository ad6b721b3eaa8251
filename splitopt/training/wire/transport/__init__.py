"""Authenticated connections that carry tensors, at the pace of planned links."""
