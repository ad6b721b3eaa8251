"""Graphs of torch.fx: tracing, rewriting, names, text, and which values all else runs through."""
