"""IoTSL: generators, pre-training, imputation and split training of a fleet (Feng et al. 2023).

This file does not import torch.
"""

from splitopt.iotsl.job import IotslJob as IotslJob
from splitopt.iotsl.public import run_iotsl as run_iotsl
