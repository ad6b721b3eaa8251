"""Definitions of well-known networks to trace, plan with and train, in plain PyTorch.

`build` makes one by name. The files beside this one import torch; this one does not.
"""

from splitopt.models.registry import build as build
from splitopt.models.registry import default_shape as default_shape
from splitopt.models.registry import is_token_model as is_token_model
from splitopt.models.registry import model_names as model_names
