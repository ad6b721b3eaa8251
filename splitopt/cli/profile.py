"""``splitopt profile``: any PyTorch module to its cuts and what they cost."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitopt.cli import options as shared
from splitopt.cli import profile_options as given
from splitopt.cli.flags import with_flags
from splitopt.errors import InputError, shown
from splitopt.models.adapters.choice import Adapters

if TYPE_CHECKING:
    from splitopt.profiles.table.profile import ModelProfile
    from splitopt.profiles.tracing.result import TracedModel

_Steps = tuple[tuple[str, float], ...]
_FLOP: _Steps = (("GFLOP", 1e9), ("MFLOP", 1e6), ("kFLOP", 1e3), ("FLOP", 1))
_BYTES: _Steps = (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024), ("B", 1))


@with_flags
def command(
    target: given.Target,
    sample: given.SampleFlags,
    adapting: given.AdapterFlags,
    cuts: given.CutFlags,
    result: given.ResultFlags,
    timing: given.TimingFlags,
    as_json: shared.AsJson = False,
) -> int:
    """Find where a model can be cut and what each cut costs, as a profile to plan with.

    Example: splitopt profile resnet18 --input-shape 3,32,32 -o resnet18.json
    """
    from splitopt.extras import need_torch

    need_torch("'splitopt profile'")
    result.check(target)
    timing.check(cuts.shapes_only)
    found = _traced(target, sample, adapting.read(), cuts, result.name)
    profile, sentences = _measured(found, timing)
    if result.output is not None:
        profile.save(result.output)
    if as_json:
        shared.print_json(profile.to_dict())
    else:
        _show(found, profile, sentences, result.output)
    return 0


def _traced(
    target: str,
    sample: given.SampleFlags,
    wanted: Adapters | None,
    cuts: given.CutFlags,
    name: str | None,
) -> TracedModel:
    """Return the model, with adapters where they are wanted, traced to its cuts."""
    from splitopt.models.adapters.adding import with_adapters
    from splitopt.profiles import trace

    module, short, batch_of = _opened(target, sample, cuts.device)
    found = trace(
        module if wanted is None else with_adapters(module, wanted),
        batch_of,
        name=name or short,
        **cuts.arguments(),
    ).named(target, sample.classes, wanted)
    if wanted is not None:
        _expect_taught(found)
    return found


def _opened(target: str, sample: given.SampleFlags, device: str) -> tuple[Any, str, Any]:
    """Return the model, a short name of it, and a batch that it takes."""
    from splitopt.profiles.tracing.running.example import made
    from splitopt.profiles.tracing.source import open_model, read_shape
    from splitopt.training.data.named import with_mask

    shape = None if sample.input_shape is None else read_shape(sample.input_shape)
    batch_of = None
    if sample.example is not None:
        if sample.input_shape is not None or sample.input_dtype is not None:
            raise InputError("--example has shape and type; leave --input-shape, --input-dtype out")
        batch_of = _example(sample.example, device)
        values = batch_of.get("", batch_of) if isinstance(batch_of, dict) else batch_of
        shape = tuple(values.shape[1:]) if hasattr(values, "shape") else ()
    module, short, size, dtype = open_model(target, shape, sample.classes, device)
    if batch_of is None:
        batch_of = made(size, sample.input_dtype or dtype, device=device)
    if isinstance(batch_of, dict):
        batch_of = with_mask(batch_of, module)
    return module, short, batch_of


def _example(source: str, device: str) -> Any:
    """Return the batch that a function of the user's returns, or the inputs of a data file."""
    from splitopt.profiles.tracing.running.example import moved
    from splitopt.profiles.tracing.source import open_function
    from splitopt.training.data.arrays import read_example
    from splitopt.user_code import reason

    if source.endswith(".npz"):
        return moved(read_example(Path(source)), device)
    if ":" not in source:
        raise InputError.at(
            "--example",
            f"is {shown(source)}, it must be FILE.py:FUNCTION or the path of an .npz file",
        )
    function = open_function(source)
    try:
        found = function()
    except (Exception, SystemExit) as error:
        raise InputError.at(
            "--example",
            f"{source} cannot be called ({reason(error)}); it is called without arguments, and "
            "returns a batch",
        ) from None
    return moved(found, device)


def _expect_taught(found: TracedModel) -> None:
    """Reject adapters that training would never change."""
    if untaught := found.without_gradient():
        layer = untaught[0].rpartition(".lora_")[0]
        raise InputError.at(
            "--adapter-targets",
            f"name {layer}, where no gradient arrives: the model does not use it, or uses it "
            "within torch.no_grad(); name other layers",
        )


def _measured(found: TracedModel, timing: given.TimingFlags) -> tuple[ModelProfile, list[str]]:
    """Return the profile, with the times of this machine and what to report of them if asked."""
    if timing.measure is None:
        return found.profile, []
    from splitopt.profiles.readers.times import write_times
    from splitopt.profiles.tracing import measure

    machine, how = timing.measure, timing.arguments()
    profile = measure(found, machine, **how).profile
    sentences = [_speed(profile, machine)]
    if timing.times is not None:
        written = write_times(profile, machine, timing.times, how["batch"])
        sentences.append(f"Times in {written}.")
    return profile, sentences


def _speed(profile: ModelProfile, machine: str) -> str:
    """Report how fast the machine is, or why no speed follows; the times are kept either way."""
    from splitopt.profiles.fitting.speed import flop_model

    try:
        return f"{flop_model(profile, machine).sentence()}."
    except InputError as error:
        return f"No speed follows from the times of {machine}: {error}."


def _show(
    found: TracedModel, profile: ModelProfile, sentences: list[str], output: Path | None
) -> None:
    from splitopt.profiles.table.uncounted import work_notes

    console = shared.console()
    console.print(f"{profile.name}: {profile.provenance.source}")
    console.print(_table(profile))
    for note in (*profile.provenance.notes, *work_notes(profile.uncounted)):
        console.print(f"* {note}", highlight=False)
    if found.dominated:
        console.print(
            f"* {_more(len(found.dominated))} beaten by a later one, which sends no more bytes for "
            "the same counted work: --all keeps what is left out.",
            highlight=False,
        )
    for sentence in sentences:
        console.print(f"* {sentence}", highlight=False)
    if output is not None:
        console.print(f"Written to {output}; in a scenario: model: {{file: {output}}}")


def _more(cuts: int) -> str:
    return "1 more cut is" if cuts == 1 else f"{cuts} more cuts are"


def _table(profile: ModelProfile) -> Any:
    """Return a row for each cut, every column in a unit in which its largest number has digits."""
    memory = profile.device_memory_per_sample_bytes
    columns = [
        _column("Forward", profile.device_forward_flop, _FLOP),
        _column("Backward", profile.device_backward_flop, _FLOP),
        _column("Smashed", profile.smashed_bytes, _BYTES),
        _column("Gradient", profile.gradient_bytes, _BYTES),
        _column("Model", profile.device_model_bytes, _BYTES),
        _column("Memory", [] if memory is None else memory, _BYTES, "/sample"),
    ]
    for name, times in profile.machines.items():
        so_far = [1e3 * times.total_s[: cut + 1].sum() for cut in range(len(profile.layers))]
        columns.append((f"{name} ms/sample", [f"{number:.3f}" for number in so_far]))
    headings = ("Cut", "Behind", *(heading for heading, _ in columns))
    rows = [
        (str(index + 1), layer, *(cells[index] if cells else "-" for _, cells in columns))
        for index, layer in enumerate(profile.layers)
    ]
    return shared.table(headings, rows, numbers={*headings} - {"Behind"})


def _column(
    name: str, values: Iterable[float], steps: _Steps, each: str = ""
) -> tuple[str, list[str]]:
    """Return a column's heading with its unit, and its cells."""
    numbers = list(values)
    largest = max(numbers, default=0)
    unit, size = next((step for step in steps if largest >= step[1]), steps[-1])
    digits = 2 if size > 1 else 0
    return f"{name} {unit}{each}", [f"{number / size:,.{digits}f}" for number in numbers]
