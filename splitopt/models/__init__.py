"""Definitions of well-known networks to trace, plan with and train, in plain PyTorch.

`build` makes one by name, `add_adapters` prepares any model for fine-tuning. The files beside this
one import torch; this one does not.
"""

from splitopt.models.adapters.public import adapter_state as adapter_state
from splitopt.models.adapters.public import add_adapters as add_adapters
from splitopt.models.adapters.public import load_adapter_state as load_adapter_state
from splitopt.models.adapters.public import merge_adapters as merge_adapters
from splitopt.models.registry import build as build
from splitopt.models.registry import default_shape as default_shape
from splitopt.models.registry import is_token_model as is_token_model
from splitopt.models.registry import model_names as model_names
