"""What a plan of `GeneratorPairing` promises: who sends what to whom, and what it takes."""

from __future__ import annotations

import math

from splitopt.planning.explaining import Explainer
from splitopt.planning.fields import rate_fields
from splitopt.planning.predictions.generator_pairing import (
    DevicePairing,
    GeneratorPairingPrediction,
    Transfer,
)
from splitopt.problems.generator_pairing import GeneratorPairing, GeneratorPairingDecision
from splitopt.problems.generator_pairing.reasons import obvious_reason
from splitopt.problems.generator_pairing.tables import (
    section_of,
    transfer_bytes,
    transfer_seconds,
)


class GeneratorPairingExplainer(
    Explainer[GeneratorPairing, GeneratorPairingDecision, GeneratorPairingPrediction]
):
    """Explains plans of `GeneratorPairing`."""

    problem = "generator_pairing"
    section = "generators"
    machines = ()
    counts_messages = False

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
            round_s=total,
            training_s=total,
        )

    def explain_infeasible(self, problem: GeneratorPairing) -> str | None:
        """Name the class that cannot be covered, and the devices by their names."""
        return obvious_reason(problem, [device.name for device in self.scenario.fleet()])

    def notes(self) -> list[str]:
        """Return notes on what the exchange leaves out."""
        found = [
            "the plan is about the exchange of generators alone: what training them takes, and the "
            "split training that follows, are other questions (--problem asks them)",
            "transfers take place one after the other, each at the full links",
        ]
        section = section_of(self.scenario)
        if section.route == "stored":
            found.append("generators are at the server already; sending them there is not counted")
        return found

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        return {"devices[].count", "generators", *rate_fields(self.scenario)}


EXPLAINER = GeneratorPairingExplainer
