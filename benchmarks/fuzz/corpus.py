"""Valid documents of every kind, written by the product itself into one folder."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.commands import COMMANDS
from benchmarks.fuzz.documents import MODEL, SCENARIOS, TABLES, WORKBOOK

PLANS = ("star", "cell", "varying", "pipeline", "generators", "fleet", "target", "branches")
_SIDE = 32


def build(folder: Path) -> None:
    """Write all documents; what the product makes is made by its own commands.

    Raises
    ------
    RuntimeError
        A command did not end well.
    """
    for name, text in {**SCENARIOS, **TABLES, "tiny.py": MODEL}.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "token.txt").chmod(0o600)
    (folder / "options").mkdir()
    for name, arguments in COMMANDS.items():
        (folder / "options" / f"{name}.args").write_text(json.dumps(arguments))
    _profiles(folder)
    _plans(folder)
    _instances(folder)
    _data(folder)
    _training(folder)
    _generators(folder)
    _bench(folder)
    _frames(folder)


def _run(folder: Path, *arguments: str) -> str:
    """Run a command in the folder and return what it printed."""
    from splitopt.cli.entry import run

    given = [text.replace("{in}", str(folder)) for text in arguments]
    printed, said = io.StringIO(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(said):
        code = run(given)
    if code != 0:
        raise RuntimeError(f"splitopt {' '.join(given)} ended with {code}: {said.getvalue()}")
    return printed.getvalue()


def _profiles(folder: Path) -> None:
    from splitopt.profiles.fitting.machine_model import MachineModel
    from splitopt.profiles.readers.layer_csv import write_layer_csv
    from splitopt.profiles.table.profile import ModelProfile

    _run(
        folder, "profile", "{in}/tiny.py:make", "--input-shape", "4", "-o", "{in}/tiny.json",
        "--measure", "here", "--repeats", "3", "--batch", "4", "--threads", "1", "--times", "{in}",
    )  # fmt: skip
    _run(
        folder, "profile", "{in}/tiny.py:make", "--input-shape", "4", "--boundaries", "graph",
        "-o", "{in}/layers.json",
    )  # fmt: skip
    _run(
        folder, "profile", "{in}/tiny.py:make", "--input-shape", "4", "--adapters", "2",
        "-o", "{in}/adapted.json",
    )  # fmt: skip
    profile = ModelProfile.load(folder / "tiny.json")
    write_layer_csv(profile, folder / "layers.csv")
    MachineModel("board", 4, (1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-6), 1e-3).save(
        folder / "machine.json"
    )
    with zipfile.ZipFile(folder / "book.xlsx", "w") as book:
        for name, text in WORKBOOK.items():
            book.writestr(name, text)
    (folder / "trace.json").write_text(json.dumps(_torch_trace(profile.layers)))


def _torch_trace(layers: Sequence[str]) -> dict[str, Any]:
    """Return a trace of a run on the CPU: marks of the layers, operators, and their gradients."""
    events: list[dict[str, Any]] = []
    for index, layer in enumerate(layers):
        common = {"ph": "X", "pid": 1, "tid": 1}
        start = 100.0 * index
        events += [
            {**common, "cat": "user_annotation", "name": layer, "ts": start, "dur": 50.0},
            {
                **common, "cat": "cpu_op", "name": "aten::linear", "ts": start + 1, "dur": 40.0,
                "args": {"Sequence number": index, "External id": index + 1},
            },
            {
                **common, "cat": "cpu_op", "ts": 1000.0 - start, "dur": 60.0,
                "name": "autograd::engine::evaluate_function: AddmmBackward0",
                "args": {"Sequence number": index, "Fwd thread id": 1},
            },
        ]  # fmt: skip
    return {"schemaVersion": 1, "traceEvents": events}


def _plans(folder: Path) -> None:
    for name in PLANS:
        own = ["--workers", "1", "--engine", "threads"] if name == "varying" else []
        own += ["--by-group"] * (name == "fleet")
        if name == "varying":
            own += ["--checkpoint", "{in}/saa"]
        _run(folder, "plan", f"{{in}}/{name}.yaml", "-o", f"{{in}}/{name}.json", *own)
    _run(folder, "plan", "{in}/robust.yaml", "-o", "{in}/robust-plan.json")
    tight = (folder / "star.yaml").read_text().replace("memory: 1 GiB", "memory: 1 byte")
    (folder / "tight.yaml").write_text(tight)
    _run(folder, "simulate", "{in}/pipeline.json", "-o", "{in}/timeline.json")


def _instances(folder: Path) -> None:
    from splitopt.bench.instances.benchmark import Recipe, benchmark_problems, find_benchmark

    for name in benchmark_problems():
        benchmark = find_benchmark(name)
        problem = benchmark.draw(benchmark.tiny)
        for end in ("json", "npz"):
            problem.save(folder / f"{name}.{end}")
        if name == "cut_and_resources":
            for end in ("json", "npz"):
                benchmark.draw(benchmark.conformance[-1]).save(folder / f"robust.{end}")
        own = ["--workers", "1"] if name == "cut_under_uncertainty" else []
        file = f"{{in}}/{name}.json"
        _run(folder, "solve", file, "-o", f"{{in}}/{name}-result.json", *own)
        result = json.loads((folder / f"{name}-result.json").read_text())
        (folder / f"{name}-decision.json").write_text(json.dumps(result["decision"]))
    cuts = find_benchmark("cut_and_resources")
    choices = cuts.draw(Recipe("seats", {"devices": 3, "servers": 2, "layers": 2}))
    for end in ("json", "npz"):
        choices.save(folder / f"choices.{end}")


def _data(folder: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(size=(30, 4)).astype("f4"), np.arange(30) % 3
    np.savez(
        folder / "data.npz",
        x_train=inputs[:24], y_train=labels[:24], x_test=inputs[24:], y_test=labels[24:],
    )  # fmt: skip
    np.savez(folder / "whole.npz", x=inputs, y=labels)
    several = {"x.first": inputs[:, :2], "x.second": labels[:, None], "x.mask": inputs > 0}
    np.savez(folder / "several.npz", y=labels, **several)
    lengths = np.arange(30) % 4 + 1
    np.savez(folder / "uneven.npz", x=inputs, y=labels, lengths=lengths)
    flat = np.concatenate([row[:n] for row, n in zip(inputs, lengths, strict=True)])
    np.savez(folder / "flat.npz", x=flat, y=labels, lengths=lengths)
    np.savez(folder / "own.npz", x=inputs[:9], y=labels[:9], classes=3)
    for name in ("idx", "idx-gz", "cifar-bin", "cifar-png"):
        (folder / name).mkdir()
    for part, count in (("train", 12), ("t10k", 6)):
        images = rng.integers(0, 256, (count, 4, 4), dtype=np.uint8)
        for kind, values in (("images", images), ("labels", np.arange(count, dtype=np.uint8) % 3)):
            content = _idx(values)
            name = f"{part}-{kind}-idx{values.ndim}-ubyte"
            (folder / "idx" / name).write_bytes(content)
            (folder / "idx-gz" / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
    for number, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
        pixels = rng.integers(0, 256, (2, 3 * _SIDE * _SIDE), dtype=np.uint8)
        marks = np.array([[number], [number + 1]], dtype=np.uint8)
        (folder / "cifar-bin" / f"{name}.bin").write_bytes(np.hstack((marks, pixels)).tobytes())
        strip = pixels.reshape(2, 3, -1).transpose(0, 2, 1)
        Image.fromarray(strip).save(folder / "cifar-png" / f"{name}.png")
    (folder / "cifar-png" / "train_lables.json").write_text(json.dumps([0, 1] * 5))
    (folder / "cifar-png" / "test_lables.json").write_text("[2, 3]")
    _faces(folder / "celeba")


def _faces(folder: Path) -> None:
    """Write two faces of each of CelebA's eight classes."""
    from itertools import product

    import numpy as np
    from PIL import Image

    (folder / "img_align_celeba").mkdir(parents=True)
    lines = ["16", "Male Black_Hair Smiling"]
    for number, marks in enumerate([*product((1, -1), repeat=3)] * 2):
        grey = np.full((10, 8, 3), 15 * number, np.uint8)
        Image.fromarray(grey).save(folder / "img_align_celeba" / f"{number}.jpg")
        lines.append(f"{number}.jpg {' '.join(map(str, marks))}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")


def _idx(values: Any) -> bytes:
    head = struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + bytes(values.tobytes())


TRAIN = ("--model", "{in}/tiny.py:make", "--data", "{in}/data.npz", "--rounds", "1")


_SAVE = """
import sys
sys.path[:0] = ["parts", "."]
from parts import load_chain, manifest, save_parts
from tiny import make
for client in manifest()["clients"]:
    chain = load_chain(make(), client["name"])
    save_parts("parts", [part for _, part in chain], client["name"])
"""
"""Writes the parts of every client of an export beside it, as its own code does."""


def _training(folder: Path) -> None:
    from splitopt.training.saving.checkpoint import load

    _run(
        folder, "train", "{in}/star.json", *TRAIN, "--checkpoint", "{in}/checkpoint",
        "--save-model", "{in}/weights.safetensors",
    )  # fmt: skip
    load(folder / "checkpoint").history.save(folder / "history.json")
    _run(
        folder, "export", "{in}/star.json", "--to", "torch", "--model", "{in}/tiny.py:make",
        "--weights", "{in}/weights.safetensors", "-o", "{in}/parts",
    )  # fmt: skip
    subprocess.run([sys.executable, "-c", _SAVE], cwd=folder, check=True)
    _run(folder, "export", "{in}/star.json", "--to", "compose", "-o", "{in}/services")
    _run(
        folder, "leakage", "{in}/tiny.py:make", "--data", "{in}/data.npz", "--samples", "2",
        "--steps", "1", "--inferences", "8", "-o", "{in}/leakage.json",
    )  # fmt: skip


def _generators(folder: Path) -> None:
    import numpy as np

    from benchmarks.fuzz.calls import train_a_generator

    images, labels = np.zeros((60, 1, 8, 8), np.float32), np.arange(60) % 2
    images[labels == 1] = 1.0
    np.savez(folder / "images.npz", x=images, y=labels)

    found = train_a_generator(folder / "generators", steps=1, resume=False)
    found.save(folder / "generator.safetensors")

    from benchmarks.fuzz.calls import IOTSL
    from splitopt.iotsl.folder import RunFolder

    with RunFolder(folder / "iotsl", IOTSL, resume=False) as run:
        run.done("data", {"counts": [[3, 0], [0, 4]], "digest": "0" * 64})


def _bench(folder: Path) -> None:
    from splitopt.bench.instances.benchmark import find_benchmark
    from splitopt.bench.instances.best_known import BestKnown, write_best_known
    from splitopt.problems.digest import instance_digest

    _rows(folder)
    library = folder / "library"
    known = []
    for name in ("cut_and_resources", "pipeline_partition"):
        benchmark = find_benchmark(name)
        problem = benchmark.draw(benchmark.tiny)
        (library / name).mkdir(parents=True)
        problem.save(library / name / "one.json")
        entry = {
            "name": f"{name}-one", "set": "small", "kind": "synthetic", "source": "drawn",
            "published": False, "objectives": [problem.objective],
            "size": dict(benchmark.size(problem)), "digest": instance_digest(problem),
            "file": "one.json",
        }  # fmt: skip
        head = {"format": "splitopt-benchmark-library", "version": 1, "problem": name}
        document = {**head, "instances": [entry]}
        (library / name / "metadata.json").write_text(json.dumps(document))
        known.append(
            BestKnown(name, problem.objective, entry["name"], 1e9, 0.0, "none", "open", "none")
        )
    (library / "best_known.csv").write_text(write_best_known(known))


def _rows(folder: Path) -> None:
    """Run two solvers on one instance, each in a process of its own."""
    _run(
        folder, "bench", "--suite", "quick", "--problems", "cut_and_resources", "--solvers",
        "equal_share,faaf", "--objectives", "sum", "--time-limit", "5", "--jobs", "1",
        "-o", "{in}/rows.jsonl", "--json",
    )  # fmt: skip
    lines = (folder / "rows.jsonl").read_text().splitlines(keepends=True)
    (folder / "rows.jsonl").write_text("".join(lines[:3]))


def _frames(folder: Path) -> None:
    import torch

    from splitopt.training.wire.transport.frames import encode_header

    tensors = {"a": torch.zeros(2, 3), "b": torch.ones(4, dtype=torch.int64)}
    (folder / "frame.json").write_bytes(encode_header("state", {"round": 1}, tensors))
