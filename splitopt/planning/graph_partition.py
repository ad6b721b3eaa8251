"""What a plan of `GraphPartition` promises, and what limits it."""

from __future__ import annotations

import numpy as np

from splitopt.latency.graph_pipeline import Stations, round_seconds
from splitopt.planning.explaining import Explainer
from splitopt.planning.guesses import fill_notes
from splitopt.planning.predictions.graph_partition import (
    Crossing,
    GraphPartitionPrediction,
    MachineShare,
)
from splitopt.problems.base import FloatArray, IntArray
from splitopt.problems.graph_partition import GraphPartition, GraphPartitionDecision
from splitopt.problems.graph_partition.loads import memory
from splitopt.problems.graph_partition.stations import (
    costs_of_scenario,
    crossings,
    stations_of,
)
from splitopt.problems.graph_partition.tables import (
    Passes,
    accelerators_of,
    memory_bytes,
    passes,
)
from splitopt.profiles.counting.memory import FORMULAS
from splitopt.units import readable_bytes


class GraphPartitionExplainer(
    Explainer[GraphPartition, GraphPartitionDecision, GraphPartitionPrediction]
):
    """Explains plans of `GraphPartition`."""

    problem = "graph_partition"
    section = "accelerators"
    machines = ()
    needs_fleet = False
    counts_messages = False

    def predict(
        self, problem: GraphPartition, decision: GraphPartitionDecision
    ) -> GraphPartitionPrediction:
        """Compute what every machine does for a micro-batch, and how long a round takes."""
        scenario, section = self.scenario, accelerators_of(self.scenario)
        names, device = section.names(), decision.device
        costs = costs_of_scenario(scenario, self.profile)
        used, stations = stations_of(problem, device, costs, section.most_in_flight)
        seconds = round_seconds(stations, section.micro_batches)
        loads = problem.loads(decision)
        return GraphPartitionPrediction(
            objective_unit="s",
            batch_size=section.batch_size,
            micro_batches=section.micro_batches,
            machines=self._shares(problem, device, used, stations),
            idle=[name for d, name in enumerate(names) if d not in used],
            crossings=self._crossings(problem, device),
            period_s=float(loads.max()),
            binding=names[int(loads.argmax())],
            in_flight=section.most_in_flight,
            round_s=seconds,
            training_s=seconds * scenario.training.rounds,
        )

    def _shares(
        self, problem: GraphPartition, device: IntArray, used: IntArray, stations: Stations
    ) -> list[MachineShare]:
        """Return the row of every machine in use."""
        section, layers = accelerators_of(self.scenario), self.profile.layers
        names, period = section.names(), stations.load_s
        held = memory(problem, device) if section.memory is not None else None
        received, sent = crossing_bytes(problem, device, passes(self.scenario, self.profile))
        rows = []
        for place, d in enumerate(used.tolist()):
            own, limited = stations.seconds[place], held is not None and d < problem.accelerators
            rows.append(
                MachineShare(
                    name=names[d],
                    kind="accelerator" if d < problem.accelerators else "CPU",
                    layers=[layers[v] for v in np.flatnonzero(device == d)],
                    forward_s=float(own[1]),
                    backward_s=float(own[4]),
                    receive_s=float(own[0] + own[3]),
                    send_s=float(own[2] + own[5]),
                    load_s=float(own.sum()),
                    busy=float(own.sum() / period) if period > 0 else 0.0,
                    received_bytes=float(received[d]),
                    sent_bytes=float(sent[d]),
                    memory_bytes=float(held[d]) if limited and held is not None else None,
                    memory_limit_bytes=section.memory if limited else None,
                )
            )
        return rows

    def _crossings(self, problem: GraphPartition, device: IntArray) -> list[Crossing]:
        """Return the row of every output that leaves its machine."""
        names = accelerators_of(self.scenario).names()
        found = passes(self.scenario, self.profile)
        left, taken, takers = crossings(problem, device)
        return [
            Crossing(
                layer=self.profile.layers[v],
                sender=names[int(device[v])],
                takers=[names[int(d)] for d in takers[taken == v]],
                output_bytes=float(found.output_bytes[v]),
                gradient_bytes=float(found.gradient_bytes[v]),
            )
            for v in left.tolist()
        ]

    def explain_infeasible(self, problem: GraphPartition) -> str | None:
        """Name the layer that fits no accelerator, or how many accelerators would do."""
        section = accelerators_of(self.scenario)
        if section.memory is None or section.cpu is not None:
            return None
        need, words = memory_bytes(section, self.profile), FORMULAS[section.held].words
        worst, flight = int(need.argmax()), section.most_in_flight
        if need[worst] > section.memory:
            return (
                f"layer {self.profile.layers[worst]} fits no accelerator: with {flight} "
                f"micro-batches of {section.batch_size} in flight it needs "
                f"{readable_bytes(need[worst])} ({words}), and an accelerator has "
                f"{readable_bytes(section.memory)}; a smaller batch_size, fewer in_flight or a "
                "'cpu' would do"
            )
        total = float(need.sum())
        if total > problem.accelerators * section.memory:
            return (
                f"all layers need {readable_bytes(total)} ({words}, {flight} micro-batches of "
                f"{section.batch_size} in flight), and {section.count} accelerators have "
                f"{readable_bytes(section.count * section.memory)}; at least "
                f"{int(-(-total // section.memory))} of them, a smaller batch_size or fewer "
                "in_flight would do"
            )
        return None

    def notes(self) -> list[str]:
        """Return notes on filled counts, what the times leave out, and memory."""
        section = accelerators_of(self.scenario)
        machines = [section] if section.cpu is None else [section, section.cpu]
        found = [*fill_notes(self.profile, machines)]
        if self.objective == "round":
            found.append(
                "the objective is what a round takes at most, whatever part of the work is the "
                "forward pass; 'round_s' is how long its replay takes"
            )
        found += [
            "reading the inputs of the model is in no time and in no count of bytes",
        ]
        if any(one.machine_model and one.machine_model.message_s > 0 for one in machines):
            found.append("the seconds per message of a machine model are in no time")
        if section.memory is None:
            found.append("no memory is limited: 'accelerators.memory' is not stated")
        else:
            found.append(
                f"memory is {FORMULAS[section.held].words}, of {section.most_in_flight} "
                f"micro-batches in flight on every accelerator"
            )
        return found

    def used(self) -> set[str]:
        """Name the fields that a plan follows from."""
        return {"accelerators", "devices", "links", "model", "training.rounds"}


def crossing_bytes(
    problem: GraphPartition, device: IntArray, found: Passes
) -> tuple[FloatArray, FloatArray]:
    """Return the bytes that every device reads and writes for a micro-batch, shape (k + l,)."""
    sent, taken, takers = crossings(problem, device)
    received, left = np.zeros(problem.devices), np.zeros(problem.devices)
    np.add.at(left, device[sent], found.output_bytes[sent])
    np.add.at(received, takers, found.output_bytes[taken])
    np.add.at(left, takers, found.gradient_bytes[taken])
    np.add.at(received, device[sent], found.gradient_bytes[sent])
    return received, left


EXPLAINER = GraphPartitionExplainer
