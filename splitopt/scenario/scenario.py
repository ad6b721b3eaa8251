"""The scenario itself: a fleet, its links and servers, and the model it trains."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pydantic import PrivateAttr, ValidationError, model_validator

from splitopt.documents.json_text import expect_format
from splitopt.documents.mistakes import Line, Mistake, MistakesError, mistakes_of, no_line, told
from splitopt.documents.reading import read_text
from splitopt.documents.suggestions import did_you_mean
from splitopt.documents.taking import path_of
from splitopt.documents.yaml_text import read_yaml, write_yaml
from splitopt.errors import InputError, shown
from splitopt.extras import data_frame
from splitopt.profiles import ModelProfile, load_profile
from splitopt.profiles.counting.sample_gradients import with_sample_gradients
from splitopt.profiles.published.catalog import is_graph, profile_of_file, unknown_profile
from splitopt.profiles.readers.reading import Said
from splitopt.scenario.device_columns import DeviceColumns
from splitopt.scenario.device_list import with_device_file_read
from splitopt.scenario.machine_model import with_machine_files_read
from splitopt.scenario.nodes import CHAIN_BOUNDARIES, DEFAULT_BOUNDARIES
from splitopt.scenario.sections import Sections
from splitopt.scenario.time_to_accuracy import with_curve_file_read
from splitopt.scenario.training_data import with_data_paths_read
from splitopt.scenario.varying import with_files_read
from splitopt.scenario.whole import mistakes_between
from splitopt.showing import Shown
from splitopt.storage.writing import write_atomic
from splitopt.units import counted

FORMAT = "splitopt-scenario"
VERSION = 1
GRAPH = "graph"
"""The boundaries of a model whose layers are those of a graph."""

_SHIPPED = resources.files("splitopt.scenario") / "data"


def scenario_names() -> list[str]:
    """Names of the shipped scenarios, which `Scenario.load` reads like files."""
    files = (entry.name for entry in _SHIPPED.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def scenario_file(path: str | Path) -> Path:
    """Return the file that a path or the name of a shipped scenario leads to.

    Raises
    ------
    InputError
        What looks like a name is neither a file nor a shipped scenario.
    """
    names, text = scenario_names(), str(path)
    if os.path.exists(path) or Path(path).suffix or Path(path).name != text:
        return Path(path)
    if text in names:
        return Path(str(_SHIPPED / f"{text}.yaml"))
    raise InputError(
        f"{text}: there is no such file and no shipped scenario of this name"
        f"{did_you_mean(text, names) or '.'} The shipped ones are {', '.join(names)}"
    )


class Scenario(Shown, Sections):
    """A fleet, its links, its servers or compute nodes, and the model it trains.

    All in SI units, and immutable. A fleet has servers, compute nodes, or both. ``guesses`` are
    dotted paths to numbers in it that are guesses, which plans and comparisons then say.

    Build it with `load` (YAML), `from_dict` (the same as plain data), `from_si` (plain data in SI
    units), `generate`, or from its parts. Wrong input raises `InputError` from the first four: all
    mistakes, each with field, value and mend.
    """

    _folder: Path = PrivateAttr(default_factory=Path)
    _unknown: tuple[str, str] | None = PrivateAttr(default=None)
    """A name of a profile that is not shipped, and the message of it, with its place.

    It is an error only where the profile is loaded: callers may give one of their own."""

    def __eq__(self, other: object) -> bool:
        """Compare what the scenario says, not the folder that it was read from."""
        return isinstance(other, Scenario) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]

    def _brief(self) -> str:
        there = [(len(self.servers), "server"), (sum(node.count for node in self.nodes), "node")]
        words = [f"{count} {what}{'s' * (count > 1)}" for count, what in there if count]
        if self.accelerators is not None:
            where = f"{len(self.accelerators.names())} machines"
            return f"{self.name!r}: {where}, {self.model.profile or self.model.file}"
        if self.replication is not None:
            count, types = sum(one.count for one in self.replication.types), self.replication.types
            where = f"{counted(count, 'machine')} of {counted(len(types), 'type')}"
            return f"{self.name!r}: {where}, {self.model.profile or self.model.file}"
        words.append(self.model.profile or str(self.model.file))
        return f"{self.name!r}: {counted(self.device_count(), 'device')}, {', '.join(words)}"

    def to_frame(self) -> Any:
        """Return a row for every entry of the devices as a ``pandas.DataFrame``, in SI units."""
        return data_frame(
            device.model_dump(mode="python", exclude_none=True) for device in self.devices
        )

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        if found := list(mistakes_between(self)):
            raise MistakesError(found)
        return self

    @classmethod
    def from_dict(cls, document: Any, source: str = "scenario") -> Scenario:
        """Build a scenario from plain data as in a file: quantities are texts with units.

        `to_dict` writes such data. For data with bare numbers in SI units there is `from_si`.
        """
        return cls._checked(document, source, {"units": True})

    @classmethod
    def from_si(cls, document: Any, source: str = "scenario") -> Scenario:
        """Build a scenario from plain data of a program that calculates in SI units.

        A bare number is in bit/s, byte, FLOP/s, s, W, Hz or W/Hz; texts with units are read as
        well. What comes from elsewhere belongs to `from_dict`, which refuses a number without a
        unit: 30 is there neither 30 FLOP/s nor 30 GFLOP/s.
        """
        return cls._checked(document, source, {})

    @classmethod
    def _checked(
        cls, document: Any, source: str, context: dict[str, bool], line: Line = no_line
    ) -> Scenario:
        try:
            scenario = cls.model_validate(document, context=context)
        except ValidationError as error:
            found = mistakes_of(error, document, cls)
            found += _unknown_beside(found, document)
            raise InputError(told(found, document, source, line)) from None
        except RecursionError:
            raise InputError(f"{source}: is nested too deeply") from None
        unknown = _unknown_profile(document)
        if unknown is not None and scenario.model.profile is not None:
            scenario._unknown = scenario.model.profile, told([unknown], document, source, line)
        return scenario

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a scenario from a YAML (or JSON) file, or a shipped one by its name.

        A name has no folder and no suffix; `scenario_names` lists those there are.
        """
        path = path_of(path)
        found, source = scenario_file(path), str(path)
        if found.suffix == ".npz":
            raise InputError(
                f"{source}: is a numpy archive, such as an instance, which 'splitopt solve' takes; "
                "here a scenario is needed"
            )
        read = read_yaml(read_text(found), source)
        expect_format(read.document, source, FORMAT, VERSION)
        try:
            document = with_device_file_read(read.document, found.parent)
            document = with_files_read(document, found.parent)
            document = with_machine_files_read(document, found.parent)
            document = with_curve_file_read(document, found.parent)
        except InputError as error:
            mistake = Mistake.of(str(error))
            if mistake.path and mistake.path[0] in read.document:  # else of the other file
                raise InputError(told([mistake], read.document, source, read.line)) from None
            raise
        scenario = cls._checked(document, source, {"units": True}, read.line)
        scenario._folder = found.parent
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
        types: int | None = None,
    ) -> Scenario:
        """Draw a fleet of any size, see `splitopt.scenario.generate.draw`.

        With `nodes` there are that many compute nodes instead of a server, see `draw_pipeline`.
        With `types` the devices are machines of that many types, which train one model in
        replicated stages, see `draw_machines`. The profile is ``dp-mora-resnet18-recovered``, or
        ``resnet18-imagenet`` with nodes or types.
        """
        from splitopt.scenario.generate import draw, draw_machines, draw_pipeline

        if types is not None:
            for name, value in (("nodes", nodes), ("leakage_limit", leakage_limit)):
                if value is not None:
                    raise InputError.at(name, "is not for machines of types; leave it out")
            drawn = draw_machines(seed, devices, types, profile or "resnet18-imagenet")
            return cls.from_si(drawn, "generate")
        if nodes is not None:
            if leakage_limit is not None:
                raise InputError.at("leakage_limit", "is not for pipelines; leave it out")
            profile = profile or "resnet18-imagenet"
            return cls.from_si(draw_pipeline(seed, devices, nodes, profile), "generate")
        profile = profile or "dp-mora-resnet18-recovered"
        return cls.from_si(draw(seed, devices, profile, leakage_limit), "generate")

    def to_yaml(self) -> str:
        """Write the scenario as YAML that `load` reads back to an equal scenario."""
        return write_yaml(self.to_dict())

    def save(self, path: str | Path) -> None:
        """Write the scenario as a YAML file (JSON if the path ends so), atomically."""
        as_json = Path(path).suffix == ".json"
        text = json.dumps(self.to_dict(), indent=1) + "\n" if as_json else self.to_yaml()
        write_atomic(path, text)

    def to_planned(self) -> dict[str, Any]:
        """Return what `to_dict` does, with paths in `data` as seen from where commands run."""
        found: dict[str, Any] = with_data_paths_read(self.to_dict(), self._folder)
        return found

    def load_model(self) -> ModelProfile:
        """Load the model profile that the scenario names; a file is relative to the scenario.

        A graph is cut behind every operator, in an order of execution that suits the nodes, if
        there are any, unless ``pipeline.boundaries`` says otherwise; else where one tensor crosses.
        """
        name, stated = self.model.profile, self.pipeline.boundaries
        usual = DEFAULT_BOUNDARIES if self.nodes else "cuts"
        if self.accelerators is not None:
            stated, usual = None, GRAPH
        if name is None:
            return self._with_privacy(self._load_file(stated, usual))
        if self._unknown is not None and self._unknown[0] == name:
            raise InputError(self._unknown[1])
        if stated is not None and not is_graph(name):
            raise _no_graph(stated, name)
        found = load_profile(name, self.model.fill, stated or usual, self.equal_chain())
        return self._with_privacy(found)

    def _load_file(self, stated: str | None, usual: str) -> ModelProfile:
        """Load the file of the model, of a graph with the stated boundaries or the usual ones."""
        model = self.model
        assert model.file is not None  # the validator saw to it
        path = self._folder / model.file
        said = Said(
            batch=model.batch_size,
            unit=model.unit,
            boundaries=stated,
            chain=self.equal_chain(),
            otherwise=usual,
            strict=True,
        )
        return profile_of_file(path, said, model.fill)

    def _with_privacy(self, profile: ModelProfile) -> ModelProfile:
        """Return the profile with the work and memory that privacy takes, where it is asked for."""
        if not self.privacy.per_sample_gradients:
            return profile
        if self.without_fleet is not None:
            raise InputError.at(
                "privacy.per_sample_gradients",
                "is about devices with a server or a pipeline, not about "
                f"{self.without_fleet}; drop it",
            )
        listed = () if isinstance(self.devices, DeviceColumns) else self.devices
        covered = self.privacy.per_sample_gradients
        machines = [*listed, *((*self.servers, *self.nodes) if covered == "model" else ())]
        if any(machine.machine_model is not None for machine in machines):
            raise InputError.at(
                "privacy.per_sample_gradients",
                "has work that machine models know nothing of; give 'compute' in place of "
                "'machine_model', or drop it",
            )
        return with_sample_gradients(profile, covered)

    def with_boundaries(self, boundaries: str) -> Scenario:
        """Return the scenario with ``pipeline.boundaries``, see `Pipeline`.

        Raises
        ------
        InputError
            There are no nodes, or the boundaries are of no such kind.
        """
        if self.accelerators is not None:
            if boundaries != GRAPH:
                raise InputError.at(
                    "boundaries",
                    f"is {shown(boundaries)}, but accelerators run a graph of layers; leave it out",
                )
            return self
        if not self.nodes:
            raise InputError.at("boundaries", "are for a pipeline, and the scenario has no nodes")
        if boundaries == GRAPH:
            raise InputError.at(
                "boundaries",
                f"is {GRAPH!r}, which is for alike accelerators; state the section 'accelerators' "
                "in place of 'nodes'",
            )
        if boundaries not in CHAIN_BOUNDARIES:
            known = " or ".join(map(repr, CHAIN_BOUNDARIES))
            raise InputError.at("boundaries", f"is {shown(boundaries)}, it must be {known}")
        pipeline = self.pipeline._with(boundaries=boundaries)
        return self._with(pipeline=pipeline)


def _no_graph(stated: str, name: str) -> InputError:
    return InputError.at(
        "pipeline.boundaries",
        f"is {stated!r}, but the profile {shown(name)} is no graph whose boundaries could be "
        "chosen; drop it",
    )


def _unknown_beside(found: list[Mistake], document: Any) -> list[Mistake]:
    """Return the mistake of `_unknown_profile` unless the name, or what holds it, has another."""
    unknown = _unknown_profile(document, brief=True)
    if unknown is None:
        return []
    above = {unknown.path[:steps] for steps in range(1, len(unknown.path) + 1)}
    return [] if above & {mistake.path for mistake in found} else [unknown]


def _unknown_profile(document: Any, *, brief: bool = False) -> Mistake | None:
    """Return the mistake of a document whose model is named after no shipped profile.

    With `brief`, as one of several mistakes; see `unknown_profile`.
    """
    path: tuple[str, ...] = ("model",)
    name = document.get("model") if isinstance(document, Mapping) else None
    if isinstance(name, Mapping):
        path, name = ("model", "profile"), name.get("profile")
    text = unknown_profile(name, brief=brief) if isinstance(name, str) else None
    return None if text is None else Mistake(path, text)
