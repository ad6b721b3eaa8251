"""What is read, and how: every reader of the package with the commands and calls that reach it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.fuzz.commands import COMMANDS
from benchmarks.fuzz.corpus import PLANS
from splitopt.problems.registry import PROBLEMS

Arguments = tuple[str, ...]
"""A command in the case's folder: `FILE` is the spoiled file, ``corpus/`` what is not spoiled."""
FILE, CALL, ARGUMENTS = "{file}", "call", "arguments"
OUT = "out/"


@dataclass(frozen=True)
class Target:
    """A reader.

    Parameters
    ----------
    name
        What is read.
    files
        Any of them is spoiled.
    uses
        How it is then used, each by itself; ``("call", NAME)`` is one of `calls.CALLS`.
    beside
        Files that must be there, as they are.
    seal
        What makes a digest right again after a mutation; a name in `seals.SEALS`.
    weight
        How often it is chosen.
    """

    name: str
    files: tuple[str, ...]
    uses: tuple[Arguments, ...]
    beside: tuple[str, ...] = ()
    seal: str | None = None
    weight: int = 4


_ONE = ("--workers", "1", "--engine", "threads")
_SHORT = ("--time-limit", "2")
_MODEL = ("--model", "corpus/tiny.py:make")
_TRAIN = (*_MODEL, "--data", "corpus/data.npz", "--rounds", "1")


def _call(name: str) -> Arguments:
    return CALL, name


def _plan(*further: str) -> tuple[Arguments, ...]:
    return (
        ("plan", FILE, "-o", f"{OUT}plan.json", *_SHORT, *further),
        ("plan", FILE, "--report", f"{OUT}plan.html", "--json", *_SHORT, *further),
    )


_EXPORT = ("export", "star.json", "--to", "torch", *_MODEL, "-o", f"{OUT}parts", "--weights")

SCENARIOS = (
    Target("scenario", ("star.yaml",), _plan(), ("tiny.json",), weight=10),
    Target("scenario (servers)", ("servers.yaml",), _plan(), ("tiny.json",), weight=6),
    Target("scenario (ranks)", ("ranks.yaml",), _plan(), ("adapted.json",), weight=6),
    Target("scenario (robust)", ("robust.yaml",), _plan(), ("tiny.json",), weight=6),
    Target("scenario (radio)", ("radio.yaml",), _plan(), weight=6),
    Target("scenario (clusters)", ("cell.yaml",), _plan(), ("tiny.json",), weight=6),
    Target("scenario (varying)", ("varying.yaml",), _plan(*_ONE), ("tiny.json",), weight=5),
    Target(
        "scenario (files)", ("measured.yaml", "column.yaml"), _plan(*_ONE),
        ("tiny.json", "rounds.csv", "values.csv"), weight=3,
    ),
    Target("scenario (fleet)", ("fleet.yaml",), _plan(), ("tiny.json", "fleet.csv"), weight=2),
    Target(
        "scenario (machine)", ("modelled.yaml",), _plan(), ("tiny.json", "machine.json"), weight=2
    ),
    Target(
        "scenario (pipeline)", ("pipeline.yaml",),
        (*_plan(), ("plan", FILE, "--pareto", "-o", f"{OUT}mixes.json")), ("tiny.json",), weight=6,
    ),
    Target(
        "scenario (generators)", ("generators.yaml",),
        (*_plan("--csv", f"{OUT}steps.csv"), *_plan("--solver", "algorithm2")), ("tiny.json",),
        weight=6,
    ),
    Target("scenario (Piper)", ("piper.yaml",), _plan(), ("piper.json",), weight=2),
    Target("scenario (accelerators)", ("branches.yaml",), _plan(), ("layers.json",), weight=6),
    Target("scenario (replication)", ("replicas.yaml",), _plan(), ("layers.json",), weight=6),
    Target(
        "scenario (target)", ("target.yaml",), _plan(), ("tiny.json", "curve.json"), weight=6,
    ),
    Target(
        "scenario (compare)", ("star.yaml", "cell.yaml", "pipeline.yaml", "generators.yaml"),
        (("compare", FILE, "-o", f"{OUT}compared.json", "--report", f"{OUT}page.html", *_SHORT),),
        ("tiny.json",), weight=3,
    ),
    Target(
        "scenario (control)", ("varying.yaml",),
        (("control", FILE, "--rounds", "2", "--swaps", "20", *_SHORT, *_ONE, "-o", f"{OUT}a.csv"),),
        ("tiny.json",), weight=2,
    ),
)  # fmt: skip

INSTANCES = tuple(
    Target(
        f"instance ({problem})",
        (f"{problem}.json", f"{problem}.npz"),
        (
            ("solve", FILE, "-o", f"{OUT}result.json", *_SHORT, *own),
            ("solve", FILE, "--json", *_SHORT, *own),
            _call("instance"),
        ),
        weight=6,
    )
    for problem in (*PROBLEMS, "choices")
    for own in [_ONE if problem == "cut_under_uncertainty" else ()]
)

ROBUST = Target(
    "instance (robust)", ("robust.json", "robust.npz"),
    (("solve", FILE, "-o", f"{OUT}result.json", *_SHORT), _call("instance")), weight=4,
)  # fmt: skip

WORKLOAD = Target(
    "workload", ("workload.json",),
    (_call("workload"), ("solve", FILE, "-o", f"{OUT}result.json", *_SHORT)), weight=5,
)  # fmt: skip

PLAN_FILES = tuple(f"{name}.json" for name in PLANS)
TRAINED = tuple(f for f in PLAN_FILES if f not in ("generators.json", "branches.json"))
"""Those whose parts clients train; a plan of generators comes before, one of a graph has none."""
SERVED = tuple(f for f in TRAINED if f != "target.json")
"""Those that run over connections; the other one keeps device parts for several rounds."""
PLAN_TARGETS = (
    Target(
        "plan (report)", PLAN_FILES,
        (("report", FILE), ("report", FILE, "-o", f"{OUT}page.html"), ("report", FILE, "--json")),
        seal="plan", weight=16,
    ),
    Target(
        "plan (simulate)", (*TRAINED, "branches.json", "robust-plan.json"),
        (("simulate", FILE, "-o", f"{OUT}t.json", "--csv", f"{OUT}t.csv"),
         ("simulate", FILE, "--gantt", f"{OUT}gantt.svg", "--json", "--noise", "0.1")),
        seal="plan", weight=8,
    ),
    Target(
        "plan (export)", TRAINED,
        (("export", FILE, "--to", "torch", *_MODEL, "-o", f"{OUT}parts"),
         ("export", FILE, "--to", "csv", "-o", f"{OUT}tables")),
        seal="plan", weight=5,
    ),
    Target(
        "plan (services)", SERVED, (("export", FILE, "--to", "compose", "-o", f"{OUT}services"),),
        seal="plan", weight=3,
    ),
    Target(
        "plan (train)", TRAINED,
        (("train", FILE, *_TRAIN, "--csv", f"{OUT}r.csv", "--plot", f"{OUT}r.html"),
         ("train", FILE, *_TRAIN, "--json")),
        seal="plan", weight=5,
    ),
    Target(
        "plan (diff)", PLAN_FILES,
        (("diff", FILE, "corpus/star.json"), ("diff", "corpus/star.json", FILE, "--json")),
        seal="plan", weight=5,
    ),
    Target(
        "result", ("cut_and_resources-result.json",),
        (_call("result"),
         ("solve", "corpus/cut_and_resources.json", "--start", FILE, "--json", *_SHORT)),
        ("cut_and_resources.json",),
    ),
    Target(
        "plan (check)", ("star.json",),
        (("bench", "--check", FILE, "--instance", "corpus/cut_and_resources.json"),), seal="plan",
    ),
)  # fmt: skip

PROFILES = (
    Target(
        "profile", ("tiny.json",),
        (_call("profile"), _call("saved_profile"), ("plan", "star.yaml", "--json", *_SHORT),
         ("machine", "fit", "here", FILE, "--batch", "4", "--json")),
        ("star.yaml",), weight=8,
    ),
    Target("workbook of times", ("book.xlsx",), (_call("workbook"),), ("tiny.json",), weight=3),
    Target("SplitRL blocks", ("blocks.csv",), (_call("profile"),)),
    Target("DistilP model", ("distilp.json",), (_call("profile"),)),
    Target(
        "Piper workload", ("piper.json",),
        (_call("piper"), ("plan", "piper.yaml", "--json", *_SHORT),
         ("profiles", "piper.json", "--batch", "4", "--unit", "ms", "-o", f"{OUT}made.json")),
        ("piper.yaml",),
    ),
    Target("PipeEdge models", ("models.yml",), (_call("profile"),)),
    Target("PipeEdge times", ("device_types.yml",), (_call("times"),), ("tiny.json",), weight=3),
    Target(
        "profile of a graph", ("layers.json",),
        (_call("profile"), ("plan", "branches.yaml", "--json", *_SHORT)), ("branches.yaml",),
        weight=5,
    ),
    Target(
        "profile (adapters)", ("adapted.json",),
        (_call("profile"), ("plan", "ranks.yaml", "--json", *_SHORT)), ("ranks.yaml",), weight=4,
    ),
    Target("layer CSV", ("layers.csv",), (_call("profile"), _call("layer_csv"))),
    Target("graph", ("graph.txt",), (_call("profile"), _call("graph")), weight=6),
    Target("times CSV", ("make__here.csv",), (_call("times"),), ("tiny.json",), weight=3),
    Target("torch trace", ("trace.json",), (_call("times"),), ("tiny.json",), weight=5),
    Target(
        "machine model", ("machine.json",), (_call("machine"), ("plan", "modelled.yaml", "--json")),
        ("tiny.json", "modelled.yaml"),
    ),
    Target(
        "curve of rounds", ("curve.json",), (("plan", "target.yaml", "--json", *_SHORT),),
        ("tiny.json", "target.yaml"), weight=3,
    ),
    Target(
        "split table", ("splits.csv",),
        (("machine", "fit", "here", "tiny.json", "--splits", FILE, "--batch", "4", "--json"),),
        ("tiny.json",), weight=3,
    ),
    Target(
        "message table", ("messages.csv",),
        (("machine", "fit", "here", "tiny.json", "--messages", FILE, "-o", f"{OUT}m.json"),),
        ("tiny.json",), weight=2,
    ),
)  # fmt: skip

ROUNDS = (
    Target(
        "trace of rounds", ("rounds.csv",),
        (_call("trace"), ("plan", "measured.yaml", "--json", *_SHORT, *_ONE),
         ("control", "varying.yaml", "--trace", FILE, "--swaps", "20", *_SHORT, *_ONE, "--json")),
        ("measured.yaml", "varying.yaml", "tiny.json"),
    ),
    Target(
        "trace of rates", ("rates.csv",),
        (("control", "star.yaml", "--trace", FILE, "--json"),), ("star.yaml", "tiny.json"),
    ),
    Target(
        "fleet CSV", ("fleet.csv",),
        (("plan", "fleet.yaml", "--json", *_SHORT),
         ("plan", "fleet.yaml", "--by-group", "-o", f"{OUT}plan.json", *_SHORT)),
        ("fleet.yaml", "tiny.json"), weight=5,
    ),
    Target(
        "fleet CSV with quotes", ("quoted.csv",), (("plan", "quoted.yaml", "--json", *_SHORT),),
        ("quoted.yaml", "tiny.json"), weight=2,
    ),
    Target(
        "column of values", ("values.csv",), (("plan", "column.yaml", "--json", *_SHORT, *_ONE),),
        ("column.yaml", "tiny.json"), weight=2,
    ),
    Target(
        "rounds to accuracy", ("accuracy.yaml",),
        (("compare", "star.yaml", "--rounds-to-accuracy", FILE, "--json", *_SHORT),),
        ("star.yaml", "tiny.json"), weight=2,
    ),
)  # fmt: skip

TRAINING = (
    Target(
        "data npz", ("data.npz", "whole.npz", "uneven.npz", "flat.npz"),
        (_call("data"), ("train", "star.json", *_MODEL, "--data", FILE, "--rounds", "1")),
        ("star.json",), weight=8,
    ),
    Target(
        "own data", ("own.npz", "uneven.npz"),
        (_call("shard"), ("profile", "corpus/tiny.py:make", "--example", FILE, "--json")),
        weight=3,
    ),
    Target(
        "data of several inputs", ("several.npz",), (_call("data"), _call("shard")), weight=3,
    ),
    Target(
        "data idx", tuple(f"idx/{part}-{kind}-ubyte" for part in ("train", "t10k")
                          for kind in ("images-idx3", "labels-idx1")),
        (_call("folder"),), weight=3,
    ),
    Target(
        "data idx.gz", tuple(f"idx-gz/{part}-{kind}-ubyte.gz" for part in ("train", "t10k")
                             for kind in ("images-idx3", "labels-idx1")),
        (_call("folder"),), weight=4,
    ),
    Target(
        "data CIFAR binary", ("cifar-bin/data_batch_1.bin", "cifar-bin/test_batch.bin"),
        (_call("folder"),), tuple(f"cifar-bin/data_batch_{k}.bin" for k in (2, 3, 4, 5)), weight=2,
    ),
    Target(
        "data CIFAR PNG",
        tuple(f"cifar-png/{name}" for name in
              ("data_batch_1.png", "test_batch.png", "train_lables.json", "test_lables.json")),
        (_call("folder"),), tuple(f"cifar-png/data_batch_{k}.png" for k in (2, 3, 4, 5)), weight=4,
    ),
    Target(
        "data CelebA", ("celeba/list_attr_celeba.txt", "celeba/img_align_celeba/*.jpg"),
        (_call("celeba"),), weight=3,
    ),
    Target(
        "partition", ("partition.json",),
        (("train", "star.json", *_TRAIN, "--partition", "file:partition.json"),), ("star.json",),
        weight=3,
    ),
    Target(
        "checkpoint", ("checkpoint/checkpoint.json", "checkpoint/state-*.safetensors"),
        (("train", "star.json", *_TRAIN, "--checkpoint", "checkpoint", "--resume"),
         ("train", "star.json", *_TRAIN, "--checkpoint", "checkpoint", "--resume", "--rounds", "2"),
         (*_EXPORT, "checkpoint"), _call("sources")),
        ("star.json",), seal="checkpoint", weight=8,
    ),
    Target(
        "weights", ("weights.safetensors",), (_call("weights"), (*_EXPORT, FILE)), ("star.json",),
        weight=5,
    ),
    Target("generator", ("generator.safetensors",), (_call("generator"),), seal="sealed", weight=5),
    Target(
        "generator checkpoint", ("generators/generator-checkpoint.safetensors",),
        (_call("generator_checkpoint"),), seal="sealed", weight=5,
    ),
    Target("IoTSL run", ("iotsl/run.json",), (_call("iotsl_run"),), seal="document", weight=3),
    Target(
        "exported parts", ("parts/parts.json", "parts/*/*.safetensors"),
        (("merge", "parts", "-o", f"{OUT}merged.safetensors"),
         ("merge", "parts", "-o", f"{OUT}merged.safetensors", "--average", "uniform", "--json"),
         _call("parts")),
        ("star.json",), weight=5,
    ),
    Target(
        "exported plan", ("services/export.json", "services/plan.json"),
        (("import", "services", "-o", f"{OUT}again.json"),
         ("import", "services/export.json", "-o", f"{OUT}again.json", "--json")),
        weight=3,
    ),
    Target(
        "leakage table", ("leakage.json",),
        (("leakage", FILE, "--json"), ("leakage", FILE, "--report", f"{OUT}leakage.html"),
         _call("leakage")),
        ("tiny.json",), weight=4,
    ),
    Target(
        "SAA checkpoint", ("saa/checkpoint.json", "saa/batch-*.npz"),
        (("plan", "varying.yaml", "--checkpoint", "saa", "--json", *_SHORT, *_ONE),),
        ("varying.yaml", "tiny.json"), weight=5,
    ),
    Target("timeline", ("timeline.json",), (_call("timeline"),), weight=3),
    Target("history", ("history.json",), (_call("history"),), weight=5),
    Target("token", ("token.txt",), (_call("token"),), weight=1),
    Target("frame", ("frame.json",), (_call("frame"),), weight=3),
)  # fmt: skip

_CHECK = ("bench", "--check")
BENCH = (
    Target(
        "bench rows", ("rows.jsonl",),
        (_call("rows"), ("bench", "--compare", FILE, "corpus/rows.jsonl"),
         ("bench", "--compare", "corpus/rows.jsonl", FILE, "--json")),
        weight=8,
    ),
    *(
        Target(
            f"answer ({problem})", (f"{problem}-result.json", f"{problem}-decision.json"),
            ((*_CHECK, FILE, "--instance", f"corpus/{problem}.json"),
             (*_CHECK, FILE, "--instance", f"corpus/{problem}.json", "--json")),
            weight=3,
        )
        for problem in PROBLEMS
    ),
    Target(
        "library", ("library/cut_and_resources/metadata.json", "library/best_known.csv",
                    "library/cut_and_resources/one.json"),
        ((*_CHECK, "cut_and_resources-result.json", "--instance", "cut_and_resources-one",
          "--instances", "library"),),
        ("cut_and_resources-result.json", "library/pipeline_partition/metadata.json",
         "library/pipeline_partition/one.json"), weight=5,
    ),
)  # fmt: skip

OPTIONS = (
    Target(
        "options", tuple(f"options/{name}.args" for name in COMMANDS),
        ((ARGUMENTS,),),
        ("star.yaml", "tiny.json", "star.json", "pipeline.yaml", "pipeline.json", "varying.yaml",
         "cut_and_resources.json", "cut_and_resources-result.json", "robust-plan.json"), weight=14,
    ),
)  # fmt: skip

TARGETS: tuple[Target, ...] = (
    *SCENARIOS, *INSTANCES, ROBUST, WORKLOAD, *PLAN_TARGETS, *PROFILES, *ROUNDS, *TRAINING, *BENCH,
    *OPTIONS,
)  # fmt: skip


def by_name(name: str) -> Target:
    """Return a target."""
    return next(target for target in TARGETS if target.name == name)
