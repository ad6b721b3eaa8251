"""Generators of samples that devices train on their own data (IoTSL, Sections IV-A and IV-D).

This file does not import torch.
"""

from splitopt.generators.accounting import Account as Account
from splitopt.generators.accounting import account_of as account_of
from splitopt.generators.options import GeneratorOptions as GeneratorOptions
from splitopt.generators.options import Sanitizing as Sanitizing
from splitopt.generators.public import load_generator as load_generator
from splitopt.generators.public import membership_of as membership_of
from splitopt.generators.public import quality_per_class as quality_per_class
from splitopt.generators.public import sample_grid as sample_grid
from splitopt.generators.public import train_generator as train_generator
from splitopt.generators.public import train_on_generated as train_on_generated
from splitopt.generators.public import train_probe as train_probe
from splitopt.generators.spec import NetworkSpec as NetworkSpec
from splitopt.generators.trained import StepRow as StepRow
from splitopt.generators.trained import TrainedGenerator as TrainedGenerator
from splitopt.generators.work import GeneratorWork as GeneratorWork
from splitopt.generators.work import work_of as work_of
