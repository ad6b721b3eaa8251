"""The sections of a scenario: its fields, and the single devices and links that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from splitopt.errors import InputError
from splitopt.profiles.readers.graph_order import EqualChain
from splitopt.scenario.accelerators import Accelerators
from splitopt.scenario.adapter_choice import AdapterChoice
from splitopt.scenario.device_columns import DeviceColumns
from splitopt.scenario.device_list import NO_DEVICES, Devices
from splitopt.scenario.energy import Energy
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
from splitopt.scenario.precision import Precision
from splitopt.scenario.replication import Replication
from splitopt.scenario.robust import Robust
from splitopt.scenario.spectrum import Clusters, Spectrum
from splitopt.scenario.time_to_accuracy import TimeToAccuracySection
from splitopt.scenario.training_data import TrainingData
from splitopt.scenario.varying import Distributions

NO_LINKS = Links(downlink=Link(), uplink=Link())
"""The links of no devices."""
WHOLE_MODEL = ("accelerators", "replication")
"""Sections whose machines train the whole model, in the place of a fleet; one at most is stated."""
MOST_SINGLE = 200_000
"""Devices that are looked at one by one, groups expanded: that takes about 1 GB of memory."""


class Sections(Part):
    """The fields of a scenario, each right by itself."""

    format: Literal["splitopt-scenario"] = "splitopt-scenario"
    version: Literal[1] = 1
    name: Name = "scenario"
    note: Note | None = None
    guesses: tuple[Name, ...] = ()
    model: Model
    devices: Devices
    links: Links
    servers: Annotated[tuple[Server, ...], Field(min_length=1)] = ()
    nodes: Annotated[tuple[Node, ...], Field(min_length=1)] = ()
    pipeline: Pipeline = Pipeline()
    accelerators: Accelerators | None = None
    replication: Replication | None = None
    training: Training = Training()
    privacy: Privacy = Privacy()
    tradeoff: Tradeoff = Tradeoff()
    precision: Precision | None = None
    adapters: AdapterChoice | None = None
    energy: Energy | None = None
    robust: Robust | None = None
    spectrum: Spectrum | None = None
    clusters: Clusters | None = None
    distributions: Distributions | None = None
    generators: Generators | None = None
    time_to_accuracy: TimeToAccuracySection | None = None
    data: TrainingData | None = None

    HINTS: ClassVar[Mapping[str, str]] = {
        "objective": "it is an option of 'splitopt plan', --objective",
        "problem": "it is an option of 'splitopt plan', --problem",
        "solver": "it is an option of 'splitopt plan', --solver",
        "profile": "it is a field of 'model', or write the name there: 'model: NAME'",
    }

    @model_validator(mode="before")
    @classmethod
    def _without_a_fleet(cls, value: Any) -> Any:
        """Fill in that there are no devices and links where machines train a whole model."""
        if not isinstance(value, Mapping) or all(value.get(name) is None for name in WHOLE_MODEL):
            return value
        return {"devices": NO_DEVICES, "links": NO_LINKS, **value}

    @model_serializer(mode="wrap")
    def _leave_out_what_is_absent(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write sections that are empty by not writing them, so that they are read back so."""
        document: dict[str, Any] = write(self)
        if not self.nodes:
            document.pop("pipeline", None)
        if not self.devices:
            document.pop("devices", None)
            document.pop("links", None)
        return {
            key: value
            for key, value in document.items()
            if value or key not in ("servers", "nodes", "guesses")
        }

    @property
    def without_fleet(self) -> str | None:
        """The section that stands in the place of a fleet of devices; None where there is one."""
        return next((name for name in WHOLE_MODEL if getattr(self, name) is not None), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the scenario as plain data, quantities as texts with units."""
        return self.model_dump(mode="json", exclude_none=True)

    def equal_chain(self) -> EqualChain | None:
        """Return as many equal machines as there are nodes, with links as fast as on average."""
        if not self.nodes:
            return None
        return EqualChain(len(self.node_list()), mean_bytes_per_s(self.links.nodes, self.nodes))

    def expect_single(self, what: str = "this is done") -> None:
        """Raise `InputError` where there are too many devices to look at every one of them."""
        if (devices := self.device_count()) > MOST_SINGLE:
            raise InputError(
                f"devices: {what} device by device, for at most {MOST_SINGLE:,}, and there are "
                f"{devices:,}: plan them by group (cut_and_resources with the solver exact), or "
                "state a smaller 'count'"
            )

    def listed(self) -> Self:
        """Return the scenario with an entry for every row of a file; others as they are."""
        if not isinstance(self.devices, DeviceColumns):
            return self
        self.expect_single()
        return self._with(devices=tuple(self.devices))

    def device_count(self) -> int:
        """Return how many devices there are, groups counted whole."""
        if isinstance(self.devices, DeviceColumns):
            return int(self.devices.counts.sum())
        return sum(device.count for device in self.devices)

    def device_groups(self) -> list[tuple[str, list[str]]]:
        """Return the name of every group of devices, and of its single devices."""
        return [(device.name, device.names()) for device in self.devices]

    def fleet(self) -> list[Device]:
        """Return every single device, groups expanded, with unique names.

        Raises
        ------
        InputError
            There are more than `MOST_SINGLE`.
        """
        self.expect_single()
        return [
            device._with(name=name, count=1) for device in self.devices for name in device.names()
        ]

    def link(
        self,
        device: Device,
        direction: Literal["downlink", "uplink"],
        server: Server | None = None,
    ) -> Link:
        """Return a device's link in one direction; subcarriers are its bandwidth if it has none.

        To the only server there is, or to the one that is given.
        """
        if server is None and len(self.servers) == 1:
            server = self.servers[0]
        found = device.link(direction, self.links, server)
        if self.spectrum is None or found.rate is not None or found.bandwidth is not None:
            return found
        whole = self.spectrum.subcarriers * self.spectrum.bandwidth
        return found._with(bandwidth=whole)

    def node_list(self) -> list[Node]:
        """Return every single compute node, groups expanded, with unique names."""
        return [node._with(name=name, count=1) for node in self.nodes for name in node.names()]
