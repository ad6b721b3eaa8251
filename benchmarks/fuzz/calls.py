"""Readers that are called from Python; each does what a user does next with what was read.

``python -m benchmarks.fuzz.calls NAME FILE`` makes one of the calls.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH = 4


def profile(path: Path) -> None:
    """Read a profile, a layer CSV or a graph, and show and copy it."""
    from splitopt.profiles import read

    found = read(path, batch=BATCH)
    type(found).from_dict(found.to_dict(), "copy")


def saved_profile(path: Path) -> None:
    """Read a profile of splitopt's own form."""
    from splitopt.profiles import ModelProfile

    ModelProfile.load(path)


def piper(path: Path) -> None:
    """Read a workload of Piper, cut in every way, and show and copy it."""
    from splitopt.profiles import read

    for boundaries in ("graph", "prefixes", "cuts"):
        found = read(path, batch=BATCH, unit="ms", boundaries=boundaries)
        type(found).from_dict(found.to_dict(), "copy")


def leakage(path: Path) -> None:
    """Read a table of leakage, and put it into a profile."""
    from splitopt.privacy.leakage.table import LeakageTable
    from splitopt.profiles.table.profile import ModelProfile

    table = LeakageTable.load(path)
    onto = ModelProfile.load(path.parent / "tiny.json")
    table.onto(onto, table.settings["views"][0], bound="high").to_dict()


def layer_csv(path: Path) -> None:
    """Read a table of layers as such."""
    from splitopt.profiles.readers.layer_csv import read_layer_csv

    read_layer_csv(path).to_dict()


def graph(path: Path) -> None:
    """Read a graph, cut behind every operator."""
    from splitopt.profiles.readers.graph_file import read_graph

    read_graph(path, BATCH, boundaries="prefixes").to_dict()


def workload(path: Path) -> None:
    """Read a workload of dnn-partitioning, and write it as an instance."""
    from splitopt import GraphPartition

    found = GraphPartition.read(path)
    GraphPartition.from_data(found.to_document()["data"], "load")


def times(path: Path) -> None:
    """Read times onto a profile."""
    from splitopt.profiles import read
    from splitopt.profiles.table.profile import ModelProfile

    onto = ModelProfile.load(path.parent / "tiny.json")
    read(path, onto, batch=BATCH, machine="other").to_dict()


def workbook(path: Path) -> None:
    """Read times from the sheet of a machine onto a profile."""
    from splitopt.profiles import read
    from splitopt.profiles.table.profile import ModelProfile

    onto = ModelProfile.load(path.parent / "tiny.json")
    read(path, onto, batch=BATCH, machine="VM").to_dict()


def trace(path: Path) -> None:
    """Read the rounds of a trace."""
    from splitopt.distributions import read_trace
    from splitopt.distributions.traces import write_trace

    write_trace(read_trace(path, ("compute_flop_per_s", "snr_db")))


def instance(path: Path) -> None:
    """Read an instance, and write it back."""
    from splitopt.problems.registry import load_problem

    problem = load_problem(path)
    problem.bound()
    problem.infeasibility()
    problem.save(path.parent / "out" / f"copy{path.suffix}")


def result(path: Path) -> None:
    """Read a result by itself and with its problem, show it, and write it back."""
    from splitopt.problems.registry import load_problem
    from splitopt.results import Result

    found = Result.load(path)
    str(found)
    found._repr_html_()
    problem = load_problem(path.parent / "cut_and_resources.json")
    Result.load(path, problem).save(path.parent / "out" / "copy.json")


def data(path: Path) -> None:
    """Read data to train on."""
    from splitopt.training.data import load_data
    from splitopt.training.tasks.collating import pad_samples

    load_data(str(path), collate=pad_samples).digest()


def shard(path: Path) -> None:
    """Read the data of one client."""
    from splitopt.training.data.shards import read_own
    from splitopt.training.tasks.collating import pad_samples
    from splitopt.training.tasks.targets import LABELS

    read_own(str(path), "a", ("a", "b"), LABELS, pad_samples).told()


def folder(path: Path) -> None:
    """Read the data of the folder that a file is in."""
    data(path.parent)


def celeba(path: Path) -> None:
    """Read the faces that a file belongs to."""
    data(next(parent for parent in path.parents if parent.name == "celeba"))


def weights(path: Path) -> None:
    """Read weights for a model."""
    from torch import nn

    from splitopt.export.weights import read_weights

    layers = (nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 3))
    read_weights(path, nn.Sequential(*layers))


def parts(path: Path) -> None:
    """Replace an export by another one."""
    from splitopt.export.folder import write_folder

    place = next(folder for folder in path.parents if folder.name == "parts")
    out = place.parent / "out" / "parts"
    out.mkdir()
    for file in place.iterdir():
        if file.is_file() and file.suffix != ".safetensors":  # as the export was
            shutil.copy(file, out)
    write_folder(out, {"parts.json": b"{}"}, force=True)


def sources(path: Path) -> None:
    """Read how the data and the model of a checkpoint were named."""
    from splitopt.training.saving.checkpoint import sources_of

    sources_of(path.parent)


def generator(path: Path) -> None:
    """Read a generator, and make samples of its labels."""
    from splitopt.generators import load_generator

    found = load_generator(path)
    found.sample(found.labels)
    found.save(path.parent / "out" / "copy.safetensors")


def generator_checkpoint(path: Path) -> None:
    """Go on with the training of a generator for one more step, and put its checkpoint back."""
    content = path.read_bytes()
    train_a_generator(path.parent, steps=2, resume=True)
    path.write_bytes(content)


def iotsl_run(path: Path) -> None:
    """Go on with a run of IoTSL."""
    from splitopt.iotsl.folder import RunFolder

    with RunFolder(path.parent, IOTSL, resume=True) as found:
        found.steps.get("data")


IOTSL = {"data": "digits", "seed": 0, "partition": None, "generators": {"steps": 3}}
"""What names the run of IoTSL that is gone on with."""


def train_a_generator(folder: Path, steps: int, resume: bool) -> Any:
    """Train a generator of noise for a step or two, with a checkpoint in a folder."""
    import torch

    from splitopt.generators import GeneratorOptions, train_generator

    draws = torch.Generator().manual_seed(0)
    images, labels = torch.rand(12, 1, 8, 8, generator=draws), torch.arange(12) % 3
    options = GeneratorOptions(steps=steps, critic_steps=1, batch=4, critics=2)
    return train_generator(
        images, labels, classes=4, options=options, checkpoint=folder, resume=resume
    )


def timeline(path: Path) -> None:
    """Read a timeline, and use all that it has."""
    from splitopt.timeline import Timeline

    found = Timeline.load(path)
    _ = found.usage
    found.overloads()
    _ = found.makespan_s
    found.to_csv()


def history(path: Path) -> None:
    """Read the history of a training, and draw it."""
    from splitopt.report.training import save_plot
    from splitopt.training.history import History

    found = History.load(path)
    found.to_csv()
    save_plot({"": found}, path.parent / "out" / "plot.html")


def rows(path: Path) -> None:
    """Read rows of the benchmark, and report them on the terminal and as a page."""
    import io

    from rich.console import Console

    from splitopt.bench.reporting.page import rows_to_html
    from splitopt.bench.reporting.terminal import print_report
    from splitopt.bench.rows import read_rows

    found = read_rows(path)
    if found:
        print_report(found, Console(file=io.StringIO(), width=120))
        rows_to_html(found)


def machine(path: Path) -> None:
    """Read a machine model."""
    from splitopt.profiles.fitting.machine_model import MachineModel

    found = MachineModel.load(path)
    found.sentence()
    found.to_dict()


def token(path: Path) -> None:
    """Read the token that processes share."""
    from splitopt.training.wire.transport.tokens import read_token

    read_token(path)


def frame(path: Path) -> None:
    """Read the header of a message between processes."""
    from splitopt.training.wire.transport.frames import USUAL_LIMITS, decode_header, room_for

    header = decode_header(path.read_bytes(), 56, USUAL_LIMITS)
    room_for(header)


CALLS: dict[str, Callable[[Path], None]] = {
    call.__name__: call
    for call in (
        profile, saved_profile, piper, leakage, layer_csv, graph, workload, times, workbook,
        trace, instance, result, data, shard, folder, celeba, weights, parts, sources, generator,
        generator_checkpoint, iotsl_run, timeline, history, rows, machine, token, frame,
    )
}  # fmt: skip


if __name__ == "__main__":
    CALLS[sys.argv[1]](Path(sys.argv[2]))
