"""The sections of a scenario: its fields, and the single devices and links that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from splitopt.profiles.readers.graph_order import EqualChain
from splitopt.scenario.generators import Generators
from splitopt.scenario.machine import Name, Note, Part
from splitopt.scenario.nodes import Node, Pipeline, mean_bytes_per_s
from splitopt.scenario.parts import (
    Device,
    Link,
    Links,
    Model,
    Privacy,
    Server,
    Tradeoff,
    Training,
)
from splitopt.scenario.spectrum import Clusters, Spectrum
from splitopt.scenario.training_data import TrainingData
from splitopt.scenario.varying import Distributions


class Sections(Part):
    """The fields of a scenario, each right by itself."""

    format: Literal["splitopt-scenario"] = "splitopt-scenario"
    version: Literal[1] = 1
    name: Name = "scenario"
    note: Note | None = None
    guesses: tuple[Name, ...] = ()
    model: Model
    devices: Annotated[tuple[Device, ...], Field(min_length=1)]
    links: Links
    servers: Annotated[tuple[Server, ...], Field(min_length=1)] = ()
    nodes: Annotated[tuple[Node, ...], Field(min_length=1)] = ()
    pipeline: Pipeline = Pipeline()
    training: Training = Training()
    privacy: Privacy = Privacy()
    tradeoff: Tradeoff = Tradeoff()
    spectrum: Spectrum | None = None
    clusters: Clusters | None = None
    distributions: Distributions | None = None
    generators: Generators | None = None
    data: TrainingData | None = None

    HINTS: ClassVar[Mapping[str, str]] = {
        "objective": "it is an option of 'splitopt plan', --objective",
        "problem": "it is an option of 'splitopt plan', --problem",
        "solver": "it is an option of 'splitopt plan', --solver",
        "profile": "it is a field of 'model', or write the name there: 'model: NAME'",
    }

    @model_serializer(mode="wrap")
    def _leave_out_what_is_absent(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write sections that are empty by not writing them, so that they are read back so."""
        document: dict[str, Any] = write(self)
        if not self.nodes:
            document.pop("pipeline", None)
        return {
            key: value
            for key, value in document.items()
            if value or key not in ("servers", "nodes", "guesses")
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the scenario as plain data, quantities as texts with units."""
        return self.model_dump(mode="json", exclude_none=True)

    def equal_chain(self) -> EqualChain | None:
        """Return as many equal machines as there are nodes, with links as fast as on average."""
        if not self.nodes:
            return None
        return EqualChain(len(self.node_list()), mean_bytes_per_s(self.links.nodes, self.nodes))

    def device_groups(self) -> list[tuple[str, list[str]]]:
        """Return the name of every group of devices, and of its single devices."""
        return [(device.name, device.names()) for device in self.devices]

    def fleet(self) -> list[Device]:
        """Return every single device, groups expanded, with unique names."""
        return [
            device._with(name=name, count=1) for device in self.devices for name in device.names()
        ]

    def link(self, device: Device, direction: Literal["downlink", "uplink"]) -> Link:
        """Return a device's link in one direction; subcarriers are its bandwidth if it has none."""
        found = device.link(direction, self.links)
        if self.spectrum is None or found.rate is not None or found.bandwidth is not None:
            return found
        whole = self.spectrum.subcarriers * self.spectrum.bandwidth
        return found._with(bandwidth=whole)

    def node_list(self) -> list[Node]:
        """Return every single compute node, groups expanded, with unique names."""
        return [node._with(name=name, count=1) for node in self.nodes for name in node.names()]
