"""The latency models, one module per training scheme; a formula stands here and nowhere else."""
