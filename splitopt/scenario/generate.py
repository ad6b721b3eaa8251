"""Fleets and machines of any number, drawn from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt.documents.checks import is_whole
from splitopt.errors import InputError, shown
from splitopt.profiles.published.catalog import load_profile
from splitopt.scenario.accelerators import MOST_ACCELERATORS
from splitopt.scenario.replication import MOST_TYPES
from splitopt.scenario.whole import MOST_DEVICES, MOST_NODES


def draw(
    seed: int, devices: int, profile: str, leakage_limit: float | None = None
) -> dict[str, Any]:
    """Draw a scenario's plain data, a wider fleet than that of DP-MORA section 7.1.

    Speeds are log-uniform between 2 and 20 GMAC/s, samples uniform between 1,000 and 8,000, batch
    sizes from 16 to 128, link rates at the full resource log-uniform between 50 and 500 Mbit/s,
    and the server has 10 GMAC/s for every device. The same seed draws the same fleet.
    """
    _check_number("devices", devices, MOST_DEVICES)
    if not is_whole(seed, 0):
        raise InputError.at("seed", f"is {shown(seed)}, it must be a whole number >= 0")
    rng = np.random.default_rng(seed)
    speed = 2e9 * np.exp(rng.uniform(np.log(2.0), np.log(20.0), devices))
    samples = rng.integers(1000, 8001, devices)
    batch = rng.choice([16, 32, 50, 64, 128], devices)
    rate = 1e6 * np.exp(rng.uniform(np.log(50.0), np.log(500.0), (2, devices)))
    width = len(str(devices))
    fleet = [
        {
            "name": f"device-{n + 1:0{width}d}",
            "compute": _rounded(speed[n]),
            "samples": int(samples[n]),
            "batch_size": int(batch[n]),
            "downlink": {"rate": _rounded(rate[0, n])},
            "uplink": {"rate": _rounded(rate[1, n])},
        }
        for n in range(devices)
    ]
    return {
        "name": f"generated-{devices}-seed-{seed}",
        "model": {"profile": profile},
        "devices": fleet,
        "links": {"downlink": {"rate": 100e6}, "uplink": {"rate": 100e6}},
        "servers": [{"name": "edge", "compute": 2e10 * devices}],
        "training": {"epochs": 5, "rounds": 100},
        "privacy": {"leakage_limit": leakage_limit},
    }


def draw_pipeline(seed: int, devices: int, nodes: int, profile: str) -> dict[str, Any]:
    """Draw a scenario's plain data with compute nodes instead of a server.

    The devices are those of `draw`, all with batches of 32 samples. Speeds of the nodes are
    log-uniform between 50 and 400 GMAC/s and their prices follow them, each holds half or one GiB
    for every device, and their interfaces have 1 or 10 Gbit/s. Every device has a downlink and an
    uplink of its own. The cuts are left to the plan.
    """
    _check_number("nodes", nodes, MOST_NODES)
    drawn = draw(seed, devices, profile)
    rng = np.random.default_rng([seed, nodes])
    speed = 2e9 * np.exp(rng.uniform(np.log(50.0), np.log(400.0), nodes))
    memory = devices * rng.choice([2**29, 2**30], nodes)
    rate = rng.choice([1e9, 1e10], nodes)
    width = len(str(nodes))
    machines = [
        {
            "name": f"node-{n + 1:0{width}d}",
            "compute": _rounded(speed[n]),
            "memory": float(memory[n]),
            "rate": float(rate[n]),
            "price_per_hour": _rounded(0.2 * speed[n] / 4e11),
        }
        for n in range(nodes)
    ]
    del drawn["servers"], drawn["privacy"]
    return {
        **drawn,
        "name": f"generated-{devices}-nodes-{nodes}-seed-{seed}",
        "devices": [{**device, "batch_size": 32} for device in drawn["devices"]],
        "links": {**drawn["links"], "shared": False, "nodes": {"model": "nic"}},
        "nodes": machines,
    }


def draw_machines(seed: int, machines: int, types: int, profile: str) -> dict[str, Any]:
    """Draw a scenario's plain data with machines that train one model in replicated stages.

    Machines are shared out to the types at random, one at least to each. Speeds of the types are
    log-uniform between 4 and 40 TFLOP/s, an interface has 10, 25 or 100 Gbit/s, and where the
    profile says what its layers keep, a machine has 8, 16 or 32 GiB. The same seed draws the same.
    """
    _check_number("types", types, MOST_TYPES)
    _check_number("machines", machines, MOST_ACCELERATORS)
    if machines < types:
        raise InputError.at(
            "machines", f"is {machines}, it must be at least the {types} types, one machine of each"
        )
    if not is_whole(seed, 0):
        raise InputError.at("seed", f"is {shown(seed)}, it must be a whole number >= 0")
    rng = np.random.default_rng([seed, machines, types])
    counts = 1 + rng.multinomial(machines - types, np.full(types, 1 / types))
    speed = 4e12 * np.exp(rng.uniform(0.0, np.log(10.0), types))
    rate, memory = rng.choice([1e10, 2.5e10, 1e11], types), rng.choice([2**33, 2**34, 2**35], types)
    saved = load_profile(profile).layer_saved_bytes is not None
    width = len(str(types))
    listed = [
        {
            "name": f"type-{n + 1:0{width}d}",
            "count": int(counts[n]),
            "compute": _rounded(speed[n]),
            "rate": float(rate[n]),
            **({"memory": float(memory[n])} if saved else {}),
        }
        for n in range(types)
    ]
    return {
        "name": f"generated-{machines}-machines-{types}-types-seed-{seed}",
        "model": {"profile": profile},
        "replication": {
            "types": listed,
            "batch_size": 32,
            "micro_batches": 4 * machines,
            "recompute": "choose" if saved else "never",
        },
        "training": {"rounds": 100},
    }


def _check_number(what: str, number: Any, most: int) -> None:
    if not is_whole(number, 1) or number > most:
        raise InputError.at(
            what, f"is {shown(number)}, it must be a whole number from 1 to {most:,}"
        )


def _rounded(value: float) -> float:
    """Four significant digits, so that generated files are readable."""
    return float(f"{value:.4g}")
