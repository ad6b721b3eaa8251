"""The profile of a model: what every cut costs, per sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from splitopt.documents.json_text import expect_format, read_json
from splitopt.documents.taking import path_of
from splitopt.errors import InputError
from splitopt.extras import data_frame
from splitopt.profiles.table.adapter_ranks import AdapterRanks
from splitopt.profiles.table.arrays import Array, Mask
from splitopt.profiles.table.checking import checked
from splitopt.profiles.table.columns import (
    OPTIONAL,
    REQUIRED,
    check_sums,
)
from splitopt.profiles.table.curves import Curve
from splitopt.profiles.table.document import FORMAT, VERSION, document_of, read_keys, read_parts
from splitopt.profiles.table.fill import Fill, LayerWork, check_fill, filled
from splitopt.profiles.table.layer_graph import LayerGraph
from splitopt.profiles.table.leakage_record import LeakageRecord
from splitopt.profiles.table.machine_times import (
    MachineTimes,
    not_measured,
    times_of,
)
from splitopt.profiles.table.operator_counts import OperatorCounts
from splitopt.profiles.table.provenance import GUESS, Provenance
from splitopt.profiles.table.rows import cut_rows
from splitopt.profiles.table.trace_record import TraceRecord
from splitopt.profiles.table.uncounted import (
    Uncounted,
    more_than_a_trifle,
    what_is_missing,
)
from splitopt.showing import Drawn, Shown
from splitopt.storage.writing import write_json
from splitopt.units import counted


@dataclass(frozen=True, eq=False, repr=False)
class ModelProfile(Shown, Drawn):
    """A model of L layers as a table over its cuts.

    Entry ``l - 1`` of every array is cut ``l``: the first ``l`` layers stay on the device, for
    ``l = 1 .. L``. At cut L nothing is left for the server. All arrays are float64, read-only,
    of shape ``(L,)`` and per sample of the training set.

    Parameters
    ----------
    name
        A short name, such as ``resnet18-imagenet``.
    layers
        The names of the L layers (or blocks) from the input to the output.
    device_forward_flop, device_backward_flop
        Work of the device part, in FLOP with 1 MAC = 2 FLOP.
    server_forward_flop, server_backward_flop
        Work of the server part, in FLOP; 0 at cut L.
    smashed_bytes, gradient_bytes
        Activations sent up at the cut and their gradient sent down; 0 at cut L.
    device_model_bytes
        Parameters of the whole device part that training changes (not per sample): what goes to
        the device before a round and back after it. Frozen parameters go there once, before the
        first round, and are in no round.
    work_unit
        ``MAC`` or ``FLOP``: how the source counted work. The arrays are FLOP in either case.
        ``none``: work was not counted, the arrays of work are 0 and mean nothing.
    provenance
        Where the numbers come from.
    leakage
        Fraction of the input that the server can recover, 0 to 1; None when unknown.
    device_memory_fixed_bytes
        Parameters and their gradients of the device part, and nothing else: no optimizer state,
        no running statistics (not per sample); None when unknown.
    device_memory_per_sample_bytes
        What the device part keeps of a sample from the forward to the backward pass; None when
        unknown.
    machines
        Measured seconds per layer, by the name of the machine; empty if nothing was measured.
    curves
        The regression curves that the table was evaluated from or that were fitted to it, by the
        name of the array, in the unit of that array and without clipping; None if there are none.
    layer_parameter_bytes
        Parameters of each layer by itself (not per sample); entry ``l - 1`` is layer ``l`` here
        and in the next three. None: the differences of `device_model_bytes`.
    layer_output_bytes
        What each layer puts out, the last one included; None when unknown.
    layer_saved_bytes
        What each layer by itself keeps from its forward to its backward pass, its input included:
        the first layer on a machine of its own holds a copy of what the layer before it keeps
        elsewhere. Their sum over a run of layers on one machine is therefore an upper bound of
        what it keeps; `device_memory_per_sample_bytes` counts such a tensor once. None when
        unknown.
    uncounted
        Operators that ran and whose work is in none of the arrays, since it is not known.
    operators
        What the operators of each layer by itself do, which a machine model turns into seconds;
        None when unknown.
    trace
        How the profile was traced from a module; None if it was not.
    layer_trained_bytes
        Those of each layer's parameters that training changes, which have gradients, moments of
        an optimizer, and travel. None: all of them.
    leakage_record
        How `leakage` was measured, with the interval of each entry; None where it was not.
    sample_gradients
        Whether work and memory of the device part have a gradient for each sample in them;
        ``"model"`` where those of the server's part have too.
    graph
        Which layer feeds which and what each puts out, where the layers are those of a graph; the
        cuts are then the prefixes of an order of execution. None for a chain.
    adapter_ranks
        What one more rank of the model's adapters adds to the columns; None where it has none, or
        adapters of different ranks.

    Raises
    ------
    InputError
        A wrong shape, a number that is negative or not finite, a leakage above 1, work or bytes
        at cut L where nothing crosses, or layers that are smaller than the whole they make.
    """

    name: str
    layers: tuple[str, ...]
    device_forward_flop: Array
    device_backward_flop: Array
    server_forward_flop: Array
    server_backward_flop: Array
    smashed_bytes: Array
    gradient_bytes: Array
    device_model_bytes: Array
    work_unit: str
    provenance: Provenance
    leakage: Array | None = None
    device_memory_fixed_bytes: Array | None = None
    device_memory_per_sample_bytes: Array | None = None
    machines: Mapping[str, MachineTimes] = field(default_factory=dict)
    curves: Mapping[str, Curve] | None = None
    layer_parameter_bytes: Array | None = None
    layer_output_bytes: Array | None = None
    layer_saved_bytes: Array | None = None
    uncounted: tuple[Uncounted, ...] = ()
    operators: OperatorCounts | None = None
    trace: TraceRecord | None = None
    layer_trained_bytes: Array | None = None
    leakage_record: LeakageRecord | None = None
    sample_gradients: bool | Literal["model"] = False
    graph: LayerGraph | None = None
    adapter_ranks: AdapterRanks | None = None

    REQUIRED: ClassVar[tuple[str, ...]] = REQUIRED
    OPTIONAL: ClassVar[tuple[str, ...]] = OPTIONAL

    def __post_init__(self) -> None:
        for name, value in checked(self._arguments()).items():
            object.__setattr__(self, name, value)

    def _arguments(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def _brief(self) -> str:
        return f"{self.name!r}: {counted(len(self.layers), 'layer')}, {self.provenance.kind}"

    def to_frame(self) -> Any:
        """Return a row for every cut, with all columns, as a ``pandas.DataFrame``."""
        return data_frame(cut_rows(self.layers, self.columns))

    @property
    def columns(self) -> dict[str, Array]:
        """The columns that the profile has, by their names."""
        every = ((name, getattr(self, name)) for name in (*REQUIRED, *OPTIONAL))
        return {name: column for name, column in every if column is not None}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ModelProfile):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.digest())

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickling forgets that an array is read-only; building anew restores it.
        return ModelProfile, tuple(self._arguments().values())

    def state_of(self, column: str) -> str | None:
        """Return how the numbers of a column are known, such as ``guess``; None if nobody says."""
        return self.provenance.columns.get(column)

    def guesses(self) -> tuple[str, ...]:
        """Return the columns whose numbers are guesses."""
        return tuple(name for name, state in self.provenance.columns.items() if state == GUESS)

    @property
    def layer_count(self) -> int:
        """L, the number of layers and of cuts."""
        return len(self.layers)

    def device_seconds(self, machine: str) -> Array:
        """Return the measured seconds per sample of the device part, shape ``(L,)``.

        Forward, backward and weight update of layers ``1 .. l`` on `machine`.

        Raises
        ------
        InputError
            No such machine, or one with layers that were not measured.
        """
        return np.cumsum(self.machine_times(machine).total_s)

    def server_seconds(self, machine: str) -> Array:
        """Return the measured seconds per sample of the server part, shape ``(L,)``.

        Forward, backward and weight update of layers ``l + 1 .. L`` on `machine`; 0 at cut L.

        Raises
        ------
        InputError
            No such machine, or one with layers that were not measured.
        """
        total = self.machine_times(machine).total_s
        return np.append(np.cumsum(total[:0:-1])[::-1], 0.0)

    def with_fill(self, machine: str, how: Fill) -> ModelProfile:
        """Fill the layers that were not measured on `machine`.

        Parameters
        ----------
        machine
            A machine of the profile. If every layer was measured, the profile comes back as is.
        how
            ``"zero"``: the layer costs nothing.
            ``"flop_ratio"``: its FLOP times the seconds per FLOP of the measured layers;
            forward, backward and update each by their own ratio.
            ``{"machine": other}``: its time on another machine times the ratio of the sums over
            the layers measured on both; forward, backward and update each by their own ratio.

        Returns
        -------
        A new profile, whose provenance says what was filled and how.

        Raises
        ------
        InputError
            No such machine, one without any measured layer, or nothing to take a ratio from.
        """
        check_fill(how)
        if times_of(self.machines, machine, f"profile {self.name!r}").measured.all():
            return self
        work = self.layer_work() if how == "flop_ratio" else None
        times, sentence = filled(self.machines, machine, how, self.layers, work)
        return replace(
            self,
            machines={**self.machines, machine: times},
            provenance=self.provenance.with_fill(sentence),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, the content of a profile file; what is unknown is left out."""
        return document_of(self._arguments())

    @classmethod
    def from_dict(cls, document: Any, source: str) -> ModelProfile:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        document
            Parsed JSON.
        source
            The name of the file, which an error message starts with.

        Raises
        ------
        InputError
            Another format or version, a missing or unknown key, or a value that does not fit.
        """
        values = read_keys(expect_format(document, source, FORMAT, VERSION), source)
        try:
            return cls(**read_parts(values))
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write the profile as a JSON file; raise `InputError` if that is not possible."""
        write_json(path, self.to_dict(), indent=1)

    @classmethod
    def load(cls, path: str | Path) -> ModelProfile:
        """Read a profile from a JSON file; raise `InputError` if it is not one, or of no model."""
        path = path_of(path)
        return cls.of_file(read_json(path), str(path))

    @classmethod
    def of_file(cls, document: Any, source: str) -> ModelProfile:
        """Return the profile of a file's document, checked as `load` does."""
        found = cls.from_dict(document, source)
        if found.curves is not None or found.provenance.kind == "published":
            return found  # what a curve or a paper says need not add up
        try:
            check_sums(found.columns, found.layers)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
        return found

    def digest(self) -> str:
        """Return the SHA-256 of the canonical JSON, which names this very table."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def layer_work(self) -> LayerWork:
        """Return the work of each layer by itself: differences of the cumulative columns.

        Raises
        ------
        InputError
            The profile has no work, or lacks some.
        """
        self.expect_work()
        return LayerWork(
            np.diff(self.device_forward_flop, prepend=0.0),
            np.diff(self.device_backward_flop, prepend=0.0),
        )

    @property
    def has_work(self) -> bool:
        """Whether work was counted, but for a trifle at most."""
        return self.work_unit != "none" and not self._missing_work()

    def operator_counts(self, machine: str) -> OperatorCounts:
        """Return what the operators do; raise `InputError` that names `machine` if unknown."""
        if self.operators is None:
            raise InputError(
                f"profile {self.name!r} does not say what its operators do, which the machine "
                f"model {machine!r} needs; trace the model anew with 'splitopt profile', or give "
                "'compute' or 'machine' instead of 'machine_model'"
            )
        return self.operators

    def expect_work(self) -> None:
        """Raise `InputError` if work was not counted, or more than a trifle of it was not."""
        if self.work_unit == "none":
            raise InputError(
                f"profile {self.name!r} has no work, only measured times; name a machine "
                f"({', '.join(self.machines)}) instead of a speed, and no fill by FLOP"
            )
        if missing := self._missing_work():
            reason = what_is_missing(missing, tuple(self.machines))
            raise InputError(f"profile {self.name!r} lacks work: {reason}")

    def _missing_work(self) -> tuple[Uncounted, ...]:
        """Return the uncounted operators that may matter."""
        work = {"forward": self.device_forward_flop, "backward": self.device_backward_flop}
        return more_than_a_trifle(self.uncounted, self.layers, work)

    def machine_times(self, machine: str, needed: Mask | None = None) -> MachineTimes:
        """Return the times of a machine, if every layer has one.

        Parameters
        ----------
        machine
            The name of a machine.
        needed
            Shape ``(L,)``: the layers that must have been measured; all by default.

        Raises
        ------
        InputError
            No such machine, or a needed layer that was not measured.
        """
        times = times_of(self.machines, machine, f"profile {self.name!r}")
        known = times.measured if needed is None else times.measured | ~needed
        if not known.all():
            reason = not_measured(times, known, self.layers)
            raise InputError(f"profile {self.name!r}: machine {machine!r} {reason}")
        return times
