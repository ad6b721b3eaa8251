"""Which generators go to which device (IoTSL): the problem and its decision."""

from splitopt.problems.generator_pairing.decision import (
    GeneratorPairingDecision as GeneratorPairingDecision,
)
from splitopt.problems.generator_pairing.problem import GeneratorPairing as GeneratorPairing
