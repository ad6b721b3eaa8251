"""What is given: devices, links, servers, training and privacy, validated and in SI units."""

from splitopt.scenario.nodes import Node as Node
from splitopt.scenario.nodes import NodeLinks as NodeLinks
from splitopt.scenario.nodes import Pipeline as Pipeline
from splitopt.scenario.parts import Device as Device
from splitopt.scenario.parts import Link as Link
from splitopt.scenario.parts import Links as Links
from splitopt.scenario.parts import Model as Model
from splitopt.scenario.parts import Privacy as Privacy
from splitopt.scenario.parts import Server as Server
from splitopt.scenario.parts import Tradeoff as Tradeoff
from splitopt.scenario.parts import Training as Training
from splitopt.scenario.robust import Robust as Robust
from splitopt.scenario.robust import Slow as Slow
from splitopt.scenario.scenario import Scenario as Scenario
from splitopt.scenario.scenario import scenario_file as scenario_file
from splitopt.scenario.scenario import scenario_names as scenario_names
from splitopt.scenario.schema import scenario_schema as scenario_schema
from splitopt.scenario.spectrum import Clusters as Clusters
from splitopt.scenario.spectrum import Spectrum as Spectrum
