"""Fleets whose pages plan anew, and the same changes made to the scenario itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from splitopt import Scenario

CHANGES = ("downlink", "uplink", "server")


def fleet(
    seed: int,
    devices: int,
    *,
    counts: int = 1,
    memory: str | None = None,
    alike: bool = False,
    joule: bool = False,
    **links: Any,
) -> Scenario:
    """Return a scenario of random devices that train ResNet-18."""
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(devices):
        row: dict[str, Any] = {
            "compute": f"{10 ** rng.uniform(9.3, 12):.6g} FLOP/s",
            "samples": int(rng.integers(500, 8000)),
            "batch_size": int(rng.choice([16, 32, 64])),
            "priority": float(rng.uniform(0.5, 2)),
            "count": int(rng.integers(1, counts + 1)),
        }
        if joule:
            row["compute_power"] = "10 W"
        rows.append({**(rows[0] if alike and rows else row), "name": f"d{index}"})
    uplink = {"rate": "100 Mbit/s"} | ({"transmit_power": "2 W"} if joule else {})
    server = {"name": "edge", "compute": f"{10 ** rng.uniform(11.5, 13.5):.6g} FLOP/s"}
    return Scenario.from_dict(
        {
            "format": "splitopt-scenario",
            "version": 1,
            "name": "fleet",
            "model": "resnet18-imagenet",
            "devices": rows,
            "links": {"downlink": {"rate": "300 Mbit/s"}, "uplink": uplink, **links},
            "servers": [server | ({} if memory is None else {"memory": memory})],
            "training": {"epochs": 1, "rounds": 10},
            "tradeoff": {"seconds_per_joule": 0.5} if joule else {},
        }
    )


def random_change(rng: np.random.Generator, data: dict[str, Any]) -> dict[str, Any]:
    """Return a change of a page's data as its script takes it: factors from 0.1 to 10."""
    groups = data["groups"]

    def factor() -> float:
        return float(10 ** rng.uniform(-1, 1))

    found: dict[str, Any] = {name: factor() for name in CHANGES if rng.random() < 0.6}
    if rng.random() < 0.6:
        found["devices"] = [factor() if rng.random() < 0.5 else 1.0 for _ in groups]
    if rng.random() < 0.4:
        found["lost"] = [
            int(rng.integers(0, group["count"] + 1)) if rng.random() < 0.4 else 0
            for group in groups
        ]
    if data["leakage"] is not None and rng.random() < 0.6:
        low, high = min(data["leakage"]), max(data["leakage"])
        found["leakage"] = float(rng.uniform(0.97 * low, high))
    return found


def changed_scenario(scenario: Scenario, change: dict[str, Any]) -> Scenario | None:
    """Return the scenario with a change made to its own numbers, None without any device."""
    one = [1.0] * len(scenario.devices)
    speeds, lost = change.get("devices", one), change.get("lost", [0] * len(one))
    devices = tuple(
        device._with(compute=device.compute * speed, count=device.count - gone)
        for device, speed, gone in zip(scenario.devices, speeds, lost, strict=True)
        if device.count > gone
    )
    if not devices:
        return None
    links, server = scenario.links, scenario.servers[0]
    ways = {
        way: getattr(links, way)._with(rate=getattr(links, way).rate * change.get(way, 1.0))
        for way in ("downlink", "uplink")
    }
    limit = change.get("leakage", scenario.privacy.leakage_limit)
    return scenario._with(
        devices=devices,
        links=links._with(**ways),
        servers=(server._with(compute=server.compute * change.get("server", 1.0)),),
        privacy=scenario.privacy._with(leakage_limit=limit),
    )
