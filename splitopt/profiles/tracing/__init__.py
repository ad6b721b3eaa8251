"""Where any PyTorch module can be cut, and the parts between the cuts.

A *cut* is a value after which it is the only one that depends on the input and is still needed.
Stages that the user declares come first; otherwise cuts are found as the layers of an
``nn.Sequential``, by ``torch.fx`` or by ``torch.export`` (to count only), in this order. The result
says by which, and each cut is checked by comparing outputs, gradients and buffers of the split
module with those of the whole.

This module and `splitopt.profiles.tracing.public` do not import torch; the others do.
"""

from splitopt.profiles.tracing.public import find_cuts as find_cuts
from splitopt.profiles.tracing.public import measure as measure
from splitopt.profiles.tracing.public import segments as segments
from splitopt.profiles.tracing.public import trace as trace
