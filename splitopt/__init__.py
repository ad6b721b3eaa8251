"""splitopt: where to cut a model, who gets which share, and how far the plan is from the best.

The public names are loaded when they are first used, so that ``import splitopt`` is fast.
"""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False  # not from typing, which takes most of the time in which Ctrl-C is unguarded
if TYPE_CHECKING:
    from typing import Any

    from splitopt.driver import solve as solve
    from splitopt.errors import CapabilityError as CapabilityError
    from splitopt.errors import InfeasibleError as InfeasibleError
    from splitopt.errors import InputError as InputError
    from splitopt.errors import SolveError as SolveError
    from splitopt.errors import SplitoptError as SplitoptError
    from splitopt.export.exporting import export_plan as export_plan
    from splitopt.planning.comparison.comparing import compare_schemes as compare_schemes
    from splitopt.planning.differing.plans import diff_plans as diff_plans
    from splitopt.planning.planner import plan as plan
    from splitopt.planning.replaying import simulate as simulate
    from splitopt.plans import Plan as Plan
    from splitopt.problems.cluster_and_spectrum import ClusterAndSpectrum as ClusterAndSpectrum
    from splitopt.problems.common_cut import CommonCut as CommonCut
    from splitopt.problems.cut_and_clusters import CutAndClusters as CutAndClusters
    from splitopt.problems.cut_and_resources import CutAndResources as CutAndResources
    from splitopt.problems.cut_under_uncertainty import CutUnderUncertainty as CutUnderUncertainty
    from splitopt.problems.generator_pairing import GeneratorPairing as GeneratorPairing
    from splitopt.problems.graph_partition import GraphPartition as GraphPartition
    from splitopt.problems.pipeline_partition import PipelinePartition as PipelinePartition
    from splitopt.problems.registry import load_problem as load_problem
    from splitopt.problems.replicated_pipeline import ReplicatedPipeline as ReplicatedPipeline
    from splitopt.problems.time_to_accuracy import TimeToAccuracy as TimeToAccuracy
    from splitopt.profiles import ModelProfile as ModelProfile
    from splitopt.profiles import load_profile as load_profile
    from splitopt.results import Result as Result
    from splitopt.scenario import Scenario as Scenario
    from splitopt.timeline import Timeline as Timeline
    from splitopt.training.runner import train as train
    from splitopt.training.validation.measuring import validate as validate

_HOMES = {
    "CapabilityError": "splitopt.errors",
    "ClusterAndSpectrum": "splitopt.problems.cluster_and_spectrum",
    "CommonCut": "splitopt.problems.common_cut",
    "CutAndClusters": "splitopt.problems.cut_and_clusters",
    "CutAndResources": "splitopt.problems.cut_and_resources",
    "CutUnderUncertainty": "splitopt.problems.cut_under_uncertainty",
    "GeneratorPairing": "splitopt.problems.generator_pairing",
    "GraphPartition": "splitopt.problems.graph_partition",
    "InfeasibleError": "splitopt.errors",
    "InputError": "splitopt.errors",
    "ModelProfile": "splitopt.profiles",
    "PipelinePartition": "splitopt.problems.pipeline_partition",
    "Plan": "splitopt.plans",
    "ReplicatedPipeline": "splitopt.problems.replicated_pipeline",
    "Result": "splitopt.results",
    "Scenario": "splitopt.scenario",
    "SolveError": "splitopt.errors",
    "SplitoptError": "splitopt.errors",
    "TimeToAccuracy": "splitopt.problems.time_to_accuracy",
    "Timeline": "splitopt.timeline",
    "compare_schemes": "splitopt.planning.comparison.comparing",
    "diff_plans": "splitopt.planning.differing.plans",
    "export_plan": "splitopt.export.exporting",
    "load_problem": "splitopt.problems.registry",
    "load_profile": "splitopt.profiles",
    "plan": "splitopt.planning.planner",
    "simulate": "splitopt.planning.replaying",
    "solve": "splitopt.driver",
    "train": "splitopt.training.runner",
    "validate": "splitopt.training.validation.measuring",
}

__all__ = [*sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        found = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = found
        return found
    if name == "__version__":
        from importlib.metadata import version

        return version("splitopt")
    # with name and obj Python proposes the nearest name that there is
    here = sys.modules[__name__]
    raise AttributeError(f"module 'splitopt' has no attribute {name!r}", name=name, obj=here)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
