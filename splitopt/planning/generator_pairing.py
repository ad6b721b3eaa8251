"""What a plan of `GeneratorPairing` promises: who sends what to whom, and what it takes."""

from __future__ import annotations

import math
from typing import Self

from splitopt.planning.cut_and_resources import energy_notes
from splitopt.planning.explaining import Explainer
from splitopt.planning.fields import leakage_fields, model_fields, power_fields, rate_fields
from splitopt.planning.iotsl import IoTSL, check_training, training_of
from splitopt.planning.iotsl_promise import promised
from splitopt.planning.predictions.generator_pairing import (
    DevicePairing,
    GeneratorPairingPrediction,
    Transfer,
)
from splitopt.planning.predictions.iotsl import IoTSLPrediction
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
from splitopt.problems.generator_pairing.reasons import obvious_reason
from splitopt.problems.generator_pairing.tables import (
    section_of,
    transfer_bytes,
    transfer_seconds,
)
from splitopt.scenario.generator_training import GeneratorTraining
from splitopt.scenario.generators import Generators


class GeneratorPairingExplainer(
    Explainer[GeneratorPairing, GeneratorPairingDecision, GeneratorPairingPrediction]
):
    """Explains plans of `GeneratorPairing`."""

    problem = "generator_pairing"
    section = "generators"
    machines = ()
    counts_messages = False

    def prepare(self) -> tuple[Self, list[str]]:
        """Check what the scenario says of training the generators, if it does."""
        check_training(self.scenario, self.profile)
        return self, []

    def predict(
        self, problem: GeneratorPairing, decision: GeneratorPairingDecision
    ) -> GeneratorPairingPrediction:
        """Compute the transfers, and every device's part in them."""
        names = [device.name for device in self.scenario.fleet()]
        seconds, each = transfer_seconds(self.scenario), transfer_bytes(self.scenario)
        sources = problem.sources_of(decision)
        taken: dict[tuple[int, int], list[int | str]] = {}
        for i, found in enumerate(sources):
            for label, used in found.items():
                for j in used:
                    taken.setdefault((i, j), []).append(label)
        receivers, senders = decision.pairs
        pairs = list(zip(receivers.tolist(), senders.tolist(), strict=True))
        transfers = [
            Transfer(
                receiver=names[i],
                sender=names[j],
                labels=taken.get((i, j), []),
                bytes=each,
                seconds=float(seconds[i, j]),
            )
            for i, j in pairs
        ]
        sent = [0] * len(names)
        for _, j in pairs:
            sent[j] += 1
        devices = [
            DevicePairing(
                name=names[i],
                missing=list(sources[i]),
                senders=[names[j] for j in row.tolist()],
                receivers=sent[i],
                received_bytes=each * len(row),
                seconds=math.fsum(seconds[i, row]),
            )
            for i, row in enumerate(decision.senders)
        ]
        total = math.fsum(transfer.seconds for transfer in transfers)
        paid = math.fsum(problem.cost[receivers, senders])
        return GeneratorPairingPrediction(
            objective_unit="B" if section_of(self.scenario).cost == "bytes" else "s",
            transfers=transfers,
            devices=devices,
            exchange_s=total,
            exchange_bytes=each * len(transfers),
            lacking_quality=max(0.0, problem.evaluate(decision) - paid),
            devices_without_one_partner=problem.without_one_partner.size,
            iotsl=self._whole(problem, decision),
            round_s=total,
            training_s=total,
        )

    def _whole(
        self, problem: GeneratorPairing, decision: GeneratorPairingDecision
    ) -> IoTSLPrediction | None:
        """Compute whether IoTSL pays, where the scenario asks."""
        training = training_of(self.scenario)
        if training is None:
            return None
        return promised(IoTSL(self.scenario, self.profile, problem, decision, training))

    def explain_infeasible(self, problem: GeneratorPairing) -> str | None:
        """Name the class that cannot be covered, and the devices by their names."""
        return obvious_reason(problem)

    def notes(self) -> list[str]:
        """Return notes on what the exchange, or the whole, leaves out."""
        training, section = training_of(self.scenario), section_of(self.scenario)
        if training is not None:
            return [*energy_notes(self.scenario), *_whole_notes(section, training)]
        found = [
            "the plan is about the exchange of generators alone: what training them takes, and the "
            "split training that follows, are other questions (--problem asks them)",
            _AT_FULL_LINKS,
        ]
        if section.route == "stored":
            found.append("generators are at the server already; sending them there is not counted")
        return found

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        scenario = self.scenario
        own = {"devices[].count", "generators", *rate_fields(scenario)}
        if training_of(scenario) is None:
            return own
        sized = self.profile.device_memory_fixed_bytes is not None
        return {
            *own,
            *model_fields(scenario, self.profile),
            *power_fields(scenario),
            *leakage_fields(scenario),
            *(f"devices[].{name}" for name in ("compute", "samples", "memory")),
            *(("devices[].batch_size",) if sized else ()),
            *(f"servers[].{name}" for name in ("compute", "memory")),
        }


_AT_FULL_LINKS = "transfers take place one after the other, each at the full links"


def _whole_notes(section: Generators, training: GeneratorTraining) -> list[str]:
    """Return notes on what is counted of IoTSL as a whole."""
    found = [
        f"{_AT_FULL_LINKS}; devices train generators side by side, and take turns in split "
        "learning, each with the whole links and server",
        "the numbers of epochs to the target are the scenario's: measured, or guessed",
        "the server's work is shown and is in no answer whether IoTSL pays, nor is its energy",
    ]
    if training.network is None and training.sampling_work is None:
        found.append("making a sample is taken as a third of generator_work; state sampling_work")
    if section.route == "server":
        found.append(
            "as a whole, generators go up to the server once, whoever receives them; the exchange "
            "by itself counts the way up for every receiver"
        )
    return found


EXPLAINER = GeneratorPairingExplainer
