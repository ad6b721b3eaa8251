"""The training backend: plans that run. It needs PyTorch, the extra ``train``."""
