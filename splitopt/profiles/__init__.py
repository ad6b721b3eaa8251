"""What a model costs at each cut: the table, its curves and measured times, shipped profiles."""

from splitopt.profiles.counting.memory import layer_memory_bytes as layer_memory_bytes
from splitopt.profiles.fitting.machine_fit import fit_machine as fit_machine
from splitopt.profiles.fitting.machine_model import MachineModel as MachineModel
from splitopt.profiles.fitting.regression import fit as fit
from splitopt.profiles.fitting.speed import flop_model as flop_model
from splitopt.profiles.published.catalog import load_profile as load_profile
from splitopt.profiles.published.catalog import profile_names as profile_names
from splitopt.profiles.readers.graph_file import read_graph as read_graph
from splitopt.profiles.readers.layer_csv import write_layer_csv as write_layer_csv
from splitopt.profiles.readers.reading import read as read
from splitopt.profiles.readers.times import with_times as with_times
from splitopt.profiles.readers.times import write_times as write_times
from splitopt.profiles.table.curves import Curve as Curve
from splitopt.profiles.table.fill import Fill as Fill
from splitopt.profiles.table.inference import with_backward as with_backward
from splitopt.profiles.table.interval import Interval as Interval
from splitopt.profiles.table.machine_times import MachineTimes as MachineTimes
from splitopt.profiles.table.operator_counts import OperatorCounts as OperatorCounts
from splitopt.profiles.table.profile import ModelProfile as ModelProfile
from splitopt.profiles.table.provenance import Provenance as Provenance
from splitopt.profiles.table.uncounted import Uncounted as Uncounted
from splitopt.profiles.tracing import measure as measure
from splitopt.profiles.tracing import trace as trace
