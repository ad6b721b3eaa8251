"""The fleets: groups in YAML, and different devices in CSV and Parquet, drawn from a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

GROUPS = 20
MODEL = "resnet18-imagenet"
HEADER = (
    "name",
    "compute [GFLOP/s]",
    "uplink [Mbit/s]",
    "downlink [Mbit/s]",
    "memory [GB]",
    "samples",
    "batch_size",
)
_MOST_GFLOPS = 400.0


def grouped(devices: int, folder: Path, seed: int = 1) -> Path:
    """Write a scenario of so many devices in 20 groups of various sizes."""
    rng = np.random.default_rng(seed)
    count = rng.multinomial(devices - GROUPS, np.full(GROUPS, 1 / GROUPS)) + 1
    entries = [
        f"  - {{name: group{g}, count: {count[g]}, compute: {speed:.1f} GFLOP/s, "
        f"samples: {samples}, batch_size: 32}}"
        for g, (speed, samples) in enumerate(
            zip(rng.uniform(2, _MOST_GFLOPS, GROUPS), rng.integers(500, 5000, GROUPS), strict=True)
        )
    ]
    return _scenario(folder / "groups.yaml", "\n" + "\n".join(entries), devices)


def different(rows: int, folder: Path, kind: str, seed: int = 1) -> Path:
    """Write a file of so many different devices, ``csv`` or ``parquet``, and its scenario."""
    rng = np.random.default_rng(seed)
    columns = [
        [f"device-{n}" for n in range(rows)],
        np.round(rng.uniform(2, _MOST_GFLOPS, rows), 2),
        np.round(rng.uniform(1, 100, rows), 2),
        np.round(rng.uniform(5, 500, rows), 2),
        rng.choice([1, 2, 4, 8], rows),
        rng.integers(500, 5000, rows),
        np.full(rows, 32),
    ]
    file = folder / f"fleet.{kind}"
    if kind == "csv":
        lists = [list(map(str, column)) for column in columns]
        lines = (",".join(row) for row in zip(*lists, strict=True))
        file.write_text("\n".join((",".join(HEADER), *lines)) + "\n")
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table(dict(zip(HEADER, columns, strict=True))), file)
    return _scenario(folder / f"{kind}.yaml", f" {{file: {file.name}}}", rows)


def _scenario(path: Path, devices: str, size: int) -> Path:
    """Write a scenario whose links and server have grown with the fleet."""
    path.write_text(
        "format: splitopt-scenario\n"
        "version: 1\n"
        f"name: {path.stem}\n"
        f"model: {MODEL}\n"
        f"devices:{devices}\n"
        f"links: {{downlink: {10 * size} Mbit/s, uplink: {5 * size} Mbit/s}}\n"
        f"servers: [{{name: edge, compute: {20 * size} GFLOP/s}}]\n"
        "training: {epochs: 1, rounds: 100}\n"
    )
    return path
