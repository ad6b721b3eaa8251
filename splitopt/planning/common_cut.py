"""What a plan of `CommonCut` promises, and what limits it."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.planning.comparison.loads import (
    batch_sizes,
    copies_memory,
    device_loads,
    shared_memory,
)
from splitopt.planning.cut_and_resources import leakage_of
from splitopt.planning.explaining import Explainer
from splitopt.planning.fields import leakage_fields, model_fields, rate_fields
from splitopt.planning.guesses import fill_notes
from splitopt.planning.links import describe_links
from splitopt.planning.predictions.common_cut import CommonCutPrediction, DeviceRound, OtherCut
from splitopt.planning.predictions.cut_and_resources import Leakage
from splitopt.problems.base import IntArray
from splitopt.problems.common_cut import PHASES, CommonCut, CommonCutDecision
from splitopt.problems.common_cut.reasons import why_none
from splitopt.problems.common_cut.tables import model_bytes, served_with_parts
from splitopt.problems.memory import unchecked

_SPEED = ("compute", "machine", "machine_model")
_BY_BATCH_SIZE = "splitfed_v2"
"""The scheme whose round depends on where batches end."""


class CommonCutExplainer(Explainer[CommonCut, CommonCutDecision, CommonCutPrediction]):
    """Explains plans of `CommonCut`."""

    problem = "common_cut"

    def predict(self, problem: CommonCut, decision: CommonCutDecision) -> CommonCutPrediction:
        """Compute the seconds of the round, at this cut and at all others, and what they cost."""
        scenario, profile = self.scenario, self.profile
        phases, cuts = problem.phases(decision), self._everyone(problem, decision)
        loads = device_loads(scenario, profile, cuts)
        by_batches = problem.objective == _BY_BATCH_SIZE
        return CommonCutPrediction(
            objective_unit="s",
            scheme=problem.objective,
            server_order=problem.server_order if by_batches else None,
            cut=decision.cut,
            cut_layer=profile.layers[decision.cut - 1],
            devices=self._rows(problem, decision),
            phases_s=dict(zip(PHASES, phases.tolist(), strict=True)),
            round_s=float(phases.sum()),
            training_s=float(phases.sum() * scenario.training.rounds),
            cuts=self._cuts(problem),
            traffic_bytes=loads["traffic_bytes"],
            device_memory_bytes=loads["device_memory_bytes"],
            server_memory_bytes=self._server_memory(problem, cuts),
            leakage=self._leakage(problem, cuts),
        )

    def _everyone(self, problem: CommonCut, decision: CommonCutDecision) -> IntArray:
        return np.full(problem.devices, decision.cut, dtype=np.int64)

    def _rows(self, problem: CommonCut, decision: CommonCutDecision) -> list[DeviceRound]:
        """Return a row per device; of a link that is its own a device has the share 1."""
        shares = decision.shares.copy()
        if not problem.shared_links:
            shares[:, :2] = 1.0
        phases = problem.device_phases(decision)
        return [
            DeviceRound(
                name=device.name,
                download_share=share[0],
                upload_share=share[1],
                server_share=share[2],
                **{f"{name}_s": value for name, value in zip(PHASES, seconds, strict=True)},
                own_s=sum(seconds),
            )
            for device, share, seconds in zip(
                self.scenario.fleet(), shares.tolist(), phases.tolist(), strict=True
            )
        ]

    def _cuts(self, problem: CommonCut) -> list[OtherCut]:
        """Return the round at every cut that all can take."""
        cuts = (np.flatnonzero(problem.possible) + 1).tolist()
        if problem.takes_turns:
            rounds = problem.rounds(cuts).sum(axis=1).tolist()
        else:
            rounds = [problem.evaluate(problem.complete(cut)) for cut in cuts]
        layers = self.profile.layers
        return [
            OtherCut(cut=cut, cut_layer=layers[cut - 1], round_s=seconds)
            for cut, seconds in zip(cuts, rounds, strict=True)
        ]

    def _server_memory(self, problem: CommonCut, cuts: IntArray) -> float | None:
        scenario, profile = self.scenario, self.profile
        if problem.objective == "federated":
            return model_bytes(profile)
        if problem.objective == "splitfed_v1":
            return copies_memory(scenario, profile, cuts)
        sizes = batch_sizes(scenario)
        most = None if sizes is None else float(sizes.max())
        devices = served_with_parts(scenario, problem.objective)
        return shared_memory(profile, int(cuts[0]), most, devices)

    def _leakage(self, problem: CommonCut, cuts: IntArray) -> Leakage | None:
        if problem.objective == "federated":
            return None
        return leakage_of(cuts, self.scenario, self.profile)

    def explain_infeasible(self, problem: CommonCut) -> str | None:
        """Name the limit that leaves no cut, and what would have to change."""
        return why_none(problem, self.scenario, self.profile)

    def notes(self) -> list[str]:
        """Return notes about links, filled counts, and limits that cannot be checked."""
        scenario, profile = self.scenario, self.profile
        return [
            describe_links(scenario),
            *fill_notes(profile, (*scenario.devices, *scenario.servers)),
            *unchecked(scenario, profile),
        ]

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        scenario, profile = self.scenario, self.profile
        sized: Any = self.objective == _BY_BATCH_SIZE or (
            any(part.memory is not None for part in (*scenario.devices, *scenario.servers))
        )
        split = self.objective != "federated"
        found = {
            *model_fields(scenario, profile),
            "training.epochs",
            "training.rounds",
            "links.shared",
            *(f"devices[].{name}" for name in ("count", "samples", "memory", *_SPEED)),
            "servers[].memory",
            *(f"servers[].{name}" for name in (_SPEED if split else ())),
            *rate_fields(scenario),
            *(leakage_fields(scenario) if split else ()),
            *(("devices[].batch_size",) if sized else ()),
            *(("training.server_order",) if self.objective == _BY_BATCH_SIZE else ()),
        }
        if "spectrum.bandwidth" in found:
            found.add("spectrum.subcarriers")
        return found


EXPLAINER = CommonCutExplainer
