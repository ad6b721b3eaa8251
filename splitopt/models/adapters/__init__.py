"""Low-rank adapters: a few trained numbers beside the frozen weights of linear layers.

LoRA: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, arXiv:2106.09685.
`choice` and `public` do not import torch; the others do.
"""
