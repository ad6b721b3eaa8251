"""How a device's speed and channel vary from round to round, and sampling them by a seed."""

from splitopt.distributions.base import LEAST as LEAST
from splitopt.distributions.base import MOST as MOST
from splitopt.distributions.base import Distribution as Distribution
from splitopt.distributions.finite import LEVEL as LEVEL
from splitopt.distributions.finite import POSITIVE as POSITIVE
from splitopt.distributions.finite import require_finite_mean_latency as require_finite_mean_latency
from splitopt.distributions.kinds import Constant as Constant
from splitopt.distributions.kinds import Empirical as Empirical
from splitopt.distributions.kinds import Lognormal as Lognormal
from splitopt.distributions.kinds import Normal as Normal
from splitopt.distributions.kinds import Uniform as Uniform
from splitopt.distributions.mixed import Mixed as Mixed
from splitopt.distributions.registry import KINDS as KINDS
from splitopt.distributions.registry import distribution_from_data as distribution_from_data
from splitopt.distributions.sampling import generator as generator
from splitopt.distributions.sampling import uniforms as uniforms
from splitopt.distributions.traces import Trace as Trace
from splitopt.distributions.traces import read_column as read_column
from splitopt.distributions.traces import read_trace as read_trace
from splitopt.distributions.traces import write_trace as write_trace
