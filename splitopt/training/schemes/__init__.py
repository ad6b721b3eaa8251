"""The schemes by name; each is a short module that reads like its paper's algorithm."""

from splitopt.training.schemes.base import Client as Client
from splitopt.training.schemes.base import Scheme as Scheme
from splitopt.training.schemes.base import TrainingError as TrainingError
from splitopt.training.schemes.clustered import Clustered as Clustered
from splitopt.training.schemes.federated import Centralized as Centralized
from splitopt.training.schemes.federated import Federated as Federated
from splitopt.training.schemes.graph_parts import GraphParts as GraphParts
from splitopt.training.schemes.multihop import Multihop as Multihop
from splitopt.training.schemes.multihop import UShaped as UShaped
from splitopt.training.schemes.replicated_stages import ReplicatedStages as ReplicatedStages
from splitopt.training.schemes.split_nn import SplitNN as SplitNN
from splitopt.training.schemes.splitfed_v1 import SplitFedV1 as SplitFedV1
from splitopt.training.schemes.splitfed_v2 import SplitFedV2 as SplitFedV2
from splitopt.training.schemes.tally import Round as Round
from splitopt.training.schemes.tally import Traffic as Traffic
from splitopt.training.schemes.vanilla import Vanilla as Vanilla

SCHEMES: dict[str, type[Scheme]] = {
    kind.name: kind
    for kind in (
        Centralized,
        Federated,
        Vanilla,
        SplitFedV1,
        SplitFedV2,
        Clustered,
        Multihop,
        UShaped,
        SplitNN,
        GraphParts,
        ReplicatedStages,
    )
}
