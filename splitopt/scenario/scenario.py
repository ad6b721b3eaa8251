"""The scenario itself: a fleet, its links and servers, and the model it trains."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from splitopt.errors import InputError
from splitopt.files import expect_format, parse_yaml, read_text, write_atomic
from splitopt.profiles import ModelProfile, load_profile
from splitopt.profiles.catalog import is_graph
from splitopt.profiles.graph_order import EqualChain
from splitopt.profiles.graphs import BOUNDARIES
from splitopt.scenario.guesses import check_guesses
from splitopt.scenario.machine import Name, Part
from splitopt.scenario.machine_model import with_machine_files_read
from splitopt.scenario.nodes import DEFAULT_BOUNDARIES, Node, Pipeline, mean_bytes_per_s
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
from splitopt.scenario.varying import Distributions, with_files_read

FORMAT = "splitopt-scenario"
VERSION = 1
UNUSED_SECTIONS = ("generators",)
"""Sections of the schema that this version does not use yet, and therefore refuses."""


_SHIPPED = resources.files("splitopt.scenario") / "data"


def scenario_names() -> list[str]:
    """Names of the shipped scenarios, which `Scenario.load` reads like files."""
    files = (entry.name for entry in _SHIPPED.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


class Scenario(Part):
    """A fleet, its links, its servers or compute nodes, and the model it trains.

    All in SI units, and immutable. A fleet has servers, compute nodes, or both. ``guesses`` are
    dotted paths to numbers in it that are guesses, which plans and comparisons then say.

    Build it with `load` (YAML), `from_dict`, `generate`, or from its parts. Wrong input raises
    `InputError` from the first three: one sentence with field, value and mend.
    """

    format: Literal["splitopt-scenario"] = "splitopt-scenario"
    version: Literal[1] = 1
    name: Name = "scenario"
    note: str | None = None
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
    generators: None = None

    _folder: Path = PrivateAttr(default_factory=Path)

    def __eq__(self, other: object) -> bool:
        """Compare what the scenario says, not the folder that it was read from."""
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    @model_validator(mode="before")
    @classmethod
    def _refuse_unused(cls, value: Any) -> Any:
        for section in UNUSED_SECTIONS:
            if isinstance(value, dict) and value.get(section) is not None:
                raise InputError(
                    f"the section {section!r} is not used by this version of splitopt; remove it"
                )
        return value

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        _check_unique([name for device in self.devices for name in device.names()], "devices")
        _check_unique([server.name for server in self.servers], "servers")
        _check_unique([node.name for node in self.node_list()], "nodes")
        if not self.servers and not self.nodes:
            raise InputError(
                "servers: this field is missing; give servers or compute nodes (nodes)"
            )
        self._check_pipeline()
        if self.guesses:
            check_guesses(self.to_dict(), self.guesses)
        if self.clusters is not None:
            self.clusters.all_sizes(sum(device.count for device in self.devices))
            if self.spectrum is None:
                raise InputError("clusters: there is no 'spectrum' to share; add one or drop it")
        directions: tuple[Literal["downlink", "uplink"], ...] = ("downlink", "uplink")
        for index, device in enumerate(self.devices):
            for direction in directions:
                if absent := self.link(device, direction).missing():
                    raise InputError(
                        f"devices[{index}] ({device.name}): its {direction} has no 'rate' and "
                        f"lacks {', '.join(map(repr, absent))}; give it in links or here"
                    )
        return self

    def _check_pipeline(self) -> None:
        """Check the sections about compute nodes against each other."""
        if self.links.nodes is not None:
            self.links.nodes.check(self.nodes)
        if self.nodes:
            return
        for place, default, given in (
            ("links.nodes", None, self.links.nodes),
            ("pipeline", Pipeline(), self.pipeline),
        ):
            if given != default:
                raise InputError(f"{place}: there are no compute nodes; add 'nodes' or drop it")

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

    @classmethod
    def from_dict(
        cls, document: Any, source: str = "scenario", *, from_file: bool = False
    ) -> Scenario:
        """Build a scenario from plain data; with `from_file`, a bare number lacks its unit."""
        try:
            return cls.model_validate(document, context={"from_file": from_file})
        except ValidationError as error:
            raise InputError(f"{source}: {_first_error(error)}") from None

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a scenario from a YAML (or JSON) file, or a shipped one by its name.

        A name has no folder and no suffix; `scenario_names` lists those there are.
        """
        if str(path) in scenario_names() and not Path(path).exists():
            path = Path(str(_SHIPPED / f"{path}.yaml"))
        document = parse_yaml(read_text(path), str(path))
        expect_format(document, str(path), FORMAT, VERSION)
        document = with_files_read(document, Path(path).parent)
        document = with_machine_files_read(document, Path(path).parent)
        scenario = cls.from_dict(document, str(path), from_file=True)
        scenario._folder = Path(path).parent
        return scenario

    @classmethod
    def generate(
        cls,
        seed: int = 0,
        devices: int = 10,
        *,
        profile: str | None = None,
        leakage_limit: float | None = None,
        nodes: int | None = None,
    ) -> Scenario:
        """Draw a fleet of any size, see `splitopt.scenario.generate.draw`.

        With `nodes` there are that many compute nodes instead of a server, see `draw_pipeline`.
        The profile is ``dp-mora-resnet18-recovered``, or ``resnet18-imagenet`` with nodes.
        """
        from splitopt.scenario.generate import draw, draw_pipeline

        if nodes is not None:
            if leakage_limit is not None:
                raise InputError.at("leakage_limit", "is not for pipelines; leave it out")
            profile = profile or "resnet18-imagenet"
            return cls.from_dict(draw_pipeline(seed, devices, nodes, profile), "generate")
        profile = profile or "dp-mora-resnet18-recovered"
        return cls.from_dict(draw(seed, devices, profile, leakage_limit), "generate")

    def to_dict(self) -> dict[str, Any]:
        """Give the scenario as plain data, quantities as texts with units."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_yaml(self) -> str:
        """Write the scenario as YAML that `load` reads back to an equal scenario."""
        import yaml

        return str(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))

    def save(self, path: str | Path) -> None:
        """Write the scenario as a YAML file (JSON if the path ends so), atomically."""
        as_json = Path(path).suffix == ".json"
        text = json.dumps(self.to_dict(), indent=1) + "\n" if as_json else self.to_yaml()
        write_atomic(path, text)

    def load_model(self) -> ModelProfile:
        """Load the model profile that the scenario names; a file is relative to the scenario.

        A graph is cut behind every operator, in an order of execution that suits the nodes, if
        there are any, unless ``pipeline.boundaries`` says otherwise; else where one tensor crosses.
        """
        name, stated = self.model.profile, self.pipeline.boundaries
        if name is None:
            assert self.model.file is not None  # the validator saw to it
            name = str(self._folder / self.model.file)
        if stated is not None and not is_graph(name):
            raise InputError.at(
                "pipeline.boundaries",
                f"is {stated!r}, but the profile {name!r} is no graph whose boundaries could be "
                "chosen; drop it",
            )
        boundaries = stated or (DEFAULT_BOUNDARIES if self.nodes else "cuts")
        return load_profile(name, self.model.fill, boundaries, self.equal_chain())

    def equal_chain(self) -> EqualChain | None:
        """Return as many equal machines as there are nodes, with links as fast as on average."""
        if not self.nodes:
            return None
        return EqualChain(len(self.node_list()), mean_bytes_per_s(self.links.nodes, self.nodes))

    def with_boundaries(self, boundaries: str) -> Scenario:
        """Return the scenario with ``pipeline.boundaries``, see `Pipeline`.

        Raises
        ------
        InputError
            There are no nodes, or the boundaries are of no such kind.
        """
        if not self.nodes:
            raise InputError.at("boundaries", "are for a pipeline, and the scenario has no nodes")
        if boundaries not in BOUNDARIES:
            kinds = " or ".join(map(repr, BOUNDARIES))
            raise InputError.at("boundaries", f"is {boundaries!r}, it must be {kinds}")
        pipeline = self.pipeline.model_copy(update={"boundaries": boundaries})
        return self.model_copy(update={"pipeline": pipeline})

    def fleet(self) -> list[Device]:
        """Give every single device, groups expanded, with unique names."""
        return [
            device.model_copy(update={"name": name, "count": 1})
            for device in self.devices
            for name in device.names()
        ]

    def link(self, device: Device, direction: Literal["downlink", "uplink"]) -> Link:
        """Give a device's link in one direction; subcarriers are its bandwidth if it has none."""
        found = device.link(direction, self.links)
        if self.spectrum is None or found.rate is not None or found.bandwidth is not None:
            return found
        whole = self.spectrum.subcarriers * self.spectrum.bandwidth
        return found.model_copy(update={"bandwidth": whole})

    def node_list(self) -> list[Node]:
        """Give every single compute node, groups expanded, with unique names."""
        return [
            node.model_copy(update={"name": name, "count": 1})
            for node in self.nodes
            for name in node.names()
        ]


def _check_unique(names: list[str], section: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{section}: the name {name!r} stands twice; names must differ")
        seen.add(name)


def _first_error(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong."""
    first = error.errors()[0]
    place = ""
    for step in first["loc"]:
        if isinstance(step, int):
            place += f"[{step}]"
        elif "[" not in step and step not in ("str", "function-before"):
            place += f".{step}" if place else step
    message, kind, value = first["msg"], first["type"], first.get("input")
    if kind == "value_error":
        message = message.removeprefix("Value error, ")
    elif kind == "missing":
        message = "this field is missing"
    elif kind == "extra_forbidden":
        message = "this field is unknown; check its spelling"
    elif kind == "too_short":
        message = "is empty; it needs at least one entry"
    else:
        shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
        message = f"is {shown}; {message[:1].lower()}{message[1:]}"
    return f"{place}: {message}" if place else message
