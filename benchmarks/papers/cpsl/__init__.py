"""CPSL, section VIII, rebuilt beside its published numbers."""
