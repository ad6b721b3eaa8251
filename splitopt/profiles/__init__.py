"""What a model costs at each cut: the table, its curves and measured times, shipped profiles."""

from splitopt.profiles.catalog import load_profile as load_profile
from splitopt.profiles.catalog import profile_names as profile_names
from splitopt.profiles.curves import Curve as Curve
from splitopt.profiles.fill import Fill as Fill
from splitopt.profiles.graphs import read_graph as read_graph
from splitopt.profiles.interval import Interval as Interval
from splitopt.profiles.layer_csv import write_layer_csv as write_layer_csv
from splitopt.profiles.machine_fit import fit_machine as fit_machine
from splitopt.profiles.machine_model import MachineModel as MachineModel
from splitopt.profiles.machines import MachineTimes as MachineTimes
from splitopt.profiles.memory import layer_memory_bytes as layer_memory_bytes
from splitopt.profiles.model import ModelProfile as ModelProfile
from splitopt.profiles.operator_counts import OperatorCounts as OperatorCounts
from splitopt.profiles.provenance import Provenance as Provenance
from splitopt.profiles.reading import read as read
from splitopt.profiles.regression import fit as fit
from splitopt.profiles.speed import flop_model as flop_model
from splitopt.profiles.times import with_times as with_times
from splitopt.profiles.times import write_times as write_times
from splitopt.profiles.tracing import measure as measure
from splitopt.profiles.tracing import trace as trace
from splitopt.profiles.uncounted import Uncounted as Uncounted
