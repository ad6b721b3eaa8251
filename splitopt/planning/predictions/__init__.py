"""What plans promise, typed: one module per problem, named like the problem."""

from splitopt.planning.predictions.base import Prediction as Prediction
from splitopt.planning.predictions.base import RoundInterval as RoundInterval
