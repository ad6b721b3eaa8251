"""What others can learn from a split training, measured; this file does not import torch."""

from splitopt.privacy.public import leakage_table as leakage_table
from splitopt.privacy.public import robustness_table as robustness_table
