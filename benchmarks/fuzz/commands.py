"""Command lines of which the arguments behind a ~ are spoiled.

What would only take long if it were huge and legal, such as a number of rounds, is left alone.
"""

from __future__ import annotations

_PLAN = ("plan", "star.yaml", "--json")
_SOLVE = ("solve", "cut_and_resources.json", "--json", "--time-limit", "2")
_CELL = ("solve", "corpus/cluster_and_spectrum.json", "--json", "--time-limit", "2")
_SAA = ("solve", "corpus/cut_under_uncertainty.json", "--json", "--time-limit", "2")
_TRAIN = ("train", "star.json", "--model", "corpus/tiny.py:make", "--rounds", "1")


def _options(start: tuple[str, ...], solver: str, *pairs: str) -> tuple[str, ...]:
    given = [text for pair in pairs for text in ("-O", f"~{pair}")]
    return (*start, "--solver", solver, *given)


COMMANDS: dict[str, tuple[str, ...]] = {
    "plan": (*_PLAN, "--time-limit", "~2", "--gap", "~0.1", "--seed", "~1", "--objective", "~sum"),
    "question": (*_PLAN, "--problem", "~cut_and_resources", "--solver", "~exact"),
    "scheme": (*_PLAN, "--scheme", "~u_shaped"),
    "file": ("plan", "~star.yaml", "--json"),
    "pareto": ("plan", "pipeline.yaml", "--pareto", "--solver", "subset_dp", "-O", "~max_states=9"),
    "engine": ("plan", "varying.yaml", "--json", "--workers", "1", "--engine", "~threads"),
    "sweep": ("compare", "star.yaml", "--json", "--sweep", "~links.uplink=1 Mbit/s,2 Mbit/s"),
    "field": ("compare", "star.yaml", "--json", "--sweep", "~devices.*.count=1"),
    "simulate": ("simulate", "pipeline.json", "--noise", "~0.1", "--seed", "~1", "--json"),
    "slow": ("simulate", "robust-plan.json", "--slow", "~worst", "--json"),
    "chart": ("simulate", "star.json", "--gantt", "out/g.svg", "--from", "~0", "--to", "~0.01"),
    "control": (
        "control", "varying.yaml", "--rounds", "2", "--swaps", "20", "--workers", "1", "--cut",
        "~1", "--policies", "~static,random", "--objective", "~expected", "--delay", "~1",
    ),
    "train": (*_TRAIN, "--data", "~corpus/data.npz", "--partition", "~dirichlet:0.5"),
    "rates": (
        *_TRAIN, "--data", "corpus/data.npz", "--lr", "~0.1", "--momentum", "~0.9",
        "--weight-decay", "~0.1", "--server-lr", "~0.1", "--optimizer", "~sgd",
        "--lr-schedule", "~step:2:0.5", "--lr-warmup", "~1",
    ),
    "policies": (
        *_TRAIN, "--data", "corpus/data.npz", "--batch-norm", "~local", "--order", "~shuffled",
        "--weights", "~uniform", "--padding", "~data", "--samples", "~data", "--match", "~names",
        "--scheme", "~federated",
    ),
    "remembering": (
        *_TRAIN, "--data", "corpus/data.npz", "--partition", "~random", "--ewc", "~0.1",
        "--ewc-form", "~online", "--ewc-decay", "~0.9", "--ewc-samples", "~4", "--replay", "~2",
        "--turn-batches", "~1", "--test-after", "~round", "--scheme", "~vanilla",
    ),
    "stops": (
        *_TRAIN, "--data", "corpus/data.npz", "--target-accuracy", "~0.5", "--patience", "~2",
        "--evaluate-every", "~1", "--seed", "~3", "--device", "~cpu",
    ),
    "generate": (
        "generate", "~corpus/images.npz", "--steps", "1", "--critic-steps", "1",
        "--network", "~small", "--classes", "~0,1", "--lr", "~0.1", "--penalty", "~10",
        "--clip", "~1", "--sanitize", "~sample", "--noise-multiplier", "~1", "--delta", "~1e-5",
    ),
    "export": (
        "export", "star.json", "--to", "~torch", "-o", "out/parts", "--model",
        "~corpus/tiny.py:make", "--match", "~names", "--input-shape", "~4",
    ),
    "services": (
        "export", "star.json", "--to", "~compose", "-o", "out/services", "--train", "~--lr 0.1",
        "--image", "~run",
    ),
    "profile": (
        "profile", "~corpus/tiny.py:make", "--input-shape", "~4", "--method", "~fx", "--name", "~n",
        "--input-dtype", "~float32", "--json",
    ),
    "check": (
        "bench", "--check", "corpus/cut_and_resources-result.json", "--instance",
        "~cut_and_resources.json", "--objectives", "~sum",
    ),
    "machine": ("machine", "fit", "~here", "tiny.json", "--batch", "~4", "--json"),
    "objective": (*_SOLVE, "--objective", "~makespan", "--gap", "~0"),
    "warm": (*_SOLVE, "--start", "~cut_and_resources-result.json", "--solver", "~exact"),
    "exact": _options(_SOLVE, "exact", "max_nodes=9", "local_moves=3", "max_listed=10"),
    "enumerate": _options(_SOLVE, "enumerate", "max_vectors=1000"),
    "consensus": _options(
        _SOLVE, "price_consensus", "max_rounds=9", "roundings=2", "fraction_bits=20"
    ),
    "descent": _options(_SOLVE, "block_descent", "starts=2", "max_steps=5"),
    "random": _options(_SOLVE, "random_search", "max_evaluations=9"),
    "evolution": _options(
        _SOLVE, "differential_evolution", "max_evaluations=9", "strategy=best1bin"
    ),
    "annealing": _options(_SOLVE, "dual_annealing", "max_evaluations=9", "initial_temp=5000"),
    "genetic": _options(_SOLVE, "genetic", "max_evaluations=9", "crossover_eta=3"),
    "mora": _options(
        _SOLVE, "dp_mora", "graph=ring", "step=0.1", "max_rounds=2", "tolerance=1e-3", "clip=true"
    ),
    "rule": _options(_SOLVE, "sf3af", "cuts=exact"),
    "gibbs": _options(_CELL, "gibbs", "iterations=9", "delta_s=0.1", "evaluation=naive"),
    "anneal": _options(_CELL, "anneal", "iterations=9", "chains=1", "hot=1", "cold=0.1"),
    "partition": _options(_CELL, "set_partition", "max_cells=9", "max_listed=10"),
    "saa": _options(
        _SAA, "saa", "inner=gibbs", "inner_options={}", "tolerance=0.01", "level=0.9", "pilot=3"
    ),
    "order": _options(
        ("solve", "corpus/pipeline_partition.json", "--json", "--time-limit", "2"),
        "order_search", "patience=2", "bound_states=16",
    ),
}  # fmt: skip
"""Name -> arguments; the time that a solver may take is always short."""
